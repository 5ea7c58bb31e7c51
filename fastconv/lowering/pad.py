"""Padding only what a block of output positions reads."""

from dataclasses import dataclass

import numpy as np

from fastconv.dtypes import Array


@dataclass(frozen=True, slots=True)
class Region:
    """A box of the input, as seen from each spatial axis, that may reach outside it.

    `inside` is the part that lies in the input, `places` where that part lies in the region.
    """

    lengths: tuple[int, ...]
    inside: tuple[slice, ...]
    places: tuple[slice, ...]
    whole: bool

    @classmethod
    def of(
        cls, sizes: tuple[int, ...], starts: tuple[int, ...], lengths: tuple[int, ...]
    ) -> "Region":
        """Return the region `[start, start + length)` of every axis of an input of `sizes`."""
        inside, places, whole = [], [], True
        for start, length, size in zip(starts, lengths, sizes, strict=True):
            low = min(size, max(0, start))
            high = max(low, min(size, start + length))
            inside.append(slice(low, high))
            places.append(slice(low - start, high - start) if high > low else slice(0, 0))
            whole &= high - low == length
        return cls(lengths, tuple(inside), tuple(places), whole)

    def read(self, x: Array, value: float | Array = 0) -> Array:
        """Return the region of `x` `(N, C, *sizes)`, with `value` outside the input.

        A view where the region lies inside the input, else a copy `(N, C, *lengths)`.
        """
        source = x[(slice(None), slice(None), *self.inside)]
        if self.whole:
            return source
        region = np.empty((*x.shape[:2], *self.lengths), x.dtype)
        for axis, place in enumerate(self.places):  # each margin once, corners to the first axis
            before = (slice(None), slice(None), *self.places[:axis])
            if place.start:
                region[(*before, slice(0, place.start))] = value
            if place.stop < self.lengths[axis]:
                region[(*before, slice(place.stop, None))] = value
        region[(slice(None), slice(None), *self.places)] = source
        return region
