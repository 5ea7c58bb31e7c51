"""First values of parameters: functions `(shape, rng, dtype)`, as in `torch.nn.init`.

Shapes are those of weights: `(out, in, *kernel)`.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fastconv.dtypes import Array
from fastconv.errors import ParameterError, ShapeError

Shape = tuple[int, ...]
Initialiser = Callable[[Shape, np.random.Generator, npt.DTypeLike], Array]
GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2)}


def gain(activation: str, slope: float = 0.01) -> float:
    """Return by what weights before an activation are scaled, so that variances stay the same.

    Parameters
    ----------
    activation : str
        "linear", "sigmoid", "tanh", "relu" or "leaky_relu".
    slope : float
        Of a leaky ReLU.

    Returns
    -------
    float
        As `torch.nn.init.calculate_gain`.

    Raises
    ------
    ParameterError
        If there is no such activation.

    Examples
    --------
    >>> gain("tanh")
    1.6666666666666667
    """
    if activation == "leaky_relu":
        return math.sqrt(2 / (1 + slope**2))
    if activation not in GAINS:
        raise ParameterError(
            f"activation: expected one of {(*GAINS, 'leaky_relu')}, got {activation!r}"
        )
    return GAINS[activation]


def fans(shape: Shape) -> tuple[int, int]:
    """Return how many terms an output sums, and how many outputs an input goes to.

    Raises
    ------
    ShapeError
        If a shape has fewer than two dimensions.

    Examples
    --------
    >>> fans((16, 6, 5, 5))
    (150, 400)
    """
    if len(shape) < 2:
        raise ShapeError(f"shape: expected (out, in, *kernel), got {shape}")
    taps = math.prod(shape[2:])
    return shape[1] * taps, shape[0] * taps


def zeros(shape: Shape, rng: np.random.Generator, dtype: npt.DTypeLike = np.float32) -> Array:
    """Return zeros."""
    return np.zeros(shape, dtype)


def ones(shape: Shape, rng: np.random.Generator, dtype: npt.DTypeLike = np.float32) -> Array:
    """Return ones."""
    return np.ones(shape, dtype)


def uniform(
    shape: Shape, rng: np.random.Generator, dtype: npt.DTypeLike = np.float32, bound: float = 1.0
) -> Array:
    """Return numbers between -bound and bound."""
    return rng.uniform(-bound, bound, shape).astype(dtype)


def normal(
    shape: Shape, rng: np.random.Generator, dtype: npt.DTypeLike = np.float32, std: float = 1.0
) -> Array:
    """Return normal numbers of mean 0."""
    return (std * rng.standard_normal(shape)).astype(dtype)


def xavier_uniform(
    shape: Shape, rng: np.random.Generator, dtype: npt.DTypeLike = np.float32, gain: float = 1.0
) -> Array:
    """Return uniform numbers of variance `2 gain² / (fan_in + fan_out)` (Glorot & Bengio 2010)."""
    return uniform(shape, rng, dtype, gain * math.sqrt(6 / max(1, sum(fans(shape)))))


def xavier_normal(
    shape: Shape, rng: np.random.Generator, dtype: npt.DTypeLike = np.float32, gain: float = 1.0
) -> Array:
    """Return normal numbers of variance `2 gain² / (fan_in + fan_out)` (Glorot & Bengio 2010)."""
    return normal(shape, rng, dtype, gain * math.sqrt(2 / max(1, sum(fans(shape)))))


def kaiming_uniform(
    shape: Shape,
    rng: np.random.Generator,
    dtype: npt.DTypeLike = np.float32,
    gain: float = math.sqrt(2),
) -> Array:
    """Return uniform numbers of variance `gain² / fan_in` (He et al. 2015)."""
    return uniform(shape, rng, dtype, gain * math.sqrt(3 / max(1, fans(shape)[0])))


def kaiming_normal(
    shape: Shape,
    rng: np.random.Generator,
    dtype: npt.DTypeLike = np.float32,
    gain: float = math.sqrt(2),
) -> Array:
    """Return normal numbers of variance `gain² / fan_in` (He et al. 2015)."""
    return normal(shape, rng, dtype, gain * math.sqrt(1 / max(1, fans(shape)[0])))


def orthogonal(
    shape: Shape, rng: np.random.Generator, dtype: npt.DTypeLike = np.float32, gain: float = 1.0
) -> Array:
    """Return a weight whose rows, or columns if these are fewer, are orthonormal, times gain."""
    rows, columns = shape[0], fans(shape)[0]
    square = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(square)
    q = q * np.sign(np.diag(r))  # uniformly distributed
    matrix: Array = q if rows >= columns else q.T
    values: Array = gain * matrix.reshape(shape)  # (out, in, *kernel)
    return values.astype(dtype)


def default_weight(shape: Shape, rng: np.random.Generator, dtype: npt.DTypeLike) -> Array:
    """Return what PyTorch starts convolutions and linear layers with: bounds of 1/sqrt(fan_in)."""
    return uniform(shape, rng, dtype, 1 / math.sqrt(max(1, fans(shape)[0])))


def default_bias(
    shape: Shape, fan_in: int, rng: np.random.Generator, dtype: npt.DTypeLike
) -> Array:
    """Return the bias that PyTorch starts with: of the same bounds as its weight."""
    return uniform(shape, rng, dtype, 1 / math.sqrt(max(1, fan_in)))
