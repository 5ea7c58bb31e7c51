"""Values put at places in windows that lie side by side: planes are written once, not cleared.

Where a plane's sizes are multiples of the output's, as after most pools, the place of every value
is likely to be in a window of its own. Then each element of the plane is a value, or 0, which takes
a comparison. Whether that is so is found out on the way; where it is not, nothing is gained.
"""

from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastconv.kernels.jit import intrinsic
from fastconv.kernels.reduction import Reducer, Reduction
from fastconv.kernels.vector import INT32, Vectors, constant, data_pointer

INT64_DTYPE = np.dtype(np.int64)


@dataclass(frozen=True)
class Windows:
    """Windows of `rows` by `taps`, and vectors of so many lanes."""

    dtype: np.dtype
    lanes: int
    rows: int
    taps: int


def make_tiles(windows: Windows):
    """Return an intrinsic that fills a plane; it returns whether all values were in their windows.

    If not, the plane is to be filled otherwise. Its arguments: values, their places, and where both
    begin; the planes and where this one begins; rows and columns of windows.
    """

    @intrinsic
    def run(typing, values, indices, v0, planes, p0, height, width):
        n = types.intp
        signature = types.boolean(values, indices, n, planes, n, n, n)

        def emit(context, builder, signature, arguments):
            def pointer(place, offset):
                kind, array = signature.args[place], arguments[place]
                return data_pointer(context, builder, kind, array, offset)

            pointers = pointer(0, arguments[2]), pointer(1, arguments[2]), pointer(3, arguments[4])
            return _Tiles(builder, windows, pointers, arguments[6]).run(arguments[5])

        return signature, emit

    return run


class _Tiles:
    """Writes the code of one plane of rows of `count` windows."""

    def __init__(self, builder, windows, pointers, count):
        self.builder, self.windows, self.count = builder, windows, count
        self.values, self.indices, self.plane = pointers
        # masks, and what is written through them
        self.v = Reducer(builder, Reduction("sum", windows.dtype, windows.lanes))
        self.places = Vectors(builder, INT64_DTYPE, windows.lanes)
        self.width = builder.mul(count, constant(windows.taps))

    def run(self, height):
        """Write the loop over rows of windows, left at the first that has not all its values."""
        builder, lanes = self.builder, self.windows.lanes
        row = cgutils.alloca_once_value(builder, constant(0))
        fits = cgutils.alloca_once_value(builder, ir.Constant(ir.IntType(1), 1))
        blocks = builder.sdiv(self.count, constant(lanes))
        loop, body, done = (builder.append_basic_block(f"tiles.{name}") for name in "abc")
        builder.branch(loop)
        builder.position_at_end(loop)
        left = builder.icmp_signed("<", builder.load(row), height)
        builder.cbranch(builder.and_(left, builder.load(fits)), body, done)
        builder.position_at_end(body)
        number = builder.load(row)
        with cgutils.for_range(builder, blocks) as steps:
            self._block(number, builder.mul(steps.index, constant(lanes)), None, fits)
        index = builder.mul(blocks, constant(lanes))
        left = builder.sub(self.count, index)
        with builder.if_then(builder.icmp_signed("<", constant(0), left)):
            self._block(number, index, left, fits)
        builder.store(builder.add(number, constant(1)), row)
        builder.branch(loop)
        builder.position_at_end(done)
        return builder.load(fits)

    def _block(self, row, index, left, fits):
        """Fill the windows of a vector of values, or of as many as are left."""
        builder, v, windows = self.builder, self.v, self.windows
        lanes, taps = windows.lanes, windows.taps
        place = builder.add(builder.mul(row, self.count), index)
        mask = None if left is None else v.first(left)
        value = v.read(builder.gep(self.values, [place]), mask)
        value = builder.fadd(value, v.zero)  # as where it is added to what was cleared: no -0
        there = builder.gep(self.indices, [place])
        found = self.places.load(there) if mask is None else self.places.masked_load(there, mask)
        start = builder.mul(row, builder.mul(self.width, constant(windows.rows)))
        first = builder.add(start, builder.mul(index, constant(taps)))
        steps = ir.Constant(self.places.type, [taps * lane for lane in range(lanes)])
        inside = builder.sub(found, builder.add(self.places.broadcast(first), steps))
        everywhere = ir.Constant(v.mask_type, [0] * lanes)
        for tap_row in range(windows.rows):
            down = builder.mul(self.width, constant(tap_row))
            chosen = []
            for tap in range(taps):
                here = self.places.broadcast(builder.add(down, constant(tap)))
                same = builder.icmp_signed("==", inside, here)
                everywhere = builder.or_(everywhere, same)
                chosen.append(builder.select(same, value, v.zero))
            target = builder.gep(self.plane, [builder.add(first, down)])
            self._store(chosen, target, left)
        if mask is not None:
            everywhere = builder.or_(everywhere, builder.not_(mask))
        bits = builder.bitcast(everywhere, ir.IntType(lanes))
        whole = builder.icmp_unsigned("==", bits, ir.Constant(ir.IntType(lanes), -1))
        builder.store(builder.and_(builder.load(fits), whole), fits)

    def _store(self, chosen, target, left):
        """Store vectors of taps in turn."""
        builder, lanes, taps = self.builder, self.windows.lanes, self.windows.taps
        for number in range(taps):
            elements = [number * lanes + lane for lane in range(lanes)]
            value = chosen[0]
            for tap in range(1, taps):
                order = [
                    lanes + element // taps if element % taps == tap else lane
                    for lane, element in enumerate(elements)
                ]
                if tap == 1:
                    order = [element // taps + lanes * (element % taps > 0) for element in elements]
                kind = ir.VectorType(INT32, lanes)
                value = builder.shuffle_vector(value, chosen[tap], ir.Constant(kind, order))
            mask = None
            if left is not None:
                there = builder.sub(builder.mul(left, constant(taps)), constant(number * lanes))
                mask = self.v.first(there)
            self.v.write(value, builder.gep(target, [constant(number * lanes)]), mask)
