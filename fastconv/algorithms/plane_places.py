"""Values moved to and from places of planes, in compiled loops: gradients of max pools, unpooling.

One pass over the values and one over the planes; threads take planes, so results are the same with
any number of them.
"""

import math
from typing import Any

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.algorithms.numba_here import uncompiled
from fastconv.dtypes import ready
from fastconv.kernels.pool import cores, hands, share
from fastconv.planes import check_places
from fastconv.problem import Problem

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
        share(_loops(problem.operation), (*moves, outside, out, size), planes, most)
        if outside[0]:
            check_places(indices, size)


def _loops(operation: str) -> Any:
    from fastconv.kernels import places

    return getattr(places, f"{operation}_loops")()
