"""The layers, each with a reference to the one before it."""

import logging
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dropin.arrays import check_ndim, floats
from fastconv.dropin.pygad_cnn import compute
from fastconv.dtypes import Array
from fastconv.errors import ParameterError, ShapeError

SAMPLE = {3: "(H, W, C)"}


def default_logger() -> logging.Logger:
    """Return the logger of layers that were given none; it writes to stderr, as the original's."""
    logger = logging.getLogger("fastconv.dropin.pygad_cnn")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    return logger


class Input2D:
    """The shape of a sample: `(H, W)` or `(H, W, C)`."""

    def __init__(self, input_shape: Any, logger: logging.Logger | None = None):
        sizes = parameters.shape("input_shape", input_shape)
        if len(sizes) == 2:
            sizes = (*sizes, 1)
        if len(sizes) != 3 or min(sizes) < 1:
            raise ShapeError(f"input_shape: expected (H, W) or (H, W, C), got {input_shape!r}")
        self.logger = logger or default_logger()
        self.input_shape = sizes
        self.layer_output_size = sizes


class Layer:
    """What the layers with one before them have in common."""

    layer_output_size: Any

    def __init__(self, previous_layer: Any, logger: logging.Logger | None = None):
        if not hasattr(previous_layer, "layer_output_size"):
            raise ParameterError(f"previous_layer: expected a layer, got {previous_layer!r}")
        self.logger = logger or default_logger()
        self.previous_layer = previous_layer
        self.layer_input_size = previous_layer.layer_output_size
        self.layer_output: Array | None = None

    def forward(self, batch: Array) -> Array:
        """Compute the outputs of a batch of samples."""
        raise NotImplementedError


class Conv2D(Layer):
    """A convolution with `num_filters` square filters, where they fit.

    `conv` leaves maps `(H - kernel_size + 1, W - kernel_size + 1, num_filters)` in
    `layer_output`, after the activation None, "relu" or "sigmoid". `initial_weights` and
    `trained_weights` are `(num_filters, kernel_size, kernel_size, C)`, drawn from
    `numpy.random.uniform` as in the original, so that `numpy.random.seed` gives the same.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin.pygad_cnn import Conv2D, Input2D
    >>> layer = Conv2D(2, 3, Input2D((5, 6)), activation_function="relu")
    >>> layer.conv(np.ones((5, 6, 1)))
    >>> layer.layer_output.shape
    (3, 4, 2)
    """

    def __init__(
        self,
        num_filters: int,
        kernel_size: int,
        previous_layer: Any,
        activation_function: str | None = None,
        logger: logging.Logger | None = None,
    ):
        super().__init__(previous_layer, logger)
        self.num_filters = parameters.integer("num_filters", num_filters)
        self.kernel_size = parameters.integer("kernel_size", kernel_size)
        if activation_function not in (None, "relu", "sigmoid"):
            raise ParameterError(
                f"activation_function: expected None, 'relu' or 'sigmoid', "
                f"got {activation_function!r}"
            )
        self.activation_function = activation_function
        self.activation = compute.ACTIVATIONS.get(activation_function or "")
        height, width, channels = _image_size(previous_layer)
        if kernel_size > min(height, width):
            raise ShapeError(f"kernel_size: {kernel_size} does not fit into {height}x{width}")
        self.filter_bank_size = (num_filters, kernel_size, kernel_size, channels)
        self.initial_weights = _uniform(self.filter_bank_size)
        self.trained_weights = self.initial_weights.copy()
        self.layer_output_size = (height - kernel_size + 1, width - kernel_size + 1, num_filters)

    def conv_(self, input2D: npt.ArrayLike, conv_filter: npt.ArrayLike) -> Array:
        """Return maps of a sample by these filters, after this layer's activation."""
        (x,) = floats(input2D=input2D)
        check_ndim("input2D", x, SAMPLE)
        maps = compute.convolved(x[np.newaxis], conv_filter, self.activation_function)
        sample: Array = maps[0]
        return sample

    def conv(self, input2D: npt.ArrayLike) -> None:
        """Leave the maps of a sample by `trained_weights` in `layer_output`."""
        self.layer_output = self.conv_(input2D, self.trained_weights)

    def forward(self, batch: Array) -> Array:
        """Compute the outputs of a batch of samples."""
        return compute.convolved(batch, self.trained_weights, self.activation_function)


class _Pooling2D(Layer):
    """What both pools have in common."""

    def __init__(
        self,
        pool_size: int,
        previous_layer: Any,
        stride: int = 2,
        logger: logging.Logger | None = None,
    ):
        super().__init__(previous_layer, logger)
        self.pool_size = parameters.integer("pool_size", pool_size)
        self.stride = parameters.integer("stride", stride)
        height, width, channels = _image_size(previous_layer)
        sizes = (compute.pooled_size(n, pool_size, stride) for n in (height, width))
        self.layer_output_size = (*sizes, channels)


class AveragePooling2D(_Pooling2D):
    """The average of every window of every map, with the original's edge of zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin.pygad_cnn import AveragePooling2D, Input2D
    >>> layer = AveragePooling2D(2, Input2D((2, 4)))
    >>> layer.average_pooling(np.arange(8.0).reshape(2, 4, 1))
    >>> layer.layer_output[:, :, 0]
    array([[2.5, 4.5]])
    """

    def forward(self, batch: Array) -> Array:
        """Compute the outputs of a batch of samples."""
        return compute.pooled(batch, "average", self.pool_size, self.stride)

    def average_pooling(self, input2D: npt.ArrayLike) -> None:
        """Leave the averages of a sample's windows in `layer_output`."""
        self.layer_output = _pooled_sample(self, input2D, "average")


