"""The layers: `forward` keeps what `backward` needs in `cache`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dropin.arrays import Named, check_ndim, floats, made
from fastconv.dtypes import Array
from fastconv.errors import ShapeError
from fastconv.ops.avg_pool import avg_pool2d, avg_pool2d_backward
from fastconv.ops.bias_gradient import conv2d_bias
from fastconv.ops.conv import conv2d
from fastconv.ops.conv_gradients import conv2d_input, conv2d_weight

IMAGES = {4: "(N, C, H, W)"}
NAMES = Named(input="X", weight="W", bias="b", grad_output="dout", kernel_size="X")
Weights = dict[str, Any]


class Conv:
    """A convolution of square filters.

    Parameters
    ----------
    nb_filters, filter_size, nb_channels : int
        The sizes F, f and C of the filters `(F, C, f, f)`.
    stride, padding : int
        From one window to the next, and around the images.

    Attributes
    ----------
    W, b : dict
        `{'val', 'grad'}` of shapes `(F, C, f, f)` and `(F,)`, float64 until assigned otherwise.

    Raises
    ------
    ParameterError
        If a size makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin.cnnumpy import Conv
    >>> layer = Conv(nb_filters=6, filter_size=5, nb_channels=1)
    >>> layer.forward(np.zeros((10, 1, 32, 32))).shape
    (10, 6, 28, 28)
    >>> dX, dW, db = layer.backward(np.ones((10, 6, 28, 28)))
    >>> dX.shape, dW.shape, db.shape
    ((10, 1, 32, 32), (6, 1, 5, 5), (6,))
    """

    def __init__(
        self,
        nb_filters: int,
        filter_size: int,
        nb_channels: int,
        stride: int = 1,
        padding: int = 0,
    ):
        self.n_F = parameters.integer("nb_filters", nb_filters)
        self.f = parameters.integer("filter_size", filter_size)
        self.n_C = parameters.integer("nb_channels", nb_channels)
        self.s = parameters.integer("stride", stride)
        self.p = parameters.integer("padding", padding, 0)
        self.W = _weights((self.n_F, self.n_C, self.f, self.f), self.f)
        self.b = _weights((self.n_F,), self.n_F)
        self.cache: Array | None = None

    def forward(self, X: npt.ArrayLike) -> Array:
        """Convolve images `(N, C, H, W)` into `(N, F, oh, ow)`."""
        x, w, b = floats(X=X, W=self.W["val"], b=self.b["val"])
        check_ndim("X", x, IMAGES)
        self.cache = x
        with NAMES:
            return conv2d(x, w, b, self.s, self.p)

    def backward(self, dout: npt.ArrayLike) -> tuple[Array, Array, Array]:
        """Return the gradients `(dX, dW, db)` of `forward`, summed over the batch."""
        x, w, gy = floats(X=made("dout", self.cache, "forward"), W=self.W["val"], dout=dout)
        self.weight_gradients(gy)
        with NAMES:
            dX = conv2d_input(x.shape, w, gy, self.s, self.p)
        return dX, self.W["grad"], self.b["grad"]

    def weight_gradients(self, dout: npt.ArrayLike) -> None:
        """Do what `backward` does but for `dX`, which a first layer has no use for."""
        x, gy = floats(X=made("dout", self.cache, "forward"), dout=dout)
        shape = (self.n_F, self.n_C, self.f, self.f)
        with NAMES:
            self.W["grad"] = conv2d_weight(x, shape, gy, self.s, self.p)
            self.b["grad"] = conv2d_bias(gy)


class AvgPool:
    """The average of square windows; padding counts.

    Parameters
    ----------
    filter_size, stride, padding : int
        Of the windows, from one to the next, and around the images.

    Raises
    ------
    ParameterError
        If a size makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin.cnnumpy import AvgPool
    >>> layer = AvgPool(2, stride=2)
    >>> layer.forward(np.arange(8).reshape(1, 1, 2, 4))
    array([[[[2.5, 4.5]]]])
    >>> layer.backward([[[[4, 8]]]])
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.]]]])
    """

    def __init__(self, filter_size: int, stride: int = 1, padding: int = 0):
        self.f = parameters.integer("filter_size", filter_size)
        self.s = parameters.integer("stride", stride)
        self.p = parameters.integer("padding", padding, 0)
        self.cache: Array | None = None

    def forward(self, X: npt.ArrayLike) -> Array:
        """Average images `(N, C, H, W)` into `(N, C, oh, ow)`."""
        (x,) = floats(X=X)
        check_ndim("X", x, IMAGES)
        self.cache = x
        with NAMES:
            return avg_pool2d(x, self.f, self.s, self.p)

    def backward(self, dout: npt.ArrayLike) -> Array:
        """Return the gradient `(N, C, H, W)` of `forward`."""
        x = made("dout", self.cache, "forward")
        (gy,) = floats(dout=dout)
        with NAMES:
            return avg_pool2d_backward(gy, x.shape, self.f, self.s, self.p)


class Fc:
    """A dense layer.

    Parameters
    ----------
    row, column : int
        The outputs and inputs.

    Attributes
    ----------
    W, b : dict
        `{'val', 'grad'}` of shapes `(row, column)` and `(1, row)`.

    Raises
    ------
    ParameterError
        If a size makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin.cnnumpy import Fc
    >>> layer = Fc(row=10, column=84)
    >>> layer.forward(np.zeros((5, 84))).shape
    (5, 10)
    """

    def __init__(self, row: int, column: int):
        self.row = parameters.integer("row", row)
        self.col = parameters.integer("column", column)
        self.W = _weights((self.row, self.col), self.col)
        self.b = _weights((1, self.row), self.row)
        self.cache: Array | None = None

    def forward(self, fc: npt.ArrayLike) -> Array:
        """Take `(N, column)` to `(N, row)`."""
        x, w, b = floats(fc=fc, W=self.W["val"], b=self.b["val"])
        if x.ndim != 2 or x.shape[1] != self.col:
            raise ShapeError(f"fc: expected shape (N, {self.col}), got {x.shape}")
        self.cache = x
        result: Array = x @ w.T + b
        return result

    def backward(self, deltaL: npt.ArrayLike) -> tuple[Array, Array, Array]:
        """Return the error `(N, column)`, and the gradients of W and b: means over the batch."""
        x, w, gy = floats(fc=made("deltaL", self.cache, "forward"), W=self.W["val"], deltaL=deltaL)
        if gy.shape != (len(x), self.row):
            raise ShapeError(f"deltaL: expected shape {(len(x), self.row)}, got {gy.shape}")
        self.W["grad"] = gy.T @ x / len(x)
        self.b["grad"] = gy.mean(axis=0)
        return gy @ w, self.W["grad"], self.b["grad"]


class TanH:
    """`alpha * tanh(x)`.

    Examples
    --------
    >>> from fastconv.dropin.cnnumpy import TanH
    >>> layer = TanH(alpha=2)
    >>> layer.forward([0, 1])
    array([0.        , 1.52318831])
    >>> layer.backward([1, 0])
    array([2., 0.])
    """

    def __init__(self, alpha: float = 1.7159):
        self.alpha = parameters.real("alpha", alpha)
        self.cache: Array | None = None

    def forward(self, X: npt.ArrayLike) -> Array:
        """Return the function's values."""
        (x,) = floats(X=X)
        self.cache = np.tanh(x)
        result: Array = self.cache * x.dtype.type(self.alpha)
        return result

    def backward(self, new_deltaL: npt.ArrayLike) -> Array:
        """Return the gradient, `alpha * (1 - tanh(x)**2)` times the error."""
        t, gy = floats(X=made("new_deltaL", self.cache, "forward"), new_deltaL=new_deltaL)
        slope = 1 - t * t
        slope *= slope.dtype.type(self.alpha)
        slope *= gy
        return slope


