"""The pools that `oracle.py` does not have, as plain loops; imports nothing of fastconv.

Arrays are batched `(N, C, *sizes)`. A window is a list of input positions in C order, so that each
operation is what it does with one list; results of maxima and the like keep the input's dtype.
"""

import itertools
import math

import numpy as np

from tests.oracle import avg_divisor, output_sizes, positions, quotient, taps_inside, wide


def nothing(dtype, lowest=False):
    """What a window without any input element gives: what loses to everything else."""
    if dtype.kind in "iu":
        return np.iinfo(dtype).max if lowest else np.iinfo(dtype).min
    if dtype.kind == "b":
        return lowest
    return np.inf if lowest else -np.inf


def is_nan(value):
    return value != value


def best_of(values, lowest, ignore):
    """The place of the first best value; of the last NaN, or NaN only where there is no other."""
    nans = [place for place, value in enumerate(values) if is_nan(value)]
    if nans and not ignore:
        return nans[-1]
    others = [place for place, value in enumerate(values) if not is_nan(value)]
    if not others:
        return 0
    pick = min if lowest else max
    best = pick(values[place] for place in others)
    return next(place for place in others if values[place] == best)


def regular_windows(sizes, kernel, stride, padding, dilation, rounding):
    """Output position -> the input positions of its window."""
    place = (sizes, kernel, stride, padding, dilation)
    out = output_sizes(*place, rounding)
    return out, {at: [source for _, source in taps_inside(at, *place)] for at in positions(out)}


def adaptive_windows(sizes, out):
    """Output position -> the elements from floor(o S / O) up to ceil((o + 1) S / O)."""
    windows = {}
    for at in positions(out):
        ranges = [
            range(math.floor(o * size / n), math.ceil((o + 1) * size / n))
            for o, size, n in zip(at, sizes, out, strict=True)
        ]
        windows[at] = list(itertools.product(*ranges))
    return out, windows


def extremes(x, out, window_of, lowest=False, ignore=False):
    """The best of each window and its flat place in the plane; `window_of(n, c, position)`."""
    y = np.empty((*x.shape[:2], *out), x.dtype)
    indices = np.empty(y.shape, np.int64)
    for n, c, at in itertools.product(range(x.shape[0]), range(x.shape[1]), positions(out)):
        window = window_of(n, c, at)
        if not window:
            y[(n, c, *at)], indices[(n, c, *at)] = nothing(x.dtype, lowest), -1
            continue
        best = window[best_of([x[(n, c, *source)] for source in window], lowest, ignore)]
        y[(n, c, *at)] = x[(n, c, *best)]
        indices[(n, c, *at)] = np.ravel_multi_index(best, x.shape[2:])
    return y, indices


def extreme_pool(x, kernel, stride, padding, dilation, rounding, lowest=False, ignore=False):
    place = (kernel, stride, padding, dilation, rounding)
    out, windows = regular_windows(x.shape[2:], *place)
    return extremes(x, out, lambda n, c, at: windows[at], lowest, ignore)


def adaptive_max_pool(x, out, ignore=False):
    out, windows = adaptive_windows(x.shape[2:], out)
    return extremes(x, out, lambda n, c, at: windows[at], False, ignore)


def fractional_max_pool(x, starts, kernel, out, ignore=False):
    """`starts` (N, C, sum of out): where the windows begin, one axis after the other."""
    offsets = [sum(out[:axis]) for axis in range(len(out))]

    def window_of(n, c, at):
        first = [int(starts[n, c, offset + o]) for offset, o in zip(offsets, at, strict=True)]
        ranges = [range(f, f + k) for f, k in zip(first, kernel, strict=True)]
        return list(itertools.product(*ranges))

    return extremes(x, out, window_of, False, ignore)


def fractional_starts(sample, size, kernel, out):
    """Steps of one length, rounded down after a random shift; the last window ends at the end."""
    if out == 1:
        return [size - kernel]
    step = (size - kernel) / (out - 1)
    return [math.floor((o + sample) * step) - math.floor(sample * step) for o in range(out - 1)] + [
        size - kernel
    ]


def adaptive_avg_pool(x, out, truncate=False):
    x = wide(x)
    out, windows = adaptive_windows(x.shape[2:], out)
    y = np.empty((*x.shape[:2], *out), x.dtype)
    for at, window in windows.items():
        total = sum(x[(slice(None), slice(None), *source)] for source in window)
        y[(slice(None), slice(None), *at)] = quotient(total, len(window), truncate)
    return y


