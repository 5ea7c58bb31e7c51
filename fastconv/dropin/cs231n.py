"""Drop-in for the course cs231n's `im2col.py` and `fast_layers.py`, with nothing to build.

    from fastconv.dropin.cs231n import *  # before: from cs231n.fast_layers import *

Images are `(N, C, H, W)`, filters `(F, C, HH, WW)`, columns `(C * HH * WW, oh * ow * N)` with
samples innermost.

As in the course, the gradient of a pool whose square windows tile the images exactly is split among
equal maxima, and goes to the first of them otherwise.

Different: sizes need not divide (what no window covers is left out, where the course asserts);
any strides and dtypes of arrays work (the course's `conv_forward_strides` misreads images that are
not contiguous, and its Cython takes float64 only); floating arrays keep their dtype.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dropin.arrays import Named, check_ndim, entry, floats
from fastconv.dropin.indices import tap_indices
from fastconv.dtypes import Array
from fastconv.errors import ParameterError, ShapeError
from fastconv.ops import columns
from fastconv.ops.bias_gradient import conv2d_bias
from fastconv.ops.conv import conv2d
from fastconv.ops.conv_gradients import conv2d_input, conv2d_weight
from fastconv.ops.max_pool import max_pool2d, max_pool2d_backward
from fastconv.parameters import Ints

__all__ = [
    "col2im_indices",
    "conv_backward_fast",
    "conv_forward_fast",
    "get_im2col_indices",
    "im2col_indices",
    "max_pool_backward_fast",
    "max_pool_forward_fast",
]
IMAGES = {4: "(N, C, H, W)"}
COLUMNS = Named(
    input="x", columns="cols", output_size="x_shape", kernel_size="field_height, field_width"
)
CONV = Named(
    input="x",
    weight="w",
    bias="b",
    grad_output="dout",
    kernel_size="w",
    stride="conv_param['stride']",
    padding="conv_param['pad']",
)
POOL = Named(input="x", grad_output="dout", kernel_size="pool_param")


class ConvCache(NamedTuple):
    """What a convolution's backward pass needs."""

    x: Array
    w: Array
    b: Array
    conv_param: dict[str, Any]


class PoolCache(NamedTuple):
    """What a pool's backward pass needs; `indices` is None where ties are split."""

    x: Array
    out: Array
    size: tuple[int, int]
    indices: Array | None


def get_im2col_indices(
    x_shape: Ints, field_height: int, field_width: int, padding: int = 1, stride: int = 1
) -> tuple[Array, Array, Array]:
    """Return where the elements of columns lie in the padded images.

    Parameters
    ----------
    x_shape : tuple of int
        `(N, C, H, W)`.
    field_height, field_width, padding, stride : int
        As for `im2col_indices`.

    Returns
    -------
    tuple of numpy.ndarray
        Channels k, `(C * HH * WW, 1)`, rows i and columns j, `(C * HH * WW, oh * ow)`.

    Raises
    ------
    ShapeError, ParameterError
        If the arguments make no sense, or no window fits.

    Examples
    --------
    >>> from fastconv.dropin import cs231n
    >>> k, i, j = cs231n.get_im2col_indices((1, 1, 2, 3), 1, 2, padding=0)
    >>> j
    array([[0, 1, 0, 1],
           [1, 2, 1, 2]])
    """
    return tap_indices(x_shape, (field_height, field_width), stride, padding)


def im2col_indices(
    x: npt.ArrayLike, field_height: int, field_width: int, padding: int = 1, stride: int = 1
) -> Array:
    """Copy every window of images into a column.

    Parameters
    ----------
    x : array_like
        `(N, C, H, W)`.
    field_height, field_width : int
        Height HH and width WW of the windows.
    padding, stride : int
        Around the images (1 unless said), and from one window to the next.

    Returns
    -------
    numpy.ndarray
        `(C * HH * WW, oh * ow * N)`, in the dtype of the images; float64 for integers.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments make no sense, or no window fits.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin import cs231n
    >>> cs231n.im2col_indices(np.arange(6).reshape(2, 1, 1, 3), 1, 2, padding=0)
    array([[0., 3., 1., 4.],
           [1., 4., 2., 5.]])
    """
    (images,) = floats(x=x)
    check_ndim("x", images, IMAGES)
    kernel = (field_height, field_width)
    with COLUMNS:
        return columns.im2col(images, kernel, stride, padding, dialect="cs231n")


