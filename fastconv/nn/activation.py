"""Activations as layers. `Conv2d(..., activation="relu")` does the same in one pass less."""

from fastconv import parameters
from fastconv.activations import LEAKY_SLOPE
from fastconv.dtypes import Array
from fastconv.errors import ParameterError
from fastconv.nn.elementwise import activated, activation_gradient
from fastconv.nn.layer import Layer


class _Activation(Layer):
    name: str
    slope = LEAKY_SLOPE

    def forward(self, x: Array) -> Array:
        """Return the function of every element."""
        y = activated(self.name, x, self.slope)
        self._keep(y)
        return y

    def backward(self, gy: Array) -> Array:
        """Return the gradient times the derivative."""
        return activation_gradient(self.name, self._recall(), gy, self.slope)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ReLU(_Activation):
    """max(x, 0)."""

    name = "relu"


class Tanh(_Activation):
    """The hyperbolic tangent."""

    name = "tanh"


class Sigmoid(_Activation):
    """1 / (1 + e^-x)."""

    name = "sigmoid"


class LeakyReLU(_Activation):
    """x, or x times a small slope where it is negative.

    Parameters
    ----------
    negative_slope : float
        Positive, for the sign of the output must tell that of the input.

    Raises
    ------
    ParameterError
        If it is not.
    """

    name = "leaky_relu"

    def __init__(self, negative_slope: float = LEAKY_SLOPE) -> None:
        super().__init__()
        self.slope = parameters.real("negative_slope", negative_slope)
        if self.slope <= 0:
            raise ParameterError(f"negative_slope: expected more than 0, got {negative_slope}")

    def __repr__(self) -> str:
        return f"LeakyReLU({self.slope})"
