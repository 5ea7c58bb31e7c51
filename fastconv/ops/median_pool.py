"""Median pooling, forward and gradient: quantile pooling at a half."""

from collections.abc import Sequence
from typing import Literal, overload

import numpy.typing as npt

from fastconv.dtypes import Array
from fastconv.ops.pool_call import scatter_back
from fastconv.ops.quantile_pool import rank_pool
from fastconv.parameters import IntOrInts, PaddingLike


@overload
def median_pool1d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
    *,
    rounding: str | None = ...,
    padding_mode: str = ...,
    layout: str = ...,
) -> Array: ...
@overload
def median_pool1d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    *,
    return_indices: Literal[True],
    rounding: str | None = ...,
    padding_mode: str = ...,
    layout: str = ...,
) -> tuple[Array, Array]: ...
def median_pool1d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array | tuple[Array, Array]:
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
    return_indices : bool
        Also return where each chosen element was.
    rounding : str, optional
        "floor" for windows inside the padded input; "ceil" for one more that reaches beyond it, if
        it starts before the padding after the input; "cover_all" for one more wherever it starts.
    padding_mode : str
        "zeros" for padding as above; "reflect", "replicate" or "circular" for elements of the
        input instead, which count like all others; indices are those of what they repeat.
    layout : str
        "channels_first", or "channels_last" for `(N, L, C)`.

    Returns
    -------
    numpy.ndarray, or two of them
        `(N, C, *out)` or `(C, *out)`, of the input's dtype: of the `n` input elements of a window,
        sorted, the one at `(n - 1) // 2`; NaN if the window holds one; -inf (the lowest integer) if
        it has no input element. If asked for, also the int64 indices, flat
        in each plane: of it, equal elements sorted by place; of the last NaN; or -1.

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
    options = (return_indices, rounding, padding_mode, layout)
    return rank_pool(1, input, *place, 0.5, *options)


def median_pool1d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `median_pool1d` with respect to its input.

    It flows to the chosen element of each window: where others equal it, one of the subgradients.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    indices : array_like of int
        What `return_indices` gave, of the same shape; -1 contributes nothing.
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
    >>> x = np.array([1.0, 7.0, 2.0]).reshape((1, 1, 3))
    >>> y, indices = F.median_pool1d(x, 3, return_indices=True)
    >>> F.median_pool1d_backward(np.ones_like(y), indices, x.shape).ravel()
    array([0., 0., 1.])
    """
    return scatter_back(1, grad_output, indices, input_size, layout)


@overload
def median_pool2d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
    *,
    rounding: str | None = ...,
    padding_mode: str = ...,
    layout: str = ...,
) -> Array: ...
@overload
def median_pool2d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    *,
    return_indices: Literal[True],
    rounding: str | None = ...,
    padding_mode: str = ...,
    layout: str = ...,
) -> tuple[Array, Array]: ...
def median_pool2d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array | tuple[Array, Array]:
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
    return_indices : bool
        Also return where each chosen element was.
    rounding : str, optional
        "floor" for windows inside the padded input; "ceil" for one more that reaches beyond it, if
        it starts before the padding after the input; "cover_all" for one more wherever it starts.
    padding_mode : str
        "zeros" for padding as above; "reflect", "replicate" or "circular" for elements of the
        input instead, which count like all others; indices are those of what they repeat.
    layout : str
        "channels_first", or "channels_last" for `(N, H, W, C)`.

    Returns
    -------
    numpy.ndarray, or two of them
        `(N, C, *out)` or `(C, *out)`, of the input's dtype: of the `n` input elements of a window,
        sorted, the one at `(n - 1) // 2`; NaN if the window holds one; -inf (the lowest integer) if
        it has no input element. If asked for, also the int64 indices, flat
        in each plane: of it, equal elements sorted by place; of the last NaN; or -1.

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
    options = (return_indices, rounding, padding_mode, layout)
    return rank_pool(2, input, *place, 0.5, *options)


def median_pool2d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `median_pool2d` with respect to its input.

    It flows to the chosen element of each window: where others equal it, one of the subgradients.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    indices : array_like of int
        What `return_indices` gave, of the same shape; -1 contributes nothing.
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
    >>> x = np.array([1.0, 7.0, 2.0]).reshape((1, 1, 1, 3))
    >>> y, indices = F.median_pool2d(x, (1, 3), return_indices=True)
    >>> F.median_pool2d_backward(np.ones_like(y), indices, x.shape).ravel()
    array([0., 0., 1.])
    """
    return scatter_back(2, grad_output, indices, input_size, layout)


@overload
def median_pool3d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
    *,
    rounding: str | None = ...,
    padding_mode: str = ...,
    layout: str = ...,
) -> Array: ...
@overload
def median_pool3d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    *,
    return_indices: Literal[True],
    rounding: str | None = ...,
    padding_mode: str = ...,
    layout: str = ...,
) -> tuple[Array, Array]: ...
def median_pool3d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    rounding: str | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Array | tuple[Array, Array]:
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
    return_indices : bool
        Also return where each chosen element was.
    rounding : str, optional
        "floor" for windows inside the padded input; "ceil" for one more that reaches beyond it, if
        it starts before the padding after the input; "cover_all" for one more wherever it starts.
    padding_mode : str
        "zeros" for padding as above; "reflect", "replicate" or "circular" for elements of the
        input instead, which count like all others; indices are those of what they repeat.
    layout : str
        "channels_first", or "channels_last" for `(N, D, H, W, C)`.

    Returns
    -------
    numpy.ndarray, or two of them
        `(N, C, *out)` or `(C, *out)`, of the input's dtype: of the `n` input elements of a window,
        sorted, the one at `(n - 1) // 2`; NaN if the window holds one; -inf (the lowest integer) if
        it has no input element. If asked for, also the int64 indices, flat
        in each plane: of it, equal elements sorted by place; of the last NaN; or -1.

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
    options = (return_indices, rounding, padding_mode, layout)
    return rank_pool(3, input, *place, 0.5, *options)


def median_pool3d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `median_pool3d` with respect to its input.

    It flows to the chosen element of each window: where others equal it, one of the subgradients.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    indices : array_like of int
        What `return_indices` gave, of the same shape; -1 contributes nothing.
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
    >>> x = np.array([1.0, 7.0, 2.0]).reshape((1, 1, 1, 1, 3))
    >>> y, indices = F.median_pool3d(x, (1, 1, 3), return_indices=True)
    >>> F.median_pool3d_backward(np.ones_like(y), indices, x.shape).ravel()
    array([0., 0., 1.])
    """
    return scatter_back(3, grad_output, indices, input_size, layout)
