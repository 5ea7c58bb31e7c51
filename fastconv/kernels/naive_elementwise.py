"""Plain loops for what networks do between convolutions: the definitions.

Arrays are (outer, channels, inner), or (outer, n, inner) of lines of n. Scalars have their dtype.
"""

import math

from fastconv.kernels.jit import kernel


@kernel
def affine(x, added, y, scale, shift, factor):
    """y[o, c, i] = x[o, c, i] * scale[c] + shift[c] + added[o, c, i] * factor[c]."""
    for o in range(x.shape[0]):
        for c in range(x.shape[1]):
            for i in range(x.shape[2]):
                value = x[o, c, i] * scale[c] + shift[c]
                if added.size:
                    value += added[o, c, i] * factor[c]
                y[o, c, i] = value


@kernel
def slopes(y, gy, gx, code, slope):
    """gx[i] = gy[i] times the derivative of an activation whose result is y[i], by its code."""
    for i in range(y.size):
        value, one = y[i], gy.dtype.type(1)
        factor = one
        if code == 1:
            factor = one * (value > 0)
        elif code == 2:
            factor = one * (value > 0 and value < 6)
        elif code == 3:
            factor = one if value > 0 else slope
        elif code == 4:
            factor = one - value * value
        elif code == 5:
            factor = value * (one - value)
        gx[i] = factor * gy[i]


@kernel
def softmax(x, y, logarithm):
    """y[o, k, i] = exp(x[o, k, i] - most) / sum over k of exp(x[o, k, i] - most), or its log."""
    for o in range(x.shape[0]):
        for i in range(x.shape[2]):
            most = x[o, 0, i]
            for k in range(x.shape[1]):
                if x[o, k, i] > most:
                    most = x[o, k, i]
            total = x.dtype.type(0)
            for k in range(x.shape[1]):
                total += math.exp(x[o, k, i] - most)
            for k in range(x.shape[1]):
                if logarithm:
                    y[o, k, i] = x[o, k, i] - most - math.log(total)
                else:
                    y[o, k, i] = math.exp(x[o, k, i] - most) / total


@kernel
def softmax_gradient(gy, y, gx, logarithm):
    """Gx = y * (gy - sum over k of gy * y), or gy - exp(y) * sum over k of gy."""
    for o in range(y.shape[0]):
        for i in range(y.shape[2]):
            total = y.dtype.type(0)
            for k in range(y.shape[1]):
                total += gy[o, k, i] * (y.dtype.type(1) if logarithm else y[o, k, i])
            for k in range(y.shape[1]):
                if logarithm:
                    gx[o, k, i] = gy[o, k, i] - math.exp(y[o, k, i]) * total
                else:
                    gx[o, k, i] = y[o, k, i] * (gy[o, k, i] - total)


@kernel
def moments(g, x, centers, sums):
    """sums[c] = the sum over o, i of g[o, c, i], and of g[o, c, i] * (x[o, c, i] - centers[c])."""
    for o in range(x.shape[0]):
        for c in range(x.shape[1]):
            for i in range(x.shape[2]):
                value = x[o, c, i] - centers[c]
                weight = g[o, c, i] if g.size else value
                sums[c, 0] += weight
                sums[c, 1] += weight * value
