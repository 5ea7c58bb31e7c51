"""Training steps as the tutorials compute them: on their loops, or on columns of their own.

Written from descriptions, like `fastconv.cli.tutorials`, and importing nothing else of fastconv.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastconv.cli import tutorials

Array = np.ndarray[Any, np.dtype[Any]]
Params = dict[str, Array]
ALPHA = 1.7159


@dataclass(frozen=True)
class Form:
    """The operations of a layered network, in one tutorial's way."""

    conv: Callable[..., Array]
    conv_back: Callable[..., tuple[Array, Array, Array]]
    pool: Callable[..., Array]
    pool_back: Callable[..., Array]


LOOPS = Form(
    tutorials.layer_forward,
    tutorials.layer_backward,
    tutorials.pool_forward,
    tutorials.pool_backward,
)


def indexed_columns(x: Array, kernel: tuple[int, int], stride: int, padding: int) -> Array:
    """Gather columns `(N, C * kh * kw, L)` by three arrays of indices, as CNNumpy and cs231n do."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    d, i, j = _indices(padded.shape, kernel, stride)
    result: Array = padded[:, d, i, j]
    return result


def indexed_images(
    columns: Array, shape: tuple[int, ...], kernel: tuple[int, int], stride: int, padding: int
) -> Array:
    """Add columns back by the same indices, unbuffered (`numpy.add.at`)."""
    n, c, h, w = shape
    padded = np.zeros((n, c, h + 2 * padding, w + 2 * padding), columns.dtype)
    d, i, j = _indices(padded.shape, kernel, stride)
    place: Any = (slice(None), d, i, j)
    np.add.at(padded, place, columns)
    return padded[:, :, padding : padding + h, padding : padding + w]


def sliced_columns(x: Array, kernel: tuple[int, int], stride: int, padding: int) -> Array:
    """Gather columns `(N, C * kh * kw, L)` tap by tap, as Deep Learning from Scratch does."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    oh, ow = ((m - k) // stride + 1 for m, k in zip(padded.shape[2:], kernel, strict=True))
    result = np.zeros((*x.shape[:2], *kernel, oh, ow))
    for p, q in np.ndindex(kernel):
        result[:, :, p, q] = padded[
            :, :, p : p + stride * oh : stride, q : q + stride * ow : stride
        ]
    return result.reshape(len(x), -1, oh * ow)  # (N, C * kh * kw, L)


