"""Transposed convolution as plain loops over scalars; imports nothing of fastconv.

Every element of the input adds the kernel, times itself, to the output under its window; what falls
on the padding is cut off. `stride` and `dilation` hold one integer per dimension, `padding` one
(before, after) pair, `out` the spatial sizes of the output.
"""

import itertools

import numpy as np

from tests.oracle import positions, wide


def smallest_size(size, kernel, stride, padding, dilation):
    """Walk to the end of the last window of one dimension, and cut off both paddings."""
    end = 0
    for start in range(0, size * stride, stride):
        end = start + 1
        for _ in range(kernel - 1):
            end += dilation
    return end - padding[0] - padding[1]


def places(position, kernel, stride, padding, dilation, out):
    """Yield (tap, output position) for the taps of one window that are not cut off."""
    for tap in positions(kernel):
        place = tuple(
            i * s + t * d - before
            for i, s, t, d, (before, _) in zip(
                position, stride, tap, dilation, padding, strict=True
            )
        )
        if all(0 <= o < size for o, size in zip(place, out, strict=True)):
            yield tap, place


def conv_transpose(x, w, b, stride, padding, dilation, groups, out):
    """y[n, oc, i * s + t * d - before] = b[oc] + sum over ic, i, t of x[n, ic, i] w[ic, oc, t]."""
    x, w = wide(x), wide(w)
    inputs, outputs = x.shape[1] // groups, w.shape[1]
    y = np.zeros((x.shape[0], outputs * groups, *out), x.dtype)
    for n, ic, position in itertools.product(
        range(x.shape[0]), range(x.shape[1]), positions(x.shape[2:])
    ):
        first = ic // inputs * outputs
        for tap, place in places(position, w.shape[2:], stride, padding, dilation, out):
            y[(n, slice(first, first + outputs), *place)] += (
                x[(n, ic, *position)] * w[(ic, slice(None), *tap)]
            )
    return y if b is None else y + wide(b).reshape(1, -1, *(1,) * len(out))


def conv_transpose_input(input_shape, w, gy, stride, padding, dilation, groups):
    """gx[n, ic, i] = sum over oc, t of gy[n, oc, i * s + t * d - before] * w[ic, oc, t]."""
    w, gy = wide(w), wide(gy)
    inputs, outputs = input_shape[1] // groups, w.shape[1]
    gx = np.zeros(input_shape, gy.dtype)
    for n, ic, position in itertools.product(
        range(gx.shape[0]), range(gx.shape[1]), positions(gx.shape[2:])
    ):
        first = ic // inputs * outputs
        for tap, place in places(position, w.shape[2:], stride, padding, dilation, gy.shape[2:]):
            values = gy[(n, slice(first, first + outputs), *place)]
            gx[(n, ic, *position)] += (values * w[(ic, slice(None), *tap)]).sum()
    return gx


def conv_transpose_weight(x, weight_shape, gy, stride, padding, dilation, groups):
    """gw[ic, oc, t] = sum over n, i of x[n, ic, i] * gy[n, oc, i * s + t * d - before]."""
    x, gy = wide(x), wide(gy)
    inputs, outputs = x.shape[1] // groups, weight_shape[1]
    gw = np.zeros(weight_shape, x.dtype)
    for n, ic, position in itertools.product(
        range(x.shape[0]), range(x.shape[1]), positions(x.shape[2:])
    ):
        first = ic // inputs * outputs
        for tap, place in places(position, gw.shape[2:], stride, padding, dilation, gy.shape[2:]):
            values = gy[(n, slice(first, first + outputs), *place)]
            gw[(ic, slice(None), *tap)] += x[(n, ic, *position)] * values
    return gw
