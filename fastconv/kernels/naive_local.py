"""The plain loops of locally connected convolution: a filter for every window.

Shapes: x (N, C, D, H, W), w (OC, OD, OH, OW, C // groups, KD, KH, KW), y (N, OC, OD, OH, OW). Input
i = o * stride + t * dilation - before; what lies outside is padding.
"""

import numpy as np

from fastconv.kernels.jit import kernel


@kernel
def local_conv(x, w, b, y, stride, before, dilation, groups):
    """y[n, oc, o] = b[oc, o] + sum over ic, t of x[n, ic, i] * w[oc, o, ic, t]."""
    batch, _, depth, height, width = x.shape
    out_channels, _, _, _, group_channels, kd, kh, kw = w.shape
    group_outputs = out_channels // groups
    for n in range(batch):
        for oc in range(out_channels):
            first = oc // group_outputs * group_channels
            for od, oh, ow in np.ndindex(y.shape[2:]):
                total = b[oc, od, oh, ow]
                for ic in range(group_channels):
                    for td, th, tw in np.ndindex((kd, kh, kw)):
                        d = od * stride[0] + td * dilation[0] - before[0]
                        h = oh * stride[1] + th * dilation[1] - before[1]
                        v = ow * stride[2] + tw * dilation[2] - before[2]
                        if 0 <= d < depth and 0 <= h < height and 0 <= v < width:
                            total += x[n, first + ic, d, h, v] * w[oc, od, oh, ow, ic, td, th, tw]
                y[n, oc, od, oh, ow] = total


@kernel
def local_conv_input_gradient(gx, w, gy, stride, before, dilation, groups):
    """gx[n, ic, i] = sum over oc, o, t of gy[n, oc, o] * w[oc, o, ic, t]."""
    batch, _, depth, height, width = gx.shape
    out_channels, _, _, _, group_channels, kd, kh, kw = w.shape
    group_outputs = out_channels // groups
    gx[:] = 0
    for n in range(batch):
        for oc in range(out_channels):
            first = oc // group_outputs * group_channels
            for od, oh, ow in np.ndindex(gy.shape[2:]):
                g = gy[n, oc, od, oh, ow]
                for ic in range(group_channels):
                    for td, th, tw in np.ndindex((kd, kh, kw)):
                        d = od * stride[0] + td * dilation[0] - before[0]
                        h = oh * stride[1] + th * dilation[1] - before[1]
                        v = ow * stride[2] + tw * dilation[2] - before[2]
                        if 0 <= d < depth and 0 <= h < height and 0 <= v < width:
                            gx[n, first + ic, d, h, v] += g * w[oc, od, oh, ow, ic, td, th, tw]


@kernel
def local_conv_weight_gradient(x, gw, gy, stride, before, dilation, groups):
    """gw[oc, o, ic, t] = sum over n of x[n, ic, i] * gy[n, oc, o]."""
    batch, _, depth, height, width = x.shape
    out_channels, _, _, _, group_channels, kd, kh, kw = gw.shape
    group_outputs = out_channels // groups
    gw[:] = 0
    for n in range(batch):
        for oc in range(out_channels):
            first = oc // group_outputs * group_channels
            for od, oh, ow in np.ndindex(gy.shape[2:]):
                g = gy[n, oc, od, oh, ow]
                for ic in range(group_channels):
                    for td, th, tw in np.ndindex((kd, kh, kw)):
                        d = od * stride[0] + td * dilation[0] - before[0]
                        h = oh * stride[1] + th * dilation[1] - before[1]
                        v = ow * stride[2] + tw * dilation[2] - before[2]
                        if 0 <= d < depth and 0 <= h < height and 0 <= v < width:
                            gw[oc, od, oh, ow, ic, td, th, tw] += g * x[n, first + ic, d, h, v]
