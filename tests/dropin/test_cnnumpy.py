import numpy as np
import pytest

from fastconv.cli import tutorials
from fastconv.dropin import cnnumpy
from tests.dropin.cases import DTYPES, NO_ARRAYS, ORDERED, differences, refused
from tests.helpers import distinct, ints, same


@ORDERED
@DTYPES
def test_columns(shape, filters, kernel, stride, pad, dtype):
    x = ints(*shape, dtype=dtype)
    columns = cnnumpy.im2col(x, *kernel, stride, pad)
    same(columns, tutorials.columns_of(x, kernel, stride, pad, "cnnumpy"))
    columns = ints(*columns.shape, dtype=dtype)
    expected = tutorials.images_of(columns, shape, kernel, stride, pad, "cnnumpy")
    same(cnnumpy.col2im(columns, shape, *kernel, stride, pad), expected)


@ORDERED
def test_indices_pick_the_columns(shape, filters, kernel, stride, pad):
    x = distinct(*shape)
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    i, j, d = cnnumpy.get_indices(shape, *kernel, stride, pad)
    picked = np.concatenate(padded[:, d, i, j], axis=-1)
    same(picked, cnnumpy.im2col(x, *kernel, stride, pad))


def conv(filters, channels, size, stride, padding, dtype=np.float64):
    layer = cnnumpy.Conv(filters, size, channels, stride, padding)
    layer.W["val"] = ints(filters, channels, size, size, dtype=dtype)
    layer.b["val"] = ints(filters, dtype=dtype)
    return layer


@pytest.mark.parametrize(
    ("shape", "filters", "size", "stride", "pad"),
    [((2, 1, 7, 7), 3, 5, 1, 0), ((3, 2, 6, 6), 2, 3, 1, 1), ((4, 3, 8, 8), 2, 2, 2, 2)],
)
@DTYPES
def test_conv(shape, filters, size, stride, pad, dtype):
    layer, x = conv(filters, shape[1], size, stride, pad, dtype), ints(*shape, dtype=dtype)
    w, b = layer.W["val"], layer.b["val"]
    y = layer.forward(x)
    same(y, tutorials.layer_forward(x, w, b, stride, pad).astype(dtype))
    gy = ints(*y.shape, dtype=dtype, seed=2)
    for _ in range(2):  # gradients do not add up
        found = layer.backward(gy)
        expected = tutorials.layer_backward(x, w, gy, stride, pad)
        for got, value in zip(found, expected, strict=True):
            same(got, value.astype(dtype))
        assert layer.W["grad"] is found[1]
        assert layer.b["grad"] is found[2]


@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 1), (2, 3)])
@DTYPES
def test_avg_pool(size, stride, dtype):
    layer, x = cnnumpy.AvgPool(size, stride), 36 * ints(3, 2, 7, 7, dtype=dtype)
    y = layer.forward(x)
    expected = tutorials.pool_forward(x, (size, size), stride, "avg")
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    gy = 36 * ints(*y.shape, dtype=dtype)
    expected = tutorials.pool_backward(x, gy, (size, size), stride, "avg")
    assert y.dtype == dtype
    np.testing.assert_allclose(layer.backward(gy), expected, rtol=1e-6)


def test_padding_counts_in_averages():
    same(cnnumpy.AvgPool(2, 2, 1).forward(np.full((1, 1, 2, 2), 4.0)), np.ones((1, 1, 2, 2)))


def checked(layer, x, mean=False):
    """Compare a layer's backward with differences of a weighted sum of its forward."""
    gy = ints(*layer.forward(x).shape, seed=5)
    found = layer.backward(gy)

    def weighted(x, *weights):
        for name, value in zip("Wb", weights, strict=False):
            getattr(layer, name)["val"] = value
        return np.sum(layer.forward(x) * gy)

    weights = [layer.W["val"], layer.b["val"]] if hasattr(layer, "W") else []
    found = found if isinstance(found, tuple) else (found,)
    for at, gradient in enumerate(found):
        expected = differences(weighted, [x, *weights], at) / (len(x) if mean and at else 1)
        np.testing.assert_allclose(gradient, expected.reshape(gradient.shape), atol=1e-6)


def test_gradients_by_differences():
    x = np.random.default_rng(1).standard_normal((3, 2, 5, 5))
    checked(cnnumpy.Conv(2, 3, 2, 2, 1), x)
    checked(cnnumpy.AvgPool(2, 2, 1), x)
    checked(cnnumpy.TanH(), x)
    checked(cnnumpy.TanH(0.5), x)
    checked(cnnumpy.Fc(3, 4), x[0, 0, :, :4], mean=True)


