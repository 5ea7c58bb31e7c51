"""Fully connected layers, and what comes before them."""

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array
from fastconv.errors import ShapeError
from fastconv.nn.initialisers import Initialiser
from fastconv.nn.layer import Layer, Seed
from fastconv.nn.weighted import Weighted
from fastconv.ops.bias_gradient import conv1d_bias
from fastconv.ops.conv import conv1d
from fastconv.ops.conv_gradients import conv1d_input, conv1d_weight


class Linear(Weighted):
    """Every output is a weighted sum of all inputs: `y = x weight^T + bias`.

    It is computed as a convolution of one position by one tap, and so by the engine's own
    multiply, whose results depend neither on the batch nor on the number of threads.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of the last dimension of the input `(N, ..., in_features)` and of the output.
    bias : bool
        Whether a number is added to every output.
    activation, dtype, rng, initialiser
        As for `Conv2d`.

    Attributes
    ----------
    weight : numpy.ndarray
        `(out_features, in_features)`.
    bias : numpy.ndarray or None
        `(out_features,)`.

    Examples
    --------
    >>> from fastconv import nn
    >>> nn.Linear(4, 3)(np.ones((2, 4), np.float32)).shape
    (2, 3)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        activation: str | None = None,
        dtype: npt.DTypeLike = np.float32,
        rng: Seed = None,
        initialiser: Initialiser | None = None,
    ) -> None:
        rows = parameters.integer("out_features", out_features)
        shape = (rows, parameters.integer("in_features", in_features))
        super().__init__(shape, rows, bias, activation, dtype, rng, initialiser)

    def _product(self, x: Array) -> Array:
        features = self.weight.shape[1]
        if x.ndim < 1 or x.shape[-1] != features:
            raise ShapeError(f"x: expected (N, ..., {features}), got shape {x.shape}")
        y = conv1d(_one_position(x), self._kernel, self.bias, activation=self.activation)
        return y.reshape(*x.shape[:-1], -1)

    def _input_gradient(self, shape: tuple[int, ...], gy: Array) -> Array:
        rows = _one_position(gy)
        size = (len(rows), shape[-1], 1)
        return conv1d_input(size, self._kernel, rows).reshape(shape)

    def _weight_gradient(self, x: Array, gy: Array) -> Array:
        found = conv1d_weight(_one_position(x), self._kernel.shape, _one_position(gy))
        return found[..., 0]

    def _bias_gradient(self, gy: Array) -> Array:
        return conv1d_bias(_one_position(gy))

    @property
    def _kernel(self) -> Array:
        return self.weight[..., np.newaxis]  # (out, in, 1)


class Flatten(Layer):
    """All dimensions but the first become one: `(N, C, H, W)` to `(N, C * H * W)`."""

    def forward(self, x: Array) -> Array:
        """Return `(N, -1)`."""
        self._keep(x.shape)
        return x.reshape(len(x), -1)

    def backward(self, gy: Array) -> Array:
        """Return the gradient in the shape of the input."""
        shape: tuple[int, ...] = self._recall()
        return gy.reshape(shape)

    def __repr__(self) -> str:
        return "Flatten()"


def _one_position(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1], 1)  # (N, features, 1)
