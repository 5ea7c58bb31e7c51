"""What the element-wise functions share: arrays seen as planes, and who computes.

Compiled loops for float32 and float64; NumPy for the rest, for half precision in float32, and
where there is no Numba; the plain loops where the settings ask for `naive`.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.algorithms.numba_here import numba_installed
from fastconv.dtypes import FLOATS, Array, Dtype, promoted, row_of
from fastconv.errors import DtypeError, ParameterError, ShapeError
from fastconv.kernels.pool import cores, hands
from fastconv.parameters import Ints
from fastconv.plan import current_settings

COMPILED = {np.dtype(name): name for name in FLOATS}
"""Names of the dtypes of compiled loops; NumPy takes longer to tell them than some loops."""
PIECE = 2**13
"""Elements of a thread's smallest part."""
ENOUGH = 2**15
"""Elements for which one more thread pays that looks out for work."""
WAKE = 2**20
"""Elements for which it pays to wake one."""


def floats(**named: npt.ArrayLike | None) -> list[Any]:
    """Return arrays in their common floating dtype, contiguous; None stays where it is."""
    given = {name: value for name, value in named.items() if value is not None}
    arrays = dict(zip(given, promoted(**given), strict=True))
    dtype = next(iter(arrays.values())).dtype
    if dtype.kind not in "fV":
        raise DtypeError(f"{next(iter(given))}: expected floats, got {dtype} ({', '.join(given)})")
    return [_contiguous(arrays[name]) if name in arrays else None for name in named]


def _contiguous(array: Array) -> Array:
    """Return an array or its copy; of no dimensions if it has none."""
    return array if array.flags.carray else np.require(array, requirements=["C", "A", "W"])


def by_whom(dtype: Dtype) -> str:
    """Return "naive", "compiled" or "numpy"."""
    if current_settings().algorithm == "naive":
        return "naive"
    return "compiled" if dtype in COMPILED and numba_installed() else "numpy"


def working(dtype: Dtype) -> Dtype:
    """Return the dtype to compute in: float32 for half precision."""
    return row_of(dtype).accumulator


def threads_for(elements: int, work: int = 1) -> int:
    """Return how many threads share so many elements, each so much work, at this moment."""
    most = current_settings().threads or cores()
    return hands(elements * work, WAKE, max(1, min(most, elements * work // ENOUGH)))


def planes(shape: Ints, layout: str, name: str = "input") -> Ints:
    """Return a shape `(N, C, ...)`, or channels last, as (N, C, L) or (N * L, C, 1)."""
    last = parameters.layout(layout) == "channels_last"
    if len(shape) < 2:
        raise ShapeError(f"{name}: expected shape (N, C, ...), got {shape}")
    if last or len(shape) == 2:
        return math.prod(shape[:-1]), shape[-1], 1
    return shape[0], shape[1], math.prod(shape[2:])


def lines(shape: Ints, dim: object, name: str = "input") -> Ints:
    """Return a shape as (outer, n, inner), with the dimension `dim` in the middle."""
    place = parameters.integer("dim", dim, -len(shape))
    if place >= len(shape) or not shape:
        raise ParameterError(f"dim: expected -{len(shape)} to {len(shape) - 1}, got {dim!r}")
    place %= len(shape)
    inner = math.prod(shape[place + 1 :])
    return math.prod(shape[:place]), shape[place], inner


@contextmanager
def kept(target: Array, dtype: Dtype) -> Iterator[Array]:
    """Lend an array to compute in; if it is not the target itself, round into that."""
    sums = target if target.dtype == dtype else np.empty(target.shape, dtype)
    yield sums
    if sums is not target:
        with np.errstate(over="ignore"):
            np.copyto(target, sums, casting="unsafe")


def blocks(shape: Ints, elements: int = 2**16) -> Iterator[slice]:
    """Yield ranges of the first axis, of about so many elements."""
    step = max(1, elements // max(1, math.prod(shape[1:])))
    for start in range(0, shape[0], step):
        yield slice(start, start + step)
