"""Locally connected convolution as loops over windows; imports nothing of fastconv."""

import itertools

import numpy as np

from tests.oracle import output_sizes, positions, taps_inside, wide


def windows(sizes, kernel, stride, padding, dilation):
    """Yield (position, tap, input place) for every tap that meets the input."""
    place = (kernel, stride, padding, dilation)
    for position in positions(output_sizes(sizes, *place)):
        for tap, source in taps_inside(position, sizes, *place):
            yield position, tap, source


def filters(channels, out_channels, groups):
    """Yield (output channel, input channel, input channel of its group)."""
    inputs, outputs = channels // groups, out_channels // groups
    for oc, ic in itertools.product(range(out_channels), range(inputs)):
        yield oc, oc // outputs * inputs + ic, ic


def local_conv(x, w, b, stride, padding, dilation, groups=1):
    """y[n, oc, o] = b[oc, o] + sum over ic, t of x[n, ic, i] * w[oc, o, ic, t]."""
    x, w = wide(x), wide(w)
    rank = x.ndim - 2
    kernel = w.shape[-rank:]
    out = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    y = np.zeros((x.shape[0], w.shape[0], *out), np.result_type(x, w))
    for o, t, i in windows(x.shape[2:], kernel, stride, padding, dilation):
        for oc, c, ic in filters(x.shape[1], w.shape[0], groups):
            y[(slice(None), oc, *o)] += x[(slice(None), c, *i)] * w[(oc, *o, ic, *t)]
    return y if b is None else y + wide(b)


def input_gradient(input_shape, w, gy, stride, padding, dilation, groups=1):
    """Every product of the forward pass, the other way."""
    w, gy = wide(w), wide(gy)
    kernel = w.shape[2 - len(input_shape) :]
    gx = np.zeros(input_shape, np.result_type(w, gy))
    for o, t, i in windows(input_shape[2:], kernel, stride, padding, dilation):
        for oc, c, ic in filters(input_shape[1], w.shape[0], groups):
            gx[(slice(None), c, *i)] += gy[(slice(None), oc, *o)] * w[(oc, *o, ic, *t)]
    return gx


def weight_gradient(x, weight_shape, gy, stride, padding, dilation, groups=1):
    """Every product of the forward pass, summed over samples."""
    x, gy = wide(x), wide(gy)
    kernel = weight_shape[2 - x.ndim :]
    gw = np.zeros(weight_shape, np.result_type(x, gy))
    for o, t, i in windows(x.shape[2:], kernel, stride, padding, dilation):
        for oc, c, ic in filters(x.shape[1], weight_shape[0], groups):
            products = gy[(slice(None), oc, *o)] * x[(slice(None), c, *i)]
            gw[(oc, *o, ic, *t)] = products.sum()
    return gw
