"""The weight gradient of a convolution with few channels: dot products over positions.

`position_sums` fills its vectors with output channels, of which a depthwise convolution has one and
a first layer a few, and packs their gradients, which is work too where few weights are to be summed
from them. Here vectors are filled with neighbouring positions of both arrays as they lie; only an
input with padding or strides is copied. Which of the two is taken is a comparison of costs.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from fastconv import memory
from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.algorithms.implicit_gemm import threads_now
from fastconv.algorithms.numba_here import refusal
from fastconv.algorithms.position_sums import issued_vectors
from fastconv.dtypes import Array, ready
from fastconv.geometry import ConvGeometry
from fastconv.kernels.pool import share
from fastconv.lowering.blocks import boxes
from fastconv.lowering.phased import Phased
from fastconv.lowering.strips import Rows
from fastconv.lowering.taps import LONGEST_SUM, cheapest_widths
from fastconv.problem import Problem

MOST_AXES = 3
STRIP = 2048
"""Positions of a strip, which stay in the cache while all tiles of an item use them."""
ITEMS_PER_THREAD = 2
"""Items per thread that work is cut into."""
LOADING = 0.5
"""What it costs to load a vector, in vectors multiplied in the same time."""
ADDING = 13.0
"""What it costs to add the lanes of a row of a tile."""
MOVING = 1.5
"""What it costs to bring an element whose channels are last into the order that is read here."""


class PositionDots:
    """Tiles of output channels by weights of a kernel, over vectors of positions."""

    name = "position_dots"
    exact = True
    uses_blas = False
    compiled = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept weight gradients with few channels."""
        reason = refusal(problem, MOST_AXES, "weight_gradient")
        if reason is not None:
            return reason
        from fastconv.kernels import target

        if not target.host().masked_loads:
            return "needs loads that can leave lanes alone"
        ours, theirs = _issued(problem), issued_vectors(problem)
        if ours >= theirs:
            return f"vectors of channels take {theirs / ours:.2f} of the time"
        return None

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count the copied input of one sample or more."""
        engine = _engine(problem)
        return 0 if engine.in_place else engine.samples(limit) * engine.sample_bytes

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Walk chunks of samples."""
        engine, batch = _engine(problem), problem.conv.batch
        x, gy = inputs
        (gw,) = outputs
        if not batch:
            gw.fill(0)
            return
        threads = threads_now(problem, threads)
        whole = engine.in_place and x.flags.carray and gy.flags.carray
        samples = batch if whole else engine.samples(limit)
        copy = 0 if engine.in_place else samples * engine.sample_bytes // x.dtype.itemsize
        buffer, adds = memory.empty((copy,), x.dtype), 0
        if not engine.pads:
            buffer.fill(0)  # the padding, which stays as it is
        for start in range(0, batch, samples):
            part = slice(start, min(batch, start + samples))
            arrays = (ready(x[part]), ready(gy[part]), gw, buffer)
            engine.run(part.stop - start, arrays, adds, threads)
            adds = 1


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
    split_phases: Any
    pad_planes: Any

    @property
    def geometry(self) -> ConvGeometry:
        return self.problem.conv

    @cached_property
    def in_place(self) -> bool:
        """Whether the input is read where it is."""
        return Phased(self.geometry.axes, 1).is_input

    @cached_property
    def pads(self) -> bool:
        """Whether a copy of the input is the input with its padding, of one phase."""
        return all(axis.stride == 1 for axis in self.geometry.axes)

    @cached_property
    def sample_bytes(self) -> int:
        """Bytes of the copy of a sample."""
        copy = Phased(self.geometry.axes, self.geometry.channels)
        return copy.elements * self.problem.dtype.itemsize

    def samples(self, limit: int) -> int:
        """Return how many samples are copied at a time."""
        return max(1, min(self.geometry.batch, limit // max(1, self.sample_bytes)))

    @cached_property
    def tables(self) -> dict[int, tuple[Array, tuple[int, int], Phased]]:
        """What `table` has made, by the number of samples."""
        return {}

    def table(self, samples: int) -> tuple[Array, tuple[int, int], Phased]:
        """Return the table of so many samples, where its strips stand, and the copy."""
        if samples not in self.tables:
            self.tables[samples] = self._table(samples)
        return self.tables[samples]

    def _table(self, samples: int) -> tuple[Array, tuple[int, int], Phased]:
        from fastconv.kernels import dots

        geometry = self.geometry
        copy = Phased(geometry.axes, samples * geometry.channels)
        group = geometry.channels // geometry.groups
        shifts = (np.arange(group)[:, np.newaxis] * copy.plane + copy.taps).reshape(-1)
        tiles, first = [], 0
        for width in self.widths:
            tiles += [width, first]
            first += width
        shifts = np.pad(shifts, (0, first - len(shifts)), mode="edge")
        places = dots.HEADER_WORDS + len(tiles)
        strips, count, vectors = self._strips(samples, copy, places + first)
        header = {
            "groups": geometry.groups,
            "outputs": geometry.m,
            "weights": geometry.k,
            "gy_channel": geometry.positions,
            "x_group": group * copy.plane,
            "x_start": 0 if not copy.is_input else self._first_place(copy),
            "places": places,
            "tiles": len(self.widths),
        }
        start = [header[name] for name in dots.HEADER] + tiles
        table = np.concatenate([np.array(start, np.int64), shifts, strips, *vectors])
        return table, (places + first, count), copy

    def _first_place(self, copy: Phased) -> int:
        """Return where the first position reads its first tap of an input without padding."""
        return sum(
            -axis.before * step for axis, step in zip(self.geometry.axes, copy.steps, strict=True)
        )

    def _strips(self, samples: int, copy: Phased, place: int) -> tuple[Array, int, list[Array]]:
        """Return the words of the strips, which stand at a place, and the vectors behind them."""
        from fastconv.kernels.dots import STRIP_WORDS

        geometry = self.geometry
        out, plane = geometry.out, geometry.positions
        along = tuple(int(np.prod(out[index + 1 :])) for index in range(len(out)))
        rows = Rows(
            (samples, *out),
            (geometry.out_channels * plane, *along),
            (geometry.channels * copy.plane, *copy.steps),
        ).merged()
        found = list(boxes(rows.sizes, self.most))
        place += len(found) * STRIP_WORDS
        known: dict[tuple[int, ...], tuple[int, int]] = {}
        words, vectors = [], []
        for box in found:
            if box.out not in known:
                listed = Rows(box.out, rows.one, rows.other).vectors(self.lanes)
                known[box.out] = (place, place + len(listed))
                place += len(listed)
                vectors.append(listed)
            lows = [low for low, _ in box.ranges]
            words += [int(np.dot(lows, rows.one)), int(np.dot(lows, rows.other)), *known[box.out]]
        return np.array(words, np.int64), len(found), vectors

    def run(self, samples: int, arrays: tuple[Array, ...], adds: int, threads: int) -> None:
        """Add the strips of some samples; `arrays` are x, gy, gw, and room for the copy of x."""
        x, gy, gw, buffer = arrays
        table, (strips, count), copy = self.table(samples)
        image = x.reshape(-1) if copy.is_input else self._copied(x, copy, buffer, threads)
        outer = self.geometry.groups * -(-self.geometry.m // self.rows)
        tiles = len(self.widths)
        run = tiles if threads == 1 else -(-tiles // -(-ITEMS_PER_THREAD * threads // outer))
        shares = (strips, count, run, adds)
        arguments = (image, gy.reshape(-1), gw.reshape(-1), table, shares)
        share(self.loops, arguments, outer * -(-tiles // run), threads)

    def _copied(self, x: Array, copy: Phased, buffer: Array, threads: int) -> Array:
        """Return the copy of some samples, made in a buffer."""
        lead = MOST_AXES - self.geometry.rank
        ones, zeros = (1,) * lead, (0,) * lead
        if self.pads:
            before = (*zeros, *(axis.before for axis in self.geometry.axes))
            whole = ((*ones, *self.geometry.sizes), (*ones, *copy.sizes), before)
            planes = x.shape[0] * x.shape[1]
            share(self.pad_planes, (x.reshape(-1), buffer, *whole), planes, threads)
            return buffer
        sizes = ((*ones, *self.geometry.sizes), (*ones, *copy.sizes))
        stride = (*ones, *(axis.stride for axis in self.geometry.axes))
        for place, first in copy.copies:
            phases = np.array([(*zeros, *first)], np.int64)
            arguments = (x.reshape(-1), buffer[place:], *sizes, stride, phases)
            share(self.split_phases, arguments, copy.planes, threads)
        return buffer


@lru_cache(maxsize=512)
def _engine(problem: Problem) -> _Engine:
    from fastconv.kernels import dots, padding, phases, target

    dtype, lanes = problem.dtype, target.host().lanes(problem.dtype)
    tile, widths = _tile(problem)
    most = min(STRIP, LONGEST_SUM * lanes)
    loops = dots.dot_loops(dtype.name, tile.rows, tile.vectors)
    split, pad = phases.phase_splitter(dtype.name), padding.plane_padder(dtype.name)
    return _Engine(problem, tile.rows, widths, lanes, most, loops, split, pad)


def _tile(problem: Problem) -> tuple[Any, tuple[int, ...]]:
    """Return the tile that takes least time, and the widths of those of a row."""
    from fastconv.kernels import target

    k = problem.conv.k
    tiles = target.DOT_TILES[target.host().name]
    choices = [(tile, cheapest_widths(k, tile.vectors)) for tile in tiles]
    return min(choices, key=lambda choice: _cost(problem, *choice))


def _cost(problem: Problem, tile: Any, widths: tuple[int, ...]) -> float:
    """Return how many vectors are multiplied in the time of a vector of positions of a group."""
    rows, strip = tile.rows, min(STRIP, problem.conv.batch * problem.conv.positions)
    loads = sum(rows + width for width in widths)
    multiplied = rows * sum(widths) + LOADING * loads
    vectors = max(1, strip) / _positions_of_vector(problem)
    blocks = -(-problem.conv.m // rows)
    return float(blocks * (multiplied + ADDING * rows * len(widths) / vectors))


def _positions_of_vector(problem: Problem) -> float:
    """Return how many positions a vector has on average, as rows of positions end anywhere."""
    from fastconv.kernels import target

    geometry, lanes = problem.conv, target.host().lanes(problem.dtype)
    one_row = geometry.taps == 1 and Phased(geometry.axes, 1).is_input
    length = geometry.positions if one_row else geometry.out[-1]
    return length / -(-length // lanes)


def _issued(problem: Problem) -> float:
    """Return how many vectors are multiplied in the time that a position of a group takes."""
    geometry = problem.conv
    cost = _cost(problem, *_tile(problem)) / _positions_of_vector(problem)
    if problem.layout == "channels_last":
        cost += MOVING * (geometry.m + geometry.channels / geometry.groups)
    return cost
