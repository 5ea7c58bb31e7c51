"""Drop-in for *Deep Learning from Scratch*: `im2col`, `col2im`, `Convolution`, `Pooling`.

    from fastconv.dropin.dlfs import Convolution, Pooling  # before: from common.layers import *

Images are `(N, C, H, W)`, filters `(F, C, fh, fw)`, columns `(N * oh * ow, C * fh * fw)`.

Where the original is wrong and this is not: `Pooling` there ignores `pad` in its output size, and
so fails with any; here padding counts for the size and never is a maximum. Results there are always
float64; here floating arrays keep their dtype. The layers make no columns, so `col` and `col_W`
are not among their attributes.
"""

import numpy.typing as npt

from fastconv import parameters
from fastconv.dropin.arrays import Named, check_ndim, floats, made
from fastconv.dtypes import Array
from fastconv.errors import ShapeError
from fastconv.ops import columns
from fastconv.ops.bias_gradient import conv2d_bias
from fastconv.ops.conv import conv2d
from fastconv.ops.conv_gradients import conv2d_input, conv2d_weight
from fastconv.ops.max_pool import max_pool2d, max_pool2d_backward
from fastconv.parameters import Ints

__all__ = ["Convolution", "Pooling", "col2im", "im2col"]
IMAGES = {4: "(N, C, H, W)"}
COLUMNS = Named(
    input="input_data",
    columns="col",
    output_size="input_shape",
    padding="pad",
    kernel_size="filter_h, filter_w",
)
LAYERS = Named(input="x", weight="W", bias="b", grad_output="dout", kernel_size="x")


def im2col(
    input_data: npt.ArrayLike, filter_h: int, filter_w: int, stride: int = 1, pad: int = 0
) -> Array:
    """Copy every window of images into a row.

    Parameters
    ----------
    input_data : array_like
        `(N, C, H, W)`.
    filter_h, filter_w : int
        Height and width of the windows.
    stride, pad : int
        From one window to the next, and around the images.

    Returns
    -------
    numpy.ndarray
        `(N * oh * ow, C * filter_h * filter_w)`, in the dtype of the images; float64 for integers.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments make no sense, or no window fits.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin import dlfs
    >>> dlfs.im2col(np.arange(6).reshape(2, 1, 1, 3), 1, 2)
    array([[0., 1.],
           [1., 2.],
           [3., 4.],
           [4., 5.]])
    """
    (x,) = floats(input_data=input_data)
    check_ndim("input_data", x, IMAGES)
    with COLUMNS:
        return columns.im2col(x, (filter_h, filter_w), stride, pad, dialect="dlfs")


def col2im(
    col: npt.ArrayLike,
    input_shape: Ints,
    filter_h: int,
    filter_w: int,
    stride: int = 1,
    pad: int = 0,
) -> Array:
    """Add rows back to where `im2col` took them from.

    Parameters
    ----------
    col : array_like
        `(N * oh * ow, C * filter_h * filter_w)`.
    input_shape : tuple of int
        `(N, C, H, W)`.
    filter_h, filter_w, stride, pad : int
        As for `im2col`.

    Returns
    -------
    numpy.ndarray
        `(N, C, H, W)`, in the dtype of the rows; float64 for integers.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments make no sense or do not fit each other.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin import dlfs
    >>> dlfs.col2im(np.ones((2, 2)), (1, 1, 1, 3), 1, 2)
    array([[[[1., 2., 1.]]]])
    """
    (cols,) = floats(col=col)
    shape = parameters.shape("input_shape", input_shape)
    with COLUMNS:
        result = columns.col2im(cols, shape[2:], (filter_h, filter_w), stride, pad, dialect="dlfs")
    if result.shape != shape:
        raise ShapeError(f"col: expected the rows of input_shape {shape}, got {cols.shape}")
    return result


