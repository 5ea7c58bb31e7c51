"""Transposed convolution and its gradients: `conv_transpose*d`, `*_input`, `*_weight`.

Each is a problem of the convolution whose input gradient it is (`transposed_problem`): no zeros are
stuffed between the elements, so that an infinity or NaN reaches only the outputs it belongs to.
"""

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, Dtype, conjugated, promoted
from fastconv.ops import repeated
from fastconv.ops.call import check_shape, solver, with_batch
from fastconv.ops.out import write_out
from fastconv.ops.repeated import Settled
from fastconv.ops.transposed_problem import transposed_problem
from fastconv.parameters import IntOrInts, Ints, PaddingLike
from fastconv.plan import Plan, plan_for, settings
from fastconv.problem import Direction, Problem


def conv_transpose1d(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
    *,
    output_size: IntOrInts | None = None,
    activation: str | None = None,
    layout: str = "channels_first",
    algorithm: str | None = None,
    out: Array | None = None,
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Convolve transposed in 1-D, as PyTorch's `conv_transpose1d`: the adjoint of `conv1d`.

    Every element of the input adds the kernel, times itself, to the output under its window.

    Parameters
    ----------
    input : array_like
        `(N, C_in, L)` or `(C_in, L)`, of any dtype of numbers.
    weight : array_like
        `(C_in, C_out // groups, kL)`.
    bias : array_like, optional
        `(C_out,)`.
    stride, dilation : int or tuple of int
        In elements of the output.
    padding : int, tuple, or str
        What is cut off the output: from every side, per dimension, or `(before, after)` per
        dimension; or "valid" for nothing. With "same" and "same_lower" the output has
        `size * stride` elements, or the output size: it is the adjoint of `conv1d` padded so.
    output_padding : int or tuple of int
        Elements more at the end of the output; less than the stride or the dilation.
    groups : int
        Groups of channels that are convolved apart. It comes before `dilation`, as in PyTorch.
    output_size : int or tuple of int, optional
        Spatial sizes of the output, in the place of `output_padding`: any from which `conv1d`
        with these parameters comes to the input's size. A whole shape will do.
    activation : str, optional
        What is applied to the result, as for `conv1d`.
    layout : str
        "channels_first", or "channels_last" for an input `(N, L, C_in)` and a result
        `(N, *out, C_out)`; the order of the weight does not change.
    algorithm : str, optional
        The one to use, as `settings(algorithm=...)` would force it.
    out : numpy.ndarray, optional
        An array for the result, of its shape and dtype, that shares no memory with the others.
    acc_dtype : dtype, optional
        What sums are kept in, as for `conv1d`.

    Returns
    -------
    numpy.ndarray
        `(N, C_out, *out)` or `(C_out, *out)`, where `out` is `(size - 1) * stride +
        dilation * (kernel - 1) + 1 - padding before - padding after + output_padding`; it is the
        argument `out` if that is given.

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
    >>> F.conv_transpose1d(np.array([[[1.0, 2.0]]]), np.array([[[1.0, 10.0, 100.0]]]), stride=2)
    array([[[  1.,  10., 102.,  20., 200.]]])
    """
    place = (stride, padding, output_padding, groups, dilation, output_size)
    return _forward(1, input, weight, bias, *place, activation, layout, algorithm, out, acc_dtype)


def conv_transpose2d(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
    *,
    output_size: IntOrInts | None = None,
    activation: str | None = None,
    layout: str = "channels_first",
    algorithm: str | None = None,
    out: Array | None = None,
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Convolve transposed in 2-D, as PyTorch's `conv_transpose2d`: the adjoint of `conv2d`.

    Every element of the input adds the kernel, times itself, to the output under its window.

    Parameters
    ----------
    input : array_like
        `(N, C_in, H, W)` or `(C_in, H, W)`, of any dtype of numbers.
    weight : array_like
        `(C_in, C_out // groups, kH, kW)`.
    bias : array_like, optional
        `(C_out,)`.
    stride, dilation : int or tuple of int
        In elements of the output.
    padding : int, tuple, or str
        What is cut off the output: from every side, per dimension, or `(before, after)` per
        dimension; or "valid" for nothing. With "same" and "same_lower" the output has
        `size * stride` elements, or the output size: it is the adjoint of `conv2d` padded so.
    output_padding : int or tuple of int
        Elements more at the end of the output; less than the stride or the dilation.
    groups : int
        Groups of channels that are convolved apart. It comes before `dilation`, as in PyTorch.
    output_size : int or tuple of int, optional
        Spatial sizes of the output, in the place of `output_padding`: any from which `conv2d`
        with these parameters comes to the input's size. A whole shape will do.
    activation : str, optional
        What is applied to the result, as for `conv2d`.
    layout : str
        "channels_first", or "channels_last" for an input `(N, H, W, C_in)` and a result
        `(N, *out, C_out)`; the order of the weight does not change.
    algorithm : str, optional
        The one to use, as `settings(algorithm=...)` would force it.
    out : numpy.ndarray, optional
        An array for the result, of its shape and dtype, that shares no memory with the others.
    acc_dtype : dtype, optional
        What sums are kept in, as for `conv2d`.

    Returns
    -------
    numpy.ndarray
        `(N, C_out, *out)` or `(C_out, *out)`, where `out` is `(size - 1) * stride +
        dilation * (kernel - 1) + 1 - padding before - padding after + output_padding`; it is the
        argument `out` if that is given.

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
    >>> image = np.ones((1, 8, 7, 7), np.float32)
    >>> F.conv_transpose2d(image, np.ones((8, 4, 3, 3), np.float32), None, 2, 1, 1).shape
    (1, 4, 14, 14)
    >>> F.conv_transpose2d(image, np.ones((8, 4, 3, 3)), stride=2, output_size=16).shape
    (1, 4, 16, 16)
    """
    place = (stride, padding, output_padding, groups, dilation, output_size)
    return _forward(2, input, weight, bias, *place, activation, layout, algorithm, out, acc_dtype)


def conv_transpose3d(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
    *,
    output_size: IntOrInts | None = None,
    activation: str | None = None,
    layout: str = "channels_first",
    algorithm: str | None = None,
    out: Array | None = None,
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Convolve transposed in 3-D, as PyTorch's `conv_transpose3d`: the adjoint of `conv3d`.

    Every element of the input adds the kernel, times itself, to the output under its window.

    Parameters
    ----------
    input : array_like
        `(N, C_in, D, H, W)` or `(C_in, D, H, W)`, of any dtype of numbers.
    weight : array_like
        `(C_in, C_out // groups, kD, kH, kW)`.
    bias : array_like, optional
        `(C_out,)`.
    stride, dilation : int or tuple of int
        In elements of the output.
    padding : int, tuple, or str
        What is cut off the output: from every side, per dimension, or `(before, after)` per
        dimension; or "valid" for nothing. With "same" and "same_lower" the output has
        `size * stride` elements, or the output size: it is the adjoint of `conv3d` padded so.
    output_padding : int or tuple of int
        Elements more at the end of the output; less than the stride or the dilation.
    groups : int
        Groups of channels that are convolved apart. It comes before `dilation`, as in PyTorch.
    output_size : int or tuple of int, optional
        Spatial sizes of the output, in the place of `output_padding`: any from which `conv3d`
        with these parameters comes to the input's size. A whole shape will do.
    activation : str, optional
        What is applied to the result, as for `conv3d`.
    layout : str
        "channels_first", or "channels_last" for an input `(N, D, H, W, C_in)` and a result
        `(N, *out, C_out)`; the order of the weight does not change.
    algorithm : str, optional
        The one to use, as `settings(algorithm=...)` would force it.
    out : numpy.ndarray, optional
        An array for the result, of its shape and dtype, that shares no memory with the others.
    acc_dtype : dtype, optional
        What sums are kept in, as for `conv3d`.

    Returns
    -------
    numpy.ndarray
        `(N, C_out, *out)` or `(C_out, *out)`, where `out` is `(size - 1) * stride +
        dilation * (kernel - 1) + 1 - padding before - padding after + output_padding`; it is the
        argument `out` if that is given.

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
    >>> video = np.ones((1, 2, 3, 4, 5))
    >>> F.conv_transpose3d(video, np.ones((2, 1, 3, 3, 3)), stride=2, padding="same").shape
    (1, 1, 6, 8, 10)
    """
    place = (stride, padding, output_padding, groups, dilation, output_size)
    return _forward(3, input, weight, bias, *place, activation, layout, algorithm, out, acc_dtype)


def conv_transpose1d_input(
    input_size: Sequence[int],
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
    *,
    output_size: IntOrInts | None = None,
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return the gradient of `conv_transpose1d` with respect to its input.

    Parameters
    ----------
    input_size : sequence of int
        Shape of the input, `(N, C_in, L)` or `(C_in, L)`.
    weight : array_like
        `(C_in, C_out // groups, kL)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, *out)` or `(C_out, *out)`.
    stride, padding, output_padding, groups, dilation, output_size, acc_dtype
        As in the forward call.
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
    >>> w, gy = np.ones((1, 1, 2)), np.ones((1, 1, 3))
    >>> F.conv_transpose1d_input((1, 1, 2), w, gy).ravel()[0]
    np.float64(2.0)
    """
    place = (stride, padding, output_padding, groups, dilation, output_size)
    return _input_gradient(1, input_size, weight, grad_output, *place, layout, acc_dtype)


def conv_transpose2d_input(
    input_size: Sequence[int],
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
    *,
    output_size: IntOrInts | None = None,
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return the gradient of `conv_transpose2d` with respect to its input.

    Parameters
    ----------
    input_size : sequence of int
        Shape of the input, `(N, C_in, H, W)` or `(C_in, H, W)`.
    weight : array_like
        `(C_in, C_out // groups, kH, kW)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, *out)` or `(C_out, *out)`.
    stride, padding, output_padding, groups, dilation, output_size, acc_dtype
        As in the forward call.
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
    >>> w, gy = np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3))
    >>> F.conv_transpose2d_input((1, 1, 2, 2), w, gy).ravel()[0]
    np.float64(4.0)
    """
    place = (stride, padding, output_padding, groups, dilation, output_size)
    return _input_gradient(2, input_size, weight, grad_output, *place, layout, acc_dtype)


def conv_transpose3d_input(
    input_size: Sequence[int],
    weight: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
    *,
    output_size: IntOrInts | None = None,
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return the gradient of `conv_transpose3d` with respect to its input.

    Parameters
    ----------
    input_size : sequence of int
        Shape of the input, `(N, C_in, D, H, W)` or `(C_in, D, H, W)`.
    weight : array_like
        `(C_in, C_out // groups, kD, kH, kW)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, *out)` or `(C_out, *out)`.
    stride, padding, output_padding, groups, dilation, output_size, acc_dtype
        As in the forward call.
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
    >>> w, gy = np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 3, 3, 3))
    >>> F.conv_transpose3d_input((1, 1, 2, 2, 2), w, gy).ravel()[0]
    np.float64(8.0)
    """
    place = (stride, padding, output_padding, groups, dilation, output_size)
    return _input_gradient(3, input_size, weight, grad_output, *place, layout, acc_dtype)


def conv_transpose1d_weight(
    input: npt.ArrayLike,
    weight_size: Sequence[int],
    grad_output: npt.ArrayLike,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
    *,
    output_size: IntOrInts | None = None,
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return the gradient of `conv_transpose1d` with respect to its weight.

    Parameters
    ----------
    input : array_like
        `(N, C_in, L)` or `(C_in, L)`.
    weight_size : sequence of int
        Shape of the weight, `(C_in, C_out // groups, kL)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, *out)` or `(C_out, *out)`.
    stride, padding, output_padding, groups, dilation, output_size, acc_dtype
        As in the forward call.
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
    >>> x, gy = np.ones((1, 1, 2)), np.ones((1, 1, 3))
    >>> F.conv_transpose1d_weight(x, (1, 1, 2), gy).ravel()[0]
    np.float64(2.0)
    """
    place = (stride, padding, output_padding, groups, dilation, output_size)
    return _weight_gradient(1, input, weight_size, grad_output, *place, layout, acc_dtype)


def conv_transpose2d_weight(
    input: npt.ArrayLike,
    weight_size: Sequence[int],
    grad_output: npt.ArrayLike,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
    *,
    output_size: IntOrInts | None = None,
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return the gradient of `conv_transpose2d` with respect to its weight.

    Parameters
    ----------
    input : array_like
        `(N, C_in, H, W)` or `(C_in, H, W)`.
    weight_size : sequence of int
        Shape of the weight, `(C_in, C_out // groups, kH, kW)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, *out)` or `(C_out, *out)`.
    stride, padding, output_padding, groups, dilation, output_size, acc_dtype
        As in the forward call.
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
    >>> x, gy = np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3))
    >>> F.conv_transpose2d_weight(x, (1, 1, 2, 2), gy).ravel()[0]
    np.float64(4.0)
    """
    place = (stride, padding, output_padding, groups, dilation, output_size)
    return _weight_gradient(2, input, weight_size, grad_output, *place, layout, acc_dtype)


def conv_transpose3d_weight(
    input: npt.ArrayLike,
    weight_size: Sequence[int],
    grad_output: npt.ArrayLike,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
    *,
    output_size: IntOrInts | None = None,
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return the gradient of `conv_transpose3d` with respect to its weight.

    Parameters
    ----------
    input : array_like
        `(N, C_in, D, H, W)` or `(C_in, D, H, W)`.
    weight_size : sequence of int
        Shape of the weight, `(C_in, C_out // groups, kD, kH, kW)`.
    grad_output : array_like
        Gradient of the output, `(N, C_out, *out)` or `(C_out, *out)`.
    stride, padding, output_padding, groups, dilation, output_size, acc_dtype
        As in the forward call.
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
    >>> x, gy = np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 3, 3, 3))
    >>> F.conv_transpose3d_weight(x, (1, 1, 2, 2, 2), gy).ravel()[0]
    np.float64(8.0)
    """
    place = (stride, padding, output_padding, groups, dilation, output_size)
    return _weight_gradient(3, input, weight_size, grad_output, *place, layout, acc_dtype)


def _forward(
    rank: int,
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None,
    stride: IntOrInts,
    padding: PaddingLike,
    output_padding: IntOrInts,
    groups: int,
    dilation: IntOrInts,
    output_size: IntOrInts | None,
    activation: str | None,
    layout: str,
    algorithm: str | None,
    out: Array | None,
    acc_dtype: npt.DTypeLike | None,
) -> Array:
    place = (stride, padding, output_padding, groups, dilation, output_size)
    if algorithm is not None:
        with settings(algorithm=algorithm):
            return _forward(
                rank, input, weight, bias, *place, activation, layout, None, out, acc_dtype
            )
    words = (rank, *place, activation, layout, acc_dtype)
    if out is None:
        return repeated.call(_settle_forward, (input, weight, bias), words)
    plan, (x, w, b) = _planned(input, weight, bias, *words)
    inputs = (w, with_batch(x, rank), b)
    return write_out(
        *(out, plan.output_shape, plan.result_dtype, lambda y: plan.run(inputs, (y,))),
        input=x,
        weight=w,
        bias=b,
    )


def _settle_forward(
    input: npt.ArrayLike, weight: npt.ArrayLike, bias: npt.ArrayLike | None, rank: int, *words: Any
) -> Settled[Array]:
    plan, arrays = _planned(input, weight, bias, rank, *words)
    bare = arrays[0].ndim == rank + 1
    solve = solver(plan, (False, bare, False), bare)
    return lambda x, w, b: solve(w, x, b), arrays


def _planned(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None,
    rank: int,
    stride: IntOrInts,
    padding: PaddingLike,
    output_padding: IntOrInts,
    groups: int,
    dilation: IntOrInts,
    output_size: IntOrInts | None,
    activation: str | None,
    layout: str,
    acc_dtype: npt.DTypeLike | None,
) -> tuple[Plan, tuple[Array, Array, Array | None]]:
    """Return the plan of a transposed convolution, and its arrays in their common dtype."""
    if bias is None:
        x, w = promoted(input=input, weight=weight)
        b = None
    else:
        x, w, b = promoted(input=input, weight=weight, bias=bias)
    place = (stride, padding, output_padding, groups, dilation, output_size)
    problem = transposed_problem(
        *("input_gradient", rank, x.shape, w.shape, *place, x.dtype),
        activation=activation,
        layout=layout,
        acc_dtype=acc_dtype,
    )
    if b is not None:
        check_transposed_bias(b.shape, problem)
    return plan_for(problem), (x, w, b)


def check_transposed_bias(shape: tuple[int, ...], problem: Problem) -> None:
    """Raise a `ShapeError` unless a bias has one element for each output channel."""
    expected = (problem.conv.channels,)
    check_shape("bias", shape, expected, "to match the weight's output channels in all groups")


def check_transposed_gradient(problem: Problem, shape: tuple[int, ...], unbatched: bool) -> None:
    """Raise a `ShapeError` unless a gradient has the shape of the transposed output."""
    expected = problem.x_shape[1:] if unbatched else problem.x_shape
    check_shape("grad_output", shape, expected, "as the output")


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
    *words: Any,
) -> Settled[Array]:
    w, gy = promoted(weight=weight, grad_output=grad_output)
    shape = parameters.shape("input_size", input_size)
    problem = _gradient_problem("forward", rank, shape, w.shape, w.dtype, *words)
    bare = len(shape) == rank + 1
    check_transposed_gradient(problem, gy.shape, bare)
    solve = solver(plan_for(problem), (bare, False, False), bare)
    return lambda w, gy: solve(gy, conjugated(w), None), (w, gy)


def _settle_weight_gradient(
    input: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    rank: int,
    weight_size: Sequence[int],
    *words: Any,
) -> Settled[Array]:
    x, gy = promoted(input=input, grad_output=grad_output)
    shape = parameters.shape("weight_size", weight_size)
    problem = _gradient_problem("weight_gradient", rank, x.shape, shape, x.dtype, *words)
    bare = x.ndim == rank + 1
    check_transposed_gradient(problem, gy.shape, bare)
    solve = solver(plan_for(problem), (bare, bare), False)
    return lambda x, gy: solve(gy, conjugated(x)), (x, gy)


def _gradient_problem(
    direction: Direction,
    rank: int,
    input: Ints,
    weight: Ints,
    dtype: Dtype,
    stride: IntOrInts,
    padding: PaddingLike,
    output_padding: IntOrInts,
    groups: int,
    dilation: IntOrInts,
    output_size: IntOrInts | None,
    layout: str,
    acc_dtype: npt.DTypeLike | None,
) -> Problem:
    place = (stride, padding, output_padding, groups, dilation, output_size)
    return transposed_problem(
        *(direction, rank, input, weight, *place, dtype), layout=layout, acc_dtype=acc_dtype
    )
