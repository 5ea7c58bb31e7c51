"""The dtypes fastconv computes in, one row each, and the way callers' arrays become plain ones."""

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv.errors import DtypeError, ParameterError

Array = npt.NDArray[Any]
Dtype = np.dtype[Any]


@dataclass(frozen=True)
class DtypeRow:
    """What fastconv knows of one dtype.

    Attributes
    ----------
    dtype : numpy.dtype
        The dtype of inputs.
    accumulator : numpy.dtype
        The dtype sums are kept in, unless the caller chooses by `acc_dtype`.
    sums : numpy.dtype
        The dtype sums are returned in: floating point is rounded back once, integers stay in the
        accumulator.
    accumulators : tuple of numpy.dtype
        What `acc_dtype` may be.
    exact_limit : int
        Sums of integers stay exact in the accumulator, in any order, while no partial sum exceeds
        this.
    tolerance : float
        Relative error, per square root of the number of terms, two algorithms may differ by.
    """

    dtype: Dtype
    accumulator: Dtype
    sums: Dtype
    accumulators: tuple[Dtype, ...]
    exact_limit: int
    tolerance: float


INTEGERS = tuple(
    np.dtype(name)
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
)
UINT64 = np.dtype(np.uint64)
"""The one dtype without an accumulator of its own: nothing is wider, so callers must choose."""


def _floating(dtype: npt.DTypeLike, accumulators: str, exact_limit: int, eps: float) -> DtypeRow:
    """Return the row of a floating dtype; the first of its accumulators is the usual one."""
    own, wide = np.dtype(dtype), tuple(map(np.dtype, accumulators.split()))
    return DtypeRow(own, wide[0], own, wide, exact_limit, eps)


def _integer(dtype: str, accumulator: str) -> DtypeRow:
    wide = np.dtype(accumulator)
    return DtypeRow(np.dtype(dtype), wide, wide, INTEGERS, int(np.iinfo(wide).max), 0.0)


TABLE = {
    row.dtype: row
    for row in (
        _floating("float16", "float32 float64", 2**24, 2.0**-10),
        _floating("float32", "float32 float64", 2**24, 2.0**-22),
        _floating("float64", "float64", 2**53, 2.0**-51),
        _floating("complex64", "complex64 complex128", 2**24, 2.0**-21),
        _floating("complex128", "complex128", 2**53, 2.0**-50),
        _integer("bool", "int32"),
        _integer("int8", "int32"),
        _integer("int16", "int64"),
        _integer("int32", "int64"),
        _integer("int64", "int64"),
        _integer("uint8", "int32"),
        _integer("uint16", "int64"),
        _integer("uint32", "int64"),
        _integer("uint64", "uint64"),
    )
}
"""bfloat16 joins when an array of it is seen: NumPy knows it only once ml_dtypes is loaded."""
NAMES = tuple(dtype.name for dtype in TABLE)
FLOATS = ("float32", "float64")
"""What compiled kernels compute in."""


def row_of(dtype: npt.DTypeLike, name: str = "dtype") -> DtypeRow:
    """Return the row of a dtype, or raise a `DtypeError` naming the parameter it came from."""
    try:
        resolved = np.dtype(_bfloat16() if dtype == "bfloat16" else dtype)
        row = TABLE.get(resolved)
        if row is None and is_bfloat16(resolved):
            row = _floating(resolved, "float32 float64", 2**24, 2.0**-7)
            TABLE[resolved] = row
        if row is not None:
            return row
    except (ImportError, TypeError):
        pass
    raise DtypeError(
        f"{name}: dtype {dtype} is not supported; use one of {', '.join(NAMES)}, or bfloat16 "
        "(of ml_dtypes)"
    )


def is_bfloat16(dtype: Dtype) -> bool:
    """Whether a dtype is ml_dtypes' bfloat16, which NumPy takes for raw bytes."""
    return dtype.kind == "V" and dtype.name == "bfloat16" and dtype.isnative


def _bfloat16() -> Any:
    return importlib.import_module("ml_dtypes").bfloat16


def with_bfloat16() -> tuple[str, ...]:
    """Return the names of all dtypes, with bfloat16 if ml_dtypes is installed."""
    try:
        return (*NAMES, row_of("bfloat16").dtype.name)
    except DtypeError:
        return NAMES


def lowest(dtype: Dtype) -> Any:
    """Return the number below all others of a dtype, as one of its scalars."""
    if dtype.kind in "iu":
        return dtype.type(np.iinfo(dtype).min)
    return dtype.type(False if dtype.kind == "b" else -np.inf)


def highest(dtype: Dtype) -> Any:
    """Return the number above all others of a dtype, as one of its scalars."""
    if dtype.kind in "iu":
        return dtype.type(np.iinfo(dtype).max)
    return dtype.type(True if dtype.kind == "b" else np.inf)


def accumulator(dtype: Dtype, acc_dtype: npt.DTypeLike | None) -> Dtype | None:
    """Return the accumulator that a caller chose, or None for the dtype's own.

    Raises
    ------
    DtypeError
        If sums of `dtype` cannot be kept in it.
    """
    row = row_of(dtype)
    if acc_dtype is None:
        return None
    try:
        asked = np.dtype(acc_dtype).newbyteorder("=")
    except TypeError:
        asked = None
    if asked not in row.accumulators:
        allowed = " or ".join(each.name for each in row.accumulators)
        raise DtypeError(f"acc_dtype: sums of {dtype} are kept in {allowed}, got {acc_dtype!r}")
    return None if asked == row.accumulator and dtype != UINT64 else asked


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
        if value.dtype in TABLE:
            return value
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


def scalar(name: str, value: Any, dtype: Dtype) -> Array:
    """Return a number as an array of no dimensions, or refuse one that the dtype cannot hold.

    Raises
    ------
    ParameterError
        For what is no number, is complex or a fraction where the dtype is not, or out of its range.
    """
    array = np.asarray(value)
    if is_bfloat16(array.dtype):
        array = array.astype(np.float32)
    if array.ndim or array.dtype.kind not in "biufc":
        raise ParameterError(f"{name}: expected a number, got {value!r}")
    number = array.item()
    whole = dtype.kind in "biu"
    complexity = array.dtype.kind == "c" and dtype.kind != "c"
    if complexity or (whole and isinstance(number, float) and not number.is_integer()):
        raise ParameterError(f"{name}: expected a number that {dtype} can hold, got {value!r}")
    with np.errstate(over="ignore"):
        fits = not whole or int(lowest(dtype)) <= number <= int(highest(dtype))
        result = array.astype(dtype) if fits else array
    if not fits or (np.isfinite(array) and not np.isfinite(result)):
        raise ParameterError(f"{name}: {value!r} is beyond the range of {dtype}")
    return result


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
    return array if array.flags.carray else np.array(array, order="C")


def conjugated(array: Array) -> Array:
    """Return the complex conjugate of an array: itself if it is real.

    Problems are bilinear; what makes a gradient an adjoint is done to its inputs.
    """
    return np.conjugate(array) if array.dtype.kind == "c" else array


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
