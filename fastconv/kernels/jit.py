"""The only place with Numba flags and decorators."""

from collections.abc import Callable

import numba
from numba.extending import intrinsic

from fastconv.kernels.disk_cache import DiskCache, cache_folder

__all__ = ["intrinsic", "kernel"]


def kernel(function: Callable, variant: str = "", *, inline: bool = False) -> Callable:
    """Compile `function` at its first call for each set of types: serial, without the GIL.

    `variant` tells apart functions of one name that close over different things; `inline` puts the
    machine code into that of every caller.
    """
    dispatcher = numba.njit(nogil=True, error_model="numpy", forceinline=inline)(function)
    folder = cache_folder()
    if folder is not None:
        dispatcher._cache = DiskCache(function, folder, variant)
    return dispatcher
