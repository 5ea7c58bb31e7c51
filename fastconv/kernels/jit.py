"""The only place with Numba flags and decorators."""

from collections.abc import Callable

import numba

from fastconv.kernels.disk_cache import DiskCache, cache_folder


def kernel(function: Callable) -> Callable:
    """Compile `function` at its first call for each set of types: serial, without the GIL."""
    dispatcher = numba.njit(nogil=True, error_model="numpy")(function)
    folder = cache_folder()
    if folder is not None:
        dispatcher._cache = DiskCache(function, folder)
    return dispatcher
