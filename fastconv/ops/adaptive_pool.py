"""Adaptive pooling: the output's size is given, and windows cover the input."""

from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, promoted
from fastconv.geometry import batched_shape
from fastconv.ops.call import like_input, solve, with_batch
from fastconv.ops.pool_call import planes_shapes, scatter_back, solve_extremes
from fastconv.ops.pool_problem import channels_second
from fastconv.parameters import Ints, SizeLike
from fastconv.planes import adaptive_geometry
from fastconv.problem import Operation, Problem


@overload
def adaptive_max_pool1d(
    input: npt.ArrayLike,
    output_size: SizeLike,
    return_indices: Literal[False] = ...,
    *,
    nan: str = ...,
    layout: str = ...,
) -> Array: ...
@overload
def adaptive_max_pool1d(
    input: npt.ArrayLike,
    output_size: SizeLike,
    *,
    return_indices: Literal[True],
    nan: str = ...,
    layout: str = ...,
) -> tuple[Array, Array]: ...
def adaptive_max_pool1d(
    input: npt.ArrayLike,
    output_size: SizeLike,
    return_indices: bool = False,
    *,
    nan: str = "propagate",
    layout: str = "channels_first",
) -> Array | tuple[Array, Array]:
    """Take the maxima of windows that cover the input, as PyTorch's `adaptive_max_pool1d`.

    Parameters
    ----------
    input : array_like
        `(N, C, L)` or `(C, L)`, of real numbers.
    output_size : int, None or tuple of them
        Windows along each dimension; None keeps the input's size.
    return_indices : bool
        Also return where each maximum was.
    nan : str
        "propagate" for NaN wherever a window holds one; "ignore" for the maximum of the others.
    layout : str
        "channels_first", or "channels_last" for `(N, L, C)`.

    Returns
    -------
    numpy.ndarray, or two of them
        `(N, C, *output_size)`: window `o` of `O` along `S` elements holds those from `floor(o * S /
        O)` up to `ceil((o + 1) * S / O)`. If asked for also the int64 indices, flat in each plane:
        of the first maximum, or of the last NaN.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.adaptive_max_pool1d(np.array([[[1.0, 3.0, 2.0, 5.0, 4.0]]]), 2)
    array([[[3., 5.]]])
    """
    return _max_pool(1, input, output_size, return_indices, nan, layout)


