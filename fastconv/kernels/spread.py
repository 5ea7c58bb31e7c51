"""Putting phases of a stride of 2 back beside each other."""

import functools

import numpy as np

from fastconv.kernels.parts import shared
from fastconv.kernels.target import host


@functools.cache
def pair_spreader(dtype_name: str):
    """Return the function that writes two phases of rows in turn.

    Its arguments: the even elements (planes, rows, columns) and the odd ones, which may have a
    column less, both flat; y, flat, the elements of its planes, and where in a plane each row
    begins; the columns of both; the planes [first, last) to write.
    """

    def spread_pairs(even, odd, y, plane_size, rows, columns, first, last):
        whole, pairs = columns
        for plane in range(first, last):
            for row in range(rows.size):
                number = plane * rows.size + row
                source, other = np.uint64(number * whole), np.uint64(number * pairs)
                target = np.uint64(plane * plane_size + rows[row])
                for i in range(np.uint64(pairs)):
                    y[target + np.uint64(2) * i] = even[source + i]
                    y[target + np.uint64(2) * i + np.uint64(1)] = odd[other + i]
                if whole > pairs:
                    place = np.uint64(pairs)
                    y[target + np.uint64(2) * place] = even[source + place]

    return shared(spread_pairs, f"{host().name}-{dtype_name}")
