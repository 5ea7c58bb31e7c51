"""Convolution of channels-last arrays by generated machine code, in place.

The input is never copied, transposed or padded: a tile reads each of its positions' channels where
they lie, whatever the stride (`kernels.row_tile`).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from fastconv.activations import code_of
from fastconv.algorithms.algorithm import Inputs, Outputs, Packed
from fastconv.algorithms.implicit_gemm import (
    ITEMS_PER_THREAD,
    MOST_AXES,
    PANELS_BYTES,
    threads_now,
)
from fastconv.algorithms.numba_here import NOT_INSTALLED, numba_installed
from fastconv.dtypes import Array, ready
from fastconv.geometry import ConvGeometry
from fastconv.kernels.pool import share
from fastconv.lowering.taps import LONGEST_SUM, cheapest_widths
from fastconv.problem import Problem

CHANNEL_BLOCK = LONGEST_SUM
FEWEST_CHANNELS = 16
"""Channels of a group below which the loop over them is too short to be worth starting."""
TAIL = 64
"""Elements after a group's bias that a vector may load."""


class ChannelsLast:
    """Tiles of positions by output channels, over channels-last arrays."""

    name = "channels_last"
    exact = True
    uses_blas = False
    compiled = True
    layout = "channels_last"

    def rejects(self, problem: Problem) -> str | None:
        """Accept channels-last convolutions forward."""
        if problem.operation != "conv" or problem.direction != "forward":
            return f"solves conv forward, not {problem.operation} {problem.direction}"
        if problem.not_compiled is not None:
            return problem.not_compiled
        if problem.layout != "channels_last":
            return "layout is channels_first"
        if not numba_installed():
            return NOT_INSTALLED
        if problem.conv.rank > MOST_AXES:
            return f"written for up to {MOST_AXES} spatial dimensions"
        channels = problem.conv.channels // problem.conv.groups
        if channels < FEWEST_CHANNELS and problem.conv.taps > 1:
            return f"{channels} channels make each tap too short; transposing costs less"
        return None

    def fuses_activation(self, problem: Problem) -> bool:
        """Return True: tiles end in it, or what they have written is finished in the cache."""
        return True

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count the packed weights."""
        engine = _engine(problem)
        elements = problem.conv.groups * engine.group_size
        return elements * problem.dtype.itemsize

    def pack(self, problem: Problem, weight: Array, bias: Array | None) -> Packed:
        """Return weight and bias as the tiles read them, to be used by any number of runs."""
        engine, geometry = _engine(problem), problem.conv
        key = (self.name, problem.dtype, engine.rows)
        packed = _packed_weight(engine, geometry, weight)
        return Packed(weight, packed, _packed_bias(geometry, bias, problem.dtype), key)

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Share the items out among threads."""
        engine, geometry = _engine(problem), problem.conv
        x, w, b = inputs
        (y,) = outputs
        if not geometry.batch:
            return
        packed = w if isinstance(w, Packed) else self.pack(problem, w, b)
        threads = threads_now(problem, threads)
        items, shares = engine.cut(geometry, threads)
        flat = ready(x).reshape(-1)
        arrays = (flat, packed.panels, packed.bias, y.reshape(-1), engine.table, engine.zeros)
        share(engine.loops, (*arrays, engine.place, shares), items, threads)


