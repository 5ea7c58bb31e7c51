"""Gradients of averages over windows that lie side by side: each share fills its window.

Nothing is cleared or added up: every element is written once. Rows of windows of all planes follow
each other as rows of outputs do, so what a thread computes is a range of them.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numba import types
from numba.core import cgutils

from fastconv.kernels.jit import intrinsic
from fastconv.kernels.parts import shared
from fastconv.kernels.reduction import Reducer, Reduction
from fastconv.kernels.rows import shuffled
from fastconv.kernels.target import host
from fastconv.kernels.vector import constant, data_pointer


@dataclass(frozen=True)
class Tiles:
    """Windows of `rows` by `taps`; the reduction says how a share is divided."""

    reduction: Reduction
    rows: int
    taps: int


@functools.cache
def tiles_loops(dtype: np.dtype, reciprocal: bool, rows: int, taps: int):
    """Return the compiled loops over rows of windows.

    Their arguments: the gradients of the averages and of the input, flat; an array of what all
    shares are divided by; the windows of a row; the rows [first, last).
    """
    reduction = Reduction("mean", dtype, host().lanes(dtype), reciprocal=reciprocal)
    variant = "-".join((host().name, reduction.variant, str(rows), str(taps)))
    fill = make_fill(Tiles(reduction, rows, taps))

    def fill_rows(gy, gx, divisors, count, first, last):
        size = rows * taps * count
        fill(gy, first * count, gx, first * size, divisors[0], count, last - first)

    return shared(fill_rows, variant)


def make_fill(tiles: Tiles):
    """Return an intrinsic that fills rows of windows.

    Its arguments: the shares and the place of the first; the result and the place of its first; the
    divisor; the windows of a row; the rows of windows.
    """

    @intrinsic
    def run(typing, gy, g0, gx, x0, divisor, count, rows):
        n = types.intp
        signature = types.void(gy, n, gx, n, divisor, n, n)

        def emit(context, builder, signature, arguments):
            source, target = (
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[i + 1])
                for i in (0, 2)
            )
            reducer = Reducer(builder, tiles.reduction)
            divisor, count, rows = arguments[4:]
            row = builder.mul(count, constant(tiles.taps))
            fill = _Fill(tiles, reducer, reducer.broadcast(divisor), row)
            with cgutils.for_range(builder, rows) as loop:
                place = builder.mul(loop.index, builder.mul(row, constant(tiles.rows)))
                fill.row(
                    builder.gep(source, [builder.mul(loop.index, count)]),
                    builder.gep(target, [place]),
                    count,
                )
            return context.get_dummy_value()

        return signature, emit

    return run


class _Fill:
    """Writes the code of a row of windows, `width` elements long."""

    def __init__(self, tiles, reducer, divisor, width):
        self.tiles, self.reducer, self.builder = tiles, reducer, reducer.builder
        self.divisor, self.width = divisor, width

    def row(self, source, target, count):
        """Fill `count` windows, a vector of them at a time."""
        builder, lanes = self.builder, self.reducer.lanes
        blocks = builder.sdiv(count, constant(lanes))
        with cgutils.for_range(builder, blocks) as loop:
            index = builder.mul(loop.index, constant(lanes))
            self._block(source, target, index, None)
        index = builder.mul(blocks, constant(lanes))
        left = builder.sub(count, index)
        with builder.if_then(builder.icmp_signed("<", constant(0), left)):
            self._block(source, target, index, left)

    def _block(self, source, target, index, left):
        """Fill the windows of a vector, or of as much of one as is left."""
        builder, reducer, tiles = self.builder, self.reducer, self.tiles
        lanes, taps = reducer.lanes, tiles.taps
        mask = None if left is None else reducer.first(left)
        share = reducer.read(builder.gep(source, [index]), mask)
        share = reducer.finish(share, self.divisor)
        start = builder.mul(index, constant(taps))
        for number in range(taps):
            order = [(number * lanes + lane) // taps for lane in range(lanes)]
            value = shuffled(reducer, share, order)
            place = builder.add(start, constant(number * lanes))
            if left is not None:
                there = builder.mul(left, constant(taps))
                mask = reducer.first(builder.sub(there, constant(number * lanes)))
            for row in range(tiles.rows):
                at = builder.add(place, builder.mul(self.width, constant(row)))
                reducer.write(value, builder.gep(target, [at]), mask)
