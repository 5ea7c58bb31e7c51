"""Optimisers, with the steps of `torch.optim`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastconv import parameters
from fastconv.dtypes import Array
from fastconv.errors import ParameterError, StateError
from fastconv.nn import state
from fastconv.nn.layer import Layer


class Optimiser(ABC):
    """Changes a model's parameters by the gradients of its last `backward`.

    Attributes
    ----------
    model : Layer
        Whose parameters are changed, in place.
    lr : float
        The learning rate; may be changed between steps.
    steps : int
        Steps taken.
    """

    slots: tuple[str, ...]
    """What is remembered of each parameter."""

    def __init__(self, model: Layer, lr: float, weight_decay: float) -> None:
        self.model = model
        self.lr = _positive("lr", lr)
        self.weight_decay = _positive("weight_decay", weight_decay)
        self.steps = 0
        self._memory: dict[str, dict[str, Array]] = {slot: {} for slot in self.slots}

    def step(self) -> None:
        """Take one step.

        Raises
        ------
        StateError
            If there are no gradients: nothing went backward yet.
        """
        values, gradients = self.model.trainable(), self.model.all_gradients()
        if values and not gradients:
            raise StateError("step: there are no gradients; call backward first")
        self.steps += 1
        for name, gradient in gradients.items():
            self._update(name, values[name], gradient)

    def state_dict(self) -> dict[str, Array]:
        """Return copies of what it remembers: `"momentum.0.weight"`, and `"steps"`."""
        found = {
            f"{slot}.{name}": array.copy()
            for slot, arrays in self._memory.items()
            for name, array in arrays.items()
        }
        return {"steps": np.array(self.steps), **found}

    def load_state_dict(self, arrays: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned for the same model.

        Raises
        ------
        StateError, ShapeError, DtypeError
            If it is of another model or optimiser.
        """
        known = self.model.parameters()
        targets: dict[str, Array] = {"steps": np.zeros((), np.int64)}
        memory: dict[str, dict[str, Array]] = {slot: {} for slot in self.slots}
        for full in arrays:
            slot, _, name = full.partition(".")
            if slot in memory and name in known:
                targets[full] = memory[slot][name] = np.empty_like(known[name])
        state.fill(targets, arrays)
        self._memory, self.steps = memory, int(targets["steps"])

    def settings(self) -> dict[str, Any]:
        """Return its kind and its numbers but the learning rate, to compare with others."""
        numbers = {k: v for k, v in vars(self).items() if isinstance(v, (bool, int, float))}
        for name in ("lr", "steps"):
            del numbers[name]
        return {"kind": type(self).__name__, **numbers}

    @abstractmethod
    def _update(self, name: str, value: Array, gradient: Array) -> None:
        """Change one parameter in place."""

    def _remembered(self, slot: str, name: str, like: Array) -> Array:
        arrays = self._memory[slot]
        if name not in arrays:
            arrays[name] = np.zeros_like(like)
        return arrays[name]

    def __repr__(self) -> str:
        words = {k: v for k, v in self.settings().items() if k != "kind"}
        shown = ", ".join(f"{k}={v}" for k, v in {"lr": self.lr, **words}.items())
        return f"{type(self).__name__}({shown})"


