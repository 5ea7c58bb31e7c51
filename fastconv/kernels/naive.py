"""The plain loops: the definition of every operation.

Each kernel is the formula written out, for three spatial dimensions; fewer are three with sizes
of 1. Output position `o` and tap `t` of an axis read the input at `o * stride + t * dilation -
before`, and what lies outside the input is padding. Results are overwritten, never read first.

Shapes: x (N, C, D, H, W), w (OC, C // groups, KD, KH, KW), y (N, OC, OD, OH, OW).
"""

from fastconv.kernels.jit import by_type, kernel


def _truncated(first, second):
    """Divide integers as C does, towards zero; an empty window, of divisor 0, gives 0."""
    if second == 0:
        return first * 0
    whole = first // second
    if whole * second != first and (first < 0) != (second < 0):
        whole += 1
    return whole


def _by_parts(first, second):
    return complex(first.real / second, first.imag / second)


def _quotient(first, second):
    return first / second


divided = by_type(_truncated, _by_parts, _quotient)
"""first / second, a real number; of integers truncated."""


@kernel
def conv(x, w, b, y, stride, before, dilation, groups):
    """y[n, oc, o] = b[oc] + sum over ic, t of x[n, ic, i] * w[oc, ic, t].

    Here and below i = o * stride + t * dilation - before.
    """
    batch, _, depth, height, width = x.shape
    out_channels, group_channels, kd, kh, kw = w.shape
    group_outputs = out_channels // groups
    for n in range(batch):
        for oc in range(out_channels):
            first = oc // group_outputs * group_channels
            for od in range(y.shape[2]):
                for oh in range(y.shape[3]):
                    for ow in range(y.shape[4]):
                        total = b[oc]
                        for ic in range(group_channels):
                            for td in range(kd):
                                d = od * stride[0] + td * dilation[0] - before[0]
                                if d < 0 or d >= depth:
                                    continue
                                for th in range(kh):
                                    h = oh * stride[1] + th * dilation[1] - before[1]
                                    if h < 0 or h >= height:
                                        continue
                                    for tw in range(kw):
                                        v = ow * stride[2] + tw * dilation[2] - before[2]
                                        if v >= 0 and v < width:
                                            total += (
                                                x[n, first + ic, d, h, v] * w[oc, ic, td, th, tw]
                                            )
                        y[n, oc, od, oh, ow] = total


@kernel
def conv_input_gradient(gx, w, gy, stride, before, dilation, groups):
    """gx[n, ic, i] = sum over oc, o, t of gy[n, oc, o] * w[oc, ic, t]."""
    batch, _, depth, height, width = gx.shape
    out_channels, group_channels, kd, kh, kw = w.shape
    group_outputs = out_channels // groups
    gx[:] = 0
    for n in range(batch):
        for oc in range(out_channels):
            first = oc // group_outputs * group_channels
            for od in range(gy.shape[2]):
                for oh in range(gy.shape[3]):
                    for ow in range(gy.shape[4]):
                        g = gy[n, oc, od, oh, ow]
                        for ic in range(group_channels):
                            for td in range(kd):
                                d = od * stride[0] + td * dilation[0] - before[0]
                                if d < 0 or d >= depth:
                                    continue
                                for th in range(kh):
                                    h = oh * stride[1] + th * dilation[1] - before[1]
                                    if h < 0 or h >= height:
                                        continue
                                    for tw in range(kw):
                                        v = ow * stride[2] + tw * dilation[2] - before[2]
                                        if v >= 0 and v < width:
                                            gx[n, first + ic, d, h, v] += g * w[oc, ic, td, th, tw]


