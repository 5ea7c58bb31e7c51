"""The dtypes fastconv computes in, one row each, and the way callers' arrays become plain ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv.errors import DtypeError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class DtypeRow:
    """What fastconv knows of one dtype.

    Attributes
    ----------
    dtype : numpy.dtype
        The dtype of inputs and results.
    accumulator : numpy.dtype
        The dtype sums are kept in.
    exact_limit : int
        Sums of integers stay exact, in any order, while no partial sum exceeds this.
    tolerance : float
        Relative error, per square root of the number of terms, two algorithms may differ by.
    """

    dtype: np.dtype[Any]
    accumulator: np.dtype[Any]
    exact_limit: int
    tolerance: float


TABLE = {
    row.dtype: row
    for row in (
        DtypeRow(np.dtype(np.float32), np.dtype(np.float32), 2**24, 2.0**-22),
        DtypeRow(np.dtype(np.float64), np.dtype(np.float64), 2**53, 2.0**-51),
    )
}
NAMES = tuple(dtype.name for dtype in TABLE)


def row_of(dtype: npt.DTypeLike, name: str = "dtype") -> DtypeRow:
    """Return the row of a dtype, or raise a `DtypeError` naming the parameter it came from."""
    try:
        resolved = np.dtype(dtype)
        return TABLE[resolved]
    except (KeyError, TypeError):
        raise DtypeError(
            f"{name}: dtype {dtype} is not supported; use {' or '.join(NAMES)}"
        ) from None


def plain_array(name: str, value: Any) -> Array:
    """Turn what a caller passed into a base-class array in native byte order.

    Parameters
    ----------
    name : str
        The parameter's name, for messages.
    value : array_like
        Any array or nested sequence of numbers.

    Returns
    -------
    numpy.ndarray
        `value` itself where it already is plain; else a view or a copy.

    Raises
    ------
    DtypeError
        For masked arrays, `numpy.matrix`, object arrays and what is no array of numbers.
    """
    if type(value) is np.ndarray:
        array = value
    elif isinstance(value, (np.ma.MaskedArray, np.matrix)):
        raise DtypeError(
            f"{name}: {type(value).__name__} is refused because its meaning would be lost; "
            "pass a plain array (numpy.asarray, or .filled(...) for a masked one)"
        )
    else:
        array = _converted(name, value)
    if array.dtype.kind not in "biufcV" or array.dtype.names is not None:
        raise DtypeError(f"{name}: expected an array of numbers, got dtype {array.dtype}")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def _converted(name: str, value: Any) -> Array:
    if value is None or isinstance(value, (str, bytes)):
        raise DtypeError(f"{name}: expected an array, got {value!r}")
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise DtypeError(f"{name}: not an array of numbers: {error}") from None


def ready(array: Array) -> Array:
    """Return an array as compiled loops take it: contiguous, aligned and writeable, or a copy.

    Numba takes others for other types, and would compile every loop for each of them again.
    """
    return array if array.flags.carray else np.require(array, requirements=["C", "A", "W"])


def promoted(**named: Any) -> tuple[Array, ...]:
    """Bring arrays to their common dtype by NumPy's promotion rule.

    Parameters
    ----------
    **named : array_like
        The arrays by parameter name; None is left out of the promotion and comes back as an
        empty place would: the caller must not pass it.

    Returns
    -------
    tuple of numpy.ndarray
        The arrays, in order, in one supported dtype.

    Raises
    ------
    DtypeError
        If their common dtype has no row in the table.
    """
    arrays = [plain_array(name, value) for name, value in named.items()]
    dtype = arrays[0].dtype
    for array in arrays:
        if array.dtype is not dtype and array.dtype != dtype:
            dtype = _common_dtype(", ".join(named), arrays)
            arrays = [each.astype(dtype, copy=False) for each in arrays]
            break
    if dtype not in TABLE:
        row_of(dtype, ", ".join(named))
    return tuple(arrays)


def _common_dtype(names: str, arrays: list[Array]) -> np.dtype[Any]:
    try:
        return np.result_type(*(array.dtype for array in arrays))
    except TypeError:
        dtypes = ", ".join(str(array.dtype) for array in arrays)
        raise DtypeError(f"{names}: dtypes {dtypes} have no common one") from None
