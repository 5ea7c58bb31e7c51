"""What each average divides by."""

import numpy as np

from fastconv.dtypes import Array
from fastconv.geometry import Axis
from fastconv.planes import UnevenAxis


def divisors(axes: tuple[Axis, ...], count_include_pad: bool, override: int | None) -> Array:
    """Return the divisor of every output position, float64 `(*out)`.

    What rounding lets a window overhang beyond the padding never counts.
    """
    if override is not None:
        return np.full([axis.out for axis in axes], float(override))
    result = np.ones(())
    for axis in axes:
        result = np.multiply.outer(result, np.array(axis.counts(count_include_pad), float))
    return result


def uniform_divisor(
    axes: tuple[Axis, ...], count_include_pad: bool, override: int | None
) -> float | None:
    """Return the one divisor of all output positions, or None where they differ."""
    if override is not None:
        return float(override)
    result = 1.0
    for axis in axes:
        counts = axis.counts(count_include_pad)
        if counts.count(counts[0]) != len(counts):
            return None
        result *= counts[0]
    return result


def uneven_divisors(axes: tuple[UnevenAxis, ...]) -> Array:
    """Return how many elements each window of an adaptive pool holds, float64 `(*out)`."""
    result = np.ones(())
    for axis in axes:
        spans = map(axis.span, range(axis.out))
        result = np.multiply.outer(result, np.array([s.stop - s.start for s in spans], float))
    return result
