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
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from fastconv.kernels import place

SMALLEST_SHARE = 48
"""Parts are at least an item, and the items over this."""
LOOKOUT_SECONDS = 0.0003
"""How long a worker looks out for another call before it sleeps; so long it may keep arrays."""
PATIENCE_SECONDS = 0.002
"""How long a caller looks out for the workers' end before it sleeps now and then."""
NAP_SECONDS = 0.00005

CLOSED = 2**32
"""As in `kernels.parts`, which is not imported before it is needed, for it imports Numba."""

_workers: list["_Worker"] = []


class _Job(ABC):
    """The items of one call, and who is at work on them."""

    def __init__(self, loops: Callable, arguments: tuple, bounds: np.ndarray) -> None:
        self._call = (loops, arguments)
        self._bounds = bounds
        self._state = np.zeros(3, np.int64)
        self.failures: list[BaseException] = []

    @abstractmethod
    def lead(self) -> None:
        """Take parts until none is left, then let nobody in any more."""

    @abstractmethod
    def help(self) -> None:
        """Take parts until none is left, unless the call is over already."""

    @abstractmethod
    def close(self) -> None:
        """Let nobody in any more, if that has not been done."""

    @property
    def closed(self) -> bool:
        """Whether the caller has seen the end of the parts."""
        return bool(self._state[1] >= CLOSED)

    def end(self) -> None:
        """Wait for those inside, through any interrupt, and let go of the arrays."""
        while self._state[2] < self._state[1] % CLOSED:
            try:
                time.sleep(NAP_SECONDS)
            except BaseException as interrupt:
                self.failures.append(interrupt)
        del self._call  # a worker may find this job much later


class _CompiledJob(_Job):
    """Loops that were made by `kernels.parts.shared`."""

    def lead(self) -> None:
        self._run(True, PATIENCE_SECONDS)

    def help(self) -> None:
        from fastconv.kernels import parts

        try:
            if self.closed:  # to sleep now would be to come too late again
                parts.look_out(_bell, _looks(LOOKOUT_SECONDS))
            else:
                self._run(False, LOOKOUT_SECONDS)
        except BaseException as failure:
            self.failures.append(failure)
            parts.leave(self._state)

    def close(self) -> None:
        if not self.closed:
            self._state[1] += CLOSED

    def _run(self, caller: bool, seconds: float) -> None:
        loops, arguments = self._call
        loops.parts(caller, self._state, self._bounds, _bell, _looks(seconds), *arguments)


def _looks(seconds: float) -> int:
    """Return how often to look out; never where a core would be kept from another's work."""
    from fastconv.kernels.parts import looks_per_second

    return int(looks_per_second() * seconds) if len(_workers) < cores() else 0


class _PlainJob(_Job):
    """Loops of any other kind, which meet at the GIL."""

    def __init__(self, *call) -> None:
        super().__init__(*call)
        self._next = itertools.count()  # the GIL makes taking from it one step
        self._lock = threading.Lock()

    def lead(self) -> None:
        self._work()

    def help(self) -> None:
        with self._lock:
            if self.closed:
                return
            self._state[1] += 1
        try:
            self._work()
        except BaseException as failure:
            self.failures.append(failure)
        with self._lock:
            self._state[2] += 1

    def close(self) -> None:
        with self._lock:
            self._state[1] += CLOSED

    def _work(self) -> None:
        (loops, arguments), bounds = self._call, self._bounds
        for part in self._next:
            if part >= len(bounds) - 1 or self.failures:
                return
            loops(*arguments, bounds[part], bounds[part + 1])


class _Worker:
    """A thread that helps with one job after the other."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._last: _Job | None = None
        self._asleep = True
        self._thread = threading.Thread(target=self._work, name="fastconv", daemon=True)
        self._thread.start()

    @property
    def free(self) -> bool:
        """Whether there is nothing it could be at work on."""
        return self._jobs.empty() and (self._last is None or self._last.closed)

    def start(self, job: _Job) -> None:
        """Ask for help, as soon as there is time; too late does no harm."""
        core = place.here() if self._asleep else place.NOWHERE
        if core != place.NOWHERE and self._thread.native_id is not None:
            place.keep_away(self._thread.native_id, core)
        self._jobs.put(job)

    def _work(self) -> None:
        while True:
            self._asleep = True
            self._last = self._jobs.get()
            self._asleep = False
            self._last.help()


def cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share(loops: Callable, arguments: tuple, items: int, threads: int) -> None:
    """Call `loops(*arguments, first, last)` so that every item is done once, on several threads.

    What fails in one of them is raised here when none is at work any more.
    """
    if threads == 1 or items <= 1:  # small calls pass here: what follows takes longer than some do
        loops(*arguments, 0, items)
        return
    kind = _CompiledJob if hasattr(loops, "parts") else _PlainJob
    job = kind(loops, arguments, bounds(items, threads))
    try:
        for worker in _take(min(threads, items) - 1):
            worker.start(job)
        job.lead()
    except BaseException as failure:
        job.failures.append(failure)
    job.close()
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
        except RuntimeError:  # there may be no more threads
            break
    if len(_workers) == count:
        return _workers
    return sorted(_workers, key=lambda worker: not worker.free)[:count]


_bell = np.zeros(1, np.int64)
"""Rung by every call."""


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.clear)
