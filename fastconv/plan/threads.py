"""Limiting the threads of NumPy's BLAS."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from fastconv.errors import MissingDependencyError


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Let BLAS use `threads` threads inside the block; for the whole process, as BLAS has it."""
    with _controller().limit(limits=threads, user_api="blas"):
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