def adaptive_max_pool1d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `adaptive_max_pool1d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    indices : array_like of int
        What `return_indices` gave, of the same shape.
    input_size : sequence of int
        Shape of the input, `(N, C, L)` or `(C, L)`.
    layout : str
        "channels_first", or "channels_last" for `(N, L, C)`.

    Returns
    -------
    numpy.ndarray
        Of shape `input_size`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other, or an index lies outside its plane.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.arange(2.0).reshape((1, 1, 2))
    >>> y, indices = F.adaptive_max_pool1d(x, 1, return_indices=True)
    >>> F.adaptive_max_pool1d_backward(np.ones_like(y), indices, x.shape).ravel()
    array([0., 1.])
    """
    return scatter_back(1, grad_output, indices, input_size, layout, "first")


@overload
def adaptive_max_pool2d(
    input: npt.ArrayLike,
    output_size: SizeLike,
    return_indices: Literal[False] = ...,
    *,
    nan: str = ...,
    layout: str = ...,
) -> Array: ...
@overload
def adaptive_max_pool2d(
    input: npt.ArrayLike,
    output_size: SizeLike,
    *,
    return_indices: Literal[True],
    nan: str = ...,
    layout: str = ...,
) -> tuple[Array, Array]: ...
def adaptive_max_pool2d(
    input: npt.ArrayLike,
    output_size: SizeLike,
    return_indices: bool = False,
    *,
    nan: str = "propagate",
    layout: str = "channels_first",
) -> Array | tuple[Array, Array]:
    """Take the maxima of windows that cover the input, as PyTorch's `adaptive_max_pool2d`.

    Parameters
    ----------
    input : array_like
        `(N, C, H, W)` or `(C, H, W)`, of real numbers.
    output_size : int, None or tuple of them
        Windows along each dimension; None keeps the input's size.
    return_indices : bool
        Also return where each maximum was.
    nan : str
        "propagate" for NaN wherever a window holds one; "ignore" for the maximum of the others.
    layout : str
        "channels_first", or "channels_last" for `(N, H, W, C)`.

    Returns
    -------
    numpy.ndarray, or two of them
        `(N, C, *output_size)`: window `o` of `O` along `S` elements holds those from `floor(o * S /
        O)` up to `ceil((o + 1) * S / O)`. If asked for also the int64 indices, flat in each plane:
        of the first maximum, or of the last NaN.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.adaptive_max_pool2d(np.arange(20.0).reshape(1, 1, 4, 5), (2, 2))[0, 0]
    array([[ 7.,  9.],
           [17., 19.]])
    """
    return _max_pool(2, input, output_size, return_indices, nan, layout)


def adaptive_max_pool2d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `adaptive_max_pool2d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    indices : array_like of int
        What `return_indices` gave, of the same shape.
    input_size : sequence of int
        Shape of the input, `(N, C, H, W)` or `(C, H, W)`.
    layout : str
        "channels_first", or "channels_last" for `(N, H, W, C)`.

    Returns
    -------
    numpy.ndarray
        Of shape `input_size`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other, or an index lies outside its plane.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.arange(4.0).reshape((1, 1, 2, 2))
    >>> y, indices = F.adaptive_max_pool2d(x, 1, return_indices=True)
    >>> F.adaptive_max_pool2d_backward(np.ones_like(y), indices, x.shape).ravel()
    array([0., 0., 0., 1.])
    """
    return scatter_back(2, grad_output, indices, input_size, layout, "first")


@overload
def adaptive_max_pool3d(
    input: npt.ArrayLike,
    output_size: SizeLike,
    return_indices: Literal[False] = ...,
    *,
    nan: str = ...,
    layout: str = ...,
) -> Array: ...
@overload
def adaptive_max_pool3d(
    input: npt.ArrayLike,
    output_size: SizeLike,
    *,
    return_indices: Literal[True],
    nan: str = ...,
    layout: str = ...,
) -> tuple[Array, Array]: ...
def adaptive_max_pool3d(
    input: npt.ArrayLike,
    output_size: SizeLike,
    return_indices: bool = False,
    *,
    nan: str = "propagate",
    layout: str = "channels_first",
) -> Array | tuple[Array, Array]:
    """Take the maxima of windows that cover the input, as PyTorch's `adaptive_max_pool3d`.

    Parameters
    ----------
    input : array_like
        `(N, C, D, H, W)` or `(C, D, H, W)`, of real numbers.
    output_size : int, None or tuple of them
        Windows along each dimension; None keeps the input's size.
    return_indices : bool
        Also return where each maximum was.
    nan : str
        "propagate" for NaN wherever a window holds one; "ignore" for the maximum of the others.
    layout : str
        "channels_first", or "channels_last" for `(N, D, H, W, C)`.

    Returns
    -------
    numpy.ndarray, or two of them
        `(N, C, *output_size)`: window `o` of `O` along `S` elements holds those from `floor(o * S /
        O)` up to `ceil((o + 1) * S / O)`. If asked for also the int64 indices, flat in each plane:
        of the first maximum, or of the last NaN.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.adaptive_max_pool3d(np.ones((1, 2, 4, 6, 8)), (2, None, 3)).shape
    (1, 2, 2, 6, 3)
    """
    return _max_pool(3, input, output_size, return_indices, nan, layout)


def adaptive_max_pool3d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `adaptive_max_pool3d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    indices : array_like of int
        What `return_indices` gave, of the same shape.
    input_size : sequence of int
        Shape of the input, `(N, C, D, H, W)` or `(C, D, H, W)`.
    layout : str
        "channels_first", or "channels_last" for `(N, D, H, W, C)`.

    Returns
    -------
    numpy.ndarray
        Of shape `input_size`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other, or an index lies outside its plane.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.arange(8.0).reshape((1, 1, 2, 2, 2))
    >>> y, indices = F.adaptive_max_pool3d(x, 1, return_indices=True)
    >>> F.adaptive_max_pool3d_backward(np.ones_like(y), indices, x.shape).ravel()
    array([0., 0., 0., 0., 0., 0., 0., 1.])
    """
    return scatter_back(3, grad_output, indices, input_size, layout, "first")


def adaptive_avg_pool1d(
    input: npt.ArrayLike,
    output_size: SizeLike,
    *,
    layout: str = "channels_first",
) -> Array:
    """Average windows that cover the input, as PyTorch's `adaptive_avg_pool1d`.

    Parameters
    ----------
    input : array_like
        `(N, C, L)` or `(C, L)`.
    output_size : int, None or tuple of them
        Windows along each dimension; None keeps the input's size.
    layout : str
        "channels_first", or "channels_last" for `(N, L, C)`.

    Returns
    -------
    numpy.ndarray
        `(N, C, *output_size)`: window `o` of `O` along `S` elements holds those from `floor(o * S /
        O)` up to `ceil((o + 1) * S / O)`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.adaptive_avg_pool1d(np.array([[[1.0, 3.0, 2.0, 5.0, 4.0]]]), 2).ravel()
    array([2.        , 3.66666667])
    """
    return _avg_pool(1, input, output_size, layout)


