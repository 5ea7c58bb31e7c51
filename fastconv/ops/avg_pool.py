"""Average pooling, forward and gradient."""

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, Dtype, promoted
from fastconv.ops import repeated
from fastconv.ops.call import check_grad_output, solver
from fastconv.ops.pool_problem import pool_problem
from fastconv.ops.repeated import Settled
from fastconv.parameters import IntOrInts, Ints, PaddingLike
from fastconv.plan import plan_for
from fastconv.problem import Direction, Problem


def avg_pool1d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    dilation: IntOrInts = 1,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Average every window, as PyTorch's `avg_pool1d`.

    Parameters
    ----------
    input : array_like
        `(N, C, L)` or `(C, L)`.
    kernel_size : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    padding : int, tuple or str
        Zeros around the input: for every side, per dimension, `(before, after)` per dimension, or
        "valid", "same", "same_lower".
    ceil_mode : bool
        The same as `rounding="ceil"`.
    count_include_pad : bool
        Whether padding counts in the divisor; what overhangs it never does.
    dilation : int or tuple of int
        Distance of the elements of a window; 1 is dense.
    rounding : str, optional
        "floor" for windows inside the padded input; "ceil" for one more that reaches beyond it, if
        it starts before the padding after the input; "cover_all" for one more wherever it starts.
    padding_mode : str
        "zeros" for padding as above; "reflect", "replicate" or "circular" for elements of the
        input instead, which count like all others.
    layout : str
        "channels_first", or "channels_last" for `(N, L, C)`.

    Returns
    -------
    numpy.ndarray
        `(N, C, *out)` or `(C, *out)`. A window without any input element gives 0 if padding counts,
        else NaN.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.avg_pool1d(np.arange(4.0).reshape((1, 1, 4)), 2).ravel()
    array([0.5, 2.5])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    options = (count_include_pad, None, rounding, padding_mode, layout)
    return _forward(1, input, *place, *options)


def avg_pool1d_backward(
    grad_output: npt.ArrayLike,
    input_size: Sequence[int],
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    dilation: IntOrInts = 1,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `avg_pool1d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    input_size : sequence of int
        Shape of the input, `(N, C, L)` or `(C, L)`.
    kernel_size, stride, padding, ceil_mode, count_include_pad
        As in the forward call.
    dilation, rounding, padding_mode, layout
        As in the forward call.

    Returns
    -------
    numpy.ndarray
        Of shape `input_size`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.avg_pool1d_backward(np.ones((1, 1, 1)), (1, 1, 2), 2).ravel()
    array([0.5, 0.5])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    options = (count_include_pad, None, rounding, padding_mode, layout)
    return _backward(1, grad_output, input_size, *place, *options)


def avg_pool2d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrInts = 1,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Average every window, as PyTorch's `avg_pool2d`.

    Parameters
    ----------
    input : array_like
        `(N, C, H, W)` or `(C, H, W)`.
    kernel_size : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    padding : int, tuple or str
        Zeros around the input: for every side, per dimension, `(before, after)` per dimension, or
        "valid", "same", "same_lower".
    ceil_mode : bool
        The same as `rounding="ceil"`.
    count_include_pad : bool
        Whether padding counts in the divisor; what overhangs it never does.
    divisor_override : int, optional
        Divides in the place of the number of elements.
    dilation : int or tuple of int
        Distance of the elements of a window; 1 is dense.
    rounding : str, optional
        "floor" for windows inside the padded input; "ceil" for one more that reaches beyond it, if
        it starts before the padding after the input; "cover_all" for one more wherever it starts.
    padding_mode : str
        "zeros" for padding as above; "reflect", "replicate" or "circular" for elements of the
        input instead, which count like all others.
    layout : str
        "channels_first", or "channels_last" for `(N, H, W, C)`.

    Returns
    -------
    numpy.ndarray
        `(N, C, *out)` or `(C, *out)`. A window without any input element gives 0 if padding counts,
        else NaN.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.avg_pool2d(np.arange(16.0).reshape((1, 1, 4, 4)), 2)[0, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    options = (count_include_pad, divisor_override, rounding, padding_mode, layout)
    return _forward(2, input, *place, *options)


def avg_pool2d_backward(
    grad_output: npt.ArrayLike,
    input_size: Sequence[int],
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrInts = 1,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `avg_pool2d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    input_size : sequence of int
        Shape of the input, `(N, C, H, W)` or `(C, H, W)`.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        As in the forward call.
    dilation, rounding, padding_mode, layout
        As in the forward call.

    Returns
    -------
    numpy.ndarray
        Of shape `input_size`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 1, 2, 2), 2).ravel()
    array([0.25, 0.25, 0.25, 0.25])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    options = (count_include_pad, divisor_override, rounding, padding_mode, layout)
    return _backward(2, grad_output, input_size, *place, *options)


