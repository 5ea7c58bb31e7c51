"""The weight gradient of a convolution: sums over positions, of tiles that stay in registers.

    gw[oc, ic, tap] = sum over samples and positions of gy[oc, position] * x[ic, position at tap]

The gradient of some thousand positions at a time is packed with its output channels side by side,
which fill the vectors; the input is read in place, an element at a time, whatever the stride, the
dilation and the order of the axes: all of that is in a table of places. Only an input with padding
is copied, with its padding. Positions are added in one order, whoever adds them.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from fastconv import memory
from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.algorithms.implicit_gemm import threads_now
from fastconv.algorithms.numba_here import refusal
from fastconv.dtypes import Array, ready
from fastconv.geometry import ConvGeometry
from fastconv.kernels.pool import share
from fastconv.lowering.readings import Reading, outputs, padded_sizes, windows
from fastconv.lowering.strips import Strip, distances, strips
from fastconv.lowering.taps import LONGEST_SUM, cheapest_widths
from fastconv.problem import Problem

MOST_AXES = 3
STRIP_BYTES = 3 * 2**17
"""Gradients of a strip of positions: a panel stays in the second cache while all tiles use it."""
MOST_STRIP = 2**13
"""Positions of a strip beyond which the table of their places would be large."""
CHUNK_BYTES = 3 * 2**20
"""Gradients that are packed at a time."""
ITEMS_PER_THREAD = 24
"""Items per thread that work is cut into: enough to even out threads of unequal speed."""
PIECES_PER_THREAD = 4
"""Pieces per thread that packing is cut into."""
PACKING = 0.9
"""What it costs to pack an element, in vectors multiplied in the same time."""
TURNING, STORING = 2.5, 1.0
"""What it costs to turn and store a column of a tile, or to store a vector as it is."""


class PositionSums:
    """Tiles of a kernel's weights by output channels, over positions."""

    name = "position_sums"
    exact = True
    uses_blas = False
    compiled = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept weight gradients of convolutions."""
        return refusal(problem, MOST_AXES, "weight_gradient")

    def takes_views(self, problem: Problem) -> bool:
        """Return True: of arrays with the channels last, it reads what is there."""
        return True

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count the gradients of a strip, and the padded input of one sample or more."""
        engine = _engine(problem)
        samples = engine.samples(limit) if problem.conv.padded else 0
        return engine.packed_bytes + samples * engine.sample * problem.dtype.itemsize

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Walk chunks of samples, and of these the strips."""
        engine, batch = _engine(problem), problem.conv.batch
        x, gy = inputs
        (gw,) = outputs
        if not batch:
            gw.fill(0)
            return
        threads = threads_now(problem, threads)
        if problem.layout == "channels_last":
            x, gy = np.moveaxis(x, 1, -1), np.moveaxis(gy, 1, -1)
        whole = not problem.conv.padded and x.flags.carray and gy.flags.carray
        samples = batch if whole else engine.samples(limit)
        padded = memory.empty((samples * engine.sample,), x.dtype) if problem.conv.padded else None
        packed = memory.empty((engine.packed_bytes // x.dtype.itemsize,), x.dtype)
        adds = 0
        for start in range(0, batch, samples):
            part = slice(start, min(batch, start + samples))
            image = engine.image(ready(x[part]), padded, threads)
            arrays = (image, ready(gy[part]).reshape(-1), packed, gw.reshape(-1))
            engine.run(part.stop - start, arrays, adds, threads)
            adds = 1


def issued_vectors(problem: Problem) -> float:
    """Return how many vectors are multiplied in the time that a position of a group takes."""
    return _cost(problem, _reading(problem))


def _cost(problem: Problem, reading: Reading) -> float:
    from fastconv.kernels import target

    host = target.host()
    rows, lanes = _rows(reading), host.lanes(problem.dtype)
    widths = cheapest_widths(-(-reading.columns // lanes), target.ROW_TILES[host.name].vectors)
    tiles, columns = -(-len(reading.shifts) // rows), sum(widths) * lanes
    strip = _strip(problem, widths)
    multiplied = tiles * sum((rows + 0.5) * width + 0.5 for width in widths)
    stored = tiles * (rows * sum(widths) * STORING if reading.turned else columns * TURNING)
    return multiplied + columns * PACKING + stored / strip


def _reading(problem: Problem) -> Reading:
    """Return the cheapest way to read the arrays."""
    last = problem.layout == "channels_last"
    ways = [windows(problem.conv, last), outputs(problem.conv, last)]
    return min((way for way in ways if way is not None), key=lambda way: _cost(problem, way))


@dataclass(frozen=True)
class _Engine:
    """What depends on the problem only."""

    problem: Problem
    reading: Reading
    rows: int
    widths: tuple[int, ...]
    lanes: int
    most: int
    """Positions of a strip."""
    loops: Any
    pack: Any
    pad_planes: Any

    @property
    def geometry(self) -> ConvGeometry:
        """The geometry of the convolution."""
        return self.problem.conv

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Spatial sizes of the input, with its padding if it has any."""
        return padded_sizes(self.geometry)

    @cached_property
    def sample(self) -> int:
        """Elements of a sample, with its padding."""
        return self.geometry.channels * math.prod(self.sizes)

    @property
    def panel_elements(self) -> int:
        """Elements kept for a packed panel."""
        return self.most * max(self.widths) * self.lanes

    @cached_property
    def panels(self) -> int:
        """Panels that are packed at a time."""
        panel_bytes = self.panel_elements * self.problem.dtype.itemsize
        whole = self.geometry.groups * len(self.widths)
        most = max(1, min(whole, CHUNK_BYTES // panel_bytes))
        return -(-whole // -(-whole // most))  # as many in the last chunk as in the others

    @property
    def packed_bytes(self) -> int:
        """Bytes of a chunk of packed panels."""
        return self.panels * self.panel_elements * self.problem.dtype.itemsize

    def samples(self, limit: int) -> int:
        """Return how many samples are copied at a time."""
        room = (limit - self.packed_bytes) // self.problem.dtype.itemsize
        return max(1, min(self.geometry.batch, room // max(1, self.sample)))

    @cached_property
    def tables(self) -> dict[int, "_Table"]:
        """What `table` has made, by the number of samples."""
        return {}

    def table(self, samples: int) -> "_Table":
        """Return the table for so many samples."""
        if samples not in self.tables:
            self.tables[samples] = self._table(samples)
        return self.tables[samples]

    def _table(self, samples: int) -> "_Table":
        from fastconv.kernels.weights import HEADER, HEADER_WORDS

        geometry, reading = self.geometry, self.reading
        cut = ((samples, *geometry.out), reading.steps, self.most)
        panels, first = [], 0
        for width in self.widths:
            panels += [width, first, min(width * self.lanes, reading.columns - first)]
            first += width * self.lanes
        shifts, terms, found = reading.shifts, distances(*cut), strips(*cut)
        places = np.pad(shifts, (0, -len(shifts) % self.rows), mode="edge")
        places_at = HEADER_WORDS + len(panels)
        terms_at = places_at + len(places)
        segments: dict[int, tuple[int, int]] = {}
        words: list[int] = []
        for count in sorted({strip.count for strip in found}):
            place = terms_at + len(terms) + len(words)
            words += _segments(count, terms_at)
            segments[count] = (place, terms_at + len(terms) + len(words))
        header = {
            "rows": len(shifts),
            "columns": reading.columns,
            "panels": len(self.widths),
            "panel_elements": self.panel_elements,
            "x_group": reading.group,
            "places": places_at,
            "channels": reading.columns * geometry.groups,
            "turned": int(reading.turned),
        }
        start = np.array([header[name] for name in HEADER] + panels, np.int64)
        table = np.concatenate([start, places, terms, np.array(words, np.int64)])
        return _Table(table, np.arange(len(terms), dtype=np.int64), found, segments)

    def image(self, x: Array, padded: Array | None, threads: int) -> Array:
        """Return the flat input of some samples: itself, or a padded copy."""
        if padded is None:
            return x.reshape(-1)
        planes = x.size // (self.geometry.plane * self._between)
        share(self.pad_planes, (x.reshape(-1), padded, *self._place), planes, threads)
        return padded

    @property
    def _between(self) -> int:
        """Distance of neighbours along the last spatial axis of the input."""
        return self.geometry.channels if self.problem.layout == "channels_last" else 1

    @cached_property
    def _place(self) -> tuple[tuple[int, int, int], ...]:
        """Sizes of the input and of its copy, and where it lies there, along three axes."""
        before = tuple(axis.before for axis in self.geometry.axes)
        lead = MOST_AXES - self.geometry.rank
        rows = ((1, self.geometry.sizes), (1, self.sizes), (0, before))
        places = [(*(fill,) * lead, *row) for fill, row in rows]
        return tuple((depth, height, width * self._between) for depth, height, width in places)

    def run(self, samples: int, arrays: tuple[Array, ...], adds: int, threads: int) -> None:
        """Add the strips of some samples; `arrays` are the image, gy, room to pack in, and gw."""
        image, gy, packed, gw = arrays
        read, columns = (gy, image) if self.reading.turned else (image, gy)
        table, panels = self.table(samples), self.geometry.groups * len(self.widths)
        tiles = -(-len(self.reading.shifts) // self.rows)
        for strip in table.strips:
            for first in range(0, panels, self.panels):
                count = min(self.panels, panels - first)
                self._pack_strip(strip, (first, count), (columns, packed, table), threads)
                run = tiles
                if threads > 1:
                    run = -(-tiles // -(-ITEMS_PER_THREAD * threads // count))
                shares = (
                    self.reading.start + strip.start,
                    *(*table.segments[strip.count], first, run, adds),
                )
                items = count * -(-tiles // run)
                share(self.loops, (read, packed, gw, table.words, shares), items, threads)
            adds = 1

    def _pack_strip(
        self,
        strip: Strip,
        part: tuple[int, int],
        arrays: "tuple[Array, Array, _Table]",
        threads: int,
    ) -> None:
        """Pack some panels of a strip: the first, and how many, each in pieces for the threads."""
        columns, packed, table = arrays
        first, count = part
        pieces = 1 if threads == 1 else -(-PIECES_PER_THREAD * threads // count)
        if self.reading.by_rows:
            place = (strip.first, strip.count, first, pieces)
            share(self.pack, (columns, packed, table.words, place), count * pieces, threads)
        else:
            planes = (*_planes(strip, self.geometry.positions), first, pieces)
            arguments = (columns, packed, table.terms, table.words, planes)
            share(self.pack, arguments, count * pieces, threads)


@dataclass(frozen=True)
class _Table:
    """What the loops read for some number of samples."""

    words: Array
    terms: Array
    """The numbers of a strip's positions."""
    strips: tuple[Strip, ...]
    segments: dict[int, tuple[int, int]]
    """Where the segments of so many positions stand."""


def _planes(strip: Strip, positions: int) -> tuple[int, int, int, int, int]:
    """Return a strip's first sample and samples, positions of each, and those of a plane."""
    sample, position = divmod(strip.first, positions)
    samples = max(1, strip.count // positions)
    return sample, samples, position, strip.count // samples, positions


@lru_cache(maxsize=512)
def _engine(problem: Problem) -> _Engine:
    from fastconv.kernels import padding, target, weights

    dtype, host = problem.dtype, target.host()
    reading, lanes, tile = _reading(problem), host.lanes(dtype), target.ROW_TILES[host.name]
    rows = _rows(reading)
    widths = cheapest_widths(-(-reading.columns // lanes), tile.vectors)
    pack = weights.row_packer if reading.by_rows else weights.gradient_packer
    most = _strip(problem, widths)
    loops = weights.weight_loops(dtype.name, rows, tile.vectors)
    pad = padding.plane_padder(dtype.name)
    return _Engine(problem, reading, rows, widths, lanes, most, loops, pack(dtype.name), pad)


def _strip(problem: Problem, widths: tuple[int, ...]) -> int:
    """Return the positions of a strip."""
    from fastconv.kernels import target

    position = max(widths) * target.host().vector_bytes
    most = min(MOST_STRIP, STRIP_BYTES // position)
    return max(1, min(most, problem.conv.batch * problem.conv.positions))


def _rows(reading: Reading) -> int:
    """Return the rows of a tile that computes the fewest twice."""
    from fastconv.kernels import target

    choices = target.CHANNEL_TILE_ROWS[target.host().name]
    return min(choices, key=lambda rows: -(-len(reading.shifts) // rows) * (rows + 0.5))


def _segments(terms: int, place: int) -> list[int]:
    """List (first term, place of its shift, terms, flush) of segments."""
    words: list[int] = []
    for start in range(0, terms, LONGEST_SUM):
        count = min(LONGEST_SUM, terms - start)
        words += [start, place + start, count, int(count == LONGEST_SUM)]
    return words
