"""Activations: functions of one number that end a convolution.

One record each: what NumPy does in place, and the number by which kernels know it. NaN stays NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastconv.dtypes import Array, Dtype
from fastconv.errors import DtypeError, ParameterError

LEAKY_SLOPE = 0.01
"""What `leaky_relu` multiplies negative numbers by, rounded to their dtype."""
CHUNK = 2**15
"""Elements activated at a time: they and what is computed beside them stay in the cache."""


@dataclass(frozen=True)
class Activation:
    """One activation.

    Attributes
    ----------
    name : str
        What callers write.
    code : int
        What kernels are told; 0 is no activation.
    apply : callable
        Replaces the elements of a floating-point array.
    slope : callable
        Returns its derivative, from its results.
    exact : bool
        Whether every correct implementation gives the same bits.
    """

    name: str
    code: int
    apply: Callable[[Array], None]
    slope: Callable[[Array], Array]
    exact: bool


def _relu(y: Array) -> None:
    np.maximum(y, 0, out=y)


def _relu6(y: Array) -> None:
    np.clip(y, 0, 6, out=y)


def _leaky_relu(y: Array) -> None:
    np.multiply(y, y.dtype.type(LEAKY_SLOPE), out=y, where=y < 0)


def _tanh(y: Array) -> None:
    np.tanh(y, out=y)


def _sigmoid(y: Array) -> None:
    """Divide 1, or e^y where y is negative, by 1 + e^-|y|: neither overflows nor cancels."""
    positive = y >= 0
    np.exp(-np.abs(y), out=y)
    below = 1 + y
    np.copyto(y, 1, where=positive)
    np.divide(y, below, out=y)


def _of_relu(y: Array) -> Array:
    factors: Array = y > 0
    return factors


def _of_relu6(y: Array) -> Array:
    factors: Array = (y > 0) & (y < 6)
    return factors


def _of_leaky_relu(y: Array) -> Array:
    factors: Array = np.where(y > 0, y.dtype.type(1), y.dtype.type(LEAKY_SLOPE))
    return factors


def _of_tanh(y: Array) -> Array:
    factors: Array = y.dtype.type(1) - y * y
    return factors


def _of_sigmoid(y: Array) -> Array:
    factors: Array = (y.dtype.type(1) - y) * y
    return factors


ACTIVATIONS = {
    record.name: record
    for record in (
        Activation("relu", 1, _relu, _of_relu, exact=True),
        Activation("relu6", 2, _relu6, _of_relu6, exact=True),
        Activation("leaky_relu", 3, _leaky_relu, _of_leaky_relu, exact=True),
        Activation("tanh", 4, _tanh, _of_tanh, exact=False),
        Activation("sigmoid", 5, _sigmoid, _of_sigmoid, exact=False),
    )
}


def checked(name: Any) -> str | None:
    """Return the name of an activation, or None for none.

    Raises
    ------
    ParameterError
        If there is no activation of that name.

    Examples
    --------
    >>> checked("relu6")
    'relu6'
    """
    if name is None or (isinstance(name, str) and name in ACTIVATIONS):
        return name
    raise ParameterError(f"activation: expected None or one of {tuple(ACTIVATIONS)}, got {name!r}")


def check_dtype(name: str, dtype: Dtype) -> None:
    """Raise a `DtypeError` where an activation is not defined.

    Raises
    ------
    DtypeError
        For complex numbers, which have no order, and for integers where the result is none.

    Examples
    --------
    >>> check_dtype("relu", np.dtype("int8"))
    """
    if dtype.kind == "c" or (dtype.kind in "biu" and name not in ("relu", "relu6")):
        raise DtypeError(f"activation: {name} is not defined for {dtype} arrays")


def activate(name: str, y: Array) -> None:
    """Apply an activation to a contiguous array in place.

    Parameters
    ----------
    name : str
        One of `ACTIVATIONS`.
    y : numpy.ndarray
        float32 or float64, C-contiguous; overwritten.

    Examples
    --------
    >>> y = np.array([-np.inf, -2.0, 3.0, np.nan])
    >>> activate("relu", y)
    >>> y
    array([ 0.,  0.,  3., nan])
    """
    apply = ACTIVATIONS[name].apply
    flat = y.reshape(-1)
    for start in range(0, flat.size, CHUNK):
        apply(flat[start : start + CHUNK])


def code_of(name: str | None) -> int:
    """Return the number by which kernels know an activation; 0 for none."""
    return 0 if name is None else ACTIVATIONS[name].code
