"""Max pooling, forward and gradient."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, plain_array, promoted
from fastconv.errors import DtypeError, ParameterError
from fastconv.geometry import batched_shape, scatter_geometry
from fastconv.ops.call import check_shape, like_input, solve, with_batch
from fastconv.ops.pool_problem import pool_problem
from fastconv.parameters import IntOrInts, Ints, PaddingLike
from fastconv.plan import plan_for
from fastconv.problem import Problem


@overload
def max_pool1d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
) -> Array: ...
@overload
def max_pool1d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    *,
    return_indices: Literal[True],
) -> tuple[Array, Array]: ...
def max_pool1d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Array | tuple[Array, Array]:
    """Take the maximum of every window, as PyTorch's `max_pool1d`.

    Parameters
    ----------
    input : array_like
        `(N, C, L)` or `(C, L)`, float32 or float64.
    kernel_size, dilation : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    padding : int or tuple
        Elements, never chosen, around the input: for every side, per dimension, or
        `(before, after)` per dimension.
    ceil_mode : bool
        Also take windows that reach beyond the padding, if they start before its end.
    return_indices : bool
        Also return where each maximum was.

    Returns
    -------
    numpy.ndarray, or two of them
        `(N, C, *out)`, and if asked for the int64 indices of the same shape, flat in each plane:
        of the first maximum, or of the last NaN. A window without any input element gives -inf
        and index -1.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.max_pool1d(np.array([[[1.0, 3.0, 2.0, 5.0]]]), 2)
    array([[[3., 5.]]])
    """
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool1d_backward(
    grad_output: npt.ArrayLike, indices: npt.ArrayLike, input_size: Sequence[int]
) -> Array:
    """Return the gradient of `max_pool1d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, `(N, C, *out)` or `(C, *out)`.
    indices : array_like of int
        What `return_indices` gave, of the same shape; -1 contributes nothing.
    input_size : sequence of int
        Shape of the input, `(N, C, L)` or `(C, L)`.

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
    >>> y, indices = F.max_pool1d(x, 2, return_indices=True)
    >>> F.max_pool1d_backward(np.ones_like(y), indices, x.shape).ravel()
    array([0., 1.])
    """
    return _max_pool_backward(1, grad_output, indices, input_size)


@overload
def max_pool2d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
) -> Array: ...
@overload
def max_pool2d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    *,
    return_indices: Literal[True],
) -> tuple[Array, Array]: ...
def max_pool2d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Array | tuple[Array, Array]:
    """Take the maximum of every window, as PyTorch's `max_pool2d`.

    Parameters
    ----------
    input : array_like
        `(N, C, H, W)` or `(C, H, W)`, float32 or float64.
    kernel_size, dilation : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    padding : int or tuple
        Elements, never chosen, around the input: for every side, per dimension, or
        `(before, after)` per dimension.
    ceil_mode : bool
        Also take windows that reach beyond the padding, if they start before its end.
    return_indices : bool
        Also return where each maximum was.

    Returns
    -------
    numpy.ndarray, or two of them
        `(N, C, *out)`, and if asked for the int64 indices of the same shape, flat in each plane:
        of the first maximum, or of the last NaN. A window without any input element gives -inf
        and index -1.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> y, indices = F.max_pool2d(x, 2, return_indices=True)
    >>> y[0, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    >>> indices[0, 0]
    array([[ 5,  7],
           [13, 15]])
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d_backward(
    grad_output: npt.ArrayLike, indices: npt.ArrayLike, input_size: Sequence[int]
) -> Array:
    """Return the gradient of `max_pool2d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, `(N, C, *out)` or `(C, *out)`.
    indices : array_like of int
        What `return_indices` gave, of the same shape; -1 contributes nothing.
    input_size : sequence of int
        Shape of the input, `(N, C, H, W)` or `(C, H, W)`.

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
    >>> y, indices = F.max_pool2d(x, 2, return_indices=True)
    >>> F.max_pool2d_backward(np.ones_like(y), indices, x.shape).ravel()
    array([0., 0., 0., 1.])
    """
    return _max_pool_backward(2, grad_output, indices, input_size)


@overload
def max_pool3d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
) -> Array: ...
@overload
def max_pool3d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    *,
    return_indices: Literal[True],
) -> tuple[Array, Array]: ...
def max_pool3d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Array | tuple[Array, Array]:
    """Take the maximum of every window, as PyTorch's `max_pool3d`.

    Parameters
    ----------
    input : array_like
        `(N, C, D, H, W)` or `(C, D, H, W)`, float32 or float64.
    kernel_size, dilation : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    padding : int or tuple
        Elements, never chosen, around the input: for every side, per dimension, or
        `(before, after)` per dimension.
    ceil_mode : bool
        Also take windows that reach beyond the padding, if they start before its end.
    return_indices : bool
        Also return where each maximum was.

    Returns
    -------
    numpy.ndarray, or two of them
        `(N, C, *out)`, and if asked for the int64 indices of the same shape, flat in each plane:
        of the first maximum, or of the last NaN. A window without any input element gives -inf
        and index -1.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.max_pool3d(np.ones((1, 2, 4, 6, 8)), (2, 3, 2), ceil_mode=True).shape
    (1, 2, 2, 2, 4)
    """
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d_backward(
    grad_output: npt.ArrayLike, indices: npt.ArrayLike, input_size: Sequence[int]
) -> Array:
    """Return the gradient of `max_pool3d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, `(N, C, *out)` or `(C, *out)`.
    indices : array_like of int
        What `return_indices` gave, of the same shape; -1 contributes nothing.
    input_size : sequence of int
        Shape of the input, `(N, C, D, H, W)` or `(C, D, H, W)`.

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
    >>> y, indices = F.max_pool3d(x, 2, return_indices=True)
    >>> F.max_pool3d_backward(np.ones_like(y), indices, x.shape).ravel()
    array([0., 0., 0., 0., 0., 0., 0., 1.])
    """
    return _max_pool_backward(3, grad_output, indices, input_size)


def scatter_problem(
    rank: int, grad_output: Ints, input_size: Ints, dtype: np.dtype[Any]
) -> Problem:
    """Return the problem of a max pool's gradient on two shapes."""
    full = batched_shape("input_size", input_size, rank)
    out = batched_shape("grad_output", grad_output, rank)
    why = "in its leading dimensions, as input_size"
    check_shape("grad_output", grad_output[: len(input_size) - rank], input_size[:-rank], why)
    return Problem("scatter", "forward", scatter_geometry(full, out[2:]), dtype)


def _max_pool(
    rank: int,
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: PaddingLike,
    dilation: IntOrInts,
    ceil_mode: bool,
    return_indices: bool,
) -> Array | tuple[Array, Array]:
    (x,) = promoted(input=input)
    problem = pool_problem(
        "max_pool",
        rank,
        x.shape,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        x.dtype,
        indices=bool(return_indices),
    )
    if not problem.indices:
        return like_input(solve(problem, (with_batch(x, rank),)), x.shape, rank)
    plan = plan_for(problem)
    y = np.empty(plan.output_shape, problem.result_dtype)
    indices = np.empty(plan.output_shape, np.int64)
    plan.run((with_batch(x, rank),), (y, indices))
    return like_input(y, x.shape, rank), like_input(indices, x.shape, rank)


def _max_pool_backward(
    rank: int, grad_output: npt.ArrayLike, indices: npt.ArrayLike, input_size: Sequence[int]
) -> Array:
    (gy,) = promoted(grad_output=grad_output)
    shape = parameters.shape("input_size", input_size)
    problem = _cached_scatter(rank, gy.shape, shape, gy.dtype)
    places = plain_array("indices", indices)
    if places.dtype.kind not in "iu":
        raise DtypeError(f"indices: expected integers, got dtype {places.dtype}")
    check_shape("indices", places.shape, gy.shape, "as grad_output")
    _check_places(places, int(np.prod(problem.scatter.sizes)))
    places = with_batch(places, rank).astype(np.int64, copy=False)
    return like_input(solve(problem, (with_batch(gy, rank), places)), shape, rank)


def _check_places(places: Array, plane: int) -> None:
    if not places.size:
        return
    low, high = int(places.min()), int(places.max())
    if low < -1 or high >= plane:
        raise ParameterError(
            f"indices: expected places in [0, {plane}) of a plane, or -1; "
            f"got {low if low < -1 else high}"
        )


_cached_scatter = lru_cache(maxsize=4096)(scatter_problem)
