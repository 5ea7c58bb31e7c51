"""What Winograd's convolution needs besides arrays: a table, compiled loops, chunks of weights."""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from fastconv.activations import code_of
from fastconv.algorithms.winograd_cost import blocks_of, form_of
from fastconv.dtypes import Array
from fastconv.geometry import ConvGeometry
from fastconv.kernels.pool import share
from fastconv.lowering.taps import cheapest_widths
from fastconv.lowering.tile_blocks import Blocks
from fastconv.lowering.weights import taps_of
from fastconv.problem import Problem

CHUNK_BYTES = 4 * 2**20
"""Transformed weights that are packed at a time by a call that does not find them packed."""
SHARED_BYTES = 6 * 2**20
"""Transformed inputs that are kept at a time for all threads."""
TOGETHER = 48
"""Tiles of a block of several samples."""
LONGEST_SUM = 128
"""Channels after which a sum is put aside."""

Part = tuple[int, int, int, int]
"""First panel, how many, what is added to places of packed weights, elements of a packed group."""


@dataclass(frozen=True)
class Engine:
    """What depends on the problem only."""

    geometry: ConvGeometry
    form: Any
    blocks: Blocks
    samples: int
    widths: tuple[int, ...]
    lanes: int
    table: Array
    loops: Any
    pack_panels: Any
    panel_loops: Any
    own_elements: int
    block_elements: int
    itemsize: int

    @property
    def vectors(self) -> int:
        """Vectors of the channels of a group."""
        return -(-(self.geometry.channels // self.geometry.groups) // self.lanes)

    @cached_property
    def parts(self) -> int:
        """Blocks of all groups and samples."""
        chunks = -(-self.geometry.batch // self.samples)
        return self.geometry.groups * chunks * len(self.blocks.places)

    @cached_property
    def together(self) -> int:
        """Blocks whose transformed inputs are kept at a time."""
        most = SHARED_BYTES // (self.block_elements * self.itemsize)
        return max(1, min(self.parts, most))

    @cached_property
    def panel_elements(self) -> int:
        """Elements of a packed vector of output channels."""
        channels = self.geometry.channels // self.geometry.groups
        return int(self.form.points) * (channels + 1) * self.lanes

    @cached_property
    def group_size(self) -> int:
        """Elements of the packed weights of a group."""
        return sum(self.widths) * self.panel_elements

    @cached_property
    def chunk(self) -> int:
        """Panels of every group that are packed at a time."""
        widest = self.geometry.groups * self.widths[0] * self.panel_elements * self.itemsize
        return max(1, min(len(self.widths), CHUNK_BYTES // widest))

    @cached_property
    def most_packed(self) -> int:
        """Elements of the largest chunk of packed weights."""
        return self.geometry.groups * sum(self.widths[: self.chunk]) * self.panel_elements

    @property
    def by_panels(self) -> bool:
        """Whether threads transform weights that are not packed by panels, when they need them."""
        return self.geometry.groups == 1 and self.chunk < len(self.widths)

    @cached_property
    def own_panel_elements(self) -> int:
        """Elements that every thread has of its own, where weights are transformed by panels."""
        channels = min(LONGEST_SUM, self.geometry.channels)
        weights: int = int(self.form.points) * (channels + 1) * self.widths[0] * self.lanes
        taps: int = self.lanes * self.lanes * math.prod(self.form.taps)
        return weights + taps + self.own_elements * (self.together + 1)

    def part(self, first: int, count: int) -> Part:
        """Return some panels, whose weights alone are packed."""
        before = sum(self.widths[:first]) * self.panel_elements
        size = sum(self.widths[first : first + count]) * self.panel_elements
        return first, count, -before, size

    def pack(self, w: Array, packed: Array, part: Part, threads: int) -> None:
        """Transform and pack some panels of all groups."""
        items = self.geometry.groups * part[1] * self.vectors
        flat, steps = taps_of(w, self.geometry.groups, self.geometry.rank)
        arrays = (flat, packed, self.table, steps, (0, 0, *part))
        share(self.pack_panels, arrays, items, threads)

    def packed_bias(self, bias: Array | None) -> Array:
        """Return zeros for a panel, then (groups, outputs and a vector of zeros)."""
        first, m = self.widths[0] * self.lanes, self.geometry.m
        packed = np.zeros(first + self.geometry.groups * (m + self.lanes), self.dtype)
        if bias is not None:
            self._biases(packed)[...] = bias.reshape(self.geometry.groups, m)
        return packed

    def raw_bias(self, packed: Array) -> Array:
        """Return the bias again from what `packed_bias` returned."""
        return self._biases(packed).reshape(-1)

    def _biases(self, packed: Array) -> Array:
        m = self.geometry.m
        body = packed[self.widths[0] * self.lanes :].reshape(self.geometry.groups, m + self.lanes)
        return body[:, :m]

    @property
    def dtype(self) -> np.dtype[Any]:
        """What is computed in."""
        return np.dtype(f"f{self.itemsize}")


@lru_cache(maxsize=512)
def engine_of(problem: Problem, outputs: int) -> Engine:
    """Return what depends on the problem, and on the outputs of a tile along an axis."""
    from fastconv.kernels import target, winograd, winograd_panels

    geometry, lanes = problem.conv, target.host().lanes(problem.dtype)
    form, tile = form_of(problem, outputs), target.ROW_TILES[target.host().name]
    widths = cheapest_widths(-(-geometry.m // lanes), tile.vectors)
    blocks = blocks_of(problem, outputs)
    samples = 1
    if len(blocks.places) == 1:
        samples = max(1, min(geometry.batch, TOGETHER // blocks.most))
    most = -(-blocks.most * samples // tile.rows) * tile.rows
    numbers = _numbers(problem, form, blocks, most)
    lists = _lists(geometry, form, blocks, widths, tile.rows, numbers["channel_pitch"])
    numbers |= lists[1] | {"samples": samples, "widest": widths[0], "panels": len(widths)}
    table = [numbers[name] for name in winograd.HEADER] + lists[0]
    product = form.points * (most * widths[0] * lanes + lanes)
    return Engine(
        geometry,
        form,
        blocks,
        samples,
        widths,
        lanes,
        np.array(table, np.int64),
        winograd.winograd_loops(form, tile.rows, tile.vectors),
        winograd_panels.weight_packer(form),
        winograd_panels.panel_loops(form, tile.rows, tile.vectors),
        numbers["scratch_elements"] + product,
        numbers["block_elements"],
        problem.dtype.itemsize,
    )


def _numbers(problem: Problem, form: Any, blocks: Blocks, most: int) -> dict[str, int]:
    """Return the sizes of arrays and scratch by their names in the table."""
    geometry, lanes = problem.conv, form.lanes
    axes = [(axis.size, axis.before, axis.out) for axis in geometry.axes]
    (height, above, high), (width, left, wide) = [(1, 0, 1)] * (2 - geometry.rank) + axes
    channels = geometry.channels // geometry.groups
    channel_pitch = (-(-channels // lanes) + 1) * lanes
    point_pitch = most * channel_pitch + lanes
    rows, columns = (
        block * m + taps - 1
        for block, m, taps in zip(blocks.block, form.outputs, form.taps, strict=True)
    )
    pitch = -(-columns // lanes) * lanes * lanes
    return {
        "batch": geometry.batch,
        "groups": geometry.groups,
        "channels": channels,
        "outputs": geometry.m,
        "height": height,
        "width": width,
        "before_height": above,
        "before_width": left,
        "out_height": high,
        "out_width": wide,
        "no_activation": 0,
        "activation": code_of(problem.activation),
        "blocks": len(blocks.places),
        "channel_pitch": channel_pitch,
        "point_pitch": point_pitch,
        "block_elements": form.points * point_pitch,
        "scratch_pitch": pitch,
        "scratch_elements": rows * pitch,
    }


def _lists(
    geometry: ConvGeometry,
    form: Any,
    blocks: Blocks,
    widths: tuple[int, ...],
    rows: int,
    channel_pitch: int,
) -> tuple[list[int], dict[str, int]]:
    """Return the words after the header, and where they begin by their names in it."""
    from fastconv.kernels.winograd import HEADER_WORDS

    channels = geometry.channels // geometry.groups
    words = [word for place in blocks.places for word in place]
    panel_table, first = HEADER_WORDS + len(words), 0
    for width in widths:
        words += [width, first, first * (channels + 1) * form.points]
        first += width * form.lanes
    segments = HEADER_WORDS + len(words)
    words += _segments(channels)
    rows_table = HEADER_WORDS + len(words)
    words += [row * channel_pitch for row in range(rows)]
    return words, {
        "block_table": HEADER_WORDS,
        "panel_table": panel_table,
        "segments": segments,
        "segments_end": rows_table,
        "rows_table": rows_table,
    }


def _segments(channels: int) -> list[int]:
    """List (place in the weights, first channel, channels, whether to put aside, tap)."""
    words: list[int] = []
    for first in range(0, channels, LONGEST_SUM):
        count = min(LONGEST_SUM, channels - first)
        words += [first, first, count, int(count == LONGEST_SUM), 0]
    return words
