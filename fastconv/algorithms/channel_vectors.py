"""Convolution by generated machine code whose vectors are filled with output channels.

`implicit_gemm` fills its vectors with positions, of which a plane of 7x7 or 10x10 leaves a third
unused. Here a tile is a few positions by vectors of output channels (`kernels.channel_tile`), for
any stride and dilation; only an input with padding is copied, with its padding. Which of the two is
taken is a comparison of the vectors they multiply.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from fastconv import memory
from fastconv.activations import code_of
from fastconv.algorithms.algorithm import Inputs, Outputs, Packed
from fastconv.algorithms.implicit_gemm import (
    CHUNK_BYTES,
    ITEMS_PER_THREAD,
    MOST_AXES,
    issued_vectors,
    most_threads,
    threads_now,
)
from fastconv.algorithms.numba_here import refusal
from fastconv.dtypes import Array, ready
from fastconv.geometry import ConvGeometry
from fastconv.kernels.pool import share
from fastconv.lowering.taps import LONGEST_SUM, cheapest_widths
from fastconv.lowering.weights import terms_of
from fastconv.problem import Problem

MOST_POSITIONS = 2**16
"""Positions of a plane beyond which the table of their places would be too large."""
FEWEST_TERMS = 24
"""Terms of a sum below which turning a tile around to store it costs as much as the sum."""
GAIN = 1.0
"""Share of the other way's time below which this one is taken."""
LEAST_COST = 3.5
"""What a tile of one row costs at least: what it loads is used but once."""
PHASES_COST = 1.08
"""What the other way's copy of the phases of a stride costs, where this one copies nothing."""
WAY_BYTES, WAYS = 2**16, 16
CROWDED_COST = 1.15
"""What it costs to read more than `WAYS` planes that lie a multiple of `WAY_BYTES` apart in place:
all want the same lines of the second cache. A copy with padding lies better."""
TAIL = 64
"""Elements after the bias that a vector may load."""


