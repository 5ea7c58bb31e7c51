"""The plain loops of adaptive and fractional pools, and of moves to and from places of a plane.

As in `naive.py`: three spatial dimensions, results are overwritten, never read first. Shapes:
x (N, C, D, H, W), y (N, C, OD, OH, OW).
"""

from fastconv.kernels.jit import kernel
from fastconv.kernels.naive import divided
from fastconv.kernels.naive_pool import wins


@kernel
def cut(position, size, out):
    """Return the elements [floor(o * size / out), ceil((o + 1) * size / out)) of window `o`."""
    return position * size // out, ((position + 1) * size + out - 1) // out


@kernel
def adaptive_max_pool(x, y, indices, skip_nan):
    """y[n, c, o] = max of x[n, c] over the window `cut` along each axis, and where it was."""
    batch, channels, depth, height, width = x.shape
    for n in range(batch):
        for c in range(channels):
            for od in range(y.shape[2]):
                for oh in range(y.shape[3]):
                    for ow in range(y.shape[4]):
                        d0, d1 = cut(od, depth, y.shape[2])
                        h0, h1 = cut(oh, height, y.shape[3])
                        v0, v1 = cut(ow, width, y.shape[4])
                        best = x[n, c, d0, h0, v0]
                        where = -1
                        for d in range(d0, d1):
                            for h in range(h0, h1):
                                for v in range(v0, v1):
                                    value = x[n, c, d, h, v]
                                    if wins(value, best, where, False, skip_nan):
                                        best = value
                                        where = (d * height + h) * width + v
                        y[n, c, od, oh, ow] = best
                        indices[n, c, od, oh, ow] = where


@kernel
def adaptive_avg_pool(x, y, divisors):
    """y[n, c, o] = sum of x[n, c] over the window `cut` along each axis / divisors[o].

    Quotients of integers are truncated, here and in the gradient.
    """
    batch, channels, depth, height, width = x.shape
    for n in range(batch):
        for c in range(channels):
            for od in range(y.shape[2]):
                for oh in range(y.shape[3]):
                    for ow in range(y.shape[4]):
                        d0, d1 = cut(od, depth, y.shape[2])
                        h0, h1 = cut(oh, height, y.shape[3])
                        v0, v1 = cut(ow, width, y.shape[4])
                        total = y.dtype.type(0)
                        for d in range(d0, d1):
                            for h in range(h0, h1):
                                for v in range(v0, v1):
                                    total += x[n, c, d, h, v]
                        y[n, c, od, oh, ow] = divided(total, divisors[od, oh, ow])


@kernel
def adaptive_avg_pool_input_gradient(gx, gy, divisors):
    """gx[n, c, i] = sum of gy[n, c, o] / divisors[o] over the windows that hold i."""
    batch, channels, depth, height, width = gx.shape
    gx[:] = 0
    for n in range(batch):
        for c in range(channels):
            for od in range(gy.shape[2]):
                for oh in range(gy.shape[3]):
                    for ow in range(gy.shape[4]):
                        d0, d1 = cut(od, depth, gy.shape[2])
                        h0, h1 = cut(oh, height, gy.shape[3])
                        v0, v1 = cut(ow, width, gy.shape[4])
                        share = divided(gy[n, c, od, oh, ow], divisors[od, oh, ow])
                        for d in range(d0, d1):
                            for h in range(h0, h1):
                                for v in range(v0, v1):
                                    gx[n, c, d, h, v] += share


@kernel
def fractional_max_pool(x, starts, y, indices, skip_nan, kernel):
    """y[n, c, o] = max over t of x[n, c, starts[n, c, o] + t], and where it was.

    `starts` (N, C, OD + OH + OW) holds the first element of the windows along each axis.
    """
    batch, channels, _, height, width = x.shape
    out_depth, out_height = y.shape[2], y.shape[3]
    for n in range(batch):
        for c in range(channels):
            for od in range(y.shape[2]):
                for oh in range(y.shape[3]):
                    for ow in range(y.shape[4]):
                        d0 = starts[n, c, od]
                        h0 = starts[n, c, out_depth + oh]
                        v0 = starts[n, c, out_depth + out_height + ow]
                        best = x[n, c, d0, h0, v0]
                        where = -1
                        for d in range(d0, d0 + kernel[0]):
                            for h in range(h0, h0 + kernel[1]):
                                for v in range(v0, v0 + kernel[2]):
                                    value = x[n, c, d, h, v]
                                    if wins(value, best, where, False, skip_nan):
                                        best = value
                                        where = (d * height + h) * width + v
                        y[n, c, od, oh, ow] = best
                        indices[n, c, od, oh, ow] = where


@kernel
def unpool(values, indices, planes):
    """planes[n, c, indices[n, c, o]] = values[n, c, o], else 0; the last of several stays."""
    batch, channels, positions = values.shape
    planes[:] = 0
    for n in range(batch):
        for c in range(channels):
            for o in range(positions):
                where = indices[n, c, o]
                if where >= 0:
                    planes[n, c, where] = values[n, c, o]


@kernel
def gather(planes, indices, values):
    """values[n, c, o] = planes[n, c, indices[n, c, o]], or 0 where that is -1."""
    batch, channels, positions = values.shape
    for n in range(batch):
        for c in range(channels):
            for o in range(positions):
                where = indices[n, c, o]
                if where >= 0:
                    values[n, c, o] = planes[n, c, where]
                else:
                    values[n, c, o] = 0
