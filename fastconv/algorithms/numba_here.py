"""Whether there is a compiler, and what all it compiles for convolutions refuses."""

import importlib.util
from functools import cache

from fastconv.problem import Problem

NOT_INSTALLED = "Numba is not installed (pip install numba)"


@cache
def numba_installed() -> bool:
    """Whether Numba can be imported, found out without importing it."""
    try:
        return importlib.util.find_spec("numba") is not None
    except (ImportError, ValueError):  # blocked, or half imported
        return False


def uncompiled(problem: Problem) -> str | None:
    """Return why nothing that is compiled computes a problem, or None."""
    if problem.not_compiled is not None:
        return problem.not_compiled
    return None if numba_installed() else NOT_INSTALLED


def refusal(problem: Problem, most_axes: int, direction: str = "forward") -> str | None:
    """Return why no generated code convolves, so directed and over so many axes, or None."""
    if problem.operation != "conv" or problem.direction != direction:
        return f"solves conv {direction}, not {problem.operation} {problem.direction}"
    reason = uncompiled(problem)
    if reason is not None:
        return reason
    if problem.conv.rank > most_axes:
        return f"written for up to {most_axes} spatial dimensions"
    return None
