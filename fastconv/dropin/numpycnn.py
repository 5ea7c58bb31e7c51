"""Drop-in for the functions of the tutorial NumPyCNN: `conv`, `pooling`, `relu`.

    from fastconv.dropin import numpycnn  # before: import NumPyCNN as numpycnn

Images are `(H, W)` or `(H, W, C)`, banks of filters `(F, k, k)` or `(F, k, k, C)`, feature maps
`(H, W, F)`; results are views in that order, whatever their order in memory.

Where the original is wrong and this is not:

- `pooling` there appends a row of zeros wherever `(H - size + 1) % stride` is 0, and columns
  likewise, as its size formula counts one window too many; `zero_edge=True` brings them back. Its
  sizes wrap above 65535, and its first editions take the maximum over all maps together.
- Bad shapes there print and exit the process; here they raise `ShapeError`.
- Filters there must be square and odd; here they may be of any size.
- Results there are always float64; here floating images and filters keep their dtype.
"""

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dropin.arrays import Named, check_ndim, floats
from fastconv.dtypes import Array
from fastconv.errors import ShapeError
from fastconv.ops.conv import conv2d
from fastconv.ops.max_pool import max_pool2d

__all__ = ["conv", "conv_", "pooling", "relu"]
IMAGE = {2: "(H, W)", 3: "(H, W, C)"}
BANK = {3: "(F, k, k)", 4: "(F, k, k, C)"}
CONV = Named(input="img", weight="conv_filter", kernel_size="conv_filter")
POOL = Named(input="feature_map", kernel_size="size")


def conv(img: npt.ArrayLike, conv_filter: npt.ArrayLike) -> Array:
    """Convolve an image with a bank of filters, where they fit into it.

    Parameters
    ----------
    img : array_like
        `(H, W)` or `(H, W, C)`.
    conv_filter : array_like
        `(F, kh, kw)` for one channel, or `(F, kh, kw, C)`; not flipped.

    Returns
    -------
    numpy.ndarray
        Feature maps `(H - kh + 1, W - kw + 1, F)`, in the promoted dtype; float64 for integers.

    Raises
    ------
    ShapeError, DtypeError
        If the arguments are no such arrays, or do not fit each other.

    Examples
    --------
    >>> from fastconv.dropin import numpycnn
    >>> image = [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]
    >>> edges = [[[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]]
    >>> numpycnn.conv(image, edges)[:, :, 0]
    array([[3., 3.]])
    """
    x, w = floats(img=img, conv_filter=conv_filter)
    check_ndim("img", x, IMAGE)
    check_ndim("conv_filter", w, BANK)
    channels = x.shape[2] if x.ndim == 3 else 1
    if channels != (w.shape[3] if w.ndim == 4 else 1):
        raise ShapeError(
            f"conv_filter: expected {channels} channels in its last of four axes, as img of shape "
            f"{x.shape} has, got shape {w.shape}"
        )
    w = w.transpose(0, 3, 1, 2) if w.ndim == 4 else w[:, np.newaxis]  # (F, C, kh, kw)
    with CONV:
        return _channels_last(conv2d(_channels_first(x), w))


def conv_(img: npt.ArrayLike, conv_filter: npt.ArrayLike) -> Array:
    """Convolve one channel with one filter.

    Parameters
    ----------
    img : array_like
        `(H, W)`.
    conv_filter : array_like
        `(kh, kw)`.

    Returns
    -------
    numpy.ndarray
        `(H - kh + 1, W - kw + 1)`, in the promoted dtype; float64 for integers.

    Raises
    ------
    ShapeError, DtypeError
        If the arguments are no such arrays, or the filter is larger than the image.

    Examples
    --------
    >>> from fastconv.dropin import numpycnn
    >>> numpycnn.conv_([[1, 2, 3]], [[1, -1]])
    array([[-1., -1.]])
    """
    x, w = floats(img=img, conv_filter=conv_filter)
    check_ndim("img", x, {2: "(H, W)"})
    check_ndim("conv_filter", w, {2: "(kh, kw)"})
    with CONV:
        maps = conv2d(x[np.newaxis], w[np.newaxis, np.newaxis])
    return maps.reshape(maps.shape[1:])  # (H, W)


def relu(feature_map: npt.ArrayLike) -> Array:
    """Replace what is negative by 0.

    Parameters
    ----------
    feature_map : array_like
        Of any shape.

    Returns
    -------
    numpy.ndarray
        A new array of that shape and dtype; float64 for integers.

    Raises
    ------
    DtypeError
        If it is no array of numbers.

    Examples
    --------
    >>> from fastconv.dropin import numpycnn
    >>> numpycnn.relu([[-2, 3]])
    array([[0., 3.]])
    """
    (x,) = floats(feature_map=feature_map)
    result: Array = np.maximum(x, x.dtype.type(0))
    return result


def pooling(
    feature_map: npt.ArrayLike, size: int = 2, stride: int = 2, *, zero_edge: bool = False
) -> Array:
    """Take the maximum of every window of every map.

    Parameters
    ----------
    feature_map : array_like
        `(H, W, F)`.
    size, stride : int
        Of the square windows, and from one to the next.
    zero_edge : bool
        Whether to append the row, and the column, of zeros that the original has wherever
        `(H - size + 1) % stride`, or `(W - size + 1) % stride`, is 0.

    Returns
    -------
    numpy.ndarray
        `((H - size) // stride + 1, (W - size) // stride + 1, F)`, in the dtype of the maps;
        float64 for integers.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments make no sense, or no window fits.

    Examples
    --------
    >>> from fastconv.dropin import numpycnn
    >>> maps = [[[1], [2], [3]], [[4], [5], [6]], [[7], [8], [9]]]
    >>> numpycnn.pooling(maps, 2, 2)[:, :, 0]
    array([[5.]])
    >>> numpycnn.pooling(maps, 2, 2, zero_edge=True)[:, :, 0]
    array([[5., 0.],
           [0., 0.]])
    """
    (x,) = floats(feature_map=feature_map)
    check_ndim("feature_map", x, {3: "(H, W, F)"})
    k, step = parameters.integer("size", size), parameters.integer("stride", stride)
    with POOL:
        pooled = max_pool2d(_channels_first(x), k, step)
    return _channels_last(with_zero_edge(pooled, x.shape[:2], k, step) if zero_edge else pooled)


def with_zero_edge(pooled: Array, sizes: tuple[int, ...], size: int, stride: int) -> Array:
    """Append to pooled `(..., H, W)` the zeros of the original's size formula."""
    extra = [(0, int((n - size + 1) % stride == 0)) for n in sizes]
    if not any(after for _, after in extra):
        return pooled
    return np.pad(pooled, [(0, 0)] * (pooled.ndim - 2) + extra)


def _channels_first(x: Array) -> Array:
    return x.transpose(2, 0, 1) if x.ndim == 3 else x[np.newaxis]  # (C, H, W)


def _channels_last(y: Array) -> Array:
    return y.transpose(1, 2, 0)  # (H, W, C)