@kernel
def conv_weight_gradient(x, gw, gy, stride, before, dilation, groups):
    """gw[oc, ic, t] = sum over n, o of x[n, ic, i] * gy[n, oc, o]."""
    batch, _, depth, height, width = x.shape
    out_channels, group_channels, kd, kh, kw = gw.shape
    group_outputs = out_channels // groups
    for oc in range(out_channels):
        first = oc // group_outputs * group_channels
        for ic in range(group_channels):
            for td in range(kd):
                for th in range(kh):
                    for tw in range(kw):
                        total = gw.dtype.type(0)
                        for n in range(batch):
                            for od in range(gy.shape[2]):
                                d = od * stride[0] + td * dilation[0] - before[0]
                                if d < 0 or d >= depth:
                                    continue
                                for oh in range(gy.shape[3]):
                                    h = oh * stride[1] + th * dilation[1] - before[1]
                                    if h < 0 or h >= height:
                                        continue
                                    for ow in range(gy.shape[4]):
                                        v = ow * stride[2] + tw * dilation[2] - before[2]
                                        if v >= 0 and v < width:
                                            total += (
                                                x[n, first + ic, d, h, v] * gy[n, oc, od, oh, ow]
                                            )
                        gw[oc, ic, td, th, tw] = total


@kernel
def avg_pool(x, y, divisors, kernel, stride, before, dilation):
    """y[n, c, o] = sum over t of x[n, c, i] / divisors[o]; of integers truncated."""
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
                                        total += x[n, c, d, h, v]
                        y[n, c, od, oh, ow] = divided(total, divisors[od, oh, ow])


@kernel
def avg_pool_input_gradient(gx, gy, divisors, kernel, stride, before, dilation):
    """gx[n, c, i] = sum over o, t of gy[n, c, o] / divisors[o], each of integers truncated."""
    batch, channels, depth, height, width = gx.shape
    gx[:] = 0
    for n in range(batch):
        for c in range(channels):
            for od in range(gy.shape[2]):
                for oh in range(gy.shape[3]):
                    for ow in range(gy.shape[4]):
                        share = divided(gy[n, c, od, oh, ow], divisors[od, oh, ow])
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


@kernel
def scatter(values, indices, planes):
    """planes[n, c, indices[n, c, o]] += values[n, c, o]; values (N, C, P), planes (N, C, S)."""
    batch, channels, positions = values.shape
    planes[:] = 0
    for n in range(batch):
        for c in range(channels):
            for o in range(positions):
                where = indices[n, c, o]
                if where >= 0:
                    planes[n, c, where] += values[n, c, o]


@kernel
def source(position, tap, sizes, kernel, out, stride, before, dilation, mode):
    """Return the flat input element that a flat tap reads at a flat position, or -1 for padding.

    Padding is nothing (mode 0), or what a mirror at the last element shows (1), the nearest
    element (2), that of the other end (3).
    """
    flat = 0
    scale = 1
    for axis in range(sizes.size - 1, -1, -1):
        o = position % out[axis]
        t = tap % kernel[axis]
        position //= out[axis]
        tap //= kernel[axis]
        i = o * stride[axis] + t * dilation[axis] - before[axis]
        if i < 0 or i >= sizes[axis]:
            if mode == 0:
                return -1
            if mode == 1:
                i = -i if i < 0 else 2 * (sizes[axis] - 1) - i
            elif mode == 2:
                i = 0 if i < 0 else sizes[axis] - 1
            else:
                i = i + sizes[axis] if i < 0 else i - sizes[axis]
        flat += i * scale
        scale *= sizes[axis]
    return flat


@kernel
def im2col(x, columns, pad_value, sizes, kernel, out, stride, before, dilation, mode):
    """columns[n, c, t, o] = x[n, c, source(o, t)] or the pad value; any number of axes."""
    batch, channels, taps, positions = columns.shape
    for n in range(batch):
        for c in range(channels):
            for t in range(taps):
                for o in range(positions):
                    where = source(o, t, sizes, kernel, out, stride, before, dilation, mode)
                    columns[n, c, t, o] = x[n, c, where] if where >= 0 else pad_value


@kernel
def col2im(columns, x, sizes, kernel, out, stride, before, dilation, mode):
    """x[n, c, source(o, t)] = sum over o, t of columns[n, c, t, o]: the adjoint of im2col."""
    batch, channels, taps, positions = columns.shape
    x[:] = 0
    for n in range(batch):
        for c in range(channels):
            for t in range(taps):
                for o in range(positions):
                    where = source(o, t, sizes, kernel, out, stride, before, dilation, mode)
                    if where >= 0:
                        x[n, c, where] += columns[n, c, t, o]
