"""One axis of a pool at a time: its taps or its windows, combined plane-wide.

Arrays are `(P, *sizes)`: planes, and one dimension after another reduced from sizes to outputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastconv.dtypes import Array
from fastconv.geometry import Axis
from fastconv.planes import UnevenAxis

Place = tuple[Any, ...]


@dataclass(frozen=True)
class MovedAxis:
    """Windows of `kernel` elements that begin, in every plane, at other elements `(P, out)`."""

    size: int
    kernel: int
    starts: Array

    @property
    def out(self) -> int:
        """Windows of a plane."""
        return int(self.starts.shape[1])


AnyAxis = Axis | UnevenAxis | MovedAxis


def even(axis: UnevenAxis) -> Axis | UnevenAxis:
    """Return windows that do not overlap as what they are: slices will do for those."""
    if axis.size % axis.out:
        return axis
    step = axis.size // axis.out
    return Axis(axis.size, step, step, out=axis.out)


def reduced(x: Array, dimension: int, axis: AnyAxis) -> tuple[int, ...]:
    """Return the shape of `x` with one dimension reduced."""
    return (*x.shape[:dimension], axis.out, *x.shape[dimension + 1 :])


def taps(dimension: int, axis: Axis) -> Iterator[tuple[Place, Place]]:
    """Yield (input slice, output slice) for each tap of an axis that meets the input."""
    before = (slice(None),) * dimension
    for tap in range(axis.kernel):
        low, high = axis.inside(tap)
        if low < high:
            yield (*before, axis.source(tap, low, high)), (*before, slice(low, high))


def reduce(
    combine: np.ufunc, x: Array, y: Array, dimension: int, axis: Axis | UnevenAxis, start: Any
) -> None:
    """Combine the elements of every window of one axis; `start` is the result for none."""
    if 2 * axis.out <= axis.kernel:
        _reduce_windows(combine, x, y, dimension, axis, start)
    elif isinstance(axis, Axis):
        _reduce_taps(combine, x, y, dimension, axis, start)
    else:
        _reduce_uneven(combine, x, y, dimension, axis)


def _reduce_windows(
    combine: np.ufunc, x: Array, y: Array, dimension: int, axis: Axis | UnevenAxis, start: Any
) -> None:
    """Window by window, for few that are long."""
    before: Place = (slice(None),) * dimension
    for position in range(axis.out):
        span, target = axis.span(position), y[(*before, position)]
        if span.start == span.stop:
            target[...] = start
        else:
            combine.reduce(x[(*before, span)], axis=dimension, out=target, dtype=y.dtype)


def _reduce_taps(
    combine: np.ufunc, x: Array, y: Array, dimension: int, axis: Axis, start: Any
) -> None:
    """Tap by tap; the first that reaches every output position is copied."""
    pairs = list(taps(dimension, axis))
    full = next((pair for pair in pairs if pair[1][-1] == slice(0, axis.out)), None)
    if full is None:
        y[:] = start
    else:
        y[:] = x[full[0]]
        pairs.remove(full)
    for source, place in pairs:
        combine(y[place], x[source], out=y[place])


def _reduce_uneven(combine: np.ufunc, x: Array, y: Array, dimension: int, axis: UnevenAxis) -> None:
    """Tap by tap; where a window has no further element, its last again, or 0 in a sum."""
    starts, stops = _ends(axis)
    before = (slice(None),) * dimension
    y[:] = x.take(starts, dimension)
    for tap in range(1, axis.kernel):
        part = x.take(np.minimum(starts + tap, stops - 1), dimension)
        if combine is np.add:
            part[(*before, starts + tap >= stops)] = 0
        combine(y, part, out=y)


def _ends(axis: UnevenAxis) -> tuple[Array, Array]:
    spans = [axis.span(position) for position in range(axis.out)]
    return np.array([s.start for s in spans]), np.array([s.stop for s in spans])


def elements(
    dimension: int, axis: AnyAxis, x: Array, places: Array
) -> Iterator[tuple[Array, Array, Place]]:
    """Yield, tap by tap, elements, their places in the plane, and the outputs they belong to."""
    if isinstance(axis, Axis):
        for source, place in taps(dimension, axis):
            yield x[source], places[source], place
        return
    everywhere = (slice(None),)
    if isinstance(axis, UnevenAxis):
        starts, stops = _ends(axis)
        for tap in range(axis.kernel):
            index = np.minimum(starts + tap, stops - 1)
            yield x.take(index, dimension), places.take(index, dimension), everywhere
        return
    shape = [1] * x.ndim
    shape[0], shape[dimension] = axis.starts.shape
    for tap in range(axis.kernel):
        index = (axis.starts + tap).reshape(shape)
        yield (
            np.take_along_axis(x, index, dimension),
            np.take_along_axis(places, index, dimension),
            everywhere,
        )
