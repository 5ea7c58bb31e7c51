"""Sums over everything but the channels: of g and of g times x less the channel's center.

Items are channels, or vectors of them where they lie side by side. A sum is never split between
threads; stretches of it are added in the dtype of the arrays, and those up in float64.
"""

import functools

import numpy as np
from numba import types

from fastconv.kernels.jit import intrinsic
from fastconv.kernels.parts import shared
from fastconv.kernels.rows import Access, Line
from fastconv.kernels.target import host
from fastconv.kernels.vector import Vectors, constant, data_pointer

STRETCH = {True: 256, False: 4096}
"""Elements added to one vector before it is put aside, across channels or along them."""


@functools.cache
def moment_loops(dtype_name: str, across: bool, pair: bool):
    """Return the loops; their arguments: g, x, centers (C), sums (C, 2), (N, C, L), and the items.

    Without a `pair`, g is x less its center.
    """
    dtype = np.dtype(dtype_name)
    lanes, stretch = host().lanes(dtype), STRETCH[across]
    run = _sums(dtype, across, pair)

    def moments(g, x, centers, sums, sizes, first, last):
        batch, channels, length = sizes
        kept = np.empty(2 * lanes, x.dtype)
        step, lines = (channels, 1) if across else (1, batch)
        length = batch * length if across else length
        for item in range(first, last):
            channel = item * lanes if across else item
            width = min(lanes, channels - channel) if across else 1
            for n in range(lines):
                for start in range(0, length, stretch):
                    place = start * channels + channel
                    if not across:
                        place = (n * channels + channel) * length + start
                    count = min(stretch, length - start)
                    run(g, x, place, count, step, width, centers, channel, kept)
                    for lane in range(width):
                        sums[channel + lane, 0] += kept[lane]
                        sums[channel + lane, 1] += kept[lanes + lane]

    return shared(moments, f"{host().name}-{dtype_name}-{across:d}{pair:d}")


def _sums(dtype: np.dtype, across: bool, pair: bool):
    @intrinsic
    def run(typing, g, x, place, n, inner, width, centers, channel, kept):
        integer = types.intp

        def emit(context, builder, signature, arguments):
            v = Vectors(builder, dtype, host().lanes(dtype))
            g, x, center, kept = (
                data_pointer(context, builder, signature.args[i], arguments[i], offset)
                for i, offset in (
                    *((0, arguments[2]), (1, arguments[2])),
                    *((6, arguments[7]), (8, constant(0))),
                )
            )
            line = Line(v, across, *arguments[3:6])
            if across:
                middle = Access(v, v.first_lanes(arguments[5])).load(center)
            else:
                middle = v.broadcast(builder.load(center))

            def add(at, i, sums):
                value = builder.fsub(at.load(builder.gep(x, [i])), middle)
                value = at.existing(value, v.zero)
                weight = at.load(builder.gep(g, [i])) if pair else value
                return [builder.fadd(sums[0], weight), v.multiply_add(weight, value, sums[1])]

            for place, total in enumerate(line.each(add, [v.zero, v.zero])):
                total = line.folded(total, builder.fadd)
                v.store(total, builder.gep(kept, [constant(place * v.lanes)]))
            return context.get_dummy_value()

        signature = (g, x, integer, integer, integer, integer, centers, integer, kept)
        return types.void(*signature), emit

    return run
