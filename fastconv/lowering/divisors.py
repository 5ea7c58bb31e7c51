"""What each average divides by."""

import numpy as np

from fastconv.dtypes import Array
from fastconv.geometry import Axis


def divisors(axes: tuple[Axis, ...], count_include_pad: bool, override: int | None) -> Array:
    """Return the divisor of every output position, float64 `(*out)`.

    What `ceil_mode` lets a window overhang beyond the padding never counts.
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
