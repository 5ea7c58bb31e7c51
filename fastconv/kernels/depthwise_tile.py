"""The micro-kernels of depthwise convolution: some rows of one output channel, all columns of them.

    y[o, q] = bias + sum over taps (t, u) of w[t, u] * x[o * stride + t * dilation, ...]

Contract, common to both tiles. Every sum starts from the bias, stays in registers and takes its
taps in C order, so results do not depend on the tile. Writes touch `columns` of each row only.
Distances are in elements.

A `Dense` tile reads the input in place, with a kernel and a stride it was generated for: weights
stay in registers, and what it loads serves every output row that needs it. Columns in the padding
are masked; rows in the padding are read from a row of zeros. A `Listed` tile loops over the taps of
any window and reads a scratch without padding or strides, at the places that a table says.
"""

from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numba import types

from fastconv.kernels.activate import ACTIVATIONS, FINISHING
from fastconv.kernels.jit import intrinsic
from fastconv.kernels.vector import INT32, INT64, Vectors, constant, data_pointer


@dataclass(frozen=True)
class Dense:
    """A tile for one kernel and one stride, 1 or 2; its taps are neighbours unless `dilated`."""

    dtype: np.dtype
    lanes: int
    rows: int
    kernel: tuple[int, int]
    stride: int
    dilated: bool = False
    activation: int = 0
    vectors: int = 1

    @property
    def shifts(self) -> bool:
        """Whether what is loaded for the first tap of a row is the third one of the lane before.

        Then vectors of a tile may be neighbours, and load one element more than they have lanes.
        """
        return self.stride == 2 and self.kernel[1] == 3 and self.lanes * self.dtype.itemsize == 64

    @property
    def lines(self) -> int:
        """Input rows under the tile."""
        return (self.rows - 1) * self.stride + self.kernel[0]

    @property
    def reach(self) -> int:
        """Taps from the first column that is loaded for a vector to the last."""
        return (self.kernel[1] - 1) // self.stride * self.stride


@dataclass(frozen=True)
class Listed:
    """A tile of `rows` by `vectors` for any window."""

    dtype: np.dtype
    lanes: int
    rows: int
    vectors: int
    activation: int = 0


def make_dense(tile: Dense):
    """Return an intrinsic that computes all columns of `rows` output rows.

    Its arguments: x, the place of its plane, height and width; the first input row and column under
    the tile (negative in the padding), and how far the next ones are that it reads; `width` zeros;
    w and the place of its first tap; bias and its place; y and the place of row 0; the columns, and
    the distance of the rows. Rows of a dilated window are as far apart as its taps.
    """

    @intrinsic
    def run(
        typing,
        x,
        x0,
        height,
        width,
        row,
        column,
        down,
        right,
        zeros,
        w,
        w0,
        bias,
        b0,
        y,
        y0,
        columns,
        distance,
    ):
        n = types.intp
        signature = types.void(x, *(n,) * 7, zeros, w, n, bias, n, y, n, n, n)

        def emit(context, builder, signature, arguments):
            def pointer(index, place):
                kind = signature.args[index]
                return data_pointer(context, builder, kind, arguments[index], place)

            x, w, bias, y = (pointer(index, arguments[index + 1]) for index in (0, 9, 11, 13))
            input_place = (x, *arguments[2:8], pointer(8, constant(0)))
            _Dense(tile, builder, (w, bias, y, *arguments[15:]), input_place).run()
            return context.get_dummy_value()

        return signature, emit

    return run


def make_listed(tile: Listed):
    """Return an intrinsic that computes the columns of a segment of `rows` output rows.

    Its arguments: the scratch and its origin; the table, where it has the place of every tap for
    every row, and the number of taps; w and the place of its first tap; bias and its place; y and
    the place of row 0; the columns, and the distance of y's rows.
    """

    @intrinsic
    def run(typing, scratch, origin, table, places, taps, w, w0, bias, b0, y, y0, columns, row):
        n = types.intp
        signature = types.void(scratch, n, table, n, n, w, n, bias, n, y, n, n, n)

        def emit(context, builder, signature, arguments):
            scratch, table, w, bias, y = (
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[i + 1])
                for i in (0, 2, 5, 7, 9)
            )
            output = (w, bias, y, arguments[11], arguments[12])
            _Listed(tile, builder, output, (scratch, table, arguments[4])).run()
            return context.get_dummy_value()

        return signature, emit

    return run


