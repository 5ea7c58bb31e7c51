"""Gradients of the input of depthwise convolutions of stride 2: both elements of a stride at once.

    gx[i] = bias + sum over taps t and positions o with 2 * o + t - before = i of w[t] * gy[o]

Elements `2 * e` and `2 * e + 1` of an axis, a *pair*, are sums over every second tap each, at
positions near `e`. A tile is a few pairs of rows of one plane. Its sums are vectors of the even
columns of pairs and of the odd ones, which are put beside each other on their way to memory: the
result is written once, in whole vectors, and there are no zeros to multiply.

Contract. Every sum starts from the bias, stays in registers and takes its terms in the order of the
positions, so results do not depend on the tile. Positions that do not exist are masked along a row,
and read from a row of zeros down the columns. Distances are in elements.
"""

import functools
from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numba import types

from fastconv.kernels.depthwise_tile import Walk
from fastconv.kernels.jit import intrinsic
from fastconv.kernels.parts import shared
from fastconv.kernels.target import host
from fastconv.kernels.vector import INT32, constant, data_pointer

HEADER = (
    "channels",
    "height",
    "width",
    "out_height",
    "out_width",
    "before_height",
    "before_width",
)
"""The first integers of a table, in order: all of it. Heights and widths are those of gx and gy."""

Terms = tuple[tuple[tuple[int, int], ...], ...]
"""Of the even and of the odd elements: (position after `e + before // 2`, tap) of each term."""


@dataclass(frozen=True)
class Pairs:
    """A tile of `rows` pairs of rows; `odd` says whether the padding before each axis is odd."""

    dtype: np.dtype
    lanes: int
    rows: int
    kernel: tuple[int, int]
    odd: tuple[bool, bool]
    activation: int = 0

    vectors = 1

    @property
    def terms(self) -> tuple[Terms, Terms]:
        """The terms down the columns and along the rows."""
        down, along = (_terms(*axis) for axis in zip(self.kernel, self.odd, strict=True))
        return down, along


