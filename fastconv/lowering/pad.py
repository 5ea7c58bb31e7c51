"""Padding only what a block of output positions reads."""

import numpy as np

from fastconv.dtypes import Array


def padded_region(
    x: Array, starts: tuple[int, ...], lengths: tuple[int, ...], value: float = 0
) -> Array:
    """Return `x[:, :, start:start + length, ...]` where places outside `x` hold `value`.

    Parameters
    ----------
    x : numpy.ndarray
        Input `(N, C, *sizes)`.
    starts, lengths : tuple of int
        The region along each spatial axis, in elements of the input; it may reach outside.
    value : float
        What lies outside.

    Returns
    -------
    numpy.ndarray
        `(N, C, *lengths)`: a view where the region lies inside the input, else a copy.
    """
    inside, places, whole = [], [], True
    for start, length, size in zip(starts, lengths, x.shape[2:], strict=True):
        low, high = max(0, start), min(size, start + length)
        high = max(low, high)
        inside.append(slice(low, high))
        places.append(slice(low - start, high - start))
        whole &= high - low == length
    source = x[(slice(None), slice(None), *inside)]
    if whole:
        return source
    region = np.empty((*x.shape[:2], *lengths), x.dtype)
    _fill_margins(region, places, value)
    region[(slice(None), slice(None), *places)] = source
    return region


def _fill_margins(region: Array, places: list[slice], value: float) -> None:
    for axis, place in enumerate(places):
        before = (slice(None), slice(None), *places[:axis])
        region[(*before, slice(0, place.start))] = value
        region[(*before, slice(place.stop, None))] = value
