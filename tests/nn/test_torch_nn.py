"""Layers, losses, optimisers and whole models against PyTorch's, where it is installed."""

import numpy as np
import pytest

from fastconv import nn
from tests.nn.checks import random

torch = pytest.importorskip("torch")
tnn = torch.nn
F64 = {"dtype": np.float64, "rng": 0}

LAYERS = {
    "conv1d": (
        nn.Conv1d(2, 4, 3, 2, 1, bias=False, **F64),
        tnn.Conv1d(2, 4, 3, 2, 1, bias=False),
        (2, 2, 9),
    ),
    "conv2d": (
        nn.Conv2d(4, 6, (3, 2), (1, 2), (1, 0), 2, 2, padding_mode="reflect", **F64),
        tnn.Conv2d(4, 6, (3, 2), (1, 2), (1, 0), 2, 2, padding_mode="reflect"),
        (2, 4, 7, 6),
    ),
    "conv3d": (nn.Conv3d(1, 2, 2, **F64), tnn.Conv3d(1, 2, 2), (2, 1, 3, 4, 3)),
    "transposed": (
        nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, True, 2, **F64),
        tnn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, True, 2),
        (2, 4, 5, 4),
    ),
    "linear": (nn.Linear(5, 3, **F64), tnn.Linear(5, 3), (2, 4, 5)),
    "max-pool": (nn.MaxPool2d(3, 2, 1), tnn.MaxPool2d(3, 2, 1), (2, 3, 7, 6)),
    "avg-pool": (
        nn.AvgPool2d(3, 2, 1, True, False),
        tnn.AvgPool2d(3, 2, 1, True, False),
        (2, 3, 7, 6),
    ),
    "adaptive": (
        nn.AdaptiveAvgPool2d((3, None)),
        tnn.AdaptiveAvgPool2d((3, None)),
        (2, 3, 7, 6),
    ),
    "batch-norm": (nn.BatchNorm2d(3, dtype=np.float64), tnn.BatchNorm2d(3), (4, 3, 2, 5)),
    "leaky": (nn.LeakyReLU(0.3), tnn.LeakyReLU(0.3), (3, 4)),
    "flatten": (nn.Flatten(), tnn.Flatten(), (2, 3, 4)),
}


class Block(tnn.Module):
    def __init__(self, body, shortcut):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def lenet(torch_nn=tnn):
    names = ("conv1", "a1", "p1", "conv2", "a2", "p2", "conv3", "a3", "flatten", "fc1", "a4", "fc2")
    layers = (
        *(tnn.Conv2d(1, 6, 5), tnn.Tanh(), tnn.AvgPool2d(2)),
        *(tnn.Conv2d(6, 16, 5), tnn.Tanh(), tnn.AvgPool2d(2)),
        *(tnn.Conv2d(16, 120, 5), tnn.Tanh(), tnn.Flatten()),
        *(tnn.Linear(120, 84), tnn.Tanh(), tnn.Linear(84, 10)),
    )
    model = tnn.Sequential()
    for name, layer in zip(names, layers, strict=True):
        model.add_module(name, layer)
    return model


