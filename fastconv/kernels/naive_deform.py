"""The plain loops of deformable convolution: taps read between the elements.

Tap t of position o of a channel in offset group q samples its plane at `o * stride + t * dilation -
before + offset[n, q, t, :, o]`, times `mask[n, q, t, o]`. A sample is bilinear between the four
elements around it; those outside the plane are 0, those of weight 0 are not looked at.

Shapes: x (N, C, H, W), w (OC, C // groups, KH, KW), y (N, OC, OH, OW), offset (N, Q, KH, KW, 2, OH,
OW), mask (N, Q, KH, KW, OH, OW).
"""

import numpy as np

from fastconv.kernels.jit import kernel


@kernel
def element(plane, h, v):
    """Return an element of a plane, 0 outside it."""
    if 0 <= h < plane.shape[0] and 0 <= v < plane.shape[1]:
        return plane[h, v]
    return plane.dtype.type(0)


@kernel
def lower(position, size):
    """Return the element before a position; one far outside is just outside, NaN inside."""
    if position <= -2:
        return -2
    if position >= size:
        return size
    return int(np.floor(position)) if position == position else 0


@kernel
def sample(plane, down, right):
    """Return the value of a plane at a place between its elements; NaN where that is NaN."""
    h, v = lower(down, plane.shape[0]), lower(right, plane.shape[1])
    total = plane.dtype.type(0)
    if down != down or right != right:
        return total * down + total * right
    if h < -1 or h >= plane.shape[0] or v < -1 or v >= plane.shape[1]:
        return total
    below, after = down - h, right - v
    for i in range(2):
        for j in range(2):
            share = (below if i else 1 - below) * (after if j else 1 - after)
            if share != 0:
                total += share * element(plane, h + i, v + j)
    return total


@kernel
def slopes(plane, down, right):
    """Return how the sample changes as its place moves down and to the right."""
    h, v = lower(down, plane.shape[0]), lower(right, plane.shape[1])
    zero = plane.dtype.type(0)
    if down != down or right != right:
        return zero * down + zero * right, zero * down + zero * right
    if h < -1 or h >= plane.shape[0] or v < -1 or v >= plane.shape[1]:
        return zero, zero
    below, after = down - h, right - v
    vertical, horizontal = zero, zero
    for i in range(2):
        for j in range(2):
            value = element(plane, h + i, v + j)
            row, column = below if i else 1 - below, after if j else 1 - after
            if column != 0:
                vertical += column * value if i else -column * value
            if row != 0:
                horizontal += row * value if j else -row * value
    return vertical, horizontal


@kernel
def place(offset, n, q, th, tw, oh, ow, stride, before, dilation):
    """Return where a tap samples."""
    down = oh * stride[0] + th * dilation[0] - before[0] + offset[n, q, th, tw, 0, oh, ow]
    right = ow * stride[1] + tw * dilation[1] - before[1] + offset[n, q, th, tw, 1, oh, ow]
    return down, right


@kernel
def pull(w, gy, n, c, th, tw, oh, ow, groups):
    """Sum gy[n, oc, o] * w[oc, ic, t] over the outputs of a channel: its gradient at a tap."""
    outputs, inputs = w.shape[0] // groups, w.shape[1]
    g, ic = c // inputs, c % inputs
    total = gy.dtype.type(0)
    for oc in range(g * outputs, (g + 1) * outputs):
        total += gy[n, oc, oh, ow] * w[oc, ic, th, tw]
    return total


@kernel
def forward(x, w, b, offset, mask, y, stride, before, dilation, groups):
    """y[n, oc, o] = b[oc] + sum of sample(x[n, ic], t) * mask[n, q, t, o] * w[oc, ic, t].

    Here and below q is the offset group of the input channel.
    """
    outputs, inputs = w.shape[0] // groups, w.shape[1]
    apart = x.shape[1] // offset.shape[1]
    for n, oc, oh, ow in np.ndindex(y.shape):
        total = b[oc]
        for ic, th, tw in np.ndindex(w.shape[1:]):
            c = oc // outputs * inputs + ic
            q = c // apart
            down, right = place(offset, n, q, th, tw, oh, ow, stride, before, dilation)
            value = sample(x[n, c], down, right) * mask[n, q, th, tw, oh, ow]
            total += value * w[oc, ic, th, tw]
        y[n, oc, oh, ow] = total