class Convolution:
    """A convolution with given filters.

    Parameters
    ----------
    W : array_like
        `(F, C, fh, fw)`; read anew in every call, so that optimisers may replace or change it.
    b : array_like
        `(F,)`.
    stride, pad : int
        From one window to the next, and around the images.

    Attributes
    ----------
    dW, db : numpy.ndarray or None
        The gradients of the last `backward`.
    x : numpy.ndarray or None
        The images of the last `forward`.

    Raises
    ------
    ParameterError
        If a parameter makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin.dlfs import Convolution
    >>> layer = Convolution(np.ones((1, 1, 1, 2)), np.array([0.5]))
    >>> layer.forward(np.arange(3.0).reshape(1, 1, 1, 3))
    array([[[[1.5, 3.5]]]])
    >>> layer.backward([[[[1, 10]]]])
    array([[[[ 1., 11., 10.]]]])
    >>> layer.dW
    array([[[[10., 21.]]]])
    """

    def __init__(self, W: npt.ArrayLike, b: npt.ArrayLike, stride: int = 1, pad: int = 0):
        self.W = W
        self.b = b
        self.stride = parameters.integer("stride", stride)
        self.pad = parameters.integer("pad", pad, 0)
        self.x: Array | None = None
        self.dW: Array | None = None
        self.db: Array | None = None

    def forward(self, x: npt.ArrayLike) -> Array:
        """Convolve images `(N, C, H, W)` into `(N, F, oh, ow)`."""
        images, w, b = floats(x=x, W=self.W, b=self.b)
        check_ndim("x", images, IMAGES)
        self.x = images
        with LAYERS:
            return conv2d(images, w, b, self.stride, self.pad)

    def backward(self, dout: npt.ArrayLike) -> Array:
        """Return the gradient `(N, C, H, W)` of the images, and keep those of W and b."""
        x, w, gy = floats(x=made("dout", self.x, "forward"), W=self.W, dout=dout)
        with LAYERS:
            self.dW = conv2d_weight(x, w.shape, gy, self.stride, self.pad)
            self.db = conv2d_bias(gy)
            return conv2d_input(x.shape, w, gy, self.stride, self.pad)


class Pooling:
    """The maximum of every window.

    Parameters
    ----------
    pool_h, pool_w : int
        Height and width of the windows.
    stride, pad : int
        From one window to the next (1 unless said, not the size), and around the images.

    Attributes
    ----------
    x : numpy.ndarray or None
        The images of the last `forward`.
    arg_max : numpy.ndarray or None
        Where in its plane `(H, W)` each maximum lay, `(N, C, oh, ow)`; of equal ones the first.

    Raises
    ------
    ParameterError
        If a parameter makes no sense.

    Examples
    --------
    >>> from fastconv.dropin.dlfs import Pooling
    >>> layer = Pooling(1, 2, stride=2)
    >>> layer.forward([[[[1, 5, 7, 7]]]])
    array([[[[5., 7.]]]])
    >>> layer.backward([[[[1, 2]]]])
    array([[[[0., 1., 2., 0.]]]])
    """

    def __init__(self, pool_h: int, pool_w: int, stride: int = 1, pad: int = 0):
        self.pool_h = parameters.integer("pool_h", pool_h)
        self.pool_w = parameters.integer("pool_w", pool_w)
        self.stride = parameters.integer("stride", stride)
        self.pad = parameters.integer("pad", pad, 0)
        self.x: Array | None = None
        self.arg_max: Array | None = None

    def forward(self, x: npt.ArrayLike) -> Array:
        """Pool images `(N, C, H, W)` into `(N, C, oh, ow)`."""
        (images,) = floats(x=x)
        check_ndim("x", images, IMAGES)
        kernel = (self.pool_h, self.pool_w)
        with LAYERS:
            result, self.arg_max = max_pool2d(
                images, kernel, self.stride, self.pad, return_indices=True
            )
        self.x = images
        return result

    def backward(self, dout: npt.ArrayLike) -> Array:
        """Return the gradient `(N, C, H, W)` of the images."""
        x, indices = made("dout", self.x, "forward"), made("dout", self.arg_max, "forward")
        (gy,) = floats(dout=dout)
        with LAYERS:
            return max_pool2d_backward(gy, indices, x.shape)
