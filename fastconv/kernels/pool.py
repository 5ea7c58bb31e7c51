"""fastconv's own threads: a few workers that help with the items of one call at a time.

Made at first use and again after a fork. The caller starts at once and takes parts of the items one
after the other, and so does every worker that wakes up in time: a core that is slow, or busy with
somebody else's threads, merely takes fewer. The caller waits for those that are at work, never for
one that has not begun, so calls from many threads, from inside a worker or while the interpreter
ends never wait for one another. Compiled loops do all that without the GIL (`kernels.parts`).
"""

import functools
import itertools
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.kernels import place

SMALLEST_SHARE = 48
"""Parts are at least an item, and the items over this."""
LOOKOUT_SECONDS = 0.0003
"""How long a worker looks out for another call before it sleeps."""
NAP_SECONDS = 0.00005
MOST_WORKERS = 256
BOX_WORDS, AWAKE = 16, 1
"""As in `kernels.parts`, which is not imported before it is needed, for it imports Numba."""

_boxes = np.zeros(MOST_WORKERS * BOX_WORDS, np.int64)
"""Where workers find what to do: see `kernels.parts`."""
_workers: list["_Worker"] = []
_last_small = 0.0
"""When the last call came that was not worth waking anybody for."""
_numbers = list(reversed(range(MOST_WORKERS)))
"""Boxes without a worker, the first at the end."""


class _Job:
    """The items of one call whose loops meet at the GIL, and who is at work on them."""

    def __init__(self, loops: Callable, arguments: tuple, bounds: np.ndarray) -> None:
        self._call = (loops, arguments)
        self._bounds = bounds
        self._next = itertools.count()  # the GIL makes taking from it one step
        self._lock = threading.Lock()
        self._entered = self._finished = 0
        self.closed = False
        self.failures: list[BaseException] = []

    def work(self) -> None:
        """Take parts until none is left, or somebody failed."""
        (loops, arguments), bounds = self._call, self._bounds
        for part in self._next:
            if part >= len(bounds) - 1 or self.failures:
                return
            loops(*arguments, bounds[part], bounds[part + 1])

    def help(self) -> None:
        """Take parts until none is left, unless the call is over already."""
        with self._lock:
            if self.closed:
                return
            self._entered += 1
        try:
            self.work()
        except BaseException as failure:
            self.failures.append(failure)
        with self._lock:
            self._finished += 1

    def end(self) -> None:
        """Let nobody in any more, wait for those inside, through any interrupt, and let go."""
        while self._call is not None:
            try:
                with self._lock:
                    self.closed = True
                while self._finished < self._entered:
                    time.sleep(NAP_SECONDS)
                self._call = None  # a worker may find this job much later
            except BaseException as interrupt:
                self.failures.append(interrupt)


