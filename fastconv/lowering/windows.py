"""The window view: every window of an array, without a copy."""

import numpy as np

from fastconv.dtypes import Array
from fastconv.errors import ShapeError


def window_view(
    x: Array, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> Array:
    """View `(N, C, *sizes)` as read-only windows `(N, C, *out, *kernel)`.

    The strides come from the array's own, and the last element of the last window is shown to lie
    inside the array before the view is made.
    """
    sizes = x.shape[2:]
    extents = [step * (taps - 1) + 1 for taps, step in zip(kernel, dilation, strict=True)]
    if any(extent > size for extent, size in zip(extents, sizes, strict=True)):
        raise ShapeError(f"kernel_size: windows of {tuple(extents)} elements do not fit {sizes}")
    out = [
        (size - extent) // step + 1
        for size, extent, step in zip(sizes, extents, stride, strict=True)
    ]
    spatial = x.strides[2:]
    moves = [step * jump for step, jump in zip(spatial, stride, strict=True)]
    steps = [step * jump for step, jump in zip(spatial, dilation, strict=True)]
    return np.lib.stride_tricks.as_strided(
        x, (*x.shape[:2], *out, *kernel), (*x.strides[:2], *moves, *steps), writeable=False
    )
