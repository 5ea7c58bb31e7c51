"""Sharing the items of a call between threads that meet in compiled code, without the GIL.

The operating system needs some 50 microseconds to wake a thread, which is as long as many a layer
takes, and whoever asks for the GIL while another has it is put to sleep. So a worker waits for
calls in compiled code, at a *box* of its own: the caller puts the address of a *task* there, which
is machine code and its arguments, and the worker runs it. All that threads tell one another are a
few integers that change in single steps.

A task lies on its caller's stack. So the caller takes it back from every box where it was not taken
yet, and does not return before all that took it are done: nobody touches its arrays afterwards.
"""

import functools
import os
import time
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, typing

from fastconv.kernels.jit import intrinsic, kernel
from fastconv.kernels.vector import INT32, INT64, data_pointer

TAKEN, FINISHED, FAILED = 0, 1, 2
"""Places of a call's state: parts taken, helpers that ended, and how many threads failed."""
BOX_WORDS = 16
"""From a box to the next, so that no two are in one line of a cache."""
TASK, AWAKE = 0, 1
"""Places of a box: what is to be done, and whether its worker looks at it."""
NOTHING, COME_OUT, BUSY = 0, 1, 2
"""A box's task where it is no address: a worker that finds `COME_OUT` stops looking."""
PATIENCE = 1000
"""Looks at whether the helpers are done before other threads of the system get the core."""
LOOKS = 2000
"""Looks that are timed once: a pause takes 10 to 140 cycles, depending on the CPU."""
ADDRESS = INT64
"""A pointer, as other threads are told it."""


def shared(loops: Callable, variant: str) -> Callable:
    """Compile loops, whose last two parameters are a range of items, to be shared by threads.

    What is returned has an attribute `parts`, which the caller calls with: the boxes; how many of
    them have a worker; how many helpers are wanted; where each part begins, and the end; and all
    arguments but the range. It returns when all is done: whether any thread failed, which it does
    where memory runs out.
    """
    whole = kernel(loops, variant)

    def work(state, bounds, arguments):
        while _read(state, FAILED) == 0:
            part = _add(state, TAKEN, 1)
            if part >= bounds.size - 1:
                return
            whole(*arguments, bounds[part], bounds[part + 1])

    module = loops.__module__.rpartition(".")[2]
    variant = f"{module}-{loops.__name__}-{variant}"
    work.__qualname__ += f"[{variant}]"  # symbols are named after it, see `jit.kernel`
    run_work = _runner(work)

    def parts(boxes, workers, helpers, bounds, *arguments):
        state = np.zeros(3, np.int64)
        task = run_work(state, bounds, arguments)
        posted = _post(boxes, workers, helpers, task)
        _run(task)
        helping = posted - _take_back(boxes, workers, posted, task)
        looks = PATIENCE
        while _read(state, FINISHED) <= helping:  # the caller is one more
            if looks > 0:
                looks -= 1
                _pause(state)
            else:
                _let_others_run(state)
        return state[FAILED] > 0

    whole.parts = kernel(parts, variant)
    return whole


@functools.cache
def looks_per_second() -> float:
    """Return how often a thread looks in a second."""
    box = np.zeros(BOX_WORDS, np.int64)
    serve(box, 0, 1)
    start = time.perf_counter()
    serve(box, 0, LOOKS)
    return LOOKS / (time.perf_counter() - start)


def serve(boxes: np.ndarray, worker: int, looks: int) -> None:
    """Run the tasks that come to a worker's box, until it is called out or none came for long."""
    _compiled()[0](boxes, worker * BOX_WORDS, looks)


def call_out(boxes: np.ndarray, worker: int) -> None:
    """Let a worker that waits at its box return; one that is busy will anyway."""
    _compiled()[1](boxes, worker * BOX_WORDS)


@functools.cache
def _compiled() -> tuple[Callable, Callable]:
    def serve(boxes, box, looks):
        left = looks
        _exchange(boxes, box + AWAKE, 1)
        while left >= 0 or _read(boxes, box + TASK) != NOTHING:
            task = _read(boxes, box + TASK)
            if task == NOTHING:
                left -= 1
                _pause(boxes)
                if left < 0:  # a caller may have seen it awake: it looks once more, after saying so
                    _exchange(boxes, box + AWAKE, 0)
            elif task == COME_OUT:
                _exchange_if(boxes, box + TASK, COME_OUT, NOTHING)
                break
            elif _exchange_if(boxes, box + TASK, task, BUSY):
                _run(task)
                _exchange(boxes, box + TASK, NOTHING)
                _exchange(boxes, box + AWAKE, 1)
                left = looks
        _exchange(boxes, box + AWAKE, 0)

    def call_out(boxes, box):
        if _read(boxes, box + AWAKE):
            _exchange_if(boxes, box + TASK, NOTHING, COME_OUT)

    return kernel(serve), kernel(call_out)


def _post_to_free(boxes, workers, helpers, task):
    posted = 0
    for worker in range(workers):
        if posted == helpers:
            break
        if _exchange_if(boxes, worker * BOX_WORDS + TASK, NOTHING, task):
            posted += 1
    return posted


