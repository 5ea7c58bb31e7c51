"""The window view as integers: what a tile of output positions reads for each tap, and writes.

Positions are flat in the *image*: the input's last axes, or a copy of them split into its `stride`
phases. A row of the image is at least as long as the output's, so one tap is the same shift at
every position: output `o` of an axis reads `o * stride + t * dilation - before`, which is place
`o + shift` of phase `phase`. Where the image's rows are longer than the output's, some flat
positions are no output; they are masked like padding.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from fastconv.dtypes import Array
from fastconv.geometry import Axis

LONGEST_SUM = 256
"""Terms after which a sum is put aside: rounding errors grow with the length of a sum."""
TILE_WORDS = 6
"""Words of a tile: vectors, position, place in y, first segment, end of segments, store lists."""


@dataclass(frozen=True)
class Image:
    """How the axes lie in memory: the input itself, or its phases side by side."""

    axes: tuple[Axis, ...]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Elements of one phase along each axis."""
        inner = tuple(max(-(-axis.size // axis.stride), axis.out) for axis in self.axes[1:])
        return (-(-self.axes[0].size // self.axes[0].stride), *inner)

    @property
    def row(self) -> int:
        """Positions of a row: its elements, or, where there is but one row, all its outputs."""
        return self.sizes[-1] if len(self.sizes) > 1 else max(self.sizes[-1], self.axes[-1].out)

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of positions along each axis but the last, up to the last output."""
        outer = self.axes[:-1]
        return (outer[0].out, *self.sizes[1:-1]) if outer else ()

    @cached_property
    def phases(self) -> tuple[tuple[int, ...], ...]:
        """The phases along each axis that any tap reads, each the first element it holds."""
        return tuple(
            tuple(sorted({_steps(axis, tap)[1] for tap in range(axis.kernel)}))
            for axis in self.axes
        )

    @property
    def taps(self) -> int:
        """Taps of the kernel."""
        return math.prod(axis.kernel for axis in self.axes)

    @cached_property
    def phase_elements(self) -> int:
        """Elements of one phase."""
        return math.prod(self.sizes)

    @cached_property
    def elements(self) -> int:
        """Elements of one channel."""
        return self.phase_elements * math.prod(map(len, self.phases))

    @cached_property
    def is_input(self) -> bool:
        """Whether the input can be read in place."""
        return all(
            axis.stride == 1 and axis.size == size
            for axis, size in zip(self.axes, self.sizes, strict=True)
        )

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Distances between neighbours along each axis."""
        return tuple(math.prod(self.sizes[index + 1 :]) for index in range(len(self.sizes)))

    def shift(self, taps: tuple[int, ...]) -> int:
        """Return the distance from a position to what a tap reads."""
        place, phase = 0, 0
        for axis, tap, stride, phases in zip(
            self.axes, taps, self.strides, self.phases, strict=True
        ):
            steps, remainder = _steps(axis, tap)
            place += steps * stride
            phase = phase * len(phases) + phases.index(remainder)
        return phase * self.phase_elements + place


def _steps(axis: Axis, tap: int) -> tuple[int, int]:
    """Return how many places, and in which phase, a tap lies from its output position."""
    return divmod(tap * axis.dilation - axis.before, axis.stride)


@dataclass(frozen=True)
class Target:
    """Where results go: each position to `step` elements of a row, beside those of the next.

    Parameters
    ----------
    size : int
        Elements of a row.
    step : int
        Elements of a position.
    first : int
        The first element of the first position; it may lie before the row.
    rows : tuple of int
        Where the row of each row of positions begins; nothing if they follow each other.
    """

    size: int
    step: int = 1
    first: int = 0
    rows: tuple[int, ...] = ()

    def places(self, rows: Array) -> Array:
        """Return where some rows begin; those that do not exist anywhere."""
        if not self.rows:
            return rows * self.size
        return np.array(self.rows)[np.minimum(rows, len(self.rows) - 1)]


class _Rows:
    """The rows of the image: which outer taps they read input for, and where they lie in y."""

    def __init__(self, image: Image) -> None:
        outer, sizes = image.axes[:-1], image.rows
        places = np.indices(sizes).reshape(len(outer), -1) if outer else np.zeros((0, 1), int)
        self.is_output = np.ones(places.shape[1], bool)
        self.output = np.zeros(places.shape[1], int)
        for axis, place in zip(outer, places, strict=True):
            self.is_output &= place < axis.out
            self.output = self.output * axis.out + place
        self.taps = list(itertools.product(*(range(axis.kernel) for axis in outer)))
        valid = np.zeros((places.shape[1], len(self.taps)), bool)
        for column, taps in enumerate(self.taps):
            valid[:, column] = self.is_output
            for axis, tap, place in zip(outer, taps, places, strict=True):
                low, high = axis.inside(tap)
                valid[:, column] &= (low <= place) & (place < high)
        self.kinds, self.kind = np.unique(
            np.column_stack([self.is_output, valid]), axis=0, return_inverse=True
        )

    @property
    def count(self) -> int:
        """Number of rows up to the last output."""
        return int(np.flatnonzero(self.is_output)[-1]) + 1


def tile_table(
    image: Image,
    channels: int,
    block: int,
    lanes: int,
    widths: tuple[int, ...],
    start: int,
    target: Target | None = None,
) -> Array:
    """Return the words of all tiles and of the lists they point to.

    Parameters
    ----------
    image : Image
        The image that is read.
    channels, block : int
        Channels of a group, and how many of them a segment has.
    lanes : int
        Positions of a vector.
    widths : tuple of int
        Vectors that a tile can have, widest first, ending in 1.
    start : int
        Where the words will stand in the whole table; their pointers count from its beginning.
    target : Target, optional
        Where the results go; by default one after the other.

    Returns
    -------
    numpy.ndarray
        int64; first `TILE_WORDS` for every tile, then the lists.
    """
    rows, length = _Rows(image), image.row
    target = Target(image.axes[-1].out) if target is None else target
    last = (rows.count - 1) * length + image.axes[-1].out
    tiles = list(_cut(last, lanes, widths))
    words: list[int] = []
    lists: list[int] = []
    base = start + len(tiles) * TILE_WORDS
    known: dict[tuple[object, ...], tuple[int, int, int]] = {}
    for position, vectors in tiles:
        first_row, column = divmod(position, length)
        spanned = slice(first_row, (position + vectors * lanes - 1) // length + 1)
        kinds, outputs = rows.kind[spanned], target.places(rows.output[spanned])
        place = int(outputs[0])
        key = (column, vectors, kinds.tobytes(), (outputs - place).tobytes())
        if key not in known:
            count = vectors * lanes
            masks = _Masks(image, rows, target, column, kinds, outputs - place, count)
            first = base + len(lists)
            lists += masks.segments(channels, block, lanes)
            end = base + len(lists)
            lists += masks.stores(lanes)
            known[key] = (first, end, end)
        words += [vectors, position, place, *known[key]]
    return np.array(words + lists, np.int64)


def _cut(positions: int, lanes: int, widths: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Yield (first position, vectors) of tiles that cover the positions."""
    position = 0
    for width in cheapest_widths(-(-positions // lanes), widths):
        yield position, width
        position += width * lanes


def cheapest_widths(vectors: int, widths: tuple[int, ...]) -> tuple[int, ...]:
    """Return the widths of tiles that have a number of vectors in the least time."""
    whole = max(0, (vectors - 1) // widths[0] - 1)
    return (widths[0],) * whole + _cheapest(vectors - whole * widths[0], widths)[1]


@lru_cache(maxsize=256)
def _cheapest(vectors: int, widths: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
    """Return the cost of a number of vectors and the widths of tiles that have it.

    A tile of one vector has too few sums to keep the multipliers busy: it takes as long as two.
    """
    if not vectors:
        return 0.0, ()
    options = []
    for width in widths:
        if width <= vectors:
            cost, rest = _cheapest(vectors - width, widths)
            options.append((cost + max(width, 1.9) + 0.1, (width, *rest)))
    return min(options)


class _Masks:
    """What the positions of one tile read and write, relative to its place."""

    def __init__(
        self,
        image: Image,
        rows: _Rows,
        target: Target,
        column: int,
        kinds: Array,
        outputs: Array,
        count: int,
    ) -> None:
        self._image, self._rows = image, rows
        row, self._columns = np.divmod(np.arange(count) + column, image.row)
        beyond = row >= len(kinds)  # the last tile may reach beyond the last row
        row = np.minimum(row, len(kinds) - 1)
        kind = rows.kinds[kinds[row]]
        self._outer = kind[:, 1:] & ~beyond[:, None]
        inside = self._columns < image.axes[-1].out
        self._written = kind[:, 0].astype(bool) & inside & ~beyond
        elements = self._columns[:, np.newaxis] * target.step + np.arange(target.step)
        elements += target.first
        exists = (elements >= 0) & (elements < target.size) & self._written[:, np.newaxis]
        self._stored = exists.reshape(-1)
        self._places = (outputs[row][:, np.newaxis] + elements).reshape(-1)

    def segments(self, channels: int, block: int, lanes: int) -> list[int]:
        """List the segments of every block of channels and tap that reads any input.

        Each is (place in the packed weights, shift, channels, whether to flush, masks).
        """
        taps = list(self._taps(lanes))
        words: list[int] = []
        terms = 0
        for first in range(0, channels, block):
            count = min(block, channels - first)
            for number, shift, masks in taps:
                place = first * self._image.taps + number * count
                terms += count
                flush = terms >= LONGEST_SUM
                terms = 0 if flush else terms
                words += [place, first * self._image.elements + shift, count, int(flush), *masks]
        return words

    def _taps(self, lanes: int) -> Iterator[tuple[int, int, list[int]]]:
        """Yield (number, shift, masks) of every tap that reads any input."""
        last, number = self._image.axes[-1], 0
        for outer, taps in enumerate(self._rows.taps):
            for tap in range(last.kernel):
                low, high = last.inside(tap)
                mask = self._outer[:, outer] & self._written
                mask = mask & (low <= self._columns) & (self._columns < high)
                if mask.any():
                    yield number, self._image.shift((*taps, tap)), _bits(mask, lanes)
                number += 1

    def stores(self, lanes: int) -> list[int]:
        """List for each vector of elements the number of its stores, and mask and shift of each."""
        words: list[int] = []
        for start in range(0, len(self._places), lanes):
            shifts = self._places[start : start + lanes] - np.arange(lanes)
            written = self._stored[start : start + lanes]
            different = np.unique(shifts[written])
            words.append(len(different))
            for shift in different:
                words += [*_bits(written & (shifts == shift), lanes), int(shift)]
        return words


def _bits(mask: Array, lanes: int) -> list[int]:
    """Return an integer for each vector of lanes, the first lane in the lowest bit."""
    weights = 1 << np.arange(lanes, dtype=np.int64)
    return [int(bits) for bits in mask.reshape(-1, lanes) @ weights]
