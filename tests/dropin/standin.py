"""A module like `pygad.cnn`: its constructors' attributes, its methods, their loops."""

from types import ModuleType

import numpy as np

from fastconv.cli import tutorials


class Input2D:
    def __init__(self, input_shape):
        self.layer_output_size = input_shape


class Conv2D:
    def __init__(self, num_filters, kernel_size, previous_layer, activation_function=None):
        self.previous_layer = previous_layer
        self.activation_function = activation_function
        height, width, channels = previous_layer.layer_output_size
        size = (num_filters, kernel_size, kernel_size, channels)
        self.trained_weights = np.random.default_rng(1).uniform(-0.1, 0.1, size)
        self.layer_output_size = (height - kernel_size + 1, width - kernel_size + 1, num_filters)

    def conv_(self, input2D, conv_filter):
        return tutorials.sample_maps(input2D, conv_filter, self.activation_function)

    def conv(self, input2D):
        self.layer_output = self.conv_(input2D, self.trained_weights)


class Pooling:
    def __init__(self, pool_size, previous_layer, stride=2):
        self.previous_layer, self.pool_size, self.stride = previous_layer, pool_size, stride
        sizes = previous_layer.layer_output_size
        height, width = (int((n - pool_size + 1) / stride + 1) for n in sizes[:2])
        self.layer_output_size = (height, width, sizes[2])


class MaxPooling2D(Pooling):
    def max_pooling(self, input2D):
        pooled = tutorials.pooled_maps(input2D, self.pool_size, self.stride, "max", edge=True)
        self.layer_output = pooled


class AveragePooling2D(Pooling):
    def average_pooling(self, input2D):
        pooled = tutorials.pooled_maps(input2D, self.pool_size, self.stride, "mean", edge=True)
        self.layer_output = pooled


class Elementwise:
    def __init__(self, previous_layer):
        self.previous_layer = previous_layer
        self.layer_output_size = previous_layer.layer_output_size


class ReLU(Elementwise):
    def relu_layer(self, layer_input):
        layer_input[layer_input < 0] = 0
        self.layer_output = layer_input


class Sigmoid(Elementwise):
    def sigmoid_layer(self, layer_input):
        self.layer_output = 1 / (1 + np.exp(-layer_input))


class Flatten(Elementwise):
    def flatten(self, input2D):
        self.layer_output = input2D.ravel()


class Dense:
    def __init__(self, previous_layer, weights, activation_function="relu"):
        self.previous_layer, self.trained_weights = previous_layer, weights
        self.activation_function = activation_function

    def dense_layer(self, layer_input):
        sums = layer_input @ self.trained_weights
        if self.activation_function == "softmax":
            self.layer_output = sums / (sums.sum() + 0.000001)
        else:
            self.layer_output = np.maximum(sums, 0)


STEPS = {
    "Conv2D": "conv",
    "MaxPooling2D": "max_pooling",
    "AveragePooling2D": "average_pooling",
    "ReLU": "relu_layer",
    "Sigmoid": "sigmoid_layer",
    "Flatten": "flatten",
    "Dense": "dense_layer",
}


class Model:
    def __init__(self, last_layer):
        self.network_layers, layer = [], last_layer
        while hasattr(layer, "previous_layer"):
            self.network_layers.insert(0, layer)
            layer = layer.previous_layer

    def feed_sample(self, sample):
        for layer in self.network_layers:
            step = next(STEPS[cls.__name__] for cls in type(layer).__mro__ if cls.__name__ in STEPS)
            getattr(layer, step)(sample)
            sample = layer.layer_output
        return sample

    def predict(self, data_inputs):
        return [int(self.feed_sample(sample).argmax()) for sample in data_inputs]


CLASSES = (Conv2D, MaxPooling2D, AveragePooling2D, ReLU, Sigmoid, Flatten, Dense, Model)


def module():
    """Make a new module with classes of its own."""
    made = ModuleType("standin")
    for cls in CLASSES:
        setattr(made, cls.__name__, type(cls.__name__, cls.__bases__, dict(vars(cls))))
    return made
