"""Drop-in for the tutorial that recognises a nine by hand-made filters: its functions and data.

    from fastconv.dropin.digit_nine import *  # before: the notebook's own cells

A digit is a matrix of 1 (ink) and -1 (paper), 7x5. A filter of the same kind is held against every
window, and the products are averaged: 1 where all agree, -1 where none does. Then come ReLU, a
pool, and a dense layer over all maps:

    maps = relu(averaged_conv2d(NINE, FILTERS))
    features = flatten(pool2d(maps, kernel_size=2, stride=1))
    digit, probabilities = classify(features, *template_classifier())

All functions also take matrices stacked in front, `(..., H, W)`, and compute them together.

As in the tutorial `pool2d` pads with zeros that count as elements, and so can be maxima.
Different: views of windows stay inside their array whatever its strides, and what does not fit
raises `ShapeError`.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dropin.arrays import Named, floats
from fastconv.dtypes import Array
from fastconv.errors import ParameterError, ShapeError
from fastconv.ops import repeated
from fastconv.ops.avg_pool import settle_averages
from fastconv.ops.conv import settle_conv
from fastconv.ops.pool_call import settle_extremes
from fastconv.ops.repeated import Settled
from fastconv.parameters import Ints

__all__ = [
    "BOX",
    "DIAGONAL",
    "DIGITS",
    "FILTERS",
    "NINE",
    "VERTICAL",
    "averaged_conv2d",
    "classify",
    "dense",
    "flatten",
    "pool2d",
    "relu",
    "template_classifier",
]
NAMES = Named(input="matrix", weight="filters", kernel_size="filters")
POOL = Named(input="matrix")
POOLS: dict[str, Callable[..., Settled[Any]]] = {
    "max": lambda x, *windows: settle_extremes(x, "max_pool", 2, *windows),
    "avg": lambda x, *windows: settle_averages(x, 2, *windows),
}


def _drawn(*rows: str) -> Array:
    """Turn rows of several drawings side by side into arrays of 1 and -1."""
    drawings = zip(*(row.split() for row in rows), strict=True)
    ink = np.array([[list(row) for row in drawing] for drawing in drawings]) == "#"
    signs = np.where(ink, 1.0, -1.0)
    signs.flags.writeable = False
    return signs


DIGITS = _drawn(
    ".###. ..#.. .###. .###. ...#. ##### ..##. ##### .###. .###.",
    "#...# .##.. #...# #...# ..##. #.... .#... ....# #...# .#.#.",
    "#...# ..#.. ....# ....# .#.#. ####. #.... ...#. #...# .###.",
    "#...# ..#.. ...#. ..##. #..#. ....# ####. ..#.. .###. ...#.",
    "#...# ..#.. ..#.. ....# ##### ....# #...# .#... #...# ...#.",
    "#...# ..#.. .#... #...# ...#. #...# #...# .#... #...# ..#..",
    ".###. .###. ##### .###. ...#. .###. .###. .#... .###. .#...",
)
"""The ten digits, `(10, 7, 5)`."""
NINE = DIGITS[9]
"""A loop, a stem, and a tail to the left."""
FILTERS = _drawn("### .#. ..#", "#.# .#. .#.", "### .#. #..")
"""The three filters, `(3, 3, 3)`."""
BOX, VERTICAL, DIAGONAL = FILTERS


def averaged_conv2d(matrix: npt.ArrayLike, filters: npt.ArrayLike) -> Array:
    """Average the products of filters with every window.

    Parameters
    ----------
    matrix : array_like
        `(..., H, W)`.
    filters : array_like
        One, `(kh, kw)`, or several, `(F, kh, kw)`.

    Returns
    -------
    numpy.ndarray
        `(..., H - kh + 1, W - kw + 1)`, or `(..., F, H - kh + 1, W - kw + 1)`, in the promoted
        dtype; float64 for integers.

    Raises
    ------
    ShapeError, DtypeError
        If the arguments are no such arrays, or no window fits.

    Examples
    --------
    >>> from fastconv.dropin.digit_nine import BOX, NINE, averaged_conv2d
    >>> averaged_conv2d(NINE, BOX)[:2].round(2)
    array([[-0.11,  1.  , -0.11],
           [-0.56,  0.11, -0.33]])
    """
    return repeated.call(_settle_averaged, (matrix, filters), ())


def _settle_averaged(matrix: npt.ArrayLike, filters: npt.ArrayLike) -> Settled[Array]:
    x, w = floats(matrix=matrix, filters=filters)
    if w.ndim not in (2, 3):
        raise ShapeError(f"filters: expected shape (kh, kw) or (F, kh, kw), got {w.shape}")
    kernel = w.shape[-2:]
    stack, bank = _stacked(x), (math.prod(w.shape[:-2]), 1, *kernel)  # (N, 1, H, W), (F, 1, kh, kw)
    with NAMES:
        conv, _ = settle_conv(x.reshape(stack), w.reshape(bank), None, 2)
    sizes = (size - taps + 1 for size, taps in zip(x.shape[-2:], kernel, strict=True))
    shape = (*x.shape[:-2], *w.shape[:-2], *sizes)  # (..., [F,] H', W')
    count = np.array(kernel[0] * kernel[1], x.dtype)

    def solve(x: Array, w: Array) -> Array:
        maps = conv(x.reshape(stack), w.reshape(bank), None)  # (N, F, H', W')
        np.divide(maps, count, out=maps)
        return maps.reshape(shape)

    return solve, (x, w)


def relu(matrix: npt.ArrayLike) -> Array:
    """Replace what is negative by 0.

    Parameters
    ----------
    matrix : array_like
        Of any shape.

    Returns
    -------
    numpy.ndarray
        A new array of that shape and dtype; float64 for integers.

    Raises
    ------
    DtypeError
        If it is no array of numbers.

    Examples
    --------
    >>> from fastconv.dropin.digit_nine import relu
    >>> relu([[-0.5, 1]])
    array([[0., 1.]])
    """
    return repeated.call(_settle_relu, (matrix,), ())


def _settle_relu(matrix: npt.ArrayLike) -> Settled[Array]:
    (x,) = floats(matrix=matrix)
    zero = np.zeros((), x.dtype)
    return lambda x: np.maximum(x, zero), (x,)


def pool2d(
    matrix: npt.ArrayLike,
    kernel_size: int,
    stride: int,
    padding: int = 0,
    pool_mode: str = "max",
) -> Array:
    """Pool every window.

    Parameters
    ----------
    matrix : array_like
        `(..., H, W)`.
    kernel_size, stride : int
        Of the square windows, and from one to the next.
    padding : int
        Zeros on every side, which count as elements.
    pool_mode : str
        "max" or "avg".

    Returns
    -------
    numpy.ndarray
        `(..., oh, ow)` with `oh = (H + 2 * padding - kernel_size) // stride + 1`, in the dtype of
        the matrix; float64 for integers.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments make no sense, or no window fits.

    Examples
    --------
    >>> from fastconv.dropin.digit_nine import pool2d
    >>> pool2d([[1, 2, 3, 4], [5, 6, 7, 8]], kernel_size=2, stride=2)
    array([[6., 8.]])
    >>> pool2d([[1, 2, 3, 4], [5, 6, 7, 8]], kernel_size=2, stride=2, pool_mode="avg")
    array([[3.5, 5.5]])
    """
    return repeated.call(_settle_pool, (matrix,), (kernel_size, stride, padding, pool_mode))


def _settle_pool(
    matrix: npt.ArrayLike, kernel_size: int, stride: int, padding: int, pool_mode: str
) -> Settled[Array]:
    (x,) = floats(matrix=matrix)
    if not isinstance(pool_mode, str) or pool_mode not in POOLS:
        raise ParameterError(f"pool_mode: expected one of {tuple(POOLS)}, got {pool_mode!r}")
    pad = parameters.integer("padding", padding, 0)
    stack, leading = _stacked(x), x.shape[:-2]

    def planes(x: Array) -> Array:
        stacked = x.reshape(stack)  # (N, 1, H, W)
        return np.pad(stacked, ((0, 0), (0, 0), (pad, pad), (pad, pad))) if pad else stacked

    with POOL:
        pool, _ = POOLS[pool_mode](planes(x), kernel_size, stride)

    def solve(x: Array) -> Array:
        pooled = pool(planes(x))
        shaped: Array = pooled.reshape(leading + pooled.shape[2:])  # (..., oh, ow)
        return shaped

    return solve, (x,)


def flatten(maps: npt.ArrayLike, samples: bool = False) -> Array:
    """Put all elements in one row, in C order.

    Parameters
    ----------
    maps : array_like
        Of any shape.
    samples : bool
        Whether the first axis is of samples, a row each.

    Returns
    -------
    numpy.ndarray
        `(n,)`, or `(samples, n)`.

    Raises
    ------
    DtypeError, ShapeError
        If it is no array of numbers, or has no axis of samples.

    Examples
    --------
    >>> from fastconv.dropin.digit_nine import flatten
    >>> flatten([[1, 2], [3, 4]])
    array([1., 2., 3., 4.])
    """
    (x,) = floats(maps=maps)
    if not samples:
        return x.reshape(-1)
    if x.ndim == 0:
        raise ShapeError("maps: expected an axis of samples, got shape ()")
    return x.reshape(len(x), -1)  # (samples, n)


def dense(
    features: npt.ArrayLike, weights: npt.ArrayLike, bias: npt.ArrayLike | None = None
) -> Array:
    """Weigh features: `features @ weights + bias`.

    Parameters
    ----------
    features : array_like
        `(n,)` or `(samples, n)`.
    weights : array_like
        `(n, outputs)`.
    bias : array_like, optional
        `(outputs,)`.

    Returns
    -------
    numpy.ndarray
        `(outputs,)` or `(samples, outputs)`, in the promoted dtype.

    Raises
    ------
    ShapeError, DtypeError
        If the arguments are no such arrays or do not fit each other.

    Examples
    --------
    >>> from fastconv.dropin.digit_nine import dense
    >>> dense([1, 2], [[1, 0], [0, 10]], [0.5, 0])
    array([ 1.5, 20. ])
    """
    given = {} if bias is None else {"bias": bias}
    x, w, *b = floats(features=features, weights=weights, **given)
    if w.ndim != 2:
        raise ShapeError(f"weights: expected shape (n, outputs), got {w.shape}")
    if x.ndim not in (1, 2) or x.shape[-1] != len(w):
        raise ShapeError(
            f"features: expected shape ({len(w)},) or (samples, {len(w)}), got {x.shape}"
        )
    if b and b[0].shape != w.shape[1:]:
        raise ShapeError(f"bias: expected shape {w.shape[1:]}, got {b[0].shape}")
    result: Array = x @ w
    return result + b[0] if b else result


def classify(
    features: npt.ArrayLike, weights: npt.ArrayLike, bias: npt.ArrayLike | None = None
) -> tuple[Any, Array]:
    """Name the class of the largest score of a dense layer.

    Parameters
    ----------
    features, weights, bias : array_like
        As for `dense`.

    Returns
    -------
    tuple
        The class, an integer or an array of one a sample, and the probabilities (softmax) of all.

    Raises
    ------
    ShapeError, DtypeError
        As for `dense`.

    Examples
    --------
    >>> from fastconv.dropin.digit_nine import classify
    >>> digit, probabilities = classify([0, 1, 0], [[9, 0], [0, 9], [9, 9]])
    >>> int(digit)
    1
    """
    scores = dense(features, weights, bias)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return scores.argmax(axis=-1), powers / powers.sum(axis=-1, keepdims=True)


def template_classifier(
    digits: npt.ArrayLike = DIGITS, filters: npt.ArrayLike = FILTERS
) -> tuple[Array, Array]:
    """Make, without training, a dense layer that knows digits by their features.

    A digit's weights are its own features f and its bias is -f·f / 2: the largest score is that of
    the digit whose features are nearest.

    Parameters
    ----------
    digits : array_like
        `(classes, H, W)`; by default the ten.
    filters : array_like
        `(F, kh, kw)`; by default box, vertical and diagonal.

    Returns
    -------
    tuple of numpy.ndarray
        Weights `(n, classes)` and bias `(classes,)` for `classify`, for the features that
        `flatten(pool2d(relu(averaged_conv2d(...)), 2, 1))` makes.

    Raises
    ------
    ShapeError, DtypeError
        As for `averaged_conv2d`.

    Examples
    --------
    >>> from fastconv.dropin.digit_nine import *
    >>> maps = relu(averaged_conv2d(NINE, FILTERS))
    >>> features = flatten(pool2d(maps, kernel_size=2, stride=1))
    >>> digit, probabilities = classify(features, *template_classifier())
    >>> int(digit)
    9
    """
    maps = relu(averaged_conv2d(digits, filters))
    features = flatten(pool2d(maps, kernel_size=2, stride=1), samples=True)
    return features.T.copy(), -0.5 * np.square(features).sum(axis=1)


def _stacked(x: Array) -> Ints:
    """Return the shape of matrices as a batch of planes."""
    if x.ndim < 2:
        raise ShapeError(f"matrix: expected shape (..., H, W), got {x.shape}")
    return (math.prod(x.shape[:-2]), 1, *x.shape[-2:])  # (N, 1, H, W)
