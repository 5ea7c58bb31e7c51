"""Pools of small planes by generated machine code: whole planes as one row of vectors."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.algorithms.regular_pool import regular
from fastconv.algorithms.window_rows import KINDS, divisors_of, unreduced
from fastconv.dtypes import Array, ready
from fastconv.geometry import Axis
from fastconv.kernels.pool import cores, hands, share
from fastconv.lowering.pool_sheet import PoolSheet
from fastconv.lowering.pool_table import spans, three
from fastconv.problem import Problem

MOST_TAPS = 3
MOST_ROW_BYTES = 2**9
"""Input of a row beyond which to begin and end it takes little of the time."""
MOST_PLANE_BYTES = 2**15
"""Input of a plane, which has to stay in the nearest cache with what is made of it."""
WORTH = 2**16
"""Elements of input and output that are worth waking a thread for."""


class WindowPlanes:
    """Small windows, in planes of rows of a few vectors."""

    name = "window_planes"
    exact = True
    uses_blas = False
    compiled = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept windows that leave rows as long as they are, or that rows consist of."""
        refusal = unreduced(problem)
        if refusal is not None:
            return refusal
        found = regular(problem) or problem
        if found.layout != "channels_first":
            return "planes of channels first only"
        return _unfit(found)

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count the sheet of every thread that may be used."""
        engine = _engine_of(problem)
        return engine.scratch * min(cores(), engine.planes)

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Share the planes between threads."""
        self.settle(problem, limit, threads)(inputs, outputs)

    def settle(
        self, problem: Problem, limit: int, threads: int
    ) -> Callable[[Inputs, Outputs], None]:
        """Return `run` with all settled that does not depend on the data."""
        engine = _engine_of(problem)
        loops, planes, work = engine.loops, engine.planes, engine.work
        divisors, table = engine.divisors, engine.table
        threads = max(1, min(threads, cores(), limit // engine.scratch))

        def solve(inputs: Inputs, outputs: Outputs) -> None:
            moves = (ready(inputs[0]).reshape(-1), ready(outputs[0]).reshape(-1))
            most = hands(work, WORTH, threads)
            share(loops, (*moves, divisors, table), planes, most)

        return solve


def _unfit(problem: Problem) -> str | None:
    """Return why windows or planes are not those that are reduced here, or None."""
    from fastconv.kernels.target import host

    axes = problem.window.axes
    if len(axes) > 3:
        return "written for up to 3 spatial dimensions"
    depth, height, width = three(axes)
    item = problem.dtype.itemsize
    if item not in host().masked_sizes:
        return f"vectors of {problem.dtype} have no masks here"
    if _form(depth) != (1, 1, 0) or depth.out != depth.size:
        return "windows of more than one slab, or not of every slab"
    if any(axis.dilation > 1 for axis in (height, width)):
        return "dense windows only"
    if not (1 < width.kernel <= MOST_TAPS and height.kernel <= MOST_TAPS):
        return f"2 or 3 columns, and up to {MOST_TAPS} rows, only"
    if 0 in spans(height)[1]:
        return "windows without any element"
    if width.size * item > MOST_ROW_BYTES or width.size * height.size * item > MOST_PLANE_BYTES:
        return "rows, or planes, are not small"
    if width.stride == height.stride == 1 and width.out == width.size:
        return None if width.before < width.kernel else "windows without any element"
    filled = width.stride == width.kernel and width.size == width.out * width.stride
    inside = not (width.before or height.before) and set(spans(height)[1]) == {height.kernel}
    if filled and inside:
        return None
    return "rows grow or shrink, and do not consist of windows"


def _form(axis: Axis) -> tuple[int, int, int]:
    return axis.kernel, axis.stride, axis.before


@dataclass(frozen=True)
class _Engine:
    """What depends on the problem only."""

    loops: Any
    planes: int
    table: Array
    divisors: Array
    scratch: int
    """Bytes of each thread."""
    work: int


@lru_cache(maxsize=512)
def _engine_of(problem: Problem) -> _Engine:
    """Return the engine of a problem that is, or comes down to, regular windows."""
    from fastconv.kernels import target
    from fastconv.kernels.pool_planes import ALIGNMENT, planes_loops
    from fastconv.kernels.reduction import Reduction

    problem = regular(problem) or problem
    axes = three(problem.window.axes)
    depth, height, width = axes
    dtype, lanes = problem.dtype, target.host().lanes(problem.dtype)
    skips = problem.nan == "ignore" and dtype.kind == "f"
    factors, reciprocal = divisors_of(problem, axes)
    reduction = Reduction(KINDS[problem.operation], dtype, lanes, skips, reciprocal)
    sheet = PoolSheet(height, width, lanes)
    return _Engine(
        planes_loops(reduction, height.kernel, width.kernel, width.stride, width.before),
        problem.window.batch * problem.window.channels * depth.size,
        np.array(sheet.words(), np.int64),
        factors[0][0] * np.multiply.outer(*factors[1:]).reshape(-1),
        (sheet.length + ALIGNMENT) * dtype.itemsize,
        math.prod(problem.window.input_shape) + math.prod(problem.window.output_shape),
    )
