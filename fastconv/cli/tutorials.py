"""The tutorials' own ways of computing, written anew from their descriptions.

They are what the drop-ins are raced against and tested against. Nothing here imports fastconv, and
nothing is made faster than its tutorial makes it: a NumPy call for every window where that is what
the tutorial does. Where a tutorial has a vectorised form of its own, it stands beside the loops.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


# NumPyCNN and pygad.cnn: images (H, W, C), filters (F, k, k, C), a window at a time


def bank_maps(image: Array, bank: Array) -> Array:
    """Convolve `(H, W[, C])` with `(F, k, k[, C])` into `(H', W', F)`, channel after channel."""
    filters, kh, kw = bank.shape[:3]
    maps = np.zeros((image.shape[0] - kh + 1, image.shape[1] - kw + 1, filters))
    for f in range(filters):
        if image.ndim == 2:
            maps[:, :, f] = one_map(image, bank[f])
        else:
            for c in range(image.shape[2]):
                maps[:, :, f] += one_map(image[:, :, c], bank[f, :, :, c])
    return maps


def one_map(image: Array, kernel: Array) -> Array:
    """Convolve `(H, W)` with `(kh, kw)`."""
    kh, kw = kernel.shape
    result = np.zeros((image.shape[0] - kh + 1, image.shape[1] - kw + 1))
    for r in range(result.shape[0]):
        for c in range(result.shape[1]):
            result[r, c] = np.sum(image[r : r + kh, c : c + kw] * kernel)
    return result


def sample_maps(sample: Array, bank: Array, activation: str | None) -> Array:
    """Convolve `(H, W, C)` with `(F, k, k, C)`, all channels of a window together."""
    filters, kh, kw, _ = bank.shape
    maps = np.zeros((sample.shape[0] - kh + 1, sample.shape[1] - kw + 1, filters))
    for r in range(maps.shape[0]):
        for c in range(maps.shape[1]):
            region = sample[r : r + kh, c : c + kw, :]
            for f in range(filters):
                total = np.sum(region * bank[f])
                if activation == "relu":
                    total = max(total, 0)
                elif activation == "sigmoid":
                    total = 1 / (1 + np.exp(-total))
                maps[r, c, f] = total
    return maps


def rectified(maps: Array) -> Array:
    """Apply ReLU, an element at a time."""
    result = np.zeros(maps.shape)
    for f in range(maps.shape[-1]):
        for r in range(maps.shape[0]):
            for c in range(maps.shape[1]):
                result[r, c, f] = max(maps[r, c, f], 0)
    return result


def pooled_maps(
    maps: Array, size: int, stride: int, mode: str = "max", edge: bool = False
) -> Array:
    """Pool `(H, W, F)`; `edge` says to count windows as `(H - size + 1) / stride + 1`."""
    height, width, filters = maps.shape
    if edge:
        sizes = [int((n - size + 1) / stride + 1) for n in (height, width)]
    else:
        sizes = [(n - size) // stride + 1 for n in (height, width)]
    result = np.zeros((*sizes, filters))
    take = np.max if mode == "max" else np.mean
    for f in range(filters):
        for i, r in enumerate(range(0, height - size + 1, stride)):
            for j, c in enumerate(range(0, width - size + 1, stride)):
                result[i, j, f] = take(maps[r : r + size, c : c + size, f])
    return result


# digit nine: strided windows over one matrix


def averaged(matrix: Array, kernel: Array) -> Array:
    """Average the products of a filter with each window, through a strided view of them."""
    kh, kw = kernel.shape
    shape = (matrix.shape[0] - kh + 1, matrix.shape[1] - kw + 1, kh, kw)
    windows = np.lib.stride_tricks.as_strided(matrix, shape, matrix.strides * 2, writeable=False)
    result = np.zeros(shape[:2])
    for r in range(shape[0]):
        for c in range(shape[1]):
            result[r, c] = np.mean(windows[r, c] * kernel)
    return result


def pooled_matrix(matrix: Array, size: int, stride: int, padding: int, mode: str) -> Array:
    """Pool a matrix with zeros around it, through a strided view of its windows."""
    padded = np.pad(matrix, padding)
    sizes = [(n - size) // stride + 1 for n in padded.shape]
    result = np.zeros(sizes)
    for r in range(sizes[0]):
        for c in range(sizes[1]):
            window = padded[r * stride : r * stride + size, c * stride : c * stride + size]
            result[r, c] = window.max() if mode == "max" else window.mean()
    return result


# layers of (N, C, H, W) by four loops: CNNumpy's slow form, cs231n's naive one, and others'


def layer_forward(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
    """Convolve with `(F, C, kh, kw)`, a window of a sample at a time."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    filters, _, kh, kw = w.shape
    oh, ow = (x.shape[2] - kh) // stride + 1, (x.shape[3] - kw) // stride + 1
    y = np.zeros((len(x), filters, oh, ow))
    for n in range(len(x)):
        for f in range(filters):
            for i in range(oh):
                for j in range(ow):
                    window = x[n, :, i * stride : i * stride + kh, j * stride : j * stride + kw]
                    y[n, f, i, j] = np.sum(window * w[f]) + b[f]
    return y


