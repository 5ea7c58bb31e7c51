"""Values moved to and from places of planes, in compiled loops: gradients of max pools, unpooling.

One pass over the values and one over the planes; threads take planes, so results are the same with
any number of them.
"""

import math
from typing import Any

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.algorithms.numba_here import uncompiled
from fastconv.dtypes import ready
from fastconv.kernels.pool import cores, share
from fastconv.problem import Problem

OPERATIONS = ("scatter", "unpool", "gather")
SERIAL_VALUES = 2**14
"""Values and elements of planes below which handing work over costs more than it saves."""


class PlanePlaces:
    """Planes one after the other, their values in order."""

    name = "plane_places"
    exact = True
    uses_blas = False
    compiled = True

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
        """Share the planes between threads."""
        geometry = problem.scatter
        planes = geometry.batch * geometry.channels
        out, size = math.prod(geometry.out), math.prod(geometry.sizes)
        first, indices, result = (ready(array).reshape(-1) for array in (*inputs, *outputs))
        moves = (
            (result, indices, first) if problem.operation == "gather" else (first, indices, result)
        )
        small = planes * (out + size) < SERIAL_VALUES
        most = 1 if small else min(threads, cores(), max(1, planes))
        share(_loops(problem.operation), (*moves, out, size), planes, most)


def _loops(operation: str) -> Any:
    from fastconv.kernels import places

    return getattr(places, f"{operation}_loops")()
