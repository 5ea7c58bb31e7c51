"""Max pools that always return where their maxima were, under the names that PyTorch gives them.

There `max_pool2d(..., return_indices=True)` is `max_pool2d_with_indices(...)`, and what that is
passed for `return_indices` makes no difference.
"""

from __future__ import annotations  # `numpy.random` is not imported before it is used

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array
from fastconv.ops import adaptive_pool, fractional_pool, max_pool
from fastconv.parameters import IntOrInts, PaddingLike, RatioLike, SizeLike


def max_pool1d_with_indices(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    rounding: str | None = None,
    nan: str = "propagate",
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> tuple[Array, Array]:
    """Take maxima as `max_pool1d`, and return where they were.

    Parameters
    ----------
    input, kernel_size, stride, padding, dilation, ceil_mode, rounding, nan, padding_mode, layout
        As for `max_pool1d`.
    return_indices : bool
        Makes no difference.

    Returns
    -------
    tuple of numpy.ndarray
        The maxima, and their int64 indices, flat in each plane.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        As `max_pool1d`.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.array([3.0, 7.0, 5.0, 6.0]).reshape((1, 1, 4))
    >>> y, indices = F.max_pool1d_with_indices(x, 2)
    >>> y.ravel(), indices.ravel()
    (array([7., 6.]), array([1, 3]))
    """
    checked(return_indices)
    place = (input, kernel_size, stride, padding, dilation, ceil_mode)
    return max_pool.max_pool1d(
        *place,
        return_indices=True,
        rounding=rounding,
        nan=nan,
        padding_mode=padding_mode,
        layout=layout,
    )


def max_pool2d_with_indices(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    rounding: str | None = None,
    nan: str = "propagate",
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> tuple[Array, Array]:
    """Take maxima as `max_pool2d`, and return where they were.

    Parameters
    ----------
    input, kernel_size, stride, padding, dilation, ceil_mode, rounding, nan, padding_mode, layout
        As for `max_pool2d`.
    return_indices : bool
        Makes no difference.

    Returns
    -------
    tuple of numpy.ndarray
        The maxima, and their int64 indices, flat in each plane.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        As `max_pool2d`.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.array([3.0, 7.0, 5.0, 6.0]).reshape((1, 1, 1, 4))
    >>> y, indices = F.max_pool2d_with_indices(x, (1, 2))
    >>> y.ravel(), indices.ravel()
    (array([7., 6.]), array([1, 3]))
    """
    checked(return_indices)
    place = (input, kernel_size, stride, padding, dilation, ceil_mode)
    return max_pool.max_pool2d(
        *place,
        return_indices=True,
        rounding=rounding,
        nan=nan,
        padding_mode=padding_mode,
        layout=layout,
    )


def max_pool3d_with_indices(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    rounding: str | None = None,
    nan: str = "propagate",
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> tuple[Array, Array]:
    """Take maxima as `max_pool3d`, and return where they were.

    Parameters
    ----------
    input, kernel_size, stride, padding, dilation, ceil_mode, rounding, nan, padding_mode, layout
        As for `max_pool3d`.
    return_indices : bool
        Makes no difference.

    Returns
    -------
    tuple of numpy.ndarray
        The maxima, and their int64 indices, flat in each plane.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        As `max_pool3d`.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.array([3.0, 7.0, 5.0, 6.0]).reshape((1, 1, 1, 1, 4))
    >>> y, indices = F.max_pool3d_with_indices(x, (1, 1, 2))
    >>> y.ravel(), indices.ravel()
    (array([7., 6.]), array([1, 3]))
    """
    checked(return_indices)
    place = (input, kernel_size, stride, padding, dilation, ceil_mode)
    return max_pool.max_pool3d(
        *place,
        return_indices=True,
        rounding=rounding,
        nan=nan,
        padding_mode=padding_mode,
        layout=layout,
    )


def adaptive_max_pool1d_with_indices(
    input: npt.ArrayLike,
    output_size: SizeLike,
    return_indices: bool = False,
    *,
    nan: str = "propagate",
    layout: str = "channels_first",
) -> tuple[Array, Array]:
    """Take maxima as `adaptive_max_pool1d`, and return where they were.

    Parameters
    ----------
    input, output_size, nan, layout
        As for `adaptive_max_pool1d`.
    return_indices : bool
        Makes no difference.

    Returns
    -------
    tuple of numpy.ndarray
        The maxima, and their int64 indices, flat in each plane.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        As `adaptive_max_pool1d`.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.array([3.0, 7.0, 5.0, 6.0]).reshape((1, 1, 4))
    >>> y, indices = F.adaptive_max_pool1d_with_indices(x, 1)
    >>> y.ravel(), indices.ravel()
    (array([7.]), array([1]))
    """
    checked(return_indices)
    return adaptive_pool.adaptive_max_pool1d(
        input, output_size, return_indices=True, nan=nan, layout=layout
    )


def adaptive_max_pool2d_with_indices(
    input: npt.ArrayLike,
    output_size: SizeLike,
    return_indices: bool = False,
    *,
    nan: str = "propagate",
    layout: str = "channels_first",
) -> tuple[Array, Array]:
    """Take maxima as `adaptive_max_pool2d`, and return where they were.

    Parameters
    ----------
    input, output_size, nan, layout
        As for `adaptive_max_pool2d`.
    return_indices : bool
        Makes no difference.

    Returns
    -------
    tuple of numpy.ndarray
        The maxima, and their int64 indices, flat in each plane.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        As `adaptive_max_pool2d`.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.array([3.0, 7.0, 5.0, 6.0]).reshape((1, 1, 1, 4))
    >>> y, indices = F.adaptive_max_pool2d_with_indices(x, 1)
    >>> y.ravel(), indices.ravel()
    (array([7.]), array([1]))
    """
    checked(return_indices)
    return adaptive_pool.adaptive_max_pool2d(
        input, output_size, return_indices=True, nan=nan, layout=layout
    )


def adaptive_max_pool3d_with_indices(
    input: npt.ArrayLike,
    output_size: SizeLike,
    return_indices: bool = False,
    *,
    nan: str = "propagate",
    layout: str = "channels_first",
) -> tuple[Array, Array]:
    """Take maxima as `adaptive_max_pool3d`, and return where they were.

    Parameters
    ----------
    input, output_size, nan, layout
        As for `adaptive_max_pool3d`.
    return_indices : bool
        Makes no difference.

    Returns
    -------
    tuple of numpy.ndarray
        The maxima, and their int64 indices, flat in each plane.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        As `adaptive_max_pool3d`.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.array([3.0, 7.0, 5.0, 6.0]).reshape((1, 1, 1, 1, 4))
    >>> y, indices = F.adaptive_max_pool3d_with_indices(x, 1)
    >>> y.ravel(), indices.ravel()
    (array([7.]), array([1]))
    """
    checked(return_indices)
    return adaptive_pool.adaptive_max_pool3d(
        input, output_size, return_indices=True, nan=nan, layout=layout
    )


def fractional_max_pool2d_with_indices(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    output_size: SizeLike = None,
    output_ratio: RatioLike = None,
    return_indices: bool = False,
    _random_samples: npt.ArrayLike | None = None,
    *,
    generator: np.random.Generator | None = None,
    nan: str = "propagate",
    layout: str = "channels_first",
) -> tuple[Array, Array]:
    """Take maxima as `fractional_max_pool2d`, and return where they were.

    Parameters
    ----------
    input, kernel_size, output_size, output_ratio, _random_samples, generator, nan, layout
        As for `fractional_max_pool2d`.
    return_indices : bool
        Makes no difference.

    Returns
    -------
    tuple of numpy.ndarray
        The maxima, and their int64 indices, flat in each plane.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        As `fractional_max_pool2d`.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.array([3.0, 7.0, 5.0, 6.0]).reshape((1, 1, 1, 4))
    >>> y, indices = F.fractional_max_pool2d_with_indices(x, (1, 4), 1)
    >>> y.ravel(), indices.ravel()
    (array([7.]), array([1]))
    """
    checked(return_indices)
    return fractional_pool.fractional_max_pool2d(
        *(input, kernel_size, output_size, output_ratio),
        return_indices=True,
        _random_samples=_random_samples,
        generator=generator,
        nan=nan,
        layout=layout,
    )


def fractional_max_pool3d_with_indices(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    output_size: SizeLike = None,
    output_ratio: RatioLike = None,
    return_indices: bool = False,
    _random_samples: npt.ArrayLike | None = None,
    *,
    generator: np.random.Generator | None = None,
    nan: str = "propagate",
    layout: str = "channels_first",
) -> tuple[Array, Array]:
    """Take maxima as `fractional_max_pool3d`, and return where they were.

    Parameters
    ----------
    input, kernel_size, output_size, output_ratio, _random_samples, generator, nan, layout
        As for `fractional_max_pool3d`.
    return_indices : bool
        Makes no difference.

    Returns
    -------
    tuple of numpy.ndarray
        The maxima, and their int64 indices, flat in each plane.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        As `fractional_max_pool3d`.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.array([3.0, 7.0, 5.0, 6.0]).reshape((1, 1, 1, 1, 4))
    >>> y, indices = F.fractional_max_pool3d_with_indices(x, (1, 1, 4), 1)
    >>> y.ravel(), indices.ravel()
    (array([7.]), array([1]))
    """
    checked(return_indices)
    return fractional_pool.fractional_max_pool3d(
        *(input, kernel_size, output_size, output_ratio),
        return_indices=True,
        _random_samples=_random_samples,
        generator=generator,
        nan=nan,
        layout=layout,
    )


def checked(return_indices: bool) -> None:
    """Refuse what is no flag, though it makes no difference."""
    parameters.flag("return_indices", return_indices)
