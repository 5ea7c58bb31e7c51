"""Everything that training goes on from, in one `.npz` file that is written in a single step."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastconv.dtypes import Array
from fastconv.errors import StateError
from fastconv.nn import state

VERSION = 1
RECORD = "record"


def save(path: state.PathLike, record: Mapping[str, Any], **groups: Mapping[str, Array]) -> None:
    """Write a checkpoint.

    Parameters
    ----------
    path : path-like
        The file.
    record : mapping
        Numbers and text, as JSON can hold them.
    **groups : mapping of str to numpy.ndarray
        Named arrays.
    """
    text = json.dumps({"version": VERSION, **record})
    arrays = {
        f"{group}/{name}": array for group, named in groups.items() for name, array in named.items()
    }
    state.write(path, {RECORD: np.array(text), **arrays})


def load(path: state.PathLike) -> tuple[dict[str, Any], dict[str, dict[str, Array]]]:
    """Return the record and the groups of a checkpoint.

    Raises
    ------
    StateError
        If the file is none, or of another version.
    """
    arrays = state.read(path)
    try:
        record = json.loads(str(arrays.pop(RECORD)))
        version = record.pop("version")
    except (KeyError, ValueError, AttributeError):
        raise StateError(f"checkpoint: {path} is no checkpoint of fastconv.nn.fit") from None
    if version != VERSION:
        raise StateError(f"checkpoint: {path} has version {version}, expected {VERSION}")
    groups: dict[str, dict[str, Array]] = {}
    for full, array in arrays.items():
        group, _, name = full.partition("/")
        groups.setdefault(group, {})[name] = array
    return record, groups


def generator_state(rng: np.random.Generator) -> Any:
    """Return the state of a generator, as JSON can hold it."""
    return _plain(rng.bit_generator.state)


def restore_generator(rng: np.random.Generator, saved: Any) -> None:
    """Set a generator to a state.

    Raises
    ------
    StateError
        If it is of another kind of generator.
    """
    try:
        rng.bit_generator.state = _arrays(saved)
    except (ValueError, KeyError, TypeError):
        kind = type(rng.bit_generator).__name__
        raise StateError(f"checkpoint: holds no state of a {kind} generator") from None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": value.dtype.name}
    return value.item() if isinstance(value, np.generic) else value


def _arrays(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if set(value) == {"array", "dtype"}:
        return np.array(value["array"], value["dtype"])
    return {name: _arrays(item) for name, item in value.items()}
