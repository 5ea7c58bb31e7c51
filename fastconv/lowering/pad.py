"""Padding: only what a block of output positions reads, or whole arrays and back."""

from dataclasses import dataclass

import numpy as np

from fastconv.dtypes import Array, Dtype


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

    def read(self, x: Array, value: float | Array = 0, dtype: Dtype | None = None) -> Array:
        """Return the region of `x` `(N, C, *sizes)`, with `value` outside the input.

        A view where the region lies inside the input and has the dtype asked for, else a copy
        `(N, C, *lengths)`.
        """
        source = x[(slice(None), slice(None), *self.inside)]
        dtype = x.dtype if dtype is None else dtype
        if self.whole:
            return source.astype(dtype, copy=False)
        region = np.empty((*x.shape[:2], *self.lengths), dtype)
        for axis, place in enumerate(self.places):  # each margin once, corners to the first axis
            before = (slice(None), slice(None), *self.places[:axis])
            if place.start:
                region[(*before, slice(0, place.start))] = value
            if place.stop < self.lengths[axis]:
                region[(*before, slice(place.stop, None))] = value
        region[(slice(None), slice(None), *self.places)] = source
        return region


def pad(
    x: Array, pairs: tuple[tuple[int, int], ...], mode: str = "zeros", value: float | Array = 0
) -> Array:
    """Return a copy of `x` with (before, after) elements more on each of its last axes.

    `mode` says what they hold: "zeros" the value, "replicate" the nearest element, "reflect" the
    elements mirrored at it, "circular" those of the other end. Every element is written once.
    """
    lead = x.ndim - len(pairs)
    ends = [(0, 0)] * lead + list(pairs)
    inside = [slice(b, b + n) for (b, _), n in zip(ends, x.shape, strict=True)]
    whole = tuple(b + n + a for (b, a), n in zip(ends, x.shape, strict=True))
    padded = np.empty(whole, x.dtype)
    padded[tuple(inside)] = x
    for axis in range(lead, x.ndim):  # what lies before this axis is filled, what follows is not
        size, place = x.shape[axis], (*[slice(None)] * axis, slice(None), *inside[axis + 1 :])
        part = np.moveaxis(padded[place], axis, 0)
        _fill_ends(part, *ends[axis], size, mode, value)
    return padded


def _fill_ends(
    part: Array, before: int, after: int, size: int, mode: str, value: float | Array
) -> None:
    """Fill both ends of the first axis, whose middle `size` elements are there."""
    stop = before + size
    first, last = part[:before], part[stop:]
    if mode == "zeros":
        first[...] = last[...] = value
    elif mode == "replicate":
        first[...] = part[before : before + 1]
        last[...] = part[stop - 1 : stop]
    elif mode == "reflect":
        first[...] = part[before + 1 : 2 * before + 1][::-1]
        last[...] = part[stop - 1 - after : stop - 1][::-1]
    else:
        first[...] = part[size:stop]
        last[...] = part[before : before + after]


def fold_padding(padded: Array, pairs: tuple[tuple[int, int], ...], mode: str = "zeros") -> Array:
    """Add what lies in the padding to the elements it was copied from: the adjoint of `pad`.

    A view where nothing is added, else a copy. Sums are in the array's own dtype.
    """
    lead = padded.ndim - len(pairs)
    own = False
    for axis in reversed(range(len(pairs))):
        before, after = pairs[axis]
        if not before and not after:
            continue
        stop = padded.shape[lead + axis] - after
        first, middle, last = (
            padded[(*[slice(None)] * (lead + axis), part)]
            for part in (slice(before), slice(before, stop), slice(stop, None))
        )
        if mode != "zeros" and not own:
            middle, own = middle.copy(), True
        with np.errstate(invalid="ignore", over="ignore"):  # as in compiled sums
            _add_ends(mode, *(np.moveaxis(part, lead + axis, 0) for part in (middle, first, last)))
        padded = middle
    return padded


def _add_ends(mode: str, middle: Array, first: Array, last: Array) -> None:
    """Add both ends of the first axis to the middle."""
    size, before, after = len(middle), len(first), len(last)
    if mode == "replicate":
        middle[0] += first.sum(0, middle.dtype)
        middle[-1] += last.sum(0, middle.dtype)
    elif mode == "reflect":
        middle[1 : before + 1] += first[::-1]
        middle[size - 1 - after : size - 1] += last[::-1]
    elif mode == "circular":
        middle[size - before :] += first
        middle[:after] += last