def layer_backward(
    x: Array, w: Array, gy: Array, stride: int, padding: int
) -> tuple[Array, Array, Array]:
    """Return the gradients of input, filters and bias, a window of a sample at a time."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    kh, kw = w.shape[2:]
    gx, gw = np.zeros(padded.shape), np.zeros(w.shape)
    for n in range(len(x)):
        for f in range(len(w)):
            for i in range(gy.shape[2]):
                for j in range(gy.shape[3]):
                    rows, columns = (
                        slice(k * stride, k * stride + m) for k, m in ((i, kh), (j, kw))
                    )
                    gw[f] += gy[n, f, i, j] * padded[n, :, rows, columns]
                    gx[n, :, rows, columns] += gy[n, f, i, j] * w[f]
    gx = gx[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]
    return gx, gw, gy.sum(axis=(0, 2, 3))


def pool_forward(x: Array, size: tuple[int, int], stride: int, mode: str) -> Array:
    """Pool `(N, C, H, W)`, a window of a plane at a time."""
    kh, kw = size
    oh, ow = (x.shape[2] - kh) // stride + 1, (x.shape[3] - kw) // stride + 1
    y = np.zeros((*x.shape[:2], oh, ow))
    take = np.max if mode == "max" else np.mean
    for n in range(len(x)):
        for c in range(x.shape[1]):
            for i in range(oh):
                for j in range(ow):
                    window = x[n, c, i * stride : i * stride + kh, j * stride : j * stride + kw]
                    y[n, c, i, j] = take(window)
    return y


def pool_backward(
    x: Array, gy: Array, size: tuple[int, int], stride: int, mode: str, ties: str = "first"
) -> Array:
    """Return a pool's gradient; equal maxima have it all, split it, or the "first" has it."""
    kh, kw = size
    gx = np.zeros(x.shape)
    for n in range(len(x)):
        for c in range(x.shape[1]):
            for i in range(gy.shape[2]):
                for j in range(gy.shape[3]):
                    rows, columns = (
                        slice(k * stride, k * stride + m) for k, m in ((i, kh), (j, kw))
                    )
                    window = x[n, c, rows, columns]
                    if mode == "avg":
                        share = np.full(size, 1 / (kh * kw))
                    elif ties == "split":
                        share = (window == window.max()) / np.sum(window == window.max())
                    else:
                        share = np.zeros(size)
                        share.flat[window.argmax()] = 1
                    gx[n, c, rows, columns] += gy[n, c, i, j] * share
    return gx


# columns, an element at a time, in the three orders


def columns_of(x: Array, kernel: tuple[int, int], stride: int, padding: int, order: str) -> Array:
    """Return columns as "dlfs", "cnnumpy" or "cs231n" order them."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    kh, kw = kernel
    oh, ow = (x.shape[2] - kh) // stride + 1, (x.shape[3] - kw) // stride + 1
    shape, length = (x.shape[1] * kh * kw, len(x) * oh * ow), oh * ow
    result = np.zeros(shape[::-1] if order == "dlfs" else shape, x.dtype)
    for row, column, place in _places(x.shape, kernel, stride, (oh, ow), length, order):
        if order == "dlfs":
            result[column, row] = x[place]
        else:
            result[row, column] = x[place]
    return result


def images_of(
    columns: Array,
    shape: tuple[int, ...],
    kernel: tuple[int, int],
    stride: int,
    padding: int,
    order: str,
) -> Array:
    """Add columns of such an order back into images of a shape."""
    n, c, h, w = shape
    x = np.zeros((n, c, h + 2 * padding, w + 2 * padding), columns.dtype)
    oh, ow = ((m - k) // stride + 1 for m, k in zip(x.shape[2:], kernel, strict=True))
    for row, column, place in _places(x.shape, kernel, stride, (oh, ow), oh * ow, order):
        x[place] += columns[column, row] if order == "dlfs" else columns[row, column]
    return x[:, :, padding : padding + h, padding : padding + w]


def _places(
    shape: tuple[int, ...],
    kernel: tuple[int, int],
    stride: int,
    out: tuple[int, int],
    length: int,
    order: str,
) -> Any:
    samples, channels = shape[:2]
    for n, c, p, q, i, j in np.ndindex(samples, channels, *kernel, *out):
        row = (c * kernel[0] + p) * kernel[1] + q
        position = i * out[1] + j
        column = position * samples + n if order == "cs231n" else n * length + position
        yield row, column, (n, c, i * stride + p, j * stride + q)
