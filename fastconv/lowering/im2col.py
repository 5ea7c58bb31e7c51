"""im2col: copy windows into columns."""

from dataclasses import dataclass

import numpy as np

from fastconv.dtypes import Array, Dtype
from fastconv.geometry import Axis
from fastconv.lowering.blocks import Box
from fastconv.lowering.pad import Region
from fastconv.lowering.windows import window_view


@dataclass(frozen=True, slots=True)
class BoxWindows:
    """Reads the windows of one box of output positions; made once, used for every sample."""

    region: Region
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]

    @classmethod
    def of(cls, axes: tuple[Axis, ...], box: Box) -> "BoxWindows":
        """Find the part of the input that the box reads."""
        starts, lengths = [], []
        for axis, (start, stop) in zip(axes, box.ranges, strict=True):
            starts.append(start * axis.stride - axis.before)
            lengths.append((stop - start - 1) * axis.stride + axis.extent)
        sizes = tuple(axis.size for axis in axes)
        return cls(
            Region.of(sizes, tuple(starts), tuple(lengths)),
            tuple(axis.kernel for axis in axes),
            tuple(axis.stride for axis in axes),
            tuple(axis.dilation for axis in axes),
        )

    def view(self, x: Array, pad_value: float | Array = 0, dtype: Dtype | None = None) -> Array:
        """Return windows `(n, C, *out, *kernel)` over `x` or a padded copy of a part of it."""
        region = self.region.read(x, pad_value, dtype)
        return window_view(region, self.kernel, self.stride, self.dilation)


def fill_columns(windows: Array, columns: Array, order: tuple[int, ...]) -> None:
    """Copy windows `(n, C, *out, *kernel)` into columns whose axes are `order` of the windows'.

    Columns may have another dtype, one that holds the values.
    """
    np.copyto(columns, windows.transpose(order), casting="unsafe")


FEW_CHANNELS = 8
"""A copy of so few elements at a time takes longer than one with larger steps."""


def copy_windows(windows: Array, columns: Array) -> None:
    """Copy windows `(n, c, *out, *kernel)` into columns `(n, c, *kernel, *out)` of any strides."""
    rank = (windows.ndim - 2) // 2
    longer = [axis for axis, size in enumerate(columns.shape) if size > 1]
    fastest = min(longer, key=lambda axis: abs(columns.strides[axis]), default=0)
    if not 2 <= fastest < 2 + rank:
        fill_columns(windows, columns, columns_order(rank))
        return
    # taps are the fastest but few: one after the other, each is copied along a longer axis
    channels = columns.shape[1]
    apart = [slice(c, c + 1) for c in range(channels)] if channels < FEW_CHANNELS else [slice(None)]
    for tap in np.ndindex(columns.shape[2 : 2 + rank]):
        for part in apart:
            columns[(slice(None), part, *tap)] = windows[(slice(None), part, ..., *tap)]


def columns_order(rank: int) -> tuple[int, ...]:
    """Return the order (n, C, *kernel, *out) of window axes."""
    return (0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))


def depth_first_order(rank: int) -> tuple[int, ...]:
    """Return the order (C, *kernel, n, *out) of window axes."""
    return (1, *range(2 + rank, 2 + 2 * rank), 0, *range(2, 2 + rank))
