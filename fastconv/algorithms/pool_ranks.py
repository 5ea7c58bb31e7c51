"""Quantiles of windows: all their elements side by side, sorted."""

from typing import Any

import numpy as np

from fastconv.algorithms.pool_extremes import extreme_of_nothing, holds_nan
from fastconv.algorithms.pool_passes import Place, reduced
from fastconv.dtypes import Array
from fastconv.geometry import Axis
from fastconv.lowering.divisors import divisors
from fastconv.problem import Problem


def quantiles(problem: Problem, inputs: list[Array], outputs: list[Array]) -> None:
    """Solve quantile_pool: NaN, if any, else the element at the rank; padding is sorted last."""
    x, y = inputs[0], outputs[0]
    axes = problem.window.axes
    columns = _side_by_side(x, axes, extreme_of_nothing(x.dtype, True))
    counts = divisors(axes, False, None)
    ranks = np.floor((problem.quantile or 0.0) * np.maximum(counts - 1, 0)).astype(np.int64)
    ranks = ranks[np.newaxis, np.newaxis]  # (1, 1, *out)
    nan = np.isnan(columns) if holds_nan(x) else None
    if problem.indices:
        columns, outputs[1][...] = _with_places(problem, columns, ranks, nan)
        outputs[1][..., counts == 0] = -1
    else:
        columns.sort(axis=0)
    found = np.take_along_axis(columns, ranks, 0)[0]
    y[:] = np.where(counts == 0, extreme_of_nothing(x.dtype, False), found)
    if nan is not None:
        y[nan.any(0)] = np.nan


def _side_by_side(x: Array, axes: tuple[Axis, ...], nothing: Any) -> Array:
    """Return the elements of all windows `(taps, P, *out)`; `nothing` stands for padding."""
    columns = x[np.newaxis]
    for dimension, axis in enumerate(axes, 2):
        taps, *rest = reduced(columns, dimension, axis)
        filled = np.empty((taps, axis.kernel, *rest), x.dtype)
        filled[:] = nothing
        for tap in range(axis.kernel):
            low, high = axis.inside(tap)
            if low < high:
                before: Place = (slice(None),) * dimension
                source = columns[(*before, axis.source(tap, low, high))]
                filled[:, tap][(*before, slice(low, high))] = source
        columns = filled.reshape(-1, *rest)  # (taps * kernel, P, *out)
    return columns


def _with_places(
    problem: Problem, columns: Array, ranks: Array, nan: Array | None
) -> tuple[Array, Array]:
    """Sort columns, equal elements by where they are, and say where those at the ranks were."""
    window = problem.window
    plane = np.arange(window.plane).reshape(1, *window.sizes)
    places = _side_by_side(plane, window.axes, -1)  # (taps, 1, *out)
    if places.min() < 0:  # padding goes last, also behind elements that are as large
        order = np.argsort(places < 0, axis=0, kind="stable")
        places, columns = (np.take_along_axis(each, order, 0) for each in (places, columns))
        nan = None if nan is None else np.take_along_axis(nan, order, 0)
    order = np.argsort(columns, axis=0, kind="stable")
    taps = np.take_along_axis(order, ranks, 0)  # (1, P, *out)
    if nan is not None:
        last = len(nan) - 1 - nan[::-1].argmax(0)
        taps = np.where(nan.any(0), last, taps)
    found = np.take_along_axis(np.broadcast_to(places, columns.shape), taps, 0)[0]
    return np.take_along_axis(columns, order, 0), found
