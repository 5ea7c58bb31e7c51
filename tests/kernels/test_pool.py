"""fastconv's threads: every item once, the same bits on any number, and no way to hang."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastconv.kernels import pool
from fastconv.kernels.pool import cores, share
from tests.helpers import python

THREADS = 8
PATIENCE = 60
"""Seconds after which a test that hangs fails."""
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@pytest.fixture(autouse=True)
def _threads_take_turns_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def counted(items, threads):
    """How often each item was done, and the ranges in which they were."""
    counts, ranges = np.zeros(items, int), []

    def loops(target, first, last):
        ranges.append((first, last))
        target[first:last] += 1

    share(loops, (counts,), items, threads)
    return counts, sorted(ranges)


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("items", [1, 2, 3, 5, 8, 63, 1000])
def test_every_item_is_done_once_in_smaller_and_smaller_parts(items, threads):
    counts, ranges = counted(items, threads)
    assert (counts == 1).all()
    sizes = [last - first for first, last in ranges]
    if threads == 1 or items == 1:
        assert sizes == [items]
        return
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) <= max(1, items / threads)
    assert sizes[-1] <= max(1, items / pool.SMALLEST_SHARE)


@pytest.mark.parametrize("threads", [1, 2])
def test_no_items_are_no_error(threads):
    counts, ranges = counted(0, threads)
    assert len(counts) == 0
    assert all(first >= last for first, last in ranges)


def test_ranges_run_at_the_same_time_and_one_of_them_on_the_caller():
    together, where = threading.Barrier(3), []

    def loops(first, last):
        where.append(threading.current_thread())
        together.wait(PATIENCE)  # passes only if all three are there

    share(loops, (), 3, 3)
    assert len(set(where)) == 3
    assert threading.current_thread() in where
    assert all(thread.daemon for thread in where if thread is not threading.current_thread())


def test_one_thread_is_the_callers():
    where = []
    share(lambda first, last: where.append(threading.current_thread()), (), 100, 1)
    assert where == [threading.current_thread()]


def test_workers_are_used_again():
    counted(8, 4)
    before = {thread for thread in threading.enumerate() if thread.name == "fastconv"}
    assert len(before) >= 3
    for _ in range(20):
        counted(8, 4)
    assert {thread for thread in threading.enumerate() if thread.name == "fastconv"} == before


@pytest.mark.parametrize("failing", pool.bounds(40, 4)[:4])
def test_what_a_part_raises_reaches_the_caller_when_all_have_stopped(failing):
    done, inside = np.zeros(40, int), []

    def loops(first, last):
        inside.append(first)
        done[first:last] += 1
        failed = first == failing
        inside.remove(first)
        if failed:
            raise KeyError(failing)

    with pytest.raises(KeyError, match=str(failing)):
        share(loops, (), 40, 4)
    assert inside == []
    assert (done <= 1).all()
    assert done[failing] == 1
    assert (counted(100, 4)[0] == 1).all()  # a failure is not raised twice


def test_when_all_raise_one_does():
    def loops(first, last):
        raise ValueError("all of them")

    for _ in range(3):
        with pytest.raises(ValueError, match="all of them"):
            share(loops, (), 5, 5)
    assert (counted(100, 5)[0] == 1).all()


def test_the_callers_failure_comes_after_the_workers_are_done():
    """What a caller does with its arrays after an error must not meet a worker still writing."""
    started, raising, finished = (threading.Event() for _ in range(3))

    def loops(first, last):
        if threading.current_thread().name == "fastconv":
            started.set()
            raising.wait(PATIENCE)
            for _ in range(10**6):
                pass
            finished.set()
            return
        started.wait(PATIENCE)
        try:
            raise OSError
        finally:
            raising.set()

    with pytest.raises(OSError):  # noqa: PT011
        share(loops, (), 2, 2)
    assert finished.is_set()


def test_a_share_inside_a_worker_inside_a_worker():
    counts = np.zeros((3, 4, 50), int)

    def outer(first, last):
        for i in range(first, last):
            share(middle, (i,), 4, 3)

    def middle(i, first, last):
        for j in range(first, last):
            share(inner, (i, j), 50, 3)

    def inner(i, j, first, last):
        counts[i, j, first:last] += 1

    for _ in range(5):
        share(outer, (), 3, 3)
    assert (counts == 5).all()


def test_many_callers_at_once():
    together = threading.Barrier(THREADS)

    def work(turn):
        together.wait(PATIENCE)
        return [(counted(items, 3)[0] == 1).all() for items in range(1 + turn, 60 + turn)]

    with ThreadPoolExecutor(THREADS) as executor:
        assert all(map(all, executor.map(work, range(THREADS))))


def test_cores_are_those_this_process_may_use(monkeypatch):
    assert cores() >= 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 8}, raising=False)
    assert cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1


def test_a_worker_that_cannot_be_started_leaves_its_part_to_the_caller(monkeypatch):
    """At the limit of threads, and while the interpreter ends, none can be had."""

    def refused(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(pool, "_workers", [])
    monkeypatch.setattr(threading.Thread, "start", refused)
    assert (counted(10, 4)[0] == 1).all()


# Loops that were compiled to be shared, in which threads meet without the GIL.


@pytest.fixture(scope="module")
def counting():
    pytest.importorskip("numba")
    from fastconv.kernels.parts import shared

    def counting(counts, turns, first, last):
        for i in range(first, last):
            for _ in range(turns):
                counts[i] += 1

    return shared(counting, "test")


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 300])
@pytest.mark.parametrize("items", [1, 2, 3, 63, 1000])
def test_compiled_loops_do_every_item_once(counting, items, threads):
    for turns in (1, 1000):
        counts = np.zeros(items, np.int64)
        share(counting, (counts, turns), items, threads)
        assert (counts == turns).all()


def test_many_callers_of_compiled_loops_at_once(counting):
    together = threading.Barrier(THREADS)

    def work(turn):
        together.wait(PATIENCE)
        for items in range(2 + turn, 200 + turn):
            counts = np.zeros(items, np.int64)
            share(counting, (counts, 50), items, 3)
            if (counts != 50).any():
                return False
        return True

    with ThreadPoolExecutor(THREADS) as executor:
        assert all(executor.map(work, range(THREADS)))


def test_nobody_has_the_arrays_of_a_call_that_is_over(counting):
    counts = np.zeros(1000, np.int64)
    before = sys.getrefcount(counts)
    for _ in range(20):
        share(counting, (counts, 10), 1000, 3)
        assert sys.getrefcount(counts) == before


@pytest.mark.skipif(cores() < 2, reason="where cores are few, nobody looks out")
def test_a_worker_looks_out_for_the_next_call():
    """It is kept off the caller's core, which must not count as having too few cores to look."""
    pytest.importorskip("numba")
    code = """
import numpy as np
import time
from fastconv.kernels import pool
from fastconv.kernels.parts import shared


def counting(counts, first, last):
    for i in range(first, last):
        counts[i] += 1


pool.LOOKOUT_SECONDS = 5
loops = shared(counting, "test")
awake = 0
for _ in range(200):
    pool.share(loops, (np.zeros(10),), 10, 2)
    time.sleep(0.01)
    awake += int(pool._boxes[pool.AWAKE])
print(awake > 100)
started = time.perf_counter()
together = pool.threading.Barrier(2)
pool.share(lambda first, last: together.wait(60), (), 2, 2)  # comes to a worker that looks out
print(time.perf_counter() - started < 2)
"""
    assert python(code).split() == ["True", "True"]