class _Worker:
    """A thread that helps with one call after the other."""

    def __init__(self) -> None:
        self._number = _numbers.pop()
        self._box = self._number * BOX_WORDS
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._last: _Job | None = None
        self._called = False
        self._looks = 0
        self._kept_from = place.NOWHERE
        _boxes[self._box : self._box + BOX_WORDS] = 0
        self._thread = threading.Thread(target=self._work, name="fastconv", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            _numbers.append(self._number)
            raise

    @property
    def free(self) -> bool:
        """Whether there is nothing it could be at work on."""
        idle = self._jobs.empty() and (self._last is None or self._last.closed)
        return idle and not _boxes[self._box]

    @property
    def awake(self) -> bool:
        """Whether it looks at its box, or works on what was in it."""
        return bool(_boxes[self._box + AWAKE])

    def call(self) -> None:
        """See that it looks at its box, now or soon."""
        if not self.awake and not self._called:
            self._called = True
            # Asked by the caller: it may use more cores than a worker that is kept away from one.
            self._looks = _looks()
            self._put(None)

    def start(self, job: _Job) -> None:
        """Ask for help, as soon as there is time; too late does no harm."""
        if self.awake:
            from fastconv.kernels import parts

            parts.call_out(_boxes, self._number)
        self._put(job)

    def _put(self, job: _Job | None) -> None:
        core = place.here()
        if core != self._kept_from and self._thread.native_id is not None:
            place.keep_away(self._thread.native_id, core)
            self._kept_from = core
        self._jobs.put(job)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is not None:
                self._last = job
                job.help()
                continue
            from fastconv.kernels import parts

            self._called = False
            parts.serve(_boxes, self._number, self._looks)


def _looks() -> int:
    """Return how often to look out; never where a core would be kept from another's work."""
    from fastconv.kernels.parts import looks_per_second

    return int(looks_per_second() * LOOKOUT_SECONDS) if len(_workers) < cores() else 0


def cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def hands(work: int, worth: int, threads: int) -> int:
    """Return how many of some threads to use for work that is, or is not, worth waking any.

    A worker that is awake takes part at once; to wake one takes as long as small calls do. It pays
    for the calls that follow, where they follow at once.
    """
    global _last_small
    if threads == 1 or work >= worth:
        return threads
    before, _last_small = _last_small, time.perf_counter()
    if _last_small - before < LOOKOUT_SECONDS or any(worker.awake for worker in _workers):
        return threads
    return 1


def share(loops: Callable, arguments: tuple, items: int, threads: int) -> None:
    """Call `loops(*arguments, first, last)` so that every item is done once, on several threads.

    What fails in one of them is raised here when none is at work any more.
    """
    if threads == 1 or items <= 1:  # small calls pass here: what follows takes longer than some do
        loops(*arguments, 0, items)
        return
    if hasattr(loops, "parts"):
        _share_compiled(loops, arguments, items, threads)
    else:
        _share_plain(loops, arguments, items, threads)


def _share_compiled(loops: Any, arguments: tuple, items: int, threads: int) -> None:
    helpers = min(threads, items) - 1
    for worker in _take(helpers):
        worker.call()
    workers = MOST_WORKERS - len(_numbers)
    if loops.parts(_boxes, workers, helpers, bounds(items, threads), *arguments):
        raise MemoryError("a thread of this call failed: there is not enough memory")


def _share_plain(loops: Callable, arguments: tuple, items: int, threads: int) -> None:
    job = _Job(loops, arguments, bounds(items, threads))
    try:
        for worker in _take(min(threads, items) - 1):
            worker.start(job)
        job.work()
    except BaseException as failure:
        job.failures.append(failure)
    job.end()
    if job.failures:
        raise job.failures[0]


@functools.lru_cache(maxsize=1024)
def bounds(items: int, threads: int) -> np.ndarray:
    """Return where the parts begin that items are taken in, and the end of the last.

    Every part is half of what would be a fair share of the rest: large ones first, as each costs
    something, and small ones at the end, so that nobody waits long for the last.
    """
    ends, smallest = [0], max(1, items // max(SMALLEST_SHARE, 4 * threads))
    while ends[-1] < items:
        left = items - ends[-1]
        ends.append(ends[-1] + min(left, max(smallest, left // (2 * threads))))
    return np.array(ends, np.int64)


def _take(count: int) -> list[_Worker]:
    """Return up to `count` workers, those with nothing to do first.

    None while the interpreter ends, as they have been stopped; never more of them than other cores,
    unless one call asks for more.
    """
    if sys.is_finalizing():
        return []
    while len(_workers) < count or (
        len(_workers) < cores() - 1 and sum(worker.free for worker in _workers) < count
    ):
        try:
            _workers.append(_Worker())
        except (RuntimeError, IndexError):  # there may be no more threads, or boxes
            break
    if len(_workers) == count:
        return _workers
    return sorted(_workers, key=lambda worker: not worker.free)[:count]


def _forget() -> None:
    """Begin anew: in a forked child there are no workers."""
    _workers.clear()
    _numbers[:] = reversed(range(MOST_WORKERS))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
