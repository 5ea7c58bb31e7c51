"""Memory of large results and copies, used again when nobody has it any more.

The operating system hands out fresh memory in pages that it fills with zeros at their first touch,
which takes a third of the time of a layer with few channels. So the last large arrays are kept here
too; one that is referred to from nowhere else is given to the next call that needs its size.
"""

import math
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from fastconv.dtypes import Array

LEAST_BYTES = 2**19
"""Smaller arrays come out of memory that the process keeps anyway."""
MOST_KEPT = 2**26
"""Bytes kept at most; a larger array is never kept."""
ALIGNMENT = 64
_kept: deque[tuple[Array, int]] = deque()
"""Bytes, and where in them the first cache line begins: to ask NumPy for it takes 2 us."""
_lock = threading.Lock()


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array that is not initialised, aligned to a cache line where it is large."""
    size = math.prod(shape) * dtype.itemsize
    if not LEAST_BYTES <= size <= MOST_KEPT or not hasattr(sys, "getrefcount"):
        return np.empty(shape, dtype)
    with _lock:
        whole, start = _unused(size) or _keep(np.empty(size + ALIGNMENT, np.uint8))
        return np.ndarray(shape, dtype, whole, start)


def allocator(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Callable[[], Array]:
    """Return what `empty` calls for arrays of a shape, which takes less time for small ones."""
    small = math.prod(shape) * dtype.itemsize < LEAST_BYTES
    return partial(np.empty if small else empty, shape, dtype)


def _unused(size: int) -> tuple[Array, int] | None:
    """Return the kept array that is large enough, not twice as large, and not in use."""
    for whole, start in _kept:
        if size + ALIGNMENT <= whole.nbytes <= 2 * size and sys.getrefcount(whole) == _NOT_USED:
            return whole, start
    return None


def _count_of_unused() -> int:
    """Return how many references to a kept array `_unused` sees where nobody else has one.

    From its pair, the loop's variable, and the question's argument: interpreters differ in which of
    them they count, so one is asked.
    """
    for whole, start in deque([(np.empty(1), 0)]):
        if whole.nbytes > start and sys.getrefcount(whole):
            return sys.getrefcount(whole)
    return 0


_NOT_USED = _count_of_unused() if hasattr(sys, "getrefcount") else 0


def _keep(whole: Array) -> tuple[Array, int]:
    """Keep one more, and let go of the oldest beyond the limit, in use or not."""
    kept = whole, -whole.ctypes.data % ALIGNMENT
    _kept.append(kept)
    while sum(each.nbytes for each, _ in _kept) > MOST_KEPT + ALIGNMENT:
        _kept.popleft()
    return kept


def _renew() -> None:
    """After a fork, when another thread may have had the lock."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
