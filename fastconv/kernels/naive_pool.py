"""The plain loops of pools over regular windows: their definition.

As in `naive.py`: three spatial dimensions, output position `o` and tap `t` of an axis read the
input at `o * stride + t * dilation - before`, what lies outside the input is padding, and results
are overwritten, never read first. Shapes: x (N, C, D, H, W), y (N, C, OD, OH, OW).
"""

import numpy as np

from fastconv.kernels.jit import kernel


@kernel
def wins(value, best, where, lowest, skip_nan):
    """Whether a value takes the place of the best so far; `where` is -1 while there is none.

    The first of equal values stays. NaN beats all and the last NaN stays, or, to be skipped, NaN
    loses to all others.
    """
    if where < 0:
        return True
    if value != value:
        return not skip_nan
    if best != best:
        return skip_nan
    return value < best if lowest else value > best


@kernel
def extreme_pool(x, y, indices, empty, lowest, skip_nan, kernel, stride, before, dilation):
    """y[n, c, o] = max (or lowest) over t of x[n, c, i], and where it was, flat in the plane.

    A window without any input element gives `empty` and index -1.
    """
    batch, channels, depth, height, width = x.shape
    for n in range(batch):
        for c in range(channels):
            for od in range(y.shape[2]):
                for oh in range(y.shape[3]):
                    for ow in range(y.shape[4]):
                        best = empty
                        where = -1
                        for td in range(kernel[0]):
                            d = od * stride[0] + td * dilation[0] - before[0]
                            if d < 0 or d >= depth:
                                continue
                            for th in range(kernel[1]):
                                h = oh * stride[1] + th * dilation[1] - before[1]
                                if h < 0 or h >= height:
                                    continue
                                for tw in range(kernel[2]):
                                    v = ow * stride[2] + tw * dilation[2] - before[2]
                                    if v >= 0 and v < width:
                                        value = x[n, c, d, h, v]
                                        if wins(value, best, where, lowest, skip_nan):
                                            best = value
                                            where = (d * height + h) * width + v
                        y[n, c, od, oh, ow] = best
                        indices[n, c, od, oh, ow] = where


@kernel
def power(value, exponent):
    """Return value ** exponent, exact where that is easy."""
    if exponent == 1:
        return value
    if exponent == 2:
        return value * value
    if exponent == 0.5:
        return np.sqrt(value)
    return value**exponent


@kernel
def lp_pool(x, y, shares, norm, inverse, kernel, stride, before, dilation):
    """y[n, c, o] = (sum over t of x[n, c, i] ** norm / shares[o]) ** inverse."""
    batch, channels, depth, height, width = x.shape
    for n in range(batch):
        for c in range(channels):
            for od in range(y.shape[2]):
                for oh in range(y.shape[3]):
                    for ow in range(y.shape[4]):
                        total = y.dtype.type(0)
                        for td in range(kernel[0]):
                            d = od * stride[0] + td * dilation[0] - before[0]
                            if d < 0 or d >= depth:
                                continue
                            for th in range(kernel[1]):
                                h = oh * stride[1] + th * dilation[1] - before[1]
                                if h < 0 or h >= height:
                                    continue
                                for tw in range(kernel[2]):
                                    v = ow * stride[2] + tw * dilation[2] - before[2]
                                    if v >= 0 and v < width:
                                        total += power(x[n, c, d, h, v], norm)
                        y[n, c, od, oh, ow] = power(total / shares[od, oh, ow], inverse)


