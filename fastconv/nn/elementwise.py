"""What layers do to every element: the one place for it."""

import numpy as np

from fastconv import activations, memory
from fastconv.activations import LEAKY_SLOPE
from fastconv.dtypes import FLOATS, Array, plain_array, ready
from fastconv.ops.affine import activation_backward, affine


def activated(name: str, x: Array, slope: float = LEAKY_SLOPE) -> Array:
    """Return an activation of an array, by its name in `fastconv.activations`."""
    x = ready(plain_array("x", x))
    activations.check_dtype(name, x.dtype)
    if name == "leaky_relu" and slope != LEAKY_SLOPE:
        return _leaky(x, x, slope)
    if x.dtype.name in FLOATS:
        return affine(x.reshape(1, 1, -1), activation=name).reshape(x.shape)
    y = memory.empty(x.shape, x.dtype)
    np.copyto(y, x)
    with np.errstate(all="ignore"):
        activations.activate(name, y)
    return y


def activation_gradient(name: str, y: Array, gy: Array, slope: float = LEAKY_SLOPE) -> Array:
    """Return the gradient of an activation's input, from its output and the gradient of that."""
    if name == "leaky_relu" and slope != LEAKY_SLOPE:
        return _leaky(y, gy, slope)
    return activation_backward(gy, y, name)


def _leaky(sign: Array, x: Array, slope: float) -> Array:
    """Return x, times a slope wherever the other array is not positive."""
    y = memory.empty(x.shape, x.dtype)
    np.multiply(x, np.where(sign > 0, x.dtype.type(1), x.dtype.type(slope)), out=y)
    return y


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e^-x) without overflow."""
    return activated("sigmoid", x)


def softplus(x: Array) -> Array:
    """Return log(1 + e^x) without overflow."""
    result: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return result