def col2im_indices(
    cols: npt.ArrayLike,
    x_shape: Ints,
    field_height: int = 3,
    field_width: int = 3,
    padding: int = 1,
    stride: int = 1,
) -> Array:
    """Add columns back to where `im2col_indices` took them from.

    Parameters
    ----------
    cols : array_like
        `(C * HH * WW, oh * ow * N)`.
    x_shape : tuple of int
        `(N, C, H, W)`.
    field_height, field_width, padding, stride : int
        As for `im2col_indices`.

    Returns
    -------
    numpy.ndarray
        `(N, C, H, W)`, in the dtype of the columns; float64 for integers.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments make no sense or do not fit each other.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin import cs231n
    >>> cs231n.col2im_indices(np.ones((2, 2)), (1, 1, 1, 3), 1, 2, padding=0)
    array([[[[1., 2., 1.]]]])
    """
    (given,) = floats(cols=cols)
    shape, kernel = parameters.shape("x_shape", x_shape), (field_height, field_width)
    with COLUMNS:
        result = columns.col2im(given, shape[2:], kernel, stride, padding, dialect="cs231n")
    if result.shape != shape:
        raise ShapeError(f"cols: expected the columns of x_shape {shape}, got {given.shape}")
    return result


def conv_forward_fast(
    x: npt.ArrayLike, w: npt.ArrayLike, b: npt.ArrayLike, conv_param: dict[str, Any]
) -> tuple[Array, ConvCache]:
    """Convolve images.

    Parameters
    ----------
    x : array_like
        `(N, C, H, W)`.
    w : array_like
        `(F, C, HH, WW)`.
    b : array_like
        `(F,)`.
    conv_param : dict
        'stride' and 'pad'.

    Returns
    -------
    tuple
        `(N, F, oh, ow)`, and what `conv_backward_fast` needs.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin.cs231n import conv_backward_fast, conv_forward_fast
    >>> x, w, b = np.ones((2, 3, 8, 8)), np.ones((4, 3, 3, 3)), np.zeros(4)
    >>> out, cache = conv_forward_fast(x, w, b, {'stride': 1, 'pad': 1})
    >>> out.shape
    (2, 4, 8, 8)
    >>> [gradient.shape for gradient in conv_backward_fast(out, cache)]
    [(2, 3, 8, 8), (4, 3, 3, 3), (4,)]
    """
    images, weight, bias = floats(x=x, w=w, b=b)
    check_ndim("x", images, IMAGES)
    stride, pad = entry("conv_param", conv_param, "stride"), entry("conv_param", conv_param, "pad")
    with CONV:
        out = conv2d(images, weight, bias, stride, pad)
    return out, ConvCache(images, weight, bias, conv_param)


def conv_backward_fast(dout: npt.ArrayLike, cache: ConvCache) -> tuple[Array, Array, Array]:
    """Return the gradients of a convolution.

    Parameters
    ----------
    dout : array_like
        `(N, F, oh, ow)`.
    cache : tuple
        What `conv_forward_fast` returned beside its output.

    Returns
    -------
    tuple of numpy.ndarray
        `dx (N, C, H, W)`, `dw (F, C, HH, WW)`, `db (F,)`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin.cs231n import conv_backward_fast, conv_forward_fast
    >>> x = np.arange(3.0).reshape(1, 1, 1, 3)
    >>> _, cache = conv_forward_fast(x, np.ones((1, 1, 1, 2)), [0], {'stride': 1, 'pad': 0})
    >>> dx, dw, db = conv_backward_fast([[[[1, 10]]]], cache)
    >>> dx, dw, db
    (array([[[[ 1., 11., 10.]]]]), array([[[[10., 21.]]]]), array([11.]))
    """
    x, w, _, conv_param = _checked(cache, ConvCache, "conv_forward_fast")
    gy, x, w = floats(dout=dout, x=x, w=w)
    stride, pad = entry("conv_param", conv_param, "stride"), entry("conv_param", conv_param, "pad")
    with CONV:
        dx = conv2d_input(x.shape, w, gy, stride, pad)
        return dx, conv2d_weight(x, w.shape, gy, stride, pad), conv2d_bias(gy)


