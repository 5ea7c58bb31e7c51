"""Turning rows into columns, a square at a time: how weights are packed.

Read row by row and written element by element, a weight takes longer to pack than a layer of small
planes to compute. Here some terms of some rows are loaded as vectors and turned in registers.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastconv.kernels.jit import intrinsic
from fastconv.kernels.vector import INT32, Vectors, constant, data_pointer

PREFETCH_BYTES = 512
"""How far ahead each row is fetched: they are more than the CPU follows by itself."""


def make_turn(dtype: np.dtype, lanes: int, rows: int):
    """Return an intrinsic that turns `lanes` terms of `rows` rows.

    Its arguments: w, the place of the first term of the first row, and the distance of the rows;
    how many rows exist (the others are zeros), and how many terms are left; the packed weights and
    a place in them; the table of the terms' places after that, in units, the place of the first
    term there, and the elements of a unit. The rows of a term are neighbours.
    """

    @intrinsic
    def turn(typing, w, source, step, valid, left, packed, target, units, first, unit):
        n = types.intp
        signature = types.void(w, n, n, n, n, packed, n, units, n, n)

        def emit(context, builder, signature, arguments):
            _, _, step, valid, left, _, _, _, _, unit = arguments
            w, packed, units = (
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[i + 1])
                for i in (0, 5, 7)
            )
            narrow = Vectors(builder, dtype, rows)
            turned = interleaved(builder, load(builder, w, step, valid, left))
            for term in range(lanes):
                exists = builder.icmp_signed("<", constant(term), left)
                with cgutils.if_likely(builder, exists):
                    place = builder.load(builder.gep(units, [constant(term)]))
                    target = builder.gep(packed, [builder.mul(place, unit)])
                    narrow.store(picked(builder, turned, term, rows), target)
            return context.get_dummy_value()

        return signature, emit

    def load(builder, w, step, valid, left):
        vectors, loaded = Vectors(builder, dtype, lanes), []
        ahead = constant(PREFETCH_BYTES // dtype.itemsize)
        for row in range(rows):
            exists = builder.icmp_signed("<", constant(row), valid)
            mask = vectors.first_lanes(builder.select(exists, left, constant(0)))
            pointer = builder.gep(w, [builder.mul(step, constant(row))])
            loaded.append(vectors.masked_load(pointer, mask))
            vectors.prefetch(builder.gep(pointer, [ahead]))
        return loaded

    return turn


def interleaved(builder: ir.IRBuilder, rows: list[ir.Value]) -> ir.Value:
    """Return one long vector: the first lane of every row, then the second of every row.

    Rows are repeated until their number is a power of 2.
    """
    rows = rows + rows[-1:] * ((1 << (len(rows) - 1).bit_length()) - len(rows))
    while len(rows) > 1:
        half, size = len(rows) // 2, rows[0].type.count
        order = [lane + side * size for lane in range(size) for side in (0, 1)]
        places = ir.Constant(ir.VectorType(INT32, 2 * size), order)
        rows = [
            builder.shuffle_vector(one, other, places)
            for one, other in zip(rows[:half], rows[half:], strict=True)
        ]
    return rows[0]


def picked(builder: ir.IRBuilder, turned: ir.Value, lane: int, rows: int) -> ir.Value:
    """Return what all rows have in a lane, from what `interleaved` returned."""
    apart = 1 << (rows - 1).bit_length()
    kind = ir.VectorType(INT32, rows)
    places = ir.Constant(kind, list(range(lane * apart, lane * apart + rows)))
    return builder.shuffle_vector(turned, ir.Constant(turned.type, ir.Undefined), places)
