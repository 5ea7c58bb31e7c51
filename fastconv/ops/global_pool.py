"""Global pooling: one window over all spatial dimensions, however many."""

import math
from collections.abc import Sequence
from typing import Literal, overload

import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, plain_array
from fastconv.errors import ShapeError
from fastconv.ops import adaptive_pool, lp_pool
from fastconv.ops.call import check_shape
from fastconv.parameters import Ints
from fastconv.parameters import layout as checked_layout

AVERAGES = (
    adaptive_pool.adaptive_avg_pool1d,
    adaptive_pool.adaptive_avg_pool2d,
    adaptive_pool.adaptive_avg_pool3d,
)
MAXIMA = (
    adaptive_pool.adaptive_max_pool1d,
    adaptive_pool.adaptive_max_pool2d,
    adaptive_pool.adaptive_max_pool3d,
)
NORMS = (lp_pool.lp_pool1d, lp_pool.lp_pool2d, lp_pool.lp_pool3d)
AVERAGES_BACK = (
    adaptive_pool.adaptive_avg_pool1d_backward,
    adaptive_pool.adaptive_avg_pool2d_backward,
    adaptive_pool.adaptive_avg_pool3d_backward,
)
MAXIMA_BACK = (
    adaptive_pool.adaptive_max_pool1d_backward,
    adaptive_pool.adaptive_max_pool2d_backward,
    adaptive_pool.adaptive_max_pool3d_backward,
)
NORMS_BACK = (
    lp_pool.lp_pool1d_backward,
    lp_pool.lp_pool2d_backward,
    lp_pool.lp_pool3d_backward,
)


def global_avg_pool(input: npt.ArrayLike, *, layout: str = "channels_first") -> Array:
    """Average each plane.

    Parameters
    ----------
    input : array_like
        `(N, C, *sizes)`, of any number of spatial dimensions; always with a batch.
    layout : str
        "channels_first", or "channels_last" for `(N, *sizes, C)`.

    Returns
    -------
    numpy.ndarray
        `(N, C, 1, ...)`, with a 1 for each spatial dimension.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the input has no spatial dimension, or the arguments make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.global_avg_pool(np.arange(8.0).reshape(1, 2, 2, 2)).ravel()
    array([1.5, 5.5])
    """
    x, shape = _flat(input, layout)
    y = AVERAGES[x.ndim - 3](x, 1, layout=layout)
    return y.reshape(shape)


def global_avg_pool_backward(
    grad_output: npt.ArrayLike, input_size: Sequence[int], *, layout: str = "channels_first"
) -> Array:
    """Return the gradient of `global_avg_pool` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, `(N, C, 1, ...)`.
    input_size : sequence of int
        Shape of the input, `(N, C, *sizes)`.
    layout : str
        "channels_first", or "channels_last" for `(N, *sizes, C)`.

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
    >>> F.global_avg_pool_backward(np.ones((1, 1, 1, 1)), (1, 1, 2, 2)).ravel()
    array([0.25, 0.25, 0.25, 0.25])
    """
    shape = parameters.shape("input_size", input_size)
    flat, ones = flat_shape("input_size", shape, checked_layout(layout))
    gy = _of_planes("grad_output", grad_output, ones, layout)
    return AVERAGES_BACK[len(flat) - 3](gy, flat, layout=layout).reshape(shape)


@overload
def global_max_pool(
    input: npt.ArrayLike,
    return_indices: Literal[False] = ...,
    *,
    nan: str = ...,
    layout: str = ...,
) -> Array: ...
@overload
def global_max_pool(
    input: npt.ArrayLike,
    *,
    return_indices: Literal[True],
    nan: str = ...,
    layout: str = ...,
) -> tuple[Array, Array]: ...
def global_max_pool(
    input: npt.ArrayLike,
    return_indices: bool = False,
    *,
    nan: str = "propagate",
    layout: str = "channels_first",
) -> Array | tuple[Array, Array]:
    """Take the maximum of each plane.

    Parameters
    ----------
    input : array_like
        `(N, C, *sizes)`, of real numbers and any number of spatial dimensions; with a batch.
    return_indices : bool
        Also return where each maximum was.
    nan : str
        "propagate" for NaN wherever a plane holds one; "ignore" for the maximum of the others.
    layout : str
        "channels_first", or "channels_last" for `(N, *sizes, C)`.

    Returns
    -------
    numpy.ndarray, or two of them
        `(N, C, 1, ...)`, with a 1 for each spatial dimension, and if asked for the int64 indices,
        flat in each plane: of the first maximum, or of the last NaN.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the input has no spatial dimension, or the arguments make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> y, indices = F.global_max_pool(np.arange(8.0).reshape(1, 2, 2, 2), return_indices=True)
    >>> y.shape, indices.ravel()
    ((1, 2, 1, 1), array([3, 3]))
    """
    x, shape = _flat(input, layout)
    pool = MAXIMA[x.ndim - 3]
    if parameters.flag("return_indices", return_indices):
        y, indices = pool(x, 1, return_indices=True, nan=nan, layout=layout)
        return y.reshape(shape), indices.reshape(shape)
    return pool(x, 1, nan=nan, layout=layout).reshape(shape)


