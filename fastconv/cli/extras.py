"""Packages that only the command line needs, and files it is asked to write."""

import importlib
import tempfile
from pathlib import Path

from fastconv.errors import MissingDependencyError, ParameterError


def require(extra: str, *modules: str) -> None:
    """Make sure that modules can be imported.

    Parameters
    ----------
    extra : str
        The extra of the package `fastconv` that installs them.
    *modules : str
        Their import names.

    Raises
    ------
    MissingDependencyError
        Naming what is missing and the command that installs it.
    """
    missing = [name for name in modules if not importable(name)]
    if missing:
        raise MissingDependencyError(
            f"this needs {' and '.join(missing)}: pip install fastconv[{extra}]"
        )


def importable(module: str) -> bool:
    """Whether a module can be imported; it is, to find out."""
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def check_folder(name: str, folder: Path) -> None:
    """Make a folder if it is not there; raise a `ParameterError` unless it can be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return
    except OSError as error:
        raise ParameterError(f"{name}: cannot write to {folder}: {error.strerror}") from None


def check_file(name: str, path: Path) -> None:
    """Raise a `ParameterError` unless a file can be written; what it holds is kept."""
    check_folder(name, path.parent)
    existed = path.exists()
    try:
        with path.open("ab"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        raise ParameterError(f"{name}: cannot write {path}: {error.strerror}") from None
