"""Gradients of averages, in compiled loops: shares spread over windows, one axis at a time."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.algorithms.numba_here import uncompiled
from fastconv.algorithms.window_rows import MOST_AXES, factors_of
from fastconv.dtypes import Array, ready
from fastconv.geometry import Axis
from fastconv.kernels.pool import cores, hands, share
from fastconv.lowering.pool_table import AnyAxis, spans, three
from fastconv.problem import Problem

OPERATIONS = ("avg_pool", "adaptive_avg_pool")
WORTH = 2**16
"""Elements of the gradients that are worth waking a thread for."""
MOST_SIDE = 4
"""Rows, and columns, of windows that are filled where they lie side by side."""


class WindowSpread:
    """Planes one after the other, their windows in order."""

    name = "window_spread"
    exact = True
    uses_blas = False
    compiled = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept averages' gradients in float32 and float64."""
        if problem.operation not in OPERATIONS or problem.direction != "input_gradient":
            return f"solves {', '.join(OPERATIONS)} input_gradient"
        reason = uncompiled(problem)
        if reason is not None:
            return reason
        if len(problem.geometry.sizes) > MOST_AXES:
            return f"written for up to {MOST_AXES} spatial dimensions"
        return None

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count a row of shares and a line for every thread."""
        row = problem.geometry.sizes[-1] + problem.geometry.output_shape[-1]
        return row * problem.dtype.itemsize * cores()

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Share the planes between threads."""
        engine = _engine(problem)
        moves = (ready(inputs[0]).reshape(-1), ready(outputs[0]).reshape(-1))
        most = 1 if threads == 1 else max(1, min(threads, cores(), engine.items))
        most = hands(engine.work, WORTH, most)
        share(engine.loops, (*moves, engine.divisors, engine.table), engine.items, most)


@dataclass(frozen=True)
class _Engine:
    """What depends on the problem only."""

    loops: Any
    items: int
    """Planes, or rows of windows where these lie side by side."""
    table: Any
    divisors: Array
    work: int


@lru_cache(maxsize=512)
def _engine(problem: Problem) -> _Engine:
    from fastconv.kernels.pool_spread import HEADER, spread_loops
    from fastconv.kernels.pool_tiles import tiles_loops

    geometry = problem.geometry
    planes = geometry.batch * geometry.channels
    work = math.prod(geometry.input_shape) + math.prod(geometry.output_shape)
    tiles = _tiles(problem)
    if tiles is not None:
        depth, height, width = tiles
        factor = math.prod(float(factors[0]) for factors in factors_of(problem, tiles))
        reciprocal = abs(math.frexp(factor)[0]) == 0.5  # a power of 2: to multiply is the same
        divisor = np.array([1 / factor if reciprocal else factor], problem.dtype)
        loops = tiles_loops(problem.dtype, reciprocal, height.kernel, width.kernel)
        return _Engine(loops, planes * depth.out * height.out, width.out, divisor, work)
    axes = three(problem.window.axes if problem.operation == "avg_pool" else problem.adaptive.axes)
    sizes, outs = [axis.size for axis in axes], [axis.out for axis in axes]
    dilations = [axis.dilation if isinstance(axis, Axis) else 1 for axis in axes]
    numbers = dict(zip(HEADER, [*sizes, *outs, *dilations, int(_pairs(axes[2]))], strict=True))
    words = [numbers[name] for name in HEADER]
    for axis in axes:
        starts, counts = spans(axis)
        words += [*starts, *counts]
    divisors = np.concatenate(factors_of(problem, axes)).astype(problem.dtype)
    return _Engine(spread_loops(), planes, np.array(words, np.int64), divisors, work)


def _tiles(problem: Problem) -> tuple[Axis, Axis, Axis] | None:
    """Return the axes of small windows that lie side by side in planes, and fill these."""
    if problem.operation == "avg_pool":
        axes = three(problem.window.axes)
    else:
        even = [axis for axis in problem.adaptive.axes if axis.size % axis.out == 0]
        if len(even) < len(problem.adaptive.axes):
            return None
        axes = three(tuple(Axis(a.size, a.size // a.out, a.size // a.out, out=a.out) for a in even))
    for most, axis in zip((1, MOST_SIDE, MOST_SIDE), axes, strict=True):
        filled = axis.kernel == axis.stride and axis.size == axis.out * axis.kernel
        if axis.kernel > most or not filled or axis.before or axis.dilation > 1:
            return None
    return axes


def _pairs(width: AnyAxis) -> bool:
    """Return whether windows are two columns each, all in the input."""
    starts, counts = spans(width)
    return (
        starts == [2 * q for q in range(width.out)]
        and set(counts) == {2}
        and (not isinstance(width, Axis) or width.dilation == 1)
    )
