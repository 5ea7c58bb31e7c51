"""The micro-kernel of channels-last arrays: `rows` positions by `vectors` vectors of channels.

    y[i, oc] = bias[oc] + sum over segments s, channels c of x[place[s, i] + c] * w[s, c, oc]

The mirror of `kernels.tile`: here a position's channels lie side by side, so the weights are the
vectors, and what is repeated in every lane is a channel of a position. A segment is one tap for
some channels; every row has its own place in x for it, so positions may lie anywhere, and a row
whose tap lies in the padding reads zeros.

Contract. The caller packs the weights as (segment, channel, vectors * lanes), zeros beyond the last
output channel, and gives for every tap the `rows` places in x of channel 0, or a negative number
for padding; `zeros` has as many elements as the longest segment. `valid` rows and `columns`
channels are stored; row i at `i * row_step`. Distances are in elements.
"""

from llvmlite import ir
from numba import types

from fastconv.kernels.jit import intrinsic
from fastconv.kernels.sums import Sums, close
from fastconv.kernels.tile import PREFETCH_BYTES, Shape
from fastconv.kernels.vector import INT64, Vectors, constant, data_pointer

SEGMENT_WORDS = 5
"""Words of a segment: place in w in channels, first channel, channels, whether to flush, tap."""


def make_row_tile(shape: Shape):
    """Return an intrinsic that runs one tile.

    Its arguments: weights and the tile's place in them; x; zeros; places and the tile's first place
    there; bias and its place; y and its place; the integer table and in it the first segment and
    the end of the segments; `row_step`, `valid`, `columns`.
    """

    @intrinsic
    def row_tile(
        typing,
        w,
        w0,
        x,
        zeros,
        places,
        p0,
        bias,
        b0,
        y,
        y0,
        table,
        first,
        last,
        step,
        valid,
        columns,
    ):
        place = types.intp
        signature = types.void(
            w, place, x, zeros, places, place, bias, place, y, place, table, *(place,) * 5
        )

        def emit(context, builder, signature, arguments):
            def pointer(index, offset):
                kind = signature.args[index]
                return data_pointer(context, builder, kind, arguments[index], offset)

            table = pointer(10, constant(0))
            tile = _RowTile(builder, Vectors(builder, shape.dtype, shape.lanes), table)
            tile.shape, tile.words = shape, SEGMENT_WORDS
            tile.w, tile.x = pointer(0, arguments[1]), pointer(2, constant(0))
            tile.zeros, tile.places = pointer(3, constant(0)), pointer(4, arguments[5])
            tile.bias, tile.y = pointer(6, arguments[7]), pointer(8, arguments[9])
            tile.step, tile.valid, tile.columns = arguments[13:]
            tile.run(*arguments[11:13])
            return context.get_dummy_value()

        return signature, emit

    return row_tile


class _RowTile(Sums):
    """Writes the code of one tile at the builder's place."""

    def start(self):
        """Load the bias of each channel, the same for all rows."""
        lanes = self.shape.lanes
        bias = [
            self.vectors.load(self.builder.gep(self.bias, [constant(j * lanes)]))
            for j in range(self.shape.vectors)
        ]
        return bias * self.shape.rows

    def segment(self, place, sums):
        """Add one tap of some channels."""
        builder = self.builder
        width = self.shape.vectors * self.shape.lanes
        w_start = builder.gep(self.w, [builder.mul(self.entry(place, 0), constant(width))])
        rows = self._rows(self.entry(place, 4), self.entry(place, 1))
        channels = self.entry(place, 2)
        before, loop = builder.block, builder.append_basic_block("channels")
        builder.branch(loop)

        builder.position_at_end(loop)
        channel, w = builder.phi(INT64), builder.phi(w_start.type)
        channel.add_incoming(constant(0), before)
        w.add_incoming(w_start, before)
        running = self.phis(sums, before)
        added = self._channel(channel, w, rows, running)
        following = builder.add(channel, constant(1))
        channel.add_incoming(following, loop)
        w.add_incoming(builder.gep(w, [constant(width)]), loop)
        close(running, added, loop)
        after = builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", following, channels), loop, after)
        builder.position_at_end(after)
        return added

    def _rows(self, tap, first_channel):
        """Return where each row reads the tap: in x, or in the zeros."""
        builder = self.builder
        start = builder.mul(tap, constant(self.shape.rows))
        rows = []
        for row in range(self.shape.rows):
            place = builder.add(start, constant(row))
            place = builder.load(builder.gep(self.places, [place]))
            inside = builder.gep(self.x, [builder.add(place, first_channel)])
            padding = builder.icmp_signed("<", place, constant(0))
            rows.append(builder.select(padding, self.zeros, inside))
        return rows

    def _channel(self, channel, w, rows, running):
        """Add one rank-1 update: `rows` broadcasts times `vectors` vectors of weights."""
        builder, vectors, lanes = self.builder, self.vectors, self.shape.lanes
        ahead = PREFETCH_BYTES // self.shape.dtype.itemsize
        for j in range(self.shape.vectors):
            vectors.prefetch(builder.gep(w, [constant(ahead + j * lanes)]))
        weights = [
            vectors.load(builder.gep(w, [constant(j * lanes)])) for j in range(self.shape.vectors)
        ]
        added = []
        for row in rows:
            scalar = vectors.broadcast(builder.load(builder.gep(row, [channel])))
            for weight in weights:
                added.append(vectors.multiply_add(scalar, weight, running[len(added)]))
        return added

    def store(self, totals):
        """Store the valid rows, and of them the valid columns."""
        builder, lanes = self.builder, self.shape.lanes
        empty = ir.Constant(self.vectors.mask_type, [0] * lanes)
        masks = [
            self.vectors.first_lanes(builder.sub(self.columns, constant(j * lanes)))
            for j in range(self.shape.vectors)
        ]
        for row in range(self.shape.rows):
            kept = builder.icmp_signed("<", constant(row), self.valid)
            start = builder.gep(self.y, [builder.mul(self.step, constant(row))])
            for j, mask in enumerate(masks):
                mask = builder.select(kept, mask, empty)
                value = totals[row * self.shape.vectors + j]
                self.vectors.masked_store(value, builder.gep(start, [constant(j * lanes)]), mask)
