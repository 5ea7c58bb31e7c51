"""Median and quantile pooling, forward only."""

from typing import Any

import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, promoted
from fastconv.ops.call import like_input, solve, with_batch
from fastconv.ops.pool_problem import pool_problem
from fastconv.parameters import IntOrInts, PaddingLike


def median_pool1d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    *,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Take the median of every window, the lower of two.

    Parameters
    ----------
    input : array_like
        `(N, C, L)` or `(C, L)`, of real numbers.
    kernel_size : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    padding : int, tuple or str
        Elements, never chosen, around the input: for every side, per dimension, `(before, after)`
        per dimension, or "valid", "same", "same_lower".
    dilation : int or tuple of int
        Distance of the elements of a window; 1 is dense.
    ceil_mode : bool
        The same as `rounding="ceil"`.
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
        `(N, C, *out)` or `(C, *out)`, of the input's dtype: of the `n` input elements of a window,
        sorted, the one at `(n - 1) // 2`; NaN if the window holds one; -inf (the lowest integer) if
        it has no input element.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.median_pool1d(np.array([[[1.0, 7.0, 2.0, 9.0]]]), 3).ravel()
    array([2.])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    return _quantile_pool(1, input, *place, 0.5, rounding, padding_mode, layout)


def median_pool2d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    *,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Take the median of every window, the lower of two.

    Parameters
    ----------
    input : array_like
        `(N, C, H, W)` or `(C, H, W)`, of real numbers.
    kernel_size : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    padding : int, tuple or str
        Elements, never chosen, around the input: for every side, per dimension, `(before, after)`
        per dimension, or "valid", "same", "same_lower".
    dilation : int or tuple of int
        Distance of the elements of a window; 1 is dense.
    ceil_mode : bool
        The same as `rounding="ceil"`.
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
        `(N, C, *out)` or `(C, *out)`, of the input's dtype: of the `n` input elements of a window,
        sorted, the one at `(n - 1) // 2`; NaN if the window holds one; -inf (the lowest integer) if
        it has no input element.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.median_pool2d(np.arange(9.0).reshape(1, 1, 3, 3), 3).ravel()
    array([4.])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    return _quantile_pool(2, input, *place, 0.5, rounding, padding_mode, layout)


def median_pool3d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    *,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Take the median of every window, the lower of two.

    Parameters
    ----------
    input : array_like
        `(N, C, D, H, W)` or `(C, D, H, W)`, of real numbers.
    kernel_size : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    padding : int, tuple or str
        Elements, never chosen, around the input: for every side, per dimension, `(before, after)`
        per dimension, or "valid", "same", "same_lower".
    dilation : int or tuple of int
        Distance of the elements of a window; 1 is dense.
    ceil_mode : bool
        The same as `rounding="ceil"`.
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
        `(N, C, *out)` or `(C, *out)`, of the input's dtype: of the `n` input elements of a window,
        sorted, the one at `(n - 1) // 2`; NaN if the window holds one; -inf (the lowest integer) if
        it has no input element.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.median_pool3d(np.arange(27.0).reshape(1, 1, 3, 3, 3), 3).ravel()
    array([13.])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    return _quantile_pool(3, input, *place, 0.5, rounding, padding_mode, layout)


def quantile_pool1d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    *,
    q: float,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Take the quantile of every window, by rank.

    Parameters
    ----------
    input : array_like
        `(N, C, L)` or `(C, L)`, of real numbers.
    kernel_size : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    padding : int, tuple or str
        Elements, never chosen, around the input: for every side, per dimension, `(before, after)`
        per dimension, or "valid", "same", "same_lower".
    dilation : int or tuple of int
        Distance of the elements of a window; 1 is dense.
    ceil_mode : bool
        The same as `rounding="ceil"`.
    q : float
        From 0, the least element of a window, to 1, the largest.
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
        `(N, C, *out)` or `(C, *out)`, of the input's dtype: of the `n` input elements of a window,
        sorted, the one at `floor(q * (n - 1))`; NaN if the window holds one; -inf (the lowest
        integer) if it has no input element.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.quantile_pool1d(np.array([[[1.0, 7.0, 2.0, 9.0]]]), 3, q=0.75).ravel()
    array([2.])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    return _quantile_pool(1, input, *place, q, rounding, padding_mode, layout)


def quantile_pool2d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    *,
    q: float,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Take the quantile of every window, by rank.

    Parameters
    ----------
    input : array_like
        `(N, C, H, W)` or `(C, H, W)`, of real numbers.
    kernel_size : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    padding : int, tuple or str
        Elements, never chosen, around the input: for every side, per dimension, `(before, after)`
        per dimension, or "valid", "same", "same_lower".
    dilation : int or tuple of int
        Distance of the elements of a window; 1 is dense.
    ceil_mode : bool
        The same as `rounding="ceil"`.
    q : float
        From 0, the least element of a window, to 1, the largest.
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
        `(N, C, *out)` or `(C, *out)`, of the input's dtype: of the `n` input elements of a window,
        sorted, the one at `floor(q * (n - 1))`; NaN if the window holds one; -inf (the lowest
        integer) if it has no input element.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.quantile_pool2d(np.arange(9.0).reshape(1, 1, 3, 3), 3, q=0.75).ravel()
    array([6.])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    return _quantile_pool(2, input, *place, q, rounding, padding_mode, layout)


def quantile_pool3d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    *,
    q: float,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array:
    """Take the quantile of every window, by rank.

    Parameters
    ----------
    input : array_like
        `(N, C, D, H, W)` or `(C, D, H, W)`, of real numbers.
    kernel_size : int or tuple of int
        In elements.
    stride : int or tuple of int, optional
        In elements; `kernel_size` by default.
    padding : int, tuple or str
        Elements, never chosen, around the input: for every side, per dimension, `(before, after)`
        per dimension, or "valid", "same", "same_lower".
    dilation : int or tuple of int
        Distance of the elements of a window; 1 is dense.
    ceil_mode : bool
        The same as `rounding="ceil"`.
    q : float
        From 0, the least element of a window, to 1, the largest.
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
        `(N, C, *out)` or `(C, *out)`, of the input's dtype: of the `n` input elements of a window,
        sorted, the one at `floor(q * (n - 1))`; NaN if the window holds one; -inf (the lowest
        integer) if it has no input element.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.quantile_pool3d(np.arange(27.0).reshape(1, 1, 3, 3, 3), 3, q=0.75).ravel()
    array([19.])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    return _quantile_pool(3, input, *place, q, rounding, padding_mode, layout)


def _quantile_pool(
    rank: int,
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: PaddingLike,
    dilation: IntOrInts,
    ceil_mode: bool,
    q: float,
    rounding: str | None,
    padding_mode: str,
    layout: str,
) -> Array:
    (x,) = promoted(input=input)
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    quantile = parameters.quantile("q", q)
    options: dict[str, Any] = {
        "quantile": quantile,
        "rounding": rounding,
        "padding_mode": padding_mode,
        "layout": layout,
    }
    problem = pool_problem("quantile_pool", rank, x.shape, *place, x.dtype, **options)
    return like_input(solve(problem, (with_batch(x, rank),)), x.shape, rank)