def _take_back_from_all(boxes, workers, posted, task):
    taken = 0
    for worker in range(workers):
        if posted == 0:
            break
        if _exchange_if(boxes, worker * BOX_WORDS + TASK, task, NOTHING):
            taken += 1
    return taken


_post = kernel(_post_to_free, inline=True)
_take_back = kernel(_take_back_from_all, inline=True)


def _runner(work: Callable) -> Callable:
    """Return what makes a task of `work(state, bounds, arguments)` in the caller's frame.

    It returns the task's address. When the work is done, or has failed, `FINISHED` is added to the
    state, and after that nothing of the call is touched.
    """

    @intrinsic
    def run_work(typing_context, state, bounds, arguments):
        pack = types.Tuple((state, bounds, arguments))

        def emit(context, builder, signature, values):
            stack = cgutils.alloca_once_value(builder, context.make_tuple(builder, pack, values))
            function = _machine_code(context, builder, work, pack, stack.type)
            task = cgutils.alloca_once(builder, ADDRESS, size=2)
            for place, pointer in enumerate((function, stack)):
                slot = builder.gep(task, [ir.Constant(INT32, place)])
                builder.store(builder.ptrtoint(pointer, ADDRESS), slot)
            return builder.ptrtoint(task, ADDRESS)

        return types.int64(state, bounds, arguments), emit

    return run_work


def _machine_code(context, builder, work: Callable, pack, pointer) -> ir.Function:
    """Return a function of the module which takes a pointer to a pack and does the work on it."""
    module = builder.module
    name = module.get_unique_name("task")
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer]), name)
    function.linkage = "internal"
    inner = ir.IRBuilder(function.append_basic_block())
    values = cgutils.unpack_tuple(inner, inner.load(function.args[0]), 3)
    signature = typing.signature(types.void, *pack.types)
    compiled = context.compile_subroutine(builder, work, signature)
    status, _ = context.call_internal_no_propagate(inner, compiled.fndesc, signature, values)
    state = data_pointer(context, inner, pack.types[0], values[0], ir.Constant(ADDRESS, 0))
    one = ir.Constant(ADDRESS, 1)
    with inner.if_then(status.is_error):
        inner.atomic_rmw("add", inner.gep(state, [ir.Constant(INT32, FAILED)]), one, "seq_cst")
    finished = inner.gep(state, [ir.Constant(INT32, FINISHED)])
    inner.atomic_rmw("add", finished, one, "seq_cst")
    inner.ret_void()
    return function


@intrinsic
def _run(typing_context, task):
    """Run a task, by its address."""

    def emit(context, builder, signature, arguments):
        task = builder.inttoptr(arguments[0], ADDRESS.as_pointer())
        function, stack = (
            builder.load(builder.gep(task, [ir.Constant(INT32, place)])) for place in (0, 1)
        )
        kind = ir.FunctionType(ir.VoidType(), [ADDRESS]).as_pointer()
        builder.call(builder.inttoptr(function, kind), [stack])
        return context.get_dummy_value()

    return types.void(task), emit


@intrinsic
def _add(typing_context, integers, place, amount):
    """Add to an integer in a single step for all threads, and return what it was before."""
    return _in_one_step("add", integers, place, amount)


@intrinsic
def _exchange(typing_context, integers, place, value):
    """Set an integer for all threads to see, and return what it was before."""
    return _in_one_step("xchg", integers, place, value)


def _in_one_step(operation, integers, place, amount):
    def emit(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, arguments)
        amount = context.cast(builder, arguments[2], signature.args[2], types.int64)
        return builder.atomic_rmw(operation, pointer, amount, "seq_cst")

    return types.int64(integers, types.intp, amount), emit


@intrinsic
def _exchange_if(typing_context, integers, place, expected, value):
    """Set an integer if it is what one expects, in a single step; return whether it was."""

    def emit(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, arguments)
        expected, value = (
            context.cast(builder, arguments[i], signature.args[i], types.int64) for i in (2, 3)
        )
        pair = builder.cmpxchg(pointer, expected, value, "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(integers, types.intp, expected, value), emit


@intrinsic
def _read(typing_context, integers, place):
    """Read an integer anew, as another thread may have changed it."""

    def emit(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature, arguments)
        return builder.load_atomic(pointer, "seq_cst", 8)

    return types.int64(integers, types.intp), emit


@intrinsic
def _pause(typing_context, integers):
    """Let the other thread of the core, and memory, have a moment."""

    def emit(context, builder, signature, arguments):
        if "x86" in builder.module.triple:
            _call_void(builder, "llvm.x86.sse2.pause")
        return context.get_dummy_value()

    return types.void(integers), emit


@intrinsic
def _let_others_run(typing_context, integers):
    """Let another thread of the system have this core, if one wants it."""

    def emit(context, builder, signature, arguments):
        if os.name == "posix":
            _call_void(builder, "sched_yield")
        return context.get_dummy_value()

    return types.void(integers), emit


def _call_void(builder, name: str) -> None:
    kind = ir.FunctionType(ir.VoidType(), [])
    known = builder.module.globals.get(name)
    builder.call(known or ir.Function(builder.module, kind, name), [])


def _pointer(context, builder, signature, arguments):
    return data_pointer(context, builder, signature.args[0], arguments[0], arguments[1])
