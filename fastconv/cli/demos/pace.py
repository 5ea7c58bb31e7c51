"""Timing one function of a demo."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
SECONDS = 0.3
"""How long a function is repeated."""


def pace(function: Callable[[], Result], repetitions: int = 50) -> tuple[float, Result]:
    """Return the best time of some calls, in seconds, and what the function returned.

    With more than one repetition a first call goes before, uncounted: it plans, and may compile.
    """
    if repetitions > 1:
        function()
    best, end = float("inf"), time.perf_counter() + SECONDS
    for _ in range(repetitions):
        start = time.perf_counter()
        result = function()
        stop = time.perf_counter()
        best = min(best, stop - start)
        if stop > end:
            break
    return best, result
