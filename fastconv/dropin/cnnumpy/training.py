"""The loss and the optimisers; they know parameters by name: `W1`, `b1`, and gradients `dW1`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dropin.arrays import entry, floats
from fastconv.dtypes import Array
from fastconv.errors import ShapeError

Params = dict[str, Any]


class CrossEntropyLoss:
    """The mean cross-entropy of a batch.

    Parameters
    ----------
    with_error : bool
        Whether `get` returns `(loss, y_pred - y)`, as the slow form does, and not the loss alone.

    Examples
    --------
    >>> from fastconv.dropin.cnnumpy import CrossEntropyLoss
    >>> round(float(CrossEntropyLoss().get([[0.5, 0.5], [0.5, 0.5]], [[1, 0], [0, 1]])), 4)
    0.6931
    """

    def __init__(self, with_error: bool = False):
        self.with_error = parameters.flag("with_error", with_error)

    def get(self, y_pred: npt.ArrayLike, y: npt.ArrayLike) -> Any:
        """Return the loss of probabilities `(N, classes)`, for one-hot `y` of that shape."""
        p, truth = floats(y_pred=y_pred, y=y)
        if p.ndim != 2 or p.shape != truth.shape:
            raise ShapeError(
                f"y: expected the shape (N, classes) of y_pred, got {truth.shape} and {p.shape}"
            )
        least = np.finfo(p.dtype).tiny
        loss = -np.sum(truth * np.log(np.maximum(p, least))) / len(p)
        return (loss, p - truth) if self.with_error else loss


class SGD:
    """Steps of `lr` times the gradient.

    Parameters
    ----------
    lr : float
        The learning rate.
    params : dict
        Arrays by name, as `LeNet5.get_params` returns them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin.cnnumpy import SGD
    >>> SGD(0.5, {"W1": np.array([1.0, 2.0])}).update_params({"dW1": np.array([2.0, 0.0])})
    {'W1': array([0., 2.])}
    """

    def __init__(self, lr: float, params: Params):
        self.lr = parameters.real("lr", lr)
        self.params = params

    def update_params(self, grads: Params) -> Params:
        """Return the parameters after a step, as new arrays in the same dictionary."""
        for key, value in self.params.items():
            self.params[key] = value - self.lr * entry("grads", grads, "d" + key)
        return self.params


class AdamGD:
    """Steps along the running mean of gradients over the root of that of their squares.

    Parameters
    ----------
    lr, beta1, beta2, epsilon : float
        The learning rate, what the means keep of themselves, and what is added to the root.
    params : dict
        Arrays by name, as `LeNet5.get_params` returns them.
    bias_correction : bool
        Whether the means are corrected for having begun at 0: Adam as published (Kingma and Ba,
        2015). The original leaves that out, and so does this unless told.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin.cnnumpy import AdamGD
    >>> optimizer = AdamGD(0.1, 0.9, 0.999, 0, {"b1": np.zeros(2)}, bias_correction=True)
    >>> optimizer.update_params({"db1": np.array([4.0, -0.5])})
    {'b1': array([-0.1,  0.1])}
    """

    def __init__(
        self,
        lr: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        params: Params,
        *,
        bias_correction: bool = False,
    ):
        self.lr = parameters.real("lr", lr)
        self.beta1 = parameters.real("beta1", beta1)
        self.beta2 = parameters.real("beta2", beta2)
        self.epsilon = parameters.real("epsilon", epsilon)
        self.bias_correction = parameters.flag("bias_correction", bias_correction)
        self.params = params
        self.steps = 0
        self.momentum = {"vd" + key: np.zeros_like(value) for key, value in params.items()}
        self.rmsprop = {"sd" + key: np.zeros_like(value) for key, value in params.items()}

    def update_params(self, grads: Params) -> Params:
        """Return the parameters after a step, as new arrays in the same dictionary."""
        self.steps += 1
        for key in self.params:
            self.params[key] = self.params[key] - self._step(key, entry("grads", grads, "d" + key))
        return self.params

    def _step(self, key: str, gradient: Array) -> Array:
        mean = self.beta1 * self.momentum["vd" + key] + (1 - self.beta1) * gradient
        square = self.beta2 * self.rmsprop["sd" + key] + (1 - self.beta2) * gradient**2
        self.momentum["vd" + key], self.rmsprop["sd" + key] = mean, square
        if self.bias_correction:
            mean = mean / (1 - self.beta1**self.steps)
            square = square / (1 - self.beta2**self.steps)
        result: Array = self.lr * mean / (np.sqrt(square) + self.epsilon)
        return result
