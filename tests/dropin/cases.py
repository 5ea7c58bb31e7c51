"""What the tests of several drop-ins share."""

import numpy as np
import pytest

from fastconv import DtypeError, ParameterError, ShapeError

SIZES = [  # (N, C, H, W), F, (kh, kw), stride, padding
    ((1, 1, 4, 4), 1, (2, 2), 1, 0),
    ((3, 2, 7, 6), 4, (3, 3), 1, 1),
    ((2, 3, 9, 8), 2, (3, 2), 2, 0),
    ((2, 1, 8, 11), 3, (4, 3), 3, 2),
]
ORDERED = pytest.mark.parametrize(("shape", "filters", "kernel", "stride", "pad"), SIZES)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
NO_ARRAYS = [None, "image", np.array([object()]), np.ma.masked_array([1.0])]


def differences(function, arrays, at, step=1e-6):
    """The gradient of a scalar function of arrays in one of them, by central differences."""
    base = [array.astype(np.float64) for array in arrays]
    result = np.zeros(base[at].shape)
    for place in np.ndindex(result.shape):
        for sign in (1, -1):
            moved = [array.copy() for array in base]
            moved[at][place] += sign * step
            result[place] += sign * function(*moved) / (2 * step)
    return result


def refused(call, *parts, error=(ShapeError, ParameterError, DtypeError)):
    """Assert that a call is refused, with these words in what it says."""
    with pytest.raises(error) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)
