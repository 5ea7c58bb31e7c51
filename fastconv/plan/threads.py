"""Limiting the threads of NumPy's BLAS, which are the whole process's."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from fastconv.errors import MissingDependencyError

_turn = threading.RLock()
_limits: list[int] = []
"""Of the blocks that are open; only the thread that has the turn opens one."""


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Let BLAS use `threads` threads inside the block.

    Blocks of several Python threads take turns: BLAS has one number for the process, and whoever
    left last would otherwise restore what another had set.
    """
    controller = _controller()
    with _turn:
        if _limits and _limits[-1] == threads:  # nested in a block that has set it already
            yield
            return
        with controller.limit(limits=threads, user_api="blas"):
            _limits.append(threads)
            try:
                yield
            finally:
                _limits.pop()


@cache
def _controller() -> Any:
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        raise MissingDependencyError(
            "settings(threads=...) needs threadpoolctl: pip install threadpoolctl"
        ) from None
    return ThreadpoolController()
