"""Limiting the threads of NumPy's BLAS, which are the whole process's."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from fastconv.errors import MissingDependencyError

_turn = threading.RLock()


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Let BLAS use `threads` threads inside the block.

    Blocks of several Python threads take turns: BLAS has one number for the process, and whoever
    left last would otherwise restore what another had set.
    """
    controller = _controller()
    with _turn, controller.limit(limits=threads, user_api="blas"):
        yield


@cache
def _controller() -> Any:
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        raise MissingDependencyError(
            "settings(threads=...) needs threadpoolctl: pip install threadpoolctl"
        ) from None
    return ThreadpoolController()
