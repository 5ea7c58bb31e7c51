"""Whether there is a compiler, and what all it compiles for convolutions refuses."""

import importlib.util
from functools import cache

from fastconv.problem import Problem


@cache
def numba_installed() -> bool:
    """Whether Numba can be imported, found out without importing it."""
    try:
        return importlib.util.find_spec("numba") is not None
    except (ImportError, ValueError):  # blocked, or half imported
        return False


def refusal(problem: Problem, most_axes: int, direction: str = "forward") -> str | None:
    """Return why no generated code convolves, so directed and over so many axes, or None."""
    if problem.operation != "conv" or problem.direction != direction:
        return f"solves conv {direction}, not {problem.operation} {problem.direction}"
    if problem.not_compiled is not None:
        return problem.not_compiled
    if not numba_installed():
        return "Numba is not installed (pip install numba)"
    if problem.conv.rank > most_axes:
        return f"written for up to {most_axes} spatial dimensions"
    return None
