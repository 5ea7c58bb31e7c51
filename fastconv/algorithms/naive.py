"""The plain Numba loops, for every problem: the reference the others are measured against."""

import math
from typing import Any

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.algorithms.naive_pools import MOST_AXES, POOLS, axis_step, three, volume, window_steps
from fastconv.algorithms.numba_here import NOT_INSTALLED, numba_installed
from fastconv.dialects import BY_NAME
from fastconv.dtypes import Array, Dtype, ready, row_of
from fastconv.lowering.divisors import divisors
from fastconv.parameters import PADDING_MODES
from fastconv.problem import KEEPING, Problem

ANY_RANK = ("columns", "scatter", "unpool", "gather")


class Naive:
    """Run the loops of `kernels.naive` on contiguous arrays of three spatial dimensions."""

    name = "naive"
    exact = True
    uses_blas = False
    last_resort = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept everything when Numba is installed, some of it of 3 axes at most."""
        if not numba_installed():
            return NOT_INSTALLED
        if problem.operation not in ANY_RANK and len(problem.geometry.sizes) > MOST_AXES:
            return f"the loops are written for up to {MOST_AXES} spatial dimensions"
        return None

    def takes_views(self, problem: Problem) -> bool:
        """Accept any, for whoever asks for the loops must not be refused for want of memory."""
        return True

    def scratch(self, problem: Problem, limit: int) -> int:
        """Nothing but small vectors (what the loops cannot take as it is, is copied)."""
        return 0

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Hand the arrays to the loop of the problem's operation and direction."""
        working = _working_dtype(problem)
        arrays = [_taken(array, problem.dtype, working) for array in inputs]
        dtypes = (working, *(out.dtype for out in outputs[1:]))
        filled = tuple(
            out if out.flags.c_contiguous and out.dtype == dtype else np.empty(out.shape, dtype)
            for out, dtype in zip(outputs, dtypes, strict=True)
        )
        _RUN[problem.operation](problem, arrays, filled)
        for out, result in zip(outputs, filled, strict=True):
            if out is not result:
                np.copyto(out, result, casting="unsafe")


def _working_dtype(problem: Problem) -> Dtype:
    """Return what the loops compute in: Numba has no bfloat16, nor arithmetic of float16."""
    if (problem.operation, problem.direction) not in KEEPING:
        return problem.accumulator
    if problem.dtype.kind == "b":
        return np.dtype(np.uint8)
    return problem.dtype if problem.dtype.kind in "iu" else row_of(problem.dtype).accumulator


def _taken(array: Array | None, dtype: Dtype, working: Dtype) -> Any:
    """Return an array as loops take it; those of another dtype, such as indices, keep that."""
    if array is None:
        return None
    return ready(array.astype(working, copy=False) if array.dtype == dtype else array)


def _conv(problem: Problem, arrays: list[Any], outputs: Outputs) -> None:
    from fastconv.kernels import naive

    geometry = problem.conv
    stride, before, dilation = window_steps(geometry.axes)
    place = (stride, before, dilation, geometry.groups)
    out = volume(outputs[0])
    first, second, *rest = (array if array is None else volume(array) for array in arrays)
    if problem.direction == "forward":
        bias = np.zeros(geometry.out_channels, out.dtype) if rest[0] is None else arrays[2]
        naive.conv(first, second, bias, out, *place)
    elif problem.direction == "input_gradient":
        naive.conv_input_gradient(out, first, second, *place)
        if rest and rest[0] is not None:
            out += arrays[2].reshape(-1, 1, 1, 1)
    else:
        naive.conv_weight_gradient(first, out, second, *place)


def _avg_pool(problem: Problem, arrays: list[Any], outputs: Outputs) -> None:
    from fastconv.kernels import naive

    source, out = volume(arrays[0]), volume(outputs[0])
    shares = divisors(problem.window.axes, problem.count_include_pad, problem.divisor)
    shares = shares.astype(out.real.dtype).reshape(three(problem.window.out))
    place = (shares, three(problem.window.kernel), *window_steps(problem.window.axes))
    if problem.direction == "forward":
        naive.avg_pool(source, out, *place)
    else:
        naive.avg_pool_input_gradient(out, source, *place)


