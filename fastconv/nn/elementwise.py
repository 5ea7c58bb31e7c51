"""What layers do to every element: the one place for it, in NumPy.

Arrays are walked in chunks that stay in the cache with what is computed beside them.
"""

from collections.abc import Callable

import numpy as np

from fastconv import activations, memory
from fastconv.activations import CHUNK, LEAKY_SLOPE
from fastconv.dtypes import Array, plain_array, ready


def activated(name: str, x: Array, slope: float = LEAKY_SLOPE) -> Array:
    """Return an activation of an array, by its name in `fastconv.activations`."""
    x = ready(plain_array("x", x))
    activations.check_dtype(name, x.dtype)
    y = memory.empty(x.shape, x.dtype)
    if name == "leaky_relu" and slope != LEAKY_SLOPE:
        np.multiply(x, np.where(x > 0, x.dtype.type(1), x.dtype.type(slope)), out=y)
        return y
    np.copyto(y, x)
    with np.errstate(all="ignore"):
        activations.activate(name, y)
    return y


def activation_gradient(name: str, y: Array, gy: Array, slope: float = LEAKY_SLOPE) -> Array:
    """Return the gradient of an activation's input, from its output and the gradient of that."""
    y, gy = ready(y), ready(gy)
    result = memory.empty(gy.shape, gy.dtype)
    scratch = np.empty(min(CHUNK, gy.size), y.dtype)
    flat_y, flat_gy, flat = y.reshape(-1), gy.reshape(-1), result.reshape(-1)
    factor = FACTORS[name]
    for start in range(0, flat.size, CHUNK):
        part = slice(start, min(start + CHUNK, flat.size))
        factors = factor(flat_y[part], slope, scratch[: part.stop - start])
        np.multiply(factors, flat_gy[part], out=flat[part])
    return result


def _of_relu(y: Array, slope: float, out: Array) -> Array:
    return np.greater(y, 0, out=out)


def _of_relu6(y: Array, slope: float, out: Array) -> Array:
    np.greater(y, 0, out=out)
    return np.multiply(out, y < 6, out=out)


def _of_leaky_relu(y: Array, slope: float, out: Array) -> Array:
    out.fill(slope)
    np.copyto(out, 1, where=y > 0)
    return out


def _of_tanh(y: Array, slope: float, out: Array) -> Array:
    np.multiply(y, y, out=out)
    return np.subtract(1, out, out=out)


def _of_sigmoid(y: Array, slope: float, out: Array) -> Array:
    np.subtract(1, y, out=out)
    return np.multiply(out, y, out=out)


FACTORS: dict[str, Callable[[Array, float, Array], Array]] = {
    "relu": _of_relu,
    "relu6": _of_relu6,
    "leaky_relu": _of_leaky_relu,
    "tanh": _of_tanh,
    "sigmoid": _of_sigmoid,
}
"""Derivatives of the activations, told by their results, written into the last argument."""


def log_softmax(x: Array, axis: int = 1) -> Array:
    """Return the logarithm of the softmax along an axis; the largest is subtracted first."""
    with np.errstate(invalid="ignore"):
        shifted = x - x.max(axis=axis, keepdims=True)
        total: Array = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return total


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e^-x) without overflow."""
    return activated("sigmoid", x)


def softplus(x: Array) -> Array:
    """Return log(1 + e^x) without overflow."""
    result: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return result
