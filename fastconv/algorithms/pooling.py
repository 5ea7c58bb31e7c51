"""Pools in NumPy: reduce one axis at a time over its taps, as strided slices.

A reduction over a window view makes NumPy visit a few elements at a time. Here the taps of one
axis are combined plane-wide, then those of the next: `kh + kw` passes for `kh * kw` taps, on as
many planes at a time as the cache holds.
"""

from collections.abc import Iterator

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.dtypes import Array
from fastconv.geometry import Axis, WindowGeometry
from fastconv.lowering.divisors import divisors
from fastconv.problem import Problem

BLOCK_BYTES = 2**20
"""Input of one block of planes; what is made of it is smaller."""


class Pooling:
    """Separable reductions over taps."""

    name = "pooling"
    exact = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept pools and scatters."""
        if problem.operation in ("max_pool", "avg_pool", "scatter"):
            return None
        return f"solves max_pool, avg_pool and scatter, not {problem.operation}"

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count a few partly reduced copies of one block of planes."""
        geometry = problem.geometry
        step = _step(problem, limit)
        plane = max(int(np.prod(geometry.sizes)), int(np.prod(geometry.out)))
        return step * plane * _bytes_per_element(problem)

    def run(self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int) -> None:
        """Walk blocks of planes."""
        planes = [_planes(array) for array in inputs if array is not None]
        targets = [_planes(array) for array in outputs]
        step = _step(problem, limit)
        for start in range(0, targets[0].shape[0], step):
            part = slice(start, start + step)
            _RUN[problem.operation, problem.direction](
                problem, [array[part] for array in planes], [array[part] for array in targets]
            )


def _planes(array: Array) -> Array:
    """View (N, C, *sizes) as (N * C, *sizes)."""
    return array.reshape(-1, *array.shape[2:])


def _bytes_per_element(problem: Problem) -> int:
    """Two partly reduced copies; for indices as much again in int64, and a mask."""
    itemsize = problem.dtype.itemsize
    if problem.operation == "scatter":
        return 16 + itemsize  # shifted indices, and sums in float64
    return 2 * (itemsize + 9) if problem.indices else 2 * itemsize