def make_copy(dtype: np.dtype, lanes: int, stride: int, *, part: bool):
    """Return an intrinsic that copies a vector of each phase of a row: whole, or what exists of it.

    Its arguments: x, the place of the row, the first column to copy, the width; the scratch, the
    place to write to, and the distance to that of the second phase.
    """

    @intrinsic
    def copy(typing, x, source, start, width, scratch, place, distance):
        n = types.intp
        signature = types.void(x, n, n, n, scratch, n, n)

        def emit(context, builder, signature, arguments):
            _, source, start, width, _, place, distance = arguments
            vectors = Parts(builder, dtype, lanes)
            origin = data_pointer(context, builder, signature.args[0], arguments[0], source)
            target = data_pointer(context, builder, signature.args[4], arguments[4], place)
            masks = vectors.masks(start, width, stride) if part else (None,) * stride
            for phase, value in enumerate(vectors.phases(builder.gep(origin, [start]), masks)):
                vectors.write(value, builder.gep(target, [distance]) if phase else target, None)
            return context.get_dummy_value()

        return signature, emit

    return copy


class Parts(Vectors):
    """The vocabulary, and what reading and writing parts of a row needs besides."""

    def __init__(self, builder, dtype, lanes):
        super().__init__(builder, dtype, lanes)
        self._itemsize = dtype.itemsize
        self._lane = ir.IntType(8 * dtype.itemsize)

    def inside(self, start, size):
        """Return the mask of lanes `l` with `0 <= start + l < size`."""
        builder, kind = self.builder, ir.VectorType(self._lane, self.lanes)
        low = self._clamp(builder.neg(start))
        count = builder.sub(self._clamp(builder.sub(size, start)), low)
        numbers = ir.Constant(kind, list(range(self.lanes)))
        distance = builder.sub(numbers, self._splat(low, kind))
        return builder.icmp_unsigned("<", distance, self._splat(count, kind))

    def masks(self, start, size, count):
        """Return the masks of neighbouring vectors."""
        steps = (constant(index * self.lanes) for index in range(count))
        return tuple(self.inside(self.builder.add(start, step), size) for step in steps)

    def read(self, pointer, mask):
        """Load a whole vector, or the lanes of a mask with zeros around them."""
        return self.load(pointer) if mask is None else self.masked_load(pointer, mask)

    def write(self, value, pointer, mask):
        """Store a whole vector, or the lanes of a mask."""
        if mask is not None:
            self.masked_store(value, pointer, mask)
            return
        pointer = self.builder.bitcast(pointer, self.type.as_pointer())
        self.builder.store(value, pointer, align=self._itemsize)

    def phases(self, pointer, masks):
        """Load a vector; or two, and split them into their even and odd elements."""
        builder, kind = self.builder, ir.VectorType(INT32, self.lanes)
        loaded = [
            self.read(builder.gep(pointer, [constant(index * self.lanes)]), mask)
            for index, mask in enumerate(masks)
        ]
        if len(loaded) == 1:
            return loaded
        order = [range(phase, 2 * self.lanes, 2) for phase in (0, 1)]
        return [builder.shuffle_vector(*loaded, ir.Constant(kind, list(o))) for o in order]

    def _clamp(self, value):
        """Bring a number into [0, lanes]."""
        builder, top = self.builder, constant(self.lanes)
        value = builder.select(builder.icmp_signed("<", value, top), value, top)
        return builder.select(builder.icmp_signed(">", value, constant(0)), value, constant(0))

    def _splat(self, value, kind):
        value = value if self._lane == INT64 else self.builder.trunc(value, self._lane)
        undefined = ir.Constant(kind, ir.Undefined)
        single = self.builder.insert_element(undefined, value, ir.Constant(INT32, 0))
        zeros = ir.Constant(ir.VectorType(INT32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(single, undefined, zeros)


class Walk:
    """Writes the code that walks along the rows of a tile: what all tiles have in common."""

    def __init__(self, tile, builder, output):
        self.tile, self.builder = tile, builder
        self.parts = Parts(builder, tile.dtype, tile.lanes)
        self.w, self.bias, self.y, self.columns, self.row = output

    def run(self):
        """Take steps of `vectors` vectors until the columns are done."""
        builder, tile = self.builder, self.tile
        bias = self.parts.broadcast(builder.load(self.bias))
        self.prepare()
        entry, loop = builder.block, builder.append_basic_block("walk")
        builder.branch(loop)

        builder.position_at_end(loop)
        column = builder.phi(INT64)
        column.add_incoming(constant(0), entry)
        self.store(column, self.sums(column, [bias] * (tile.rows * tile.vectors)))
        following = builder.add(column, constant(tile.vectors * tile.lanes))
        column.add_incoming(following, builder.block)
        after = builder.append_basic_block("walked")
        builder.cbranch(builder.icmp_signed("<", following, self.columns), loop, after)
        builder.position_at_end(after)

    def weight(self, tap):
        """Return a weight in every lane."""
        return self.parts.broadcast(self.builder.load(self.builder.gep(self.w, [tap])))

    def either(self, condition, write):
        """Return the values that `write(True)` or `write(False)` emits, by a condition."""
        builder, results = self.builder, []
        blocks = [builder.append_basic_block(name) for name in ("whole", "part", "both")]
        builder.cbranch(condition, *blocks[:2])
        for block, choice in zip(blocks[:2], (True, False), strict=True):
            builder.position_at_end(block)
            results.append((write(choice), builder.block))
            builder.branch(blocks[2])
        builder.position_at_end(blocks[2])
        phis = [builder.phi(self.parts.type) for _ in results[0][0]]
        for values, block in results:
            for phi, value in zip(phis, values, strict=True):
                phi.add_incoming(value, block)
        return phis

    def activated(self, sums):
        """Apply the tile's activation."""
        if not self.tile.activation:
            return sums
        apply = {**ACTIVATIONS, **FINISHING}[self.tile.activation]
        return [apply(self.parts, value) for value in sums]

    def store(self, column, sums):
        """Write whole vectors where all lie in the row, else the lanes that do."""
        builder, tile = self.builder, self.tile
        left, sums = builder.sub(self.columns, column), self.activated(sums)

        def write(whole):
            for v in range(tile.vectors):
                shift = constant(v * tile.lanes)
                mask = None if whole else self.parts.inside(shift, left)
                for row in range(tile.rows):
                    place = builder.add(column, builder.mul(self.row, constant(row)))
                    pointer = builder.gep(self.y, [builder.add(place, shift)])
                    self.parts.write(sums[row * tile.vectors + v], pointer, mask)
            return ()

        self.either(builder.icmp_signed(">=", left, constant(tile.vectors * tile.lanes)), write)


class _Dense(Walk):
    """Reads the input in place."""

    def __init__(self, tile, builder, output, place):
        super().__init__(tile, builder, output)
        self.x, self.height, self.width, self.first_row, self.first_column, *rest = place
        self.down, self.right, self.zeros = rest

    def prepare(self):
        """Load the weights, and find the lines under the tile."""
        builder, tile = self.builder, self.tile
        taps = tile.kernel[0] * tile.kernel[1]
        self.weights = [self.weight(constant(tap)) for tap in range(taps)]
        self.lines = []
        for line in range(tile.lines):
            row = builder.add(self.first_row, self._times(line, self.down))
            exists = builder.icmp_unsigned("<", row, self.height)
            pointer = builder.gep(self.x, [builder.mul(row, self.width)])
            self.lines.append(builder.select(exists, pointer, self.zeros))

    def sums(self, column, start):
        """Add line after line; masks only where a vector reaches into the padding."""
        builder, tile = self.builder, self.tile
        first = builder.add(builder.mul(column, constant(tile.stride)), self.first_column)
        end = builder.add(first, constant(tile.vectors * tile.lanes * tile.stride))
        end = builder.add(end, self._times(tile.reach, self.right))
        inside = builder.and_(
            builder.icmp_signed(">=", first, constant(0)),
            builder.icmp_signed("<=", end, self.width),
        )
        return self.either(inside, lambda whole: self._lines(first, list(start), whole))

    def _times(self, count, step):
        """Return the distance of `count` taps; a constant where taps are neighbours."""
        if not self.tile.dilated:
            return constant(count)
        return self.builder.mul(constant(count), step)

    def _lines(self, first, sums, whole):
        tile, width = self.tile, self.tile.kernel[1]
        span = tile.lanes * tile.stride
        steps = range(0, tile.vectors * span, span) if tile.shifts else range(0, width, tile.stride)
        starts = [self.builder.add(first, self._times(step, self.right)) for step in steps]
        masks = [
            (None,) * tile.stride if whole else self.parts.masks(at, self.width, tile.stride)
            for at in starts
        ]
        for line, pointer in enumerate(self.lines):
            phases = [
                self.parts.phases(self.builder.gep(pointer, [at]), mask)
                for at, mask in zip(starts, masks, strict=True)
            ]
            if tile.shifts:
                after = self._single(pointer, self.builder.add(starts[-1], constant(span)), whole)
                vectors = self._shifted(phases, after)
            else:
                vectors = [[value for pair in phases for value in pair]]
            self._add(sums, line, vectors)
        return sums

    def _add(self, sums, line, vectors):
        """Add a line, whose columns are given for each vector, to all rows that see it."""
        tile, (height, width) = self.tile, self.tile.kernel
        for v, columns in enumerate(vectors):
            for column, value in enumerate(columns[:width]):
                for row in range(tile.rows):
                    tap = line - row * tile.stride
                    if 0 <= tap < height:
                        weight, place = self.weights[tap * width + column], row * tile.vectors + v
                        sums[place] = self.parts.multiply_add(weight, value, sums[place])

    def _single(self, pointer, column, whole):
        """Load one element, or zero in the padding, as the first of a vector."""
        builder = self.builder
        address = builder.gep(pointer, [column])
        if not whole:
            exists = builder.icmp_unsigned("<", column, self.width)
            address = builder.select(exists, address, self.zeros)
        first = ir.Constant(INT32, 0)
        return builder.insert_element(self.parts.zero, builder.load(address), first)

    def _shifted(self, phases, after):
        """Return three columns of each vector: both phases, and the first of the next lanes."""
        kind = ir.VectorType(INT32, self.tile.lanes)
        order = ir.Constant(kind, list(range(1, self.tile.lanes + 1)))
        following = [*(even for even, _ in phases[1:]), after]
        return [
            (even, odd, self.builder.shuffle_vector(even, more, order))
            for (even, odd), more in zip(phases, following, strict=True)
        ]


class _Listed(Walk):
    """Reads a scratch at the places that the table says."""

    def __init__(self, tile, builder, output, place):
        super().__init__(tile, builder, output)
        self.scratch, self.places, self.taps = place

    def prepare(self):
        """Nothing is known before the first tap."""

    def sums(self, column, start):
        """Loop over the taps."""
        builder, tile = self.builder, self.tile
        source = builder.gep(self.scratch, [column])
        before, loop = builder.block, builder.append_basic_block("taps")
        builder.branch(loop)

        builder.position_at_end(loop)
        tap = builder.phi(INT64)
        tap.add_incoming(constant(0), before)
        sums = [builder.phi(self.parts.type) for _ in start]
        weight, added = self.weight(tap), []
        places = builder.gep(self.places, [builder.mul(tap, constant(tile.rows))])
        for row in range(tile.rows):
            place = builder.load(builder.gep(places, [constant(row)]))
            for v in range(tile.vectors):
                offset = builder.add(place, constant(v * tile.lanes))
                value = self.parts.load(builder.gep(source, [offset]))
                added.append(self.parts.multiply_add(weight, value, sums[len(added)]))
        for total, first, value in zip(sums, start, added, strict=True):
            total.add_incoming(first, before)
            total.add_incoming(value, loop)
        following = builder.add(tap, constant(1))
        tap.add_incoming(following, loop)
        after = builder.append_basic_block("summed")
        builder.cbranch(builder.icmp_signed("<", following, self.taps), loop, after)
        builder.position_at_end(after)
        return added
