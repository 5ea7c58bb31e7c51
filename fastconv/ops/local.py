"""Locally connected convolution: `local_conv*d` with gradients. Every window has its filter."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, Dtype, accumulator, conjugated, promoted
from fastconv.errors import ShapeError
from fastconv.geometry import batched_shape, check_padding_mode
from fastconv.geometry_special import local_geometry
from fastconv.ops.call import check_grad_output, like_input, solve, with_batch
from fastconv.ops.pool_problem import channels_second
from fastconv.parameters import IntOrInts, Ints, Padding, PaddingLike
from fastconv.problem import Direction, Problem


def local_conv1d(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Convolve in 1-D with a filter for every window position: nothing is shared.

    Parameters
    ----------
    input : array_like
        `(N, C_in, L)` or `(C_in, L)`.
    weight : array_like
        `(C_out, out_L, C_in // groups, kL)`: the filter that makes output
        `[c, position]` is `weight[c, position]`, as in Chainer.
    bias : array_like, optional
        `(C_out,)`, or `(C_out, out_L)` with one for every position.
    stride, padding, dilation, groups, padding_mode, acc_dtype
        As for `conv1d`.
    layout : str
        "channels_first", or "channels_last" for an input `(N, L, C_in)` and a result
        `(N, *out, C_out)`; the order of the weight and the bias does not change.

    Returns
    -------
    numpy.ndarray
        `(N, C_out, out_L)` or `(C_out, out_L)`, in the promoted dtype.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x, w = np.ones((1, 1, 3)), np.ones((1, 2, 1, 2))
    >>> F.local_conv1d(x, w).shape
    (1, 1, 2)
    """
    place, how = (stride, padding, dilation, groups), (padding_mode, layout, acc_dtype)
    return _forward(1, input, weight, bias, *place, *how)


