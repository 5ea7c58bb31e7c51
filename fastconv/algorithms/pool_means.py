"""Averages and norms of windows, and their gradients."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastconv.algorithms.pool_extremes import extremes_with_places
from fastconv.algorithms.pool_passes import even, reduce, reduced, taps
from fastconv.algorithms.pool_places import scatter
from fastconv.dtypes import Array, Dtype
from fastconv.geometry import Axis
from fastconv.lowering.divisors import divisors, uneven_divisors, uniform_divisor
from fastconv.planes import UnevenAxis
from fastconv.problem import Problem


def shares_of(problem: Problem, dtype: Dtype) -> Array | None:
    """Return what sums are divided by: one number if it is everywhere the same.

    Of an lp pool, the part of a window's taps that counts: 1 but where it overhangs the padding.
    """
    if problem.operation == "adaptive_avg_pool":
        shares = uneven_divisors(problem.adaptive.axes)
    elif problem.operation == "avg_pool":
        rule = (problem.window.axes, problem.count_include_pad, problem.divisor)
        uniform = uniform_divisor(*rule)
        shares = divisors(*rule) if uniform is None else np.asarray(uniform)
    elif problem.operation == "lp_pool":
        uniform = uniform_divisor(problem.window.axes, True, None)
        counts = divisors(problem.window.axes, True, None) if uniform is None else uniform
        shares = np.asarray(counts / problem.window.taps)
    else:
        return None
    return shares.astype(dtype)


def averages(problem: Problem, inputs: list[Array], outputs: list[Array], shares: Array) -> None:
    """Solve avg_pool and adaptive_avg_pool."""
    _sums(inputs[0], _axes(problem), outputs[0])
    _divide(outputs[0], shares)


def average_gradients(
    problem: Problem, inputs: list[Array], outputs: list[Array], shares: Array
) -> None:
    """Solve the gradients of avg_pool and adaptive_avg_pool."""
    share = inputs[0].copy()
    _divide(share, shares)
    _spread(share, _axes(problem), outputs[0])


def _divide(y: Array, shares: Array) -> None:
    """Divide in place; integers towards zero, and those of a divisor of 0, which are 0, by 1."""
    if y.dtype.kind == "c":
        # by real numbers, so part by part: NumPy's complex quotients round twice
        y.real /= shares.real
        y.imag /= shares.real
        return
    if y.dtype.kind not in "iu":
        y /= shares
        return
    shares = np.where(shares == 0, 1, shares).astype(y.dtype)
    y -= np.fmod(y, shares)
    y //= shares


def norms(problem: Problem, inputs: list[Array], outputs: list[Array], shares: Array) -> None:
    """Solve lp_pool."""
    x, norm = inputs[0], norm_of(problem)
    if np.isinf(norm):
        x = np.abs(x)
        for dimension, axis in enumerate(problem.window.axes, 1):
            target = np.empty(reduced(x, dimension, axis), x.dtype)
            reduce(np.maximum, x, target, dimension, axis, 0)
            x = target
        outputs[0][:] = x
        return
    _sums(power(x, norm), list(problem.window.axes), outputs[0])
    outputs[0][:] = power(outputs[0] / shares, 1 / norm)


def norm_gradients(
    problem: Problem, inputs: list[Array], outputs: list[Array], shares: Array
) -> None:
    """Solve the gradient of lp_pool: nothing flows through a norm of 0."""
    gy, x, y = inputs
    norm, axes = norm_of(problem), list(problem.window.axes)
    if np.isinf(norm):
        _largest_gradients(problem, gy, x, outputs)
        return
    share = np.where(y == 0, 0, gy / power(y, norm - 1) / shares)
    _spread(share, axes, outputs[0])
    if norm != 1:
        outputs[0][:] *= power(x, norm - 1)


def _largest_gradients(problem: Problem, gy: Array, x: Array, outputs: list[Array]) -> None:
    """Give each gradient to the first element of the largest magnitude, with its sign."""
    largest, places = np.empty(gy.shape, x.dtype), np.empty(gy.shape, np.int64)
    extremes_with_places(np.abs(x), list(problem.window.axes), largest, places, False, False)
    gx = np.empty(x.shape, x.dtype)
    scatter(problem, [gy, places], [gx])
    outputs[0][:] = gx * np.sign(x)


def norm_of(problem: Problem) -> float:
    """Return the power of an lp pool."""
    return 1.0 if problem.norm is None else problem.norm


def power(x: Array, exponent: float) -> Array:
    """Return x ** exponent, exact where that is easy."""
    if exponent == 1:
        return x
    if exponent == 2:
        return x * x
    return np.asarray(np.sqrt(x) if exponent == 0.5 else x**exponent)


def _axes(problem: Problem) -> list[Any]:
    if problem.operation.startswith("adaptive"):
        return [even(axis) for axis in problem.adaptive.axes]
    return list(problem.window.axes)


def _sums(x: Array, axes: list[Any], y: Array) -> None:
    """Add up the windows, outermost axis first: its slices are whole rows."""
    for dimension, axis in enumerate(axes, 1):
        last = dimension == len(axes)
        target = y if last else np.empty(reduced(x, dimension, axis), x.dtype)
        reduce(np.add, x, target, dimension, axis, 0)
        x = target


def _spread(share: Array, axes: list[Any], gx: Array) -> None:
    """Run the adjoint of each pass of `_sums`, in the opposite order."""
    for dimension, axis in reversed(list(enumerate(axes, 1))):
        size = (*share.shape[:dimension], axis.size, *share.shape[dimension + 1 :])
        target = gx if dimension == 1 else np.empty(size, share.dtype)
        if isinstance(axis, UnevenAxis):
            reduce(np.add, share, target, dimension, UnevenAxis(axis.out, axis.size), 0)
        else:
            target[:] = 0
            for source, place in _spread_taps(dimension, axis):
                target[source] += share[place]
        share = target


def _spread_taps(dimension: int, axis: Axis) -> Iterator[tuple[Any, Any]]:
    """Yield (input slice, output slice), tap by tap, or window by window where those are few."""
    if 2 * axis.out > axis.kernel:
        yield from taps(dimension, axis)
        return
    before = (slice(None),) * dimension
    for position in range(axis.out):
        yield (*before, axis.span(position)), (*before, slice(position, position + 1))
