"""im2col: copy windows into columns."""

import numpy as np

from fastconv.dtypes import Array
from fastconv.geometry import Axis
from fastconv.lowering.blocks import Block
from fastconv.lowering.pad import padded_region
from fastconv.lowering.windows import window_view


def block_windows(x: Array, axes: tuple[Axis, ...], block: Block, pad_value: float = 0) -> Array:
    """Return the windows of a block, `(n, C, *out, *kernel)`, over the input or a padded part of it."""
    starts = tuple(
        start * axis.stride - axis.before
        for axis, (start, _) in zip(axes, block.ranges, strict=True)
    )
    lengths = tuple(
        (stop - start - 1) * axis.stride + axis.extent
        for axis, (start, stop) in zip(axes, block.ranges, strict=True)
    )
    region = padded_region(x[slice(*block.samples)], starts, lengths, pad_value)
    return window_view(
        region,
        tuple(axis.kernel for axis in axes),
        tuple(axis.stride for axis in axes),
        tuple(axis.dilation for axis in axes),
    )


def fill_columns(windows: Array, columns: Array, order: tuple[int, ...]) -> None:
    """Copy windows `(n, C, *out, *kernel)` into columns whose axes are `order` of the windows' axes."""
    np.copyto(columns, windows.transpose(order))


def columns_order(rank: int) -> tuple[int, ...]:
    """Return the order (n, C, *kernel, *out) of window axes."""
    return (0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))


def depth_first_order(rank: int) -> tuple[int, ...]:
    """Return the order (C, *kernel, n, *out) of window axes."""
    return (1, *range(2 + rank, 2 + 2 * rank), 0, *range(2, 2 + rank))
