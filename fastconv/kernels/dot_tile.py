"""The micro-kernel of weight gradients with few channels: `rows` by `vectors` sums over positions.

    gw[i, j] = sum over positions p of gy[i, p] * x[place[j] + p]

Vectors are filled with neighbouring positions, of both arrays as they lie: nothing is packed. Every
sum is a vector until its end, where its lanes are added, in pairs of pairs. A column `j` is a tap
of an input channel; a vector of positions has a place in either array, and a mask for both, as rows
of positions end anywhere.

Contract. `valid` rows and `columns` columns exist; the others read what the last of them does, and
are not stored. Reads touch lanes of masks only. `adds` says whether what is stored so far counts,
which is not read otherwise. Distances are in elements.
"""

from llvmlite import ir
from numba import types

from fastconv.kernels.jit import intrinsic
from fastconv.kernels.sums import close
from fastconv.kernels.tile import Shape
from fastconv.kernels.vector import INT32, INT64, Vectors, constant, data_pointer

STEP_WORDS = 3
"""Words of a vector of positions: its place in gy and in x, and its mask."""


def make_dot_tile(shape: Shape):
    """Return an intrinsic that runs one tile.

    Its arguments: gy, the place of the first row, and the distance of the rows; x and the place
    that all others count from; the result, the tile's place in it, and the distance of its rows;
    the integer table, and in it the places of the columns, and the first vector of positions and
    the end of them; valid rows and columns; `adds`.
    """

    @intrinsic
    def dot_tile(
        typing,
        gy,
        gy0,
        gstep,
        x,
        x0,
        gw,
        gw0,
        step,
        table,
        places,
        first,
        last,
        valid,
        columns,
        adds,
    ):
        n = types.intp
        signature = types.void(gy, n, n, x, n, gw, n, n, table, *(n,) * 6)

        def emit(context, builder, signature, arguments):
            def pointer(index, offset):
                kind = signature.args[index]
                return data_pointer(context, builder, kind, arguments[index], offset)

            tile = _DotTile(shape, builder)
            tile.table = pointer(8, constant(0))
            tile.find_rows(pointer(0, arguments[1]), arguments[2], arguments[12])
            tile.find_columns(pointer(3, arguments[4]), arguments[9])
            sums = tile.sums(*arguments[10:12])
            tile.store(sums, pointer(5, arguments[6]), arguments[7], *arguments[12:])
            return context.get_dummy_value()

        return signature, emit

    return dot_tile


class _DotTile:
    """Writes the code of one tile at the builder's place."""

    def __init__(self, shape, builder):
        self.shape, self.builder = shape, builder
        self.vectors = Vectors(builder, shape.dtype, shape.lanes)

    def find_rows(self, gy, step, valid):
        """Remember where each row begins; those that do not exist where the last does."""
        builder = self.builder
        last, self.rows = builder.sub(valid, constant(1)), []
        for row in range(self.shape.rows):
            exists = builder.icmp_signed("<", constant(row), last)
            place = builder.select(exists, constant(row), last)
            self.rows.append(builder.gep(gy, [builder.mul(place, step)]))

    def find_columns(self, x, places):
        """Remember where each column begins."""
        builder = self.builder
        self.columns = []
        for column in range(self.shape.vectors):
            place = self._entry(builder.add(places, constant(column)))
            self.columns.append(builder.gep(x, [place]))

    def sums(self, first, last):
        """Walk the vectors of positions [first, last) of the table, of which there are some."""
        builder, vectors = self.builder, self.vectors
        before, loop = builder.block, builder.append_basic_block("positions")
        builder.branch(loop)

        builder.position_at_end(loop)
        place = builder.phi(INT64)
        place.add_incoming(first, before)
        sums = [builder.phi(vectors.type) for _ in range(self.shape.rows * self.shape.vectors)]
        close(sums, [vectors.zero] * len(sums), before)
        added = self._step(place, sums)
        following = builder.add(place, constant(STEP_WORDS))
        place.add_incoming(following, loop)
        close(sums, added, loop)
        after = builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", following, last), loop, after)
        builder.position_at_end(after)
        return added

    def _step(self, place, sums):
        """Add the products of one vector of positions."""
        builder, vectors = self.builder, self.vectors
        gy_place, x_place, bits = (
            self._entry(builder.add(place, constant(word))) for word in range(STEP_WORDS)
        )
        mask, added = vectors.mask(bits), []
        rows, columns = (
            [vectors.masked_load(builder.gep(start, [offset]), mask) for start in starts]
            for starts, offset in ((self.rows, gy_place), (self.columns, x_place))
        )
        for row in rows:
            for column in columns:
                added.append(vectors.multiply_add(row, column, sums[len(added)]))
        return added

    def store(self, sums, gw, step, valid, columns, adds):
        """Add the lanes of each sum, and store or add those that exist, some columns at a time."""
        builder, count = self.builder, self.shape.vectors
        for row in range(self.shape.rows):
            exists = builder.icmp_signed("<", constant(row), valid)
            stored = builder.select(exists, columns, constant(0))
            target = builder.gep(gw, [builder.mul(step, constant(row))])
            for first in range(0, count, self.shape.lanes):
                part = sums[row * count :][first : min(count, first + self.shape.lanes)]
                left = builder.sub(stored, constant(first))
                self._store_part(part, builder.gep(target, [constant(first)]), left, adds)

    def _store_part(self, sums, target, columns, adds):
        builder, width = self.builder, 1 << (len(sums) - 1).bit_length()
        narrow = Vectors(builder, self.shape.dtype, width)
        added = narrow.first_lanes(builder.mul(columns, adds))
        totals = builder.fadd(narrow.masked_load(target, added), self._totals(sums, width))
        narrow.masked_store(totals, target, narrow.first_lanes(columns))

    def _totals(self, sums, width):
        """Return a vector with the total of every sum.

        Two are made one that has half of each, until there is one; this is halved until every lane
        is a total. So a total does not depend on what else is in the tile.
        """
        sums = sums + sums[-1:] * (width - len(sums))
        while len(sums) > 1:
            half = len(sums) // 2
            sums = [
                self._merged(one, other)
                for one, other in zip(sums[:half], sums[half:], strict=True)
            ]
        total = sums[0]
        while total.type.count > width:
            low, high = (range(s, s + total.type.count // 2) for s in (0, total.type.count // 2))
            total = self.builder.fadd(
                self._picked(total, total, low), self._picked(total, total, high)
            )
        return total

    def _merged(self, one, other):
        """Add the halves of two vectors, whose lanes then take turns.

        Lanes 2 l and 2 l + 1 hold what lane l of either half has.
        """
        lanes = self.shape.lanes
        low, high = (
            self._picked(one, other, [lane + side * lanes for lane in part for side in (0, 1)])
            for part in (range(lanes // 2), range(lanes // 2, lanes))
        )
        return self.builder.fadd(low, high)

    def _picked(self, one, other, order):
        places = ir.Constant(ir.VectorType(INT32, len(order)), list(order))
        return self.builder.shuffle_vector(one, other, places)

    def _entry(self, place):
        return self.builder.load(self.builder.gep(self.table, [place]))
