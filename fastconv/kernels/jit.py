"""The only place with Numba flags and decorators."""

import os
from collections.abc import Callable

import numba
from llvmlite.binding.ffi import lib
from numba import types
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic, overload

from fastconv.kernels.disk_cache import DiskCache, cache_folder

__all__ = ["by_type", "intrinsic", "kernel"]


def by_type(integers: Callable, complexes: Callable, others: Callable) -> Callable:
    """Return what kernels call as one function of two numbers, chosen by the type of the first."""

    def chosen(first, second):
        raise NotImplementedError("for compiled code only")

    @overload(chosen, jit_options={"error_model": "numpy"})
    def choose(first, second):
        if isinstance(first, types.Complex):
            return complexes
        return integers if isinstance(first, types.Integer) else others

    return chosen


def kernel(function: Callable, variant: str = "", *, inline: bool = False) -> Callable:
    """Compile `function` at its first call for each set of types: serial, without the GIL.

    `variant` tells apart functions of one name that close over different things; `inline` puts the
    machine code into that of every caller.
    """
    if variant:
        # Symbols are named after the function. From the disk come symbols that several processes
        # numbered on their own; one name for two of them would run one in the place of the other.
        function.__qualname__ = f"{function.__qualname__}[{variant}]"
    dispatcher = numba.njit(nogil=True, error_model="numpy", forceinline=inline)(function)
    folder = cache_folder()
    if folder is not None:
        dispatcher._cache = DiskCache(function, folder, variant)
    return dispatcher


def _hold_compiler() -> None:
    global_compiler_lock.acquire()
    lib._lock.__enter__()


def _let_go_of_compiler() -> None:
    lib._lock.__exit__(None, None, None)
    global_compiler_lock.release()


if hasattr(os, "register_at_fork") and hasattr(lib, "_lock"):
    # Forked while another thread compiles, a child would wait for ever for that thread, which it
    # has not, to let go of the compiler, or of LLVM.
    os.register_at_fork(
        before=_hold_compiler,
        after_in_parent=_let_go_of_compiler,
        after_in_child=_let_go_of_compiler,
    )
