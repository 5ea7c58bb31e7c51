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
from fastconv.algorithms.numba_here import refusal
from fastconv.dtypes import Array, ready
from fastconv.geometry import ConvGeometry
from fastconv.kernels.pool import share
from fastconv.lowering.strips import Strip, distances, strips
from fastconv.lowering.taps import LONGEST_SUM, cheapest_widths
from fastconv.problem import Problem

MOST_AXES = 3
STRIP = 2048
"""Positions of a strip: a panel of gradients stays in the second cache while all tiles use it."""
CHUNK_BYTES = 3 * 2**20
"""Gradients that are packed at a time."""
ITEMS_PER_THREAD = 8
"""Items per thread that work is cut into."""
SERIAL_FLOPS = 2**22
"""Work below which handing it over costs more than a second thread saves."""
PACKING = 0.9
"""What it costs to pack an element, in vectors multiplied in the same time."""
TURNING = 2.5
"""What it costs to turn and store a column of a tile."""


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
        threads = threads if problem.flops >= SERIAL_FLOPS else 1
        if problem.layout == "channels_last":
            x, gy = np.moveaxis(x, 1, -1), np.moveaxis(gy, 1, -1)
        whole = not problem.conv.padded and x.flags.carray and gy.flags.carray
        samples = batch if whole else engine.samples(limit)
        padded = memory.empty((samples * engine.sample,), x.dtype) if problem.conv.padded else None
        if padded is not None:
            padded.fill(0)  # the padding, which stays as it is
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
    from fastconv.kernels import target

    geometry, host = problem.conv, target.host()
    rows, lanes = _rows(geometry), host.lanes(problem.dtype)
    widths = cheapest_widths(-(-geometry.m // lanes), target.ROW_TILES[host.name].vectors)
    tiles, columns = -(-geometry.k // rows), sum(widths) * lanes
    strip = min(STRIP, geometry.batch * geometry.positions)
    multiplied = tiles * sum((rows + 0.5) * width + 0.5 for width in widths)
    return multiplied + columns * (PACKING + TURNING * tiles / max(1, strip))


@dataclass(frozen=True)
class _Engine:
    """What depends on the problem only."""

    problem: Problem
    rows: int
    widths: tuple[int, ...]
    lanes: int
    most: int
    """Positions of a strip."""
    loops: Any
    pack: Any
    split_phases: Any

    @property
    def geometry(self) -> ConvGeometry:
        return self.problem.conv

    @property
    def last(self) -> bool:
        """Whether the channels are the last axis."""
        return self.problem.layout == "channels_last"

    @property
    def by_rows(self) -> bool:
        """Whether the channels of a position are neighbours."""
        return self.last or self.geometry.positions == 1

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Spatial sizes of the input, with its padding if it has any."""
        if not self.geometry.padded:
            return self.geometry.sizes
        return tuple(max(axis.size, axis.last) + axis.before for axis in self.geometry.axes)

    @cached_property
    def sample(self) -> int:
        """Elements of a sample, with its padding."""
        return self.geometry.channels * math.prod(self.sizes)

    @cached_property
    def _element(self) -> int:
        """Distance of neighbours along the last spatial axis."""
        return self.geometry.channels if self.last else 1

    def _along(self, sizes: tuple[int, ...]) -> list[int]:
        """Return the distances of neighbours along each spatial axis."""
        return [math.prod(sizes[i + 1 :]) * self._element for i in range(len(sizes))]

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """Distances in x of neighbouring samples, and of neighbouring positions of each axis."""
        apart = zip(self.geometry.axes, self._along(self.sizes), strict=True)
        return (self.sample, *(axis.stride * step for axis, step in apart))

    @cached_property
    def shifts(self) -> Array:
        """Where each weight of a kernel reads, from where the first does."""
        taps = np.zeros(1, np.int64)
        for axis, step in zip(self.geometry.axes, self._along(self.sizes), strict=True):
            taps = (taps[:, np.newaxis] + np.arange(axis.kernel) * axis.dilation * step).reshape(-1)
        between = 1 if self.last else math.prod(self.sizes)
        channels = np.arange(self.geometry.channels // self.geometry.groups) * between
        return (channels[:, np.newaxis] + taps).reshape(-1)  # (channels * taps,)

    @cached_property
    def first_place(self) -> int:
        """Where the first position reads its first tap."""
        if self.geometry.padded:
            return 0
        along = zip(self.geometry.axes, self._along(self.sizes), strict=True)
        return sum(-axis.before * step for axis, step in along)

    @property
    def panel_elements(self) -> int:
        """Elements kept for a packed panel."""
        return self.most * max(self.widths) * self.lanes

    @cached_property
    def panels(self) -> int:
        """Panels that are packed at a time."""
        panel_bytes = self.panel_elements * self.problem.dtype.itemsize
        whole = self.geometry.groups * len(self.widths)
        return max(1, min(whole, CHUNK_BYTES // panel_bytes))

    @property
    def packed_bytes(self) -> int:
        """Bytes of a chunk of packed panels."""
        return self.panels * self.panel_elements * self.problem.dtype.itemsize

    def samples(self, limit: int) -> int:
        """Return how many samples are copied at a time."""
        room = (limit - self.packed_bytes) // self.problem.dtype.itemsize
        return max(1, min(self.geometry.batch, room // max(1, self.sample)))

    def strips(self, samples: int) -> tuple[Strip, ...]:
        """Return the strips of so many samples."""
        return strips((samples, *self.geometry.out), self.steps, self.most)

    @cached_property
    def tables(self) -> dict[int, tuple[Array, Array, tuple[Strip, ...], dict[int, Any]]]:
        """What `table` has made, by the number of samples."""
        return {}

    def table(self, samples: int) -> tuple[Array, Array, tuple[Strip, ...], dict[int, Any]]:
        """Return the table, the numbers of terms, the strips, and the segments by their length."""
        if samples not in self.tables:
            self.tables[samples] = self._table(samples)
        return self.tables[samples]

    def _table(self, samples: int) -> tuple[Array, Array, tuple[Strip, ...], dict[int, Any]]:
        from fastconv.kernels.weights import HEADER, HEADER_WORDS

        geometry, found = self.geometry, self.strips(samples)
        panels, first = [], 0
        for width in self.widths:
            panels += [width, first, min(width * self.lanes, geometry.m - first)]
            first += width * self.lanes
        places = np.pad(self.shifts, (0, -len(self.shifts) % self.rows), mode="edge")
        terms = distances((samples, *geometry.out), self.steps, self.most)
        places_at = HEADER_WORDS + len(panels)
        terms_at = places_at + len(places)
        place = terms_at + len(terms)
        segments: dict[int, tuple[int, int]] = {}
        words: list[int] = []
        for count in sorted({strip.count for strip in found}):
            added = _segments(count, terms_at)
            segments[count] = (place + len(words), place + len(words) + len(added))
            words += added
        group = geometry.channels // geometry.groups
        header = {
            "weights": geometry.k,
            "outputs": geometry.m,
            "panels": len(self.widths),
            "panel_elements": self.panel_elements,
            "x_group": group if self.last else group * math.prod(self.sizes),
            "places": places_at,
            "channels": geometry.out_channels,
        }
        start = np.array([header[name] for name in HEADER] + panels, np.int64)
        table = np.concatenate([start, places, terms, np.array(words, np.int64)])
        return table, np.arange(len(terms), dtype=np.int64), found, segments

    def image(self, x: Array, padded: Array | None, threads: int) -> Array:
        """Return the flat input of some samples: itself, or a padded copy."""
        if padded is None:
            return x.reshape(-1)
        first = 0
        for axis, step in zip(self.geometry.axes, self._along(self.sizes), strict=True):
            first += axis.before * step
        planes = x.shape[0] * (1 if self.last else self.geometry.channels)
        share(self.split_phases, (x.reshape(-1), padded[first:], *self._place), planes, threads)
        return padded

    @cached_property
    def _place(self) -> tuple[Any, ...]:
        """Sizes of the input and of its copy, stride, and the only phase, of three axes."""
        ones = (1,) * (MOST_AXES - self.geometry.rank)
        sizes = [(*ones, *self.geometry.sizes), (*ones, *self.sizes)]
        sizes = [(d, h, w * self._element) for d, h, w in sizes]
        return (*sizes, (1,) * MOST_AXES, np.zeros((1, MOST_AXES), np.int64))

    def run(self, samples: int, arrays: tuple[Array, ...], adds: int, threads: int) -> None:
        """Add the strips of some samples; `arrays` are the image, gy, room to pack it, and gw."""
        image, gy, packed, gw = arrays
        table, terms, found, segments = self.table(samples)
        tiles = -(-self.geometry.k // self.rows)
        panels = self.geometry.groups * len(self.widths)
        for strip in found:
            for first in range(0, panels, self.panels):
                count = min(self.panels, panels - first)
                self._pack_strip(strip, (first, count), (gy, packed, terms, table), threads)
                run = (
                    tiles if threads == 1 else -(-tiles // -(-ITEMS_PER_THREAD * threads // count))
                )
                shares = (self.first_place + strip.start, *segments[strip.count], first, run, adds)
                items = count * -(-tiles // run)
                share(self.loops, (image, packed, gw, table, shares), items, threads)
            adds = 1

    def _pack_strip(
        self, strip: Strip, part: tuple[int, int], arrays: tuple[Array, ...], threads: int
    ) -> None:
        """Pack some panels of a strip: the first, and how many."""
        gy, packed, terms, table = arrays
        first, count = part
        if self.by_rows:
            place = (strip.first, strip.count, first)
            share(self.pack, (gy, packed, table, place), count, threads)
        else:
            planes = (*_planes(strip, self.geometry.positions), first)
            share(self.pack, (gy, packed, terms, table, planes), count, threads)


def _planes(strip: Strip, positions: int) -> tuple[int, int, int, int, int]:
    """Return a strip's first sample and samples, positions of each, and those of a plane."""
    sample, position = divmod(strip.first, positions)
    samples = max(1, strip.count // positions)
    return sample, samples, position, strip.count // samples, positions


@lru_cache(maxsize=512)
def _engine(problem: Problem) -> _Engine:
    from fastconv.kernels import phases, target, weights

    geometry, dtype, host = problem.conv, problem.dtype, target.host()
    lanes, rows = host.lanes(dtype), _rows(geometry)
    tile = target.ROW_TILES[host.name]
    widths = cheapest_widths(-(-geometry.m // lanes), tile.vectors)
    by_rows = problem.layout == "channels_last" or geometry.positions == 1  # as `by_rows` says
    pack = weights.row_packer(dtype.name) if by_rows else weights.gradient_packer(dtype.name)
    most = max(1, min(STRIP, geometry.batch * geometry.positions))
    loops = weights.weight_loops(dtype.name, rows, tile.vectors)
    split = phases.phase_splitter(dtype.name)
    return _Engine(problem, rows, widths, lanes, most, loops, pack, split)


def _rows(geometry: ConvGeometry) -> int:
    """Return the rows of a tile that computes the fewest weights twice."""
    from fastconv.kernels import target

    choices = target.CHANNEL_TILE_ROWS[target.host().name]
    return min(choices, key=lambda rows: -(-geometry.k // rows) * (rows + 0.5))


def _segments(terms: int, place: int) -> list[int]:
    """List (first term, place of its shift, terms, flush) of segments."""
    words: list[int] = []
    for start in range(0, terms, LONGEST_SUM):
        count = min(LONGEST_SUM, terms - start)
        words += [start, place + start, count, int(count == LONGEST_SUM)]
    return words
