import numpy as np
import pytest

from fastconv.cli import tutorials
from fastconv.dropin import dlfs
from tests.dropin.cases import DTYPES, NO_ARRAYS, ORDERED, differences, refused
from tests.helpers import distinct, ints, same


@ORDERED
@DTYPES
def test_columns(shape, filters, kernel, stride, pad, dtype):
    x = ints(*shape, dtype=dtype)
    expected = tutorials.columns_of(x, kernel, stride, pad, "dlfs")
    columns = dlfs.im2col(x, *kernel, stride, pad)
    same(columns, expected)
    columns = ints(*columns.shape, dtype=dtype)
    expected = tutorials.images_of(columns, shape, kernel, stride, pad, "dlfs")
    same(dlfs.col2im(columns, shape, *kernel, stride, pad), expected)


@ORDERED
@DTYPES
def test_convolution(shape, filters, kernel, stride, pad, dtype):
    x = ints(*shape, dtype=dtype)
    w, b = ints(filters, shape[1], *kernel, dtype=dtype), ints(filters, dtype=dtype)
    layer = dlfs.Convolution(w, b, stride, pad)
    y = layer.forward(x)
    same(y, tutorials.layer_forward(x, w, b, stride, pad).astype(dtype))
    gy = ints(*y.shape, dtype=dtype, seed=2)
    for _ in range(2):  # gradients do not add up
        gx = layer.backward(gy)
        expected = tutorials.layer_backward(x, w, gy, stride, pad)
        for got, value in zip((gx, layer.dW, layer.db), expected, strict=True):
            same(got, value.astype(dtype))


def test_gradients_by_differences():
    x, w, b = ints(2, 2, 5, 4), ints(3, 2, 3, 2), ints(3)
    gy = ints(2, 3, 3, 3, seed=4)

    def weighted(x, w, b):
        return np.sum(dlfs.Convolution(w, b, stride=2, pad=1).forward(x) * gy)

    layer = dlfs.Convolution(w, b, stride=2, pad=1)
    assert layer.forward(x).shape == gy.shape
    found = (layer.backward(gy), layer.dW, layer.db)
    for at, gradient in enumerate(found):
        np.testing.assert_allclose(gradient, differences(weighted, [x, w, b], at), atol=1e-6)


@pytest.mark.parametrize(("kernel", "stride"), [((2, 2), 2), ((3, 2), 1), ((2, 3), 3)])
@DTYPES
def test_pooling(kernel, stride, dtype):
    for x in (distinct(2, 3, 7, 8, dtype=dtype), ints(2, 3, 7, 8, dtype=dtype, high=0)):
        layer = dlfs.Pooling(*kernel, stride)
        y = layer.forward(x)
        same(y, tutorials.pool_forward(x, kernel, stride, "max").astype(dtype))
        gy = ints(*y.shape, dtype=dtype)
        expected = tutorials.pool_backward(x, gy, kernel, stride, "max")
        same(layer.backward(gy), expected.astype(dtype))


def test_padding_counts_in_the_size_of_a_pool_and_is_no_maximum():
    x = -distinct(1, 1, 4, 4) - 20
    layer = dlfs.Pooling(2, 2, stride=2, pad=1)
    y = layer.forward(x)
    assert y.shape == (1, 1, 3, 3)
    assert y[0, 0, 0, 0] == x[0, 0, 0, 0]
    assert layer.backward(np.ones_like(y)).sum() == 9


def test_the_stride_is_1_unless_said():
    assert dlfs.Pooling(2, 2).forward(np.zeros((1, 1, 4, 4))).shape == (1, 1, 3, 3)
    assert dlfs.im2col(np.zeros((1, 1, 4, 4)), 2, 2).shape == (9, 4)


def test_an_optimiser_may_change_the_weights_in_place():
    layer = dlfs.Convolution(np.ones((1, 1, 1, 1)), np.zeros(1))
    layer.W *= 3
    layer.b += 1
    same(layer.forward(np.ones((1, 1, 1, 1))), np.full((1, 1, 1, 1), 4.0))


def test_lists_and_integers():
    x = [[[[1, 2], [3, 4]]]]
    same(dlfs.im2col(x, 2, 1), np.array([[1.0, 3], [2, 4]]))
    same(dlfs.Convolution([[[[1, 1]]]], [1]).forward(x), np.array([[[[4.0], [8]]]]))
    same(dlfs.Pooling(2, 2).forward(np.array(x, np.uint8)), np.array([[[[4.0]]]]))


@pytest.mark.parametrize("value", NO_ARRAYS)
def test_what_is_no_array(value):
    refused(lambda: dlfs.im2col(value, 1, 1), "input_data")
    refused(lambda: dlfs.col2im(value, (1, 1, 1, 1), 1, 1), "col")
    refused(lambda: dlfs.Convolution(np.ones((1, 1, 1, 1)), [0]).forward(value), "x")
    refused(lambda: dlfs.Convolution(value, [0]).forward(np.ones((1, 1, 1, 1))), "W")
    refused(lambda: dlfs.Pooling(1, 1).forward(value), "x")


def test_bad_calls():
    x, layer = np.ones((1, 1, 4, 4)), dlfs.Convolution(np.ones((1, 1, 3, 3)), np.zeros(1))
    refused(lambda: layer.backward(x), "forward")
    refused(lambda: dlfs.Pooling(2, 2).backward(x), "forward")
    refused(lambda: layer.forward(x[0]), "(N, C, H, W)")
    layer.forward(x)
    refused(lambda: layer.backward(x), "dout:", "(1, 1, 2, 2)")
    refused(lambda: dlfs.im2col(x[0], 1, 1), "input_data")
    refused(lambda: dlfs.im2col(x, 5, 1), "filter_h, filter_w: a window of 5")
    refused(lambda: dlfs.im2col(x, 1, 1, pad=-1), "pad:")
    refused(lambda: layer.forward(np.ones((1, 2, 4, 4))), "W: shape (1, 1, 3, 3)")
    refused(lambda: dlfs.col2im(np.ones((4, 9)), (2, 1, 4, 4), 3, 3), "input_shape")
    refused(lambda: dlfs.Convolution(x, [0], stride=0), "stride")
    refused(lambda: dlfs.Convolution(x, [0], pad=-1), "pad")
    refused(lambda: dlfs.Pooling(0, 1), "pool_h")
    refused(lambda: dlfs.Pooling(1, 1.5), "pool_w")
