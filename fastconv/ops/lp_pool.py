"""Power-average pooling: norms of windows, forward and gradient."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, promoted
from fastconv.ops.call import check_grad_output, check_shape, like_input, solve, with_batch
from fastconv.ops.pool_problem import pool_problem
from fastconv.parameters import IntOrInts, Ints, PaddingLike
from fastconv.problem import Direction, Problem


def lp_pool1d(
    input: npt.ArrayLike,
    norm_type: float,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    ceil_mode: bool = False,
    *,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Take the norm of every window, as PyTorch's `lp_pool1d`.

    Parameters
    ----------
    input : array_like
        `(N, C, L)` or `(C, L)`, of floats.
    norm_type : float
        The power, above 0, or infinity.
    kernel_size : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    ceil_mode : bool
        The same as `rounding="ceil"`.
    padding : int, tuple or str
        Zeros around the input: for every side, per dimension, `(before, after)` per dimension, or
        "valid", "same", "same_lower".
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
        `(N, C, *out)` or `(C, *out)`: `(sum of x ** norm_type) ** (1 / norm_type)`, signs kept by
        odd powers, so that a negative sum has a NaN root as in PyTorch; the largest magnitude for
        infinity. The sum of a window that overhangs the padding is scaled up to the whole kernel.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.lp_pool1d(np.array([[[3.0, 4.0, 5.0, 12.0]]]), 2, 2)
    array([[[ 5., 13.]]])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode, rounding, padding_mode, layout)
    return _forward(1, input, norm_type, *place)


def lp_pool1d_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    output: npt.ArrayLike,
    norm_type: float,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    ceil_mode: bool = False,
    *,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `lp_pool1d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    input : array_like
        What the forward call was given, `(N, C, L)` or `(C, L)`.
    output : array_like
        What the forward call returned.
    norm_type, kernel_size, stride, ceil_mode, padding, dilation, rounding, padding_mode, layout
        As in the forward call.

    Returns
    -------
    numpy.ndarray
        Of the input's shape. Nothing flows through a norm of 0; for infinity all goes to the first
        of the largest elements.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.array([3.0, 4.0]).reshape((1, 1, 2))
    >>> y = F.lp_pool1d(x, 2, 2)
    >>> F.lp_pool1d_backward(np.ones_like(y), x, y, 2, 2).ravel()
    array([0.6, 0.8])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode, rounding, padding_mode, layout)
    return _backward(1, grad_output, input, output, norm_type, *place)


def lp_pool2d(
    input: npt.ArrayLike,
    norm_type: float,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    ceil_mode: bool = False,
    *,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Take the norm of every window, as PyTorch's `lp_pool2d`.

    Parameters
    ----------
    input : array_like
        `(N, C, H, W)` or `(C, H, W)`, of floats.
    norm_type : float
        The power, above 0, or infinity.
    kernel_size : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    ceil_mode : bool
        The same as `rounding="ceil"`.
    padding : int, tuple or str
        Zeros around the input: for every side, per dimension, `(before, after)` per dimension, or
        "valid", "same", "same_lower".
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
        `(N, C, *out)` or `(C, *out)`: `(sum of x ** norm_type) ** (1 / norm_type)`, signs kept by
        odd powers, so that a negative sum has a NaN root as in PyTorch; the largest magnitude for
        infinity. The sum of a window that overhangs the padding is scaled up to the whole kernel.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.lp_pool2d(np.ones((1, 1, 4, 4)), 2, 2)[0, 0]
    array([[2., 2.],
           [2., 2.]])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode, rounding, padding_mode, layout)
    return _forward(2, input, norm_type, *place)


def lp_pool2d_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    output: npt.ArrayLike,
    norm_type: float,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    ceil_mode: bool = False,
    *,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `lp_pool2d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    input : array_like
        What the forward call was given, `(N, C, H, W)` or `(C, H, W)`.
    output : array_like
        What the forward call returned.
    norm_type, kernel_size, stride, ceil_mode, padding, dilation, rounding, padding_mode, layout
        As in the forward call.

    Returns
    -------
    numpy.ndarray
        Of the input's shape. Nothing flows through a norm of 0; for infinity all goes to the first
        of the largest elements.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.array([3.0, 4.0]).reshape((1, 1, 1, 2))
    >>> y = F.lp_pool2d(x, 2, (1, 2))
    >>> F.lp_pool2d_backward(np.ones_like(y), x, y, 2, (1, 2)).ravel()
    array([0.6, 0.8])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode, rounding, padding_mode, layout)
    return _backward(2, grad_output, input, output, norm_type, *place)


def lp_pool3d(
    input: npt.ArrayLike,
    norm_type: float,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    ceil_mode: bool = False,
    *,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Take the norm of every window, as PyTorch's `lp_pool3d`.

    Parameters
    ----------
    input : array_like
        `(N, C, D, H, W)` or `(C, D, H, W)`, of floats.
    norm_type : float
        The power, above 0, or infinity.
    kernel_size : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    ceil_mode : bool
        The same as `rounding="ceil"`.
    padding : int, tuple or str
        Zeros around the input: for every side, per dimension, `(before, after)` per dimension, or
        "valid", "same", "same_lower".
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
        `(N, C, *out)` or `(C, *out)`: `(sum of x ** norm_type) ** (1 / norm_type)`, signs kept by
        odd powers, so that a negative sum has a NaN root as in PyTorch; the largest magnitude for
        infinity. The sum of a window that overhangs the padding is scaled up to the whole kernel.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.lp_pool3d(np.ones((1, 2, 4, 6, 8)), float("inf"), 2).shape
    (1, 2, 2, 3, 4)
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode, rounding, padding_mode, layout)
    return _forward(3, input, norm_type, *place)


def lp_pool3d_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    output: npt.ArrayLike,
    norm_type: float,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    ceil_mode: bool = False,
    *,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `lp_pool3d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    input : array_like
        What the forward call was given, `(N, C, D, H, W)` or `(C, D, H, W)`.
    output : array_like
        What the forward call returned.
    norm_type, kernel_size, stride, ceil_mode, padding, dilation, rounding, padding_mode, layout
        As in the forward call.

    Returns
    -------
    numpy.ndarray
        Of the input's shape. Nothing flows through a norm of 0; for infinity all goes to the first
        of the largest elements.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.array([3.0, 4.0]).reshape((1, 1, 1, 1, 2))
    >>> y = F.lp_pool3d(x, 2, (1, 1, 2))
    >>> F.lp_pool3d_backward(np.ones_like(y), x, y, 2, (1, 1, 2)).ravel()
    array([0.6, 0.8])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode, rounding, padding_mode, layout)
    return _backward(3, grad_output, input, output, norm_type, *place)


def norm_problem(
    rank: int,
    shape: Ints,
    norm_type: float,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: PaddingLike,
    dilation: IntOrInts,
    ceil_mode: bool,
    rounding: str | None,
    padding_mode: str,
    layout: str,
    dtype: np.dtype[Any],
    direction: Direction = "forward",
) -> Problem:
    """Return the problem of an lp pool on an input's shape."""
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    norm = parameters.norm("norm_type", norm_type)
    return pool_problem(
        *("lp_pool", rank, shape, *place, dtype),
        direction=direction,
        rounding=rounding,
        norm=norm,
        padding_mode=padding_mode,
        layout=layout,
    )


