"""Average pooling, forward and gradient."""

from collections.abc import Sequence

import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, promoted
from fastconv.ops.call import check_grad_output, like_input, solve, with_batch
from fastconv.ops.pool_problem import pool_problem
from fastconv.parameters import IntOrInts, PaddingLike


def avg_pool1d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Average every window, as PyTorch's `avg_pool1d`.

    Parameters
    ----------
    input : array_like
        `(N, C, L)` or `(C, L)`, float32 or float64.
    kernel_size : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    padding : int or tuple
        Zeros around the input: for every side, per dimension, or `(before, after)` per dimension.
    ceil_mode : bool
        Also take windows that reach beyond the padding, if they start before its end; what
        overhangs never counts.
    count_include_pad : bool
        Whether padding counts in the divisor.

    Returns
    -------
    numpy.ndarray
        `(N, C, *out)` or `(C, *out)`. A window without any input element gives 0 if padding
        counts, else NaN.

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
    return _forward(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool1d_backward(
    grad_output: npt.ArrayLike,
    input_size: Sequence[int],
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Return the gradient of `avg_pool1d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, `(N, C, *out)` or `(C, *out)`.
    input_size : sequence of int
        Shape of the input, `(N, C, L)` or `(C, L)`.
    kernel_size, stride, padding, ceil_mode, count_include_pad
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
    return _backward(
        1, grad_output, input_size, kernel_size, stride, padding, ceil_mode, count_include_pad, None
    )


def avg_pool2d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Average every window, as PyTorch's `avg_pool2d`.

    Parameters
    ----------
    input : array_like
        `(N, C, H, W)` or `(C, H, W)`, float32 or float64.
    kernel_size : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    padding : int or tuple
        Zeros around the input: for every side, per dimension, or `(before, after)` per dimension.
    ceil_mode : bool
        Also take windows that reach beyond the padding, if they start before its end; what
        overhangs never counts.
    count_include_pad : bool
        Whether padding counts in the divisor.
    divisor_override : int, optional
        Divide every sum by this instead.

    Returns
    -------
    numpy.ndarray
        `(N, C, *out)` or `(C, *out)`. A window without any input element gives 0 if padding
        counts, else NaN.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.avg_pool2d(np.arange(16.0).reshape((1, 1, 4, 4)), 2).ravel()
    array([ 2.5,  4.5, 10.5, 12.5])
    """
    return _forward(
        2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool2d_backward(
    grad_output: npt.ArrayLike,
    input_size: Sequence[int],
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Return the gradient of `avg_pool2d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, `(N, C, *out)` or `(C, *out)`.
    input_size : sequence of int
        Shape of the input, `(N, C, H, W)` or `(C, H, W)`.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
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
    return _backward(
        2,
        grad_output,
        input_size,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )


def avg_pool3d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Average every window, as PyTorch's `avg_pool3d`.

    Parameters
    ----------
    input : array_like
        `(N, C, D, H, W)` or `(C, D, H, W)`, float32 or float64.
    kernel_size : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    padding : int or tuple
        Zeros around the input: for every side, per dimension, or `(before, after)` per dimension.
    ceil_mode : bool
        Also take windows that reach beyond the padding, if they start before its end; what
        overhangs never counts.
    count_include_pad : bool
        Whether padding counts in the divisor.
    divisor_override : int, optional
        Divide every sum by this instead.

    Returns
    -------
    numpy.ndarray
        `(N, C, *out)` or `(C, *out)`. A window without any input element gives 0 if padding
        counts, else NaN.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.avg_pool3d(np.arange(64.0).reshape((1, 1, 4, 4, 4)), 2).ravel()
    array([10.5, 12.5, 18.5, 20.5, 42.5, 44.5, 50.5, 52.5])
    """
    return _forward(
        3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d_backward(
    grad_output: npt.ArrayLike,
    input_size: Sequence[int],
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Return the gradient of `avg_pool3d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, `(N, C, *out)` or `(C, *out)`.
    input_size : sequence of int
        Shape of the input, `(N, C, D, H, W)` or `(C, D, H, W)`.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
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
    return _backward(
        3,
        grad_output,
        input_size,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )


def _forward(
    rank: int,
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: PaddingLike,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    (x,) = promoted(input=input)
    problem = pool_problem(
        "avg_pool",
        rank,
        x.shape,
        kernel_size,
        stride,
        padding,
        1,
        ceil_mode,
        x.dtype,
        count_include_pad=bool(count_include_pad),
        divisor=divisor_override,
    )
    return like_input(solve(problem, (with_batch(x, rank),)), x.shape, rank)


def _backward(
    rank: int,
    grad_output: npt.ArrayLike,
    input_size: Sequence[int],
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: PaddingLike,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    (gy,) = promoted(grad_output=grad_output)
    shape = parameters.shape("input_size", input_size)
    problem = pool_problem(
        "avg_pool",
        rank,
        shape,
        kernel_size,
        stride,
        padding,
        1,
        ceil_mode,
        gy.dtype,
        direction="input_gradient",
        count_include_pad=bool(count_include_pad),
        divisor=divisor_override,
    )
    check_grad_output(problem, gy.shape, len(shape) == rank + 1)
    return like_input(solve(problem, (with_batch(gy, rank),)), shape, rank)
