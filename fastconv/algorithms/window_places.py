"""Maxima and minima with their places, in compiled loops: tap by tap over a row of windows."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.algorithms.numba_here import NOT_INSTALLED, numba_installed
from fastconv.algorithms.pool_extremes import extreme_of_nothing
from fastconv.dtypes import Array, ready
from fastconv.geometry import Axis
from fastconv.kernels.pool import cores, share
from fastconv.lowering.pool_table import AnyAxis, spans, three
from fastconv.problem import Problem

OPERATIONS = ("max_pool", "min_pool", "adaptive_max_pool")
MOST_AXES = 3
MOST_PLANE = 2**31
"""Elements of a plane beyond which places do not fit what they are kept in."""
MOST_TAPS = 256
"""Taps beyond which to reduce one axis after the other in NumPy takes less time."""
SERIAL_WORK = 2**14
"""Elements of all windows below which handing work over costs more than it saves."""


class WindowPlaces:
    """Rows of windows, each tap of all of them at a time."""

    name = "window_places"
    exact = True
    uses_blas = False
    compiled = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept maxima and minima of floats and integers."""
        if problem.operation not in OPERATIONS:
            return f"solves {', '.join(OPERATIONS)}, not {problem.operation}"
        if problem.not_compiled is not None and problem.dtype.kind not in "biu":
            return f"compares no {problem.dtype} here"
        adaptive = problem.operation == "adaptive_max_pool"
        if not (adaptive or problem.indices):
            return "nobody asks for indices"
        if not adaptive and problem.window.taps > MOST_TAPS:
            return f"{problem.window.taps} taps, more than {MOST_TAPS}, are taken an axis at a time"
        if not numba_installed():
            return NOT_INSTALLED
        if len(problem.geometry.sizes) > MOST_AXES:
            return f"written for up to {MOST_AXES} spatial dimensions"
        if math.prod(problem.geometry.sizes) >= MOST_PLANE:
            return f"planes have {MOST_PLANE} elements or more"
        return None

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count rows of values and results for every thread, and places that nobody asked for."""
        geometry = problem.geometry
        row = geometry.output_shape[-1] * (2 * problem.dtype.itemsize + 8) * cores()
        return row + (0 if problem.indices else math.prod(geometry.output_shape) * 8)

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Share the rows of all planes between threads."""
        engine = _engine(problem)
        y = ready(outputs[0]).reshape(-1)
        indices = ready(outputs[1]).reshape(-1) if problem.indices else np.empty(y.size, np.int64)
        arguments = (ready(inputs[0]).reshape(-1), y, indices, engine.nothing, engine.table)
        most = 1 if engine.small else min(threads, cores())
        share(engine.loops, arguments, engine.rows, most)


@dataclass(frozen=True)
class _Engine:
    """What depends on the problem only."""

    loops: Any
    table: Array
    nothing: Any
    rows: int
    small: bool


@lru_cache(maxsize=512)
def _engine(problem: Problem) -> _Engine:
    from fastconv.kernels.pool_places import places_loops

    geometry, lowest = problem.geometry, problem.operation == "min_pool"
    adaptive = problem.operation == "adaptive_max_pool"
    depth, height, width = three(problem.adaptive.axes if adaptive else problem.window.axes)
    dtype, skips = problem.dtype, problem.nan == "ignore" and problem.dtype.kind == "f"
    words = [axis.size for axis in (depth, height, width)]
    words += [axis.out for axis in (depth, height, width)]
    words += [_steps(axis)[1] for axis in (depth, height)]
    words += [_steps(width)[0], width.kernel]
    for axis in (depth, height):
        starts, counts = spans(axis)
        words += [*starts, *counts]
    words += _columns(width)
    return _Engine(
        places_loops(dtype, lowest, skips, isinstance(width, Axis)),
        np.array(words, np.int64),
        dtype.type(extreme_of_nothing(dtype, lowest)),
        geometry.batch * geometry.channels * depth.out * height.out,
        problem.flops < SERIAL_WORK,
    )


def _steps(axis: AnyAxis) -> tuple[int, int]:
    """Return stride and dilation."""
    return (axis.stride, axis.dilation) if isinstance(axis, Axis) else (1, 1)


def _columns(width: AnyAxis) -> list[int]:
    """Return what `kernels.pool_places` needs of the columns."""
    if not isinstance(width, Axis):
        starts, counts = spans(width)
        return [*starts, *counts]
    taps = range(width.kernel)
    ranges = [width.inside(tap) for tap in taps]
    places = [tap * width.dilation - width.before for tap in taps]
    return [*places, *(low for low, _ in ranges), *(high for _, high in ranges)]
