"""Gradients of averages, in compiled loops: shares spread over windows, one axis at a time."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.algorithms.numba_here import uncompiled
from fastconv.algorithms.window_rows import MOST_AXES, factors_of
from fastconv.dtypes import Array, ready
from fastconv.geometry import Axis
from fastconv.kernels.pool import cores, share
from fastconv.lowering.pool_table import AnyAxis, spans, three
from fastconv.problem import Problem

OPERATIONS = ("avg_pool", "adaptive_avg_pool")
SERIAL_ELEMENTS = 2**14
"""Elements of the gradients below which handing work over costs more than it saves."""


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
        from fastconv.kernels.pool_spread import spread_loops

        engine, geometry = _engine(problem), problem.geometry
        planes = geometry.batch * geometry.channels
        moves = (ready(inputs[0]).reshape(-1), ready(outputs[0]).reshape(-1))
        most = 1 if engine.small else min(threads, cores(), max(1, planes))
        share(spread_loops(), (*moves, engine.divisors, engine.table), planes, most)


@dataclass(frozen=True)
class _Engine:
    """What depends on the problem only."""

    table: Array
    divisors: Array
    small: bool


@lru_cache(maxsize=512)
def _engine(problem: Problem) -> _Engine:
    from fastconv.kernels.pool_spread import HEADER

    geometry = problem.geometry
    axes = three(problem.window.axes if problem.operation == "avg_pool" else problem.adaptive.axes)
    sizes, outs = [axis.size for axis in axes], [axis.out for axis in axes]
    dilations = [axis.dilation if isinstance(axis, Axis) else 1 for axis in axes]
    numbers = dict(zip(HEADER, [*sizes, *outs, *dilations, int(_pairs(axes[2]))], strict=True))
    words = [numbers[name] for name in HEADER]
    for axis in axes:
        starts, counts = spans(axis)
        words += [*starts, *counts]
    divisors = np.concatenate(factors_of(problem, axes)).astype(problem.dtype)
    elements = math.prod(geometry.input_shape) + math.prod(geometry.output_shape)
    return _Engine(np.array(words, np.int64), divisors, elements < SERIAL_ELEMENTS)


def _pairs(width: AnyAxis) -> bool:
    """Return whether windows are two columns each, all in the input."""
    starts, counts = spans(width)
    return (
        starts == [2 * q for q in range(width.out)]
        and set(counts) == {2}
        and (not isinstance(width, Axis) or width.dilation == 1)
    )
