"""`out`: a caller's array for the result, checked before anything is written to it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.dtypes import Array
from fastconv.errors import DtypeError, ParameterError
from fastconv.ops.call import check_shape

OVERLAP_WORK = 10_000
"""Steps after which two strided arrays whose memory is entangled count as overlapping."""


def write_out(
    out: Any,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    compute: Callable[[Array], None],
    **inputs: Array | None,
) -> Array:
    """Let `compute` fill an array that a caller passed, and return it.

    Parameters
    ----------
    out : Any
        What the caller passed; without batch where the call has none.
    shape : tuple of int
        Shape of the result, batched.
    dtype : numpy.dtype
        Dtype of the result.
    compute : callable
        Fills a contiguous array of that shape and dtype.
    **inputs : numpy.ndarray or None
        What is read meanwhile, by parameter name, the first as the caller passed it: it tells
        whether there is a batch.

    Raises
    ------
    DtypeError, ShapeError, ParameterError
        If the result cannot be put there.
    """
    first = next(iter(inputs.values()))
    batched = first is None or first.ndim == len(shape)
    target = _checked(out, shape if batched else shape[1:], dtype)
    for name, array in inputs.items():
        if array is not None and _overlap(target, array):
            raise ParameterError(f"out: shares memory with {name}, which is still read")
    if target.flags.c_contiguous and target.flags.aligned:
        compute(target.reshape(shape))
    else:
        result = np.empty(shape, dtype)
        compute(result)
        target[...] = result.reshape(target.shape)
    return out  # type: ignore[no-any-return]


def _checked(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return a caller's array as one of the base class, on the same memory."""
    if not isinstance(out, np.ndarray) or isinstance(out, (np.ma.MaskedArray, np.matrix)):
        raise DtypeError(f"out: expected a numpy.ndarray, got {type(out).__name__}")
    if out.dtype != dtype:
        raise DtypeError(f"out: expected dtype {dtype}, got {out.dtype}")
    check_shape("out", out.shape, shape, "as the result")
    if not out.flags.writeable:
        raise ParameterError("out: the array is read-only")
    return out.view(np.ndarray)


def _overlap(first: Array, second: Array) -> bool:
    if not np.may_share_memory(first, second):  # compares the ends only
        return False
    try:
        # NumPy's types know two of the numbers that it takes
        return np.shares_memory(first, second, max_work=OVERLAP_WORK)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
