"""Undoing a max pool by its indices, and the gradient of that."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, promoted
from fastconv.geometry import batched_shape
from fastconv.ops.call import like_input, solve, with_batch
from fastconv.ops.pool_call import checked_places, planes_shapes
from fastconv.ops.pool_problem import channels_second
from fastconv.parameters import IntOrInts, Ints, PaddingLike
from fastconv.plan import plan_for
from fastconv.planes import scatter_geometry, unpooled_sizes
from fastconv.problem import Problem


def max_unpool1d(
    input: npt.ArrayLike,
    indices: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    output_size: IntOrInts | None = None,
    *,
    layout: str = "channels_first",
) -> Array:
    """Put maxima back where they were, as PyTorch's `max_unpool1d`.

    Parameters
    ----------
    input : array_like
        Values, `(N, C, L)` or `(C, L)`, as a max pool returned them.
    indices : array_like of int
        Their places, of the same shape, flat in each plane of the result; -1 is nowhere.
    kernel_size, stride, padding : int or tuple of int
        Those of the max pool that is undone: they say how large its input was.
    output_size : int or tuple of int, optional
        Spatial sizes of the result, or its whole shape: what the max pool rounded away, less than a
        stride more or less than they say.
    layout : str
        "channels_first", or "channels_last" for `(N, L, C)`.

    Returns
    -------
    numpy.ndarray
        `(N, C, *output_size)` or `(C, *output_size)`: the values at their places, 0 elsewhere; of
        several for one place the last.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other, or an index lies outside its plane.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> y, indices = F.max_pool1d(np.array([[[1.0, 3.0, 2.0, 5.0]]]), 2, return_indices=True)
    >>> F.max_unpool1d(y, indices, 2)
    array([[[0., 3., 0., 5.]]])
    """
    place = (kernel_size, stride, padding, output_size)
    return _unpool(1, input, indices, *place, layout)


def max_unpool1d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `max_unpool1d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    indices : array_like of int
        What the forward call was given; -1 takes nothing.
    input_size : sequence of int
        Shape of the input, which is that of the indices.
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
    >>> F.max_unpool1d_backward([[[1.0, 2.0]]], [[[1]]], (1, 1, 1)).ravel()
    array([2.])
    """
    return _gather(1, grad_output, indices, input_size, layout)


def max_unpool2d(
    input: npt.ArrayLike,
    indices: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    output_size: IntOrInts | None = None,
    *,
    layout: str = "channels_first",
) -> Array:
    """Put maxima back where they were, as PyTorch's `max_unpool2d`.

    Parameters
    ----------
    input : array_like
        Values, `(N, C, H, W)` or `(C, H, W)`, as a max pool returned them.
    indices : array_like of int
        Their places, of the same shape, flat in each plane of the result; -1 is nowhere.
    kernel_size, stride, padding : int or tuple of int
        Those of the max pool that is undone: they say how large its input was.
    output_size : int or tuple of int, optional
        Spatial sizes of the result, or its whole shape: what the max pool rounded away, less than a
        stride more or less than they say.
    layout : str
        "channels_first", or "channels_last" for `(N, H, W, C)`.

    Returns
    -------
    numpy.ndarray
        `(N, C, *output_size)` or `(C, *output_size)`: the values at their places, 0 elsewhere; of
        several for one place the last.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other, or an index lies outside its plane.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> y, indices = F.max_pool2d(np.arange(4.0).reshape(1, 1, 2, 2), 2, return_indices=True)
    >>> F.max_unpool2d(y, indices, 2)[0, 0]
    array([[0., 0.],
           [0., 3.]])
    """
    place = (kernel_size, stride, padding, output_size)
    return _unpool(2, input, indices, *place, layout)