def small_resnet():
    def conv_norm(before, width, kernel, stride, relu=False):
        model = tnn.Sequential()
        model.add_module("conv", tnn.Conv2d(before, width, kernel, stride, kernel // 2, bias=False))
        model.add_module("norm", tnn.BatchNorm2d(width))
        if relu:
            model.add_module("relu", tnn.ReLU())
        return model

    model = tnn.Sequential()
    model.add_module("stem", conv_norm(1, 4, 3, 1, True))
    body = tnn.Sequential(conv_norm(4, 4, 3, 1, True), conv_norm(4, 4, 3, 1))
    model.add_module("stage1_0", Block(body, tnn.Identity()))
    body = tnn.Sequential(conv_norm(4, 8, 3, 2, True), conv_norm(8, 8, 3, 1))
    model.add_module("stage2_0", Block(body, conv_norm(4, 8, 1, 2)))
    model.add_module("pool", tnn.AdaptiveAvgPool2d(1))
    model.add_module("flatten", tnn.Flatten())
    model.add_module("fc", tnn.Linear(8, 10))
    return model


def close(got, expected, tolerance=1e-10):
    np.testing.assert_allclose(got, expected.detach().numpy(), rtol=tolerance, atol=tolerance)


def agree(own, other, x, tolerance=1e-10):
    """Outputs, gradients of input and parameters, and buffers, after going there and back."""
    other.load_state_dict(nn.to_torch(own.state_dict()))
    theirs = torch.from_numpy(x.copy()).requires_grad_()
    y = other(theirs)
    gy = random(*y.shape, seed=5, dtype=x.dtype)
    close(own.train()(x), y, tolerance)
    y.backward(torch.from_numpy(gy))
    close(own.backward(gy), theirs.grad, tolerance)
    gradients = own.all_gradients()
    assert list(gradients) == [name for name, _ in other.named_parameters()]
    for name, parameter in other.named_parameters():
        close(gradients[name], parameter.grad, tolerance)
    for name, buffer in other.named_buffers():
        close(own.state_dict()[name], buffer, tolerance)
    close(own.eval()(x), other.eval()(torch.from_numpy(x)), tolerance)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_pytorchs(name):
    own, other, shape = LAYERS[name]
    agree(own, other.double(), random(*shape))


def test_models_are_pytorchs():
    agree(nn.LeNet5(**F64), lenet().double(), random(3, 1, 32, 32))
    agree(nn.SmallResNet(10, 1, (4, 8), **F64), small_resnet().double(), random(3, 1, 8, 8), 1e-8)


def test_states_come_from_pytorch():
    other = lenet()
    own = nn.LeNet5(rng=0).load_state_dict(other.state_dict())
    x = random(2, 1, 32, 32, dtype=np.float32)
    close(own.eval()(x), other(torch.from_numpy(x)), 1e-5)
    renamed = {f"features.{name}": value for name, value in other.state_dict().items()}
    names = {"features.conv1": "conv1", "features": "rest"}
    found = nn.from_torch(renamed, names)
    assert sorted(found) == sorted(
        name if name.startswith("conv1") else f"rest.{name}" for name in other.state_dict()
    )


def test_losses_are_pytorchs():
    x, classes = 20 * random(6, 4, 3), np.random.default_rng(0).integers(0, 4, (6, 3))
    classes[0, 0] = -100
    weight, shares = np.array([1.0, 2.0, 0.5, 3.0]), np.abs(random(6, 4, 3, seed=1))
    for target in (classes, shares):
        for options in (
            {},
            {"label_smoothing": 0.2},
            {"reduction": "sum"},
            {"weight": weight},
            {"weight": weight, "label_smoothing": 0.3},
        ):
            theirs = torch.from_numpy(x).requires_grad_()
            told = {k: torch.from_numpy(v) if k == "weight" else v for k, v in options.items()}
            expected = tnn.functional.cross_entropy(theirs, torch.from_numpy(target), **told)
            expected.backward()
            value, gradient = nn.softmax_cross_entropy(x, target, **options)
            assert value == pytest.approx(float(expected.detach()), rel=1e-12)
            close(gradient, theirs.grad, 1e-12)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_losses_of_two_classes_and_of_numbers_are_pytorchs(reduction):
    x, target = 30 * random(5, 2), np.random.default_rng(0).random((5, 2))
    factor = np.array([0.5, 4.0])
    functional = tnn.functional
    for own, other in (
        (
            lambda: nn.binary_cross_entropy_with_logits(
                x, target, pos_weight=factor, reduction=reduction
            ),
            lambda t: functional.binary_cross_entropy_with_logits(
                t,
                torch.from_numpy(target),
                pos_weight=torch.from_numpy(factor),
                reduction=reduction,
            ),
        ),
        (
            lambda: nn.mean_squared_error(x, target, reduction=reduction),
            lambda t: functional.mse_loss(t, torch.from_numpy(target), reduction=reduction),
        ),
    ):
        theirs = torch.from_numpy(x).requires_grad_()
        expected = other(theirs)
        expected.backward()
        value, gradient = own()
        assert value == pytest.approx(float(expected.detach()), rel=1e-12)
        close(gradient, theirs.grad, 1e-12)


OPTIMISERS = {
    "sgd": (nn.SGD, torch.optim.SGD, {"lr": 0.1}),
    "momentum": (nn.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    "nesterov": (
        nn.SGD,
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ),
    "adam": (nn.Adam, torch.optim.Adam, {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.1}),
    "amsgrad": (nn.Adam, torch.optim.Adam, {"lr": 0.05, "amsgrad": True}),
    "adamw": (nn.AdamW, torch.optim.AdamW, {"lr": 0.05, "weight_decay": 0.2}),
    "adamw-default": (nn.AdamW, torch.optim.AdamW, {}),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_steps_are_pytorchs(name):
    make, make_other, options = OPTIMISERS[name]
    own, other = nn.MLP([4, 5, 2], "tanh", **F64), tnn.Sequential()
    other.add_module("fc1", tnn.Linear(4, 5))
    other.add_module("a", tnn.Tanh())
    other.add_module("fc2", tnn.Linear(5, 2))
    other.double().load_state_dict(nn.to_torch(own.state_dict()))
    optimiser, other_optimiser = make(own, **options), make_other(other.parameters(), **options)
    for step in range(8):
        x, target = random(6, 4, seed=step), random(6, 2, seed=step)
        own.backward_parameters(nn.mean_squared_error(own(x), target)[1])
        optimiser.step()
        other_optimiser.zero_grad()
        tnn.functional.mse_loss(other(torch.from_numpy(x)), torch.from_numpy(target)).backward()
        other_optimiser.step()
    for name, value in other.state_dict().items():
        close(own.parameters()[name], value, 1e-9)


@pytest.mark.parametrize(
    ("own", "other", "options"),
    [
        ("xavier_uniform", "xavier_uniform_", {"gain": 2.0}),
        ("xavier_normal", "xavier_normal_", {}),
        ("kaiming_uniform", "kaiming_uniform_", {}),
        ("kaiming_normal", "kaiming_normal_", {}),
        ("orthogonal", "orthogonal_", {"gain": 3.0}),
    ],
)
def test_initialisers_have_pytorchs_spread(own, other, options):
    shape = (40, 30, 3, 3)
    drawn = getattr(nn.initialisers, own)(shape, np.random.default_rng(0), np.float64, **options)
    words = {"nonlinearity": "relu"} if "kaiming" in own else options
    expected = getattr(tnn.init, other)(torch.empty(shape), **words).numpy()
    assert abs(drawn.std() / expected.std() - 1) < 0.03
    assert abs(np.abs(drawn).max() / np.abs(expected).max() - 1) < (
        0.02 if "uniform" in own else 0.4
    )


def test_gains_are_pytorchs():
    for name in ("linear", "sigmoid", "tanh", "relu", "leaky_relu"):
        assert nn.initialisers.gain(name) == pytest.approx(tnn.init.calculate_gain(name))
