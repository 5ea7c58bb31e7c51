"""The folder in which things are kept from one process to the next; it needs no Numba."""

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

FOLDER_VARIABLE = "FASTCONV_CACHE_DIR"


@functools.cache
def cache_folder() -> Path | None:
    """Return the first candidate folder that can be written, or None.

    In order: `$FASTCONV_CACHE_DIR`, `$NUMBA_CACHE_DIR`, beside the kernels' source, the user's
    cache folder, a folder of this user's in the temporary folder.
    """
    return next((folder for folder in _candidates() if _usable(folder)), None)


def _candidates() -> Iterator[Path]:
    for variable in (FOLDER_VARIABLE, "NUMBA_CACHE_DIR"):
        if os.environ.get(variable):
            yield Path(os.environ[variable]) / "fastconv"
    yield Path(__file__).parent / "__pycache__" / "kernels"
    with contextlib.suppress(RuntimeError):  # there may be no home
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
        if home.is_absolute():
            yield home / "fastconv"
    user = os.getuid() if hasattr(os, "getuid") else "user"
    yield Path(tempfile.gettempdir()) / f"fastconv-{user}"


def _usable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
            return False  # never load machine code that somebody else could have put there
        with tempfile.TemporaryFile(dir=folder):
            return True
    except (OSError, RuntimeError):
        return False


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink()
        raise
