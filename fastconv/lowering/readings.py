"""What sums over positions read: one array an element at a time, the other packed in columns.

Either array of a weight gradient may be the one or the other, where every tap of every position is
an element of the input of its own: of a kernel of one tap, or of one position.
"""

import math
from dataclasses import dataclass

import numpy as np

from fastconv.dtypes import Array
from fastconv.geometry import ConvGeometry


@dataclass(frozen=True)
class Reading:
    """Distances in the array that is read in place, and the shape of the one that is packed."""

    shifts: Array
    """Where each row of a group reads, from where the first does."""
    group: int
    start: int
    """Where the first row reads for the first position."""
    steps: tuple[int, ...]
    """Distances of neighbouring samples, and of neighbouring positions of each axis."""
    columns: int
    """Channels of a group that are packed."""
    by_rows: bool
    """Whether the packed channels of a position are neighbours, rather than its positions."""
    turned: bool
    """Whether the gradient of the output is read in place, and the input packed."""


def padded_sizes(geometry: ConvGeometry) -> tuple[int, ...]:
    """Return the spatial sizes of the input, with its padding if it has any."""
    if not geometry.padded:
        return geometry.sizes
    return tuple(max(axis.size, axis.last) + axis.before for axis in geometry.axes)


def distances_along(sizes: tuple[int, ...], between: int) -> tuple[int, ...]:
    """Return the distances of neighbours along each axis, which are `between` along the last."""
    return tuple(math.prod(sizes[index + 1 :]) * between for index in range(len(sizes)))


def windows(geometry: ConvGeometry, last: bool) -> Reading:
    """Return how the input is read, padded if it has to be; `last` says where its channels are."""
    sizes, group = padded_sizes(geometry), geometry.channels // geometry.groups
    along = distances_along(sizes, geometry.channels if last else 1)
    taps, start, steps = np.zeros(1, np.int64), 0, [geometry.channels * math.prod(sizes)]
    for axis, step in zip(geometry.axes, along, strict=True):
        taps = (taps[:, np.newaxis] + np.arange(axis.kernel) * axis.dilation * step).reshape(-1)
        start -= 0 if geometry.padded else axis.before * step
        steps.append(axis.stride * step)
    between = 1 if last else math.prod(sizes)
    shifts = (np.arange(group)[:, np.newaxis] * between + taps).reshape(-1)  # (channels * taps,)
    by_rows = last or geometry.positions == 1
    return Reading(shifts, group * between, start, tuple(steps), geometry.m, by_rows, False)


def outputs(geometry: ConvGeometry, last: bool) -> Reading | None:
    """Return how the gradient of the output is read, if the input can be packed in its place."""
    one_position = geometry.positions == 1 and geometry.kernel == geometry.sizes and not last
    one_tap = geometry.taps == 1 and geometry.out == geometry.sizes
    if geometry.padded or not (one_position or one_tap):
        return None
    between = 1 if last else geometry.positions
    return Reading(
        np.arange(geometry.m) * between,
        geometry.m * between,
        0,
        (
            geometry.out_channels * geometry.positions,
            *distances_along(geometry.out, geometry.out_channels if last else 1),
        ),
        geometry.k,
        last or one_position,
        True,
    )
