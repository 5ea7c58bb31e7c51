"""Locally connected convolution: a small matrix multiply for every window position.

Per group and position, with columns `(n, k)` and the position's weight `(m, k)`: forward
`y = columns W^T`, input gradient `columns = gy W` added back by col2im, weight gradient
`gW = gy^T columns`. A block is some positions of all samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.bounds import working_dtype, working_itemsize
from fastconv.dtypes import Array, Dtype
from fastconv.geometry import ConvGeometry
from fastconv.lowering.blocks import Box, boxes, largest_box
from fastconv.lowering.col2im import add_columns
from fastconv.lowering.im2col import BoxWindows
from fastconv.problem import Problem

BLOCK_BYTES = 2 * 2**20
"""Columns of one block: they stay in the cache between the copy and the multiply."""


class LocalGemm:
    """Copy a block of windows into columns, multiply position by position, go on."""

    name = "local_gemm"
    exact = True
    uses_blas = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept every locally connected convolution."""
        if problem.operation == "local_conv":
            return None
        return f"solves local_conv, not {problem.operation}"

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count one block of columns, the padded input behind it and the product beside it."""
        box = largest_box(problem.conv.out, _positions(problem, limit))
        return _bytes(problem, box)

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Walk the blocks of output positions."""
        first, second, *rest = inputs
        (out,) = outputs
        if first is None or second is None:
            return
        working = working_dtype(problem, first, second)
        work = _Work(problem.conv, _positions(problem, limit), working)
        if problem.direction == "forward":
            _forward(work, first, second, rest[0] if rest else None, out)
        elif problem.direction == "input_gradient":
            _input_gradient(work, first, second, out)
        else:
            _weight_gradient(work, first, second, out)


@dataclass(frozen=True)
class _Work:
    """What is multiplied, how many positions at a time, and in which dtype."""

    geometry: ConvGeometry
    most: int
    dtype: Dtype

    def like(self, array: Array) -> Array:
        """Return an array in the dtype of the multiply."""
        return array.astype(self.dtype, copy=False)


def _bytes(problem: Problem, box: Box) -> int:
    geometry = problem.conv
    each = geometry.channels * geometry.taps + 2 * geometry.out_channels
    count = geometry.batch * box.positions * each
    if geometry.padded and problem.direction != "input_gradient":
        lengths = BoxWindows.of(geometry.axes, box).region.lengths
        count += geometry.batch * geometry.channels * int(np.prod(lengths))
    if not problem.native:  # weights are converted, and gradients summed in another dtype
        count += 2 * box.positions * geometry.out_channels * geometry.k
    if not problem.native and problem.direction == "input_gradient":
        count += int(np.prod(geometry.input_shape))
    return count * working_itemsize(problem)


def _positions(problem: Problem, limit: int) -> int:
    """Return how many positions a block has: what the cache and the limit hold, one at least."""
    geometry = problem.conv
    most = geometry.positions
    target = min(limit, BLOCK_BYTES)
    while most > 1 and _bytes(problem, largest_box(geometry.out, most)) > target:
        most //= 2
    return most


def _blocks(work: _Work) -> Iterator[tuple[Box, Array]]:
    """Yield boxes, and for each the buffer `(*out, n, C, *kernel)` that holds its columns."""
    geometry, most = work.geometry, work.most
    each = geometry.batch * geometry.channels * geometry.taps
    buffer = np.empty(largest_box(geometry.out, most).positions * each, work.dtype)
    for box in boxes(geometry.out, most):
        shape = (*box.out, geometry.batch, geometry.channels, *geometry.kernel)
        yield box, buffer[: box.positions * each].reshape(shape)


def _fill(geometry: ConvGeometry, box: Box, x: Array, columns: Array) -> None:
    windows = BoxWindows.of(geometry.axes, box).view(x)  # (n, C, *out, *kernel)
    rank = geometry.rank
    order = (*range(2, 2 + rank), 0, 1, *range(2 + rank, 2 + 2 * rank))
    np.copyto(columns, windows.transpose(order), casting="unsafe")


def _by_position(columns: Array, geometry: ConvGeometry, box: Box) -> Array:
    """View the columns of a box as `(g, l, n, k)`."""
    flat = columns.reshape(box.positions, geometry.batch, geometry.groups, geometry.k)
    return flat.transpose(2, 0, 1, 3)


def _weights(w: Array, geometry: ConvGeometry, box: Box) -> Array:
    """View the weights of a box as `(g, l, m, k)`."""
    flat = w.reshape(geometry.groups, geometry.m, geometry.positions, geometry.k)
    return flat[:, :, box.flat].swapaxes(1, 2)


def _values(y: Array, geometry: ConvGeometry, box: Box) -> Array:
    """View the outputs of a box as `(g, l, n, m)`."""
    flat = y.reshape(y.shape[0], geometry.groups, geometry.m, geometry.positions)
    return flat[..., box.flat].transpose(1, 3, 0, 2)


def _forward(work: _Work, x: Array, w: Array, bias: Array | None, y: Array) -> None:
    geometry = work.geometry
    early = y.dtype.kind not in "iu"  # what is rounded once has its bias before that
    for box, columns in _blocks(work):
        _fill(geometry, box, x, columns)
        weights = work.like(_weights(w, geometry, box)).swapaxes(2, 3)  # (g, l, k, m)
        product = np.matmul(_by_position(columns, geometry, box), weights)
        if bias is not None and early:
            product += work.like(_values(bias[np.newaxis], geometry, box))
        np.copyto(_values(y, geometry, box), product, casting="unsafe")
    if bias is not None and not early:
        y += bias.astype(y.dtype, copy=False)


def _input_gradient(work: _Work, w: Array, gy: Array, gx: Array) -> None:
    geometry, rank = work.geometry, work.geometry.rank
    sums = gx if gx.dtype == work.dtype else np.empty(gx.shape, work.dtype)
    sums[:] = 0
    order = (rank, rank + 1, *range(rank + 2, 2 * rank + 2), *range(rank))
    for box, columns in _blocks(work):
        values = np.ascontiguousarray(work.like(_values(gy, geometry, box)))
        weights = work.like(_weights(w, geometry, box))
        np.matmul(values, weights, _by_position(columns, geometry, box))
        add_columns(columns.transpose(order), sums, geometry.axes, box)
    if sums is not gx:
        np.copyto(gx, sums, casting="unsafe")


def _weight_gradient(work: _Work, x: Array, gy: Array, gw: Array) -> None:
    geometry = work.geometry
    for box, columns in _blocks(work):
        _fill(geometry, box, x, columns)
        values = work.like(_values(gy, geometry, box).swapaxes(2, 3))  # (g, l, m, n)
        place, flat = _weights(gw, geometry, box), _by_position(columns, geometry, box)
        if gw.dtype == work.dtype:
            np.matmul(np.ascontiguousarray(values), flat, place)
        else:
            np.copyto(place, np.matmul(values, flat), casting="unsafe")
