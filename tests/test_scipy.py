"""SciPy as independent judge: direct correlation, and filters that are pools with stride 1."""

import numpy as np
import pytest

import fastconv as F
from tests.helpers import ints, same

ndimage = pytest.importorskip("scipy.ndimage")
signal = pytest.importorskip("scipy.signal")

SIZES = {1: (12,), 2: (9, 8), 3: (6, 5, 7)}
KERNELS = {1: (4,), 2: (3, 2), 3: (2, 3, 2)}
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
INPUT = {1: F.conv1d_input, 2: F.conv2d_input, 3: F.conv3d_input}
WEIGHT = {1: F.conv1d_weight, 2: F.conv2d_weight, 3: F.conv3d_weight}
MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def correlated(x, w, mode="valid"):
    """(N, C, *sizes) with (C_out, C, *kernel), one image and one filter at a time."""
    return np.array(
        [
            [
                sum(
                    signal.correlate(plane, taps, mode, method="direct")
                    for plane, taps in zip(image, kernel, strict=True)
                )
                for kernel in w
            ]
            for image in x
        ]
    )


@RANKS
def test_valid(rank):
    x, w = ints(2, 3, *SIZES[rank]), ints(4, 3, *KERNELS[rank])
    same(CONV[rank](x, w), correlated(x, w))


@RANKS
def test_full_is_padding_by_the_kernel_less_one(rank):
    x, w = ints(2, 3, *SIZES[rank]), ints(4, 3, *KERNELS[rank])
    padding = tuple(size - 1 for size in KERNELS[rank])
    same(CONV[rank](x, w, padding=padding), correlated(x, w, "full"))


@RANKS
def test_same_with_odd_kernels(rank):
    x, w = ints(2, 3, *SIZES[rank]), ints(4, 3, *(3,) * rank)
    same(CONV[rank](x, w, padding="same"), correlated(x, w, "same"))


@RANKS
@pytest.mark.parametrize("stride", [2, 3])
def test_a_stride_keeps_every_nth_position(rank, stride):
    x, w = ints(2, 3, *SIZES[rank]), ints(4, 3, *KERNELS[rank])
    every = (slice(None), slice(None), *(slice(None, None, stride),) * rank)
    same(CONV[rank](x, w, stride=stride), correlated(x, w)[every])


@RANKS
def test_a_dilation_is_a_kernel_with_holes(rank):
    x, w = ints(2, 3, *SIZES[rank]), ints(4, 3, *KERNELS[rank])
    holes = np.zeros((4, 3, *(2 * size - 1 for size in KERNELS[rank])))
    holes[(slice(None), slice(None), *(slice(None, None, 2),) * rank)] = w
    same(CONV[rank](x, w, dilation=2), correlated(x, holes))


@RANKS
def test_groups_are_apart(rank):
    x, w = ints(2, 4, *SIZES[rank]), ints(6, 2, *KERNELS[rank])
    halves = [correlated(x[:, :2], w[:3]), correlated(x[:, 2:], w[3:])]
    same(CONV[rank](x, w, groups=2), np.concatenate(halves, axis=1))


@RANKS
def test_input_gradient_is_a_full_convolution(rank):
    x, w = ints(2, 3, *SIZES[rank]), ints(4, 3, *KERNELS[rank])
    gy = ints(*CONV[rank](x, w).shape)
    flipped = w.swapaxes(0, 1)[(..., *(slice(None, None, -1),) * rank)]
    same(INPUT[rank](x.shape, w, gy), correlated(gy, flipped, "full"))


@RANKS
def test_weight_gradient_is_a_correlation_with_the_gradient(rank):
    x, w = ints(2, 3, *SIZES[rank]), ints(4, 3, *KERNELS[rank])
    gy = ints(*CONV[rank](x, w).shape)
    expected = correlated(x.swapaxes(0, 1), gy.swapaxes(0, 1)).swapaxes(0, 1)
    same(WEIGHT[rank](x, w.shape, gy), expected)


@RANKS
@pytest.mark.parametrize("size", [3, 5])
def test_max_pooling_is_a_maximum_filter(rank, size):
    x = ints(1, 1, *SIZES[rank])
    expected = ndimage.maximum_filter(x[0, 0], size, mode="constant", cval=-np.inf)
    same(MAX[rank](x, size, 1, size // 2), expected[None, None])


@RANKS
@pytest.mark.parametrize("size", [3, 5])
def test_average_pooling_is_a_correlation_with_ones(rank, size):
    x = ints(1, 1, *SIZES[rank])
    ones = np.ones((size,) * rank)
    sums = ndimage.correlate(x[0, 0], ones, mode="constant")
    counts = ndimage.correlate(np.ones(SIZES[rank]), ones, mode="constant")
    same(AVG[rank](x, size, 1, size // 2), (sums / size**rank)[None, None])
    y = AVG[rank](x, size, 1, size // 2, count_include_pad=False)
    same(y, (sums / counts)[None, None])
