"""Convolution by generated machine code: the window view is the matrix, read in place.

No columns are made. For each tap the input is read at a shift of its flat positions, under a mask
that leaves padding out (`lowering.taps`), by tiles of output channels and positions that stay in
registers over the whole sum (`kernels.tile`). Only strides, and outputs wider than the input, need
a copy of the input, one sample or more at a time.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from fastconv import memory
from fastconv.activations import code_of
from fastconv.algorithms.algorithm import Inputs, Outputs, Packed
from fastconv.algorithms.numba_here import refusal
from fastconv.dtypes import Array, ready
from fastconv.geometry import ConvGeometry
from fastconv.kernels.pool import hands, share
from fastconv.lowering.taps import TILE_WORDS, Image, Target, cheapest_widths, tile_table
from fastconv.lowering.weights import terms_of
from fastconv.problem import Problem

MOST_AXES = 3
MOST_TABLE = 2**27
"""Taps times positions beyond which the tables would take long to make."""
CHANNEL_BLOCK = 64
"""Channels whose rows stay in the cache while all taps read them."""
PANELS_BYTES = 2**18
"""Weights that stay in the cache while every tile of positions uses them."""
ITEMS_PER_THREAD = 24
"""Items per thread that work is cut into: enough to even out threads of unequal speed."""
STREAM_BYTES = 2**23
"""Results of this size are written past the caches: to fetch what will be overwritten, and to make
room for it, costs half of the time of sums of 27 terms, 4 % of that of 576."""
CHUNK_BYTES = 3 * 2**20
"""Weights packed at a time by a call that does not find them packed."""
SERIAL_FLOPS = 2**21
"""Work below which handing it over costs more than a second thread saves."""
WAKE_FLOPS = 2**23
"""Work below which that is so for threads that have to be woken."""


class ImplicitGemm:
    """Tiles of output channels by positions over the window view."""

    name = "implicit_gemm"
    exact = True
    uses_blas = False
    compiled = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept convolutions forward; a channel on its own has no use for a matrix multiply."""
        reason = refusal(problem, MOST_AXES)
        if reason is not None:
            return reason
        geometry = problem.conv
        if geometry.positions == 1:
            return "one position would leave vectors of positions all but empty"
        if geometry.taps * math.prod(Image(geometry.axes).sizes) > MOST_TABLE:
            return "the tables of its positions would be too large"
        return None

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count the copied input of one sample or more, and the weights of a chunk.

        Besides, an input that is not contiguous is copied one sample at a time, and such a weight.
        """
        geometry, engine = problem.conv, _engine(problem)
        samples = _samples(problem, limit) if engine.copies else 0
        groups, panels = _chunk(problem)
        return (
            samples * geometry.channels * engine.image.elements
            + 2 * engine.slack
            + groups * panels * (engine.panel_elements + engine.rows)
        ) * problem.dtype.itemsize

    def fuses_activation(self, problem: Problem) -> bool:
        """Return True: tiles end in it, or what they have written is finished in the cache."""
        return True

    def pack(self, problem: Problem, weight: Array, bias: Array | None) -> Packed:
        """Return weight and bias as the tiles read them, to be used by any number of runs."""
        engine, geometry = _engine(problem), problem.conv
        whole = ((0, geometry.groups), (0, engine.panels))
        packed = np.empty(geometry.groups * engine.panels * engine.panel_elements, problem.dtype)
        _pack_weight(engine, geometry, weight, *whole, packed, 1)
        return Packed(
            weight,
            packed,
            _packed_bias(engine, geometry, bias, problem.dtype),
            key=(problem.dtype, engine.rows),
        )

    def bind(
        self, problem: Problem, weight: Packed, limit: int, threads: int
    ) -> Callable[[Array, Array], None]:
        """Return `solve(x, y)` with all settled that does not depend on the data."""
        engine, geometry = _engine(problem), problem.conv
        threads = most_threads(problem, threads)
        if engine.copies or not geometry.batch:
            return lambda x, y: self.run(problem, (x, weight, None), (y,), limit, threads)
        whole = ((0, geometry.groups), (0, engine.panels))
        items, shares = engine.cut(geometry.batch, *whole, threads)
        loops, table = engine.loops, engine.table

        def solve(x: Array, y: Array) -> None:
            arrays = (ready(x).reshape(-1), weight.panels, weight.bias, y.reshape(-1))
            share(loops, (*arrays, table, shares), items, threads_now(problem, threads))

        return solve

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Walk chunks of samples and of packed weights."""
        engine, geometry = _engine(problem), problem.conv
        x, w, b = inputs
        (y,) = outputs
        if not geometry.batch or x is None or w is None:
            return
        threads = threads_now(problem, threads)
        samples = 1
        if x.flags.carray:
            samples = _samples(problem, limit) if engine.copies else geometry.batch
        flat_y = y.reshape(-1)
        per_sample = geometry.out_channels * geometry.positions
        bias = w.bias if isinstance(w, Packed) else _packed_bias(engine, geometry, b, problem.dtype)
        read = engine.reader(x, samples, threads)
        for start in range(0, geometry.batch, samples):
            count = min(samples, geometry.batch - start)
            image = read(x[start : start + count])
            target = flat_y[start * per_sample : (start + count) * per_sample]
            for groups, panels, packed in _weights(problem, engine, w, threads):
                engine.run(count, groups, panels, (image, packed, bias, target), threads)


