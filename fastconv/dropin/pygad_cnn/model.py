"""The model: layers in a row."""

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv.dropin.arrays import check_ndim, floats
from fastconv.dropin.pygad_cnn.layers import (
    AveragePooling2D,
    Conv2D,
    Dense,
    Flatten,
    Input2D,
    Layer,
    MaxPooling2D,
    ReLU,
    Sigmoid,
    default_logger,
)
from fastconv.dtypes import Array
from fastconv.errors import ParameterError, ShapeError

BLOCK = 64
"""Samples that `predict` takes through the layers together."""
METHODS = {
    Conv2D: "conv",
    MaxPooling2D: "max_pooling",
    AveragePooling2D: "average_pooling",
    ReLU: "relu_layer",
    Sigmoid: "sigmoid_layer",
    Flatten: "flatten",
    Dense: "dense_layer",
}
BY_NAME: dict[str, type[Layer]] = {cls.__name__: cls for cls in METHODS}


def predicted(layers: list[Any], data_inputs: npt.ArrayLike) -> list[int]:
    """Take `(N, H, W, C)` through layers, these or the original's, a block of samples at a time."""
    (samples,) = floats(data_inputs=data_inputs)
    check_ndim("data_inputs", samples, {4: "(N, H, W, C)"})
    labels: list[int] = []
    for start in range(0, len(samples), BLOCK):
        batch = samples[start : start + BLOCK]
        for layer in layers:
            # by name: the original's layers have the same attributes, but no such method
            batch = BY_NAME[type(layer).__name__].forward(layer, batch)
            layer.layer_output = batch[-1]
        labels += batch.reshape(len(batch), -1).argmax(axis=1).tolist()  # (n, outputs)
    return labels


class Model:
    """All layers up to a last one.

    Parameters
    ----------
    last_layer : layer
        Its `previous_layer`, and so on, down to an `Input2D`.
    epochs : int
        What `train` does so often.
    learning_rate : float
        The share of the error by which `train` shrinks the weights.
    logger : logging.Logger, optional
        For what the original prints.

    Attributes
    ----------
    network_layers : list
        The layers in order, without the input.

    Raises
    ------
    ParameterError
        If the layers do not begin with an `Input2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin.pygad_cnn import Conv2D, Dense, Flatten, Input2D, Model
    >>> first = Conv2D(2, 3, Input2D((8, 8, 3)), activation_function="relu")
    >>> model = Model(Dense(4, Flatten(first), activation_function="softmax"))
    >>> len(model.predict(np.zeros((5, 8, 8, 3))))
    5
    """

    def __init__(
        self,
        last_layer: Any,
        epochs: int = 10,
        learning_rate: float = 0.01,
        logger: logging.Logger | None = None,
    ):
        self.logger = logger or default_logger()
        self.last_layer = last_layer
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.network_layers = self.get_layers()

    def get_layers(self) -> list[Any]:
        """Return the layers in order, without the input."""
        layers: list[Layer] = []
        layer = self.last_layer
        while isinstance(layer, Layer):
            layers.insert(0, layer)
            layer = layer.previous_layer
        if not isinstance(layer, Input2D):
            raise ParameterError(f"last_layer: expected layers after an Input2D, got {layer!r}")
        return layers

    def feed_sample(self, sample: npt.ArrayLike) -> Array:
        """Take a sample `(H, W, C)` through the layers, leaving each one's `layer_output`."""
        (output,) = floats(sample=sample)
        for layer in self.network_layers:
            getattr(layer, METHODS[type(layer)])(output)
            output = layer.layer_output
        return output

    def predict(self, data_inputs: npt.ArrayLike) -> list[int]:
        """Return the index of the largest output of each sample of `(N, H, W, C)`.

        Each layer's `layer_output` is left as the last sample's.
        """
        return predicted(self.network_layers, data_inputs)

    def train(self, train_inputs: npt.ArrayLike, train_outputs: npt.ArrayLike) -> None:
        """Shrink all weights by the summed errors of the predictions, once an epoch.

        This is what the original does, and no learning: to learn, use `pygad.gacnn`, or
        `fastconv.nn`.

        Parameters
        ----------
        train_inputs : array_like
            `(N, H, W, C)`.
        train_outputs : array_like
            The `N` class numbers.

        Raises
        ------
        ShapeError, DtypeError
            If they are no such arrays.
        """
        (samples,) = floats(train_inputs=train_inputs)
        check_ndim("train_inputs", samples, {4: "(N, H, W, C)"})
        labels = np.asarray(train_outputs)
        if labels.shape != (len(samples),):
            raise ShapeError(
                f"train_outputs: expected {len(samples)} labels, got shape {labels.shape}"
            )
        error = 0.0
        for epoch in range(self.epochs):
            self.logger.info("Epoch %d", epoch)
            error += float(np.abs(np.asarray(self.predict(samples)) - labels).sum())
            self.update_weights(error)

    def update_weights(self, network_error: float) -> None:
        """Shrink all weights by `network_error * learning_rate` of themselves."""
        for layer in self.network_layers:
            if isinstance(layer, (Conv2D, Dense)):
                shrunk = layer.trained_weights * (network_error * self.learning_rate)
                layer.trained_weights = layer.trained_weights - shrunk

    def summary(self) -> None:
        """Log the layers."""
        self.logger.info("\n----------Network Architecture----------")
        for layer in self.network_layers:
            self.logger.info(type(layer))
        self.logger.info("----------------------------------------\n")
