"""col2im: add columns back to where their windows lie; the adjoint of im2col."""

import itertools

from fastconv.dtypes import Array
from fastconv.geometry import Axis
from fastconv.lowering.blocks import Block


def add_columns(columns: Array, x: Array, axes: tuple[Axis, ...], block: Block) -> None:
    """Add columns `(n, C, *kernel, *out)` of a block into `x` `(N, C, *sizes)`, tap by tap.

    What fell on padding is left out; nothing is padded for it.
    """
    target = x[slice(*block.samples)]
    for tap in itertools.product(*(range(axis.kernel) for axis in axes)):
        places, parts = [], []
        for axis, index, (start, stop) in zip(axes, tap, block.ranges, strict=True):
            low, high = axis.inside(index, start, stop)
            if low == high:
                break
            places.append(axis.source(index, low, high))
            parts.append(slice(low - start, high - start))
        else:
            place = (slice(None), slice(None), *places)
            target[place] += columns[(slice(None), slice(None), *tap, *parts)]
