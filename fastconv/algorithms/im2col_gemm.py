"""Any convolution as a matrix multiply over columns, a bounded block of them at a time.

Per group, with the weight as `(m, k)` and the columns of a block as `(k, l)`:
forward `y = W columns`, input gradient `columns = W^T gy` added back by col2im, weight gradient
`gW = sum over blocks of gy columns^T`.
"""

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.dtypes import Array
from fastconv.geometry import ConvGeometry
from fastconv.lowering.blocks import Block, block_positions, blocks
from fastconv.lowering.col2im import add_columns
from fastconv.lowering.im2col import block_windows, columns_order, depth_first_order, fill_columns
from fastconv.problem import Problem

BLOCK_BYTES = 2 * 2**20
"""Columns of one block: small enough to stay in the cache between the copy and the multiply."""


class Im2colGemm:
    """Copy a block of windows into columns, multiply, go on."""

    name = "im2col_gemm"
    exact = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept every convolution."""
        return None if problem.operation == "conv" else f"solves conv, not {problem.operation}"

    def scratch(self, problem: Problem, limit: int) -> int:
        """One block of columns, the padded input it is read from, and what the multiply returns."""
        geometry = problem.conv
        positions = block_positions(geometry.batch, geometry.out, _most(problem, limit))
        return positions * _bytes_per_position(problem) + _fixed_bytes(problem)

    def run(self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int) -> None:
        """Walk the blocks of output positions."""
        geometry = problem.conv
        first, second, *rest = inputs
        (out,) = outputs
        if first is None or second is None:
            return
        steps = blocks(geometry.batch, geometry.out, _most(problem, limit))
        if problem.direction == "forward":
            for block in steps:
                _forward(geometry, block, first, second, rest[0], out)
        elif problem.direction == "input_gradient":
            out[:] = 0
            for block in steps:
                _input_gradient(geometry, block, first, second, out)
        else:
            out[:] = 0
            for block in steps:
                _weight_gradient(geometry, block, first, second, out)


def _bytes_per_position(problem: Problem) -> int:
    """A column; the region it is read from (never larger, if windows overlap or touch); the result."""
    geometry = problem.conv
    column = geometry.channels * geometry.taps
    region = geometry.channels * max(geometry.taps, 1) if geometry.padded else 0
    result = geometry.out_channels if problem.direction == "weight_gradient" else 0
    return (column + region + result) * problem.dtype.itemsize


def _fixed_bytes(problem: Problem) -> int:
    geometry = problem.conv
    weight = geometry.out_channels * geometry.k
    return weight * problem.dtype.itemsize if problem.direction == "weight_gradient" else 0


def _most(problem: Problem, limit: int) -> int:
    """Positions of a block."""
    allowed = min(BLOCK_BYTES, limit - _fixed_bytes(problem))
    return max(1, allowed // _bytes_per_position(problem))


def _by_group(array: Array, geometry: ConvGeometry, block: Block) -> Array:
    """View a block of `(N, g * m, *out)` as `(n, g, m, l)`."""
    samples = array[slice(*block.samples)]
    flat = samples.reshape(block.batch, geometry.groups, geometry.m, geometry.positions)
    return flat[..., block.first : block.last]


def _forward(
    geometry: ConvGeometry, block: Block, x: Array, w: Array, b: Array | None, y: Array
) -> None:
    groups, m, k = geometry.groups, geometry.m, geometry.k
    columns = np.empty((block.batch, geometry.channels, *geometry.kernel, *block.out), y.dtype)
    windows = block_windows(x, geometry.axes, block)
    fill_columns(windows, columns, columns_order(geometry.rank))
    target = _by_group(y, geometry, block)
    np.matmul(w.reshape(groups, m, k), columns.reshape(block.batch, groups, k, -1), out=target)
    if b is not None:
        target += b.reshape(groups, m, 1)


def _input_gradient(geometry: ConvGeometry, block: Block, w: Array, gy: Array, gx: Array) -> None:
    weight = w.reshape(geometry.groups, geometry.m, geometry.k).swapaxes(1, 2)
    columns = np.matmul(weight, _by_group(gy, geometry, block))  # (n, g, k, l)
    columns = columns.reshape(block.batch, geometry.channels, *geometry.kernel, *block.out)
    add_columns(columns, gx, geometry.axes, block)


def _weight_gradient(geometry: ConvGeometry, block: Block, x: Array, gy: Array, gw: Array) -> None:
    groups, m, k = geometry.groups, geometry.m, geometry.k
    columns = np.empty((geometry.channels, *geometry.kernel, block.batch, *block.out), gw.dtype)
    windows = block_windows(x, geometry.axes, block)
    fill_columns(windows, columns, depth_first_order(geometry.rank))
    values = (
        _by_group(gy, geometry, block).transpose(1, 2, 0, 3).reshape(groups, m, -1)
    )  # (g, m, n*l)
    product = np.matmul(values, columns.reshape(groups, k, -1).swapaxes(1, 2))
    gw += product.reshape(gw.shape)