def global_max_pool_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `global_max_pool` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, `(N, C, 1, ...)`.
    indices : array_like of int
        What `return_indices` gave, of the same shape; -1 contributes nothing.
    input_size : sequence of int
        Shape of the input, `(N, C, *sizes)`.
    layout : str
        "channels_first", or "channels_last" for `(N, *sizes, C)`.

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
    >>> y, indices = F.global_max_pool(np.array([[[3.0, 7.0, 5.0]]]), return_indices=True)
    >>> F.global_max_pool_backward(np.ones_like(y), indices, (1, 1, 3))
    array([[[0., 1., 0.]]])
    """
    shape = parameters.shape("input_size", input_size)
    flat, ones = flat_shape("input_size", shape, checked_layout(layout))
    gy = _of_planes("grad_output", grad_output, ones, layout)
    places = _of_planes("indices", indices, ones, layout)
    return MAXIMA_BACK[len(flat) - 3](gy, places, flat, layout=layout).reshape(shape)


def global_lp_pool(
    input: npt.ArrayLike, norm_type: float = 2.0, *, layout: str = "channels_first"
) -> Array:
    """Take the norm of each plane.

    Parameters
    ----------
    input : array_like
        `(N, C, *sizes)`, of floats and any number of spatial dimensions; always with a batch.
    norm_type : float
        The power, above 0, or infinity.
    layout : str
        "channels_first", or "channels_last" for `(N, *sizes, C)`.

    Returns
    -------
    numpy.ndarray
        `(N, C, 1, ...)`, with a 1 for each spatial dimension: what `lp_pool2d` gives for a kernel
        of the input's size.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the input has no spatial dimension, or the arguments make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.global_lp_pool(np.array([[[3.0, 4.0]]]))
    array([[[5.]]])
    """
    x, shape = _flat(input, layout)
    sizes = spatial(x.shape, layout)
    return NORMS[x.ndim - 3](x, norm_type, sizes, layout=layout).reshape(shape)


def global_lp_pool_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    output: npt.ArrayLike,
    norm_type: float = 2.0,
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `global_lp_pool` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, `(N, C, 1, ...)`.
    input : array_like
        What the forward call was given, `(N, C, *sizes)`.
    output : array_like
        What it returned, `(N, C, 1, ...)`.
    norm_type : float
        As in the forward call.
    layout : str
        "channels_first", or "channels_last" for `(N, *sizes, C)`.

    Returns
    -------
    numpy.ndarray
        Of the shape of `input`; 0 where the norm is 0.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.array([[[3.0, 4.0]]])
    >>> F.global_lp_pool_backward(np.ones((1, 1, 1)), x, F.global_lp_pool(x))
    array([[[0.6, 0.8]]])
    """
    whole = plain_array("input", input)
    x, _ = _flat(whole, layout)
    flat, ones = flat_shape("input", whole.shape, layout)
    gy, y = (
        _of_planes(name, array, ones, layout)
        for name, array in (("grad_output", grad_output), ("output", output))
    )
    back = NORMS_BACK[x.ndim - 3]
    return back(gy, x, y, norm_type, spatial(flat, layout), layout=layout).reshape(whole.shape)


def _flat(input: npt.ArrayLike, layout: str) -> tuple[Array, Ints]:
    """Return an input of at most three spatial dimensions, and the shape of the result."""
    x = plain_array("input", input)
    flat, shape = flat_shape("input", x.shape, checked_layout(layout))
    return x.reshape(flat), shape


def _of_planes(name: str, value: npt.ArrayLike, ones: Ints, layout: str) -> Array:
    """Return an array with one element for every plane, as the pool of a flat input has it."""
    array = plain_array(name, value)
    check_shape(name, array.shape, ones, "with one element for every plane of the input")
    return array.reshape(flat_shape(name, ones, layout)[0])


def flat_shape(name: str, shape: Ints, layout: str) -> tuple[Ints, Ints]:
    """Return a shape with more than three spatial dimensions as one, and that of the result."""
    if len(shape) < 3:
        raise ShapeError(f"{name}: expected shape (N, C, *sizes), got {shape}")
    last = layout == "channels_last"
    sizes = shape[1:-1] if last else shape[2:]
    merged = sizes if len(sizes) <= 3 else (math.prod(sizes),)
    ones = (1,) * len(sizes)
    if last:
        return (shape[0], *merged, shape[-1]), (shape[0], *ones, shape[-1])
    return (*shape[:2], *merged), (*shape[:2], *ones)


def spatial(shape: Ints, layout: str) -> Ints:
    """Return the spatial sizes of a shape."""
    return shape[1:-1] if layout == "channels_last" else shape[2:]