class SGD(Optimiser):
    """Stochastic gradient descent, with momentum if asked for.

    Parameters
    ----------
    model : Layer
        Whose parameters are changed.
    lr : float
        Learning rate.
    momentum : float
        Share of the last step that is taken again.
    dampening : float
        Share of the gradient that is not taken beside momentum.
    weight_decay : float
        Times the parameter, added to its gradient.
    nesterov : bool
        Whether the gradient is taken at where momentum leads; needs momentum and no dampening.

    Raises
    ------
    ParameterError
        If a number makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> model = nn.Linear(2, 1, bias=False)
    >>> _ = model.load_state_dict({"weight": np.ones((1, 2), np.float32)})
    >>> optimiser = nn.SGD(model, lr=0.5)
    >>> _ = model(np.array([[1, 2]], np.float32))
    >>> _ = model.backward(np.ones((1, 1), np.float32))
    >>> optimiser.step()
    >>> model.weight
    array([[0.5, 0. ]], dtype=float32)
    """

    slots = ("momentum",)

    def __init__(
        self,
        model: Layer,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(model, lr, weight_decay)
        self.momentum = _positive("momentum", momentum)
        self.dampening = parameters.real("dampening", dampening)
        self.nesterov = parameters.flag("nesterov", nesterov)
        if self.nesterov and (not self.momentum or self.dampening):
            raise ParameterError("nesterov: needs momentum above 0 and dampening 0")

    def _update(self, name: str, value: Array, gradient: Array) -> None:
        if self.weight_decay:
            gradient = gradient + self.weight_decay * value
        if self.momentum:
            first = name not in self._memory["momentum"]
            velocity = self._remembered("momentum", name, value)
            if first:
                velocity += gradient  # the first step is not dampened
            else:
                velocity *= self.momentum
                velocity += (1 - self.dampening) * gradient
            gradient = gradient + self.momentum * velocity if self.nesterov else velocity
        value -= self.lr * gradient


class Adam(Optimiser):
    """Adam (Kingma & Ba 2015): steps scaled by running means of gradients and their squares.

    Parameters
    ----------
    model : Layer
        Whose parameters are changed.
    lr : float
        Learning rate.
    betas : tuple of two floats
        What running means keep of what they were.
    eps : float
        Added to the root of the squares.
    weight_decay : float
        Times the parameter, added to its gradient.
    amsgrad : bool
        Whether the largest mean of squares so far counts (Reddi et al. 2018).

    Raises
    ------
    ParameterError
        If a number makes no sense.
    """

    slots = ("mean", "square", "largest")

    def __init__(
        self,
        model: Layer,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(model, lr, weight_decay)
        self.beta1, self.beta2 = (_share("betas", beta) for beta in betas)
        self.eps = _positive("eps", eps)
        self.amsgrad = parameters.flag("amsgrad", amsgrad)

    def _update(self, name: str, value: Array, gradient: Array) -> None:
        gradient = self._decayed(value, gradient)
        mean = self._remembered("mean", name, value)
        square = self._remembered("square", name, value)
        mean += (1 - self.beta1) * (gradient - mean)
        square *= self.beta2
        square += (1 - self.beta2) * gradient * gradient
        if self.amsgrad:
            largest = self._remembered("largest", name, value)
            square = np.maximum(largest, square, out=largest)
        root = np.sqrt(square)
        root /= (1 - self.beta2**self.steps) ** 0.5
        root += self.eps
        step = mean / root
        step *= self.lr / (1 - self.beta1**self.steps)
        value -= step

    def _decayed(self, value: Array, gradient: Array) -> Array:
        return gradient + self.weight_decay * value if self.weight_decay else gradient


class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter 2019).

    Parameters
    ----------
    model, lr, betas, eps, amsgrad
        As for `Adam`.
    weight_decay : float
        Times the learning rate: the share that parameters lose in a step.

    Raises
    ------
    ParameterError
        If a number makes no sense.
    """

    def __init__(
        self,
        model: Layer,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(model, lr, betas, eps, weight_decay, amsgrad)

    def _decayed(self, value: Array, gradient: Array) -> Array:
        value *= 1 - self.lr * self.weight_decay
        return gradient


def _positive(name: str, value: Any) -> float:
    number = parameters.real(name, value)
    if not number >= 0:
        raise ParameterError(f"{name}: expected 0 or more, got {value!r}")
    return number


def _share(name: str, value: Any) -> float:
    number = parameters.real(name, value)
    if not 0 <= number < 1:
        raise ParameterError(f"{name}: expected numbers from 0 to below 1, got {value!r}")
    return number
