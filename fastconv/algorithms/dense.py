"""Kernels as large as their input: every output is a sum of a whole sample, as in a linear layer.

All samples together are then the positions of a channels-last convolution by one tap, in all three
directions: `x W^T`, `gy W` and `gy^T x`. A convolution that sees the samples one by one has a
single position to fill its tiles with. Where few samples use it, `W` is not packed for `gy W`: its
rows are read where they lie (`kernels.matrix_tile`), and summed in the same order.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from fastconv.activations import code_of
from fastconv.algorithms.algorithm import Inputs, Outputs, Packed
from fastconv.algorithms.channel_vectors import ChannelVectors
from fastconv.algorithms.channels_last import ChannelsLast
from fastconv.algorithms.implicit_gemm import threads_now
from fastconv.algorithms.numba_here import uncompiled
from fastconv.dtypes import Array, Dtype, ready
from fastconv.geometry import Axis, ConvGeometry
from fastconv.kernels.pool import share
from fastconv.lowering.taps import LONGEST_SUM, cheapest_widths
from fastconv.problem import Problem

FEWEST_SAMPLES = 8
"""Samples below which tiles of positions are so empty that `channel_vectors` is as good."""
MOST_IN_PLACE = 24
"""Samples beyond which to pack a weight costs less than to read it again where it lies."""


class Dense:
    """Multiply the samples with the weight, or with each other."""

    name = "dense"
    exact = True
    uses_blas = False
    compiled = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept kernels that cover an input without padding, and all samples in one."""
        if problem.operation != "conv":
            return f"solves conv, not {problem.operation}"
        reason = uncompiled(problem)
        if reason is not None:
            return reason
        geometry = problem.conv
        if geometry.groups > 1:
            return f"{geometry.groups} groups are as many multiplies"
        if not all(_covered(axis) for axis in geometry.axes):
            return f"kernel {geometry.kernel} does not cover the input {geometry.sizes}"
        if 0 in _sizes(problem):
            return "there is nothing to multiply"
        few = problem.direction == "forward" and geometry.batch < FEWEST_SAMPLES
        if few and _few.rejects(problem) is None:  # its sums have the same order, so the same bits
            return f"{geometry.batch} samples are too few to fill tiles"
        return None

    def fuses_activation(self, problem: Problem) -> bool:
        """Return True: tiles end in it."""
        return True

    def adds_bias(self, problem: Problem) -> bool:
        """Return True: tiles begin with it."""
        return True

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count the packed factor, and what is transposed before."""
        rows, terms, columns = _sizes(problem)
        if _in_place(problem):
            return columns * problem.dtype.itemsize  # the bias of every tap
        copied = rows * terms if problem.direction == "weight_gradient" else 0
        packed = _multiply.scratch(_product(problem), limit)
        return packed + copied * problem.dtype.itemsize

    def pack(self, problem: Problem, weight: Array, bias: Array | None) -> Packed:
        """Return weight and bias as the tiles read them, to be used by any number of runs."""
        if _in_place(problem):
            flat = ready(weight).reshape(-1)
            key = (self.name, problem.dtype, "in place")
            return Packed(weight, flat, _bias_of_taps(problem, bias), key)
        if problem.direction == "input_gradient":
            bias = _bias_of_taps(problem, bias)
        return _multiply.pack(_product(problem), _columns(problem, weight), bias)

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Multiply once."""
        geometry = problem.conv
        n, m, k = geometry.batch, geometry.m, geometry.k
        (out,) = outputs
        first, second, *rest = inputs
        bias = rest[0] if rest else None
        if problem.direction == "input_gradient":
            first, second = second, first
            if _in_place(problem):
                _multiply_in_place(problem, first, second, bias, out, threads)
                return
            bias = None if isinstance(second, Packed) else _bias_of_taps(problem, bias)
        if problem.direction == "weight_gradient":
            left, right = second.reshape(n, m).T, first.reshape(n, k).T[..., np.newaxis]
        else:
            left = first.reshape(n, -1)
            right = second if isinstance(second, Packed) else _columns(problem, second)
        arrays = (ready(left)[np.newaxis], right, bias)
        target = out.reshape(1, len(left), -1)
        _multiply.run(_product(problem), arrays, (target,), limit, threads)


