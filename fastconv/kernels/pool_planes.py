"""Generated code for small planes: vectors run on from one row into the next.

Rows of a few vectors spend most of their time on beginning and ending. So a plane is one row of
all its elements. With a stride of 1, and rows that stay as long as they are, tap t of output q is
element `q + shift[t]` wherever rows end; lanes that would reach into another row are masked. Where
windows are as wide as they are apart, and rows consist of them, the rows under every output row
become one, these follow each other, and so do the windows in them.

Either way the first of two passes goes into scratch, a *sheet*, that stays in the nearest cache.
Maxima and minima look for NaN as those of `kernels.pool_near` do: a plane with any is done again.
"""

import functools
from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastconv.kernels.jit import intrinsic
from fastconv.kernels.parts import shared
from fastconv.kernels.pool_fold import Results
from fastconv.kernels.reduction import Reducer, Reduction
from fastconv.kernels.target import host
from fastconv.kernels.vector import INT64, constant, data_pointer

SIZE, OUT, SHEET, BEFORE, WIDTH, HEIGHT, STEP, MASKS = range(8)
"""Words of a table: elements of a plane, of an output plane, and of a sheet; where in a sheet the
first element is; columns of the input, rows of the output; elements from what is under one of these
to what is under the next; and, with a stride of 1, one word of bits for every vector of a plane and
each tap."""
ALIGNMENT = 64


@dataclass(frozen=True)
class Plane:
    """Windows of `rows` by `taps`, `stride` columns apart, the first `before` columns outside.

    Unless `careful`, NaN may be lost, and whether there might be any is found out.
    """

    reduction: Reduction
    rows: int
    taps: int
    stride: int
    before: int
    careful: bool = True


