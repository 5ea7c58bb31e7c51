"""Losses: functions of output and target that return a value and the output's gradient."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv.dtypes import Array
from fastconv.errors import DtypeError, ParameterError, ShapeError
from fastconv.nn import elementwise
from fastconv.ops.softmax import log_softmax

Loss = Callable[[Array, Array], tuple[float, Array]]
REDUCTIONS = ("mean", "sum")


def softmax_cross_entropy(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    weight: npt.ArrayLike | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple[float, Array]:
    """Return the cross-entropy of the softmax of logits, as PyTorch's `cross_entropy`.

    Parameters
    ----------
    logits : array_like
        `(N, classes)` or `(N, classes, ...)`, floating point. Large ones do not overflow.
    target : array_like
        Classes, integers of shape `(N, ...)`; or probabilities, of the shape of the logits.
    weight : array_like, optional
        A factor for each class, `(classes,)`.
    ignore_index : int
        Targets of this number do not count.
    label_smoothing : float
        Share of the target that is spread evenly over all classes.
    reduction : str
        "mean", weighted where there are weights, or "sum".

    Returns
    -------
    value : float
        The loss.
    gradient : numpy.ndarray
        Of the logits, of their shape.

    Raises
    ------
    ShapeError, DtypeError, ParameterError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> value, gradient = softmax_cross_entropy(np.zeros((1, 2)), [1])
    >>> round(value, 4), gradient
    (0.6931, array([[ 0.5, -0.5]]))
    """
    x, target = _floating("logits", logits), np.asarray(target)
    _check_reduction(reduction)
    if not 0 <= label_smoothing <= 1:
        raise ParameterError(f"label_smoothing: expected 0 to 1, got {label_smoothing}")
    if x.ndim < 2:
        raise ShapeError(f"logits: expected (N, classes, ...), got shape {x.shape}")
    classes = x.shape[1]
    factors = np.ones(classes, x.dtype) if weight is None else np.asarray(weight, x.dtype)
    if factors.shape != (classes,):
        raise ShapeError(f"weight: expected shape {(classes,)}, got {factors.shape}")
    factors = factors.reshape(-1, *(1,) * (x.ndim - 2))
    if target.dtype.kind in "iu":
        wanted, count = _one_hot(x, target, factors, ignore_index)
        counted = wanted.sum(1, keepdims=True)  # 0 where a target is ignored
    else:
        wanted, count = _probabilities(x, target), float(x.size // classes)
        counted = np.ones((), x.dtype)
    if label_smoothing:
        wanted = (1 - label_smoothing) * wanted + label_smoothing / classes * counted
    wanted = wanted * factors
    logs = log_softmax(x, 1)
    divisor = count if reduction == "mean" else 1.0
    value = -float(np.sum(np.where(wanted == 0, 0, wanted * logs), dtype=float)) / divisor
    gradient = np.exp(logs) * wanted.sum(1, keepdims=True)
    gradient -= wanted
    gradient /= x.dtype.type(divisor)
    return value, gradient


def binary_cross_entropy_with_logits(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    pos_weight: npt.ArrayLike | None = None,
    reduction: str = "mean",
) -> tuple[float, Array]:
    """Return the log-loss of the sigmoid of logits, stable for large ones.

    Parameters
    ----------
    logits : array_like
        Floating point, of any shape.
    target : array_like
        Of as many elements; 0, 1, or between.
    pos_weight : array_like, optional
        A factor for targets of 1, broadcast.
    reduction : str
        "mean" or "sum".

    Returns
    -------
    value : float
        The loss.
    gradient : numpy.ndarray
        Of the logits, of their shape.

    Raises
    ------
    ShapeError, DtypeError, ParameterError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> value, gradient = binary_cross_entropy_with_logits(np.zeros(2), [0, 1])
    >>> round(value, 4), gradient
    (0.6931, array([ 0.25, -0.25]))
    """
    x = _floating("logits", logits)
    wanted = _same_size(x, target)
    factor: Any = 1 if pos_weight is None else np.asarray(pos_weight, x.dtype)
    positive, negative = factor * wanted, 1 - wanted
    loss = positive * elementwise.softplus(-x) + negative * elementwise.softplus(x)
    gradient = elementwise.sigmoid(x) * (positive + negative) - positive
    return _reduced(loss, gradient, reduction)


def mean_squared_error(
    prediction: npt.ArrayLike, target: npt.ArrayLike, *, reduction: str = "mean"
) -> tuple[float, Array]:
    """Return the mean of the squared differences.

    Parameters
    ----------
    prediction : array_like
        Floating point, of any shape.
    target : array_like
        Of as many elements.
    reduction : str
        "mean" or "sum".

    Returns
    -------
    value : float
        The loss.
    gradient : numpy.ndarray
        Of the prediction, of its shape.

    Raises
    ------
    ShapeError, DtypeError, ParameterError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> mean_squared_error(np.array([1.0, 3.0]), [1, 1])
    (2.0, array([0., 2.]))
    """
    x = _floating("prediction", prediction)
    difference = x - _same_size(x, target)
    return _reduced(difference**2, 2 * difference, reduction)


def _reduced(loss: Array, gradient: Array, reduction: str) -> tuple[float, Array]:
    _check_reduction(reduction)
    divisor = loss.size if reduction == "mean" else 1
    return float(loss.sum(dtype=float)) / max(1, divisor), gradient / gradient.dtype.type(divisor)


def _check_reduction(reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ParameterError(f"reduction: expected one of {REDUCTIONS}, got {reduction!r}")


def _floating(name: str, value: npt.ArrayLike) -> Array:
    array = np.asarray(value)
    if array.dtype.kind != "f":
        raise DtypeError(f"{name}: expected floating point, got {array.dtype}")
    return array


def _same_size(x: Array, target: npt.ArrayLike) -> Array:
    """Return a target in the shape of the output: (N,) fits (N, 1)."""
    wanted = np.asarray(target)
    if wanted.shape != x.shape and (wanted.size != x.size or wanted.shape[:1] != x.shape[:1]):
        raise ShapeError(f"target: expected shape {x.shape}, got {wanted.shape}")
    return wanted.reshape(x.shape).astype(x.dtype)


def _one_hot(x: Array, target: Array, factors: Array, ignore: int) -> tuple[Array, float]:
    """Return 1 at the target's class, 0 for all where it is ignored; and the sum of weights."""
    expected = (x.shape[0], *x.shape[2:])
    if target.shape != expected:
        raise ShapeError(f"target: expected shape {expected}, got {target.shape}")
    counted = target != ignore
    seen = target[counted]
    if seen.size and (seen.min() < 0 or seen.max() >= x.shape[1]):
        raise ParameterError(
            f"target: expected classes from 0 to {x.shape[1] - 1}, got {seen.min()} to {seen.max()}"
        )
    wanted = np.zeros(x.shape, x.dtype)
    places = np.where(counted, target, 0)[:, np.newaxis]  # (N, 1, ...)
    np.put_along_axis(wanted, places, counted[:, np.newaxis].astype(x.dtype), 1)
    return wanted, max(float((wanted * factors).sum(dtype=float)), 1e-30)


def _probabilities(x: Array, target: Array) -> Array:
    if target.shape != x.shape:
        raise ShapeError(f"target: expected classes or shape {x.shape}, got {target.shape}")
    return target.astype(x.dtype)
