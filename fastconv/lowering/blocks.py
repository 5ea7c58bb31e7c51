"""Cutting a batch of output positions into blocks whose columns fit a given size."""

import math
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A box of output positions of one sample that is contiguous when flattened.

    `ranges` gives (start, stop) for every spatial axis; `flat` is the slice of flat positions.
    """

    ranges: tuple[tuple[int, int], ...]
    flat: slice
    out: tuple[int, ...]
    positions: int

    @classmethod
    def of(cls, ranges: tuple[tuple[int, int], ...], first: int) -> "Box":
        """Return the box of some ranges, whose first flat position is known."""
        out = tuple(stop - start for start, stop in ranges)
        positions = math.prod(out)
        return cls(ranges, slice(first, first + positions), out, positions)


def sample_ranges(batch: int, positions: int, most: int) -> list[slice]:
    """Cut a batch into nearly equal ranges of at most `most` positions, or of one sample."""
    if not batch:
        return []
    step = _even(batch, most // positions)
    return [slice(start, min(batch, start + step)) for start in range(0, batch, step)]


def boxes(out: tuple[int, ...], most: int) -> Iterator[Box]:
    """Cut output positions into boxes of at most `most` positions, at least one each.

    A box is a range of the outermost axis, or, where one step of that axis is already too much, a
    range of the next, and so on.
    """
    axis = 0
    while math.prod(out[axis + 1 :]) > most and axis < len(out) - 1:
        axis += 1
    inner = math.prod(out[axis + 1 :])
    step = _even(out[axis], most // inner)
    rest = tuple((0, size) for size in out[axis + 1 :])
    for outer in range(math.prod(out[:axis])):
        fixed = tuple((index, index + 1) for index in _unravel(outer, out[:axis]))
        for start in range(0, out[axis], step):
            ranges = (*fixed, (start, min(out[axis], start + step)), *rest)
            yield Box.of(ranges, (outer * out[axis] + start) * inner)


def largest_box(out: tuple[int, ...], most: int) -> Box:
    """Return the first box of `boxes`, which none exceeds."""
    return next(boxes(out, most))


def _even(total: int, most: int) -> int:
    """Return a step, 1 to `most`, that cuts `total` into nearly equal parts."""
    return -(-total // -(-total // max(1, min(most, total))))


def _unravel(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    index: list[int] = []
    for size in reversed(shape):
        flat, remainder = divmod(flat, size)
        index.append(remainder)
    return tuple(reversed(index))
