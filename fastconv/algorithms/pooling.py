"""Pools in NumPy: reduce one axis at a time over its taps, as strided slices.

A reduction over a window view makes NumPy visit a few elements at a time. Here the taps of one
axis are combined plane-wide, then those of the next: `kh + kw` passes for `kh * kw` taps, on as
many planes at a time as the cache holds.
"""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.dtypes import Array, Dtype, lowest, row_of
from fastconv.geometry import Axis, ScatterGeometry, WindowGeometry
from fastconv.lowering.divisors import divisors, uniform_divisor
from fastconv.problem import KEEPING, Problem

BLOCK_BYTES = 2**20
"""Input of one block of planes; what is made of it is smaller."""


class Pooling:
    """Separable reductions over taps."""

    name = "pooling"
    exact = True
    uses_blas = False

    def rejects(self, problem: Problem) -> str | None:
        """Accept pools and scatters."""
        if problem.operation in ("max_pool", "avg_pool", "scatter"):
            return None
        return f"solves max_pool, avg_pool and scatter, not {problem.operation}"

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count partly reduced copies of one block of planes, and divisors that differ."""
        return _step(problem, limit) * _plane_bytes(problem) + _divisor_bytes(problem)

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Walk blocks of planes."""
        planes = [_planes(array) for array in inputs if array is not None]
        targets = [_planes(array) for array in outputs]
        step, solve = _step(problem, limit), _RUN[problem.operation, problem.direction]
        if problem.operation == "avg_pool":
            solve = functools.partial(solve, shares=_shares(problem))
        working = _working_dtype(problem)
        for start in range(0, targets[0].shape[0], step):
            part = slice(start, start + step)
            sources = [_as(array[part], problem.dtype, working) for array in planes]
            results = [array[part] for array in targets]
            first = results[0]
            if first.dtype != working:
                results[0] = np.empty(first.shape, working)
            solve(problem, sources, results)
            if first.dtype != working:
                np.copyto(first, results[0], casting="unsafe")


def _working_dtype(problem: Problem) -> Dtype:
    """Return what is reduced in: maxima in their own dtype, sums in the accumulator."""
    if (problem.operation, problem.direction) not in KEEPING:
        return problem.accumulator
    return problem.dtype if problem.dtype.kind in "biu" else row_of(problem.dtype).accumulator


def _as(array: Array, dtype: Dtype, working: Dtype) -> Array:
    """Convert an array of the problem's dtype; indices stay what they are."""
    return array.astype(working, copy=False) if array.dtype == dtype else array


def _planes(array: Array) -> Array:
    """View (N, C, *sizes) as (N * C, *sizes)."""
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])


def _plane_bytes(problem: Problem) -> int:
    """Bytes of scratch memory for one plane: two partly reduced copies, and what goes with them."""
    geometry, itemsize = problem.geometry, _working_dtype(problem).itemsize
    if isinstance(geometry, ScatterGeometry):  # shifted places, weights and sums in float64
        return max(8, itemsize) * (4 * math.prod(geometry.out) + 2 * math.prod(geometry.sizes))
    largest = math.prod(max(axis.size, axis.out) for axis in geometry.axes)
    with_places = 3 * 8 + 4  # two sets of places and their sum, and masks
    copies = 2 if problem.native else 5  # converted, the result, and a quotient's remainder
    return largest * (copies * itemsize + (with_places if problem.indices else 0))


def _divisor_bytes(problem: Problem) -> int:
    if problem.operation != "avg_pool" or uniform_divisor(*_averaging(problem)) is not None:
        return 0
    return problem.window.positions * (8 + 8 + _working_dtype(problem).itemsize)


def _step(problem: Problem, limit: int) -> int:
    """Return the planes of one block."""
    geometry = problem.geometry
    cached = BLOCK_BYTES // (math.prod(geometry.sizes) * _working_dtype(problem).itemsize)
    allowed = (limit - _divisor_bytes(problem)) // _plane_bytes(problem)
    return max(1, min(cached, allowed, geometry.batch * geometry.channels))


def _max(problem: Problem, inputs: list[Array], outputs: list[Array]) -> None:
    x, y = inputs[0], outputs[0]
    if problem.indices:
        _max_with_indices(problem.window, x, y, outputs[1])
        return
    for dimension, axis, last in _passes(problem.window):
        target = y if last else np.empty(_reduced(x, dimension, axis), x.dtype)
        _reduce(np.maximum, x, target, dimension, axis, lowest(x.dtype))
        x = target


def _avg(problem: Problem, inputs: list[Array], outputs: list[Array], shares: Array) -> None:
    x, y = inputs[0], outputs[0]
    for dimension, axis, last in _passes(problem.window):
        target = y if last else np.empty(_reduced(x, dimension, axis), x.dtype)
        _reduce(np.add, x, target, dimension, axis, 0)
        x = target
    _divide(y, shares)


def _divide(y: Array, shares: Array) -> None:
    """Divide in place; integers towards zero, and those of a divisor of 0, which are 0, by 1."""
    if (
        y.dtype.kind == "c"
    ):  # by real numbers, so part by part: NumPy's complex quotients round twice
        y.real /= shares.real
        y.imag /= shares.real
        return
    if y.dtype.kind not in "iu":
        y /= shares
        return
    shares = np.where(shares == 0, 1, shares).astype(y.dtype)
    y -= np.fmod(y, shares)
    y //= shares


def _avg_gradient(
    problem: Problem, inputs: list[Array], outputs: list[Array], shares: Array
) -> None:
    """Run the adjoint of each pass, in the opposite order."""
    gx = outputs[0]
    share = inputs[0].copy()
    _divide(share, shares)
    for dimension, axis, first in reversed(list(_passes(problem.window, outer_last=False))):
        size = list(share.shape)
        size[dimension] = axis.size
        target = gx if first else np.empty(size, share.dtype)
        target[:] = 0
        for source, place in _taps(dimension, axis):
            target[source] += share[place]
        share = target


def _averaging(problem: Problem) -> tuple[tuple[Axis, ...], bool, int | None]:
    return problem.window.axes, problem.count_include_pad, problem.divisor


def _shares(problem: Problem) -> Array:
    """Return what to divide by: one number if it is everywhere the same."""
    uniform = uniform_divisor(*_averaging(problem))
    shares = divisors(*_averaging(problem)) if uniform is None else np.asarray(uniform)
    return shares.astype(_working_dtype(problem))


def _max_with_indices(window: WindowGeometry, x: Array, y: Array, indices: Array) -> None:
    """Reduce the last axis first, so that of equal values the first in C order is kept."""
    has_nan = x.dtype.kind == "f" and bool(np.isnan(x).any())
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
    y[:] = lowest(y.dtype)
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
    count, size = planes.shape[0], math.prod(planes.shape[1:])
    flat = indices + np.arange(count).reshape(count, *(1,) * (indices.ndim - 1)) * size
    weights = values
    if (indices < 0).any():
        kept = indices >= 0
        flat, weights = flat[kept], weights[kept]
    flat, weights = flat.ravel(), weights.ravel()
    if planes.dtype.kind == "f":  # sums in float64, rounded once
        planes[:] = np.bincount(flat, weights, minlength=count * size).reshape(planes.shape)
        return
    planes[:] = 0
    np.add.at(planes.reshape(-1), flat, weights)


_RUN: dict[tuple[str, str], Callable[..., None]] = {
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


def _reduce(combine: np.ufunc, x: Array, y: Array, dimension: int, axis: Axis, start: Any) -> None:
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
