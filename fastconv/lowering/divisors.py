"""What each average divides by."""

import functools

import numpy as np

from fastconv.dtypes import Array
from fastconv.geometry import Axis


@functools.lru_cache(maxsize=256)
def divisors(axes: tuple[Axis, ...], count_include_pad: bool, override: int | None) -> Array:
    """Return the divisor of every output position, float64 `(*out)`, read-only.

    What `ceil_mode` lets a window overhang beyond the padding never counts.
    """
    if override is not None:
        result = np.full([axis.out for axis in axes], float(override))
    else:
        result = np.ones(())
        for axis in axes:
            counts = np.array(axis.counts(count_include_pad), float)
            result = np.multiply.outer(result, counts)
    result.flags.writeable = False
    return result
