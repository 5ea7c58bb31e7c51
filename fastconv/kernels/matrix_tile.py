"""The micro-kernel of a matrix read where it lies: `rows` sums of its rows by `vectors` of columns.

    y[i, j] = bias[j] + sum over terms t of x[i, t] * w[t, j]

A row of `w` is as long as the matrix is wide, so nothing is packed: where there are few rows of `x`
to use a packed matrix again, packing it takes longer than the product. Rows of `w` that are wanted
next are asked for ahead, as they are too far apart for the CPU to foresee.

Contract. Sums have the order of `kernels.row_tile`: from the bias, term by term, put aside where a
segment says so. Rows of `x` are `xs` apart, of `w` and `y` `step`. `valid` rows exist; the others
read what the last of them does, and are not stored. Reads and writes touch only columns that
exist. Distances are in elements.
"""

from llvmlite import ir
from numba import types

from fastconv.kernels.jit import intrinsic
from fastconv.kernels.sums import Sums, close
from fastconv.kernels.tile import Shape
from fastconv.kernels.vector import INT64, Vectors, constant, data_pointer

SEGMENT_WORDS = 4
"""Words of a segment: first term, the same, terms, whether to flush."""
ROWS_AHEAD = 1
"""How far ahead rows of the matrix are fetched: rows a power of two apart share few cache lines."""


def make_matrix_tile(shape: Shape):
    """Return an intrinsic that runs one tile.

    Its arguments: w and the tile's place in it; x and the place of the first row; bias and its
    place; y and its place; the integer table and in it the first segment and the end of the
    segments; `xs`, `step`, valid rows, columns.
    """

    @intrinsic
    def matrix_tile(
        typing, w, w0, x, x0, bias, b0, y, y0, table, first, last, xs, step, valid, columns
    ):
        n = types.intp
        signature = types.void(w, n, x, n, bias, n, y, n, table, *(n,) * 6)

        def emit(context, builder, signature, arguments):
            def pointer(index, offset):
                kind = signature.args[index]
                return data_pointer(context, builder, kind, arguments[index], offset)

            vectors = Vectors(builder, shape.dtype, shape.lanes)
            tile = _MatrixTile(builder, vectors, pointer(8, constant(0)))
            tile.shape, tile.words = shape, SEGMENT_WORDS
            tile.w, tile.bias, tile.y = (pointer(i, arguments[i + 1]) for i in (0, 4, 6))
            tile.step, tile.valid = arguments[12:14]
            tile.find(pointer(2, arguments[3]), arguments[11], arguments[14])
            tile.run(*arguments[9:11])
            return context.get_dummy_value()

        return signature, emit

    return matrix_tile


class _MatrixTile(Sums):
    """Writes the code of one tile at the builder's place."""

    def find(self, x, xs, columns):
        """Remember where each row reads, and which columns of each vector exist."""
        builder, lanes = self.builder, self.shape.lanes
        last = builder.sub(self.valid, constant(1))
        self.rows = []
        for row in range(self.shape.rows):
            exists = builder.icmp_signed("<", constant(row), last)
            place = builder.select(exists, constant(row), last)
            self.rows.append(builder.gep(x, [builder.mul(place, xs)]))
        self.masks = [
            self.vectors.first_lanes(builder.sub(columns, constant(j * lanes)))
            for j in range(self.shape.vectors)
        ]

    def start(self):
        """Load the bias of each column, the same for all rows."""
        return self._vectors(self.bias) * self.shape.rows

    def segment(self, place, sums):
        """Add some terms."""
        builder = self.builder
        first, terms = self.entry(place, 0), self.entry(place, 2)
        w_start = builder.gep(self.w, [builder.mul(first, self.step)])
        rows = [builder.gep(row, [first]) for row in self.rows]
        before, loop = builder.block, builder.append_basic_block("terms")
        builder.branch(loop)

        builder.position_at_end(loop)
        term, w = builder.phi(INT64), builder.phi(w_start.type)
        term.add_incoming(constant(0), before)
        w.add_incoming(w_start, before)
        running = self.phis(sums, before)
        added = self._term(term, w, rows, running)
        following = builder.add(term, constant(1))
        term.add_incoming(following, loop)
        w.add_incoming(builder.gep(w, [self.step]), loop)
        close(running, added, loop)
        after = builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", following, terms), loop, after)
        builder.position_at_end(after)
        return added

    def _term(self, term, w, rows, running):
        """Add one rank-1 update: `rows` broadcasts times `vectors` vectors of a row of w."""
        builder, vectors, lanes = self.builder, self.vectors, self.shape.lanes
        ahead = builder.gep(w, [builder.mul(self.step, constant(ROWS_AHEAD))])
        for j in range(self.shape.vectors):
            vectors.prefetch(builder.gep(ahead, [constant(j * lanes)]))
        columns, added = self._vectors(w), []
        for row in rows:
            scalar = vectors.broadcast(builder.load(builder.gep(row, [term])))
            for column in columns:
                added.append(vectors.multiply_add(scalar, column, running[len(added)]))
        return added

    def store(self, totals):
        """Store the columns of the valid rows."""
        builder, count = self.builder, self.shape.vectors
        empty = ir.Constant(self.vectors.mask_type, [0] * self.shape.lanes)
        for row in range(self.shape.rows):
            kept = builder.icmp_signed("<", constant(row), self.valid)
            start = builder.gep(self.y, [builder.mul(self.step, constant(row))])
            for j, (mask, pointer) in enumerate(zip(self.masks, self._places(start), strict=True)):
                mask = mask if row == 0 else builder.select(kept, mask, empty)
                self.vectors.masked_store(totals[row * count + j], pointer, mask)

    def _vectors(self, start):
        pairs = zip(self._places(start), self.masks, strict=True)
        return [self.vectors.masked_load(pointer, mask) for pointer, mask in pairs]

    def _places(self, start):
        lanes = self.shape.lanes
        return [self.builder.gep(start, [constant(j * lanes)]) for j in range(self.shape.vectors)]