class ChannelVectors:
    """Tiles of positions by output channels, over planes of few positions."""

    name = "channel_vectors"
    exact = True
    uses_blas = False
    compiled = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept convolutions forward whose positions would leave vectors unused."""
        reason = refusal(problem, MOST_AXES)
        if reason is not None:
            return reason
        geometry = problem.conv
        if geometry.positions > MOST_POSITIONS:
            return f"{geometry.positions} positions fill vectors well"
        if geometry.k < FEWEST_TERMS:
            return f"{geometry.k} terms of a sum are too few to turn a tile around"
        if _least_packed(problem) > CHUNK_BYTES:
            return "weights that have to be packed at once are too large"
        ours, theirs = issued_columns(problem), _theirs(problem)
        if ours >= GAIN * theirs:
            return f"vectors of positions take {theirs / ours:.2f} of the time"
        return None

    def fuses_activation(self, problem: Problem) -> bool:
        """Return True: tiles end in it, or what they have written is finished in the cache."""
        return True

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count the weights of a chunk, and the padded input of one sample or more."""
        engine, geometry = _engine(problem), problem.conv
        samples = engine.samples(limit) if geometry.padded else 0
        return (engine.chunk_elements + samples * engine.sample) * problem.dtype.itemsize

    def pack(self, problem: Problem, weight: Array, bias: Array | None) -> Packed:
        """Return weight and bias as the tiles read them, to be used by any number of runs."""
        engine, geometry = _engine(problem), problem.conv
        panels = np.empty(geometry.groups * engine.group_size, problem.dtype)
        engine.pack(weight, panels, engine.part(), 1)
        key = (self.name, problem.dtype, engine.widths)
        return Packed(weight, panels, _packed_bias(problem, bias), key)

    def bind(
        self, problem: Problem, weight: Packed, limit: int, threads: int
    ) -> Callable[[Array, Array], None]:
        """Return `solve(x, y)` with all settled that does not depend on the data."""
        engine, geometry = _engine(problem), problem.conv
        if geometry.padded or not geometry.batch:
            return lambda x, y: self.run(problem, (x, weight, None), (y,), limit, threads)
        threads = most_threads(problem, threads)
        items, shares = engine.cut(geometry.batch, engine.part(), threads)
        loops, table = engine.loops, engine.table

        def solve(x: Array, y: Array) -> None:
            arrays = (ready(x).reshape(-1), weight.panels, weight.bias, y.reshape(-1))
            share(loops, (*arrays, table, shares), items, threads_now(problem, threads))

        return solve

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Walk chunks of samples."""
        engine, geometry = _engine(problem), problem.conv
        x, w, b = inputs
        (y,) = outputs
        if not geometry.batch:
            return
        threads = threads_now(problem, threads)
        bias = w.bias if isinstance(w, Packed) else _packed_bias(problem, b)
        samples = engine.samples(limit) if geometry.padded else geometry.batch
        flat_y = y.reshape(-1)
        per_sample = geometry.out_channels * geometry.positions
        read = engine.reader(samples, x.dtype, threads)
        for start in range(0, geometry.batch, samples):
            count = min(samples, geometry.batch - start)
            target = flat_y[start * per_sample : (start + count) * per_sample]
            image = read(ready(x[start : start + count]))
            for part, panels in engine.weights(w, threads):
                items, shares = engine.cut(count, part, threads)
                arrays = (image, panels, bias, target, engine.table, shares)
                share(engine.loops, arrays, items, threads)


Part = tuple[int, int, int]
"""How many panels, the place of the first in the table, and what is added to places of weights."""


@dataclass(frozen=True)
class _Engine:
    """What depends on the problem only."""

    geometry: ConvGeometry
    rows: int
    widths: tuple[int, ...]
    lanes: int
    table: Array
    loops: Any
    pack_columns: Any
    split_phases: Any
    itemsize: int

    @cached_property
    def group_size(self) -> int:
        """Elements of the packed weights of a group."""
        return sum(self.widths) * self.lanes * self.geometry.k

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Spatial sizes of the input, with its padding if it has any."""
        return _padded_sizes(self.geometry)

    @cached_property
    def sample(self) -> int:
        """Elements of a sample, with its padding."""
        return self.geometry.channels * math.prod(self.sizes)

    def samples(self, limit: int) -> int:
        """Return how many samples are copied at a time."""
        room = limit - self.chunk_elements * self.itemsize
        return max(1, min(self.geometry.batch, room // (self.sample * self.itemsize)))

    @cached_property
    def chunk(self) -> int:
        """Panels that are packed at a time: of all groups, if there are several."""
        if self.geometry.groups > 1:
            return len(self.widths)
        widest = max(self.widths) * self.lanes * self.geometry.k * self.itemsize
        return max(1, min(len(self.widths), CHUNK_BYTES // widest))

    @cached_property
    def chunk_elements(self) -> int:
        """Elements of the largest chunk of packed weights."""
        starts = range(0, len(self.widths), self.chunk)
        vectors = max(sum(self.widths[start : start + self.chunk]) for start in starts)
        return self.geometry.groups * vectors * self.lanes * self.geometry.k

    def weights(self, w: Array | Packed, threads: int) -> Iterator[tuple[Part, Array]]:
        """Yield parts of the panels, and their packed weights."""
        if isinstance(w, Packed):
            yield self.part(), w.panels
            return
        buffer = memory.empty((self.chunk_elements,), w.dtype)
        for first in range(0, len(self.widths), self.chunk):
            part = self.part(first, self.chunk)
            self.pack(w, buffer, part, threads)
            yield part, buffer

    def part(self, first: int = 0, most: int | None = None) -> Part:
        """Return some panels, whose weights alone are packed, or all."""
        from fastconv.kernels.channels import HEADER_WORDS, PANEL_WORDS

        rest = len(self.widths) - first
        before = sum(self.widths[:first]) * self.lanes * self.geometry.k
        count = rest if most is None else min(most, rest)
        return count, HEADER_WORDS + first * PANEL_WORDS, -before

    def pack(self, w: Array, packed: Array, part: Part, threads: int) -> None:
        """Pack some panels."""
        terms = terms_of(w, self.geometry.groups, self.geometry.rank)
        units = terms.places(np.arange(self.geometry.k, dtype=np.int64))
        arrays = (terms.flat, packed, units, terms.steps, self.table, (*part, 0))
        share(self.pack_columns, arrays, self.geometry.groups * part[0], threads)

    def cut(self, samples: int, part: Part, threads: int) -> tuple[int, tuple[int, ...]]:
        """Return the number of items that threads can share, and how the loops find them."""
        outer, tiles = samples * self.geometry.groups * part[0], self.tiles
        run = tiles if threads == 1 else -(-tiles // -(-ITEMS_PER_THREAD * threads // outer))
        return outer * -(-tiles // run), (*part, run)

    @property
    def tiles(self) -> int:
        """Tiles of positions."""
        return -(-self.geometry.positions // self.rows)

    def reader(self, samples: int, dtype: np.dtype[Any], threads: int) -> Callable[[Array], Array]:
        """Return what makes the flat input of up to so many samples: itself, or a padded copy."""
        if not self.geometry.padded:
            return lambda x: x.reshape(-1)
        buffer = memory.empty((samples * self.sample,), dtype)
        buffer.fill(0)  # the padding, which stays as it is
        first = 0
        for axis, size in zip(self.geometry.axes, self.sizes, strict=True):
            first = first * size + max(0, axis.before)

        def read(x: Array) -> Array:
            planes = x.shape[0] * self.geometry.channels
            place = (x.reshape(-1), buffer[first:], *self._place)
            share(self.split_phases, place, planes, threads)
            return buffer

        return read

    @cached_property
    def _place(self) -> tuple[Any, ...]:
        """Sizes of the input and of its copy, stride, and the only phase, of three axes."""
        ones = (1,) * (MOST_AXES - self.geometry.rank)
        sizes = ((*ones, *self.geometry.sizes), (*ones, *self.sizes))
        return (*sizes, (1,) * MOST_AXES, np.zeros((1, MOST_AXES), np.int64))


@lru_cache(maxsize=512)
def _engine(problem: Problem) -> _Engine:
    from fastconv.kernels import channels, phases, target

    geometry, dtype, host = problem.conv, problem.dtype, target.host()
    lanes, rows = host.lanes(dtype), _rows(geometry)
    tile = target.ROW_TILES[host.name]
    widths = cheapest_widths(-(-geometry.m // lanes), tile.vectors)
    panels, first = [], 0
    for width in widths:
        panels += [width, first, first * geometry.k, min(width * lanes, geometry.m - first)]
        first += width * lanes
    sizes = _padded_sizes(geometry)
    plane = math.prod(sizes)
    shifts, places = _shifts(geometry, sizes), _places(geometry, sizes, rows)
    segments_place = channels.HEADER_WORDS + len(panels)
    segments = _segments(geometry.k, segments_place)
    shifts_place = segments_place + len(segments)
    header = {
        "tiles": len(places) // rows,
        "places": shifts_place + len(shifts),
        "segments": segments_place,
        "segments_end": shifts_place,
        "x_group": geometry.channels // geometry.groups * plane,
        "x_sample": geometry.channels * plane,
        "positions": geometry.positions,
        "activation": code_of(problem.activation),
        "rows": geometry.m,
        "groups": geometry.groups,
        "group_size": first * geometry.k,
    }
    words = [header[name] for name in channels.HEADER] + panels + segments
    table = np.concatenate([np.array(words, np.int64), shifts, places])
    loops = channels.channel_loops(dtype.name, rows, tile.vectors)
    pack, split = channels.column_packer(dtype.name), phases.phase_splitter(dtype.name)
    return _Engine(geometry, rows, widths, lanes, table, loops, pack, split, dtype.itemsize)


def _rows(geometry: ConvGeometry) -> int:
    """Return the rows of a tile that computes the fewest positions twice."""
    from fastconv.kernels import target

    choices = target.CHANNEL_TILE_ROWS[target.host().name]
    return min(choices, key=lambda rows: -(-geometry.positions // rows) * _cost(rows))


def _cost(rows: int) -> float:
    """Return the time of a tile for each vector of weights, which take as long to load."""
    return max(rows + 0.5, LEAST_COST)


def issued_columns(problem: Problem) -> float:
    """Return how many vectors are multiplied for one term of all sums of a group."""
    from fastconv.kernels import target

    geometry, host = problem.conv, target.host()
    rows, widths = _rows(geometry), target.ROW_TILES[host.name].vectors
    columns = cheapest_widths(-(-geometry.m // host.lanes(problem.dtype)), widths)
    tiles = -(-geometry.positions // rows)
    return tiles * sum(_cost(rows) * width + 0.5 for width in columns)


def _theirs(problem: Problem) -> float:
    """Return the same for vectors of positions, and what else they cost, in the same measure."""
    geometry, cost = problem.conv, issued_vectors(problem)
    plane = geometry.plane * problem.dtype.itemsize
    if not geometry.padded and any(axis.stride > 1 for axis in geometry.axes):
        return cost * PHASES_COST
    if geometry.padded and plane % WAY_BYTES == 0 and geometry.channels > WAYS:
        return cost * CROWDED_COST
    return cost


def _padded_sizes(geometry: ConvGeometry) -> tuple[int, ...]:
    if not geometry.padded:
        return geometry.sizes
    return tuple(max(axis.size, axis.last) + max(0, axis.before) for axis in geometry.axes)


def _shifts(geometry: ConvGeometry, sizes: tuple[int, ...]) -> Array:
    """Return the shift of every term: channel by channel, taps in their order."""
    taps = np.zeros(1, np.int64)
    for axis, size in zip(geometry.axes, sizes, strict=True):
        steps = np.arange(axis.kernel) * axis.dilation
        taps = (taps[:, np.newaxis] * size + steps).reshape(-1)
    channels = np.arange(geometry.channels // geometry.groups) * math.prod(sizes)
    return (channels[:, np.newaxis] + taps).reshape(-1)  # (channels * taps,)


def _places(geometry: ConvGeometry, sizes: tuple[int, ...], rows: int) -> Array:
    """Return where every position reads its first tap; the last is repeated to fill its tile."""
    places = np.zeros(1, np.int64)
    for axis, size in zip(geometry.axes, sizes, strict=True):
        start = (max(0, axis.before) if geometry.padded else 0) - axis.before
        steps = np.arange(axis.out) * axis.stride + start
        places = (places[:, np.newaxis] * size + steps).reshape(-1)
    return np.pad(places, (0, -len(places) % rows), mode="edge")


def _segments(terms: int, place: int) -> list[int]:
    """List (first term, place of its shift, terms, flush) of segments that stand at a place."""
    starts = range(0, terms, LONGEST_SUM)
    words: list[int] = []
    for start in starts:
        count = min(LONGEST_SUM, terms - start)
        words += [start, place + 4 * len(starts) + start, count, int(count == LONGEST_SUM)]
    return words


def _packed_bias(problem: Problem, bias: Array | None) -> Array:
    """Return the bias with a tail that a vector may load."""
    channels = problem.conv.out_channels
    padded = np.zeros(channels + TAIL, problem.dtype)
    if bias is not None:
        padded[:channels] = bias
    return padded


def _least_packed(problem: Problem) -> int:
    """Return the bytes of the widest panel, or of all where there are several groups."""
    from fastconv.kernels import target

    geometry, lanes = problem.conv, target.host().lanes(problem.dtype)
    widths = target.ROW_TILES[target.host().name].vectors
    vectors = -(-geometry.m // lanes)
    columns = (min(vectors, widths[0]) if geometry.groups == 1 else vectors) * lanes
    return geometry.groups * columns * geometry.k * problem.dtype.itemsize
