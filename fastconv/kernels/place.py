"""Which core a thread runs on, and how it leaves one that another thread needs.

Linux sometimes wakes a worker on the very core that its caller computes on, though another is
idle, and leaves both there for tens of milliseconds. Elsewhere nothing is known, and nothing done.
"""

import ctypes
import functools
import os
from collections.abc import Callable

NOWHERE = -1


def here() -> int:
    """Return the number of the core this thread runs on, or `NOWHERE`."""
    return _asking()()


def step_aside(core: int) -> None:
    """Move this thread to another core, if it may use one; it may come back later."""
    allowed = os.sched_getaffinity(0)
    others = allowed - {core}
    if others:
        os.sched_setaffinity(0, others)
        os.sched_setaffinity(0, allowed)


@functools.cache
def _asking() -> Callable[[], int]:
    try:
        ask = ctypes.PyDLL(None).sched_getcpu  # PyDLL keeps the GIL: this takes no time
        os.sched_setaffinity(0, os.sched_getaffinity(0))
    except (AttributeError, OSError, TypeError):
        return lambda: NOWHERE
    return ask
