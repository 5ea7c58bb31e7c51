import numpy as np
import pytest

from fastconv.cli import tutorials
from fastconv.dropin import cs231n
from tests.dropin.cases import DTYPES, NO_ARRAYS, ORDERED, differences, refused
from tests.helpers import distinct, ints, same


@ORDERED
@DTYPES
def test_columns(shape, filters, kernel, stride, pad, dtype):
    x = ints(*shape, dtype=dtype)
    expected = tutorials.columns_of(x, kernel, stride, pad, "cs231n")
    columns = cs231n.im2col_indices(x, *kernel, pad, stride)
    same(columns, expected)
    columns = ints(*columns.shape, dtype=dtype)
    expected = tutorials.images_of(columns, shape, kernel, stride, pad, "cs231n")
    same(cs231n.col2im_indices(columns, shape, *kernel, pad, stride), expected)


@ORDERED
def test_indices_pick_the_columns(shape, filters, kernel, stride, pad):
    x = distinct(*shape)
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    k, i, j = cs231n.get_im2col_indices(shape, *kernel, pad, stride)
    picked = padded[:, k, i, j].transpose(1, 2, 0)  # (K, L, N)
    same(picked.reshape(len(k), -1), cs231n.im2col_indices(x, *kernel, pad, stride))


def test_the_padding_is_1_unless_said():
    assert cs231n.im2col_indices(np.zeros((1, 1, 4, 4)), 3, 3).shape == (9, 16)
    assert cs231n.col2im_indices(np.zeros((9, 16)), (1, 1, 4, 4)).shape == (1, 1, 4, 4)


@ORDERED
@DTYPES
def test_convolution(shape, filters, kernel, stride, pad, dtype):
    x = ints(*shape, dtype=dtype)
    w, b = ints(filters, shape[1], *kernel, dtype=dtype), ints(filters, dtype=dtype)
    y, cache = cs231n.conv_forward_fast(x, w, b, {"stride": stride, "pad": pad})
    same(y, tutorials.layer_forward(x, w, b, stride, pad).astype(dtype))
    gy = ints(*y.shape, dtype=dtype, seed=2)
    expected = tutorials.layer_backward(x, w, gy, stride, pad)
    for got, value in zip(cs231n.conv_backward_fast(gy, cache), expected, strict=True):
        same(got, value.astype(dtype))


def test_gradients_by_differences():
    x, w, b = ints(2, 2, 5, 5), ints(3, 2, 3, 3), ints(3)
    parameters = {"stride": 2, "pad": 1}
    y, cache = cs231n.conv_forward_fast(x, w, b, parameters)
    gy = ints(*y.shape, seed=4)

    def weighted(*arrays):
        return np.sum(cs231n.conv_forward_fast(*arrays, parameters)[0] * gy)

    for at, gradient in enumerate(cs231n.conv_backward_fast(gy, cache)):
        np.testing.assert_allclose(gradient, differences(weighted, [x, w, b], at), atol=1e-6)


POOLS = [  # (H, W), kernel, stride, whether ties are split
    ((6, 8), (2, 2), 2, True),
    ((6, 9), (3, 3), 3, True),
    ((7, 8), (2, 2), 2, False),
    ((6, 6), (3, 3), 2, False),
    ((6, 6), (2, 3), 2, False),
]


@pytest.mark.parametrize(("sizes", "kernel", "stride", "split"), POOLS)
@DTYPES
def test_pooling(sizes, kernel, stride, split, dtype):
    parameters = {"pool_height": kernel[0], "pool_width": kernel[1], "stride": stride}
    for x in (distinct(2, 3, *sizes, dtype=dtype), ints(2, 3, *sizes, dtype=dtype, high=0)):
        y, cache = cs231n.max_pool_forward_fast(x, parameters)
        same(y, tutorials.pool_forward(x, kernel, stride, "max").astype(dtype))
        gy = 60 * ints(*y.shape, dtype=dtype)
        ties = "split" if split else "first"
        expected = tutorials.pool_backward(x, gy, kernel, stride, "max", ties)
        tolerance = np.finfo(dtype).eps
        got = cs231n.max_pool_backward_fast(gy, cache)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=4 * tolerance)


