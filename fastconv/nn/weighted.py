"""What layers with a weight, a bias and an activation share: convolutions and `Linear`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import activations
from fastconv.dtypes import Array
from fastconv.nn import initialisers
from fastconv.nn.elementwise import activation_gradient
from fastconv.nn.initialisers import Initialiser
from fastconv.nn.layer import Layer, Seed


class Weighted(Layer):
    """A linear map with a bias, and an activation that is applied with it.

    What a subclass says is how to compute the four products below.
    """

    parameter_names = ("weight", "bias")

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        bias: bool,
        activation: str | None,
        dtype: npt.DTypeLike,
        rng: Seed,
        initialiser: Initialiser | None,
    ) -> None:
        super().__init__()
        self.activation = activations.checked(activation)
        self._initialiser = initialiser or initialisers.default_weight
        self.weight: Array = np.empty(shape, dtype)
        self.bias: Array | None = np.empty(outputs, dtype) if bias else None
        self.draw(np.random.default_rng(rng))

    def draw(self, rng: np.random.Generator) -> None:
        """Draw weight and bias; with an initialiser of the caller's, the bias is 0."""
        shape, dtype = self.weight.shape, self.weight.dtype
        self.weight[...] = self._initialiser(shape, rng, dtype)
        if self.bias is None:
            return
        if self._initialiser is initialisers.default_weight:
            fan_in = initialisers.fans(shape)[0]
            self.bias[...] = initialisers.default_bias(self.bias.shape, fan_in, rng, dtype)
        else:
            self.bias[...] = 0

    def forward(self, x: Array) -> Array:
        """Return activation(weight * x + bias)."""
        y = self._product(x)
        self._keep((x, y))
        return y

    def backward(self, gy: Array) -> Array:
        """Return the gradient of the input; keep those of weight and bias."""
        x, _ = self._recall()
        gy = self.backward_through_activation(gy)
        self._find_gradients(x, gy)
        return self._input_gradient(x.shape, gy)

    def backward_parameters(self, gy: Array) -> None:
        """Keep the gradients of weight and bias, and compute no other."""
        x, _ = self._recall()
        self._find_gradients(x, self.backward_through_activation(gy))

    def backward_through_activation(self, gy: Array) -> Array:
        """Return the gradient of what the activation was applied to."""
        _, y = self._recall()
        return gy if self.activation is None else activation_gradient(self.activation, y, gy)

    def _find_gradients(self, x: Array, gy: Array) -> None:
        if self.frozen:
            return
        self.gradients = {"weight": self._weight_gradient(x, gy)}
        if self.bias is not None:
            self.gradients["bias"] = self._bias_gradient(gy)

    def _product(self, x: Array) -> Array:
        raise NotImplementedError

    def _input_gradient(self, shape: tuple[int, ...], gy: Array) -> Array:
        raise NotImplementedError

    def _weight_gradient(self, x: Array, gy: Array) -> Array:
        raise NotImplementedError

    def _bias_gradient(self, gy: Array) -> Array:
        raise NotImplementedError

    def _words(self) -> dict[str, Any]:
        words: dict[str, Any] = {}
        if self.bias is None:
            words["bias"] = False
        if self.activation is not None:
            words["activation"] = self.activation
        return words

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.weight.shape))
        words = "".join(f", {name}={value!r}" for name, value in self._words().items())
        return f"{type(self).__name__}({shape} {self.weight.dtype}{words})"
