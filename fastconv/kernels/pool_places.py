"""The loops of maxima and minima with their places: tap by tap over a row of windows.

Taps come in C order, and only what is better than the best so far takes its place, so the first of
equal values stays. `naive_pool.wins` is the rule. What a thread computes is a range of output
slabs' rows; each row is computed alone.
"""

import functools

import numpy as np

from fastconv.kernels.jit import kernel
from fastconv.kernels.parts import shared

HEADER = (
    "depth",
    "height",
    "width",
    "out_depth",
    "out_height",
    "out_width",
    "dilation_depth",
    "dilation_height",
    "stride",
    "taps",
)
"""The first integers of a table, in order.

After them, for every output slab, the first input slab and then how many; the same for rows. For
even columns, the input column of every tap for the first window, and the windows that have it, from
one to the end; else the first column of every window, and how many."""
HEADER_WORDS = len(HEADER)


@functools.cache
def places_loops(dtype: np.dtype, lowest: bool, skip_nan: bool, even: bool):
    """Return the compiled loops over output rows."""
    variant = f"{dtype.name}-{lowest}-{skip_nan}-{even}"
    take_row = kernel((_taps if even else _windows)(lowest, skip_nan), variant, inline=True)
    place_type = np.int64 if dtype.itemsize == 8 else np.int32

    def rows(x, y, indices, nothing, table, first_row, last_row):
        depth, height, width = table[0], table[1], table[2]
        out_depth, out_height, out_width = table[3], table[4], table[5]
        slabs = HEADER_WORDS
        rows = slabs + 2 * out_depth
        columns = rows + 2 * out_height
        best, line = np.empty(out_width, x.dtype), np.empty(out_width, x.dtype)
        place = np.empty(out_width, place_type)
        for item in range(first_row, last_row):
            outer, oh = item // out_height, item % out_height
            plane, od = outer // out_depth, outer % out_depth
            for q in range(np.uint64(out_width)):
                best[q] = nothing
                place[q] = -1
            for t in range(table[slabs + out_depth + od]):
                d = table[slabs + od] + t * table[6]
                for u in range(table[rows + out_height + oh]):
                    h = table[rows + oh] + u * table[7]
                    inside = (d * height + h) * width
                    start = plane * depth * height * width + inside
                    take_row(x, start, inside, best, place, line, table, columns)
            target = np.uint64(item * out_width)
            for q in range(np.uint64(out_width)):
                y[target + q] = best[q]
                indices[target + q] = place[q]

    return shared(rows, variant)


def _better(lowest, skip_nan):
    """Return whether a value takes the place of the best, without a branch."""

    def better(value, best, place):
        wins = value < best if lowest else value > best
        if skip_nan:
            return wins | (place < 0) | ((best != best) & (value == value))
        return wins | (place < 0) | (value != value)

    return kernel(better, f"{lowest}-{skip_nan}", inline=True)


def _taps(lowest, skip_nan):
    """Return the function of one input row under a row of windows of one size and distance.

    Its arguments: the input, the place of its row and that in its plane; the best values and their
    places so far; scratch for a row of values; the table, and where it has the columns.
    """
    take_tap = kernel(_tap(lowest, skip_nan), f"{lowest}-{skip_nan}", inline=True)

    def take_row(x, start, inside, best, place, line, table, columns):
        stride, taps = np.uint64(table[8]), table[9]
        for tap in range(taps):
            low = np.uint64(table[columns + taps + tap])
            high = np.uint64(table[columns + 2 * taps + tap])
            origin = np.uint64(start + table[columns + tap])
            there = inside + table[columns + tap]
            if stride > 1:  # side by side first: compared one by one they would take much longer
                for q in range(low, high):
                    line[q] = x[origin + q * stride]
                take_tap(line, np.uint64(0), there, best, place, low, high, stride)
            else:
                take_tap(x, origin, there, best, place, low, high, np.uint64(1))

    return take_row


def _tap(lowest, skip_nan):
    """Return the function of one tap.

    Its arguments: where the values are, and the place of what would be the first; the place of that
    in its plane; the best values and their places so far; the windows; their distance in the plane.
    """
    better = _better(lowest, skip_nan)

    def take_tap(x, origin, there, best, place, low, high, stride):
        for q in range(low, high):
            value, old, where = x[origin + q], best[q], place[q]
            wins = better(value, old, where)
            best[q] = value if wins else old
            place[q] = place.dtype.type(there + np.int64(q * stride)) if wins else where

    return take_tap


def _windows(lowest, skip_nan):
    """Return the function of one input row under a row of windows of any sizes."""
    better = _better(lowest, skip_nan)

    def take_row(x, start, inside, best, place, line, table, columns):
        out_width = table[5]
        for q in range(out_width):
            first, count = table[columns + q], table[columns + out_width + q]
            old, where = best[q], place[q]
            for column in range(first, first + count):
                value = x[np.uint64(start + column)]
                if better(value, old, where):
                    old, where = value, inside + column
            best[q], place[q] = old, where

    return take_row
