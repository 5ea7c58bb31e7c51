"""Squares of as many rows as a vector has lanes, turned in registers on their way.

Between arrays with rows of positions, a channel each, and scratch memory in which the channels of a
position lie side by side.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastconv.kernels.jit import intrinsic
from fastconv.kernels.vector import INT32, Vectors, constant, data_pointer


def make_gather(dtype: np.dtype, lanes: int):
    """Return an intrinsic that copies positions of some channels side by side.

    Its arguments: x, the place of lane 0 of the first channel, the distance of channels, how many
    exist; the first lane that exists, and the end of those; the target and a place in it; how far
    ahead to fetch. The target has then all lanes of all channels, zeros where nothing exists; no
    more is read than exists.
    """

    @intrinsic
    def gather(typing, x, x0, step, valid, low, high, target, t0, ahead):
        n = types.intp
        signature = types.void(x, n, n, n, n, n, target, n, n)

        def emit(context, builder, signature, arguments):
            _, _, step, valid, low, high, _, _, ahead = arguments
            x, target = (
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[i + 1])
                for i in (0, 6)
            )
            v = Vectors(builder, dtype, lanes)
            mask = builder.and_(v.first_lanes(high), builder.not_(v.first_lanes(low)))
            none = ir.Constant(v.mask_type, [0] * lanes)
            rows = []
            for row in range(lanes):
                exists = builder.icmp_signed("<", constant(row), valid)
                pointer = builder.gep(x, [builder.mul(step, constant(row))])
                rows.append(v.masked_load(pointer, builder.select(exists, mask, none)))
                v.prefetch(builder.gep(pointer, [ahead]))
            for place, vector in enumerate(turned(builder, rows)):
                v.store(vector, builder.gep(target, [constant(place * lanes)]))
            return context.get_dummy_value()

        return signature, emit

    return gather


def make_scatter(dtype: np.dtype, lanes: int):
    """Return an intrinsic that copies positions back into rows of channels.

    Its arguments: the source and a place in it; y, the place of the first channel's lane 0, the
    distance of channels, how many of them exist, and how many lanes of each.
    """

    @intrinsic
    def scatter(typing, source, s0, y, y0, step, valid, columns):
        n = types.intp
        signature = types.void(source, n, y, n, n, n, n)

        def emit(context, builder, signature, arguments):
            step, valid, columns = arguments[4:]
            source, y = (
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[i + 1])
                for i in (0, 2)
            )
            v = Vectors(builder, dtype, lanes)
            mask = v.first_lanes(columns)
            rows = [v.load(builder.gep(source, [constant(row * lanes)])) for row in range(lanes)]
            for channel, vector in enumerate(turned(builder, rows)):
                exists = builder.icmp_signed("<", constant(channel), valid)
                with cgutils.if_likely(builder, exists):
                    pointer = builder.gep(y, [builder.mul(step, constant(channel))])
                    v.masked_store(vector, pointer, mask)
            return context.get_dummy_value()

        return signature, emit

    return scatter


def turned(builder: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """Return the columns of a square.

    Each step interleaves the rows of the first half with those of the second: the highest bit of a
    lane's number goes to the end of its row's, and the other way round, until all have changed.
    """
    lanes = len(rows)
    half = lanes // 2
    for _ in range(lanes.bit_length() - 1):
        following = []
        for one, other in zip(rows[:half], rows[half:], strict=True):
            for start in (0, half):
                order = [start + lane // 2 + lanes * (lane % 2) for lane in range(lanes)]
                places = ir.Constant(ir.VectorType(INT32, lanes), order)
                following.append(builder.shuffle_vector(one, other, places))
        rows = following
    return rows