@dataclass(frozen=True)
class _Engine:
    """What depends on the problem only."""

    rows: int
    loops: Any
    widths: tuple[int, ...]
    lanes: int
    table: Array
    segments: tuple[int, int]
    group_size: int
    place: tuple[Any, ...]
    zeros: Array

    def cut(self, geometry: ConvGeometry, threads: int) -> tuple[int, tuple[int, ...]]:
        """Return the number of items that threads can share, and how the loops find them."""
        panels = len(self.widths)
        panel_bytes = self.group_size // panels * self.zeros.itemsize
        block = min(panels, max(1, PANELS_BYTES // panel_bytes))
        outer = geometry.batch * geometry.groups * -(-panels // block)
        tiles = -(-geometry.positions // self.rows)
        run = tiles if threads == 1 else -(-tiles // -(-ITEMS_PER_THREAD * threads // outer))
        channels = geometry.channels // geometry.groups
        samples = (
            math.prod(geometry.sizes) * geometry.channels,
            geometry.positions * geometry.out_channels,
        )
        shares = (channels, geometry.m, *samples, geometry.positions, geometry.groups, panels)
        return outer * -(-tiles // run), (*shares, block, run, 10, *self.segments, self.group_size)


@lru_cache(maxsize=512)
def _engine(problem: Problem) -> _Engine:
    from fastconv.kernels import last, target

    geometry, dtype = problem.conv, problem.dtype
    lanes = target.host().lanes(dtype)
    tile = target.ROW_TILES[target.host().name]
    widths = cheapest_widths(-(-geometry.m // lanes), tile.vectors)
    channels, taps = geometry.channels // geometry.groups, geometry.taps
    panels, place, first = [], 0, 0
    for width in widths:
        panels += [width, first, place, min(width * lanes, geometry.m - first)]
        first += width * lanes
        place += width * lanes * geometry.k
    segments = _segments(channels, taps)
    # the word that `kernels.sums` reads the activation from comes before everything
    words = np.array([0] * 10 + panels + segments, np.int64)
    words[9] = code_of(problem.activation)
    return _Engine(
        tile.rows,
        last.last_loops(dtype.name, tile.rows, tile.vectors),
        widths,
        lanes,
        words,
        (10 + len(panels), len(words)),
        place,
        _place(geometry),
        np.zeros(CHANNEL_BLOCK, dtype),
    )


def _segments(channels: int, taps: int) -> list[int]:
    """List (place in the packed weights, first channel, channels, flush, tap) of every segment."""
    words: list[int] = []
    terms = 0
    for first in range(0, channels, CHANNEL_BLOCK):
        count = min(CHANNEL_BLOCK, channels - first)
        for tap in range(taps):
            terms += count
            flush = terms >= LONGEST_SUM
            terms = 0 if flush else terms
            words += [first * taps + tap * count, first, count, int(flush), tap]
    return words


def _place(geometry: ConvGeometry) -> tuple[Any, ...]:
    """Return sizes, out, kernel, stride, before and dilation of three axes, and all channels."""
    ones, zeros = (1,) * (MOST_AXES - geometry.rank), (0,) * (MOST_AXES - geometry.rank)
    axes = geometry.axes
    return (
        (*ones, *geometry.sizes),
        (*ones, *geometry.out),
        (*ones, *geometry.kernel),
        (*ones, *(axis.stride for axis in axes)),
        (*zeros, *(axis.before for axis in axes)),
        (*ones, *(axis.dilation for axis in axes)),
        geometry.channels,
    )


def _packed_weight(engine: _Engine, geometry: ConvGeometry, w: Array) -> Array:
    """Return the weights as (groups, panels, segments, channels, columns), zeros at the end."""
    channels, taps = geometry.channels // geometry.groups, geometry.taps
    packed = np.zeros((geometry.groups, engine.group_size), w.dtype)
    split = w.reshape(geometry.groups, geometry.m, channels, taps)
    place = first = 0
    for width in engine.widths:
        columns = width * engine.lanes
        part = split[:, first : first + columns]  # (g, columns, c, taps)
        for start in range(0, channels, CHANNEL_BLOCK):
            some = part[:, :, start : start + CHANNEL_BLOCK]
            size = some.shape[2] * taps * columns
            target = packed[:, place : place + size]
            target = target.reshape(geometry.groups, taps, some.shape[2], columns)
            target[..., : some.shape[1]] = some.transpose(0, 3, 2, 1)
            place += size
        first += columns
    return packed.reshape(-1)


def _packed_bias(geometry: ConvGeometry, b: Array | None, dtype: np.dtype[Any]) -> Array:
    packed = np.zeros((geometry.groups, geometry.m + TAIL), dtype)
    if b is not None:
        packed[:, : geometry.m] = b.reshape(geometry.groups, geometry.m)
    return packed.reshape(-1)
