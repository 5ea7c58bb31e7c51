"""Convolution: `conv1d`, `conv2d`, `conv3d`."""

from typing import Any

import numpy.typing as npt

from fastconv.dtypes import Array, promoted
from fastconv.ops import repeated
from fastconv.ops.call import check_shape, solver, with_batch
from fastconv.ops.conv_problem import conv_problem
from fastconv.ops.out import write_out
from fastconv.ops.repeated import Settled
from fastconv.parameters import IntOrInts, PaddingLike
from fastconv.plan import Plan, plan_for, settings
from fastconv.problem import Problem


def conv1d(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    algorithm: str | None = None,
    out: Array | None = None,
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Convolve in 1-D: the cross-correlation of PyTorch's `conv1d`.

    Parameters
    ----------
    input : array_like
        `(N, C_in, L)` or `(C_in, L)`, of any dtype of numbers.
    weight : array_like
        `(C_out, C_in // groups, kL)`.
    bias : array_like, optional
        `(C_out,)`.
    stride, dilation : int or tuple of int
        In elements.
    padding : int, tuple, or str
        Elements around the input: for every side, per dimension, or `(before, after)` per
        dimension; or "valid", "same", "same_lower" (the ONNX and TensorFlow rule, with any stride).
    groups : int
        Groups of channels that are convolved apart.
    activation : str, optional
        What is applied to the result: "relu", "relu6", "leaky_relu" (slope 0.01), "tanh" or
        "sigmoid".
    padding_mode : str
        What the padding holds: "zeros"; "reflect", the input mirrored at its last elements;
        "replicate", the nearest element; "circular", the input's other end.
    layout : str
        "channels_first", or "channels_last" for an input `(N, L, C_in)` and a result
        `(N, *out, C_out)`; the order of the weight does not change.
    algorithm : str, optional
        The one to use, as `settings(algorithm=...)` would force it.
    out : numpy.ndarray, optional
        An array for the result, of its shape and dtype, that shares no memory with the others.
    acc_dtype : dtype, optional
        What sums are kept in, if not int32 for 8-bit integers, int64 for wider ones, float32 for
        float16. Integers are returned in it; floating point is rounded once to its own dtype.

    Returns
    -------
    numpy.ndarray
        `(N, C_out, *out)` or `(C_out, *out)`, in the promoted dtype of the arrays, or in the
        accumulator for integers; it is `out` if that is given.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense; `out` is then as it was.
    AccumulatorError
        If sums of integers could exceed their accumulator.
    PlanError
        If the algorithm asked for refuses.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.conv1d(np.array([[[1.0, 2.0, 4.0]]]), np.array([[[1.0, -1.0]]]))
    array([[[-1., -2.]]])
    """
    place = (stride, padding, dilation, groups)
    how = (activation, layout, padding_mode)
    return _forward(1, input, weight, bias, *place, *how, algorithm, out, acc_dtype)


def conv2d(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    algorithm: str | None = None,
    out: Array | None = None,
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Convolve in 2-D: the cross-correlation of PyTorch's `conv2d`.

    Parameters
    ----------
    input : array_like
        `(N, C_in, H, W)` or `(C_in, H, W)`, of any dtype of numbers.
    weight : array_like
        `(C_out, C_in // groups, kH, kW)`.
    bias : array_like, optional
        `(C_out,)`.
    stride, dilation : int or tuple of int
        In elements.
    padding : int, tuple, or str
        Elements around the input: for every side, per dimension, or `(before, after)` per
        dimension; or "valid", "same", "same_lower" (the ONNX and TensorFlow rule, with any stride).
    groups : int
        Groups of channels that are convolved apart.
    activation : str, optional
        What is applied to the result: "relu", "relu6", "leaky_relu" (slope 0.01), "tanh" or
        "sigmoid".
    padding_mode : str
        What the padding holds: "zeros"; "reflect", the input mirrored at its last elements;
        "replicate", the nearest element; "circular", the input's other end.
    layout : str
        "channels_first", or "channels_last" for an input `(N, H, W, C_in)` and a result
        `(N, *out, C_out)`; the order of the weight does not change.
    algorithm : str, optional
        The one to use, as `settings(algorithm=...)` would force it.
    out : numpy.ndarray, optional
        An array for the result, of its shape and dtype, that shares no memory with the others.
    acc_dtype : dtype, optional
        What sums are kept in, if not int32 for 8-bit integers, int64 for wider ones, float32 for
        float16. Integers are returned in it; floating point is rounded once to its own dtype.

    Returns
    -------
    numpy.ndarray
        `(N, C_out, *out)` or `(C_out, *out)`, in the promoted dtype of the arrays, or in the
        accumulator for integers; it is `out` if that is given.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense; `out` is then as it was.
    AccumulatorError
        If sums of integers could exceed their accumulator.
    PlanError
        If the algorithm asked for refuses.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> image = np.ones((1, 3, 8, 8), np.float32)
    >>> F.conv2d(image, np.ones((4, 3, 3, 3), np.float32), padding="same", stride=2).shape
    (1, 4, 4, 4)
    >>> F.conv2d(image, np.ones((4, 3, 3, 3), np.float32))[0, 0, 0, 0]
    np.float32(27.0)
    """
    place = (stride, padding, dilation, groups)
    how = (activation, layout, padding_mode)
    return _forward(2, input, weight, bias, *place, *how, algorithm, out, acc_dtype)


def conv3d(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    algorithm: str | None = None,
    out: Array | None = None,
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Convolve in 3-D: the cross-correlation of PyTorch's `conv3d`.

    Parameters
    ----------
    input : array_like
        `(N, C_in, D, H, W)` or `(C_in, D, H, W)`, of any dtype of numbers.
    weight : array_like
        `(C_out, C_in // groups, kD, kH, kW)`.
    bias : array_like, optional
        `(C_out,)`.
    stride, dilation : int or tuple of int
        In elements.
    padding : int, tuple, or str
        Elements around the input: for every side, per dimension, or `(before, after)` per
        dimension; or "valid", "same", "same_lower" (the ONNX and TensorFlow rule, with any stride).
    groups : int
        Groups of channels that are convolved apart.
    activation : str, optional
        What is applied to the result: "relu", "relu6", "leaky_relu" (slope 0.01), "tanh" or
        "sigmoid".
    padding_mode : str
        What the padding holds: "zeros"; "reflect", the input mirrored at its last elements;
        "replicate", the nearest element; "circular", the input's other end.
    layout : str
        "channels_first", or "channels_last" for an input `(N, D, H, W, C_in)` and a result
        `(N, *out, C_out)`; the order of the weight does not change.
    algorithm : str, optional
        The one to use, as `settings(algorithm=...)` would force it.
    out : numpy.ndarray, optional
        An array for the result, of its shape and dtype, that shares no memory with the others.
    acc_dtype : dtype, optional
        What sums are kept in, if not int32 for 8-bit integers, int64 for wider ones, float32 for
        float16. Integers are returned in it; floating point is rounded once to its own dtype.

    Returns
    -------
    numpy.ndarray
        `(N, C_out, *out)` or `(C_out, *out)`, in the promoted dtype of the arrays, or in the
        accumulator for integers; it is `out` if that is given.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense; `out` is then as it was.
    AccumulatorError
        If sums of integers could exceed their accumulator.
    PlanError
        If the algorithm asked for refuses.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> video = np.ones((2, 4, 5, 6))
    >>> F.conv3d(video, np.ones((8, 1, 3, 3, 3)), padding=1, groups=2).shape
    (8, 4, 5, 6)
    """
    place = (stride, padding, dilation, groups)
    how = (activation, layout, padding_mode)
    return _forward(3, input, weight, bias, *place, *how, algorithm, out, acc_dtype)


def _forward(
    rank: int,
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None,
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
    groups: int,
    activation: str | None,
    layout: str,
    padding_mode: str,
    algorithm: str | None,
    out: Array | None,
    acc_dtype: npt.DTypeLike | None,
) -> Array:
    if algorithm is not None:
        rest = (stride, padding, dilation, groups, activation, layout, padding_mode)
        with settings(algorithm=algorithm):
            return _forward(rank, input, weight, bias, *rest, None, out, acc_dtype)
    words = (rank, stride, padding, dilation, groups, activation, layout, padding_mode)
    if out is None:
        return repeated.call(settle_conv, (input, weight, bias), (*words, acc_dtype))
    plan, (x, w, b) = _planned(input, weight, bias, *words, acc_dtype)
    inputs = (with_batch(x, rank), w, b)
    return write_out(
        *(out, plan.output_shape, plan.result_dtype, lambda y: plan.run(inputs, (y,))),
        input=x,
        weight=w,
        bias=b,
    )


def settle_conv(
    input: npt.ArrayLike, weight: npt.ArrayLike, bias: npt.ArrayLike | None, rank: int, *words: Any
) -> Settled[Array]:
    """Return what solves a convolution; words are those of `_planned` from `stride` on."""
    plan, arrays = _planned(input, weight, bias, rank, *words)
    bare = arrays[0].ndim == rank + 1
    return solver(plan, (bare, False, False), bare), arrays


def _planned(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None,
    rank: int,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    activation: str | None = None,
    layout: str = "channels_first",
    padding_mode: str = "zeros",
    acc_dtype: npt.DTypeLike | None = None,
) -> tuple[Plan, tuple[Array, Array, Array | None]]:
    """Return the plan of a convolution, and its arrays in their common dtype."""
    if bias is None:
        x, w = promoted(input=input, weight=weight)
        b = None
    else:
        x, w, b = promoted(input=input, weight=weight, bias=bias)
    problem = conv_problem(
        *("forward", rank, x.shape, w.shape, stride, padding, dilation, groups, x.dtype),
        *(activation, layout, padding_mode, acc_dtype),
    )
    if b is not None:
        check_bias(b.shape, problem)
    return plan_for(problem), (x, w, b)


def check_bias(shape: tuple[int, ...], problem: Problem) -> None:
    """Raise a `ShapeError` unless a bias has one element for each output channel."""
    expected = (problem.conv.out_channels,)
    check_shape("bias", shape, expected, "to match the weight's output channels")