@kernel
def lp_pool_input_gradient(gx, gy, x, y, shares, norm, kernel, stride, before, dilation):
    """gx[n, c, i] = x[n, c, i] ** (norm - 1) * sum over o, t of w[o].

    With w[o] = gy[n, c, o] * y[n, c, o] ** (1 - norm) / shares[o], or 0 where y[n, c, o] is.
    """
    batch, channels, depth, height, width = x.shape
    gx[:] = 0
    for n in range(batch):
        for c in range(channels):
            for od in range(y.shape[2]):
                for oh in range(y.shape[3]):
                    for ow in range(y.shape[4]):
                        if y[n, c, od, oh, ow] == 0:
                            continue
                        scale = power(y[n, c, od, oh, ow], norm - 1)
                        share = gy[n, c, od, oh, ow] / scale / shares[od, oh, ow]
                        for td in range(kernel[0]):
                            d = od * stride[0] + td * dilation[0] - before[0]
                            if d < 0 or d >= depth:
                                continue
                            for th in range(kernel[1]):
                                h = oh * stride[1] + th * dilation[1] - before[1]
                                if h < 0 or h >= height:
                                    continue
                                for tw in range(kernel[2]):
                                    v = ow * stride[2] + tw * dilation[2] - before[2]
                                    if v >= 0 and v < width:
                                        gx[n, c, d, h, v] += share
    for n in range(batch):
        for c in range(channels):
            for d in range(depth):
                for h in range(height):
                    for v in range(width):
                        if norm != 1:
                            gx[n, c, d, h, v] *= power(x[n, c, d, h, v], norm - 1)


@kernel
def largest_magnitude_pool(x, y, indices, kernel, stride, before, dilation):
    """y[n, c, o] = max over t of abs(x[n, c, i]), and where it was; 0 and -1 for nothing."""
    batch, channels, depth, height, width = x.shape
    for n in range(batch):
        for c in range(channels):
            for od in range(y.shape[2]):
                for oh in range(y.shape[3]):
                    for ow in range(y.shape[4]):
                        best = y.dtype.type(0)
                        where = -1
                        for td in range(kernel[0]):
                            d = od * stride[0] + td * dilation[0] - before[0]
                            if d < 0 or d >= depth:
                                continue
                            for th in range(kernel[1]):
                                h = oh * stride[1] + th * dilation[1] - before[1]
                                if h < 0 or h >= height:
                                    continue
                                for tw in range(kernel[2]):
                                    v = ow * stride[2] + tw * dilation[2] - before[2]
                                    if v >= 0 and v < width:
                                        value = abs(x[n, c, d, h, v])
                                        if wins(value, best, where, False, False):
                                            best = value
                                            where = (d * height + h) * width + v
                        y[n, c, od, oh, ow] = best
                        indices[n, c, od, oh, ow] = where


@kernel
def quantile_pool(x, y, indices, empty, quantile, kernel, stride, before, dilation):
    """y[n, c, o] = the sorted x[n, c, i] over t, at floor(quantile * (their number - 1)).

    And where it was, equal elements sorted by place. A window that holds NaN gives the last, one
    without any input element `empty` and -1.
    """
    batch, channels, depth, height, width = x.shape
    values = np.empty(kernel[0] * kernel[1] * kernel[2], x.dtype)
    places = np.empty(len(values), np.int64)
    for n in range(batch):
        for c in range(channels):
            for od in range(y.shape[2]):
                for oh in range(y.shape[3]):
                    for ow in range(y.shape[4]):
                        count = 0
                        nan = -1
                        for td in range(kernel[0]):
                            d = od * stride[0] + td * dilation[0] - before[0]
                            if d < 0 or d >= depth:
                                continue
                            for th in range(kernel[1]):
                                h = oh * stride[1] + th * dilation[1] - before[1]
                                if h < 0 or h >= height:
                                    continue
                                for tw in range(kernel[2]):
                                    v = ow * stride[2] + tw * dilation[2] - before[2]
                                    if v >= 0 and v < width:
                                        values[count] = x[n, c, d, h, v]
                                        places[count] = (d * height + h) * width + v
                                        if values[count] != values[count]:
                                            nan = count
                                        count += 1
                        if count == 0:
                            y[n, c, od, oh, ow] = empty
                            indices[n, c, od, oh, ow] = -1
                            continue
                        chosen = nan
                        if nan < 0:
                            order = np.argsort(values[:count], kind="mergesort")  # it is stable
                            chosen = order[int(quantile * (count - 1))]
                        y[n, c, od, oh, ow] = values[chosen]
                        indices[n, c, od, oh, ow] = places[chosen]
