import logging

import numpy as np
import pytest

from fastconv import MissingDependencyError
from fastconv.cli import tutorials
from fastconv.dropin import pygad_cnn
from fastconv.dropin.pygad_cnn import (
    AveragePooling2D,
    Conv2D,
    Dense,
    Flatten,
    Input2D,
    MaxPooling2D,
    Model,
    ReLU,
    Sigmoid,
)
from tests.dropin import standin
from tests.dropin.cases import NO_ARRAYS, refused
from tests.helpers import ints, same

RNG = np.random.default_rng(1)


def layers():
    """A network of every layer, its convolutions with whole numbers as weights."""
    first = Conv2D(3, 3, Input2D((13, 12, 2)), activation_function="relu")
    first.trained_weights = ints(3, 3, 3, 2)
    pooled = MaxPooling2D(2, ReLU(first), stride=2)  # (11, 10) into (6, 5), the last row zeros
    second = Conv2D(2, 3, pooled)
    second.trained_weights = ints(2, 3, 3, 3)
    averaged = AveragePooling2D(2, second, stride=1)
    hidden = Dense(6, Flatten(Sigmoid(averaged)))
    hidden.trained_weights = RNG.standard_normal(hidden.trained_weights.shape)
    last = Dense(4, hidden, activation_function="softmax")
    last.trained_weights = RNG.random(last.trained_weights.shape)
    return Model(last)


def by_the_loops(model, sample):
    conv1, _, _, conv2, _, _, _, hidden, last = model.network_layers
    maps = tutorials.sample_maps(sample, conv1.trained_weights, "relu")
    maps = tutorials.pooled_maps(tutorials.rectified(maps), 2, 2, "max", edge=True)
    maps = tutorials.sample_maps(maps, conv2.trained_weights, None)
    maps = tutorials.pooled_maps(maps, 2, 1, "mean", edge=True)
    vector = (1 / (1 + np.exp(-maps))).ravel()
    vector = np.maximum(vector @ hidden.trained_weights, 0)
    scores = vector @ last.trained_weights
    return scores / (scores.sum() + 1e-6)


def test_every_layer_by_the_loops():
    model, samples = layers(), RNG.standard_normal((70, 13, 12, 2))
    labels = []
    for sample in samples:
        scores = by_the_loops(model, sample)
        np.testing.assert_allclose(model.feed_sample(sample), scores, rtol=1e-10)
        labels.append(scores.argmax())
    assert model.predict(samples) == labels
    assert len(set(labels)) > 1
    np.testing.assert_allclose(model.last_layer.layer_output, scores, rtol=1e-10)


def test_sizes_said_are_sizes_made():
    model = layers()
    model.feed_sample(np.zeros((13, 12, 2)))
    for layer in model.network_layers:
        size = layer.layer_output_size
        assert layer.layer_output.shape == (size if isinstance(size, tuple) else (size,))
    assert model.network_layers[2].layer_output_size == (6, 5, 3)
    assert model.network_layers[0].filter_bank_size == (3, 3, 3, 2)
    assert model.network_layers[3].layer_input_size == (6, 5, 3)


def test_conv_of_filters_given():
    layer, sample, bank = Conv2D(2, 3, Input2D((6, 7))), ints(6, 7, 1), ints(5, 3, 3, 1)
    same(layer.conv_(sample, bank), tutorials.sample_maps(sample, bank, None))
    assert layer.layer_output is None


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid"])
def test_activations_of_conv(activation):
    layer = Conv2D(2, 3, Input2D((6, 7, 3)), activation_function=activation)
    sample = RNG.standard_normal((6, 7, 3))
    layer.conv(sample)
    expected = tutorials.sample_maps(sample, layer.trained_weights, activation)
    np.testing.assert_allclose(layer.layer_output, expected, rtol=1e-11, atol=1e-13)


def test_initial_weights_follow_the_seed_of_numpy():
    np.random.seed(3)  # noqa: NPY002
    layer = Conv2D(2, 3, Input2D((6, 7)))
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.uniform(-0.1, 0.1, (2, 3, 3, 1))  # noqa: NPY002
    same(layer.initial_weights, expected)
    same(layer.trained_weights, expected)
    assert layer.trained_weights is not layer.initial_weights


def test_relu_leaves_its_input_alone_and_sigmoid_does_not_overflow():
    sample = np.array([[[-1.0, 2.0]]])
    layer = ReLU(Input2D((1, 1, 2)))
    layer.relu_layer(sample)
    same(layer.layer_output, np.array([[[0.0, 2.0]]]))
    assert sample.min() == -1
    layer = Sigmoid(Input2D((1, 1, 2)))
    layer.sigmoid_layer(np.array([[[-2000, 2000, 0]]]))
    same(layer.layer_output, np.array([[[0.0, 1.0, 0.5]]]))


