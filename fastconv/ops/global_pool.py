"""Global pooling: one window over all spatial dimensions, however many."""

import math
from typing import Literal, overload

import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, plain_array
from fastconv.errors import ShapeError
from fastconv.ops import adaptive_pool, lp_pool
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
    sizes = x.shape[1:-1] if layout == "channels_last" else x.shape[2:]
    return NORMS[x.ndim - 3](x, norm_type, sizes, layout=layout).reshape(shape)


def _flat(input: npt.ArrayLike, layout: str) -> tuple[Array, Ints]:
    """Return an input of at most three spatial dimensions, and the shape of the result."""
    x = plain_array("input", input)
    flat = flat_shape(x.shape, checked_layout(layout))
    last = layout == "channels_last"
    ones = (1,) * (x.ndim - 2)
    shape = (x.shape[0], *ones, x.shape[-1]) if last else (*x.shape[:2], *ones)
    return x.reshape(flat), shape


def flat_shape(shape: Ints, layout: str) -> Ints:
    """Return an input's shape, with more than three spatial dimensions as one."""
    if len(shape) < 3:
        raise ShapeError(f"input: expected shape (N, C, *sizes), got {shape}")
    if len(shape) <= 5:
        return shape
    if layout == "channels_last":
        return (shape[0], math.prod(shape[1:-1]), shape[-1])
    return (*shape[:2], math.prod(shape[2:]))