def _step(problem: Problem, limit: int) -> int:
    """Planes of one block."""
    geometry = problem.geometry
    plane = max(1, int(np.prod(geometry.sizes)), int(np.prod(geometry.out)))
    allowed = min(limit // _bytes_per_element(problem), BLOCK_BYTES // problem.dtype.itemsize)
    return max(1, min(allowed // plane, geometry.batch * geometry.channels))


def _max(problem: Problem, inputs: list[Array], outputs: list[Array]) -> None:
    x, y = inputs[0], outputs[0]
    if problem.indices:
        _max_with_indices(problem.window, x, y, outputs[1])
        return
    for dimension, axis, last in _passes(problem.window):
        target = y if last else np.empty(_reduced(x, dimension, axis), x.dtype)
        _reduce(np.maximum, x, target, dimension, axis, -np.inf)
        x = target


def _avg(problem: Problem, inputs: list[Array], outputs: list[Array]) -> None:
    x, y = inputs[0], outputs[0]
    for dimension, axis, last in _passes(problem.window):
        target = y if last else np.empty(_reduced(x, dimension, axis), x.dtype)
        _reduce(np.add, x, target, dimension, axis, 0)
        x = target
    y /= _shares(problem)


def _avg_gradient(problem: Problem, inputs: list[Array], outputs: list[Array]) -> None:
    """Run the adjoint of each pass, in the opposite order."""
    gx = outputs[0]
    share = inputs[0] / _shares(problem)
    for dimension, axis, first in reversed(list(_passes(problem.window, outer_last=False))):
        size = list(share.shape)
        size[dimension] = axis.size
        target = gx if first else np.empty(size, share.dtype)
        target[:] = 0
        for source, place in _taps(dimension, axis):
            target[source] += share[place]
        share = target


def _shares(problem: Problem) -> Array:
    """Return what to divide by: one number if it is everywhere the same."""
    shares = divisors(problem.window.axes, problem.count_include_pad, problem.divisor)
    first = shares.flat[0]
    return np.asarray(first if (shares == first).all() else shares).astype(problem.dtype)


def _max_with_indices(window: WindowGeometry, x: Array, y: Array, indices: Array) -> None:
    """Reduce the last axis first, so that of equal values the first in C order is kept."""
    has_nan = bool(np.isnan(x).any())
    where: Array | None = None
    scale = 1
    for dimension, axis in reversed(list(enumerate(window.axes, 1))):
        shape = _reduced(x, dimension, axis)
        target = y if dimension == 1 else np.empty(shape, x.dtype)
        place = indices if dimension == 1 else np.empty(shape, np.int64)
        _reduce_with_indices(x, where, target, place, dimension, axis, scale, has_nan)
        x, where, scale = target, place, scale * axis.size


def _reduce_with_indices(
    x: Array,
    where: Array | None,
    y: Array,
    indices: Array,
    dimension: int,
    axis: Axis,
    scale: int,
    has_nan: bool,
) -> None:
    y[:] = -np.inf
    indices[:] = -1
    along = [1] * x.ndim
    along[dimension] = axis.size
    places = (np.arange(axis.size) * scale).reshape(along)
    places = (
        np.broadcast_to(places, x.shape)
        if where is None
        else np.where(where < 0, -1, where + places)
    )
    for source, place in _taps(dimension, axis):
        value, best, best_place = x[source], y[place], indices[place]
        found = places[source]
        better = (value > best) | (best_place < 0)
        if has_nan:
            better |= np.isnan(value)
        np.copyto(best, value, where=better)
        np.copyto(best_place, found, where=better)


def _scatter(problem: Problem, inputs: list[Array], outputs: list[Array]) -> None:
    values, indices = inputs
    planes = outputs[0]
    count, size = planes.shape[0], int(np.prod(planes.shape[1:]))
    flat = indices.reshape(count, -1) + np.arange(count).reshape(-1, 1) * size
    weights = values.reshape(count, -1)
    if (indices < 0).any():
        kept = indices.reshape(count, -1) >= 0
        flat, weights = flat[kept], weights[kept]
    sums = np.bincount(flat.ravel(), weights.ravel(), minlength=count * size)
    planes[:] = sums.reshape(planes.shape)


_RUN = {
    ("max_pool", "forward"): _max,
    ("avg_pool", "forward"): _avg,
    ("avg_pool", "input_gradient"): _avg_gradient,
    ("scatter", "forward"): _scatter,
}


def _passes(window: WindowGeometry, outer_last: bool = True) -> Iterator[tuple[int, Axis, bool]]:
    """Yield (dimension, axis, whether last), outermost first: its slices are whole rows."""
    for dimension, axis in enumerate(window.axes, 1):
        yield dimension, axis, dimension == (window.rank if outer_last else 1)


def _reduced(x: Array, dimension: int, axis: Axis) -> tuple[int, ...]:
    return (*x.shape[:dimension], axis.out, *x.shape[dimension + 1 :])


def _taps(dimension: int, axis: Axis) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Yield (input slice, output slice) for each tap of an axis that meets the input."""
    before = (slice(None),) * dimension
    for tap in range(axis.kernel):
        low, high = axis.inside(tap)
        if low < high:
            yield (*before, axis.source(tap, low, high)), (*before, slice(low, high))


def _reduce(
    combine: np.ufunc, x: Array, y: Array, dimension: int, axis: Axis, start: float
) -> None:
    """Combine the taps of one axis; the first that reaches every output position is copied."""
    taps = list(_taps(dimension, axis))
    full = next((pair for pair in taps if pair[1][-1] == slice(0, axis.out)), None)
    if full is None:
        y[:] = start
    else:
        y[:] = x[full[0]]
        taps.remove(full)
    for source, place in taps:
        combine(y[place], x[source], out=y[place])