def local_conv1d_input(
    input_size: Sequence[int],
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return the gradient of `local_conv1d` with respect to its input.

    Parameters
    ----------
    input_size : sequence of int
        Shape of the input, `(N, C_in, L)` or `(C_in, L)`.
    weight : array_like
        `(C_out, out_L, C_in // groups, kL)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, out_L)` or without `N`.
    stride, padding, dilation, groups, padding_mode, acc_dtype
        As in the forward call. Complex gradients are adjoints: the other array is conjugated.
    layout : str
        "channels_first", or "channels_last" for an input `(N, L, C_in)` and a gradient
        `(N, *out, C_out)`; the order of the weight does not change.

    Returns
    -------
    numpy.ndarray
        Of shape `input_size`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> w, gy = np.ones((1, 2, 1, 2)), np.ones((1, 1, 2))
    >>> F.local_conv1d_input((1, 1, 3), w, gy).sum()
    np.float64(4.0)
    """
    place, how = (stride, padding, dilation, groups), (padding_mode, layout, acc_dtype)
    return _input_gradient(1, input_size, weight, grad_output, *place, *how)


def local_conv1d_weight(
    input: npt.ArrayLike,
    weight_size: Sequence[int],
    grad_output: npt.ArrayLike,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return the gradient of `local_conv1d` with respect to its weight.

    Parameters
    ----------
    input : array_like
        `(N, C_in, L)` or `(C_in, L)`.
    weight_size : sequence of int
        Shape of the weight, `(C_out, out_L, C_in // groups, kL)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, out_L)` or without `N`.
        Summed over `N` (and positions) it is the gradient of the bias.
    stride, padding, dilation, groups, padding_mode, acc_dtype
        As in the forward call. Complex gradients are adjoints: the other array is conjugated.
    layout : str
        "channels_first", or "channels_last" for an input `(N, L, C_in)` and a gradient
        `(N, *out, C_out)`; the order of the weight does not change.

    Returns
    -------
    numpy.ndarray
        Of shape `weight_size`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x, gy = np.ones((5, 1, 3)), np.ones((5, 1, 2))
    >>> F.local_conv1d_weight(x, (1, 2, 1, 2), gy).ravel()[0]
    np.float64(5.0)
    """
    place, how = (stride, padding, dilation, groups), (padding_mode, layout, acc_dtype)
    return _weight_gradient(1, input, weight_size, grad_output, *place, *how)


def local_conv2d(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Convolve in 2-D with a filter for every window position: nothing is shared.

    Parameters
    ----------
    input : array_like
        `(N, C_in, H, W)` or `(C_in, H, W)`.
    weight : array_like
        `(C_out, out_H, out_W, C_in // groups, kH, kW)`: the filter that makes output
        `[c, position]` is `weight[c, position]`, as in Chainer.
    bias : array_like, optional
        `(C_out,)`, or `(C_out, out_H, out_W)` with one for every position.
    stride, padding, dilation, groups, padding_mode, acc_dtype
        As for `conv2d`.
    layout : str
        "channels_first", or "channels_last" for an input `(N, H, W, C_in)` and a result
        `(N, *out, C_out)`; the order of the weight and the bias does not change.

    Returns
    -------
    numpy.ndarray
        `(N, C_out, out_H, out_W)` or `(C_out, out_H, out_W)`, in the promoted dtype.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x, w = np.ones((1, 1, 3, 3)), np.ones((1, 2, 2, 1, 2, 2))
    >>> F.local_conv2d(x, w).shape
    (1, 1, 2, 2)
    """
    place, how = (stride, padding, dilation, groups), (padding_mode, layout, acc_dtype)
    return _forward(2, input, weight, bias, *place, *how)


def local_conv2d_input(
    input_size: Sequence[int],
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return the gradient of `local_conv2d` with respect to its input.

    Parameters
    ----------
    input_size : sequence of int
        Shape of the input, `(N, C_in, H, W)` or `(C_in, H, W)`.
    weight : array_like
        `(C_out, out_H, out_W, C_in // groups, kH, kW)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, out_H, out_W)` or without `N`.
    stride, padding, dilation, groups, padding_mode, acc_dtype
        As in the forward call. Complex gradients are adjoints: the other array is conjugated.
    layout : str
        "channels_first", or "channels_last" for an input `(N, H, W, C_in)` and a gradient
        `(N, *out, C_out)`; the order of the weight does not change.

    Returns
    -------
    numpy.ndarray
        Of shape `input_size`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> w, gy = np.ones((1, 2, 2, 1, 2, 2)), np.ones((1, 1, 2, 2))
    >>> F.local_conv2d_input((1, 1, 3, 3), w, gy).sum()
    np.float64(16.0)
    """
    place, how = (stride, padding, dilation, groups), (padding_mode, layout, acc_dtype)
    return _input_gradient(2, input_size, weight, grad_output, *place, *how)


def local_conv2d_weight(
    input: npt.ArrayLike,
    weight_size: Sequence[int],
    grad_output: npt.ArrayLike,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return the gradient of `local_conv2d` with respect to its weight.

    Parameters
    ----------
    input : array_like
        `(N, C_in, H, W)` or `(C_in, H, W)`.
    weight_size : sequence of int
        Shape of the weight, `(C_out, out_H, out_W, C_in // groups, kH, kW)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, out_H, out_W)` or without `N`.
        Summed over `N` (and positions) it is the gradient of the bias.
    stride, padding, dilation, groups, padding_mode, acc_dtype
        As in the forward call. Complex gradients are adjoints: the other array is conjugated.
    layout : str
        "channels_first", or "channels_last" for an input `(N, H, W, C_in)` and a gradient
        `(N, *out, C_out)`; the order of the weight does not change.

    Returns
    -------
    numpy.ndarray
        Of shape `weight_size`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x, gy = np.ones((5, 1, 3, 3)), np.ones((5, 1, 2, 2))
    >>> F.local_conv2d_weight(x, (1, 2, 2, 1, 2, 2), gy).ravel()[0]
    np.float64(5.0)
    """
    place, how = (stride, padding, dilation, groups), (padding_mode, layout, acc_dtype)
    return _weight_gradient(2, input, weight_size, grad_output, *place, *how)


def local_conv3d(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Convolve in 3-D with a filter for every window position: nothing is shared.

    Parameters
    ----------
    input : array_like
        `(N, C_in, D, H, W)` or `(C_in, D, H, W)`.
    weight : array_like
        `(C_out, out_D, out_H, out_W, C_in // groups, kD, kH, kW)`: the filter that makes output
        `[c, position]` is `weight[c, position]`, as in Chainer.
    bias : array_like, optional
        `(C_out,)`, or `(C_out, out_D, out_H, out_W)` with one for every position.
    stride, padding, dilation, groups, padding_mode, acc_dtype
        As for `conv3d`.
    layout : str
        "channels_first", or "channels_last" for an input `(N, D, H, W, C_in)` and a result
        `(N, *out, C_out)`; the order of the weight and the bias does not change.

    Returns
    -------
    numpy.ndarray
        `(N, C_out, out_D, out_H, out_W)` or `(C_out, out_D, out_H, out_W)`, in the promoted dtype.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x, w = np.ones((1, 1, 3, 3, 3)), np.ones((1, 2, 2, 2, 1, 2, 2, 2))
    >>> F.local_conv3d(x, w).shape
    (1, 1, 2, 2, 2)
    """
    place, how = (stride, padding, dilation, groups), (padding_mode, layout, acc_dtype)
    return _forward(3, input, weight, bias, *place, *how)


def local_conv3d_input(
    input_size: Sequence[int],
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return the gradient of `local_conv3d` with respect to its input.

    Parameters
    ----------
    input_size : sequence of int
        Shape of the input, `(N, C_in, D, H, W)` or `(C_in, D, H, W)`.
    weight : array_like
        `(C_out, out_D, out_H, out_W, C_in // groups, kD, kH, kW)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, out_D, out_H, out_W)` or without `N`.
    stride, padding, dilation, groups, padding_mode, acc_dtype
        As in the forward call. Complex gradients are adjoints: the other array is conjugated.
    layout : str
        "channels_first", or "channels_last" for an input `(N, D, H, W, C_in)` and a gradient
        `(N, *out, C_out)`; the order of the weight does not change.

    Returns
    -------
    numpy.ndarray
        Of shape `input_size`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> w, gy = np.ones((1, 2, 2, 2, 1, 2, 2, 2)), np.ones((1, 1, 2, 2, 2))
    >>> F.local_conv3d_input((1, 1, 3, 3, 3), w, gy).sum()
    np.float64(64.0)
    """
    place, how = (stride, padding, dilation, groups), (padding_mode, layout, acc_dtype)
    return _input_gradient(3, input_size, weight, grad_output, *place, *how)


def local_conv3d_weight(
    input: npt.ArrayLike,
    weight_size: Sequence[int],
    grad_output: npt.ArrayLike,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return the gradient of `local_conv3d` with respect to its weight.

    Parameters
    ----------
    input : array_like
        `(N, C_in, D, H, W)` or `(C_in, D, H, W)`.
    weight_size : sequence of int
        Shape of the weight, `(C_out, out_D, out_H, out_W, C_in // groups, kD, kH, kW)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, out_D, out_H, out_W)` or without `N`.
        Summed over `N` (and positions) it is the gradient of the bias.
    stride, padding, dilation, groups, padding_mode, acc_dtype
        As in the forward call. Complex gradients are adjoints: the other array is conjugated.
    layout : str
        "channels_first", or "channels_last" for an input `(N, D, H, W, C_in)` and a gradient
        `(N, *out, C_out)`; the order of the weight does not change.

    Returns
    -------
    numpy.ndarray
        Of shape `weight_size`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x, gy = np.ones((5, 1, 3, 3, 3)), np.ones((5, 1, 2, 2, 2))
    >>> F.local_conv3d_weight(x, (1, 2, 2, 2, 1, 2, 2, 2), gy).ravel()[0]
    np.float64(5.0)
    """
    place, how = (stride, padding, dilation, groups), (padding_mode, layout, acc_dtype)
    return _weight_gradient(3, input, weight_size, grad_output, *place, *how)


def local_problem(
    direction: Direction,
    rank: int,
    input: Ints,
    weight: Ints,
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
    groups: int,
    padding_mode: str,
    layout: str,
    acc_dtype: npt.DTypeLike | None,
    dtype: np.dtype[Any],
) -> Problem:
    """Return the problem of a locally connected convolution on two shapes.

    `input` is in the order of the layout; a problem always has the channels second.
    """
    return _cached(
        direction,
        rank,
        channels_second(input, rank, layout),
        weight,
        parameters.integers("stride", stride, rank),
        parameters.padding_form("padding", padding, rank),
        parameters.integers("dilation", dilation, rank),
        parameters.integer("groups", groups),
        parameters.padding_mode(padding_mode),
        layout,
        None if acc_dtype is None else accumulator(dtype, acc_dtype),
        dtype,
    )


@lru_cache(maxsize=4096)
def _cached(
    direction: Direction,
    rank: int,
    input: Ints,
    weight: Ints,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    groups: int,
    padding_mode: str,
    layout: str,
    acc: Dtype | None,
    dtype: np.dtype[Any],
) -> Problem:
    shape = batched_shape("input", input, rank)
    geometry = local_geometry(shape, weight, stride, padding, dilation, groups)
    check_padding_mode(geometry.axes, padding_mode)
    return Problem(
        *("local_conv", direction, geometry, dtype),
        padding_mode=padding_mode,
        layout=layout,
        acc=acc,
    )


def bias_shape(shape: Ints, problem: Problem) -> Ints:
    """Return the shape in which a bias is added to a sample, or refuse it."""
    whole = problem.geometry.output_shape[1:]
    if shape == whole[:1]:
        return (*shape, *(1,) * (len(whole) - 1))
    if shape != whole:
        raise ShapeError(f"bias: expected shape {whole[:1]} or {whole}, got {shape}")
    return shape


def _forward(
    rank: int,
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None,
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
    groups: int,
    padding_mode: str,
    layout: str,
    acc_dtype: npt.DTypeLike | None,
) -> Array:
    if bias is None:
        x, w = promoted(input=input, weight=weight)
        b = None
    else:
        x, w, b = promoted(input=input, weight=weight, bias=bias)
    place = (stride, padding, dilation, groups, padding_mode, layout, acc_dtype)
    problem = local_problem("forward", rank, x.shape, w.shape, *place, x.dtype)
    if b is not None:
        b = np.broadcast_to(
            b.reshape(bias_shape(b.shape, problem)), problem.geometry.output_shape[1:]
        )
    return like_input(solve(problem, (with_batch(x, rank), w, b)), x.shape, rank)


def _input_gradient(
    rank: int,
    input_size: Sequence[int],
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
    groups: int,
    padding_mode: str,
    layout: str,
    acc_dtype: npt.DTypeLike | None,
) -> Array:
    w, gy = promoted(weight=weight, grad_output=grad_output)
    shape = parameters.shape("input_size", input_size)
    place = (stride, padding, dilation, groups, padding_mode, layout, acc_dtype)
    problem = local_problem("input_gradient", rank, shape, w.shape, *place, w.dtype)
    check_grad_output(problem, gy.shape, len(shape) == rank + 1)
    return like_input(solve(problem, (conjugated(w), with_batch(gy, rank))), shape, rank)


def _weight_gradient(
    rank: int,
    input: npt.ArrayLike,
    weight_size: Sequence[int],
    grad_output: npt.ArrayLike,
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
    groups: int,
    padding_mode: str,
    layout: str,
    acc_dtype: npt.DTypeLike | None,
) -> Array:
    x, gy = promoted(input=input, grad_output=grad_output)
    shape = parameters.shape("weight_size", weight_size)
    place = (stride, padding, dilation, groups, padding_mode, layout, acc_dtype)
    problem = local_problem("weight_gradient", rank, x.shape, shape, *place, x.dtype)
    check_grad_output(problem, gy.shape, x.ndim == rank + 1)
    return solve(problem, (conjugated(with_batch(x, rank)), with_batch(gy, rank)))