def test_small_work_wakes_nobody_unless_it_comes_in_quick_succession(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(pool.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(pool, "_workers", [])
    monkeypatch.setattr(pool, "_last_small", 0.0)

    def hands(work, after):
        now[0] += after
        return pool.hands(work, 50, 4)

    assert hands(50, after=0) == 4
    assert hands(49, after=0) == 1
    assert hands(49, after=pool.LOOKOUT_SECONDS / 2) == 4
    assert hands(49, after=pool.LOOKOUT_SECONDS * 2) == 1
    awake = type("Awake", (), {"awake": True})
    monkeypatch.setattr(pool, "_workers", [awake])
    assert hands(49, after=1) == 4
    assert pool.hands(0, 50, 1) == 1


def test_memory_that_runs_out_in_a_thread_is_an_error_of_the_call():
    pytest.importorskip("numba")
    from fastconv.kernels.parts import shared

    def greedy(counts, size, first, last):
        for i in range(first, last):
            counts[i] += np.empty(size, np.int64).size

    loops = shared(greedy, "test")
    counts = np.zeros(20, np.int64)
    for threads in (2, 3):
        with pytest.raises(MemoryError, match="not enough memory"):
            share(loops, (counts, 2**58), 20, threads)
    share(loops, (counts, 5), 20, 3)
    assert (counts == 5).all()


# Programs of their own: each compares bit for bit with what one thread computes. The convolutions
# are large enough to be shared out.

PROGRAM = """
import os, sys, threading
from concurrent.futures import ThreadPoolExecutor
import numpy as np
import fastconv as F

SHAPES = [(1, 8, 40 + i, 50 - i) for i in range(4)]
SHAPES += [(3, 16, 24 + i, 31) for i in range(4)]


def operands(i):
    generator = np.random.default_rng(i)
    dtype = (np.float32, np.float64)[i % 2]
    x = generator.standard_normal(SHAPES[i]).astype(dtype)
    w = generator.standard_normal((24 + i, SHAPES[i][1], 3, 3)).astype(dtype)
    return x, w, dict(padding=i % 2, stride=1 + (i % 3 == 2))


def solve(i, threads):
    x, w, place = operands(i)
    with F.settings(threads=threads, algorithm="implicit_gemm"):
        return F.conv2d(x, w, **place)


def same(i, threads=3):
    return solve(i, threads).tobytes() == SERIAL[i]


if __name__ == "__main__":
    SERIAL = [solve(i, 1).tobytes() for i in range(8)]
"""


def program(code, timeout=60, **environment):
    lines = "\n".join(f"    {line}" for line in code.strip().splitlines())
    return python(f"{PROGRAM}{lines}\n", timeout=timeout, **environment)


def test_results_are_those_of_one_thread():
    pytest.importorskip("numba")
    code = "print(all(same(i, threads) for i in range(8) for threads in (2, 3, 7)))"
    code += "\nprint(sum(thread.name == 'fastconv' for thread in threading.enumerate()))"
    result, workers = program(code).splitlines()
    assert result == "True"
    assert int(workers) > 1  # otherwise nothing was shared


MANY = """
together = threading.Barrier(8)
def work(turn):
    together.wait(60)
    return all(same((turn + step) % 8) for step in range(8))
"""


@pytest.mark.parametrize("layer", [None, "workqueue"])
def test_eight_python_threads_at_once(layer):
    pytest.importorskip("numba")
    code = f"""{MANY}
with ThreadPoolExecutor(8) as executor:
    print(list(executor.map(work, range(8))))
results = []
threads = [threading.Thread(target=lambda i=i: results.append(work(i))) for i in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join(60)
print(results)
"""
    assert program(code, NUMBA_THREADING_LAYER=layer).splitlines() == [str([True] * 8)] * 2


@pytest.mark.parametrize("layer", [None, "workqueue"])
def test_a_numba_program_with_threads_of_its_own_goes_on(layer):
    pytest.importorskip("numba")
    code = """
import numba
@numba.njit(parallel=True)
def total(x):
    s = 0.0
    for i in numba.prange(x.size):
        s += x[i]
    return s
x = np.arange(10000.0)
for i in range(8):
    assert total(x) == x.sum() and same(i)
print(numba.threading_layer())
"""
    printed = program(code, NUMBA_THREADING_LAYER=layer)
    assert printed == layer or layer is None


@needs_fork
@pytest.mark.parametrize("used_before", [False, True], ids=["before first use", "after"])
@pytest.mark.parametrize("from_thread", [False, True], ids=["main thread", "other thread"])
def test_a_forked_child_has_threads_of_its_own(used_before, from_thread):
    pytest.importorskip("numba")
    code = f"""
import signal
def child_and_parent():
    if {used_before}:
        assert all(same(i) for i in range(8))
        assert any(thread.name == "fastconv" for thread in threading.enumerate())
    child = os.fork()
    if not child:
        signal.alarm(60)
        code = 9
        try:
            if all(same(i) for i in range(8)):
                code = sum(thread.name == "fastconv" for thread in threading.enumerate())
        finally:
            os._exit(code)
    assert all(same(i) for i in range(8))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
if {from_thread}:
    thread = threading.Thread(target=child_and_parent)
    thread.start()
    thread.join()
else:
    child_and_parent()
"""
    assert program(code) == "2"  # threads=3: the caller and two workers


@needs_fork
def test_a_fork_while_others_compute():
    pytest.importorskip("numba")
    code = f"""{MANY}
import signal
stop = threading.Event()
def busy(i):
    while not stop.is_set():
        assert same(i)
threads = [threading.Thread(target=busy, args=(i,)) for i in range(2)]
for thread in threads: thread.start()
codes = []
for _ in range(5):
    child = os.fork()
    if not child:
        signal.alarm(60)
        code = 9
        try:
            code = 0 if same(3) and same(4) else 8
        finally:
            os._exit(code)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop.set()
for thread in threads: thread.join(60)
print(codes)
"""
    assert program(code) == "[0, 0, 0, 0, 0]"


@needs_fork
def test_a_fork_while_another_thread_compiles():
    pytest.importorskip("numba")
    code = """
import signal
from fastconv.kernels.jit import kernel
same(0)
def compile_much():
    for turn in range(12):
        kernel(lambda x: sum(np.sort(x)), f"fork-{os.getpid()}-{turn}")(np.ones(3))
thread = threading.Thread(target=compile_much)
thread.start()
codes = []
while thread.is_alive():
    child = os.fork()
    if not child:
        signal.alarm(40)
        kernel(lambda x: x + 1, f"fork-{os.getpid()}")(1.0)
        os._exit(0)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(set(codes))
"""
    assert program(code, timeout=100) == "{0}"


def test_spawned_processes(tmp_path):
    """They find the main module by its path."""
    pytest.importorskip("numba")
    script = tmp_path / "spawned.py"
    script.write_text(
        PROGRAM
        + """
    import multiprocessing
    assert same(1)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.starmap(solve, [(i, 3) for i in range(8)])
    print([y.tobytes() == SERIAL[i] for i, y in enumerate(found)])
"""
    )
    printed = python(
        "import subprocess, sys; "
        f"print(subprocess.run([sys.executable, {str(script)!r}], check=True, timeout=100, "
        "capture_output=True, text=True).stdout)"
    )
    assert printed == str([True] * 8)


def test_the_interpreter_ends_while_workers_wait():
    pytest.importorskip("numba")
    assert program("assert same(0)\nprint('end')") == "end"


def test_the_interpreter_ends_while_a_worker_is_busy():
    """A daemon thread of the caller is in the middle of a call when the main thread ends."""
    pytest.importorskip("numba")
    code = """
started = threading.Event()
def busy():
    while True:
        solve(0, 3)
        started.set()
threading.Thread(target=busy, daemon=True).start()
started.wait(60)
print('end')
"""
    assert program(code) == "end"


@pytest.mark.parametrize("used_before", [False, True])
def test_calls_at_exit(used_before):
    pytest.importorskip("numba")
    code = f"""
import atexit
atexit.register(lambda: print(same(0)))
if {used_before}:
    same(0)
"""
    assert program(code) == "True"


def test_a_call_while_modules_are_taken_down():
    """No thread but the main one runs any more: a worker would never answer."""
    pytest.importorskip("numba")
    code = """
class Last:
    def __init__(self):
        self.done = same, print, os
    def __del__(self):
        same, print, os = self.done
        print(same(0), flush=True)
assert same(0)
last = Last()
"""
    assert program(code, timeout=20) == "True"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals are sent as POSIX does")
def test_an_interrupt_comes_after_the_workers_are_done():
    """The caller's arrays are its own again when it sees the exception."""
    printed = python(
        """
import os, signal, threading
from fastconv.kernels import pool

signal.signal(signal.SIGINT, signal.default_int_handler)  # shells' background jobs ignore it
finished = []
together = threading.Barrier(3)


def loops(first, last):
    together.wait(20)  # so each of three threads has one part
    if threading.current_thread().name != "fastconv":
        return
    threading.Event().wait(0.3)  # by now the caller waits
    if not finished:
        os.kill(os.getpid(), signal.SIGINT)
    for _ in range(10**6):  # lets other threads have their turns, as a call into C does not
        pass
    finished.append(first)


try:
    pool.share(loops, (), 3, 3)
except KeyboardInterrupt:
    print(len(finished))
""",
        timeout=30,
    )
    assert printed == "2"


def test_an_interrupt_while_the_lock_is_held_is_kept_for_the_end():
    job = pool._Job(lambda first, last: None, (), np.array([0, 1]))
    lock, interrupts = job._lock, [KeyboardInterrupt(), KeyboardInterrupt()]

    class Interrupted:
        def __enter__(self):
            if interrupts:
                raise interrupts.pop()
            lock.acquire()

        def __exit__(self, *_):
            lock.release()

    job._lock = Interrupted()
    job.end()
    assert job.closed
    assert [type(failure) for failure in job.failures] == [KeyboardInterrupt] * 2
