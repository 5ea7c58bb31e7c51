"""Separable convolution: a depthwise one, and one of a single tap that mixes the channels."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import memory, parameters
from fastconv.dtypes import Array, promoted
from fastconv.errors import ShapeError
from fastconv.ops.call import like_input, solve, with_batch
from fastconv.ops.conv import check_bias
from fastconv.ops.conv_problem import conv_problem
from fastconv.parameters import IntOrInts, PaddingLike
from fastconv.plan import current_settings, plan_for
from fastconv.problem import Problem


def separable_conv1d(
    input: npt.ArrayLike,
    depthwise_weight: npt.ArrayLike,
    pointwise_weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    *,
    activation: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Convolve every channel by kernels of its own in 1-D, then mix the channels at each position.

    The same as `conv1d(conv1d(input, depthwise_weight, groups=C_in, ...), pointwise_weight, bias)`,
    a few samples at a time: what is between the two takes no more than `max_scratch_bytes`, or one
    sample.

    Parameters
    ----------
    input : array_like
        `(N, C_in, L)` or `(C_in, L)`.
    depthwise_weight : array_like
        `(C_in * multiplier, 1, kL)`: `multiplier` kernels for each channel, those of
        a channel side by side.
    pointwise_weight : array_like
        `(C_out, C_in * multiplier, 1)` or `(C_out, C_in * multiplier)`.
    bias : array_like, optional
        `(C_out,)`, added at the end.
    stride, padding, dilation, padding_mode
        Of the depthwise convolution, as for `conv1d`.
    activation : str, optional
        What is applied to the result, as for `conv1d`.
    layout : str
        "channels_first", or "channels_last" for an input `(N, L, C_in)` and a result
        `(N, *out, C_out)`; the order of the weights does not change.
    acc_dtype : dtype, optional
        What both sums are kept in, if not int32 for 8-bit integers, int64 for wider ones, float32
        for float16. Integers are returned in it; floating point is rounded to its own dtype, also
        between the two.

    Returns
    -------
    numpy.ndarray
        `(N, C_out, *out)` or `(C_out, *out)`, in the promoted dtype of the arrays.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x, kernels = np.ones((1, 2, 9)), np.ones((4, 1, 3))
    >>> F.separable_conv1d(x, kernels, np.ones((5, 4)), padding="same", stride=2).shape
    (1, 5, 5)
    """
    place = (stride, padding, dilation)
    how = (activation, padding_mode, layout)
    return _separable(1, input, depthwise_weight, pointwise_weight, bias, *place, *how, acc_dtype)