def test_softmax_and_loss():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((4, 5)), np.eye(5)[[0, 3, 3, 1]]
    softmax, loss = cnnumpy.Softmax(), cnnumpy.CrossEntropyLoss()

    def value(x):
        return loss.get(softmax.forward(x), y)

    p = softmax.forward(x)
    np.testing.assert_allclose(p, np.exp(x) / np.exp(x).sum(1, keepdims=True), rtol=1e-14)
    picked = [p[0, 0], p[1, 3], p[2, 3], p[3, 1]]
    np.testing.assert_allclose(loss.get(p, y), -np.mean(np.log(picked)), rtol=1e-14)
    error = softmax.backward(p, y)
    np.testing.assert_allclose(error / 4, differences(value, [x], 0), atol=1e-8)
    slow, delta = cnnumpy.CrossEntropyLoss(with_error=True).get(p, y)
    assert slow == loss.get(p, y)
    same(delta, error)


@DTYPES
def test_extreme_scores_stay_finite(dtype):
    x = np.array([[0, 1000], [-1000, -1000], [-800, 0]], dtype)
    p = cnnumpy.Softmax().forward(x)
    same(p, np.array([[0, 1], [0.5, 0.5], [0, 1]], dtype))
    assert np.isfinite(cnnumpy.CrossEntropyLoss().get(p, np.eye(2)[[0, 1, 0]]))


def test_sgd():
    params = {"W1": np.array([1.0, 2.0]), "b1": np.array([0.5])}
    kept = params["W1"]
    optimizer = cnnumpy.SGD(0.1, params)
    stepped = optimizer.update_params({"dW1": np.array([10.0, 0]), "db1": np.array([-1.0])})
    np.testing.assert_allclose(stepped["W1"], [0, 2])
    np.testing.assert_allclose(stepped["b1"], [0.6])
    same(kept, np.array([1.0, 2.0]))


@pytest.mark.parametrize("corrected", [False, True])
def test_adam_by_its_formula(corrected):
    rng = np.random.default_rng(3)
    w, m, v = rng.standard_normal(4), np.zeros(4), np.zeros(4)
    optimizer = cnnumpy.AdamGD(0.01, 0.9, 0.99, 1e-6, {"W1": w}, bias_correction=corrected)
    for t in range(1, 6):
        g = rng.standard_normal(4)
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        mean, square = (m / (1 - 0.9**t), v / (1 - 0.99**t)) if corrected else (m, v)
        w = w - 0.01 * mean / (np.sqrt(square) + 1e-6)
        np.testing.assert_allclose(optimizer.update_params({"dW1": g})["W1"], w, rtol=1e-12)


def test_initial_weights_follow_the_seed_of_numpy():
    np.random.seed(7)  # noqa: NPY002
    layer, dense = cnnumpy.Conv(2, 3, 1), cnnumpy.Fc(4, 5)
    np.random.seed(7)  # noqa: NPY002
    randn = np.random.randn
    same(layer.W["val"], randn(2, 1, 3, 3) * np.sqrt(1 / 3))
    same(layer.b["val"], randn(2) * np.sqrt(1 / 2))
    same(dense.W["val"], randn(4, 5) * np.sqrt(1 / 5))
    same(dense.b["val"], randn(1, 4) * np.sqrt(1 / 4))


def sampled(model, images, labels, count):
    """Differences of the mean loss in a few elements of every parameter."""
    rng, loss = np.random.default_rng(4), cnnumpy.CrossEntropyLoss()
    for key, value in model.get_params().items():
        for flat in rng.choice(value.size, count, replace=False):
            place, slope = np.unravel_index(flat, value.shape), 0.0
            for sign in (1, -1):
                value[place] += sign * 1e-6
                slope += sign * loss.get(model.forward(images), labels) / 2e-6
                value[place] -= sign * 1e-6
            yield key, place, slope


def test_lenet_gradients_are_those_of_the_mean_loss():
    rng = np.random.default_rng(5)
    images, labels = rng.standard_normal((3, 1, 32, 32)), np.eye(10)[[1, 4, 1]]
    model = cnnumpy.LeNet5()
    p = model.forward(images)
    grads = model.backward(p, labels)
    assert list(grads) == [f"d{name}{n}" for n in range(1, 6) for name in "Wb"]
    for key, place, slope in sampled(model, images, labels, 3):
        shaped = grads["d" + key].reshape(model.get_params()[key].shape)
        np.testing.assert_allclose(shaped[place], slope, atol=1e-7, err_msg=key)
    model.forward(images)
    slow = model.backward(p - labels)  # the slow form's call
    for key, value in grads.items():
        same(slow[key], value)


def test_lenet_of_no_images():
    assert cnnumpy.LeNet5().forward(np.ones((0, 1, 32, 32))).shape == (0, 10)


