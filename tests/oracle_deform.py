"""Deformable convolution as loops over taps, in float64; imports nothing of fastconv.

Written from the definition: a tap's place is down and right of the regular one by its offset, its
value the sum over all elements of the plane of `tent(row distance) * tent(column distance)`, which
is bilinear interpolation with zeros outside.
"""

import itertools

import numpy as np

from tests.oracle import output_sizes


def tent(distance):
    """The share of an element at a distance along one axis."""
    return max(0.0, 1.0 - abs(distance))


def slope(distance):
    """How the share grows as the tap moves on; at a corner, as it moves forward."""
    if -1 <= distance < 0:  # the element is ahead, or arrives
        return 1.0
    return -1.0 if 0 <= distance < 1 else 0.0


def taps(x_shape, w_shape, offset, mask, stride, padding, dilation, groups):
    """Yield everything there is to know of each sampled tap of each input channel."""
    batch, channels, height, width = x_shape
    kh, kw = w_shape[2:]
    out = output_sizes((height, width), (kh, kw), stride, padding, dilation)
    offset_groups = offset.shape[1] // (2 * kh * kw)
    inputs, outputs = channels // groups, w_shape[0] // groups
    for n, c, oh, ow, i, j in itertools.product(
        range(batch), range(channels), *map(range, out), range(kh), range(kw)
    ):
        place = c * offset_groups // channels * kh * kw + i * kw + j
        down = oh * stride[0] + i * dilation[0] - padding[0][0] + offset[n, 2 * place, oh, ow]
        right = ow * stride[1] + j * dilation[1] - padding[1][0] + offset[n, 2 * place + 1, oh, ow]
        amount = 1.0 if mask is None else mask[n, place, oh, ow]
        g = c // inputs
        filters = slice(g * outputs, (g + 1) * outputs)
        yield n, c, (oh, ow), (c % inputs, i, j), place, down, right, amount, filters


def around(plane_shape, down, right):
    """The elements whose share may not be 0."""
    rows = range(max(0, int(np.floor(down))), min(plane_shape[0], int(np.floor(down)) + 2))
    columns = range(max(0, int(np.floor(right))), min(plane_shape[1], int(np.floor(right)) + 2))
    return itertools.product(rows, columns)


def sampled(plane, down, right):
    return sum(
        plane[h, v] * tent(down - h) * tent(right - v) for h, v in around(plane.shape, down, right)
    )


def forward(x, w, b, offset, mask, stride, padding, dilation, groups):
    out = output_sizes(x.shape[2:], w.shape[2:], stride, padding, dilation)
    y = np.zeros((x.shape[0], w.shape[0], *out))
    place = (stride, padding, dilation, groups)
    for n, c, o, t, _, down, right, amount, filters in taps(x.shape, w.shape, offset, mask, *place):
        y[(n, filters, *o)] += w[(filters, *t)] * (sampled(x[n, c], down, right) * amount)
    return y if b is None else y + b.reshape(1, -1, 1, 1)


def input_gradient(x_shape, w, gy, offset, mask, *place):
    gx = np.zeros(x_shape)
    for n, c, o, t, _, down, right, amount, filters in taps(x_shape, w.shape, offset, mask, *place):
        pull = (gy[(n, filters, *o)] * w[(filters, *t)]).sum() * amount
        for h, v in around(x_shape[2:], down, right):
            gx[n, c, h, v] += pull * tent(down - h) * tent(right - v)
    return gx


def weight_gradient(w_shape, x, gy, offset, mask, *place):
    gw = np.zeros(w_shape)
    for n, c, o, t, _, down, right, amount, filters in taps(x.shape, w_shape, offset, mask, *place):
        gw[(filters, *t)] += gy[(n, filters, *o)] * (sampled(x[n, c], down, right) * amount)
    return gw


def offset_gradient(x, w, gy, offset, mask, *place):
    goffset = np.zeros(offset.shape)
    for n, c, o, t, p, down, right, amount, filters in taps(x.shape, w.shape, offset, mask, *place):
        pull = (gy[(n, filters, *o)] * w[(filters, *t)]).sum() * amount
        for h, v in around(x.shape[2:], down, right):
            value = pull * x[n, c, h, v]
            goffset[(n, 2 * p, *o)] += value * slope(down - h) * tent(right - v)
            goffset[(n, 2 * p + 1, *o)] += value * tent(down - h) * slope(right - v)
    return goffset


def mask_gradient(x, w, gy, offset, mask, *place):
    gmask = np.zeros(mask.shape)
    for n, c, o, t, p, down, right, _, filters in taps(x.shape, w.shape, offset, mask, *place):
        pull = (gy[(n, filters, *o)] * w[(filters, *t)]).sum()
        gmask[(n, p, *o)] += pull * sampled(x[n, c], down, right)
    return gmask
