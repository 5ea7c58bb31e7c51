"""Maxima and minima of windows, and where they were."""

from typing import Any

import numpy as np

from fastconv.algorithms.pool_passes import (
    AnyAxis,
    MovedAxis,
    elements,
    even,
    reduce,
    reduced,
)
from fastconv.dtypes import Array, highest
from fastconv.dtypes import lowest as lowest_of
from fastconv.geometry import Axis
from fastconv.problem import Problem


def extreme_of_nothing(dtype: np.dtype[Any], lowest: bool) -> Any:
    """Return what a window without any input element gives: less, or more, than all others."""
    return highest(dtype) if lowest else lowest_of(dtype)


def holds_nan(x: Array) -> bool:
    """Whether any element is NaN; of integers none is."""
    return x.dtype.kind not in "biu" and bool(np.isnan(x).any())


def extremes(problem: Problem, inputs: list[Array], outputs: list[Array]) -> None:
    """Solve max_pool, min_pool and adaptive_max_pool."""
    x, lowest, skip_nan = inputs[0], problem.operation == "min_pool", problem.nan == "ignore"
    axes = _axes(problem)
    if problem.indices:
        extremes_with_places(x, axes, outputs[0], outputs[1], lowest, skip_nan)
        return
    skip_nan &= holds_nan(x)
    combine = (np.fmin if lowest else np.fmax) if skip_nan else np.minimum if lowest else np.maximum
    nothing = extreme_of_nothing(x.dtype, lowest)
    for dimension, axis in enumerate(axes, 1):
        last = dimension == len(axes)
        target = outputs[0] if last else np.empty(reduced(x, dimension, axis), x.dtype)
        reduce(combine, x, target, dimension, axis, np.nan if skip_nan else nothing)
        if skip_nan:
            _empty(target, dimension, axis, nothing)
        x = target


def fractional_extremes(problem: Problem, inputs: list[Array], outputs: list[Array]) -> None:
    """Solve fractional_max_pool, with places that are dropped if nobody asked for them."""
    x, starts = inputs
    geometry = problem.fractional
    ends = np.cumsum((0, *geometry.out))
    axes = [
        MovedAxis(size, kernel, starts[:, ends[axis] : ends[axis + 1]])
        for axis, (size, kernel) in enumerate(zip(geometry.sizes, geometry.kernel, strict=True))
    ]
    y = outputs[0]
    places = outputs[1] if problem.indices else np.empty(y.shape, np.int64)
    extremes_with_places(x, axes, y, places, False, problem.nan == "ignore")


def _axes(problem: Problem) -> list[Any]:
    if problem.operation.startswith("adaptive"):
        return [even(axis) for axis in problem.adaptive.axes]
    return list(problem.window.axes)


def _empty(y: Array, dimension: int, axis: Any, nothing: Any) -> None:
    """Say so where windows of this axis hold no element."""
    if isinstance(axis, Axis) and axis.padded:
        without = np.array(axis.counts(False)) == 0
        y[(*(slice(None),) * dimension, without)] = nothing


def extremes_with_places(
    x: Array, axes: list[Any], y: Array, places: Array, lowest: bool, skip_nan: bool
) -> None:
    """Reduce the last axis first, so that of equal values the first in C order is kept."""
    nan_rule = None if not holds_nan(x) else "ignore" if skip_nan else "propagate"
    where: Array | None = None
    scale = 1
    for dimension, axis in reversed(list(enumerate(axes, 1))):
        shape = reduced(x, dimension, axis)
        target = y if dimension == 1 else np.empty(shape, x.dtype)
        found = places if dimension == 1 else np.empty(shape, np.int64)
        _reduce_with_places(x, where, target, found, dimension, axis, scale, lowest, nan_rule)
        x, where, scale = target, found, scale * axis.size


def _reduce_with_places(
    x: Array,
    where: Array | None,
    y: Array,
    places: Array,
    dimension: int,
    axis: AnyAxis,
    scale: int,
    lowest: bool,
    nan_rule: str | None,
) -> None:
    y[:] = extreme_of_nothing(x.dtype, lowest)
    places[:] = -1
    along = _places_along(x, where, dimension, axis, scale)
    for value, value_place, outputs in elements(dimension, axis, x, along):
        best, best_place = y[outputs], places[outputs]
        better = value < best if lowest else value > best
        better |= best_place < 0
        if nan_rule == "ignore":
            better |= np.isnan(best) & ~np.isnan(value)
        elif nan_rule == "propagate":
            better |= np.isnan(value)
        np.copyto(best, value, where=better)
        np.copyto(best_place, value_place, where=better)


def _places_along(
    x: Array, where: Array | None, dimension: int, axis: AnyAxis, scale: int
) -> Array:
    """Return the flat places of elements along one axis, added to those found in later axes."""
    along = [1] * x.ndim
    along[dimension] = axis.size
    places = (np.arange(axis.size) * scale).reshape(along)
    if where is None:
        return np.broadcast_to(places, x.shape)
    return np.where(where < 0, -1, where + places)
