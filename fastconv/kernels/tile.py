"""The micro-kernel: a tile of `rows` output channels by `vectors` vectors of positions.

    y[i, q] = bias[i] + sum over segments s, channels c of w[s, c, i] * x[c, q + shift[s]]

A segment is one tap of the window for some channels: a shift of the input's flat positions, and a
mask for each vector that says which positions the tap reads real input for. So the window view is
read in place: columns are never made, and padding is never stored.

Contract. The caller packs the weights as (segment, channel, row), always `rows` of them (zeros
below the last output channel), and gives `valid` channels to be stored. Accumulators start from the
bias, which has `rows` elements, and stay in registers over all segments, but for those marked to
move them to the stack, so that no sum gets long; a result is written once, in a fixed order of
summation, and never read. Every vector has a list of stores,
each a mask and the shift of its lanes in the output. Reads and writes touch the lanes of masks
only; with `blend` reads touch whole vectors, which must be readable. Distances are in elements.
"""

from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numba import types

from fastconv.kernels.jit import intrinsic
from fastconv.kernels.sums import Sums, close
from fastconv.kernels.turn import interleaved
from fastconv.kernels.vector import INT64, Vectors, constant, data_pointer

SEGMENT_WORDS = 4
STREAM_WORD = 10
"""Place in the table of whether results go past the caches."""
PREFETCH_BYTES = 4096
"""How far ahead weights are fetched: a long stream that small images read but once."""


@dataclass(frozen=True)
class Shape:
    """What a tile is generated for."""

    dtype: np.dtype
    rows: int
    vectors: int
    lanes: int
    blend: bool
    step: int = 1
    """Elements of the output for each position: rows are so many for every output channel."""

    @property
    def channels(self) -> int:
        """Output channels of a tile."""
        return self.rows // self.step


def make_tile(shape: Shape):
    """Return an intrinsic that runs one tile.

    Its arguments: weights and the tile's place in them; x and the place of channel 0 at the tile's
    first position; bias and its place; y and the place of row 0 at position 0; the integer table;
    in it the places of the tile's first segment (each: place in w in rows, shift, channels, whether
    to flush, a mask per vector), of the end of its segments, and of its store lists (each: count,
    then mask and shift of every store); elements between channels of x and of y; `valid` channels.
    """

    @intrinsic
    def tile(typing, w, w0, x, x0, bias, b0, y, y0, table, first, last, stores, xs, ys, valid):
        signature = types.void(
            w,
            types.intp,
            x,
            types.intp,
            bias,
            types.intp,
            y,
            types.intp,
            table,
            *(types.intp,) * 6,
        )

        def emit(context, builder, signature, arguments):
            tile = _PositionTile(shape, context, builder, signature, arguments)
            tile.run(*arguments[9:11])
            return context.get_dummy_value()

        return signature, emit

    return tile


