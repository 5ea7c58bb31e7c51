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

from numba import types

from fastconv.kernels.jit import intrinsic
from fastconv.kernels.sums import close
from fastconv.kernels.tile import Shape
from fastconv.kernels.totals import store_totals
from fastconv.kernels.vector import INT64, Vectors, constant, data_pointer

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
        """Add the lanes of each sum, and store or add the rows and columns that exist."""
        builder, count = self.builder, self.shape.vectors
        for row in range(self.shape.rows):
            exists = builder.icmp_signed("<", constant(row), valid)
            stored = builder.select(exists, columns, constant(0))
            target = builder.gep(gw, [builder.mul(step, constant(row))])
            store_totals(self.vectors, sums[row * count : (row + 1) * count], target, stored, adds)

    def _entry(self, place):
        return self.builder.load(self.builder.gep(self.table, [place]))
