import numpy as np
import pytest

from fastconv import nn
from fastconv.errors import DtypeError, ParameterError, ShapeError, StateError
from tests.helpers import ints, same
from tests.nn.checks import check_layer, random

F64 = {"dtype": np.float64, "rng": 0}


def away_from_zero(*shape):
    """Numbers at which no ReLU bends and no maximum is shared."""
    x = random(*shape)
    return x + np.sign(x) * 0.1


LAYERS = {
    "conv1d": (lambda: nn.Conv1d(2, 3, 3, stride=2, padding=1, **F64), (2, 2, 9)),
    "conv2d": (lambda: nn.Conv2d(2, 4, (3, 2), padding="same", **F64), (2, 2, 6, 5)),
    "conv2d-groups": (
        lambda: nn.Conv2d(4, 6, 3, 1, 1, 2, 2, padding_mode="circular", **F64),
        (2, 4, 6, 7),
    ),
    "conv2d-no-bias": (lambda: nn.Conv2d(1, 2, 3, bias=False, **F64), (1, 1, 5, 5)),
    "conv2d-tanh": (lambda: nn.Conv2d(1, 2, 3, activation="tanh", **F64), (2, 1, 5, 5)),
    "conv2d-sigmoid": (lambda: nn.Conv2d(1, 2, 3, activation="sigmoid", **F64), (2, 1, 5, 5)),
    "conv2d-relu": (lambda: nn.Conv2d(1, 2, 3, activation="relu", **F64), (2, 1, 5, 5)),
    "conv2d-leaky": (lambda: nn.Conv2d(1, 2, 3, activation="leaky_relu", **F64), (2, 1, 5, 5)),
    "conv3d": (lambda: nn.Conv3d(2, 2, 2, **F64), (1, 2, 3, 4, 3)),
    "conv-transpose1d": (lambda: nn.ConvTranspose1d(2, 3, 3, 2, 1, **F64), (2, 2, 5)),
    "conv-transpose2d": (lambda: nn.ConvTranspose2d(4, 2, 3, 2, 1, 1, 2, **F64), (2, 4, 4, 3)),
    "conv-transpose2d-tanh": (
        lambda: nn.ConvTranspose2d(1, 2, 2, 2, activation="tanh", **F64),
        (2, 1, 3, 3),
    ),
    "conv-transpose3d": (lambda: nn.ConvTranspose3d(1, 2, 2, **F64), (1, 1, 2, 3, 2)),
    "linear": (lambda: nn.Linear(5, 3, **F64), (4, 5)),
    "linear-of-sequences": (lambda: nn.Linear(5, 3, activation="tanh", **F64), (2, 3, 5)),
    "linear-no-bias": (lambda: nn.Linear(5, 1, bias=False, **F64), (1, 5)),
    "flatten": (nn.Flatten, (2, 3, 4, 5)),
    "max-pool": (lambda: nn.MaxPool2d(3, 2, 1), (2, 3, 7, 6)),
    "avg-pool": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 3, 7, 6)),
    "adaptive": (lambda: nn.AdaptiveAvgPool2d((3, 2)), (2, 3, 7, 6)),
    "relu": (nn.ReLU, (3, 4)),
    "leaky": (lambda: nn.LeakyReLU(0.2), (3, 4)),
    "leaky-default": (nn.LeakyReLU, (3, 4)),
    "tanh": (nn.Tanh, (3, 4)),
    "sigmoid": (nn.Sigmoid, (3, 4)),
    "batch-norm": (lambda: nn.BatchNorm2d(3, dtype=np.float64), (4, 3, 2, 2)),
    "batch-norm-plain": (lambda: nn.BatchNorm2d(3, affine=False, dtype=np.float64), (4, 3)),
    "batch-norm-frozen": (
        lambda: nn.BatchNorm2d(3, dtype=np.float64).freeze(),
        (4, 3, 2, 2),
    ),
    "residual": (
        lambda: nn.Residual(nn.Conv2d(2, 2, 3, padding=1, **F64), activation="relu"),
        (2, 2, 4, 4),
    ),
    "residual-shortcut": (
        lambda: nn.Residual(nn.Conv2d(2, 3, 3, padding=1, **F64), nn.Conv2d(2, 3, 1, **F64)),
        (2, 2, 4, 4),
    ),
    "sequential": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 3, 3, **F64),
            nn.Tanh(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(12, 2, **F64),
        ),
        (2, 1, 6, 6),
    ),
    "lenet5": (lambda: nn.LeNet5(3, **F64), (2, 1, 32, 32)),
    "small-resnet": (lambda: nn.SmallResNet(3, 1, (2, 4), **F64), (3, 1, 8, 8)),
    "mlp": (lambda: nn.MLP([6, 5, 2], "sigmoid", **F64), (3, 2, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_the_slopes(name):
    make, shape = LAYERS[name]
    check_layer(make(), away_from_zero(*shape))


def test_the_check_of_slopes_sees_a_wrong_gradient():
    class Wrong(nn.Tanh):
        def backward(self, gy):
            return 1.01 * super().backward(gy)

    with pytest.raises(AssertionError):
        check_layer(Wrong(), random(3, 4))


def test_linear_is_exact_on_integers():
    layer = nn.Linear(7, 5, dtype=np.float32)
    x, gy = ints(9, 7, dtype=np.float32), ints(9, 5, dtype=np.float32)
    layer.weight[...], layer.bias[...] = ints(5, 7), ints(5)
    same(layer(x), x @ layer.weight.T + layer.bias)
    same(layer.backward(gy), gy @ layer.weight)
    same(layer.gradients["weight"], gy.T @ x)
    same(layer.gradients["bias"], gy.sum(0))


def test_results_of_a_sample_do_not_depend_on_its_batch():
    model, x = nn.LeNet5(rng=0).eval(), random(8, 1, 32, 32, dtype=np.float32)
    whole = model(x)
    same(model(x[3:6]), whole[3:6])


def test_the_first_layer_needs_no_gradient_of_its_input(monkeypatch):
    model, x = nn.LeNet5(rng=0), random(2, 1, 32, 32, dtype=np.float32)
    gy = random(*model(x).shape, dtype=np.float32)
    model.backward(gy)
    found = model.all_gradients()
    asked = []
    own = nn.Conv2d._input_gradient
    monkeypatch.setattr(
        nn.Conv2d, "_input_gradient", lambda self, *a: (asked.append(self), own(self, *a))[1]
    )
    model.backward_parameters(gy)
    assert model["conv1"] not in asked
    assert model["conv2"] in asked
    for name, gradient in model.all_gradients().items():
        same(gradient, found[name])


def test_frozen_layers_do_not_learn():
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, rng=0), nn.ReLU(), nn.Flatten(), nn.Linear(8, 1, rng=1)
    )
    model[0].freeze()
    before = model.state_dict()
    optimiser = nn.SGD(model, 0.1)
    gradient = np.ones_like(model(random(2, 1, 4, 4, dtype=np.float32)))
    model.backward_parameters(gradient)
    optimiser.step()
    assert list(model.all_gradients()) == ["3.weight", "3.bias"]
    same(model[0].weight, before["0.weight"])
    assert not np.array_equal(model[3].weight, before["3.weight"])
    model.freeze()
    model.backward_parameters(gradient)
    assert not model.all_gradients()
    model.freeze(False)
    model.backward_parameters(gradient)
    assert len(model.all_gradients()) == 4


