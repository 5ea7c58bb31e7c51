"""What the layers compute, on batches `(N, H, W, C)`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.dropin.arrays import Named, check_ndim, floats
from fastconv.dropin.numpycnn import with_zero_edge
from fastconv.dtypes import Array
from fastconv.errors import ShapeError
from fastconv.ops.avg_pool import avg_pool2d
from fastconv.ops.conv import conv2d
from fastconv.ops.max_pool import max_pool2d

NAMES = Named(input="input2D", weight="conv_filter", kernel_size="input2D")
POOLS: dict[str, Callable[..., Array]] = {"max": max_pool2d, "average": avg_pool2d}


def convolved(batch: Any, bank: Any, activation: str | None) -> Array:
    """Convolve with filters `(F, k, k, C)`, and apply None, "relu" or "sigmoid"."""
    x, w = floats(input2D=batch, conv_filter=bank)
    check_ndim("conv_filter", w, {4: "(F, k, k, C)"})
    if w.shape[3] != x.shape[3]:
        raise ShapeError(
            f"input2D: expected {w.shape[3]} channels, as in filters of shape {w.shape}, "
            f"got shape {x.shape[1:]}"
        )
    with NAMES:
        y = conv2d(x.transpose(0, 3, 1, 2), w.transpose(0, 3, 1, 2), activation=activation)
    return y.transpose(0, 2, 3, 1)  # (N, H, W, F)


def pooled(batch: Any, kind: str, size: int, stride: int) -> Array:
    """Pool, with the original's edge of zeros."""
    (x,) = floats(input2D=batch)
    with NAMES:
        y = POOLS[kind](x.transpose(0, 3, 1, 2), size, stride)
    return with_zero_edge(y, x.shape[1:3], size, stride).transpose(0, 2, 3, 1)  # (N, H, W, C)


def pooled_size(size: int, pool_size: int, stride: int) -> int:
    """Return what the original's formula makes of a length."""
    if size < pool_size:
        raise ShapeError(f"pool_size: {pool_size} does not fit into a length of {size}")
    return (size - pool_size + 1) // stride + 1


def relu(x: Any) -> Array:
    """Replace what is negative by 0."""
    (y,) = floats(layer_input=x)
    result: Array = np.maximum(y, y.dtype.type(0))
    return result


def sigmoid(x: Any) -> Array:
    """Compute 1 / (1 + exp(-x)), with no exponential above 1."""
    (y,) = floats(layer_input=x)
    small = np.exp(-np.abs(y))
    result: Array = np.where(y >= 0, 1, small) / (1 + small)
    return result


def softmax(x: Any) -> Array:
    """Divide by the sum along the last axis, as the original does."""
    (y,) = floats(layer_input=x)
    result: Array = y / (y.sum(axis=-1, keepdims=True) + 0.000001)
    return result


ACTIVATIONS: dict[str, Callable[[Any], Array]] = {
    "relu": relu,
    "sigmoid": sigmoid,
    "softmax": softmax,
}