def test_lenet_forward_by_the_loops():
    model = cnnumpy.LeNet5()
    x = np.random.default_rng(6).standard_normal((1, 1, 32, 32))
    for layer in model.layers[:2]:
        y = tutorials.layer_forward(x, layer.W["val"], layer.b["val"], 1, 0)
        x = tutorials.pool_forward(1.7159 * np.tanh(y), (2, 2), 2, "avg")
        got = x
    hidden = got.reshape(1, 400)
    for layer in model.layers[2:]:
        scores = hidden @ layer.W["val"].T + layer.b["val"]
        hidden = 1.7159 * np.tanh(scores)
    expected = np.exp(scores) / np.exp(scores).sum()
    images = np.random.default_rng(6).standard_normal((1, 1, 32, 32))
    np.testing.assert_allclose(model.forward(images), expected, rtol=1e-10)


def test_lenet_learns_in_float32():
    np.random.seed(0)  # noqa: NPY002
    rng = np.random.default_rng(7)
    model, loss = cnnumpy.LeNet5(), cnnumpy.CrossEntropyLoss()
    model.set_params({k: v.astype(np.float32) for k, v in model.get_params().items()})
    images = rng.standard_normal((20, 1, 32, 32)).astype(np.float32)
    labels = np.eye(10, dtype=np.float32)[rng.integers(0, 10, 20)]
    optimizer = cnnumpy.AdamGD(0.002, 0.9, 0.999, 1e-8, model.get_params())
    losses = []
    for _ in range(15):
        p = model.forward(images)
        losses.append(loss.get(p, labels))
        model.set_params(optimizer.update_params(model.backward(p, labels)))
    assert p.dtype == np.float32
    assert all(value.dtype == np.float32 for value in model.get_params().values())
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("value", NO_ARRAYS)
def test_what_is_no_array(value):
    refused(lambda: cnnumpy.im2col(value, 1, 1, 1, 0), "X")
    refused(lambda: cnnumpy.col2im(value, (1, 1, 1, 1), 1, 1, 1, 0), "dX_col")
    for layer in (cnnumpy.Conv(1, 1, 1), cnnumpy.AvgPool(1), cnnumpy.TanH(), cnnumpy.Softmax()):
        refused(lambda: layer.forward(value), "X")  # noqa: B023
    refused(lambda: cnnumpy.Fc(1, 1).forward(value), "fc")


def test_bad_calls():
    x, layer, dense = np.ones((1, 1, 4, 4)), cnnumpy.Conv(1, 3, 1), cnnumpy.Fc(2, 3)
    for made in (layer, cnnumpy.AvgPool(2), cnnumpy.TanH(), dense):
        refused(lambda: made.backward(x), "forward")  # noqa: B023
    refused(lambda: cnnumpy.LeNet5().backward(x, x), "forward")
    refused(lambda: layer.forward(x[0]), "(N, C, H, W)")
    refused(lambda: cnnumpy.AvgPool(2).forward(x[0]), "(N, C, H, W)")
    refused(lambda: dense.forward(np.ones((1, 4))), "fc", "(N, 3)")
    dense.forward(np.ones((1, 3)))
    refused(lambda: dense.backward(np.ones((2, 2))), "deltaL", "(1, 2)")
    refused(lambda: cnnumpy.im2col(x[0], 1, 1, 1, 0), "X")
    refused(lambda: cnnumpy.col2im(np.ones((9, 4)), (2, 1, 4, 4), 3, 3, 1, 0), "X_shape")
    refused(lambda: cnnumpy.get_indices((1, 1, 4, 4), 2, 2, 0, 0), "stride")
    refused(lambda: cnnumpy.CrossEntropyLoss().get(np.ones((1, 2)), np.ones((1, 3))), "y")
    refused(lambda: cnnumpy.Softmax().backward(np.ones((1, 2)), np.ones((1, 3))), "y")
    refused(lambda: cnnumpy.SGD(0.1, {"W1": x}).update_params({}), "grads", "dW1")
    refused(lambda: cnnumpy.SGD("fast", {}), "lr")
    refused(lambda: cnnumpy.LeNet5().forward(np.ones((1, 1, 28, 28))), "(N, 1, 32, 32)")
    refused(lambda: cnnumpy.LeNet5().set_params({}), "params")
    model = cnnumpy.LeNet5()
    refused(lambda: model.set_params({**model.get_params(), "b3": x}), "b3")
    for bad in (0, -1, 2.5, None):
        refused(lambda: cnnumpy.Conv(1, bad, 1), "filter_size")  # noqa: B023
        refused(lambda: cnnumpy.Fc(bad, 1), "row")  # noqa: B023
