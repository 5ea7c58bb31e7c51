"""The transforms of one tile, of one axis or two, as code without loops.

A vector has a position, or a point, of as many channels as it has lanes. Scratch memory holds
positions of a plane, `pitch` elements from row to row, and points, `apart` elements from one to the
next; along a row positions are neighbours. Distances are in elements.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numba import types

from fastconv.kernels.activate import ACTIVATIONS
from fastconv.kernels.jit import intrinsic
from fastconv.kernels.straight_line import Matrix, by_columns, by_rows
from fastconv.kernels.vector import Vectors, constant, data_pointer
from fastconv.kernels.winograd_points import Transform, transform

Grid = list[list[ir.Value]]
Apply = Callable[[Vectors, Matrix, list[ir.Value]], list[ir.Value]]
BITS = {"float32": 32, "float64": 64}
INFINITY = {"float32": 0x7F800000, "float64": 0x7FF0000000000000}


@dataclass(frozen=True)
class Winograd:
    """What transforms are generated for: outputs and taps of the rows' axis and of the columns'."""

    dtype: np.dtype
    lanes: int
    outputs: tuple[int, int]
    taps: tuple[int, int]

    @property
    def axes(self) -> tuple[Transform, Transform]:
        """The transform down the rows, and the one along them."""
        return transform(self.outputs[0], self.taps[0]), transform(self.outputs[1], self.taps[1])

    @property
    def sizes(self) -> tuple[int, int]:
        """Rows and columns of a tile of the input, and of its points."""
        down, along = self.axes
        return down.size, along.size

    @property
    def points(self) -> int:
        """Points of a tile."""
        return self.sizes[0] * self.sizes[1]

    def __str__(self) -> str:
        sizes = "-".join(f"{m}.{r}" for m, r in zip(self.outputs, self.taps, strict=True))
        return f"{self.dtype.name}x{self.lanes}-{sizes}"


def make_input(form: Winograd):
    """Return an intrinsic that transforms a tile of the input.

    Its arguments: positions and the place of the tile's first, their pitch; points and the place of
    the tile's first, and how far they are apart.
    """

    @intrinsic
    def transform_input(typing, source, s0, pitch, target, t0, apart):
        n = types.intp
        signature = types.void(source, n, n, target, n, n)

        def emit(context, builder, signature, arguments):
            _, _, pitch, _, _, apart = arguments
            source, target = _pointers(context, builder, signature, arguments, (0, 3))
            v = Vectors(builder, form.dtype, form.lanes)
            down, along = form.axes
            grid = _transformed(
                *(v, by_rows, down.input, along.input),
                _load_positions(v, source, pitch, form.sizes),
            )
            for point, value in enumerate(_flat(grid)):
                v.store(value, builder.gep(target, [builder.mul(apart, constant(point))]))
            return context.get_dummy_value()

        return signature, emit

    return transform_input


def make_output(form: Winograd):
    """Return an intrinsic that transforms the products of a tile into outputs.

    Its arguments: points, the place of the tile's first, how far they are apart; bias and the place
    of that of the first channel; positions, the place of the tile's first, their pitch; the code of
    an activation. It returns whether a sum is no finite number, before the bias and the activation.
    """

    @intrinsic
    def transform_output(typing, source, s0, apart, bias, b0, target, t0, pitch, code):
        n = types.intp
        signature = types.int64(source, n, n, bias, n, target, n, n, n)

        def emit(context, builder, signature, arguments):
            _, _, apart, _, _, _, _, pitch, code = arguments
            source, bias, target = _pointers(context, builder, signature, arguments, (0, 3, 5))
            v = Vectors(builder, form.dtype, form.lanes)
            down, along = form.axes
            rows, columns = form.sizes
            loaded = [
                [
                    v.load(builder.gep(source, [builder.mul(apart, constant(i * columns + j))]))
                    for j in range(columns)
                ]
                for i in range(rows)
            ]
            grid = _transformed(v, by_columns, down.output, along.output, loaded)
            sums = _flat(grid)
            shift = v.load(bias)
            results = _activated(v, code, [builder.fadd(value, shift) for value in sums])
            for place, value in enumerate(results):
                i, j = divmod(place, form.outputs[1])
                row = builder.gep(target, [builder.mul(pitch, constant(i))])
                v.store(value, builder.gep(row, [constant(j * form.lanes)]))
            return _any_not_finite(v, sums)

        return signature, emit

    return transform_output


def make_weight(form: Winograd):
    """Return an intrinsic that transforms the taps of some output channels.

    In float64, so that what is kept has been rounded but once. Its arguments: taps, side by side
    for all lanes, the place of the first, and from one to the next; points, the place of the first,
    how far apart.
    """

    @intrinsic
    def transform_weight(typing, source, s0, step, target, t0, apart):
        n = types.intp
        signature = types.void(source, n, n, target, n, n)

        def emit(context, builder, signature, arguments):
            source, target = _pointers(context, builder, signature, arguments, (0, 3))
            v = Vectors(builder, form.dtype, form.lanes)
            wide = Vectors(builder, np.dtype(np.float64), form.lanes)
            grid = _load_taps(v, source, arguments[2], form.taps)
            if form.dtype != np.float64:
                grid = [[builder.fpext(value, wide.type) for value in row] for row in grid]
            down, along = form.axes
            grid = _transformed(wide, by_rows, down.weight, along.weight, grid)
            for point, value in enumerate(_flat(grid)):
                if form.dtype != np.float64:
                    value = builder.fptrunc(value, v.type)
                pointer = builder.gep(target, [builder.mul(arguments[5], constant(point))])
                v.store(value, pointer)
            return context.get_dummy_value()

        return signature, emit

    return transform_weight


def _pointers(context, builder, signature, arguments, places):
    """Return the address of the place that follows each of some arrays."""
    return [
        data_pointer(context, builder, signature.args[i], arguments[i], arguments[i + 1])
        for i in places
    ]


def _load_positions(v: Vectors, first: ir.Value, pitch: ir.Value, sizes: tuple[int, int]) -> Grid:
    rows = [v.builder.gep(first, [v.builder.mul(pitch, constant(i))]) for i in range(sizes[0])]
    return [
        [v.load(v.builder.gep(row, [constant(j * v.lanes)])) for j in range(sizes[1])]
        for row in rows
    ]


def _load_taps(v: Vectors, first: ir.Value, step: ir.Value, sizes: tuple[int, int]) -> Grid:
    rows, columns = sizes
    places = [v.builder.mul(step, constant(tap)) for tap in range(rows * columns)]
    taps = [v.load(v.builder.gep(first, [place])) for place in places]
    return [taps[row * columns : (row + 1) * columns] for row in range(rows)]


def _flat(grid: Grid) -> list[ir.Value]:
    return [value for row in grid for value in row]


def _transformed(v: Vectors, apply: Apply, down: Matrix, along: Matrix, grid: Grid) -> Grid:
    """Return `down @ grid @ along.T`: the rows first, then the columns."""
    rows = [apply(v, along, row) for row in grid]
    columns = [apply(v, down, list(column)) for column in zip(*rows, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


def _activated(v: Vectors, code: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
    """Apply the activation of a code, if it is one that tiles apply."""
    builder = v.builder
    before, after = builder.block, builder.append_basic_block("activated")
    choice = builder.switch(code, after)
    with builder.goto_block(after):
        results = [builder.phi(v.type) for _ in values]
    for phi, value in zip(results, values, strict=True):
        phi.add_incoming(value, before)
    for number, function in ACTIVATIONS.items():
        block = builder.append_basic_block(f"activation{number}")
        choice.add_case(constant(number), block)
        builder.position_at_end(block)
        for phi, value in zip(results, values, strict=True):
            phi.add_incoming(function(v, value), block)
        builder.branch(after)
    builder.position_at_end(after)
    return results


def _any_not_finite(v: Vectors, values: list[ir.Value]) -> ir.Value:
    """Return 1 if any lane is NaN or infinite: as integers, these are the largest sizes."""
    builder, bits = v.builder, BITS[v.name]
    kind = ir.VectorType(ir.IntType(bits), v.lanes)
    size = ir.Constant(kind, [2 ** (bits - 1) - 1] * v.lanes)
    largest = None
    for value in values:
        one = builder.and_(builder.bitcast(value, kind), size)
        if largest is not None:
            larger = builder.icmp_unsigned(">", one, largest)
            one = builder.select(larger, one, largest)
        largest = one
    infinity = ir.Constant(kind, [INFINITY[v.name]] * v.lanes)
    found = builder.icmp_unsigned(">=", largest, infinity)
    lanes = builder.bitcast(found, ir.IntType(v.lanes))
    any_lane = builder.icmp_unsigned("!=", lanes, ir.Constant(ir.IntType(v.lanes), 0))
    return builder.zext(any_lane, ir.IntType(64))