class MaxPooling2D(_Pooling2D):
    """The maximum of every window of every map, with the original's edge of zeros.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin.pygad_cnn import Input2D, MaxPooling2D
    >>> layer = MaxPooling2D(2, Input2D((3, 4)))
    >>> layer.max_pooling(np.arange(12.0).reshape(3, 4, 1))
    >>> layer.layer_output[:, :, 0]  # (3 - 2 + 1) % 2 is 0: one row more
    array([[5., 7.],
           [0., 0.]])
    """

    def forward(self, batch: Array) -> Array:
        """Compute the outputs of a batch of samples."""
        return compute.pooled(batch, "max", self.pool_size, self.stride)

    def max_pooling(self, input2D: npt.ArrayLike) -> None:
        """Leave the maxima of a sample's windows in `layer_output`."""
        self.layer_output = _pooled_sample(self, input2D, "max")


class ReLU(Layer):
    """What is negative becomes 0; its input stays as it is."""

    def __init__(self, previous_layer: Any, logger: logging.Logger | None = None):
        super().__init__(previous_layer, logger)
        self.layer_output_size = self.layer_input_size

    def relu_layer(self, layer_input: npt.ArrayLike) -> None:
        """Leave the result in `layer_output`."""
        self.layer_output = compute.relu(layer_input)

    def forward(self, batch: Array) -> Array:
        """Compute the outputs of a batch of samples."""
        return compute.relu(batch)


class Sigmoid(Layer):
    """1 / (1 + exp(-x)) of every element."""

    def __init__(self, previous_layer: Any, logger: logging.Logger | None = None):
        super().__init__(previous_layer, logger)
        self.layer_output_size = self.layer_input_size

    def sigmoid_layer(self, layer_input: npt.ArrayLike) -> None:
        """Leave the result in `layer_output`."""
        self.layer_output = compute.sigmoid(layer_input)

    def forward(self, batch: Array) -> Array:
        """Compute the outputs of a batch of samples."""
        return compute.sigmoid(batch)


class Flatten(Layer):
    """The maps as one vector, in C order of `(H, W, C)`."""

    def __init__(self, previous_layer: Any, logger: logging.Logger | None = None):
        super().__init__(previous_layer, logger)
        self.layer_output_size = math.prod(_image_size(previous_layer))

    def flatten(self, input2D: npt.ArrayLike) -> None:
        """Leave the result in `layer_output`."""
        (x,) = floats(input2D=input2D)
        self.layer_output = x.reshape(-1)  # (H * W * C,)

    def forward(self, batch: Array) -> Array:
        """Compute the outputs of a batch of samples."""
        return batch.reshape(len(batch), -1)  # (N, H * W * C)


class Dense(Layer):
    """A dense layer without bias; weights `(inputs, num_neurons)`.

    The activation is "relu", "sigmoid" or "softmax" (the original's: divided by the sum).

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin.pygad_cnn import Dense, Flatten, Input2D
    >>> layer = Dense(2, Flatten(Input2D((1, 3))))
    >>> layer.trained_weights = np.array([[1.0, -1], [2, 0], [3, 0]])
    >>> layer.dense_layer([1, 1, 1])
    >>> layer.layer_output
    array([6., 0.])
    """

    def __init__(
        self,
        num_neurons: int,
        previous_layer: Any,
        activation_function: str = "relu",
        logger: logging.Logger | None = None,
    ):
        super().__init__(previous_layer, logger)
        self.num_neurons = parameters.integer("num_neurons", num_neurons)
        if activation_function not in compute.ACTIVATIONS:
            raise ParameterError(
                f"activation_function: expected one of {tuple(compute.ACTIVATIONS)}, "
                f"got {activation_function!r}"
            )
        self.activation_function = activation_function
        self.activation = compute.ACTIVATIONS[activation_function]
        if not isinstance(self.layer_input_size, (int, np.integer)):
            raise ShapeError(
                f"previous_layer: expected a vector, as of Flatten, got {self.layer_input_size}"
            )
        self.initial_weights = _uniform((int(self.layer_input_size), num_neurons))
        self.trained_weights = self.initial_weights.copy()
        self.layer_output_size = num_neurons

    def dense_layer(self, layer_input: npt.ArrayLike) -> None:
        """Leave the outputs of a vector in `layer_output`."""
        self.layer_output = self.forward(*floats(layer_input=layer_input))

    def forward(self, batch: Array) -> Array:
        """Compute the outputs of a batch of samples."""
        x, w = floats(layer_input=batch, weights=self.trained_weights)
        if x.ndim not in (1, 2) or x.shape[-1] != len(w):
            raise ShapeError(f"layer_input: expected {len(w)} elements, got shape {x.shape}")
        return compute.ACTIVATIONS[self.activation_function](x @ w)


def _pooled_sample(layer: Any, input2D: npt.ArrayLike, kind: str) -> Array:
    (x,) = floats(input2D=input2D)
    check_ndim("input2D", x, SAMPLE)
    sample: Array = compute.pooled(x[np.newaxis], kind, layer.pool_size, layer.stride)[0]
    return sample


def _image_size(layer: Any) -> tuple[int, int, int]:
    sizes = layer.layer_output_size
    if not isinstance(sizes, tuple) or len(sizes) != 3:
        raise ShapeError(f"previous_layer: expected an output (H, W, C), got {sizes}")
    height, width, channels = (int(size) for size in sizes)
    return height, width, channels


def _uniform(shape: tuple[int, ...]) -> Array:
    # the global generator, so that a seeded script starts from the weights it always had
    return np.random.uniform(low=-0.1, high=0.1, size=shape)  # noqa: NPY002
