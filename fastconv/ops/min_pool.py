"""Min pooling, forward and gradient."""

from collections.abc import Sequence
from typing import Literal, overload

import numpy.typing as npt

from fastconv.dtypes import Array
from fastconv.ops.pool_call import extreme_pool, scatter_back
from fastconv.parameters import IntOrInts, PaddingLike


@overload
def min_pool1d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
    *,
    rounding: str | None = ...,
    nan: str = ...,
    padding_mode: str = ...,
    layout: str = ...,
) -> Array: ...
@overload
def min_pool1d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    *,
    return_indices: Literal[True],
    rounding: str | None = ...,
    nan: str = ...,
    padding_mode: str = ...,
    layout: str = ...,
) -> tuple[Array, Array]: ...
def min_pool1d(
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
) -> Array | tuple[Array, Array]:
    """Take the minimum of every window: `max_pool1d` the other way round.

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
        Also return where each minimum was.
    rounding : str, optional
        "floor" for windows inside the padded input; "ceil" for one more that reaches beyond it, if
        it starts before the padding after the input; "cover_all" for one more wherever it starts.
    nan : str
        "propagate" for NaN wherever a window holds one; "ignore" for the minimum of the others.
    padding_mode : str
        "zeros" for padding as above; "reflect", "replicate" or "circular" for elements of the
        input instead, which count like all others; indices are those of what they repeat.
    layout : str
        "channels_first", or "channels_last" for `(N, L, C)`.

    Returns
    -------
    numpy.ndarray, or two of them
        `(N, C, *out)`, of the input's dtype, and if asked for the int64 indices of the same shape,
        flat in each plane: of the first minimum, or of the last NaN. A window without any input
        element gives inf (the highest integer) and index -1; one of nothing but ignored NaN gives
        NaN and the index of its first element.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.min_pool1d(np.array([[[1.0, 3.0, np.nan, 5.0]]]), 2, nan="ignore")
    array([[[1., 5.]]])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    options = (return_indices, rounding, nan, padding_mode, layout)
    return extreme_pool("min_pool", 1, input, *place, *options)


def min_pool1d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `min_pool1d` with respect to its input.

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
    >>> x = np.arange(2.0).reshape((1, 1, 2))
    >>> y, indices = F.min_pool1d(x, 2, return_indices=True)
    >>> F.min_pool1d_backward(np.ones_like(y), indices, x.shape).ravel()
    array([1., 0.])
    """
    return scatter_back(1, grad_output, indices, input_size, layout)


@overload
def min_pool2d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
    *,
    rounding: str | None = ...,
    nan: str = ...,
    padding_mode: str = ...,
    layout: str = ...,
) -> Array: ...
@overload
def min_pool2d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    *,
    return_indices: Literal[True],
    rounding: str | None = ...,
    nan: str = ...,
    padding_mode: str = ...,
    layout: str = ...,
) -> tuple[Array, Array]: ...
def min_pool2d(
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
) -> Array | tuple[Array, Array]:
    """Take the minimum of every window: `max_pool2d` the other way round.

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
        Also return where each minimum was.
    rounding : str, optional
        "floor" for windows inside the padded input; "ceil" for one more that reaches beyond it, if
        it starts before the padding after the input; "cover_all" for one more wherever it starts.
    nan : str
        "propagate" for NaN wherever a window holds one; "ignore" for the minimum of the others.
    padding_mode : str
        "zeros" for padding as above; "reflect", "replicate" or "circular" for elements of the
        input instead, which count like all others; indices are those of what they repeat.
    layout : str
        "channels_first", or "channels_last" for `(N, H, W, C)`.

    Returns
    -------
    numpy.ndarray, or two of them
        `(N, C, *out)`, of the input's dtype, and if asked for the int64 indices of the same shape,
        flat in each plane: of the first minimum, or of the last NaN. A window without any input
        element gives inf (the highest integer) and index -1; one of nothing but ignored NaN gives
        NaN and the index of its first element.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> y, indices = F.min_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2, return_indices=True)
    >>> indices[0, 0]
    array([[ 0,  2],
           [ 8, 10]])
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    options = (return_indices, rounding, nan, padding_mode, layout)
    return extreme_pool("min_pool", 2, input, *place, *options)


def min_pool2d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `min_pool2d` with respect to its input.

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
    >>> x = np.arange(4.0).reshape((1, 1, 2, 2))
    >>> y, indices = F.min_pool2d(x, 2, return_indices=True)
    >>> F.min_pool2d_backward(np.ones_like(y), indices, x.shape).ravel()
    array([1., 0., 0., 0.])
    """
    return scatter_back(2, grad_output, indices, input_size, layout)


@overload
def min_pool3d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    return_indices: Literal[False] = ...,
    *,
    rounding: str | None = ...,
    nan: str = ...,
    padding_mode: str = ...,
    layout: str = ...,
) -> Array: ...
@overload
def min_pool3d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = ...,
    padding: PaddingLike = ...,
    dilation: IntOrInts = ...,
    ceil_mode: bool = ...,
    *,
    return_indices: Literal[True],
    rounding: str | None = ...,
    nan: str = ...,
    padding_mode: str = ...,
    layout: str = ...,
) -> tuple[Array, Array]: ...
def min_pool3d(
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
) -> Array | tuple[Array, Array]:
    """Take the minimum of every window: `max_pool3d` the other way round.

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
        Also return where each minimum was.
    rounding : str, optional
        "floor" for windows inside the padded input; "ceil" for one more that reaches beyond it, if
        it starts before the padding after the input; "cover_all" for one more wherever it starts.
    nan : str
        "propagate" for NaN wherever a window holds one; "ignore" for the minimum of the others.
    padding_mode : str
        "zeros" for padding as above; "reflect", "replicate" or "circular" for elements of the
        input instead, which count like all others; indices are those of what they repeat.
    layout : str
        "channels_first", or "channels_last" for `(N, D, H, W, C)`.

    Returns
    -------
    numpy.ndarray, or two of them
        `(N, C, *out)`, of the input's dtype, and if asked for the int64 indices of the same shape,
        flat in each plane: of the first minimum, or of the last NaN. A window without any input
        element gives inf (the highest integer) and index -1; one of nothing but ignored NaN gives
        NaN and the index of its first element.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.min_pool3d(np.ones((1, 2, 4, 6, 8)), (2, 3, 2), rounding="cover_all").shape
    (1, 2, 2, 2, 4)
    """
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    options = (return_indices, rounding, nan, padding_mode, layout)
    return extreme_pool("min_pool", 3, input, *place, *options)


def min_pool3d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `min_pool3d` with respect to its input.

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
    >>> x = np.arange(8.0).reshape((1, 1, 2, 2, 2))
    >>> y, indices = F.min_pool3d(x, 2, return_indices=True)
    >>> F.min_pool3d_backward(np.ones_like(y), indices, x.shape).ravel()
    array([1., 0., 0., 0., 0., 0., 0., 0.])
    """
    return scatter_back(3, grad_output, indices, input_size, layout)