def _terms(kernel: int, odd: bool) -> Terms:
    """Return the terms of an axis, positions in their order."""
    found = []
    for element in (odd, odd + 1):
        taps = range(element % 2, kernel, 2)
        found.append(tuple(sorted((element // 2 - tap // 2, tap) for tap in taps)))
    return tuple(found)


def _reach(terms: Terms) -> range:
    """Return all positions that terms read."""
    places = [place for of in terms for place, _ in of]
    return range(min(places), max(places) + 1)


@functools.cache
def pair_loops(tile: Pairs):
    """Return the compiled loops over bands of `rows` pairs of rows, the last ones maybe twice.

    Their arguments: gy, a row of zeros, w, bias, gx, all flat; the table; the bands [first, last).
    """
    run_tile, rows, taps = make_pairs(tile), tile.rows, tile.kernel[0] * tile.kernel[1]

    def bands(gy, zeros, w, bias, gx, table, first_band, last_band):
        channels, height, width, out_height, out_width, top, left = table
        pairs = (height + 1) // 2
        per_plane = (pairs + rows - 1) // rows
        plane, band = first_band // per_plane, first_band % per_plane
        channel = plane % channels
        for _ in range(first_band, last_band):
            pair = min(band * rows, pairs - rows)
            run_tile(
                *(gy, plane * out_height * out_width, out_height, out_width),
                *(pair + top // 2, left // 2, zeros),
                *(w, channel * taps, bias, channel),
                *(gx, (plane * height + 2 * pair) * width, width, height - 2 * pair),
            )
            band += 1
            if band == per_plane:
                band, plane, channel = 0, plane + 1, channel + 1
            if channel == channels:
                channel = 0

    kind = "x".join(map(str, tile.kernel)) + "-" + "".join(str(int(odd)) for odd in tile.odd)
    return shared(bands, f"{host().name}-{tile.dtype.name}-{rows}-{kind}-{tile.activation}")


def make_pairs(tile: Pairs):
    """Return an intrinsic that computes all columns of `rows` pairs of rows.

    Its arguments: gy, the place of its plane, height and width; the row and the column of it that
    the first pairs of rows and of columns count their positions from; `width` zeros; w and the
    place of its first tap; bias and its place; gx and the place of row 0; its width, and how many
    rows it has from there on.
    """

    @intrinsic
    def run(
        typing, gy, gy0, height, out, row, column, zeros, w, w0, bias, b0, gx, gx0, width, left
    ):
        n = types.intp
        signature = types.void(gy, *(n,) * 5, zeros, w, n, bias, n, gx, n, n, n)

        def emit(context, builder, signature, arguments):
            def pointer(index, place):
                kind = signature.args[index]
                return data_pointer(context, builder, kind, arguments[index], place)

            gy, w, bias, gx = (pointer(index, arguments[index + 1]) for index in (0, 7, 9, 11))
            place = (gy, *arguments[2:6], pointer(6, constant(0)))
            _Pairs(tile, builder, (w, bias, gx, *arguments[13:]), place).run()
            return context.get_dummy_value()

        return signature, emit

    return run


class _Pairs(Walk):
    """Writes the code of one tile; its columns are pairs, and `row` the rows that exist."""

    def __init__(self, tile, builder, output, place):
        w, bias, gx, self.width, left = output
        pairs = builder.lshr(builder.add(self.width, constant(1)), constant(1))
        super().__init__(tile, builder, (w, bias, gx, pairs, left))
        self.gy, self.height, self.out, self.first_row, self.first_column, self.zeros = place
        self.down, self.along = tile.terms

    def prepare(self):
        """Load the weights, and find the lines under the tile."""
        builder, tile = self.builder, self.tile
        taps = tile.kernel[0] * tile.kernel[1]
        self.weights = [self.weight(constant(tap)) for tap in range(taps)]
        reach, self.lines = _reach(self.down), {}
        for line in range(reach.start, reach.stop + tile.rows - 1):
            row = builder.add(self.first_row, constant(line))
            exists = builder.icmp_unsigned("<", row, self.height)
            pointer = builder.gep(self.gy, [builder.mul(row, self.out)])
            self.lines[line] = builder.select(exists, pointer, self.zeros)

    def sums(self, column, start):
        """Add line after line; masks only where a vector reaches beyond the row."""
        builder, tile, reach = self.builder, self.tile, _reach(self.along)
        first = builder.add(column, self.first_column)
        low = builder.add(first, constant(reach.start))
        high = builder.add(first, constant(reach.stop - 1 + tile.lanes))
        inside = builder.and_(
            builder.icmp_signed(">=", low, constant(0)), builder.icmp_signed("<=", high, self.out)
        )
        return self.either(inside, lambda whole: self._lines(first, start[0], whole))

    def _lines(self, first, bias, whole):
        """Return the sums of every pair of rows: its even row, then its odd one; so of columns."""
        tile, builder = self.tile, self.builder
        starts = {at: builder.add(first, constant(at)) for at in _reach(self.along)}
        masks = {
            at: None if whole else self.parts.inside(start, self.out)
            for at, start in starts.items()
        }
        sums = [bias] * (4 * tile.rows)
        for line, pointer in self.lines.items():
            values = {
                at: self.parts.read(builder.gep(pointer, [start]), masks[at])
                for at, start in starts.items()
            }
            for row in range(2 * tile.rows):
                for place, tap in self.down[row % 2]:
                    if place + row // 2 == line:
                        self._add(sums, 2 * row, values, tap)
        return sums

    def _add(self, sums, place, values, tap):
        """Add a line to the even and to the odd columns of a row."""
        for column in (0, 1):
            for at, along in self.along[column]:
                weight = self.weights[tap * self.tile.kernel[1] + along]
                sums[place + column] = self.parts.multiply_add(
                    weight, values[at], sums[place + column]
                )

    def store(self, column, sums):
        """Put even and odd columns beside each other, and write those that exist."""
        builder, lanes, rows = self.builder, self.tile.lanes, 2 * self.tile.rows
        sums, start = self.activated(sums), builder.mul(column, constant(2))
        left = builder.sub(self.width, start)
        rows_whole = builder.icmp_signed(">=", self.row, constant(rows))
        whole = builder.and_(rows_whole, builder.icmp_signed(">=", left, constant(2 * lanes)))
        halves = [range(half * lanes // 2, (half + 1) * lanes // 2) for half in range(2)]
        orders = [[lane + side * lanes for lane in half for side in (0, 1)] for half in halves]

        def write(whole):
            for half, order in enumerate(orders):
                mask = None if whole else self.parts.inside(constant(half * lanes), left)
                for row in range(rows):
                    kept = mask
                    if not whole:
                        exists = builder.icmp_signed("<", constant(row), self.row)
                        kept = builder.select(exists, mask, ir.Constant(mask.type, None))
                    both = sums[2 * row : 2 * row + 2]
                    kind = ir.VectorType(INT32, lanes)
                    value = builder.shuffle_vector(*both, ir.Constant(kind, order))
                    place = builder.add(start, builder.mul(self.width, constant(row)))
                    pointer = builder.gep(self.y, [builder.add(place, constant(half * lanes))])
                    self.parts.write(value, pointer, kept)
            return ()

        self.either(whole, write)
