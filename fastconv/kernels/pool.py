"""fastconv's own threads: a few workers that help with the items of one call at a time.

Made at first use and again after a fork. The caller starts at once and takes items one after the
other, and so does every worker that wakes up in time: a core that is slow, or busy with somebody
else's threads, merely takes fewer. The caller waits for those that are at work, never for one that
has not begun, so calls from many threads, from inside a worker or while the interpreter ends never
wait for one another. The loops release the GIL.

To wake a thread takes longer than many a layer. So after a call, workers look out for the next for
a moment before they sleep, and a caller for the end of the last part (`kernels.spin`).
"""

import itertools
import os
import queue
import sys
import threading
from collections.abc import Callable

import numpy as np

from fastconv.kernels.spin import raised

PARTS_PER_THREAD = 8
"""Parts that the items are taken in: few enough to cost nothing, enough to even out cores."""
LOOKOUT_SECONDS = 0.0005
"""How long a worker looks out for another job before it sleeps."""
PATIENCE_SECONDS = 0.002
"""How long a caller looks out for the workers' end before it sleeps."""

_workers: list["_Worker"] = []


class _Job:
    """The items of one call, and who is at work on them."""

    def __init__(self, loops: Callable, arguments: tuple, items: int, parts: int) -> None:
        self._call = (loops, arguments)
        self._items, self._parts = items, parts
        self._next = itertools.count()  # the GIL makes taking from it one step
        self._lock = threading.Lock()
        self._inside, self._closed = 0, False
        self._empty = threading.Lock()
        self._empty.acquire()
        self._left = np.zeros(1, np.int64)
        self.failures: list[BaseException] = []

    def work(self) -> None:
        """Take parts until none is left."""
        loops, arguments = self._call
        items, parts = self._items, self._parts
        for part in self._next:
            if part >= parts or self.failures:
                return
            loops(*arguments, items * part // parts, items * (part + 1) // parts)

    def help(self) -> None:
        """Work, unless the call is over already."""
        with self._lock:
            if self._closed:
                return
            self._inside += 1
        try:
            self.work()
        except BaseException as failure:
            self.failures.append(failure)
        with self._lock:
            self._inside -= 1
            last = self._closed and not self._inside
        if last:
            self._left[0] = 1
            self._empty.release()

    def close(self) -> None:
        """Let nobody in any more, and wait for those inside, through any interrupt."""
        with self._lock:
            self._closed = True
            waiting = self._inside > 0
        if waiting and may_spin():
            raised(self._left, PATIENCE_SECONDS)
        while waiting:
            try:
                self._empty.acquire()
                waiting = False
            except BaseException as interrupt:
                self.failures.append(interrupt)
        del self._call  # a worker may find this job much later; the arrays are let go now


class _Worker:
    """A thread that helps with one job after the other."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._called = np.zeros(1, np.int64)
        self.free = True
        threading.Thread(target=self._work, name="fastconv", daemon=True).start()

    def start(self, job: _Job) -> None:
        """Ask for help, as soon as there is time; too late does no harm."""
        self.free = False
        self._jobs.put(job)
        self._called[0] = 1

    def _work(self) -> None:
        while True:
            self._jobs.get().help()
            self._called[0] = 0  # before the look at the queue: a job that comes now raises it
            self.free = self._jobs.empty()
            if self.free and may_spin():
                raised(self._called, LOOKOUT_SECONDS)


def cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def may_spin() -> bool:
    """Whether there is a core for every thread: else one that looks out keeps another from work."""
    return 0 < len(_workers) < cores()


def share(loops: Callable, arguments: tuple, items: int, threads: int) -> None:
    """Call `loops(*arguments, first, last)` so that every item is done once, on several threads.

    What fails in one of them stops the others at their next part, and is raised here when none is
    at work any more.
    """
    if threads == 1 or items <= 1:  # small calls pass here: what follows takes longer than some do
        loops(*arguments, 0, items)
        return
    job = _Job(loops, arguments, items, min(items, threads * PARTS_PER_THREAD))
    try:
        for worker in _take(min(threads, items) - 1):
            worker.start(job)
        job.work()
    except BaseException as failure:
        job.failures.append(failure)
    job.close()
    if job.failures:
        raise job.failures[0]


def _take(count: int) -> list[_Worker]:
    """Return up to `count` workers, those with nothing to do first.

    None while the interpreter ends, as they have been stopped; never more of them than cores,
    unless one call asks for more.
    """
    if sys.is_finalizing():
        return []
    while len(_workers) < count or (
        len(_workers) < cores() and sum(worker.free for worker in _workers) < count
    ):
        try:
            _workers.append(_Worker())
        except RuntimeError:  # there may be no more threads
            break
    return sorted(_workers, key=lambda worker: not worker.free)[:count]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.clear)
