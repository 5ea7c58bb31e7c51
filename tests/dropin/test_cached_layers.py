import numpy as np
import pytest

from fastconv.cli import tutorials
from fastconv.dropin.cached_layers import Convolution2dLayer, MaxPooling2dLayer
from tests.dropin.cases import DTYPES, NO_ARRAYS, ORDERED, differences, refused
from tests.helpers import distinct, ints, same


def layer_of(filters, channels, kernel, stride, pad, dtype=np.float64):
    layer = Convolution2dLayer(channels, filters, kernel, stride, pad)
    layer.weights = ints(filters, channels, *kernel, dtype=dtype)
    layer.bias = ints(filters, dtype=dtype)
    return layer


@ORDERED
@DTYPES
def test_convolution(shape, filters, kernel, stride, pad, dtype):
    layer, x = layer_of(filters, shape[1], kernel, stride, pad, dtype), ints(*shape, dtype=dtype)
    cache = layer.forward(x)
    expected = tutorials.layer_forward(x, layer.weights, layer.bias, stride, pad)
    same(cache.output, expected.astype(dtype))
    gy = ints(*cache.output.shape, dtype=dtype, seed=2)
    expected = tutorials.layer_backward(x, layer.weights, gy, stride, pad)
    for got, value in zip(layer.backward(cache, gy), expected, strict=True):
        same(got, value.astype(dtype))


def test_gradients_by_differences():
    x, layer = ints(2, 2, 5, 4), layer_of(3, 2, (3, 2), 2, 1)
    gy = ints(*layer.forward(x).output.shape, seed=3)

    def weighted(x, weights, bias):
        layer.weights, layer.bias = weights, bias
        return np.sum(layer.forward(x).output * gy)

    arrays = [x, layer.weights, layer.bias]
    gradients = layer.backward(layer.forward(x), gy)
    for at, gradient in enumerate(gradients):
        np.testing.assert_allclose(gradient, differences(weighted, arrays, at), atol=1e-6)


@pytest.mark.parametrize(("kernel", "stride"), [((2, 2), None), ((3, 2), 1), ((2, 3), 3)])
@DTYPES
def test_pooling(kernel, stride, dtype):
    layer = MaxPooling2dLayer(kernel, stride)
    layer.initialize_weights()
    for x in (distinct(2, 3, 7, 8, dtype=dtype), ints(2, 3, 7, 8, dtype=dtype, high=0)):
        cache = layer.forward(x)
        expected = tutorials.pool_forward(x, kernel, stride or 2, "max")
        same(cache.output, expected.astype(dtype))
        gy = ints(*cache.output.shape, dtype=dtype)
        expected = tutorials.pool_backward(x, gy, kernel, stride or 2, "max")
        same(layer.backward(cache, gy), expected.astype(dtype))


def test_several_caches_may_be_outstanding():
    layer, pool = layer_of(2, 1, (2, 2), 1, 0), MaxPooling2dLayer(2)
    xs = [ints(2, 1, 5, 5, seed=s) for s in range(3)]
    caches = [layer.forward(x) for x in xs]
    pooled = [pool.forward(cache.output) for cache in caches]
    layer.weights = layer.weights + 1  # gradients are those of the weights forward saw
    for x, cache, small in zip(xs, caches, pooled, strict=True):
        gy = pool.backward(small, np.ones_like(small.output))
        expected = tutorials.layer_backward(x, layer.weights - 1, gy, 1, 0)
        for got, value in zip(layer.backward(cache, gy), expected, strict=True):
            same(got, value)


def test_initial_weights():
    layer = Convolution2dLayer(16, 64, 5)
    layer.initialize_weights(seed=1)
    assert layer.weights.shape == (64, 16, 5, 5)
    assert abs(layer.weights.mean()) < 1e-3
    np.testing.assert_allclose(layer.weights.var(), 2 / (16 * 25), rtol=0.02)
    same(layer.bias, np.zeros(64))
    again = Convolution2dLayer(16, 64, 5)
    again.initialize_weights(np.random.default_rng(1))
    same(again.weights, layer.weights)


def test_named_padding_and_tuples():
    layer = Convolution2dLayer(1, 1, (3, 5), stride=(1, 2), padding="same")
    layer.initialize_weights()
    assert layer.forward(np.ones((1, 1, 6, 9))).output.shape == (1, 1, 6, 5)
    pool = MaxPooling2dLayer(2, padding=((0, 1), (0, 1)))
    assert pool.forward(-np.ones((1, 1, 3, 3))).output.max() == -1


def test_lists_and_integers():
    layer = Convolution2dLayer(1, 1, 1)
    layer.weights, layer.bias = np.array([[[[2]]]]), np.array([1])
    same(layer.forward([[[[1, 2]]]]).output, np.array([[[[3.0, 5.0]]]]))


@pytest.mark.parametrize("value", NO_ARRAYS)
def test_what_is_no_array(value):
    layer = layer_of(1, 1, (1, 1), 1, 0)
    refused(lambda: layer.forward(value), "x")
    refused(lambda: layer.backward(layer.forward(np.ones((1, 1, 1, 1))), value), "grad_output")
    refused(lambda: MaxPooling2dLayer(1).forward(value), "x")


def test_bad_calls():
    x, layer, pool = np.ones((1, 1, 4, 4)), layer_of(2, 1, (3, 3), 1, 0), MaxPooling2dLayer(2)
    refused(lambda: Convolution2dLayer(1, 1, 3).forward(x), "initialize_weights")
    refused(lambda: layer.forward(x[0]), "(N, C, H, W)")
    refused(lambda: layer.forward(x[:, :, :2]), "x: a window of 3")
    refused(lambda: layer.forward(np.ones((1, 2, 4, 4))), "weights: shape (2, 1, 3, 3)")
    refused(lambda: layer.backward(pool.forward(x), x), "cache", "MaxPoolingCache")
    refused(lambda: pool.backward(None, x), "cache")
    refused(lambda: layer.backward(layer.forward(x), x), "grad_output", "(1, 2, 2, 2)")
    refused(lambda: pool.backward(pool.forward(x), x), "grad_output")
    for bad in (0, -1, 1.5, None, "3"):
        refused(lambda: Convolution2dLayer(bad, 1, 3), "in_channels")  # noqa: B023
        refused(lambda: Convolution2dLayer(1, bad, 3), "out_channels")  # noqa: B023
        refused(lambda: Convolution2dLayer(1, 1, bad), "kernel_size")  # noqa: B023
        refused(lambda: MaxPooling2dLayer(bad), "kernel_size")  # noqa: B023
    refused(lambda: Convolution2dLayer(1, 1, 3, padding="full"), "padding")
    refused(lambda: MaxPooling2dLayer(2, 0), "stride")
