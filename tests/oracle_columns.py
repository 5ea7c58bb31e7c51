"""Columns in every dialect and padding mode, as loops over windows; imports nothing of fastconv.

Shapes as in `tests/oracle.py`. What the padding holds is looked up in a padded range of indices.
"""

import itertools

import numpy as np

from tests import oracle

NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def sources(size, before, after, mode):
    """The input element at every padded place of an axis; -1 for none."""
    index = np.arange(size)
    if mode == "zeros":
        return np.pad(index, (before, after), constant_values=-1)
    return np.pad(index, (before, after), NUMPY_MODES[mode])


def flat(index, shape):
    """The place of an index in C order."""
    place = 0
    for i, size in zip(index, shape, strict=True):
        place = place * size + i
    return place


def shape_of(dialect, batch, channels, kernel, out):
    k, length = channels * int(np.prod(kernel)), int(np.prod(out))
    return {
        "fastconv": (batch, k, length),
        "chainer": (batch, channels, *kernel, *out),
        "jax": (batch, k, *out),
        "dlfs": (batch * length, k),
        "cnnumpy": (k, batch * length),
        "cs231n": (k, length * batch),
    }[dialect]


def place_in(dialect, n, c, tap, position, batch, kernel, out):
    """Where a dialect keeps one element; rows count channels then taps."""
    row = c * int(np.prod(kernel)) + flat(tap, kernel)
    at = flat(position, out)
    length = int(np.prod(out))
    return {
        "fastconv": (n, row, at),
        "chainer": (n, c, *tap, *position),
        "jax": (n, row, *position),
        "dlfs": (n * length + at, row),  # a row for every window, sample by sample
        "cnnumpy": (row, n * length + at),  # a column for every window, sample by sample
        "cs231n": (row, at * batch + n),  # neighbouring columns are neighbouring samples
    }[dialect]


def walk(sizes, kernel, stride, padding, dilation, mode):
    """Yield (tap, position, input place or None) for every tap of every window."""
    out = oracle.output_sizes(sizes, kernel, stride, padding, dilation)
    tables = [
        sources(size, *pair, mode).tolist() for size, pair in zip(sizes, padding, strict=True)
    ]
    for position in itertools.product(*map(range, out)):
        for tap in itertools.product(*map(range, kernel)):
            source = tuple(
                table[o * s + t * d]
                for table, o, s, t, d in zip(tables, position, stride, tap, dilation, strict=True)
            )
            yield tap, position, None if -1 in source else source


def im2col(
    x, kernel, stride, padding, dilation, pad_value=0, padding_mode="zeros", dialect="fastconv"
):
    batch, channels, *sizes = x.shape
    out = oracle.output_sizes(tuple(sizes), kernel, stride, padding, dilation)
    columns = np.full(shape_of(dialect, batch, channels, kernel, out), pad_value, x.dtype)
    n, c = np.arange(batch)[:, None], np.arange(channels)[None]
    for tap, position, source in walk(sizes, kernel, stride, padding, dilation, padding_mode):
        if source is not None:
            columns[place_in(dialect, n, c, tap, position, batch, kernel, out)] = x[
                (slice(None), slice(None), *source)
            ]
    return columns


def col2im(
    columns,
    input_shape,
    kernel,
    stride,
    padding,
    dilation,
    padding_mode="zeros",
    dialect="fastconv",
):
    batch, channels, *sizes = input_shape
    out = oracle.output_sizes(tuple(sizes), kernel, stride, padding, dilation)
    columns = oracle.wide(columns)
    x = np.zeros(input_shape, columns.dtype)
    n, c = np.arange(batch)[:, None], np.arange(channels)[None]
    for tap, position, source in walk(sizes, kernel, stride, padding, dilation, padding_mode):
        if source is not None:
            x[(slice(None), slice(None), *source)] += columns[
                place_in(dialect, n, c, tap, position, batch, kernel, out)
            ]
    return x
