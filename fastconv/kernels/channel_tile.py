"""The micro-kernel of small planes: `rows` positions by `vectors` vectors of output channels.

    y[oc, i] = bias[oc] + sum over k of x[place[i] + shift[k]] * w[k, oc]

Where planes are small, vectors of positions would be filled badly; here vectors are filled with
output channels, and what is repeated in every lane is an input at a position. A term `k` of the sum
is a tap of a channel; its shift is the same for all positions, in an input that holds its padding.

Contract. The caller packs the weights as (k, vectors * lanes), zeros beyond the last output
channel, and gives the shift of every term and `rows` places in x, which must all be readable.
`valid` rows and `columns` channels are stored: the rows are neighbours in y, channels `ys` apart.
Distances are in elements.
"""

from numba import types
from numba.core import cgutils

from fastconv.kernels.jit import intrinsic
from fastconv.kernels.sums import Sums, close
from fastconv.kernels.tile import PREFETCH_BYTES, Shape
from fastconv.kernels.turn import interleaved, picked
from fastconv.kernels.vector import INT64, Vectors, constant, data_pointer

SEGMENT_WORDS = 4
"""Words of a segment: first term, place of its shift in the table, terms, whether to flush."""


def make_channel_tile(shape: Shape):
    """Return an intrinsic that runs one tile.

    Its arguments: weights and the tile's place in them; x and the place that all others count from;
    bias and its place; y and its place; the integer table and in it the first segment, the end of
    the segments, and the rows' places; `ys`, `valid`, `columns`.
    """

    @intrinsic
    def channel_tile(
        typing, w, w0, x, x0, bias, b0, y, y0, table, first, last, rows, ys, valid, columns
    ):
        n = types.intp
        signature = types.void(w, n, x, n, bias, n, y, n, table, *(n,) * 6)

        def emit(context, builder, signature, arguments):
            def pointer(index, offset):
                kind = signature.args[index]
                return data_pointer(context, builder, kind, arguments[index], offset)

            vectors = Vectors(builder, shape.dtype, shape.lanes)
            tile = ChannelTile(builder, vectors, pointer(8, constant(0)))
            tile.shape, tile.words = shape, SEGMENT_WORDS
            tile.w, tile.bias, tile.y = (pointer(i, arguments[i + 1]) for i in (0, 4, 6))
            tile.ys, tile.valid, tile.columns = arguments[12:]
            tile.find_rows(pointer(2, arguments[3]), arguments[11])
            tile.run(*arguments[9:11])
            return context.get_dummy_value()

        return signature, emit

    return channel_tile


class ChannelTile(Sums):
    """Writes the code of one tile at the builder's place."""

    def find_rows(self, x, place):
        """Remember where each row reads."""
        self.rows = [
            self.builder.gep(x, [self.entry(place, row)]) for row in range(self.shape.rows)
        ]

    def start(self):
        """Load the bias of each channel, the same for all rows."""
        lanes = self.shape.lanes
        bias = [
            self.vectors.load(self.builder.gep(self.bias, [constant(j * lanes)]))
            for j in range(self.shape.vectors)
        ]
        return bias * self.shape.rows

    def segment(self, place, sums):
        """Add some terms."""
        builder = self.builder
        width = constant(self.shape.vectors * self.shape.lanes)
        w_start = builder.gep(self.w, [builder.mul(self.entry(place, 0), width)])
        shifts = builder.gep(self.table, [self.entry(place, 1)])
        terms = self.entry(place, 2)
        before, loop = builder.block, builder.append_basic_block("terms")
        builder.branch(loop)

        builder.position_at_end(loop)
        term, w = builder.phi(INT64), builder.phi(w_start.type)
        term.add_incoming(constant(0), before)
        w.add_incoming(w_start, before)
        running = self.phis(sums, before)
        added = self._term(builder.load(builder.gep(shifts, [term])), w, running)
        following = builder.add(term, constant(1))
        term.add_incoming(following, loop)
        w.add_incoming(builder.gep(w, [width]), loop)
        close(running, added, loop)
        after = builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", following, terms), loop, after)
        builder.position_at_end(after)
        return added

    def _term(self, shift, w, running):
        """Add one rank-1 update: `rows` broadcasts times `vectors` vectors of weights."""
        builder, vectors, lanes = self.builder, self.vectors, self.shape.lanes
        ahead = PREFETCH_BYTES // self.shape.dtype.itemsize
        for j in range(self.shape.vectors):
            vectors.prefetch(builder.gep(w, [constant(ahead + j * lanes)]))
        weights = [
            vectors.load(builder.gep(w, [constant(j * lanes)])) for j in range(self.shape.vectors)
        ]
        added = []
        for row in self.rows:
            scalar = vectors.broadcast(builder.load(builder.gep(row, [shift])))
            for weight in weights:
                added.append(vectors.multiply_add(scalar, weight, running[len(added)]))
        return added

    def store(self, totals):
        """Turn rows of channels into channels of rows, and store those that exist."""
        builder, lanes, count = self.builder, self.shape.lanes, self.shape.vectors
        width = 1 << (self.shape.rows - 1).bit_length()
        narrow = Vectors(builder, self.shape.dtype, width)
        mask = narrow.first_lanes(self.valid)
        for j in range(count):
            turned = interleaved(builder, totals[j::count])
            for lane in range(lanes):
                channel = constant(j * lanes + lane)
                exists = builder.icmp_signed("<", channel, self.columns)
                with cgutils.if_likely(builder, exists):
                    value = picked(builder, turned, lane, width)
                    target = builder.gep(self.y, [builder.mul(self.ys, channel)])
                    narrow.masked_store(value, target, mask)