def _columns(problem: Problem, arrays: list[Any], outputs: Outputs) -> None:
    from fastconv.kernels import naive

    window = problem.window
    outer = (window.batch, window.channels)
    place = [
        np.array(values, np.int64)
        for values in (
            window.sizes,
            window.kernel,
            window.out,
            *zip(*map(axis_step, window.axes), strict=True),
        )
    ]
    mode = PADDING_MODES.index(problem.padding_mode)
    if problem.direction == "forward":
        x, pad_value = arrays
        if pad_value is None:
            pad_value = np.zeros((), x.dtype)
        columns = _flat_columns(outputs[0], problem)
        naive.im2col(x.reshape(*outer, window.plane), columns, pad_value[()], *place, mode)
    else:
        columns = _flat_columns(arrays[0], problem)
        naive.col2im(columns, outputs[0].reshape(*outer, window.plane), *place, mode)


def _flat_columns(columns: Array, problem: Problem) -> Array:
    """View columns of any dialect as (N, C, taps, positions)."""
    window = problem.window
    sizes = {"n": window.batch, "c": window.channels, "k": window.taps, "o": window.positions}
    letters = "".join(BY_NAME[problem.dialect].groups).lower()
    flat = columns.reshape([sizes[letter] for letter in letters])
    return flat.transpose([letters.index(letter) for letter in "ncko"])


def _scatter(problem: Problem, arrays: list[Any], outputs: Outputs) -> None:
    from fastconv.kernels import naive

    geometry = problem.scatter
    outer = (geometry.batch, geometry.channels)
    values, indices = (array.reshape(*outer, math.prod(geometry.out)) for array in arrays)
    naive.scatter(values, indices, outputs[0].reshape(*outer, math.prod(geometry.sizes)))


def _local_conv(problem: Problem, arrays: list[Any], outputs: Outputs) -> None:
    from fastconv.kernels import naive_local as naive

    geometry = problem.conv
    place = (*window_steps(geometry.axes), geometry.groups)
    weight_shape = (
        *(geometry.out_channels, *three(geometry.out)),
        *(geometry.weight_shape[geometry.rank + 1], *three(geometry.kernel)),
    )
    first, second, *rest = arrays
    if problem.direction == "forward":
        out = volume(outputs[0])
        bias = np.zeros(out.shape[1:], out.dtype) if rest[0] is None else rest[0]
        weight = second.reshape(weight_shape)
        naive.local_conv(volume(first), weight, bias.reshape(out.shape[1:]), out, *place)
    elif problem.direction == "input_gradient":
        weight, out = first.reshape(weight_shape), volume(outputs[0])
        naive.local_conv_input_gradient(out, weight, volume(second), *place)
    else:
        out = outputs[0].reshape(weight_shape)
        naive.local_conv_weight_gradient(volume(first), out, volume(second), *place)


def _deform_conv(problem: Problem, arrays: list[Any], outputs: Outputs) -> None:
    from fastconv.kernels import naive_deform as naive

    geometry, (out,) = problem.deform, outputs
    *inputs, offset, mask = arrays
    taps = (geometry.batch, geometry.offset_groups, *geometry.kernel)
    offset = offset.reshape(*taps, 2, *geometry.out)
    mask = np.ones((*taps, *geometry.out), out.dtype) if mask is None else mask
    mask = mask.reshape(*taps, *geometry.out)
    place = (*zip(*map(axis_step, geometry.axes), strict=True), geometry.groups)
    if problem.direction == "forward":
        x, w, b = inputs
        b = np.zeros(geometry.out_channels, out.dtype) if b is None else b
        naive.forward(x, w, b, offset, mask, out, *place)
    elif problem.direction == "input_gradient":
        naive.input_gradient(out, *inputs, offset, mask, *place)
    elif problem.direction == "weight_gradient":
        naive.weight_gradient(inputs[0], out, inputs[1], offset, mask, *place)
    elif problem.direction == "offset_gradient":
        naive.offset_gradient(*inputs, offset, mask, out.reshape(offset.shape), *place)
    else:
        naive.mask_gradient(*inputs, offset, out.reshape(mask.shape), *place)


_RUN = {
    "conv": _conv,
    "avg_pool": _avg_pool,
    "columns": _columns,
    "scatter": _scatter,
    "local_conv": _local_conv,
    "deform_conv": _deform_conv,
    **POOLS,
}