def test_dropout_drops_in_training_only_and_scales_what_is_left():
    layer, x = nn.Dropout(0.25, rng=0), np.ones((100, 100), np.float32)
    y = layer(x)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1) / np.float32(0.75)}
    assert abs(np.mean(y == 0) - 0.25) < 0.02
    same(layer.backward(x), y)
    assert y.dtype == np.float32
    same(layer.eval()(x), x)
    assert not nn.Dropout(1)(x).any()


def test_batch_norm_normalises_batches_and_then_uses_what_it_saw():
    layer, x = nn.BatchNorm2d(2, momentum=None, dtype=np.float64), 5 + 3 * random(50, 2, 4, 4)
    y = layer(x)
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var((0, 2, 3)), 1, atol=1e-5)
    np.testing.assert_allclose(layer.running_mean, x.mean((0, 2, 3)))
    np.testing.assert_allclose(layer.running_var, x.var((0, 2, 3), ddof=1))
    assert layer.num_batches_tracked == 1
    np.testing.assert_allclose(layer.eval()(x), y, rtol=1e-2, atol=1e-3)
    assert layer.num_batches_tracked == 1


def test_layers_keep_nothing_in_evaluation():
    layer = nn.Conv2d(1, 1, 2, rng=0).eval()
    layer(np.ones((1, 1, 3, 3), np.float32))
    with pytest.raises(StateError, match=r"backward: Conv2d keeps nothing"):
        layer.backward(np.ones((1, 1, 2, 2), np.float32))