@kernel
def input_gradient(gx, w, gy, offset, mask, stride, before, dilation, groups):
    """gx[n, c, i] = sum over o, t of pull(c, t, o) * mask[n, q, t, o] * the share of i."""
    kh, kw = w.shape[2:]
    apart = gx.shape[1] // offset.shape[1]
    gx[:] = 0
    for n, c in np.ndindex(gx.shape[:2]):
        plane = gx[n, c]
        q = c // apart
        for oh, ow in np.ndindex(gy.shape[2:]):
            for th, tw in np.ndindex((kh, kw)):
                down, right = place(offset, n, q, th, tw, oh, ow, stride, before, dilation)
                h, v = lower(down, plane.shape[0]), lower(right, plane.shape[1])
                if down != down or right != right:
                    continue
                if h < -1 or h >= plane.shape[0] or v < -1 or v >= plane.shape[1]:
                    continue
                g = pull(w, gy, n, c, th, tw, oh, ow, groups) * mask[n, q, th, tw, oh, ow]
                below, after = down - h, right - v
                for i in range(2):
                    for j in range(2):
                        share = (below if i else 1 - below) * (after if j else 1 - after)
                        inside = 0 <= h + i < plane.shape[0] and 0 <= v + j < plane.shape[1]
                        if inside and share != 0:
                            plane[h + i, v + j] += share * g


@kernel
def weight_gradient(x, gw, gy, offset, mask, stride, before, dilation, groups):
    """gw[oc, ic, t] = sum over n, o of gy[n, oc, o] * sample(x[n, ic], t) * mask[n, q, t, o]."""
    outputs, inputs = gw.shape[0] // groups, gw.shape[1]
    apart = x.shape[1] // offset.shape[1]
    gw[:] = 0
    for oc, ic, th, tw in np.ndindex(gw.shape):
        c = oc // outputs * inputs + ic
        q = c // apart
        for n in range(x.shape[0]):
            for oh, ow in np.ndindex(gy.shape[2:]):
                down, right = place(offset, n, q, th, tw, oh, ow, stride, before, dilation)
                value = sample(x[n, c], down, right) * mask[n, q, th, tw, oh, ow]
                gw[oc, ic, th, tw] += gy[n, oc, oh, ow] * value


@kernel
def offset_gradient(x, w, gy, offset, mask, goffset, stride, before, dilation, groups):
    """goffset[n, q, t, :, o] = sum over c of q of pull(c, t, o) * mask[n, q, t, o] * slopes."""
    apart = x.shape[1] // offset.shape[1]
    goffset[:] = 0
    for n, q, th, tw, oh, ow in np.ndindex(mask.shape):
        down, right = place(offset, n, q, th, tw, oh, ow, stride, before, dilation)
        for c in range(q * apart, (q + 1) * apart):
            g = pull(w, gy, n, c, th, tw, oh, ow, groups) * mask[n, q, th, tw, oh, ow]
            vertical, horizontal = slopes(x[n, c], down, right)
            goffset[n, q, th, tw, 0, oh, ow] += g * vertical
            goffset[n, q, th, tw, 1, oh, ow] += g * horizontal


@kernel
def mask_gradient(x, w, gy, offset, gmask, stride, before, dilation, groups):
    """gmask[n, q, t, o] = sum over c of q of pull(c, t, o) * sample(x[n, c], t)."""
    apart = x.shape[1] // offset.shape[1]
    gmask[:] = 0
    for n, q, th, tw, oh, ow in np.ndindex(gmask.shape):
        down, right = place(offset, n, q, th, tw, oh, ow, stride, before, dilation)
        for c in range(q * apart, (q + 1) * apart):
            g = pull(w, gy, n, c, th, tw, oh, ow, groups)
            gmask[n, q, th, tw, oh, ow] += g * sample(x[n, c], down, right)
