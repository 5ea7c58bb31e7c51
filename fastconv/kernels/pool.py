"""fastconv's own threads: a few workers that run compiled loops on parts of one call.

Made at first use and again after a fork. A caller takes the workers that are idle and does the rest
itself, so calls from many threads, from inside a worker or while the interpreter ends never wait
for one another. The loops release the GIL.
"""

import os
import queue
import sys
import threading
from collections.abc import Callable

_idle: list["_Worker"] = []


class _Worker:
    """A thread that runs one job at a time."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        self._done = threading.Lock()
        self._done.acquire()
        self._failure: BaseException | None = None
        threading.Thread(target=self._work, name="fastconv", daemon=True).start()

    def start(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)

    def outcome(self) -> list[BaseException]:
        """Wait for the job, through any interrupt, and return what was raised meanwhile."""
        failures: list[BaseException] = []
        while True:
            try:
                self._done.acquire()
                break
            except BaseException as interrupt:
                failures.append(interrupt)
        if self._failure is not None:
            failures.append(self._failure)
        return failures

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job()
                self._failure = None
            except BaseException as failure:
                self._failure = failure
            del job
            self._done.release()


def cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share(loops: Callable, arguments: tuple, items: int, threads: int) -> None:
    """Call `loops(*arguments, first, last)` so that every item is done once, on several threads.

    The last of up to `threads` nearly equal ranges is done by the caller.
    """
    if threads == 1 or items <= 1:  # small calls pass here: what follows takes longer than some do
        loops(*arguments, 0, items)
        return
    workers = _take(min(threads, items) - 1)
    parts = len(workers) + 1
    bounds = [items * part // parts for part in range(parts + 1)]
    started = 0
    failures: list[BaseException] = []
    try:
        for worker, first, last in zip(workers, bounds, bounds[1:], strict=False):
            worker.start(lambda first=first, last=last: loops(*arguments, first, last))
            started += 1
        loops(*arguments, bounds[parts - 1], items)
    except BaseException as failure:
        failures.append(failure)
    # whatever happens, the caller's arrays are in use until all are done
    for worker in workers[:started]:
        failures += worker.outcome()
    _idle.extend(workers)
    if failures:
        raise failures[0]


def _take(count: int) -> list[_Worker]:
    """Return up to `count` workers: none while the interpreter ends, as they have been stopped."""
    workers: list[_Worker] = []
    if sys.is_finalizing():
        return workers
    for _ in range(count):
        try:
            workers.append(_idle.pop())
        except IndexError:
            try:
                workers.append(_Worker())
            except RuntimeError:  # there may be no more threads
                break
    return workers


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)
