"""Which core a thread runs on, and how to keep another thread away from it.

Linux sometimes wakes a worker on the very core that its caller computes on, though another is
idle: the worker then waits for some milliseconds, and both may stay there for many more. On other
systems nothing is known, and nothing done.
"""

import contextlib
import ctypes
import functools
import os
from collections.abc import Callable

NOWHERE = -1


def here() -> int:
    """Return the number of the core this thread runs on, or `NOWHERE`."""
    return _asking()()


def keep_away(thread: int, core: int) -> None:
    """Let a thread, by its number, run on all cores that this one may use, but not on one of them.

    Where there is no other it may stay. A thread that has ended is no error.
    """
    others = os.sched_getaffinity(0) - {core}
    if others:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(thread, others)


@functools.cache
def _asking() -> Callable[[], int]:
    try:
        ask = ctypes.PyDLL(None).sched_getcpu  # PyDLL keeps the GIL: this takes no time
        os.sched_setaffinity(0, os.sched_getaffinity(0))
    except (AttributeError, OSError, TypeError):
        return lambda: NOWHERE
    return ask