def test_dtypes():
    layer = Conv2D(2, 3, Input2D((4, 4)))
    layer.conv(np.ones((4, 4, 1), np.uint8))
    assert layer.layer_output.dtype == np.float64
    layer.conv(np.ones((4, 4, 1), np.float32))
    assert layer.layer_output.dtype == np.float64
    layer.trained_weights = layer.trained_weights.astype(np.float32)
    layer.conv(np.ones((4, 4, 1), np.float32))
    assert layer.layer_output.dtype == np.float32


def test_training_shrinks_the_weights_as_the_original_does():
    model = layers()
    model.epochs, model.learning_rate = 2, 1e-3
    samples, labels = RNG.standard_normal((5, 13, 12, 2)), [3, 0, 1, 2, 2]
    weights = [x.trained_weights for x in model.network_layers if hasattr(x, "trained_weights")]
    error = 0
    for _ in range(2):
        predicted = model.predict(samples)  # shrinking all weights alike changes no order much
        error += np.abs(np.array(predicted) - labels).sum()
        weights = [w - error * 1e-3 * w for w in weights]
    model.train(samples, labels)
    shrunk = [x.trained_weights for x in model.network_layers if hasattr(x, "trained_weights")]
    for got, expected in zip(shrunk, weights, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_what_the_original_prints_is_logged(caplog):
    with caplog.at_level(logging.INFO):
        layers().summary()
    assert "Conv2D" in caplog.text
    logger = logging.getLogger("tests.dropin")
    assert Input2D((3, 3), logger=logger).logger is logger


def test_install_and_uninstall():
    module, sample = standin.module(), RNG.standard_normal((9, 10, 3))
    before = {name: dict(vars(getattr(module, name))) for name in pygad_cnn.patch.METHODS}
    conv = module.Conv2D(4, 3, Input2D((9, 10, 3)), activation_function="sigmoid")
    pools = [cls(2, conv) for cls in (module.MaxPooling2D, module.AveragePooling2D)]
    others = [module.ReLU(conv), module.Sigmoid(conv)]

    def outputs():
        conv.conv(sample)
        pools[0].max_pooling(conv.layer_output)
        pools[1].average_pooling(conv.layer_output)
        others[0].relu_layer(pools[0].layer_output - 0.5)
        others[1].sigmoid_layer(pools[1].layer_output)
        return [layer.layer_output for layer in (conv, *pools, *others)]

    slow = outputs()
    assert pygad_cnn.install(module) is module
    assert module.Conv2D.conv_ is Conv2D.conv_
    pygad_cnn.install(module)  # changes nothing
    for got, expected in zip(outputs(), slow, strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-13)
    pygad_cnn.uninstall(module)
    pygad_cnn.uninstall(module)
    assert before == {name: dict(vars(getattr(module, name))) for name in before}


def standin_model(module, own_layer=False, own_step=False):
    """A model of the stand-in; perhaps with a subclass among its layers, or another step."""
    rng = np.random.default_rng(8)
    conv = module.Conv2D(4, 3, Input2D((9, 10, 3)), activation_function="relu")
    conv.trained_weights = 30 * conv.trained_weights
    pool = type("MyPool", (module.MaxPooling2D,), {}) if own_layer else module.MaxPooling2D
    flat = module.Flatten(module.Sigmoid(pool(2, conv)))
    hidden = module.Dense(flat, rng.standard_normal((4 * 4 * 4, 7)))
    last = module.Dense(hidden, rng.random((7, 5)), "softmax")
    if not own_step:
        return module.Model(last)

    class Counting(module.Model):
        fed = 0

        def feed_sample(self, sample):
            self.fed += 1
            return super().feed_sample(sample)

    return Counting(last)


def test_an_installed_model_predicts_in_blocks():
    module, samples = standin.module(), RNG.standard_normal((70, 9, 10, 3))
    slow = standin_model(module)
    expected = slow.predict(samples)
    assert len(set(expected)) > 1
    pygad_cnn.install(module)
    model = standin_model(module)
    model.feed_sample = None  # not asked, sample by sample
    assert model.predict(samples) == expected
    last = slow.network_layers[-1].layer_output
    np.testing.assert_allclose(model.network_layers[-1].layer_output, last, rtol=1e-10)


def test_an_installed_model_lets_users_have_their_own_layers_and_steps():
    module, samples = standin.module(), RNG.standard_normal((5, 9, 10, 3))
    expected = standin_model(module).predict(samples)
    pygad_cnn.install(module)
    assert standin_model(module, own_layer=True).predict(samples) == expected
    model = standin_model(module, own_step=True)
    assert model.predict(samples) == expected
    assert model.fed == 5


def test_install_refuses_what_is_no_such_module():
    module = standin.module()
    kept = module.Conv2D.conv_
    del module.Sigmoid
    refused(lambda: pygad_cnn.install(module), "Sigmoid", "sigmoid_layer")
    assert module.Conv2D.conv_ is kept


def test_without_pygad(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pygad.cnn", None)
    with pytest.raises(MissingDependencyError, match="pip install pygad"):
        pygad_cnn.install()


def test_the_package_itself():
    cnn = pytest.importorskip("pygad.cnn")
    sample = RNG.standard_normal((2, 13, 12, 3))

    def network(of):
        np.random.seed(5)  # noqa: NPY002
        first = of.Conv2D(4, 3, of.Input2D((13, 12, 3)), activation_function="relu")
        second = of.Conv2D(3, 3, of.MaxPooling2D(2, of.ReLU(first)))
        averaged = of.AveragePooling2D(2, second, stride=1)
        hidden = of.Dense(8, of.Flatten(of.Sigmoid(averaged)))
        return of.Model(of.Dense(5, hidden, activation_function="softmax"))

    def outputs(of):
        model = network(of)
        return [model.feed_sample(x) for x in sample.copy()], model.predict(sample.copy())

    slow = outputs(cnn)
    own = outputs(pygad_cnn)
    pygad_cnn.install()
    try:
        patched = outputs(cnn)
    finally:
        pygad_cnn.uninstall()
    for fast in (own, patched):
        np.testing.assert_allclose(fast[0], slow[0], rtol=1e-10)
        assert fast[1] == slow[1]


@pytest.mark.parametrize("value", NO_ARRAYS)
def test_what_is_no_array(value):
    shape = Input2D((1, 1))
    refused(lambda: Conv2D(1, 1, shape).conv(value), "input2D")
    refused(lambda: MaxPooling2D(1, shape).max_pooling(value), "input2D")
    refused(lambda: ReLU(shape).relu_layer(value), "layer_input")
    refused(lambda: Model(Flatten(shape)).predict(value), "data_inputs")


def test_bad_calls():
    shape = Input2D((5, 5, 3))
    for bad in (0, -1, 2.5, None, "3"):
        refused(lambda: Conv2D(bad, 3, shape), "num_filters")  # noqa: B023
        refused(lambda: Conv2D(2, bad, shape), "kernel_size")  # noqa: B023
        refused(lambda: MaxPooling2D(bad, shape), "pool_size")  # noqa: B023
        refused(lambda: AveragePooling2D(2, shape, bad), "stride")  # noqa: B023
        refused(lambda: Dense(bad, Flatten(shape)), "num_neurons")  # noqa: B023
    refused(lambda: Input2D((5,)), "input_shape")
    refused(lambda: Input2D((5, 0)), "input_shape")
    refused(lambda: Conv2D(2, 6, shape), "kernel_size", "5x5")
    refused(lambda: MaxPooling2D(6, shape), "pool_size")
    refused(lambda: Conv2D(2, 3, None), "previous_layer")
    refused(lambda: Conv2D(2, 3, Flatten(shape)), "previous_layer")
    refused(lambda: Conv2D(2, 3, shape, "softmax"), "activation_function", "softmax")
    refused(lambda: Dense(2, Flatten(shape), "tanh"), "activation_function")
    refused(lambda: Dense(2, shape), "previous_layer", "Flatten")
    refused(lambda: Conv2D(2, 3, shape).conv(np.ones((5, 5))), "input2D", "(H, W, C)")
    refused(lambda: Conv2D(2, 3, shape).conv(np.ones((5, 5, 2))), "3 channels")
    refused(lambda: Conv2D(2, 3, shape).conv_(np.ones((5, 5, 3)), np.ones((3, 3))), "conv_filter")
    refused(lambda: Dense(2, Flatten(shape)).dense_layer([1, 2]), "layer_input", "75")
    refused(lambda: Model(None), "last_layer")
    model = Model(Flatten(shape))
    refused(lambda: model.predict(np.ones((5, 5, 3))), "data_inputs")
    refused(lambda: model.train(np.ones((2, 5, 5, 3)), [1]), "train_outputs")