def avg_pool3d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrInts = 1,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Average every window, as PyTorch's `avg_pool3d`.

    Parameters
    ----------
    input : array_like
        `(N, C, D, H, W)` or `(C, D, H, W)`.
    kernel_size : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    padding : int, tuple or str
        Zeros around the input: for every side, per dimension, `(before, after)` per dimension, or
        "valid", "same", "same_lower".
    ceil_mode : bool
        The same as `rounding="ceil"`.
    count_include_pad : bool
        Whether padding counts in the divisor; what overhangs it never does.
    divisor_override : int, optional
        Divides in the place of the number of elements.
    dilation : int or tuple of int
        Distance of the elements of a window; 1 is dense.
    rounding : str, optional
        "floor" for windows inside the padded input; "ceil" for one more that reaches beyond it, if
        it starts before the padding after the input; "cover_all" for one more wherever it starts.
    padding_mode : str
        "zeros" for padding as above; "reflect", "replicate" or "circular" for elements of the
        input instead, which count like all others.
    layout : str
        "channels_first", or "channels_last" for `(N, D, H, W, C)`.

    Returns
    -------
    numpy.ndarray
        `(N, C, *out)` or `(C, *out)`. A window without any input element gives 0 if padding counts,
        else NaN.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.avg_pool3d(np.ones((1, 2, 4, 6, 8)), 2).shape
    (1, 2, 2, 3, 4)
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    options = (count_include_pad, divisor_override, rounding, padding_mode, layout)
    return _forward(3, input, *place, *options)


def avg_pool3d_backward(
    grad_output: npt.ArrayLike,
    input_size: Sequence[int],
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: IntOrInts = 1,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `avg_pool3d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    input_size : sequence of int
        Shape of the input, `(N, C, D, H, W)` or `(C, D, H, W)`.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        As in the forward call.
    dilation, rounding, padding_mode, layout
        As in the forward call.

    Returns
    -------
    numpy.ndarray
        Of shape `input_size`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.avg_pool3d_backward(np.ones((1, 1, 1, 1, 1)), (1, 1, 2, 2, 2), 2).ravel()
    array([0.125, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    options = (count_include_pad, divisor_override, rounding, padding_mode, layout)
    return _backward(3, grad_output, input_size, *place, *options)


def _forward(rank: int, input: npt.ArrayLike, *words: Any) -> Array:
    return repeated.call(settle_averages, (input,), (rank, *words))


def _backward(
    rank: int, grad_output: npt.ArrayLike, input_size: Sequence[int], *words: Any
) -> Array:
    return repeated.call(_settle_backward, (grad_output,), (rank, input_size, *words))


def settle_averages(input: npt.ArrayLike, rank: int, *words: Any) -> Settled[Array]:
    """Return what averages every window; words are those of `_problem` from `kernel_size` on."""
    (x,) = promoted(input=input)
    problem = _problem("forward", rank, x.shape, x.dtype, *words)
    bare = x.ndim == rank + 1
    return solver(plan_for(problem), (bare,), bare), (x,)


def _settle_backward(
    grad_output: npt.ArrayLike, rank: int, input_size: Sequence[int], *words: Any
) -> Settled[Array]:
    (gy,) = promoted(grad_output=grad_output)
    shape = parameters.shape("input_size", input_size)
    problem = _problem("input_gradient", rank, shape, gy.dtype, *words)
    bare = len(shape) == rank + 1
    check_grad_output(problem, gy.shape, bare)
    return solver(plan_for(problem), (bare,), bare), (gy,)


def _problem(
    direction: Direction,
    rank: int,
    shape: Ints,
    dtype: Dtype,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Problem:
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    return pool_problem(
        *("avg_pool", rank, shape, *place, dtype),
        direction=direction,
        count_include_pad=parameters.flag("count_include_pad", count_include_pad),
        divisor=divisor_override,
        rounding=rounding,
        padding_mode=padding_mode,
        layout=layout,
    )
