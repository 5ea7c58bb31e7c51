"""Where the elements of columns come from, as several tutorials index them."""

from typing import Any

import numpy as np

from fastconv import parameters
from fastconv.dtypes import Array
from fastconv.errors import ShapeError


def tap_indices(
    shape: Any, kernel: tuple[Any, Any], stride: Any, padding: Any
) -> tuple[Array, Array, Array]:
    """Return channel, row and column of each element of the columns of a padded input.

    Parameters
    ----------
    shape : tuple of int
        `(N, C, H, W)` before padding.
    kernel : tuple of int
        Height and width of the windows.
    stride, padding : int
        From one window to the next, and around the input.

    Returns
    -------
    tuple of numpy.ndarray
        Channels `(C * kh * kw, 1)`, rows and columns `(C * kh * kw, oh * ow)`, of int64.
    """
    sizes = parameters.shape("shape", shape)
    if len(sizes) != 4:
        raise ShapeError(f"shape: expected (N, C, H, W), got {sizes}")
    kh, kw = parameters.integers("filter size", kernel, 2)
    step = parameters.integer("stride", stride)
    pad = parameters.integer("padding", padding, 0)
    oh, ow = ((n + 2 * pad - k) // step + 1 for n, k in zip(sizes[2:], (kh, kw), strict=True))
    if min(oh, ow) < 1:
        raise ShapeError(
            f"filter size: ({kh}, {kw}) does not fit into shape {sizes} of padding {pad}"
        )
    d, i, j = np.indices((sizes[1], kh, kw)).reshape(3, -1, 1)  # each (C * kh * kw, 1)
    rows, columns = step * np.indices((oh, ow)).reshape(2, 1, -1)  # each (1, oh * ow)
    return d, i + rows, j + columns
