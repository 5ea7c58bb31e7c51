"""Values moved to and from flat places of planes: the loops of max pools' gradients and unpooling.

What a thread computes is a range of planes, so no two threads write to one place, and sums are
added in the order of the values. The place -1 is none. So is any other outside of its plane, but
then the first of `outside`, an array of integers, becomes 1.
"""

import functools

import numpy as np

from fastconv.kernels.jit import kernel
from fastconv.kernels.parts import shared
from fastconv.kernels.place_tiles import Windows, make_tiles
from fastconv.kernels.target import host


@functools.cache
def scatter_loops():
    """Return the compiled loops that add values at places."""
    return _placing("scatter", adds=True)


@functools.cache
def unpool_loops():
    """Return the compiled loops that put values at places; the last of several stays."""
    return _placing("unpool", adds=False)


def _placing(name: str, adds: bool):
    return shared(_place_values(adds), name)


def _place_values(adds: bool):
    """Return the function over planes."""

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

    return place_values


@functools.cache
def tiled_scatter_loops(dtype: np.dtype, rows: int, taps: int):
    """Return loops as `scatter_loops` for planes of whole windows of `rows` by `taps`.

    `out` is then how many there are in the plane, and in a row. Where places are in windows of
    their own, planes are written once; from the first plane where some are not, as all others.
    """
    variant = "-".join((host().name, dtype.name, str(rows), str(taps)))
    fill = make_tiles(Windows(dtype, host().lanes(dtype), rows, taps))
    scatter = kernel(_place_values(adds=True), "scatter", inline=True)

    def place_values(values, indices, planes, outside, out, size, first_plane, last_plane):
        count, width = out
        plane = first_plane
        while plane < last_plane:
            height = count // width
            if not fill(values, indices, plane * count, planes, plane * size, height, width):
                break
            plane += 1
        scatter(values, indices, planes, outside, count, size, plane, last_plane)

    return shared(place_values, variant)


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
