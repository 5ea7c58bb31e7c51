"""Named arrays: into `.npz` files and back, and into the arrays of a model."""

import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastconv.dtypes import Array
from fastconv.errors import DtypeError, MissingDependencyError, ShapeError, StateError

PathLike = str | os.PathLike[str]


def fill(targets: Mapping[str, Array], arrays: Mapping[str, Any]) -> None:
    """Copy values into the arrays of the same names, once all are known to fit.

    Parameters
    ----------
    targets : mapping of str to numpy.ndarray
        What is filled.
    arrays : mapping of str to array_like
        As many, of the same shapes; PyTorch's tensors too.

    Raises
    ------
    StateError
        If names are missing or unknown.
    ShapeError
        If an array has another shape.
    DtypeError
        If an array does not hold numbers of the target's kind.
    """
    checked = check(targets, arrays)
    for name, target in targets.items():
        target[...] = checked[name]


def check(targets: Mapping[str, Array], arrays: Mapping[str, Any]) -> dict[str, Array]:
    """Return the values that `fill` would copy, or raise what it raises; nothing is changed."""
    missing = [name for name in targets if name not in arrays]
    unknown = [name for name in arrays if name not in targets]
    if missing or unknown:
        raise StateError(
            f"state: missing {missing or 'nothing'}, unknown {unknown or 'nothing'};"
            f" expected {list(targets)}"
        )
    return {name: _fitting(name, arrays[name], target) for name, target in targets.items()}


def from_torch(
    arrays: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> dict[str, Array]:
    """Return the state of a PyTorch module as arrays, renamed if asked to.

    Parameters
    ----------
    arrays : mapping of str to torch.Tensor
        What the `state_dict` of a module returns.
    names : mapping of str to str, optional
        Names, or beginnings of names up to a dot, here by those there: `{"features.0": "0"}`.

    Returns
    -------
    dict of str to numpy.ndarray
        Copies, for `load_state_dict`.

    Examples
    --------
    >>> import numpy as np
    >>> list(from_torch({"features.0.weight": np.ones(2)}, {"features.0": "conv1"}))
    ['conv1.weight']
    """
    return {_renamed(name, names or {}): _as_array(value) for name, value in arrays.items()}


def to_torch(arrays: Mapping[str, Array], names: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a state as PyTorch's tensors, for the `load_state_dict` of a module.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        What `state_dict` returns.
    names : mapping of str to str, optional
        Names, or beginnings of names up to a dot, there by those here.

    Returns
    -------
    dict of str to torch.Tensor
        Copies.

    Raises
    ------
    MissingDependencyError
        If PyTorch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise MissingDependencyError("to_torch needs torch: pip install torch") from None
    return {
        _renamed(name, names or {}): torch.from_numpy(np.array(array))
        for name, array in arrays.items()
    }


def write(path: PathLike, arrays: Mapping[str, Array]) -> None:
    """Write arrays to an `.npz` file, atomically: whoever reads finds the old or the new one.

    Parameters
    ----------
    path : path-like
        The file; its folder has to be there.
    arrays : mapping of str to numpy.ndarray
        Of numbers or text.
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in arrays.items():
            one = io.BytesIO()
            np.lib.format.write_array(one, np.asanyarray(array), allow_pickle=False)
            archive.writestr(f"{name}.npy", one.getvalue())
    write_bytes(Path(path), content.getvalue())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file in a single step, once all is on the disk."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode if path.exists() else 0o666 & ~_umask()
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read(path: PathLike) -> dict[str, Array]:
    """Return the arrays of an `.npz` file; nothing is unpickled.

    Raises
    ------
    StateError
        If the file is missing, damaged, or holds anything but plain arrays.
    """
    try:
        with Path(path).open("rb") as file:
            found = np.load(file, allow_pickle=False)
            if not isinstance(found, np.lib.npyio.NpzFile):
                raise StateError(f"path: {path} holds one array, not several with names (.npz)")
            return {name: found[name] for name in found.files}
    except FileNotFoundError:
        raise StateError(f"path: there is no file {path}") from None
    except IsADirectoryError:
        raise StateError(f"path: {path} is a folder") from None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise StateError(f"path: {path} is no .npz file of plain arrays: {error}") from None


def _fitting(name: str, value: Any, target: Array) -> Array:
    array = _as_array(value)
    if array.shape != target.shape:
        raise ShapeError(f"state: {name}: expected shape {target.shape}, got {array.shape}")
    if not np.can_cast(array.dtype, target.dtype, "same_kind"):
        raise DtypeError(f"state: {name}: expected {target.dtype}, got {array.dtype}")
    return array


def _as_array(value: Any) -> Array:
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu().numpy()
    return np.array(value)


def _renamed(name: str, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        if name == old or name.startswith(f"{old}."):
            return new + name[len(old) :]
    return name


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
