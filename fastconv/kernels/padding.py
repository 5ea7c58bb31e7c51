"""Copying planes into larger ones, with zeros around them, each element written once."""

import functools

import numpy as np

from fastconv.kernels.parts import shared
from fastconv.kernels.target import host


@functools.cache
def plane_padder(dtype_name: str):
    """Return the function that pads planes.

    Its arguments: x (planes, D, H, W) and padded (planes, PD, PH, PW), both flat; the sizes of
    both; where x begins in padded, along each axis; the planes [first, last) to copy.
    """

    def pad_planes(x, padded, sizes, whole, before, first, last):
        depth, height, width = sizes
        left, right = np.uint64(before[2]), np.uint64(whole[2] - before[2] - width)
        length = np.uint64(width)
        for plane in range(first, last):
            for d in range(whole[0]):
                for h in range(whole[1]):
                    target = np.uint64(((plane * whole[0] + d) * whole[1] + h) * whole[2])
                    row, line = d - before[0], h - before[1]
                    if 0 <= row < depth and 0 <= line < height:
                        source = np.uint64(((plane * depth + row) * height + line) * width)
                        for i in range(left):
                            padded[target + i] = 0
                        target += left
                        for i in range(length):
                            padded[target + i] = x[source + i]
                        target += length
                        for i in range(right):
                            padded[target + i] = 0
                    else:
                        for i in range(np.uint64(whole[2])):
                            padded[target + i] = 0

    return shared(pad_planes, f"{host().name}-{dtype_name}")
