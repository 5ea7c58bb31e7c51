"""What all drop-ins do with the arrays they are given."""

from types import TracebackType
from typing import Any

import numpy as np

from fastconv.dtypes import Array, promoted
from fastconv.errors import FastconvError, ParameterError, ShapeError


def floats(**named: Any) -> tuple[Array, ...]:
    """Bring arrays to one floating dtype, by NumPy's rule; integers and bool to float64.

    Raises
    ------
    DtypeError
        For what is no array of numbers.
    """
    arrays = promoted(**named)
    if arrays[0].dtype.kind in "biu":
        return tuple(array.astype(np.float64) for array in arrays)
    return arrays


def check_ndim(name: str, array: Array, shapes: dict[int, str]) -> None:
    """Raise a `ShapeError` unless the array has one of these numbers of dimensions."""
    if array.ndim not in shapes:
        expected = " or ".join(shapes.values())
        raise ShapeError(f"{name}: expected shape {expected}, got {array.shape}")


def entry(name: str, parameters: Any, key: str) -> Any:
    """Return an entry of a dictionary of parameters, or refuse."""
    if not isinstance(parameters, dict):
        raise ParameterError(f"{name}: expected a dict, got {parameters!r}")
    if key not in parameters:
        raise ParameterError(
            f"{name}: expected the key {key!r}, got {sorted(map(str, parameters))}"
        )
    return parameters[key]


def made(name: str, value: Any, by: str) -> Any:
    """Return what a forward call has left behind, or refuse if there was none."""
    if value is None:
        raise ParameterError(f"{name}: {by} must be called first")
    return value


class Named:
    """Says a drop-in's names of parameters in the errors of the operators it calls.

    Parameters
    ----------
    **names : str
        What each of the operators' parameters is called here.
    """

    def __init__(self, **names: str):
        self.names = names

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, FastconvError):
            name, colon, rest = str(error).partition(":")
            if colon and name in self.names:
                raise type(error)(f"{self.names[name]}:{rest}") from None
