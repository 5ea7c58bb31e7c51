"""Convolution of inputs padded by their own elements, and back; imports nothing of fastconv.

Shapes as in `tests/oracle.py`; each element of the padding is looked up, and added back, by itself.
"""

import itertools

import numpy as np

from tests import oracle
from tests.oracle_columns import sources


def padded(x, padding, mode):
    """A copy of `x` (N, C, *sizes) with what the padding holds around it."""
    whole = oracle.wide(x)
    for axis, (size, (before, after)) in enumerate(zip(x.shape[2:], padding, strict=True), 2):
        whole = whole.take(sources(size, before, after, mode), axis)
    return whole


def folded(whole, sizes, padding, mode):
    """Every element of the padding added to the element that it was copied from."""
    x = np.zeros((*whole.shape[:2], *sizes), whole.dtype)
    lists = [sources(size, *pair, mode) for size, pair in zip(sizes, padding, strict=True)]
    for place in itertools.product(*(range(len(each)) for each in lists)):
        source = tuple(each[i] for each, i in zip(lists, place, strict=True))
        x[(slice(None), slice(None), *source)] += whole[(slice(None), slice(None), *place)]
    return x


def conv(x, w, b, stride, padding, dilation, groups, mode):
    none = oracle.zeros(len(padding))
    return oracle.conv(padded(x, padding, mode), w, b, stride, none, dilation, groups)


def conv_input_gradient(input_shape, w, gy, stride, padding, dilation, groups, mode):
    sizes = input_shape[2:]
    pairs = zip(sizes, padding, strict=True)
    whole = (*input_shape[:2], *(size + before + after for size, (before, after) in pairs))
    none = oracle.zeros(len(padding))
    gradient = oracle.conv_input_gradient(whole, w, gy, stride, none, dilation, groups)
    return folded(gradient, sizes, padding, mode)


def conv_weight_gradient(x, weight_shape, gy, stride, padding, dilation, groups, mode):
    none, whole = oracle.zeros(len(padding)), padded(x, padding, mode)
    return oracle.conv_weight_gradient(whole, weight_shape, gy, stride, none, dilation, groups)
