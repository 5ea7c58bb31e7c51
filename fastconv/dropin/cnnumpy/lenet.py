"""The model."""

from typing import Any

import numpy.typing as npt

from fastconv.dropin.arrays import entry, made
from fastconv.dropin.cnnumpy.layers import AvgPool, Conv, Fc, Softmax, TanH
from fastconv.dropin.cnnumpy.training import Params
from fastconv.dtypes import Array
from fastconv.errors import ShapeError


class LeNet5:
    """LeNet-5 for images `(N, 1, 32, 32)` of 10 classes.

    To train in float32, which takes about half the time, set the parameters once:
    `model.set_params({k: v.astype("float32") for k, v in model.get_params().items()})`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin.cnnumpy import AdamGD, CrossEntropyLoss, LeNet5
    >>> np.random.seed(0)  # draws the weights
    >>> model, cost = LeNet5(), CrossEntropyLoss()
    >>> optimizer = AdamGD(0.001, 0.9, 0.999, 1e-8, params=model.get_params())
    >>> images, labels = np.random.rand(4, 1, 32, 32), np.eye(10)[[3, 1, 4, 1]]
    >>> y_pred = model.forward(images)
    >>> grads = model.backward(y_pred, labels)
    >>> model.set_params(optimizer.update_params(grads))
    >>> bool(cost.get(model.forward(images), labels) < cost.get(y_pred, labels))
    True
    """

    def __init__(self) -> None:
        self.conv1 = Conv(nb_filters=6, filter_size=5, nb_channels=1)
        self.tanh1 = TanH()
        self.pool1 = AvgPool(filter_size=2, stride=2)
        self.conv2 = Conv(nb_filters=16, filter_size=5, nb_channels=6)
        self.tanh2 = TanH()
        self.pool2 = AvgPool(filter_size=2, stride=2)
        self.pool2_shape: tuple[int, ...] | None = None
        self.fc1 = Fc(row=120, column=5 * 5 * 16)
        self.tanh3 = TanH()
        self.fc2 = Fc(row=84, column=120)
        self.tanh4 = TanH()
        self.fc3 = Fc(row=10, column=84)
        self.softmax = Softmax()
        self.layers: list[Conv | Fc] = [self.conv1, self.conv2, self.fc1, self.fc2, self.fc3]

    def forward(self, X: npt.ArrayLike) -> Array:
        """Return the probabilities `(N, 10)` of images `(N, 1, 32, 32)`."""
        maps = self.pool1.forward(self.tanh1.forward(self.conv1.forward(X)))  # (N, 6, 14, 14)
        maps = self.pool2.forward(self.tanh2.forward(self.conv2.forward(maps)))
        if maps.shape[1:] != (16, 5, 5):
            raise ShapeError(f"X: expected shape (N, 1, 32, 32), got maps {maps.shape} of it")
        self.pool2_shape = maps.shape
        flat = maps.reshape(len(maps), 400)
        hidden = self.tanh3.forward(self.fc1.forward(flat))
        hidden = self.tanh4.forward(self.fc2.forward(hidden))
        return self.softmax.forward(self.fc3.forward(hidden))

    def backward(self, y_pred: npt.ArrayLike, y: npt.ArrayLike | None = None) -> Params:
        """Return the gradients of the mean cross-entropy, by name: `dW1`, `db1`, to `db5`.

        Parameters
        ----------
        y_pred : array_like
            What `forward` returned; or, as in the slow form and without `y`, the error
            `y_pred - y`.
        y : array_like, optional
            One-hot labels `(N, 10)`.

        Returns
        -------
        dict
            Arrays of the shapes of the parameters.

        Raises
        ------
        ShapeError, ParameterError
            If the shapes differ from those of the last `forward`, or there was none.
        """
        shape = made("y_pred", self.pool2_shape, "forward")
        delta: Any = y_pred if y is None else self.softmax.backward(y_pred, y)
        delta = self.tanh4.backward(self.fc3.backward(delta)[0])
        delta = self.tanh3.backward(self.fc2.backward(delta)[0])
        delta = self.fc1.backward(delta)[0].reshape(shape)  # (N, 16, 5, 5)
        # Fc takes the mean of its gradients over the samples' errors; Conv adds them up
        delta = self.tanh2.backward(self.pool2.backward(delta / shape[0]))
        delta = self.pool1.backward(self.conv2.backward(delta)[0])
        self.conv1.weight_gradients(self.tanh1.backward(delta))
        grads = {}
        for number, layer in enumerate(self.layers, 1):
            grads[f"dW{number}"] = layer.W["grad"]
            grads[f"db{number}"] = layer.b["grad"]
        return grads

    def get_params(self) -> Params:
        """Return the parameters by name: `W1`, `b1`, to `b5`; the arrays themselves."""
        params = {}
        for number, layer in enumerate(self.layers, 1):
            params[f"W{number}"] = layer.W["val"]
            params[f"b{number}"] = layer.b["val"]
        return params

    def set_params(self, params: Params) -> None:
        """Use these parameters, named and shaped as those of `get_params`."""
        found = {key: entry("params", params, key) for key in self.get_params()}
        for key, value in self.get_params().items():
            if found[key].shape != value.shape:
                raise ShapeError(
                    f"params: expected shape {value.shape} of {key}, got {found[key].shape}"
                )
        for number, layer in enumerate(self.layers, 1):
            layer.W["val"] = found[f"W{number}"]
            layer.b["val"] = found[f"b{number}"]