def max_pool_forward_fast(x: npt.ArrayLike, pool_param: dict[str, Any]) -> tuple[Array, PoolCache]:
    """Take the maximum of every window.

    Parameters
    ----------
    x : array_like
        `(N, C, H, W)`.
    pool_param : dict
        'pool_height', 'pool_width' and 'stride'.

    Returns
    -------
    tuple
        `(N, C, oh, ow)`, and what `max_pool_backward_fast` needs.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments make no sense, or no window fits.

    Examples
    --------
    >>> from fastconv.dropin.cs231n import max_pool_backward_fast, max_pool_forward_fast
    >>> pool_param = {'pool_height': 2, 'pool_width': 2, 'stride': 2}
    >>> out, cache = max_pool_forward_fast([[[[1, 5, 7, 7], [2, 3, 4, 5]]]], pool_param)
    >>> out
    array([[[[5., 7.]]]])
    >>> max_pool_backward_fast([[[[1, 2]]]], cache)  # split among the two sevens
    array([[[[0., 1., 1., 1.],
             [0., 0., 0., 0.]]]])
    """
    (images,) = floats(x=x)
    check_ndim("x", images, IMAGES)
    kh, kw, stride = (
        parameters.integer(key, entry("pool_param", pool_param, key))
        for key in ("pool_height", "pool_width", "stride")
    )
    tiles = kh == kw == stride and images.shape[2] % kh == 0 and images.shape[3] % kw == 0
    with POOL:
        if tiles:
            out = max_pool2d(images, kh)
            return out, PoolCache(images, out, (kh, kw), None)
        out, indices = max_pool2d(images, (kh, kw), stride, return_indices=True)
    return out, PoolCache(images, out, (kh, kw), indices)


def max_pool_backward_fast(dout: npt.ArrayLike, cache: PoolCache) -> Array:
    """Return the gradient of a pool.

    Parameters
    ----------
    dout : array_like
        `(N, C, oh, ow)`.
    cache : tuple
        What `max_pool_forward_fast` returned beside its output.

    Returns
    -------
    numpy.ndarray
        `(N, C, H, W)`: where square windows tile the images, split among equal maxima; else the
        first maximum's.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> from fastconv.dropin.cs231n import max_pool_backward_fast, max_pool_forward_fast
    >>> pool_param = {'pool_height': 1, 'pool_width': 2, 'stride': 1}
    >>> _, cache = max_pool_forward_fast([[[[7, 7, 5]]]], pool_param)
    >>> max_pool_backward_fast([[[[1, 2]]]], cache)  # windows overlap: the first maximum's
    array([[[[1., 2., 0.]]]])
    """
    x, out, size, indices = _checked(cache, PoolCache, "max_pool_forward_fast")
    (gy,) = floats(dout=dout)
    if gy.shape != out.shape:
        raise ShapeError(f"dout: expected shape {out.shape} as of the output, got {gy.shape}")
    if indices is not None:
        return max_pool2d_backward(gy, indices, x.shape)
    return _split(gy, x, out, size)


def _split(gy: Array, x: Array, out: Array, size: tuple[int, int]) -> Array:
    """Share each window's gradient among its equal maxima, one tap of all windows at a time."""
    taps = [np.s_[..., i :: size[0], j :: size[1]] for i in range(size[0]) for j in range(size[1])]
    equal = [x[tap] == out for tap in taps]
    count = sum(equal[1:], equal[0].astype(gy.dtype))
    if not count.all():  # NaN is the maximum of its window, and equal to nothing
        equal = [here | np.isnan(x[tap]) for tap, here in zip(taps, equal, strict=True)]
        count = sum(equal[1:], equal[0].astype(gy.dtype))
    share = gy / count
    dx = np.empty(x.shape, gy.dtype)
    for tap, here in zip(taps, equal, strict=True):
        np.multiply(share, here, out=dx[tap])
    return dx


def _checked(cache: Any, kind: type, by: str) -> Any:
    if not isinstance(cache, kind):
        raise ParameterError(f"cache: expected what {by} returned, got {type(cache).__name__}")
    return cache
