"""Pools that are others in disguise: windows of one size and distance, forward.

An adaptive pool whose sizes are multiples of its outputs, as a global one's are, has windows like
all others. The gradient of an average with stride 1 and one divisor is an average of gradients.
"""

from dataclasses import replace
from functools import lru_cache

from fastconv.geometry import Axis, WindowGeometry
from fastconv.lowering.divisors import uniform_divisor
from fastconv.planes import UnevenAxis
from fastconv.problem import Operation, Problem

ADAPTIVE: dict[str, Operation] = {"adaptive_max_pool": "max_pool", "adaptive_avg_pool": "avg_pool"}


@lru_cache(maxsize=1024)
def regular(problem: Problem) -> Problem | None:
    """Return the forward pool over regular windows that a problem is, or None."""
    if problem.direction == "forward":
        if problem.operation not in ADAPTIVE:
            return problem
        if any(axis.size % axis.out for axis in problem.adaptive.axes):
            return None
        axes = tuple(map(_even, problem.adaptive.axes))
        return _with(problem, ADAPTIVE[problem.operation], axes)
    if problem.operation != "avg_pool":
        return None
    window = problem.window
    rule = (problem.count_include_pad, problem.divisor)
    divisor = uniform_divisor(window.axes, *rule)
    if any(axis.stride > 1 or axis.before >= axis.extent for axis in window.axes):
        return None
    if divisor is None or not divisor.is_integer():
        return None
    turned = _with(problem, "avg_pool", tuple(map(_turned, window.axes)))
    return replace(turned, direction="forward", count_include_pad=True, divisor=int(divisor))


def _with(problem: Problem, operation: Operation, axes: tuple[Axis, ...]) -> Problem:
    geometry = problem.geometry
    regular = WindowGeometry(geometry.batch, geometry.channels, axes)
    return replace(problem, operation=operation, geometry=regular)


def _even(axis: UnevenAxis) -> Axis:
    step = axis.size // axis.out
    return Axis(axis.size, step, step, out=axis.out)


def _turned(axis: Axis) -> Axis:
    """Return the windows of gradients that reach each element."""
    before = axis.extent - 1 - axis.before
    after = axis.size - 1 + axis.extent - before - axis.out
    return Axis(axis.out, axis.kernel, 1, axis.dilation, before, max(0, after), out=axis.size)
