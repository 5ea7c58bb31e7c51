"""Values moved to and from flat places of planes: the loops of max pools' gradients and unpooling.

What a thread computes is a range of planes, so no two threads write to one place, and sums are
added in the order of the values. The place -1 is none. So is any other outside of its plane, but
then the first of `outside`, an array of integers, becomes 1.
"""

import functools

import numpy as np

from fastconv.kernels.parts import shared


@functools.cache
def scatter_loops():
    """Return the compiled loops that add values at places."""
    return _placing("scatter", adds=True)


@functools.cache
def unpool_loops():
    """Return the compiled loops that put values at places; the last of several stays."""
    return _placing("unpool", adds=False)


def _placing(name: str, adds: bool):
    def place_values(values, indices, planes, outside, out, size, first_plane, last_plane):
        size, out, zero = np.uint64(size), np.uint64(out), planes.dtype.type(0)
        for plane in range(first_plane, last_plane):
            base, start = np.uint64(plane) * size, np.uint64(plane) * out
            for i in range(size):
                planes[base + i] = zero
            for i in range(out):
                place = np.uint64(indices[start + i])
                if place < size:
                    if adds:
                        planes[base + place] += values[start + i]
                    else:
                        planes[base + place] = values[start + i]
                elif indices[start + i] != -1:
                    outside[0] = 1

    return shared(place_values, name)


@functools.cache
def gather_loops():
    """Return the compiled loops that take values from places, and 0 from none."""

    def gather(values, indices, planes, outside, out, size, first_plane, last_plane):
        size, out, zero = np.uint64(size), np.uint64(out), planes.dtype.type(0)
        for plane in range(first_plane, last_plane):
            base, start = np.uint64(plane) * size, np.uint64(plane) * out
            for i in range(out):
                place = np.uint64(indices[start + i])
                values[start + i] = planes[base + place] if place < size else zero
                if place >= size and indices[start + i] != -1:
                    outside[0] = 1

    return shared(gather, "gather")