def test_equal_seeds_draw_equal_models():
    first, second = nn.LeNet5(rng=3), nn.LeNet5(rng=3)
    for name, array in first.parameters().items():
        same(array, second.parameters()[name])
    other = nn.LeNet5(rng=4)
    assert not np.array_equal(other["fc2"].weight, first["fc2"].weight)
    first.initialise(7)
    second.initialise(7)
    same(first["fc2"].weight, second["fc2"].weight)


def test_first_bounds_are_those_of_pytorch():
    layer = nn.Conv2d(4, 50, 5, rng=0)
    bound = 1 / np.sqrt(4 * 25)
    assert 0.95 * bound < np.abs(layer.weight).max() <= bound
    assert 0.8 * bound < np.abs(layer.bias).max() <= bound
    own = nn.Conv2d(4, 50, 5, rng=0, initialiser=nn.initialisers.kaiming_normal)
    assert abs(own.weight.std() / np.sqrt(2 / 100) - 1) < 0.05
    assert not own.bias.any()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ParameterError, "in_channels: .*groups=2, got 3"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), ParameterError, "out_channels: .*got 3"),
        (lambda: nn.Conv2d(1, 1, 0), ParameterError, "kernel_size"),
        (lambda: nn.Conv2d(1, 1, 3, activation="gelu"), ParameterError, "activation"),
        (lambda: nn.Linear(0, 1), ParameterError, "in_features"),
        (lambda: nn.Linear(3, 1)(np.ones((2, 4))), ShapeError, r"x: expected \(N, ..., 3\)"),
        (lambda: nn.Dropout(1.5), ParameterError, "p: expected a number from 0 to 1"),
        (lambda: nn.LeakyReLU(0), ParameterError, "negative_slope"),
        (lambda: nn.BatchNorm2d(3)(np.ones((2, 4, 1, 1))), ShapeError, r"\(N, 3, ...\)"),
        (lambda: nn.BatchNorm2d(3)(np.ones((1, 3, 1, 1))), ShapeError, "more than one value"),
        (lambda: nn.Sequential(3), ParameterError, "layers"),
        (lambda: nn.Sequential({"a.b": nn.ReLU()}), ParameterError, r"a\.b"),
        (lambda: nn.MLP([3]), ParameterError, "sizes"),
        (lambda: nn.Residual(nn.ReLU(), activation="no"), ParameterError, "activation"),
        (lambda: nn.Sigmoid()(np.array(["a"])), DtypeError, "x: "),
        (lambda: nn.Sigmoid()(np.array([1])), DtypeError, "sigmoid is not defined for int64"),
    ],
)
def test_mistakes_are_named(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_representations_show_what_matters():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, bias=False, rng=0), nn.MaxPool2d(2))
    assert repr(model) == (
        "Sequential(\n  0: Conv2d(2x1x3x3 float32, padding=((1, 1), (1, 1)), bias=False)\n"
        "  1: MaxPool2d(2)\n)"
    )
    for make, _ in LAYERS.values():
        assert type(make()).__name__ in repr(make())