def max_unpool2d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `max_unpool2d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    indices : array_like of int
        What the forward call was given; -1 takes nothing.
    input_size : sequence of int
        Shape of the input, which is that of the indices.
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
    >>> F.max_unpool2d_backward([[[[1.0, 2.0]]]], [[[[1]]]], (1, 1, 1, 1)).ravel()
    array([2.])
    """
    return _gather(2, grad_output, indices, input_size, layout)


def max_unpool3d(
    input: npt.ArrayLike,
    indices: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    output_size: IntOrInts | None = None,
    *,
    layout: str = "channels_first",
) -> Array:
    """Put maxima back where they were, as PyTorch's `max_unpool3d`.

    Parameters
    ----------
    input : array_like
        Values, `(N, C, D, H, W)` or `(C, D, H, W)`, as a max pool returned them.
    indices : array_like of int
        Their places, of the same shape, flat in each plane of the result; -1 is nowhere.
    kernel_size, stride, padding : int or tuple of int
        Those of the max pool that is undone: they say how large its input was.
    output_size : int or tuple of int, optional
        Spatial sizes of the result, or its whole shape: what the max pool rounded away, less than a
        stride more or less than they say.
    layout : str
        "channels_first", or "channels_last" for `(N, D, H, W, C)`.

    Returns
    -------
    numpy.ndarray
        `(N, C, *output_size)` or `(C, *output_size)`: the values at their places, 0 elsewhere; of
        several for one place the last.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other, or an index lies outside its plane.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> y, indices = F.max_pool3d(np.ones((1, 2, 5, 6, 8)), 2, return_indices=True)
    >>> F.max_unpool3d(y, indices, 2, output_size=(5, 6, 8)).shape
    (1, 2, 5, 6, 8)
    """
    place = (kernel_size, stride, padding, output_size)
    return _unpool(3, input, indices, *place, layout)


def max_unpool3d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `max_unpool3d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    indices : array_like of int
        What the forward call was given; -1 takes nothing.
    input_size : sequence of int
        Shape of the input, which is that of the indices.
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
    >>> F.max_unpool3d_backward([[[[[1.0, 2.0]]]]], [[[[[1]]]]], (1, 1, 1, 1, 1)).ravel()
    array([2.])
    """
    return _gather(3, grad_output, indices, input_size, layout)


def unpool_problem(
    rank: int,
    input: Ints,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: PaddingLike,
    output_size: IntOrInts | None,
    dtype: np.dtype[Any],
    layout: str,
) -> Problem:
    """Return the problem of undoing a max pool whose output has a shape."""
    full = batched_shape("input", channels_second(input, rank, layout), rank, "first")
    kernel = parameters.integers("kernel_size", kernel_size, rank)
    steps = kernel if stride is None else parameters.integers("stride", stride, rank)
    pads = parameters.padding_pairs("padding", padding, rank)
    if output_size is not None and parameters.rank_of(output_size) == rank + 2:
        shape = channels_second(parameters.shape("output_size", output_size), rank, layout)
        output_size = shape[2:]
    given = None if output_size is None else parameters.integers("output_size", output_size, rank)
    sizes = unpooled_sizes(full[2:], kernel, steps, pads, given)
    geometry = scatter_geometry((*full[:2], *sizes), full[2:])
    return Problem("unpool", "forward", geometry, dtype, layout=layout)


def gather_problem(
    rank: int, grad_output: Ints, input_size: Ints, dtype: np.dtype[Any], layout: str
) -> Problem:
    """Return the problem of an unpool's gradient on two shapes."""
    full, out = planes_shapes(
        rank,
        input_size,
        grad_output,
        layout,
        inner="input_size",
        outer="grad_output",
        empty="first",
    )
    return Problem("gather", "forward", scatter_geometry(full, out), dtype, layout=layout)


def _unpool(
    rank: int,
    input: npt.ArrayLike,
    indices: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: PaddingLike,
    output_size: IntOrInts | None,
    layout: str,
) -> Array:
    (values,) = promoted(input=input)
    place = (kernel_size, stride, padding, output_size)
    problem = unpool_problem(rank, values.shape, *place, values.dtype, layout)
    places = checked_places(indices, values.shape, "input", plan_for(problem))
    inputs = with_batch(values, rank), with_batch(places, rank)
    return like_input(solve(problem, inputs), values.shape, rank)


def _gather(
    rank: int,
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    layout: str,
) -> Array:
    (gy,) = promoted(grad_output=grad_output)
    shape = parameters.shape("input_size", input_size)
    problem = gather_problem(rank, gy.shape, shape, gy.dtype, layout)
    places = checked_places(indices, shape, "input_size", plan_for(problem))
    inputs = with_batch(gy, rank), with_batch(places, rank)
    return like_input(solve(problem, inputs), shape, rank)