def adaptive_avg_pool1d_backward(
    grad_output: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `adaptive_avg_pool1d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    input_size : sequence of int
        Shape of the input, `(N, C, L)` or `(C, L)`.
    layout : str
        "channels_first", or "channels_last" for `(N, L, C)`.

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
    >>> F.adaptive_avg_pool1d_backward(np.ones((1, 1, 1)), (1, 1, 2)).ravel()
    array([0.5, 0.5])
    """
    return _avg_pool_backward(1, grad_output, input_size, layout)


def adaptive_avg_pool2d(
    input: npt.ArrayLike,
    output_size: SizeLike,
    *,
    layout: str = "channels_first",
) -> Array:
    """Average windows that cover the input, as PyTorch's `adaptive_avg_pool2d`.

    Parameters
    ----------
    input : array_like
        `(N, C, H, W)` or `(C, H, W)`.
    output_size : int, None or tuple of them
        Windows along each dimension; None keeps the input's size.
    layout : str
        "channels_first", or "channels_last" for `(N, H, W, C)`.

    Returns
    -------
    numpy.ndarray
        `(N, C, *output_size)`: window `o` of `O` along `S` elements holds those from `floor(o * S /
        O)` up to `ceil((o + 1) * S / O)`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.adaptive_avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    return _avg_pool(2, input, output_size, layout)


def adaptive_avg_pool2d_backward(
    grad_output: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `adaptive_avg_pool2d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    input_size : sequence of int
        Shape of the input, `(N, C, H, W)` or `(C, H, W)`.
    layout : str
        "channels_first", or "channels_last" for `(N, H, W, C)`.

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
    >>> F.adaptive_avg_pool2d_backward(np.ones((1, 1, 1, 1)), (1, 1, 2, 2)).ravel()
    array([0.25, 0.25, 0.25, 0.25])
    """
    return _avg_pool_backward(2, grad_output, input_size, layout)


def adaptive_avg_pool3d(
    input: npt.ArrayLike,
    output_size: SizeLike,
    *,
    layout: str = "channels_first",
) -> Array:
    """Average windows that cover the input, as PyTorch's `adaptive_avg_pool3d`.

    Parameters
    ----------
    input : array_like
        `(N, C, D, H, W)` or `(C, D, H, W)`.
    output_size : int, None or tuple of them
        Windows along each dimension; None keeps the input's size.
    layout : str
        "channels_first", or "channels_last" for `(N, D, H, W, C)`.

    Returns
    -------
    numpy.ndarray
        `(N, C, *output_size)`: window `o` of `O` along `S` elements holds those from `floor(o * S /
        O)` up to `ceil((o + 1) * S / O)`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.adaptive_avg_pool3d(np.ones((1, 2, 4, 6, 8)), (2, None, 3)).shape
    (1, 2, 2, 6, 3)
    """
    return _avg_pool(3, input, output_size, layout)


def adaptive_avg_pool3d_backward(
    grad_output: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `adaptive_avg_pool3d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    input_size : sequence of int
        Shape of the input, `(N, C, D, H, W)` or `(C, D, H, W)`.
    layout : str
        "channels_first", or "channels_last" for `(N, D, H, W, C)`.

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
    >>> F.adaptive_avg_pool3d_backward(np.ones((1, 1, 1, 1, 1)), (1, 1, 2, 2, 2)).ravel()
    array([0.125, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125])
    """
    return _avg_pool_backward(3, grad_output, input_size, layout)


def adaptive_problem(
    operation: Operation,
    rank: int,
    input: Ints,
    output_size: SizeLike,
    dtype: np.dtype[Any],
    layout: str,
    **options: Any,
) -> Problem:
    """Return the problem of an adaptive pool on an input's shape."""
    # averages of no channels are PyTorch's in up to two dimensions
    empty = "channels" if operation == "adaptive_avg_pool" and rank < 3 else "first"
    full = batched_shape("input", channels_second(input, rank, layout), rank, empty)
    out = parameters.sizes("output_size", output_size, full[2:])
    geometry = adaptive_geometry(full, out)
    return Problem(operation, "forward", geometry, dtype, layout=layout, **options)


def adaptive_gradient_problem(
    rank: int, grad_output: Ints, input_size: Ints, dtype: np.dtype[Any], layout: str
) -> Problem:
    """Return the problem of an adaptive average's gradient on two shapes."""
    full, out = planes_shapes(rank, grad_output, input_size, layout, empty="first")
    geometry = adaptive_geometry(full, out)
    return Problem("adaptive_avg_pool", "input_gradient", geometry, dtype, layout=layout)


def _max_pool(
    rank: int,
    input: npt.ArrayLike,
    output_size: SizeLike,
    return_indices: bool,
    nan: str,
    layout: str,
) -> Array | tuple[Array, Array]:
    (x,) = promoted(input=input)
    options = {
        "indices": parameters.flag("return_indices", return_indices),
        "nan": parameters.nan(nan),
    }
    problem = adaptive_problem(
        "adaptive_max_pool", rank, x.shape, output_size, x.dtype, layout, **options
    )
    return solve_extremes(problem, (with_batch(x, rank),), x.shape, rank)


def _avg_pool(rank: int, input: npt.ArrayLike, output_size: SizeLike, layout: str) -> Array:
    (x,) = promoted(input=input)
    problem = adaptive_problem("adaptive_avg_pool", rank, x.shape, output_size, x.dtype, layout)
    return like_input(solve(problem, (with_batch(x, rank),)), x.shape, rank)


def _avg_pool_backward(
    rank: int, grad_output: npt.ArrayLike, input_size: Sequence[int], layout: str
) -> Array:
    (gy,) = promoted(grad_output=grad_output)
    shape = parameters.shape("input_size", input_size)
    problem = adaptive_gradient_problem(rank, gy.shape, shape, gy.dtype, layout)
    return like_input(solve(problem, (with_batch(gy, rank),)), shape, rank)
