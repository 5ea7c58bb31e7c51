"""The micro-kernel of weight gradients: `rows` weights of a kernel by vectors of output channels.

    gw[oc, i] = sum over positions p of x[place[i] + shift[p]] * gy[p, oc]

It is `kernels.channel_tile` with two roles exchanged: the terms of the sum are positions, and the
rows are weights of a kernel, each a tap of an input channel. So the same code computes it, and any
stride and dilation is but another table. As sums over all positions of a batch are cut into blocks
that stay in the cache, a tile may add to what the block before has stored.

Contract. As there, with `gy` packed as (position, vectors * lanes), zeros beyond the last output
channel; `adds` says whether what is stored so far counts, which is not read otherwise. x and gy may
change places: then the result is `turned`, with the columns of a row as neighbours.
"""

from numba import types
from numba.core import cgutils

from fastconv.kernels.channel_tile import SEGMENT_WORDS, ChannelTile
from fastconv.kernels.jit import intrinsic
from fastconv.kernels.tile import Shape
from fastconv.kernels.turn import interleaved, picked
from fastconv.kernels.vector import Vectors, constant, data_pointer


def make_weight_tile(shape: Shape):
    """Return an intrinsic that runs one tile.

    Its arguments: packed gradients and the tile's place in them; x and the place that all others
    count from; the gradient of the weight and the tile's place in it; the integer table and in it
    the first segment, the end of the segments, and the rows' places; elements between columns of
    the result, or between its rows where it is turned; `valid` rows, `columns`; `adds`.
    """

    @intrinsic
    def weight_tile(
        typing,
        gy,
        gy0,
        x,
        x0,
        gw,
        gw0,
        table,
        first,
        last,
        rows,
        step,
        valid,
        columns,
        adds,
        turned,
    ):
        n = types.intp
        signature = types.void(gy, n, x, n, gw, n, table, *(n,) * 8)

        def emit(context, builder, signature, arguments):
            def pointer(index, offset):
                kind = signature.args[index]
                return data_pointer(context, builder, kind, arguments[index], offset)

            vectors = Vectors(builder, shape.dtype, shape.lanes)
            tile = _WeightTile(builder, vectors, pointer(6, constant(0)))
            tile.shape, tile.words = shape, SEGMENT_WORDS
            tile.w, tile.y = (pointer(i, arguments[i + 1]) for i in (0, 4))
            tile.ys, tile.valid, tile.columns, tile.adds, tile.turned = arguments[10:]
            tile.find_rows(pointer(2, arguments[3]), arguments[9])
            tile.run(*arguments[7:9])
            return context.get_dummy_value()

        return signature, emit

    return weight_tile


class _WeightTile(ChannelTile):
    """Writes the code of one tile at the builder's place."""

    def start(self):
        """Start from nothing."""
        return [self.vectors.zero] * (self.shape.rows * self.shape.vectors)

    def activated(self, totals):
        """Return the sums as they are."""
        return totals

    def store(self, totals):
        """Store rows, or turn them into columns and store these."""
        builder = self.builder
        turned = builder.icmp_signed("!=", self.turned, constant(0))
        with builder.if_else(turned) as (as_rows, as_columns):
            with as_rows:
                self._store_rows(totals)
            with as_columns:
                self._store_columns(totals)

    def _store_rows(self, totals):
        """Store or add the columns that exist of the rows that do."""
        builder, vectors, count = self.builder, self.vectors, self.shape.vectors
        firsts = [constant(j * self.shape.lanes) for j in range(count)]
        masks = [self._masks(vectors, builder.sub(self.columns, first)) for first in firsts]
        for row in range(self.shape.rows):
            exists = builder.icmp_signed("<", constant(row), self.valid)
            target = builder.gep(self.y, [builder.mul(self.ys, constant(row))])
            with cgutils.if_likely(builder, exists):
                for j, (first, mask) in enumerate(zip(firsts, masks, strict=True)):
                    self._put(vectors, totals[row * count + j], builder.gep(target, [first]), mask)

    def _store_columns(self, totals):
        """Turn rows of columns into columns of rows, and store or add those that exist."""
        builder, lanes, count = self.builder, self.shape.lanes, self.shape.vectors
        width = 1 << (self.shape.rows - 1).bit_length()
        narrow = Vectors(builder, self.shape.dtype, width)
        masks = self._masks(narrow, self.valid)
        for j in range(count):
            turned = interleaved(builder, totals[j::count])
            for lane in range(lanes):
                channel = constant(j * lanes + lane)
                exists = builder.icmp_signed("<", channel, self.columns)
                with cgutils.if_likely(builder, exists):
                    value = picked(builder, turned, lane, width)
                    target = builder.gep(self.y, [builder.mul(self.ys, channel)])
                    self._put(narrow, value, target, masks)

    def _masks(self, vectors, count):
        """Return the mask of the first lanes, and that of those where something is added."""
        added = vectors.first_lanes(self.builder.mul(count, self.adds))
        return vectors.first_lanes(count), added

    def _put(self, vectors, value, target, masks):
        """Store the lanes of a mask, or add them to what is there."""
        stored, added = masks
        value = self.builder.fadd(vectors.masked_load(target, added), value)
        vectors.masked_store(value, target, stored)