_multiply = ChannelsLast()
_few = ChannelVectors()


@dataclass(frozen=True)
class _Matrix:
    """What a product needs besides its factors."""

    loops: Any
    table: Array
    panels: int
    no_bias: Array


@lru_cache(maxsize=512)
def _matrix(problem: Problem) -> _Matrix:
    from fastconv.kernels import matrix, target

    (rows, terms, columns), dtype, host = _sizes(problem), problem.dtype, target.host()
    lanes, tile = host.lanes(dtype), target.MATRIX_TILES[host.name][min(1, rows - 1)]
    segments: list[int] = []
    for first in range(0, terms, LONGEST_SUM):
        count = min(LONGEST_SUM, terms - first)
        segments += [first, first, count, int(count == LONGEST_SUM)]
    panels, column = [], 0
    for width in cheapest_widths(-(-columns // lanes), tile.vectors):
        panels += [width, column]
        column += width * lanes
    segments_end = matrix.HEADER_WORDS + len(segments)
    header = {
        "samples": rows,
        "terms": terms,
        "columns": columns,
        "segments": matrix.HEADER_WORDS,
        "segments_end": segments_end,
        "panels": segments_end,
        "activation": code_of(problem.activation),
    }
    words = [header.get(name, 0) for name in matrix.HEADER] + segments + panels
    loops = matrix.matrix_loops(dtype.name, tile.rows, tile.vectors)
    count = len(panels) // matrix.PANEL_WORDS
    return _Matrix(loops, np.array(words, np.int64), count, np.zeros(columns, dtype))


def _multiply_in_place(
    problem: Problem, gy: Array, w: Array | Packed, b: Array | None, gx: Array, threads: int
) -> None:
    """Multiply by the rows of a weight where they lie."""
    matrix = _matrix(problem)
    if isinstance(w, Packed):
        flat, bias = w.panels, w.bias
    else:
        flat = ready(w).reshape(-1)
        bias = matrix.no_bias if b is None else _bias_of_taps(problem, b)
    arrays = (ready(gy).reshape(-1), flat, bias, gx.reshape(-1), matrix.table)
    share(matrix.loops, arrays, matrix.panels, threads_now(problem, threads))


def _in_place(problem: Problem) -> bool:
    """Whether the weight is read where it lies: its rows are, and there are few samples."""
    from fastconv.kernels import target

    few = problem.direction == "input_gradient" and problem.conv.batch <= MOST_IN_PLACE
    return few and target.host().name in target.MATRIX_TILES


def _columns(problem: Problem, weight: Array) -> Array:
    """View a weight (m, C, *kernel) as (columns, terms, 1) of the product."""
    rows = ready(weight).reshape(problem.conv.m, problem.conv.k)
    return (rows.T if problem.direction == "input_gradient" else rows)[..., np.newaxis]


def _bias_of_taps(problem: Problem, bias: Array | None) -> Array:
    """Return the bias of every column of a gradient: that of its channel."""
    if bias is None:
        return np.zeros(problem.conv.k, problem.dtype)
    return np.repeat(bias, problem.conv.taps)


def _covered(axis: Axis) -> bool:
    return axis.kernel == axis.size and axis.dilation == 1 and axis.out == 1 and not axis.padded


def _sizes(problem: Problem) -> tuple[int, int, int]:
    """Return the rows of the product, the terms of its sums, and its columns."""
    geometry = problem.conv
    n, m, k = geometry.batch, geometry.m, geometry.k
    if problem.direction == "forward":
        return n, k, m
    return (n, m, k) if problem.direction == "input_gradient" else (m, n, k)


def _product(problem: Problem) -> Problem:
    return _multiplied(*_sizes(problem), problem.dtype, problem.activation)


@lru_cache(maxsize=512)
def _multiplied(
    rows: int, terms: int, columns: int, dtype: Dtype, activation: str | None
) -> Problem:
    """Return the product of (rows, terms) and (terms, columns) as a convolution."""
    axis = Axis(size=rows, kernel=1, out=rows)
    geometry = ConvGeometry(1, terms, (axis,), out_channels=columns, groups=1)
    return Problem(
        "conv", "forward", geometry, dtype, activation=activation, layout="channels_last"
    )
