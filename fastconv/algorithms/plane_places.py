"""Values moved to and from places of planes, in compiled loops: gradients of max pools, unpooling.

One pass over the values and one over the planes; threads take planes, so results are the same with
any number of them.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.algorithms.numba_here import uncompiled
from fastconv.dtypes import ready
from fastconv.kernels.pool import cores, hands, share
from fastconv.planes import check_places
from fastconv.problem import Problem

TILED = {1, 2}
"""Rows, and columns, of windows that are filled where they lie side by side."""
INDEX_BYTES = 8
OPERATIONS = ("scatter", "unpool", "gather")
WORTH = 2**16
"""Values and elements of planes that are worth waking a thread for."""


class PlanePlaces:
    """Planes one after the other, their values in order."""

    name = "plane_places"
    exact = True
    uses_blas = False
    compiled = True
    checks_places = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept float32 and float64, channels first."""
        if problem.operation not in OPERATIONS:
            return f"solves {', '.join(OPERATIONS)}, not {problem.operation}"
        return uncompiled(problem)

    def scratch(self, problem: Problem, limit: int) -> int:
        """Return 0: everything is where it was or where it goes."""
        return 0

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Share the planes between threads.

        Raises
        ------
        ParameterError
            If an index lies outside of its plane, and is not -1; what the result is then is open.
        """
        geometry = problem.scatter
        planes = geometry.batch * geometry.channels
        out, size = math.prod(geometry.out), math.prod(geometry.sizes)
        first, indices, result = (ready(array).reshape(-1) for array in (*inputs, *outputs))
        moves = (
            (result, indices, first) if problem.operation == "gather" else (first, indices, result)
        )
        outside = np.zeros(1, np.int64)
        most = 1 if threads == 1 else max(1, min(threads, cores(), planes))
        most = hands(planes * (out + size), WORTH, most)
        loops, counts = _loops(problem)
        share(loops, (*moves, outside, counts, size), planes, most)
        if outside[0]:
            check_places(indices, size)


@lru_cache(maxsize=512)
def _loops(problem: Problem) -> tuple[Any, Any]:
    """Return the compiled loops, and what they take as the number of values of a plane."""
    from fastconv.kernels import places
    from fastconv.kernels.target import host

    geometry = problem.scatter
    out, sizes = (math.prod(geometry.out[:-1]), geometry.out[-1]), geometry.sizes
    ratios = [size / each for size, each in zip(sizes, geometry.out, strict=True)]
    masks = {problem.dtype.itemsize, INDEX_BYTES} <= set(host().masked_sizes)
    if problem.operation == "scatter" and len(ratios) == 2 and masks and set(ratios) <= TILED:
        rows, taps = map(int, ratios)
        if rows * taps > 1:
            loops = places.tiled_scatter_loops(problem.dtype, rows, taps)
            return loops, (math.prod(out), out[1])
    return getattr(places, f"{problem.operation}_loops")(), math.prod(out)
