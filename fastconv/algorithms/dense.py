"""Kernels as large as their input: every output is a sum of a whole sample, as in a linear layer.

All samples together are then the positions of a channels-last convolution by one tap, in all three
directions: `x W^T`, `gy W` and `gy^T x`. A convolution that sees the samples one by one has a
single position to fill its tiles with.
"""

from functools import lru_cache

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs, Packed
from fastconv.algorithms.channel_vectors import ChannelVectors
from fastconv.algorithms.channels_last import ChannelsLast
from fastconv.algorithms.numba_here import uncompiled
from fastconv.dtypes import Array, Dtype, ready
from fastconv.geometry import Axis, ConvGeometry
from fastconv.problem import Problem

FEWEST_SAMPLES = 8
"""Samples below which tiles of positions are so empty that `channel_vectors` is as good."""


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
        copied = 0
        if problem.direction == "input_gradient":
            copied = terms * columns
        elif problem.direction == "weight_gradient":
            copied = (rows + columns) * terms
        packed = _multiply.scratch(_product(problem), limit)
        return packed + copied * problem.dtype.itemsize

    def pack(self, problem: Problem, weight: Array, bias: Array | None) -> Packed:
        """Return weight and bias as the tiles read them, to be used by any number of runs."""
        rows = weight.reshape(*weight.shape[:1], -1, 1)  # (m, k, 1)
        return _multiply.pack(_product(problem), rows, bias)

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Multiply once."""
        geometry = problem.conv
        n, m, k = geometry.batch, geometry.m, geometry.k
        (out,) = outputs
        first, second, *rest = inputs
        bias = rest[0] if rest else None
        if problem.direction == "forward":
            left = first.reshape(n, k)
            right = second if isinstance(second, Packed) else second.reshape(m, k)
        elif problem.direction == "input_gradient":
            left, right = second.reshape(n, m), first.reshape(m, k).T
            bias = None if bias is None else np.repeat(bias, geometry.taps)
        else:
            left, right = second.reshape(n, m).T, first.reshape(n, k).T
        if not isinstance(right, Packed):
            right = ready(right)[..., np.newaxis]  # (columns, terms, 1)
        arrays = (ready(left)[np.newaxis], right, bias)
        target = out.reshape(1, len(left), -1)
        _multiply.run(_product(problem), arrays, (target,), limit, threads)


_multiply = ChannelsLast()
_few = ChannelVectors()


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
