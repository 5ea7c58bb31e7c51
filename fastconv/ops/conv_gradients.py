"""Gradients of convolution, as in `torch.nn.grad`: `conv*_input` and `conv*_weight`."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, conjugated, promoted
from fastconv.ops import repeated
from fastconv.ops.call import check_grad_output, solver
from fastconv.ops.conv_problem import conv_problem
from fastconv.ops.repeated import Settled
from fastconv.parameters import IntOrInts, PaddingLike
from fastconv.plan import plan_for
from fastconv.problem import Problem


def conv1d_input(
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
    """Return the gradient of `conv1d` with respect to its input.

    Parameters
    ----------
    input_size : sequence of int
        Shape of the input, `(N, C_in, L)` or `(C_in, L)`.
    weight : array_like
        `(C_out, C_in // groups, kL)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, *out)` or `(C_out, *out)`.
    stride, padding, dilation, groups, padding_mode, acc_dtype
        As in the forward call.
    layout : str
        "channels_first", or "channels_last" for an input `(N, L, C_in)` and a gradient
        `(N, *out, C_out)`; the order of the weight does not change.

    Returns
    -------
    numpy.ndarray
        Of shape `input_size`; in the accumulator for integers. Complex gradients are the adjoint:
        the weight is conjugated.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> w, gy = np.ones((1, 1, 2)), np.ones((1, 1, 2))
    >>> F.conv1d_input((1, 1, 3), w, gy).sum()
    np.float64(4.0)
    """
    place = (stride, padding, dilation, groups)
    how = (layout, padding_mode, acc_dtype)
    return _input_gradient(1, input_size, weight, grad_output, *place, *how)


def conv1d_weight(
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
    """Return the gradient of `conv1d` with respect to its weight.

    Parameters
    ----------
    input : array_like
        `(N, C_in, L)` or `(C_in, L)`.
    weight_size : sequence of int
        Shape of the weight, `(C_out, C_in // groups, kL)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, *out)` or `(C_out, *out)`.
    stride, padding, dilation, groups, padding_mode, acc_dtype
        As in the forward call.
    layout : str
        "channels_first", or "channels_last" for an input `(N, L, C_in)` and a gradient
        `(N, *out, C_out)`; the order of the weight does not change.

    Returns
    -------
    numpy.ndarray
        Of shape `weight_size`; in the accumulator for integers. Complex gradients are the adjoint:
        the input is conjugated.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x, gy = np.ones((1, 1, 3)), np.ones((1, 1, 2))
    >>> F.conv1d_weight(x, (1, 1, 2), gy).ravel()[0]
    np.float64(2.0)
    """
    place = (stride, padding, dilation, groups)
    how = (layout, padding_mode, acc_dtype)
    return _weight_gradient(1, input, weight_size, grad_output, *place, *how)


def conv2d_input(
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
    """Return the gradient of `conv2d` with respect to its input.

    Parameters
    ----------
    input_size : sequence of int
        Shape of the input, `(N, C_in, H, W)` or `(C_in, H, W)`.
    weight : array_like
        `(C_out, C_in // groups, kH, kW)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, *out)` or `(C_out, *out)`.
    stride, padding, dilation, groups, padding_mode, acc_dtype
        As in the forward call.
    layout : str
        "channels_first", or "channels_last" for an input `(N, H, W, C_in)` and a gradient
        `(N, *out, C_out)`; the order of the weight does not change.

    Returns
    -------
    numpy.ndarray
        Of shape `input_size`; in the accumulator for integers. Complex gradients are the adjoint:
        the weight is conjugated.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> w, gy = np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2))
    >>> F.conv2d_input((1, 1, 3, 3), w, gy).sum()
    np.float64(16.0)
    """
    place = (stride, padding, dilation, groups)
    how = (layout, padding_mode, acc_dtype)
    return _input_gradient(2, input_size, weight, grad_output, *place, *how)


def conv2d_weight(
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
    """Return the gradient of `conv2d` with respect to its weight.

    Parameters
    ----------
    input : array_like
        `(N, C_in, H, W)` or `(C_in, H, W)`.
    weight_size : sequence of int
        Shape of the weight, `(C_out, C_in // groups, kH, kW)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, *out)` or `(C_out, *out)`.
    stride, padding, dilation, groups, padding_mode, acc_dtype
        As in the forward call.
    layout : str
        "channels_first", or "channels_last" for an input `(N, H, W, C_in)` and a gradient
        `(N, *out, C_out)`; the order of the weight does not change.

    Returns
    -------
    numpy.ndarray
        Of shape `weight_size`; in the accumulator for integers. Complex gradients are the adjoint:
        the input is conjugated.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x, gy = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
    >>> F.conv2d_weight(x, (1, 1, 2, 2), gy).ravel()[0]
    np.float64(4.0)
    """
    place = (stride, padding, dilation, groups)
    how = (layout, padding_mode, acc_dtype)
    return _weight_gradient(2, input, weight_size, grad_output, *place, *how)


def conv3d_input(
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
    """Return the gradient of `conv3d` with respect to its input.

    Parameters
    ----------
    input_size : sequence of int
        Shape of the input, `(N, C_in, D, H, W)` or `(C_in, D, H, W)`.
    weight : array_like
        `(C_out, C_in // groups, kD, kH, kW)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, *out)` or `(C_out, *out)`.
    stride, padding, dilation, groups, padding_mode, acc_dtype
        As in the forward call.
    layout : str
        "channels_first", or "channels_last" for an input `(N, D, H, W, C_in)` and a gradient
        `(N, *out, C_out)`; the order of the weight does not change.

    Returns
    -------
    numpy.ndarray
        Of shape `input_size`; in the accumulator for integers. Complex gradients are the adjoint:
        the weight is conjugated.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> w, gy = np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 2, 2, 2))
    >>> F.conv3d_input((1, 1, 3, 3, 3), w, gy).sum()
    np.float64(64.0)
    """
    place = (stride, padding, dilation, groups)
    how = (layout, padding_mode, acc_dtype)
    return _input_gradient(3, input_size, weight, grad_output, *place, *how)


def conv3d_weight(
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
    """Return the gradient of `conv3d` with respect to its weight.

    Parameters
    ----------
    input : array_like
        `(N, C_in, D, H, W)` or `(C_in, D, H, W)`.
    weight_size : sequence of int
        Shape of the weight, `(C_out, C_in // groups, kD, kH, kW)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, *out)` or `(C_out, *out)`.
    stride, padding, dilation, groups, padding_mode, acc_dtype
        As in the forward call.
    layout : str
        "channels_first", or "channels_last" for an input `(N, D, H, W, C_in)` and a gradient
        `(N, *out, C_out)`; the order of the weight does not change.

    Returns
    -------
    numpy.ndarray
        Of shape `weight_size`; in the accumulator for integers. Complex gradients are the adjoint:
        the input is conjugated.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x, gy = np.ones((1, 1, 3, 3, 3)), np.ones((1, 1, 2, 2, 2))
    >>> F.conv3d_weight(x, (1, 1, 2, 2, 2), gy).ravel()[0]
    np.float64(8.0)
    """
    place = (stride, padding, dilation, groups)
    how = (layout, padding_mode, acc_dtype)
    return _weight_gradient(3, input, weight_size, grad_output, *place, *how)


def _input_gradient(
    rank: int,
    input_size: Sequence[int],
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    *words: Any,
) -> Array:
    return repeated.call(_settle_input_gradient, (weight, grad_output), (rank, input_size, *words))


def _weight_gradient(
    rank: int,
    input: npt.ArrayLike,
    weight_size: Sequence[int],
    grad_output: npt.ArrayLike,
    *words: Any,
) -> Array:
    return repeated.call(_settle_weight_gradient, (input, grad_output), (rank, weight_size, *words))


def _settle_input_gradient(
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    rank: int,
    input_size: Sequence[int],
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
    groups: int,
    layout: str,
    padding_mode: str,
    acc_dtype: npt.DTypeLike | None,
) -> Settled[Array]:
    w, gy = promoted(weight=weight, grad_output=grad_output)
    shape = parameters.shape("input_size", input_size)
    problem = conv_problem(
        *("input_gradient", rank, shape, w.shape, stride, padding, dilation, groups, w.dtype),
        layout=layout,
        padding_mode=padding_mode,
        acc_dtype=acc_dtype,
    )
    bare = len(shape) == rank + 1
    check_grad_output(problem, gy.shape, bare)
    return _adjoint(problem, (False, bare), bare), (w, gy)


def _settle_weight_gradient(
    input: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    rank: int,
    weight_size: Sequence[int],
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
    groups: int,
    layout: str,
    padding_mode: str,
    acc_dtype: npt.DTypeLike | None,
) -> Settled[Array]:
    x, gy = promoted(input=input, grad_output=grad_output)
    shape = parameters.shape("weight_size", weight_size)
    problem = conv_problem(
        *("weight_gradient", rank, x.shape, shape, stride, padding, dilation, groups, x.dtype),
        layout=layout,
        padding_mode=padding_mode,
        acc_dtype=acc_dtype,
    )
    bare = x.ndim == rank + 1
    check_grad_output(problem, gy.shape, bare)
    return _adjoint(problem, (bare, bare), False), (x, gy)


def _adjoint(problem: Problem, unbatched: tuple[bool, bool], drops: bool) -> Callable[..., Array]:
    """Return what solves a problem for the conjugate of its first array."""
    solve = solver(plan_for(problem), unbatched, drops)
    if problem.dtype.kind != "c":
        return solve
    return lambda first, gy: solve(conjugated(first), gy)
