"""col2im: add columns back to where their windows lie; the adjoint of im2col."""

import itertools
from typing import Any

import numpy as np

from fastconv.dtypes import Array
from fastconv.geometry import Axis
from fastconv.lowering.blocks import Box


def add_columns(columns: Array, x: Array, axes: tuple[Axis, ...], box: Box) -> None:
    """Add columns `(n, C, *kernel, *out)` of a box into `x` `(n, C, *sizes)`, tap by tap.

    What fell on padding is left out; nothing is padded for it. Sums are kept in the dtype of `x`.
    """
    for tap in itertools.product(*(range(axis.kernel) for axis in axes)):
        places, parts = [], []
        for axis, index, (start, stop) in zip(axes, tap, box.ranges, strict=True):
            low, high = axis.inside(index, start, stop)
            if low == high:
                break
            places.append(axis.source(index, low, high))
            parts.append(slice(low - start, high - start))
        else:
            place: tuple[Any, ...] = (slice(None), slice(None), *places)
            part: tuple[Any, ...] = (slice(None), slice(None), *tap, *parts)
            np.add(x[place], columns[part], x[place], dtype=x.dtype, casting="unsafe")
