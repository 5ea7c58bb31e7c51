"""Output positions of a batch in strips, each a contiguous range that reads alike.

The batch counts as one more axis, outermost. A strip is a box of positions (`lowering.blocks`), so
what its positions read lies at the same distances from the first in every strip of the same shape;
and as one is cut along a single axis, a shorter strip is the beginning of a longer.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from fastconv.dtypes import Array
from fastconv.lowering.blocks import boxes


@dataclass(frozen=True, slots=True)
class Strip:
    """Some neighbouring positions: `start` is what the first reads, from `first` on `count`."""

    start: int
    first: int
    count: int


def strips(sizes: tuple[int, ...], steps: tuple[int, ...], most: int) -> tuple[Strip, ...]:
    """Cut positions (batch, *out), neighbours `steps` apart, into strips of at most `most`."""
    return tuple(
        Strip(
            sum(low * step for (low, _), step in zip(box.ranges, steps, strict=True)),
            box.flat.start,
            box.positions,
        )
        for box in boxes(sizes, most)
    )


def distances(sizes: tuple[int, ...], steps: tuple[int, ...], most: int) -> Array:
    """Return how far from what the first position of a strip reads the others read, of any."""
    longest = max((box.out for box in itertools.islice(boxes(sizes, most), 1)), key=np.prod)
    places = np.zeros(1, np.int64)
    for size, step in zip(longest, steps, strict=True):
        places = (places[:, np.newaxis] + np.arange(size) * step).reshape(-1)
    return places


@dataclass(frozen=True)
class Rows:
    """Positions that are neighbours in two arrays, in both of them along the last axis.

    `one` and `other` are the distances of neighbours along each axis.
    """

    sizes: tuple[int, ...]
    one: tuple[int, ...]
    other: tuple[int, ...]

    def merged(self) -> "Rows":
        """Return the same with axes made one where both arrays have one's rows side by side."""
        axes: list[list[int]] = []
        for size, *steps in zip(self.sizes, self.one, self.other, strict=True):
            if axes and axes[-1][1:] == [size * step for step in steps]:
                axes[-1] = [axes[-1][0] * size, *steps]
            else:
                axes.append([size, *steps])
        sizes, one, other = (tuple(numbers) for numbers in zip(*axes, strict=True))
        return Rows(sizes, one, other)

    def vectors(self, lanes: int) -> Array:
        """List the vectors of all rows: the place in either array, and the mask of both."""
        places = np.zeros((1, 2), np.int64)
        for size, *steps in zip(self.sizes[:-1], self.one, self.other, strict=False):
            added = np.arange(size)[:, np.newaxis] * np.array(steps, np.int64)
            places = (places[:, np.newaxis] + added).reshape(-1, 2)
        starts = np.arange(0, self.sizes[-1], lanes)
        masks = [(1 << min(lanes, self.sizes[-1] - int(start))) - 1 for start in starts]
        words = np.empty((len(places), len(starts), 3), np.int64)
        words[..., :2] = places[:, np.newaxis] + starts[:, np.newaxis]
        words[..., 2] = masks
        return words.reshape(-1)