def separable_conv2d(
    input: npt.ArrayLike,
    depthwise_weight: npt.ArrayLike,
    pointwise_weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    *,
    activation: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Convolve every channel by kernels of its own in 2-D, then mix the channels at each position.

    The same as `conv2d(conv2d(input, depthwise_weight, groups=C_in, ...), pointwise_weight, bias)`,
    a few samples at a time: what is between the two takes no more than `max_scratch_bytes`, or one
    sample.

    Parameters
    ----------
    input : array_like
        `(N, C_in, H, W)` or `(C_in, H, W)`.
    depthwise_weight : array_like
        `(C_in * multiplier, 1, kH, kW)`: `multiplier` kernels for each channel, those of
        a channel side by side.
    pointwise_weight : array_like
        `(C_out, C_in * multiplier, 1, 1)` or `(C_out, C_in * multiplier)`.
    bias : array_like, optional
        `(C_out,)`, added at the end.
    stride, padding, dilation, padding_mode
        Of the depthwise convolution, as for `conv2d`.
    activation : str, optional
        What is applied to the result, as for `conv2d`.
    layout : str
        "channels_first", or "channels_last" for an input `(N, H, W, C_in)` and a result
        `(N, *out, C_out)`; the order of the weights does not change.
    acc_dtype : dtype, optional
        What both sums are kept in, if not int32 for 8-bit integers, int64 for wider ones, float32
        for float16. Integers are returned in it; floating point is rounded to its own dtype, also
        between the two.

    Returns
    -------
    numpy.ndarray
        `(N, C_out, *out)` or `(C_out, *out)`, in the promoted dtype of the arrays.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x, kernels = np.ones((1, 2, 9, 9)), np.ones((4, 1, 3, 3))
    >>> F.separable_conv2d(x, kernels, np.ones((5, 4)), padding="same", stride=2).shape
    (1, 5, 5, 5)
    """
    place = (stride, padding, dilation)
    how = (activation, padding_mode, layout)
    return _separable(2, input, depthwise_weight, pointwise_weight, bias, *place, *how, acc_dtype)


def separable_conv3d(
    input: npt.ArrayLike,
    depthwise_weight: npt.ArrayLike,
    pointwise_weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    *,
    activation: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Convolve every channel by kernels of its own in 3-D, then mix the channels at each position.

    The same as `conv3d(conv3d(input, depthwise_weight, groups=C_in, ...), pointwise_weight, bias)`,
    a few samples at a time: what is between the two takes no more than `max_scratch_bytes`, or one
    sample.

    Parameters
    ----------
    input : array_like
        `(N, C_in, D, H, W)` or `(C_in, D, H, W)`.
    depthwise_weight : array_like
        `(C_in * multiplier, 1, kD, kH, kW)`: `multiplier` kernels for each channel, those of
        a channel side by side.
    pointwise_weight : array_like
        `(C_out, C_in * multiplier, 1, 1, 1)` or `(C_out, C_in * multiplier)`.
    bias : array_like, optional
        `(C_out,)`, added at the end.
    stride, padding, dilation, padding_mode
        Of the depthwise convolution, as for `conv3d`.
    activation : str, optional
        What is applied to the result, as for `conv3d`.
    layout : str
        "channels_first", or "channels_last" for an input `(N, D, H, W, C_in)` and a result
        `(N, *out, C_out)`; the order of the weights does not change.
    acc_dtype : dtype, optional
        What both sums are kept in, if not int32 for 8-bit integers, int64 for wider ones, float32
        for float16. Integers are returned in it; floating point is rounded to its own dtype, also
        between the two.

    Returns
    -------
    numpy.ndarray
        `(N, C_out, *out)` or `(C_out, *out)`, in the promoted dtype of the arrays.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x, kernels = np.ones((1, 2, 9, 9, 9)), np.ones((4, 1, 3, 3, 3))
    >>> F.separable_conv3d(x, kernels, np.ones((5, 4)), padding="same", stride=2).shape
    (1, 5, 5, 5, 5)
    """
    place = (stride, padding, dilation)
    how = (activation, padding_mode, layout)
    return _separable(3, input, depthwise_weight, pointwise_weight, bias, *place, *how, acc_dtype)


def separable_problems(
    rank: int,
    input: tuple[int, ...],
    depthwise: tuple[int, ...],
    pointwise: tuple[int, ...],
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
    dtype: np.dtype[Any],
    activation: str | None,
    padding_mode: str,
    layout: str,
    acc_dtype: npt.DTypeLike | None,
) -> tuple[Problem, Problem]:
    """Return the problems of the two steps; a pointwise weight may have no spatial sizes."""
    if len(depthwise) == rank + 2 and depthwise[1] != 1:
        raise ShapeError(
            f"depthwise_weight: expected (C_in * multiplier, 1, *kernel), got shape {depthwise}"
        )
    last = parameters.layout(layout) == "channels_last"
    place = len(input) - 1 if last else len(input) - rank - 1
    channels = input[place] if 0 <= place < len(input) else 1
    if len(depthwise) == rank + 2 and (not channels or depthwise[0] % channels):
        raise ShapeError(
            f"depthwise_weight: expected a multiple of the input's {channels} channels, "
            f"got shape {depthwise}"
        )
    first = conv_problem(
        *("forward", rank, input, depthwise, stride, padding, dilation, max(1, channels), dtype),
        layout=layout,
        padding_mode=padding_mode,
        acc_dtype=acc_dtype,
    )
    expected = (pointwise[0] if pointwise else 1, depthwise[0], *(1,) * rank)
    if pointwise not in (expected, expected[:2]):
        raise ShapeError(
            f"pointwise_weight: expected (C_out, {depthwise[0]}) and perhaps {rank} sizes of 1 "
            f"after depthwise_weight {depthwise}, got {pointwise}"
        )
    second = conv_problem(
        *("forward", rank, first.y_shape, expected, 1, 0, 1, 1),
        first.result_dtype,
        activation=activation,
        layout=layout,
        acc_dtype=acc_dtype,
    )
    return first, second


def _separable(
    rank: int,
    input: npt.ArrayLike,
    depthwise_weight: npt.ArrayLike,
    pointwise_weight: npt.ArrayLike,
    bias: npt.ArrayLike | None,
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
    activation: str | None,
    padding_mode: str,
    layout: str,
    acc_dtype: npt.DTypeLike | None,
) -> Array:
    named = {"depthwise_weight": depthwise_weight, "pointwise_weight": pointwise_weight}
    if bias is None:
        x, d, p = promoted(input=input, **named)
        b = None
    else:
        x, d, p, b = promoted(input=input, **named, bias=bias)
    place = (stride, padding, dilation, x.dtype, activation, padding_mode, layout, acc_dtype)
    whole = separable_problems(rank, x.shape, d.shape, p.shape, *place)
    if b is not None:
        check_bias(b.shape, whole[1])
    p = p.reshape(whole[1].conv.weight_shape).astype(whole[1].dtype, copy=False)
    b = None if b is None else b.astype(whole[1].dtype, copy=False)
    samples = with_batch(x, rank)
    y = memory.empty(whole[1].y_shape, whole[1].result_dtype)
    step = _samples(whole[0])
    for start in range(0, len(samples), step):
        part = samples[start : start + step]
        first, second = separable_problems(rank, part.shape, d.shape, p.shape, *place)
        between = solve(first, (part, d, None))
        plan_for(second).run((between, p, b), (y[start : start + step],))
    return like_input(y, x.shape, rank)


def bytes_between(first: Problem) -> int:
    """Return what lies between the two steps at a time."""
    return min(first.conv.batch, _samples(first)) * _sample_bytes(first)


def _samples(first: Problem) -> int:
    """Return how many samples lie between the two steps at a time, one at least."""
    return max(1, current_settings().max_scratch_bytes // _sample_bytes(first))


def _sample_bytes(first: Problem) -> int:
    return math.prod(first.y_shape[1:]) * first.result_dtype.itemsize
