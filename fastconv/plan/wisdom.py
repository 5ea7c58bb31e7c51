"""What was measured: the fastest algorithm of a problem, in memory and in one file for each CPU.

The file is JSON in the folder of compiled code. It is replaced as a whole, after what other
processes have added to it was read; one that cannot be read or makes no sense counts as empty, and
where none can be written choices last as long as the process.
"""

import contextlib
import functools
import hashlib
import json
import os
import platform
import threading
from pathlib import Path
from typing import Any

from fastconv.kernels.folder import cache_folder, write_whole
from fastconv.kernels.pool import cores
from fastconv.plan.settings import Settings
from fastconv.problem import Problem

FORMAT = 1
_asked: dict[str, str] = {}
"""Choices that this process has asked for, whatever its settings say of those of others."""
_kept: dict[str, str] | None = None
"""Choices of the file, read once, and those added since."""
_lock = threading.RLock()


def key(problem: Problem, settings: Settings) -> str:
    """Return what a choice depends on, beside the CPU."""
    allowed = {
        "threads": settings.threads or cores(),
        "precision": settings.precision,
        "scratch": settings.max_scratch_bytes,
        "compiled": int(settings.compiled),
    }
    return " ".join([str(problem), *(f"{name}={value}" for name, value in allowed.items())])


def tuned_choice(problem: Problem, settings: Settings) -> str | None:
    """Return the algorithm that was fastest, if that was measured and counts here."""
    if settings.algorithm is not None:
        return None
    entry = key(problem, settings) if _asked or settings.plan != "rule" else ""
    if settings.plan == "rule":
        return _asked.get(entry)
    return _asked.get(entry) or _read().get(entry)


def remember(problem: Problem, settings: Settings, name: str, asked: bool) -> None:
    """Keep a choice; one that was asked for holds in this process at once."""
    entry = key(problem, settings)
    with _lock:
        if asked:
            _asked[entry] = name
        _write({**(_kept or {}), **_from_file(), entry: name})


def forget(problems: tuple[Problem, ...] | None, settings: Settings) -> None:
    """Forget the choices of problems under settings, or all of them, in memory and on disk."""
    with _lock:
        if problems is None:
            _asked.clear()
            _write({})
            return
        entries = {key(problem, settings) for problem in problems}
        for entry in entries & set(_asked):
            del _asked[entry]
        known = {**(_kept or {}), **_from_file()}
        _write({entry: name for entry, name in known.items() if entry not in entries})


def _write(known: dict[str, str]) -> None:
    """Keep these choices, and no others; without any there is no file."""
    global _kept
    _kept = known
    file = path()
    if file is None:
        return
    with contextlib.suppress(OSError):  # a disk that is full, a folder that has gone
        if known:
            text = json.dumps({"format": FORMAT, "cpu": cpu(), "plans": known}, indent=1)
            write_whole(file, text.encode())
        else:
            file.unlink(missing_ok=True)


def path() -> Path | None:
    """Return the file of this CPU, which may not exist yet; None if no folder can be written."""
    folder = cache_folder()
    if folder is None:
        return None
    return folder / f"plans-{hashlib.sha256(cpu().encode()).hexdigest()[:12]}.json"


@functools.cache
def cpu() -> str:
    """Return what tells this CPU from others, as far as the standard library knows."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        about = ("vendor_id", "cpu family", "model", "model name", "flags", "Features")
        seen = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
        facts = {k.strip(): value.strip() for k, value in seen.items()}
        name = " ".join([name, *(facts[fact] for fact in about if fact in facts)])
    return f"{name}, {cores()} cores"


def _read() -> dict[str, str]:
    """Return the choices of the file as it was when this process first looked, and its own."""
    global _kept
    if _kept is None:
        with _lock:
            if _kept is None:
                _kept = _from_file()
    return _kept


def _from_file() -> dict[str, str]:
    file = path()
    if file is None:
        return {}
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        plans = content["plans"] if content["format"] == FORMAT else {}
        return {k: name for k, name in plans.items() if isinstance(name, str)}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _renew() -> None:
    """After a fork, when another thread may have had the lock."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
