"""The loops of averages' gradients: each share is spread over its window, one axis at a time.

A row of shares becomes a line, the sums along its columns; the line is then added to every row
under the windows. What a thread computes is a range of planes, and sums are added in the order of
the windows, so results do not depend on threads.
"""

import functools

import numpy as np

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
    "dilation_width",
    "pairs",
)
"""The first integers of a table, in order; `pairs` says whether windows are two whole columns each.

After them, for depth, height and width, the first element of every window, and how many it has."""
HEADER_WORDS = len(HEADER)


@functools.cache
def spread_loops():
    """Return the compiled loops over planes."""

    def spread(gy, gx, divisors, table, first_plane, last_plane):
        depth, height, width = table[0], table[1], table[2]
        out_depth, out_height, out_width = table[3], table[4], table[5]
        slabs = HEADER_WORDS
        rows = slabs + 2 * out_depth
        columns = rows + 2 * out_height
        counts = columns + out_width
        step, pairs, zero = table[8], table[9], gx.dtype.type(0)
        line, shares = np.empty(width, gx.dtype), np.empty(out_width, gx.dtype)
        own = np.uint64(out_depth + out_height)
        for plane in range(first_plane, last_plane):
            base = plane * depth * height * width
            for i in range(np.uint64(base), np.uint64(base + depth * height * width)):
                gx[i] = zero
            for od in range(out_depth):
                for oh in range(out_height):
                    source = np.uint64(((plane * out_depth + od) * out_height + oh) * out_width)
                    divisor = divisors[od] * divisors[out_depth + oh]
                    for q in range(np.uint64(out_width)):
                        shares[q] = gy[source + q] / (divisor * divisors[own + q])
                    if pairs:
                        for q in range(np.uint64(out_width)):
                            line[np.uint64(2) * q] = shares[q]
                            line[np.uint64(2) * q + np.uint64(1)] = shares[q]
                        for i in range(2 * out_width, width):
                            line[i] = zero
                    else:
                        for i in range(np.uint64(width)):
                            line[i] = zero
                        for q in range(out_width):
                            place, share = np.uint64(table[columns + q]), shares[np.uint64(q)]
                            for _ in range(table[counts + q]):
                                line[place] += share
                                place += np.uint64(step)
                    for t in range(table[slabs + out_depth + od]):
                        slab = base + (table[slabs + od] + t * table[6]) * height * width
                        for u in range(table[rows + out_height + oh]):
                            row = table[rows + oh] + u * table[7]
                            target = np.uint64(slab + row * width)
                            for i in range(np.uint64(width)):
                                gx[target + i] += line[i]

    return shared(spread, "any")
