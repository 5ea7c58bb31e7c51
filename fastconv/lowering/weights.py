"""How a weight lies in memory, for packers that read it where it is, turned around or not.

Packers turn rows, which are output channels, into columns of terms, which are taps of input
channels. They read *runs*: terms that are near each other in memory, the same for every row. An
ordinary weight has a single run for each row; one that is turned around, to be convolved with the
gradient of an output, has one for every channel, with its taps in reverse.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import as_strided

from fastconv.dtypes import Array, ready

SPARSEST = 64
"""Elements of a run for each of its terms beyond which a copy costs less than what lies between."""
AHEAD_BYTES, ROWS_AHEAD = 512, 16
"""How far ahead of a long run to fetch it, and, of short ones, the same run of which row: they are
more than the CPU follows by itself."""


@dataclass(frozen=True)
class Terms:
    """A weight as packers read it.

    `steps` are elements from group to group and from row to row; runs of a row, and elements from
    one to the next; elements of a run; and how far ahead to fetch. `numbers` says which term every
    element of all runs of a row is, or -1; None stands for all in their order.
    """

    flat: Array
    steps: tuple[int, int, int, int, int, int]
    numbers: Array | None

    def places(self, of: Array) -> Array:
        """Return for every element the place of its term, or -1, from the places of all terms."""
        if self.numbers is None:
            return of
        return np.where(self.numbers < 0, -1, of[self.numbers])


def taps_of(w: Array, groups: int, rank: int) -> tuple[Array, tuple[int, int, int, int]]:
    """Return a weight whose taps are neighbours: flat, and its steps.

    With or without an axis of the groups before the others. The steps are elements from group to
    group, from row to row, from channel to channel and from tap to tap: 1, or -1 from the last tap
    on. Where taps lie otherwise it is a copy.
    """
    if w.ndim == rank + 3 and w.flags.aligned and w.flags.writeable and not w.flags.c_contiguous:
        steps = [stride // w.itemsize for stride in w.strides]
        whole = not any(stride % w.itemsize for stride in w.strides)
        for sign in (1, -1):
            first = w[(slice(None),) * 3 + (slice(None, None, sign),) * rank]
            if whole and min(steps[:3]) >= 0 and first[0, 0, 0].flags.c_contiguous:
                extent = 1 + sum((n - 1) * abs(k) for n, k in zip(w.shape, steps, strict=True))
                flat = as_strided(first, (extent,), (w.itemsize,))
                return flat, (steps[0], steps[1], steps[2], sign)
    taps, flat = math.prod(w.shape[w.ndim - rank :]), ready(w).reshape(-1)
    row = taps * w.shape[w.ndim - rank - 1]
    return flat, (flat.size // groups, row, taps, 1)


def terms_of(w: Array, groups: int, rank: int) -> Terms:
    """Return the terms of a weight, with or without an axis of the groups before the others."""
    if w.ndim == rank + 3 and w.flags.aligned and w.flags.writeable and not w.flags.c_contiguous:
        terms = _in_place(w)
        if terms is not None:
            return terms
    flat = ready(w).reshape(-1)
    depth = math.prod(w.shape[-rank - 1 :])
    ahead = AHEAD_BYTES // w.itemsize
    return Terms(flat, (flat.size // groups, depth, 1, depth, depth, ahead), None)


def _in_place(w: Array) -> Terms | None:
    """Return the terms of a view (groups, rows, channels, *kernel), or None where they lie badly.

    Only taps may be in reverse.
    """
    steps = tuple(stride // w.itemsize for stride in w.strides)
    if min(steps[:3]) < 0 or any(stride % w.itemsize for stride in w.strides):
        return None
    length, numbers = _runs(w.shape[2:], steps[3:])
    if numbers is None:
        return None
    first = w[tuple(slice(None, None, -1 if step < 0 else 1) for step in steps)]
    extent = 1 + sum((size - 1) * abs(step) for size, step in zip(w.shape, steps, strict=True))
    flat = as_strided(first, (extent,), (w.itemsize,))
    group, row, run = steps[:3]
    return Terms(flat, (group, row, w.shape[2], run, length, ROWS_AHEAD * row), numbers)


@lru_cache(maxsize=512)
def _runs(shape: tuple[int, ...], steps: tuple[int, ...]) -> tuple[int, Array | None]:
    """Return the elements of a run, and the numbers of `Terms`, of (channels, *kernel)."""
    taps = np.zeros(1, np.int64)
    for size, step in zip(shape[1:], steps, strict=True):
        places = np.arange(size) * abs(step)
        taps = (taps[:, np.newaxis] + (places[::-1] if step < 0 else places)).reshape(-1)
    length = int(taps.max()) + 1
    if length > SPARSEST * taps.size:
        return length, None
    numbers = np.full((shape[0], length), -1, np.int64)
    numbers[:, taps] = np.arange(shape[0] * taps.size).reshape(shape[0], -1)
    return length, numbers.reshape(-1)