def most_threads(problem: Problem, threads: int) -> int:
    """Return how many of some threads a convolution or a gradient may be cut for."""
    return threads if problem.flops >= SERIAL_FLOPS else 1


def threads_now(problem: Problem, threads: int) -> int:
    """Return how many of some threads are worth having, if others must be woken for it."""
    return hands(problem.flops, WAKE_FLOPS, most_threads(problem, threads))


def issued_vectors(problem: Problem, step: int = 1) -> float:
    """Return how many vectors are multiplied for one term of all sums of a group.

    With a step, output channels have so many rows of a tile.
    """
    from fastconv.kernels import target

    geometry, image = problem.conv, Image(problem.conv.axes)
    tile = target.tile_for(problem.dtype, geometry.m, step)
    flat = (math.prod(image.rows) - 1) * image.row + geometry.axes[-1].out
    vectors = -(-flat // target.host().lanes(problem.dtype))
    cost = sum(max(width, 1.9) + 0.1 for width in cheapest_widths(vectors, tile.vectors))
    return -(-geometry.m * step // tile.rows) * tile.rows * cost


@dataclass(frozen=True)
class Engine:
    """What depends on the problem only: tables, tile, strides.

    With a step, a position has so many elements in the output, of as many rows of a tile.
    """

    geometry: ConvGeometry
    image: Image
    rows: int
    table: Array
    tiles: int
    loops: Any
    pack_panels: Any
    split_phases: Any
    slack: int
    copies: bool
    itemsize: int
    step: int = 1

    @property
    def panels(self) -> int:
        """Panels of output channels in a group."""
        return -(-self.geometry.m // (self.rows // self.step))

    @property
    def panel_elements(self) -> int:
        """Elements of one packed panel."""
        return self.geometry.k * self.rows

    def reader(self, x: Array, samples: int, threads: int) -> Callable[[Array], Array]:
        """Return what makes the flat image of up to so many samples: themselves, or their phases.

        What it copies to is used again by the next samples: to let go of one copy before another is
        made would not do, as a worker may keep it a moment longer.
        """
        plain = None if x.flags.carray else memory.empty((samples, *x.shape[1:]), x.dtype)
        planes = samples * self.geometry.channels
        length = planes * self.image.elements + 2 * self.slack if self.copies else 0
        buffer = memory.empty((length,), x.dtype)

        def read(part: Array) -> Array:
            if plain is not None:
                plain[: len(part)] = part
                part = plain[: len(part)]
            return self._phases(part, buffer, threads) if self.copies else part.reshape(-1)

        return read

    def _phases(self, x: Array, buffer: Array, threads: int) -> Array:
        """Copy the phases of some samples into a buffer, which has slack at both ends."""
        planes = x.shape[0] * self.geometry.channels
        body = buffer[self.slack : self.slack + planes * self.image.elements]
        share(self.split_phases, (x.reshape(-1), body, *self.phase_place), planes, threads)
        return buffer

    @cached_property
    def units(self) -> Array:
        """Where each channel's taps go in a packed panel, in rows: as the segments lie."""
        channels = self.geometry.channels // self.geometry.groups
        taps = np.arange(self.geometry.taps)
        units = np.empty((channels, len(taps)), np.int64)
        for first in range(0, channels, CHANNEL_BLOCK):
            count = min(CHANNEL_BLOCK, channels - first)
            place = first * len(taps) + taps * count
            units[first : first + count] = np.arange(count)[:, np.newaxis] + place
        return units.reshape(-1)  # (channels * taps,)

    @cached_property
    def phase_place(self) -> tuple[Any, ...]:
        """Sizes of the input and of a phase, stride, and phases, of three axes."""
        lead = MOST_AXES - self.geometry.rank
        ones = (1,) * lead
        phases = itertools.product(*((0,),) * lead, *self.image.phases)
        return (
            (*ones, *self.geometry.sizes),
            (*ones, *self.image.sizes),
            (*ones, *(axis.stride for axis in self.geometry.axes)),
            np.array(list(phases), np.int64),
        )

    def run(
        self,
        samples: int,
        groups: tuple[int, int],
        panels: tuple[int, int],
        arrays: tuple[Array, Array, Array, Array],
        threads: int,
    ) -> None:
        """Run all tiles of some samples, groups and panels."""
        items, shares = self.cut(samples, groups, panels, threads)
        share(self.loops, (*arrays, self.table, shares), items, threads)

    def cut(
        self, samples: int, groups: tuple[int, int], panels: tuple[int, int], threads: int
    ) -> tuple[int, tuple[int, ...]]:
        """Return the number of items that threads can share, and how the loops find them."""
        count = panels[1] - panels[0]
        panel_bytes = self.panel_elements * self.itemsize
        block = min(count, max(1, PANELS_BYTES // panel_bytes))
        outer = samples * (groups[1] - groups[0]) * -(-count // block)
        run = self.tiles
        if threads > 1:
            run = -(-run // -(-ITEMS_PER_THREAD * threads // outer))
        items = outer * -(-self.tiles // run)
        return items, (groups[0], groups[1] - groups[0], *panels, block, run)


@lru_cache(maxsize=512)
def _engine(problem: Problem) -> Engine:
    from fastconv.kernels import target

    streams = _streams(problem, target.host().lanes(problem.dtype))
    return engine_of(problem, Target(problem.conv.axes[-1].out), problem.conv.positions, streams)


def engine_of(problem: Problem, target: Target, plane: int, streams: bool = False) -> Engine:
    """Return the engine of a forward problem whose results go to planes of so many elements."""
    from fastconv.kernels import gemm, phases
    from fastconv.kernels.target import host, tile_for

    geometry, dtype, step = problem.conv, problem.dtype, target.step
    image, tile = Image(geometry.axes), tile_for(problem.dtype, problem.conv.m, step)
    lanes, masked = host().lanes(dtype), host().masked_loads
    channels = geometry.channels // geometry.groups
    shape = (lanes, tile.vectors, gemm.HEADER_WORDS)
    words = tile_table(image, channels, CHANNEL_BLOCK, *shape, target)
    tiles = (int(words[3]) - gemm.HEADER_WORDS) // TILE_WORDS
    slack = 0 if masked else image.elements + tile.vectors[0] * lanes
    header = {
        "tiles": tiles,
        "channels": channels,
        "taps": geometry.taps,
        "rows": geometry.m,
        "x_start": slack,
        "x_channel": image.elements,
        "x_sample": geometry.channels * image.elements,
        "y_channel": plane,
        "y_sample": geometry.out_channels * plane,
        "activation": code_of(problem.activation),
        "stream": int(streams),
    }
    table = np.concatenate([np.array([header[name] for name in gemm.HEADER], np.int64), words])
    return Engine(
        geometry,
        image,
        tile.rows,
        table,
        tiles,
        gemm.conv_loops(dtype.name, tile.rows, tile.vectors, step),
        gemm.panel_packer(dtype.name, tile.rows, step),
        phases.phase_splitter(dtype.name),
        slack,
        not (image.is_input and masked),
        dtype.itemsize,
        step,
    )


def _streams(problem: Problem, lanes: int) -> bool:
    """Return whether results are so large that to cache them costs too much."""
    geometry, itemsize = problem.conv, problem.dtype.itemsize
    size = math.prod(geometry.output_shape) * itemsize
    return (
        size >= STREAM_BYTES
        and geometry.positions % lanes == 0
        and problem.activation in (None, "relu", "relu6", "leaky_relu")
    )


def _samples(problem: Problem, limit: int) -> int:
    """Return how many samples are copied at a time."""
    engine = _engine(problem)
    sample = problem.conv.channels * engine.image.elements * problem.dtype.itemsize
    return max(1, min(problem.conv.batch, (limit - CHUNK_BYTES) // max(1, sample)))


def _chunk(problem: Problem) -> tuple[int, int]:
    """Return the groups and the panels of each that are packed at a time."""
    engine, geometry = _engine(problem), problem.conv
    most = CHUNK_BYTES // (engine.panel_elements * problem.dtype.itemsize)
    groups = max(1, min(geometry.groups, most // engine.panels))
    return groups, max(1, min(engine.panels, most))


def _weights(problem: Problem, engine: Engine, w: Array | Packed, threads: int) -> Any:
    """Yield ranges of groups and panels and their packed weights."""
    geometry = problem.conv
    if isinstance(w, Packed):
        yield (0, geometry.groups), (0, engine.panels), w.panels
        return
    groups, panels = _chunk(problem)
    buffer = memory.empty((groups * panels * engine.panel_elements,), w.dtype)
    for group in range(0, geometry.groups, groups):
        group_range = (group, min(geometry.groups, group + groups))
        for panel in range(0, engine.panels, panels):
            panel_range = (panel, min(engine.panels, panel + panels))
            _pack_weight(engine, geometry, w, group_range, panel_range, buffer, threads)
            yield group_range, panel_range, buffer


def _pack_weight(
    engine: Engine,
    geometry: ConvGeometry,
    w: Array,
    groups: tuple[int, int],
    panels: tuple[int, int],
    packed: Array,
    threads: int,
) -> None:
    count = panels[1] - panels[0]
    terms = terms_of(w, geometry.groups, geometry.rank)
    arrays = (terms.flat, packed, terms.places(engine.units), terms.steps)
    items = (groups[1] - groups[0]) * count
    place = (groups[0], panels[0], count, geometry.m, geometry.k)
    share(engine.pack_panels, (*arrays, place), items, threads)


def _packed_bias(
    engine: Engine, geometry: ConvGeometry, b: Array | None, dtype: np.dtype[Any]
) -> Array:
    """Return the bias as (groups, panels, rows), zeros below each group's last channel."""
    rows = engine.panels * engine.rows
    packed = np.zeros((geometry.groups, rows), dtype)
    if b is not None:
        packed[:, : geometry.m] = b.reshape(geometry.groups, geometry.m)
    return packed.reshape(-1)