def test_the_gradient_of_a_window_with_nan_goes_to_it():
    x = np.array([[[[1, np.nan], [2, 3.0]]]])
    _, cache = cs231n.max_pool_forward_fast(x, {"pool_height": 2, "pool_width": 2, "stride": 2})
    same(cs231n.max_pool_backward_fast([[[[5]]]], cache), np.array([[[[0, 5], [0, 0.0]]]]))


def test_images_that_are_not_contiguous():
    x = ints(4, 6, 7, 2).transpose(3, 0, 1, 2)[:, ::-1, ::2]
    w, b, parameters = ints(2, 4, 3, 3), ints(2), {"stride": 1, "pad": 1}
    got, _ = cs231n.conv_forward_fast(x, w, b, parameters)
    same(got, tutorials.layer_forward(x, w, b, 1, 1))


def test_lists_and_integers():
    x = [[[[1, 2], [3, 4]]]]
    same(cs231n.im2col_indices(x, 2, 1, padding=0), np.array([[1.0, 2], [3, 4]]))
    y, cache = cs231n.conv_forward_fast(x, [[[[2]]]], [1], {"stride": 1, "pad": 0})
    same(y, np.array([[[[3.0, 5], [7, 9]]]]))
    assert cs231n.conv_backward_fast([[[[1, 0], [0, 0]]]], cache)[1] == 1


@pytest.mark.parametrize("value", NO_ARRAYS)
def test_what_is_no_array(value):
    one = np.ones((1, 1, 1, 1))
    parameters = {"stride": 1, "pad": 0, "pool_height": 1, "pool_width": 1}
    refused(lambda: cs231n.im2col_indices(value, 1, 1), "x")
    refused(lambda: cs231n.conv_forward_fast(value, one, [0], parameters), "x")
    refused(lambda: cs231n.conv_forward_fast(one, value, [0], parameters), "w")
    refused(lambda: cs231n.max_pool_forward_fast(value, parameters), "x")


def test_bad_calls():
    x, w = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))
    conv = {"stride": 1, "pad": 0}
    pool = {"pool_height": 2, "pool_width": 2, "stride": 2}
    refused(lambda: cs231n.conv_forward_fast(x, w, [0], {"stride": 1}), "conv_param", "'pad'")
    refused(lambda: cs231n.conv_forward_fast(x, w, [0], None), "conv_param", "None")
    refused(lambda: cs231n.conv_forward_fast(x[0], w, [0], conv), "(N, C, H, W)")
    refused(lambda: cs231n.conv_forward_fast(x, w, [0], {"stride": 0, "pad": 0}), "conv_param['st")
    refused(lambda: cs231n.max_pool_forward_fast(x[:, :, :1], pool), "pool_param: a window of 2")
    refused(lambda: cs231n.im2col_indices(x, 7, 1), "field_height, field_width: a window of 7")
    refused(lambda: cs231n.max_pool_forward_fast(x, {"stride": 2}), "pool_param", "pool_height")
    refused(lambda: cs231n.max_pool_forward_fast(x, {**pool, "stride": 0}), "stride")
    refused(lambda: cs231n.conv_backward_fast(x, (x, w)), "cache")
    y, cache = cs231n.max_pool_forward_fast(x, pool)
    refused(lambda: cs231n.conv_backward_fast(y, cache), "cache")
    refused(lambda: cs231n.max_pool_backward_fast(x, cache), "dout", "(1, 1, 2, 2)")
    refused(lambda: cs231n.col2im_indices(np.ones((9, 16)), (2, 1, 4, 4)), "x_shape")
    refused(lambda: cs231n.get_im2col_indices((1, 4, 4), 2, 2), "(N, C, H, W)")
    refused(lambda: cs231n.get_im2col_indices((1, 1, 4, 4), 7, 2), "7")
