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
    out = []
    for size, taps, step, jump in zip(sizes, kernel, stride, dilation, strict=True):
        room = size - jump * (taps - 1) - 1
        if room < 0:
            raise ShapeError(
                f"kernel_size: {taps} taps, dilation {jump}, do not fit {size} elements"
            )
        out.append(room // step + 1)
    batch, channel, *spatial = x.strides
    # a stride that is never taken may be of any size, so it must not be multiplied
    moves = [d * step if n > 1 else 0 for d, step, n in zip(spatial, stride, out, strict=True)]
    steps = [d * jump if n > 1 else 0 for d, jump, n in zip(spatial, dilation, kernel, strict=True)]
    shape = (*x.shape[:2], *out, *kernel)
    strides = (batch, channel, *moves, *steps)
    if not x.flags.c_contiguous:
        return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)
    # The same view several times faster, with its bounds checked once more by NumPy.
    view = np.ndarray(shape, x.dtype, x, 0, strides)
    view.flags.writeable = False
    return view
