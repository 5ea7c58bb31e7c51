"""Cutting the output positions of a batch into blocks whose columns fit a given size."""

import math
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """Some samples, and a box of output positions that is contiguous when flattened.

    `samples` is a range of the batch; `ranges` gives (start, stop) for every spatial axis;
    `first` and `last` are the box's flat positions.
    """

    samples: tuple[int, int]
    ranges: tuple[tuple[int, int], ...]
    first: int
    last: int

    @property
    def batch(self) -> int:
        """Number of samples."""
        return self.samples[1] - self.samples[0]

    @property
    def out(self) -> tuple[int, ...]:
        """Positions along each axis."""
        return tuple(stop - start for start, stop in self.ranges)

    @property
    def positions(self) -> int:
        """Positions of one sample."""
        return self.last - self.first


def block_positions(batch: int, out: tuple[int, ...], most: int) -> int:
    """Return how many positions (over all its samples) the largest block of `blocks` has."""
    whole = math.prod(out)
    if most >= whole:
        return whole * min(batch, most // whole) if whole else 0
    return max(block.positions for block in _boxes(out, max(1, most), limit=1))


def blocks(batch: int, out: tuple[int, ...], most: int) -> Iterator[Block]:
    """Cut `batch` samples of `out` positions into blocks of at most `most` positions.

    A block holds several whole samples, or part of one: a range of its outermost axis, or, where
    one step of that axis is already too much, a range of the next, and so on. Always at least one
    position.
    """
    whole = math.prod(out)
    if not batch or not whole:
        return
    if most >= whole:
        step = _even(batch, most // whole)
        for start in range(0, batch, step):
            samples = (start, min(batch, start + step))
            yield Block(samples, tuple((0, size) for size in out), 0, whole)
        return
    for sample in range(batch):
        for box in _boxes(out, max(1, most)):
            yield Block((sample, sample + 1), box.ranges, box.first, box.last)


def _boxes(out: tuple[int, ...], most: int, limit: int | None = None) -> Iterator[Block]:
    axis = 0
    while math.prod(out[axis + 1 :]) > most:
        axis += 1
    inner = math.prod(out[axis + 1 :])
    step = _even(out[axis], max(1, most // inner))
    leading = math.prod(out[:axis])
    for outer in range(leading if limit is None else min(leading, limit)):
        fixed = _unravel(outer, out[:axis])
        base = outer * out[axis] * inner
        for start in range(0, out[axis], step):
            stop = min(out[axis], start + step)
            ranges = (
                *((index, index + 1) for index in fixed),
                (start, stop),
                *((0, size) for size in out[axis + 1 :]),
            )
            yield Block((0, 1), ranges, base + start * inner, base + stop * inner)


def _even(total: int, most: int) -> int:
    """Return a step of at most `most` that cuts `total` into nearly equal parts."""
    return -(-total // -(-total // max(1, min(most, total))))


def _unravel(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    index: list[int] = []
    for size in reversed(shape):
        flat, remainder = divmod(flat, size)
        index.append(remainder)
    return tuple(reversed(index))
