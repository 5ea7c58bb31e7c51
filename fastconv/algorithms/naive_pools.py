"""The loops of pools, handed their arrays as three spatial dimensions."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.algorithms.algorithm import Outputs
from fastconv.algorithms.pool_extremes import extreme_of_nothing
from fastconv.algorithms.pool_means import norm_of
from fastconv.dtypes import Array
from fastconv.geometry import Axis
from fastconv.lowering.divisors import divisors, uneven_divisors
from fastconv.problem import Problem

MOST_AXES = 3


def _extreme_pool(problem: Problem, arrays: list[Any], outputs: Outputs) -> None:
    from fastconv.kernels import naive_pool

    lowest, skip_nan = problem.operation == "min_pool", problem.nan == "ignore"
    y, indices = _with_indices(problem, outputs)
    nothing = extreme_of_nothing(y.dtype, lowest)
    naive_pool.extreme_pool(
        volume(arrays[0]), y, indices, nothing, lowest, skip_nan, *_place(problem)
    )


def _quantile_pool(problem: Problem, arrays: list[Any], outputs: Outputs) -> None:
    from fastconv.kernels import naive_pool

    y, indices = _with_indices(problem, outputs)
    nothing, quantile = extreme_of_nothing(y.dtype, False), problem.quantile
    naive_pool.quantile_pool(volume(arrays[0]), y, indices, nothing, quantile, *_place(problem))


def _lp_pool(problem: Problem, arrays: list[Any], outputs: Outputs) -> None:
    from fastconv.kernels import naive_pool

    norm, dtype = norm_of(problem), problem.accumulator
    if math.isinf(norm):
        _largest_pool(problem, arrays, outputs)
        return
    shares = divisors(problem.window.axes, True, None) / problem.window.taps
    shares = shares.astype(dtype).reshape(three(problem.window.out))
    norm = dtype.type(norm)
    first, *rest = map(volume, arrays)
    if problem.direction == "forward":
        inverse = dtype.type(1 / norm_of(problem))
        place = _place(problem)
        naive_pool.lp_pool(first, volume(outputs[0]), shares, norm, inverse, *place)
    else:
        gx = volume(outputs[0])
        naive_pool.lp_pool_input_gradient(gx, first, *rest, shares, norm, *_place(problem))


def _largest_pool(problem: Problem, arrays: list[Any], outputs: Outputs) -> None:
    """Take the norm of power infinity: its gradient goes to the first of the largest elements."""
    from fastconv.kernels import naive, naive_pool

    window = problem.window
    places = np.empty((window.batch, window.channels, *three(window.out)), np.int64)
    if problem.direction == "forward":
        y = volume(outputs[0])
        naive_pool.largest_magnitude_pool(volume(arrays[0]), y, places, *_place(problem))
        return
    gy, x, _ = arrays
    y = np.empty(places.shape, x.dtype)
    naive_pool.largest_magnitude_pool(volume(x), y, places, *_place(problem))
    flat = (window.batch, window.channels)
    gx = outputs[0].reshape(*flat, window.plane)
    shape = (*flat, window.positions)
    naive.scatter(gy.reshape(shape), places.reshape(shape), gx)
    outputs[0][...] *= np.sign(x)


def _adaptive_max_pool(problem: Problem, arrays: list[Any], outputs: Outputs) -> None:
    from fastconv.kernels import naive_planes

    y, indices = _with_indices(problem, outputs)
    naive_planes.adaptive_max_pool(volume(arrays[0]), y, indices, problem.nan == "ignore")


def _adaptive_avg_pool(problem: Problem, arrays: list[Any], outputs: Outputs) -> None:
    from fastconv.kernels import naive_planes

    source, out = volume(arrays[0]), volume(outputs[0])
    shares = uneven_divisors(problem.adaptive.axes)
    shares = shares.astype(out.real.dtype).reshape(three(problem.adaptive.out))
    if problem.direction == "forward":
        naive_planes.adaptive_avg_pool(source, out, shares)
    else:
        naive_planes.adaptive_avg_pool_input_gradient(out, source, shares)


def _fractional_max_pool(problem: Problem, arrays: list[Any], outputs: Outputs) -> None:
    from fastconv.kernels import naive_planes

    geometry = problem.fractional
    x, starts = arrays
    added = np.zeros((*starts.shape[:2], MOST_AXES - len(geometry.out)), np.int64)
    starts = np.concatenate([added, starts], axis=2)
    y, indices = _with_indices(problem, outputs)
    skip_nan = problem.nan == "ignore"
    naive_planes.fractional_max_pool(
        volume(x), starts, y, indices, skip_nan, three(geometry.kernel)
    )


def _unpool(problem: Problem, arrays: list[Any], outputs: Outputs) -> None:
    from fastconv.kernels import naive_planes

    geometry = problem.scatter
    outer = (geometry.batch, geometry.channels)
    values, indices = (array.reshape(*outer, math.prod(geometry.out)) for array in arrays)
    naive_planes.unpool(values, indices, outputs[0].reshape(*outer, math.prod(geometry.sizes)))


def _gather(problem: Problem, arrays: list[Any], outputs: Outputs) -> None:
    from fastconv.kernels import naive_planes

    geometry = problem.scatter
    outer = (geometry.batch, geometry.channels)
    planes = arrays[0].reshape(*outer, math.prod(geometry.sizes))
    indices, values = (
        array.reshape(*outer, math.prod(geometry.out)) for array in (arrays[1], outputs[0])
    )
    naive_planes.gather(planes, indices, values)


POOLS: dict[str, Callable[[Problem, list[Any], Outputs], None]] = {
    "max_pool": _extreme_pool,
    "min_pool": _extreme_pool,
    "lp_pool": _lp_pool,
    "quantile_pool": _quantile_pool,
    "adaptive_max_pool": _adaptive_max_pool,
    "adaptive_avg_pool": _adaptive_avg_pool,
    "fractional_max_pool": _fractional_max_pool,
    "unpool": _unpool,
    "gather": _gather,
}


def _with_indices(problem: Problem, outputs: Outputs) -> tuple[Array, Array]:
    """Return the output and its indices, which are dropped if nobody asked for them."""
    y = outputs[0]
    indices = outputs[1] if problem.indices else np.empty(y.shape, np.int64)
    return volume(y), volume(indices)


def _place(problem: Problem) -> tuple[tuple[int, ...], ...]:
    return (three(problem.window.kernel), *window_steps(problem.window.axes))


def axis_step(axis: Axis) -> tuple[int, int, int]:
    """Return what the loops take of one axis."""
    return axis.stride, axis.before, axis.dilation


def window_steps(axes: tuple[Axis, ...]) -> tuple[tuple[int, ...], ...]:
    """Return stride, before and dilation for three axes; those added have size 1."""
    steps = [(1, 0, 1)] * (MOST_AXES - len(axes)) + [axis_step(axis) for axis in axes]
    return tuple(zip(*steps, strict=True))


def three(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Return three sizes; those added are 1."""
    return (1,) * (MOST_AXES - len(sizes)) + sizes


def volume(array: Array) -> Array:
    """View (a, b, *sizes) as (a, b, D, H, W); a vector stays one."""
    return array.reshape(*array.shape[:2], *three(array.shape[2:])) if array.ndim > 2 else array