def _forward(
    rank: int,
    input: npt.ArrayLike,
    norm_type: float,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: PaddingLike,
    dilation: IntOrInts,
    ceil_mode: bool,
    rounding: str | None,
    padding_mode: str,
    layout: str,
) -> Array:
    (x,) = promoted(input=input)
    place = (kernel_size, stride, padding, dilation, ceil_mode, rounding, padding_mode, layout)
    problem = norm_problem(rank, x.shape, norm_type, *place, x.dtype)
    return like_input(solve(problem, (with_batch(x, rank),)), x.shape, rank)


def _backward(
    rank: int,
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    output: npt.ArrayLike,
    norm_type: float,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: PaddingLike,
    dilation: IntOrInts,
    ceil_mode: bool,
    rounding: str | None,
    padding_mode: str,
    layout: str,
) -> Array:
    gy, x, y = promoted(grad_output=grad_output, input=input, output=output)
    place = (kernel_size, stride, padding, dilation, ceil_mode, rounding, padding_mode, layout)
    problem = norm_problem(rank, x.shape, norm_type, *place, x.dtype, "input_gradient")
    check_grad_output(problem, gy.shape, x.ndim == rank + 1)
    check_shape("output", y.shape, gy.shape, "as grad_output")
    inputs = tuple(with_batch(array, rank) for array in (gy, x, y))
    return like_input(solve(problem, inputs), x.shape, rank)