class _PositionTile(Sums):
    """Writes the code of one tile at the builder's place."""

    def __init__(self, shape, context, builder, signature, arguments):
        table = data_pointer(context, builder, signature.args[8], arguments[8], constant(0))
        super().__init__(builder, Vectors(builder, shape.dtype, shape.lanes), table)
        self.shape, self.words = shape, SEGMENT_WORDS + shape.vectors

        def pointer(index):
            kind, place = signature.args[index], arguments[index + 1]
            return data_pointer(context, builder, kind, arguments[index], place)

        self.w, self.x, self.bias, self.y = (pointer(index) for index in (0, 2, 4, 6))
        self.stores, self.xs, self.ys, self.valid = arguments[11:]

    def start(self):
        """Repeat the bias of each row."""
        builder = self.builder
        return [
            self.vectors.broadcast(builder.load(builder.gep(self.bias, [constant(row)])))
            for row in range(self.shape.rows)
            for _ in range(self.shape.vectors)
        ]

    def segment(self, place, sums):
        """Add one tap of some channels, whose masks and shift are the same."""
        builder, rows = self.builder, self.shape.rows
        masks = [
            self.vectors.mask(self.entry(place, SEGMENT_WORDS + j))
            for j in range(self.shape.vectors)
        ]
        w_start = builder.gep(self.w, [builder.mul(self.entry(place, 0), constant(rows))])
        x_start = builder.gep(self.x, [self.entry(place, 1)])
        channels = self.entry(place, 2)
        before, loop = builder.block, builder.append_basic_block("channels")
        builder.branch(loop)

        builder.position_at_end(loop)
        channel, w, x = (builder.phi(kind) for kind in (INT64, w_start.type, x_start.type))
        for phi, value in ((channel, constant(0)), (w, w_start), (x, x_start)):
            phi.add_incoming(value, before)
        running = self.phis(sums, before)
        added = self._channel(w, x, masks, running)
        following = builder.add(channel, constant(1))
        channel.add_incoming(following, loop)
        w.add_incoming(builder.gep(w, [constant(rows)]), loop)
        x.add_incoming(builder.gep(x, [self.xs]), loop)
        close(running, added, loop)
        after = builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", following, channels), loop, after)
        builder.position_at_end(after)
        return added

    def _channel(self, w, x, masks, running):
        """Add one rank-1 update: `rows` broadcasts times `vectors` columns."""
        builder, vectors = self.builder, self.vectors
        load = vectors.blended_load if self.shape.blend else vectors.masked_load
        columns = [
            load(builder.gep(x, [constant(j * self.shape.lanes)]), mask)
            for j, mask in enumerate(masks)
        ]
        ahead = constant(PREFETCH_BYTES // self.shape.dtype.itemsize)
        vectors.prefetch(builder.gep(w, [ahead]))
        added = []
        for row in range(self.shape.rows):
            scalar = vectors.broadcast(builder.load(builder.gep(w, [constant(row)])))
            for column in columns:
                added.append(vectors.multiply_add(scalar, column, running[len(added)]))
        return added

    def store(self, totals):
        """Run the store list of each vector; channels beyond the valid ones get an empty mask."""
        place = self.stores
        for j in range(self.shape.vectors):
            for values in zip(*self._elements(totals[j :: self.shape.vectors]), strict=True):
                place = self._store(place, values)

    def _elements(self, rows):
        """Return for every channel the vectors of its elements, those of a position together."""
        count = self.shape.channels
        return [interleaved(self.builder, rows[channel::count]) for channel in range(count)]

    def _store(self, place, values):
        """Run the store list at a place, of a vector of every channel; return the next place."""
        builder = self.builder
        empty = ir.Constant(self.vectors.mask_type, [0] * self.shape.lanes)
        count = self.entry(place, 0)
        start = builder.add(place, constant(1))
        end = builder.add(start, builder.mul(count, constant(2)))
        before = builder.block
        loop, after = (builder.append_basic_block(name) for name in ("stores", "stored"))
        builder.cbranch(builder.icmp_signed("<", start, end), loop, after)
        builder.position_at_end(loop)
        item = builder.phi(INT64)
        item.add_incoming(start, before)
        mask = self.vectors.mask(self.entry(item, 0))
        target = builder.gep(self.y, [self.entry(item, 1)])
        rows = [(value, builder.gep(target, [self._row(row)])) for row, value in enumerate(values)]
        with builder.if_else(self._streams(item, target)) as (past, through):
            with past:
                for value, pointer in rows:
                    self.vectors.stream(value, pointer)
            with through:
                for row, (value, pointer) in enumerate(rows):
                    kept = builder.icmp_signed("<", constant(row), self.valid)
                    row_mask = mask if row == 0 else builder.select(kept, mask, empty)
                    self.vectors.masked_store(value, pointer, row_mask)
        following = builder.add(item, constant(2))
        item.add_incoming(following, builder.block)
        builder.cbranch(builder.icmp_signed("<", following, end), loop, after)
        builder.position_at_end(after)
        return end

    def _row(self, row):
        return self.builder.mul(self.ys, constant(row))

    def _streams(self, item, target):
        """Whether a whole vector of all rows goes past the caches."""
        builder, lanes = self.builder, self.shape.lanes
        size = lanes * self.shape.dtype.itemsize
        address = builder.ptrtoint(target, INT64)
        whole = builder.icmp_signed("==", self.entry(item, 0), constant((1 << lanes) - 1))
        aligned = builder.icmp_signed("==", builder.and_(address, constant(size - 1)), constant(0))
        asked = builder.icmp_signed("!=", self.entry(constant(STREAM_WORD), 0), constant(0))
        all_rows = builder.icmp_signed("==", self.valid, constant(self.shape.channels))
        return builder.and_(builder.and_(whole, aligned), builder.and_(asked, all_rows))
