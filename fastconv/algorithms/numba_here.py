"""Whether there is a compiler."""

import importlib.util
from functools import cache


@cache
def numba_installed() -> bool:
    """Whether Numba can be imported, found out without importing it."""
    try:
        return importlib.util.find_spec("numba") is not None
    except (ImportError, ValueError):  # blocked, or half imported
        return False
