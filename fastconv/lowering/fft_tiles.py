"""How a convolution by transforms is cut: tiles of output positions, and blocks of channels.

A tile's transform covers the input under it, at least `extent - 1` elements more than the outputs
that come out right; larger tiles waste fewer of them but take more memory.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cache, cached_property

from fastconv.geometry import Axis, ConvGeometry

TRANSFORM_NS = 0.35
"""Time of a transform, there and back alike, by element and binary logarithm of their number."""
PRODUCT_NS = 1.8
"""Time of multiplying two complex numbers and adding the product, out of the cache."""
STEP_NS = 9000.0
"""Time of a call of a transform, whatever it transforms."""
MULTIPLY_NS = 1000.0
"""Time of a call of a multiplication and an addition."""
COMPLEX_BYTES = 16
MOST_BLOCK = 2**22
"""Bytes of transformed weights that are multiplied at a time."""
MOST_LENGTHS = {1: 12, 2: 8, 3: 5}
"""Lengths of a transform that are tried along an axis, by their number."""
LARGEST_FACTOR = 7


@dataclass(frozen=True)
class Tiles:
    """One way to cut a convolution.

    Attributes
    ----------
    axes : tuple of Axis
        Those of the convolution.
    lengths : tuple of int
        Elements of a transform along each axis.
    groups, outputs, inputs : int
        Groups at a time, and of each group output channels at a time, and all input channels.
    parts : int
        Real numbers of an element: 1, or 2 where numbers are complex.
    """

    axes: tuple[Axis, ...]
    lengths: tuple[int, ...]
    groups: int
    outputs: int
    inputs: int
    parts: int

    @cached_property
    def out(self) -> tuple[int, ...]:
        """Output positions of a tile along each axis."""
        return tuple(
            min(axis.out, (length - axis.extent) // axis.stride + 1)
            for axis, length in zip(self.axes, self.lengths, strict=True)
        )

    @cached_property
    def count(self) -> int:
        """Tiles of a sample."""
        return math.prod(-(-a.out // out) for a, out in zip(self.axes, self.out, strict=True))

    @cached_property
    def elements(self) -> int:
        """Elements of one transform."""
        return math.prod(self.lengths)

    @cached_property
    def spectrum(self) -> tuple[int, ...]:
        """Shape of the complex numbers that come out of it: of real numbers half as many."""
        *outer, last = self.lengths
        return (*outer, last if self.parts == 2 else last // 2 + 1)

    @cached_property
    def frequencies(self) -> int:
        """Complex numbers that come out of it."""
        return math.prod(self.spectrum)

    @property
    def weight_bytes(self) -> int:
        """Bytes of the transformed weights of a block, and of one group on its way there."""
        each = self.outputs * self.inputs
        return COMPLEX_BYTES * self.frequencies * (self.groups + 3) * each

    @property
    def tile_bytes(self) -> int:
        """Bytes that one tile takes: inputs and their transforms, products, sums, and outputs."""
        inputs, outputs = self.groups * self.inputs, self.groups * self.outputs
        return COMPLEX_BYTES * self.frequencies * (3 * inputs + 5 * outputs)


def tile_position(tiles: Tiles, index: int) -> tuple[tuple[int, int], ...]:
    """Return the output positions [start, stop) of a tile along each axis."""
    ranges: list[tuple[int, int]] = []
    for axis, out in zip(reversed(tiles.axes), reversed(tiles.out), strict=True):
        index, place = divmod(index, -(-axis.out // out))
        ranges.insert(0, (place * out, min(axis.out, (place + 1) * out)))
    return tuple(ranges)


def choose(geometry: ConvGeometry, parts: int, limit: int) -> Tiles:
    """Return the tiles that take the least time within a limit of memory, or the smallest."""
    most = MOST_LENGTHS.get(geometry.rank, 3)
    by_axis = [_lengths(axis, most) for axis in geometry.axes]

    def rank(tiles: Tiles) -> tuple[bool, float]:
        needed = tiles.weight_bytes + tiles.tile_bytes
        return needed > limit, needed if needed > limit else seconds(geometry, tiles)

    choices = (_blocked(geometry, lengths, parts, limit) for lengths in itertools.product(*by_axis))
    return min(choices, key=rank)


def seconds(geometry: ConvGeometry, tiles: Tiles) -> float:
    """Estimate the time of a convolution by one thread."""
    groups, m, ic = geometry.groups, geometry.m, geometry.channels // geometry.groups
    blocks = -(-groups // tiles.groups) * -(-m // tiles.outputs)
    each = tiles.elements * math.log2(max(2, tiles.elements)) * tiles.parts * TRANSFORM_NS
    weights = groups * m * ic * each + groups * -(-m // tiles.outputs) * STEP_NS
    there = blocks * (tiles.groups * ic * each + STEP_NS)
    back = groups * m * each + blocks * STEP_NS
    products = groups * m * ic * tiles.frequencies * PRODUCT_NS + blocks * ic * MULTIPLY_NS
    return (weights + geometry.batch * tiles.count * (there + back + products)) * 1e-9


def _blocked(geometry: ConvGeometry, lengths: tuple[int, ...], parts: int, limit: int) -> Tiles:
    """Return tiles with the largest blocks that fit the limit, and the cache."""
    groups, m, ic = geometry.groups, geometry.m, geometry.channels // geometry.groups
    one = Tiles(geometry.axes, lengths, 1, 1, ic, parts)
    each = COMPLEX_BYTES * one.frequencies
    room = min(limit // 2, MOST_BLOCK)
    outputs = max(1, min(m, (room - each * 3 * ic) // (each * (4 * ic + 5))))
    if outputs < m:
        return Tiles(geometry.axes, lengths, 1, outputs, ic, parts)
    spare = room - 3 * each * m * ic
    at_once = max(1, min(groups, spare // (each * (m * ic + 3 * ic + 5 * m))))
    return Tiles(geometry.axes, lengths, at_once, m, ic, parts)


@cache
def fast_length(least: int) -> int:
    """Return the least length, at least so long, that is transformed fast: of small factors."""
    best = 1 << (least - 1).bit_length()
    factors = range(3, LARGEST_FACTOR + 1, 2)
    lengths = {1}
    for factor in factors:
        for length in list(lengths):
            while length < best:
                lengths.add(length)
                length *= factor
    for length in lengths:
        rest = -(-least // length)
        best = min(best, length << (rest - 1).bit_length())
    return best


def _lengths(axis: Axis, most: int) -> list[int]:
    """Return lengths to try: for one tile of all positions, and for ever more tiles."""
    whole = (axis.out - 1) * axis.stride + axis.extent
    lengths: list[int] = []
    pieces = 1
    while len(lengths) < most:
        out = -(-axis.out // pieces)
        length = fast_length((out - 1) * axis.stride + axis.extent)
        if length not in lengths:
            lengths.append(length)
        if out == 1 or length <= 2 * axis.extent or length > 2 * whole:
            break
        pieces = pieces + 1 if pieces < 4 else 2 * pieces
    return lengths