class Softmax:
    """Probabilities of the classes `(N, classes)`.

    Examples
    --------
    >>> from fastconv.dropin.cnnumpy import Softmax
    >>> Softmax().forward([[0, 0], [1000, -1000]])
    array([[0.5, 0.5],
           [1. , 0. ]])
    """

    def forward(self, X: npt.ArrayLike) -> Array:
        """Return the probabilities."""
        (x,) = floats(X=X)
        check_ndim("X", x, {2: "(N, classes)"})
        powers = np.exp(x - x.max(axis=1, keepdims=True))
        result: Array = powers / powers.sum(axis=1, keepdims=True)
        return result

    def backward(self, y_pred: npt.ArrayLike, y: npt.ArrayLike) -> Array:
        """Return the error of each sample's cross-entropy: `y_pred - y`, for one-hot `y`."""
        p, truth = floats(y_pred=y_pred, y=y)
        if p.shape != truth.shape:
            raise ShapeError(f"y: expected shape {p.shape} as of y_pred, got {truth.shape}")
        result: Array = p - truth
        return result


def _weights(shape: tuple[int, ...], divisor: int) -> Weights:
    # the global generator, so that a seeded script starts from the weights it always had
    values = np.random.standard_normal(shape) * np.sqrt(1 / divisor)  # noqa: NPY002
    return {"val": values, "grad": np.zeros(shape)}
