"""Gradients against differences of the forward pass, in float64."""

import numpy as np

STEP = 1e-6


def random(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def difference(function, array, direction):
    """The slope of a number along a direction of an array, from both sides."""
    before = array.copy()
    array += STEP * direction
    above = function()
    array[...] = before - STEP * direction
    below = function()
    array[...] = before
    return (above - below) / (2 * STEP)


def check_layer(layer, x, tolerance=1e-6):
    """Compare the gradients of input and parameters with slopes along several directions."""
    layer.train()
    y = layer.forward(x)
    gy = random(*y.shape, seed=1)
    gx = layer.backward(gy)
    found = {name: g.copy() for name, g in layer.all_gradients().items()}
    assert gx.shape == x.shape
    assert set(found) == set(layer.trainable())

    def total():
        return float((layer.forward(x) * gy).sum())

    arrays = {"": (x, gx)}
    arrays |= {name: (value, found[name]) for name, value in layer.trainable().items()}
    for name, (array, gradient) in arrays.items():
        assert gradient.shape == array.shape, name
        for seed in range(3):
            direction = random(*array.shape, seed=2 + seed)
            slope, expected = (
                difference(total, array, direction),
                float((gradient * direction).sum()),
            )
            assert abs(slope - expected) <= tolerance * (1 + abs(expected)), name


def model_difference(model, loss, x, target, name, seed=0):
    """The slope of a loss along a direction of a parameter, and what `backward` says of it."""
    model.train()
    _, gradient = loss(model.forward(x), target)
    model.backward_parameters(gradient)
    array, found = model.parameters()[name], model.all_gradients()[name].copy()
    direction = random(*array.shape, seed=seed)
    slope = difference(lambda: loss(model.forward(x), target)[0], array, direction)
    return slope, float((found * direction).sum())
