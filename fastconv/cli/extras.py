"""Packages that only the command line needs, and files it is asked to write."""

import importlib
import tempfile
from pathlib import Path

from fastconv.errors import MissingDependencyError


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


def writable_folder(folder: Path) -> Path:
    """Make a folder if it is not there, and raise `OSError` unless files can be made in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return folder


def writable_file(path: Path) -> Path:
    """Raise `OSError` unless a file can be written; its folder is made, its content is kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    existed = path.exists()
    with path.open("ab"):
        pass
    if not existed:
        path.unlink()
    return path