def adaptive_avg_pool_gradient(gy, sizes, truncate=False):
    gy = wide(gy)
    _, windows = adaptive_windows(sizes, gy.shape[2:])
    gx = np.zeros((*gy.shape[:2], *sizes), gy.dtype)
    for at, window in windows.items():
        for source in window:
            share = quotient(gy[(slice(None), slice(None), *at)], len(window), truncate)
            gx[(slice(None), slice(None), *source)] += share
    return gx


def shares(out, sizes, kernel, place):
    """What part of a window's taps lies in the input and its padding; 1 / taps for none."""
    taps = math.prod(kernel)
    return {
        at: max(1, avg_divisor(at, sizes, kernel, *place, True)) / taps for at in positions(out)
    }


def lp_pool(x, norm, kernel, stride, padding, dilation, rounding):
    """The norms of the windows; for infinity the largest magnitude."""
    x = np.asarray(x, float)
    place = (stride, padding, dilation)
    out, windows = regular_windows(x.shape[2:], kernel, *place, rounding)
    part = shares(out, x.shape[2:], kernel, place)
    y = np.zeros((*x.shape[:2], *out))
    for n, c, at in np.ndindex(*x.shape[:2], len(windows)):
        at = list(windows)[at]
        values = [x[(n, c, *source)] for source in windows[at]]
        if math.isinf(norm):
            y[(n, c, *at)] = np.max(np.abs([0, *values]))
        else:
            total = sum((np.float64(value) ** norm for value in values), np.float64(0))
            y[(n, c, *at)] = (total / part[at]) ** (1 / norm)
    return y


def lp_pool_gradient(gy, x, y, norm, kernel, stride, padding, dilation, rounding):
    """What flows back: nothing through 0; through the norm infinity, to the first largest."""
    gy, x, y = (np.asarray(array, float) for array in (gy, x, y))
    place = (stride, padding, dilation)
    out, windows = regular_windows(x.shape[2:], kernel, *place, rounding)
    part = shares(out, x.shape[2:], kernel, place)
    gx = np.zeros(x.shape)
    for n, c in np.ndindex(*x.shape[:2]):
        for at, window in windows.items():
            here = (n, c, *at)
            if math.isinf(norm):
                if window:
                    best = best_of([abs(x[(n, c, *source)]) for source in window], False, False)
                    gx[(n, c, *window[best])] += gy[here]
            elif y[here] != 0:
                for source in window:
                    gx[(n, c, *source)] += gy[here] / y[here] ** (norm - 1) / part[at]
    return gx * (np.sign(x) if math.isinf(norm) else x ** (norm - 1))


def quantile_pool(x, quantile, kernel, stride, padding, dilation, rounding):
    """The element at floor(q (n - 1)) of each sorted window of n, and where; NaN if any is."""
    out, windows = regular_windows(x.shape[2:], kernel, stride, padding, dilation, rounding)
    y = np.empty((*x.shape[:2], *out), x.dtype)
    indices = np.empty(y.shape, np.int64)
    for n, c in np.ndindex(*x.shape[:2]):
        for at, window in windows.items():
            found = [(x[(n, c, *source)], source) for source in window]
            spoilt = [pair for pair in found if is_nan(pair[0])]
            if not found:
                y[(n, c, *at)], indices[(n, c, *at)] = nothing(x.dtype), -1
                continue
            rank = math.floor(quantile * (len(found) - 1))
            value, source = spoilt[-1] if spoilt else sorted(found)[rank]
            y[(n, c, *at)] = value
            indices[(n, c, *at)] = np.ravel_multi_index(source, x.shape[2:])
    return y, indices


def unpool(values, indices, sizes):
    """Values at flat places of planes of zeros; the last of several for one place."""
    planes = np.zeros((*values.shape[:2], math.prod(sizes)), values.dtype)
    for at in np.ndindex(*values.shape):
        if indices[at] >= 0:
            planes[(*at[:2], indices[at])] = values[at]
    return planes.reshape(*values.shape[:2], *sizes)


def gather(planes, indices):
    """Values from flat places of planes; 0 from -1."""
    flat = planes.reshape(*planes.shape[:2], math.prod(planes.shape[2:]))
    values = np.zeros(indices.shape, planes.dtype)
    for at in np.ndindex(*indices.shape):
        if indices[at] >= 0:
            values[at] = flat[(*at[:2], indices[at])]
    return values
