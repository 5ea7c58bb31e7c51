"""Sharing the items of a call between threads that meet in compiled code, without the GIL.

The operating system needs some 50 microseconds to wake a thread, which is as long as many a layer
takes, and whoever asks for the GIL while another has it is put to sleep. So threads take parts,
find out that all are done, and look out for the next call in compiled code, by a few integers that
they change in single steps: a call's *state*, and the *bell* that every call rings.
"""

import functools
import time
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types

from fastconv.kernels.jit import intrinsic, kernel
from fastconv.kernels.vector import data_pointer

TAKEN, ENTERED, FINISHED = 0, 1, 2
"""Places of a state: parts taken; helpers that began, and `CLOSED` when no more may; that ended."""
CLOSED = 2**32
LOOKS = 2000
"""Looks that are timed once: a pause takes 10 to 140 cycles, depending on the CPU."""


def shared(loops: Callable, variant: str) -> Callable:
    """Compile loops, whose last two parameters are a range of items, to be shared by threads.

    What is returned has an attribute `parts`, which the caller and any number of helpers call on
    the same arrays: whether it is the caller; the state, zeros at first; where each part begins,
    and the end; the bell; how often to look out; and all arguments but the range. It returns when
    no part is left to the caller and all helpers are done, or it has looked out for that often
    enough: whether they are. A helper that is done, or comes too late, when the call is closed,
    looks out for the bell.
    """
    whole = kernel(loops, variant)

    def parts(caller, state, bounds, bell, looks, *arguments):
        heard = _read(bell, 0)
        if caller:
            _add(bell, 0, 1)
        elif _add(state, ENTERED, 1) >= CLOSED:
            _add(state, ENTERED, -1)
            return _changes(bell, heard, looks)
        while True:
            part = _add(state, TAKEN, 1)
            if part >= bounds.size - 1:
                break
            whole(*arguments, bounds[part], bounds[part + 1])
        if caller:
            return _all_finish(state, _add(state, ENTERED, CLOSED), looks)
        _add(state, FINISHED, 1)
        return _changes(bell, heard, looks)

    module = loops.__module__.rpartition(".")[2]
    whole.parts = kernel(parts, f"{module}-{loops.__name__}-{variant}")
    return whole


@functools.cache
def looks_per_second() -> float:
    """Return how often a thread looks in a second."""
    never = np.zeros(1, np.int64)
    look_out(never, 1)
    start = time.perf_counter()
    look_out(never, LOOKS)
    return LOOKS / (time.perf_counter() - start)


def look_out(bell: np.ndarray, looks: int) -> bool:
    """Look at a bell until it is rung, or often enough; return whether it was."""
    return _compiled()[0](bell, looks)


def leave(state: np.ndarray) -> None:
    """Say that a helper is done which failed, and so could not say it itself."""
    _compiled()[1](state)


@functools.cache
def _compiled() -> tuple[Callable, Callable]:
    def look_out(bell, looks):
        return _changes(bell, _read(bell, 0), looks)

    def leave(state):
        _add(state, FINISHED, 1)

    return kernel(look_out), kernel(leave)


def _wait_for_helpers(state, entered, looks):
    for _ in range(looks):
        if _read(state, FINISHED) >= entered:
            return True
        _pause(state)
    return _read(state, FINISHED) >= entered


def _wait_for_change(bell, heard, looks):
    for _ in range(looks):
        if _read(bell, 0) != heard:
            return True
        _pause(bell)
    return False


_all_finish = kernel(_wait_for_helpers, inline=True)
_changes = kernel(_wait_for_change, inline=True)


@intrinsic
def _add(typing, integers, place, amount):
    """Add to an integer in a single step for all threads, and return what it was before."""

    def emit(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, arguments)
        amount = context.cast(builder, arguments[2], signature.args[2], types.int64)
        return builder.atomic_rmw("add", pointer, amount, "seq_cst")

    return types.int64(integers, types.intp, amount), emit


@intrinsic
def _read(typing, integers, place):
    """Read an integer anew, as another thread may have changed it."""

    def emit(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, arguments)
        return builder.load_atomic(pointer, "seq_cst", 8)

    return types.int64(integers, types.intp), emit


@intrinsic
def _pause(typing, integers):
    """Let the other thread of the core, and memory, have a moment."""

    def emit(context, builder, signature, arguments):
        if "x86" in builder.module.triple:
            name, kind = "llvm.x86.sse2.pause", ir.FunctionType(ir.VoidType(), [])
            known = builder.module.globals.get(name)
            builder.call(known or ir.Function(builder.module, kind, name), [])
        return context.get_dummy_value()

    return types.void(integers), emit


def _pointer(context, builder, signature, arguments):
    return data_pointer(context, builder, signature.args[0], arguments[0], arguments[1])