def sliced_images(
    columns: Array, shape: tuple[int, ...], kernel: tuple[int, int], stride: int, padding: int
) -> Array:
    """Add columns back tap by tap."""
    n, c, h, w = shape
    padded = np.zeros((n, c, h + 2 * padding, w + 2 * padding))
    oh, ow = ((m - k) // stride + 1 for m, k in zip(padded.shape[2:], kernel, strict=True))
    taps = columns.reshape(n, c, *kernel, oh, ow)
    for p, q in np.ndindex(kernel):
        place = np.s_[:, :, p : p + stride * oh : stride, q : q + stride * ow : stride]
        padded[place] += taps[:, :, p, q]
    return padded[:, :, padding : padding + h, padding : padding + w]


def on_columns(gather: Callable[..., Array], scatter: Callable[..., Array]) -> Form:
    """Return layers as matrix products over columns."""

    def conv(x: Array, w: Array, b: Array, stride: int, padding: int) -> Array:
        columns = gather(x, w.shape[2:], stride, padding)
        y = np.matmul(w.reshape(len(w), -1), columns) + b[:, np.newaxis]
        maps: Array = y.reshape(len(x), len(w), *_sizes(x, w.shape[2:], stride, padding))
        return maps

    def conv_back(
        x: Array, w: Array, gy: Array, stride: int, padding: int
    ) -> tuple[Array, Array, Array]:
        rows = gy.reshape(len(x), len(w), -1)  # (N, F, L)
        columns = gather(x, w.shape[2:], stride, padding)
        gw = np.tensordot(rows, columns, ((0, 2), (0, 2))).reshape(w.shape)
        back = np.matmul(w.reshape(len(w), -1).T, rows)
        gx = scatter(back, x.shape, w.shape[2:], stride, padding)
        return gx, gw, gy.sum(axis=(0, 2, 3))

    def pool(x: Array, size: tuple[int, int], stride: int, mode: str) -> Array:
        taps = _taps(gather, x, size, stride)
        y: Array = taps.max(axis=2) if mode == "max" else taps.mean(axis=2)
        return y.reshape(*x.shape[:2], *_sizes(x, size, stride, 0))

    def pool_back(x: Array, gy: Array, size: tuple[int, int], stride: int, mode: str) -> Array:
        taps = _taps(gather, x, size, stride)
        rows = gy.reshape(*x.shape[:2], 1, -1)  # (N, C, 1, L)
        back: Array
        if mode == "max":
            back = np.zeros(taps.shape)
            np.put_along_axis(back, taps.argmax(axis=2)[:, :, np.newaxis], rows, axis=2)
        else:
            back = np.repeat(rows / taps.shape[2], taps.shape[2], axis=2)
        columns = back.reshape(len(x), -1, rows.shape[-1])  # (N, C * k, L)
        return scatter(columns, x.shape, size, stride, 0)

    return Form(conv, conv_back, pool, pool_back)


INDEXED = on_columns(indexed_columns, indexed_images)
SLICED = on_columns(sliced_columns, sliced_images)


def lenet_step(form: Form, params: Params, images: Array, labels: Array) -> Params:
    """Return LeNet-5's gradients of the mean cross-entropy, by the names of CNNumpy."""
    x1 = images
    t1 = np.tanh(form.conv(x1, params["W1"], params["b1"], 1, 0))
    x2 = form.pool(ALPHA * t1, (2, 2), 2, "avg")
    t2 = np.tanh(form.conv(x2, params["W2"], params["b2"], 1, 0))
    p2 = form.pool(ALPHA * t2, (2, 2), 2, "avg")
    inputs, hidden, grads = [p2.reshape(len(images), -1)], [], {}
    for n in ("3", "4", "5"):
        scores = inputs[-1] @ params["W" + n].T + params["b" + n]
        hidden.append(np.tanh(scores))
        inputs.append(ALPHA * hidden[-1])
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    delta = (powers / powers.sum(axis=1, keepdims=True) - labels) / len(images)
    for at, n in ((2, "5"), (1, "4"), (0, "3")):
        if at < 2:
            delta = delta * ALPHA * (1 - hidden[at] ** 2)
        grads["dW" + n], grads["db" + n] = delta.T @ inputs[at], delta.sum(axis=0)
        delta = delta @ params["W" + n]
    back = form.pool_back(ALPHA * t2, delta.reshape(p2.shape), (2, 2), 2, "avg")
    back = back * ALPHA * (1 - t2**2)
    back, grads["dW2"], grads["db2"] = form.conv_back(x2, params["W2"], back, 1, 0)
    back = form.pool_back(ALPHA * t1, back, (2, 2), 2, "avg") * ALPHA * (1 - t1**2)
    _, grads["dW1"], grads["db1"] = form.conv_back(x1, params["W1"], back, 1, 0)
    return grads


def block_step(
    form: Form, x: Array, w: Array, b: Array, gy: Array, stride: int, padding: int, pool: int
) -> tuple[Array, ...]:
    """Convolve, take maxima of tiles, and go back: output, and gradients of x, w and b."""
    maps = form.conv(x, w, b, stride, padding)
    y = form.pool(maps, (pool, pool), pool, "max")
    back = form.pool_back(maps, gy, (pool, pool), pool, "max")
    return y, *form.conv_back(x, w, back, stride, padding)


def _sizes(x: Array, kernel: tuple[int, ...], stride: int, padding: int) -> tuple[int, int]:
    oh, ow = ((m + 2 * padding - k) // stride + 1 for m, k in zip(x.shape[2:], kernel, strict=True))
    return oh, ow


def _taps(gather: Callable[..., Array], x: Array, size: tuple[int, int], stride: int) -> Array:
    columns = gather(x, size, stride, 0)
    return columns.reshape(*x.shape[:2], size[0] * size[1], -1)  # (N, C, k, L)


def _indices(
    shape: tuple[int, ...], kernel: tuple[int, int], stride: int
) -> tuple[Array, Array, Array]:
    kh, kw = kernel
    oh, ow = ((m - k) // stride + 1 for m, k in zip(shape[2:], kernel, strict=True))
    i = np.tile(np.repeat(np.arange(kh), kw), shape[1])[:, np.newaxis]
    j = np.tile(np.tile(np.arange(kw), kh), shape[1])[:, np.newaxis]
    d = np.repeat(np.arange(shape[1]), kh * kw)[:, np.newaxis]
    rows, columns = np.repeat(np.arange(oh), ow), np.tile(np.arange(ow), oh)
    return d, i + stride * rows, j + stride * columns