@functools.cache
def planes_loops(reduction: Reduction, rows: int, taps: int, stride: int, before: int):
    """Return the compiled loops over planes."""
    form = (rows, taps, stride, before)
    variant = "-".join((host().name, reduction.variant, *map(str, form)))
    fast = make_plane(Plane(reduction, *form, careful=False))
    careful = make_plane(Plane(reduction, *form))
    keeps_nan, identity = reduction.keeps_nan, reduction.identity
    itemsize = reduction.dtype.itemsize

    def planes(x, y, divisors, table, first_plane, last_plane):
        length = table[2]
        sheet = np.empty(length + ALIGNMENT // itemsize, x.dtype)
        origin = -np.intp(sheet.ctypes.data) % ALIGNMENT // itemsize
        for i in range(length):
            sheet[np.uint64(origin + i)] = identity
        for plane in range(first_plane, last_plane):
            source, target = plane * table[0], plane * table[1]
            suspicious = fast(x, source, sheet, origin, table, y, target, divisors)
            if keeps_nan and suspicious:
                careful(x, source, sheet, origin, table, y, target, divisors)

    return shared(planes, variant)


def make_plane(plane: Plane):
    """Return an intrinsic that computes a plane, or returns that there might be NaN.

    Its arguments: the source and the place of the plane; the sheet and its place; the table; the
    result and its place; what each element of it is divided by.
    """

    @intrinsic
    def run(typing, x, x0, sheet, s0, table, y, y0, divisors):
        n = types.intp
        signature = types.int64(x, n, sheet, n, table, y, n, divisors)

        def emit(context, builder, signature, arguments):
            def pointer(array, offset):
                kind, value = signature.args[array], arguments[array]
                return data_pointer(context, builder, kind, value, offset)

            reducer = Reducer(builder, plane.reduction, careful=plane.careful)
            x, sheet, y = (pointer(place, arguments[place + 1]) for place in (0, 2, 5))
            table, divisors = (pointer(place, constant(0)) for place in (4, 7))
            return _Walk(plane, reducer, (x, sheet, y), table, divisors).run()

        return signature, emit

    return run


class _Walk:
    """Writes the code of one plane."""

    def __init__(self, plane, reducer, pointers, table, divisors):
        self.plane, self.reducer, self.builder = plane, reducer, reducer.builder
        self.x, self.sheet, self.y = pointers
        self.table, self.divisors = table, divisors
        self.check = cgutils.alloca_once_value(self.builder, reducer.zero)

    def run(self):
        """Write both passes, and return whether there might be NaN."""
        reducer, shifted = self.reducer, self.plane.stride == 1
        self.builder.store(reducer.zero, self.check)
        (self._across if shifted else self._under)()
        factors = (self.divisors, ir.Constant(reducer.element, 1))
        ends = Results(reducer, self.y, self._word(OUT), factors, shared=False)
        ends.each(self._down if shifted else self._along)
        if not reducer.fast:
            return constant(0)
        return self.builder.zext(reducer.any_nan(self.builder.load(self.check)), INT64)

    def _word(self, place):
        """Load a word of the table."""
        place = constant(place) if isinstance(place, int) else place
        return self.builder.load(self.builder.gep(self.table, [place]))

    def _blocks(self, count, body):
        """Call `body(index, mask)` for every vector of so many elements; whole ones have none."""
        builder, lanes = self.builder, self.reducer.lanes
        blocks = builder.sdiv(count, constant(lanes))
        with cgutils.for_range(builder, blocks) as loop:
            body(builder.mul(loop.index, constant(lanes)), None)
        index = builder.mul(blocks, constant(lanes))
        with builder.if_then(builder.icmp_signed("<", index, count)):
            body(index, self.reducer.first(builder.sub(count, index)))

    def _look(self, values, mask=None):
        """Add vectors, where they exist, to what is looked at in the end."""
        builder, reducer = self.builder, self.reducer
        if not (reducer.fast and values):
            return
        total = functools.reduce(builder.fadd, values)
        if mask is not None:
            total = builder.select(mask, total, reducer.zero)
        builder.store(builder.fadd(builder.load(self.check), total), self.check)

    def _across(self):
        """Reduce the columns of every window of a plane, in all its rows."""
        builder, reducer, plane = self.builder, self.reducer, self.plane
        sheet = builder.gep(self.sheet, [self._word(BEFORE)])

        def body(index, mask):
            block = builder.sdiv(index, constant(reducer.lanes))
            first = builder.add(builder.mul(block, constant(plane.taps)), constant(MASKS))
            values = []
            for tap in range(plane.taps):
                shift = tap - plane.before
                place = builder.add(index, constant(shift))
                inside = mask
                if shift:
                    inside = reducer.mask(self._word(builder.add(first, constant(tap))))
                values.append(reducer.read(builder.gep(self.x, [place]), inside))
            self._look([values[plane.before]], mask)
            total = functools.reduce(reducer.combine, values)
            reducer.store(total, builder.gep(sheet, [index]))

        self._blocks(self._word(SIZE), body)

    def _down(self, index):
        """Reduce the rows of the windows of a vector of results."""
        builder, reducer, values = self.builder, self.reducer, []
        for row in range(self.plane.rows):
            start = builder.mul(self._word(WIDTH), constant(row))
            values.append(reducer.load(builder.gep(self.sheet, [builder.add(start, index)])))
        return functools.reduce(reducer.combine, values)

    def _under(self):
        """Reduce the rows under every output row to one of the sheet."""
        builder, reducer = self.builder, self.reducer
        width, step, rows = self._word(WIDTH), self._word(STEP), range(self.plane.rows)
        starts = [builder.mul(constant(row), width) for row in rows]
        with cgutils.for_range(builder, self._word(HEIGHT)) as loop:
            source = builder.gep(self.x, [builder.mul(loop.index, step)])
            target = builder.gep(self.sheet, [builder.mul(loop.index, width)])

            def body(index, mask, source=source, target=target):
                places = (builder.gep(source, [builder.add(start, index)]) for start in starts)
                values = [reducer.read(place, mask) for place in places]
                self._look(values[1:], mask)
                total = functools.reduce(reducer.combine, values)
                reducer.store(total, builder.gep(target, [index]))

            self._blocks(width, body)

    def _along(self, index):
        """Reduce the columns of the windows of a vector of results."""
        builder, reducer, stride = self.builder, self.reducer, self.plane.stride
        start = builder.mul(index, constant(stride))
        places = (builder.add(start, constant(number * reducer.lanes)) for number in range(stride))
        vectors = [reducer.load(builder.gep(self.sheet, [place])) for place in places]
        phases = reducer.phases(vectors)
        self._look(phases[1:])
        return functools.reduce(reducer.combine, phases)
