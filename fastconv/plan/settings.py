"""What callers can set: for a block of code with `settings`, for the process with `configure`."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import count
from typing import Any

from fastconv import parameters
from fastconv.algorithms import ALGORITHMS
from fastconv.errors import ParameterError

MIB = 2**20
PRECISIONS = ("high", "fast")
PLANS = ("rule", "tuned", "measure")


@dataclass(frozen=True)
class Settings:
    """The settings in force.

    Attributes
    ----------
    threads : int or None
        Most threads of a call. None is as many as there are cores for compiled algorithms, and
        leaves NumPy's BLAS as it is for those that use it. A number is applied to BLAS through
        `threadpoolctl` (extra `cli`), for the whole process while the call runs; such calls of
        several Python threads take turns.
    algorithm : str or None
        The one algorithm to use; a problem it refuses raises `PlanError` with its reason.
    max_scratch_bytes : int
        Most scratch memory of a call; algorithms that need more are refused. Beside the default,
        but not beside a limit that is set, one copy of the input is allowed that is padded by its
        own elements (`padding_mode`).
    compiled : bool
        Whether compiled algorithms may be chosen. False computes as where Numba is not installed.
    precision : str
        "high", or "fast" to admit algorithms with larger rounding errors.
    plan : str
        "rule": the first algorithm that accepts, in a fixed order. "tuned": the one that was
        fastest when it was measured on this CPU, by `tune` or in another process, if it was.
        "measure": the same, and what was not measured yet is at its first call. Algorithms differ
        in how they round, so the bits of a result may depend on what was measured.
    """

    threads: int | None = None
    algorithm: str | None = None
    max_scratch_bytes: int = 32 * MIB
    compiled: bool = True
    precision: str = "high"
    plan: str = "rule"

    @cached_property
    def number(self) -> int:
        """A number that equal settings share and others do not: it takes less time to look up."""
        return _numbers.setdefault(self, next(_next_number))


_numbers: dict[Settings, int] = {}
_next_number = count()
_default = Settings()
_overrides: ContextVar[dict[str, Any] | None] = ContextVar("fastconv_settings", default=None)
_resolved: ContextVar[tuple[Settings, Settings] | None] = ContextVar(
    "fastconv_resolved", default=None
)


def current_settings() -> Settings:
    """Return the settings in force in this context."""
    overrides = _overrides.get()
    if overrides is None:
        return _default
    cached = _resolved.get()
    if cached is not None and cached[0] is _default:
        return cached[1]
    resolved = replace(_default, **overrides)
    _resolved.set((_default, resolved))
    return resolved


@contextmanager
def settings(**changes: Any) -> Iterator[Settings]:
    """Change settings inside a `with` block, in this thread (or task) only.

    Parameters
    ----------
    **changes
        Any of `threads`, `algorithm`, `max_scratch_bytes`, `compiled`, `precision`, `plan`; see
        `Settings`.

    Yields
    ------
    Settings
        What is in force inside the block.

    Raises
    ------
    ParameterError
        For an unknown name or a value that makes no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> image = np.ones((1, 3, 8, 8), np.float32)
    >>> with F.settings(algorithm="im2col_gemm", max_scratch_bytes=2**20):
    ...     F.conv2d(image, np.ones((4, 3, 3, 3), np.float32)).shape
    (1, 4, 6, 6)
    """
    checked = _checked(changes)
    token = _overrides.set({**(_overrides.get() or {}), **checked})
    cache = _resolved.set(None)
    try:
        yield current_settings()
    finally:
        _resolved.reset(cache)
        _overrides.reset(token)


def configure(**changes: Any) -> Settings:
    """Change settings for the whole process, for every thread that does not override them.

    Parameters
    ----------
    **changes
        As for `settings`.

    Returns
    -------
    Settings
        The process's new settings.

    Raises
    ------
    ParameterError
        For an unknown name or a value that makes no sense.

    Examples
    --------
    >>> import fastconv as F
    >>> F.configure(max_scratch_bytes=8 * 2**20).max_scratch_bytes
    8388608
    >>> F.configure(max_scratch_bytes=32 * 2**20).max_scratch_bytes
    33554432
    """
    global _default
    _default = replace(_default, **_checked(changes))
    return _default


def _checked(changes: dict[str, Any]) -> dict[str, Any]:
    known = [field.name for field in fields(Settings)]
    for name, value in changes.items():
        if name not in known:
            raise ParameterError(f"settings: unknown setting {name!r}; expected one of {known}")
        if name == "algorithm":
            _choice(name, value, (None, *(algorithm.name for algorithm in ALGORITHMS)))
        elif name == "precision":
            _choice(name, value, PRECISIONS)
        elif name == "compiled":
            changes[name] = parameters.flag(name, value)
        elif name == "plan":
            _choice(name, value, PLANS)
        elif value is not None or name == "max_scratch_bytes":
            changes[name] = parameters.integer(name, value, 0 if name == "max_scratch_bytes" else 1)
    return changes


def _choice(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if not (value is None or isinstance(value, str)) or value not in allowed:
        raise ParameterError(f"{name}: expected one of {allowed}, got {value!r}")
