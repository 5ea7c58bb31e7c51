"""Drop-in for layers that hand out their cache: `Convolution2dLayer`, `MaxPooling2dLayer`.

    from fastconv.dropin.cached_layers import Convolution2dLayer, MaxPooling2dLayer

    layer.initialize_weights()
    cache = layer.forward(x)
    grad_x, grad_weights, grad_bias = layer.backward(cache, grad_output)

Implementations of this interface differ in details; here it is as follows. Images are
`(N, C, H, W)`. A cache is a named tuple, whose `output` is the layer's result and whose other
entries are what `backward` needs; it may be kept, and several may be outstanding, for a layer
changes none of them and remembers nothing. Gradients are exact and summed over the batch;
they are returned, and neither kept nor added up. Of equal maxima the first has the gradient.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dropin.arrays import Named, check_ndim, floats, made
from fastconv.dtypes import Array
from fastconv.errors import ParameterError
from fastconv.ops.bias_gradient import conv2d_bias
from fastconv.ops.conv import conv2d
from fastconv.ops.conv_gradients import conv2d_input, conv2d_weight
from fastconv.ops.max_pool import max_pool2d, max_pool2d_backward
from fastconv.parameters import IntOrInts, PaddingLike

__all__ = [
    "Convolution2dLayer",
    "ConvolutionCache",
    "ConvolutionGradients",
    "MaxPooling2dLayer",
    "MaxPoolingCache",
]
IMAGES = {4: "(N, C, H, W)"}
NAMES = Named(input="x", weight="weights", kernel_size="x")


class ConvolutionCache(NamedTuple):
    """What a convolution made of `x`, and of what it made it."""

    output: Array
    x: Array
    weights: Array


class ConvolutionGradients(NamedTuple):
    """The gradients of a convolution, of the shapes of what they belong to."""

    x: Array
    weights: Array
    bias: Array


class MaxPoolingCache(NamedTuple):
    """What a pool made, and where in their planes its maxima lay."""

    output: Array
    indices: Array
    input_shape: tuple[int, ...]


class Convolution2dLayer:
    """A convolution.

    Parameters
    ----------
    in_channels, out_channels : int
        Of the images, and the number of filters.
    kernel_size, stride : int or tuple of int
        Of the filters, and from one window to the next.
    padding : int, tuple, or str
        Around the images, as `fastconv.conv2d` takes it: "same" keeps their size.

    Attributes
    ----------
    weights, bias : numpy.ndarray or None
        `(out_channels, in_channels, kh, kw)` and `(out_channels,)`, once initialized; assign
        others, of any floating dtype, to use them.

    Raises
    ------
    ParameterError
        If a parameter makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin.cached_layers import Convolution2dLayer
    >>> layer = Convolution2dLayer(3, 8, kernel_size=3, padding="same")
    >>> layer.initialize_weights(seed=0)
    >>> cache = layer.forward(np.ones((2, 3, 9, 9)))
    >>> cache.output.shape
    (2, 8, 9, 9)
    >>> gradients = layer.backward(cache, np.ones((2, 8, 9, 9)))
    >>> gradients.weights.shape
    (8, 3, 3, 3)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrInts,
        stride: IntOrInts = 1,
        padding: PaddingLike = 0,
    ):
        self.in_channels = parameters.integer("in_channels", in_channels)
        self.out_channels = parameters.integer("out_channels", out_channels)
        self.kernel_size = parameters.integers("kernel_size", kernel_size, 2)
        self.stride = parameters.integers("stride", stride, 2)
        self.padding = parameters.padding_form("padding", padding, 2)
        self.weights: Array | None = None
        self.bias: Array | None = None

    def initialize_weights(self, seed: int | np.random.Generator | None = None) -> None:
        """Draw weights from a normal distribution of variance 2 / fan-in; the bias is 0.

        That is He et al. (2015), for a ReLU to follow; float64.
        """
        shape = (self.out_channels, self.in_channels, *self.kernel_size)
        deviation = np.sqrt(2 / np.prod(shape[1:]))
        self.weights = np.random.default_rng(seed).standard_normal(shape) * deviation
        self.bias = np.zeros(self.out_channels)

    def forward(self, x: npt.ArrayLike) -> ConvolutionCache:
        """Convolve `(N, C, H, W)`; the cache's `output` is `(N, out_channels, oh, ow)`."""
        weights = made("x", self.weights, "initialize_weights")
        images, w, b = floats(x=x, weights=weights, bias=self.bias)
        check_ndim("x", images, IMAGES)
        with NAMES:
            output = conv2d(images, w, b, self.stride, self.padding)
        return ConvolutionCache(output, images, w)

    def backward(self, cache: ConvolutionCache, grad_output: npt.ArrayLike) -> ConvolutionGradients:
        """Return the gradients of x, weights and bias from that of the output."""
        _check(cache, ConvolutionCache)
        x, w, gy = floats(x=cache.x, weights=cache.weights, grad_output=grad_output)
        with NAMES:
            return ConvolutionGradients(
                conv2d_input(x.shape, w, gy, self.stride, self.padding),
                conv2d_weight(x, w.shape, gy, self.stride, self.padding),
                conv2d_bias(gy),
            )


class MaxPooling2dLayer:
    """The maximum of every window.

    Parameters
    ----------
    kernel_size : int or tuple of int
        Of the windows.
    stride : int or tuple of int, optional
        From one to the next; the kernel's size unless said.
    padding : int or tuple
        Around the images; it never is a maximum.

    Raises
    ------
    ParameterError
        If a parameter makes no sense.

    Examples
    --------
    >>> from fastconv.dropin.cached_layers import MaxPooling2dLayer
    >>> layer = MaxPooling2dLayer(2)
    >>> cache = layer.forward([[[[1, 5, 7, 7], [2, 3, 4, 5]]]])
    >>> cache.output
    array([[[[5., 7.]]]])
    >>> layer.backward(cache, [[[[1, 2]]]])
    array([[[[0., 1., 2., 0.],
             [0., 0., 0., 0.]]]])
    """

    def __init__(
        self, kernel_size: IntOrInts, stride: IntOrInts | None = None, padding: PaddingLike = 0
    ):
        self.kernel_size = parameters.integers("kernel_size", kernel_size, 2)
        self.stride = (
            self.kernel_size if stride is None else parameters.integers("stride", stride, 2)
        )
        self.padding = parameters.padding_form("padding", padding, 2)

    def initialize_weights(self, seed: int | np.random.Generator | None = None) -> None:
        """Do nothing: a pool has no weights, but can stand in a list of layers that have."""

    def forward(self, x: npt.ArrayLike) -> MaxPoolingCache:
        """Pool `(N, C, H, W)`; the cache's `output` is `(N, C, oh, ow)`."""
        (images,) = floats(x=x)
        check_ndim("x", images, IMAGES)
        with NAMES:
            output, indices = max_pool2d(
                images, self.kernel_size, self.stride, self.padding, return_indices=True
            )
        return MaxPoolingCache(output, indices, images.shape)

    def backward(self, cache: MaxPoolingCache, grad_output: npt.ArrayLike) -> Array:
        """Return the gradient `(N, C, H, W)` of x from that of the output."""
        _check(cache, MaxPoolingCache)
        (gy,) = floats(grad_output=grad_output)
        return max_pool2d_backward(gy, cache.indices, cache.input_shape)


def _check(cache: Any, kind: type) -> None:
    if not isinstance(cache, kind):
        raise ParameterError(f"cache: expected what forward returned, got {type(cache).__name__}")
