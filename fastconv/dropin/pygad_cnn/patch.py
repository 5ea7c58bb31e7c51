"""Giving the original's classes the fast methods, and taking them back."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from fastconv.dropin.pygad_cnn.layers import (
    AveragePooling2D,
    Conv2D,
    MaxPooling2D,
    ReLU,
    Sigmoid,
)
from fastconv.dropin.pygad_cnn.model import BY_NAME, predicted
from fastconv.errors import MissingDependencyError, ParameterError

_ORIGINALS = "_before_fastconv"


def predict(self: Any, data_inputs: Any) -> list[int]:
    """Predict samples in blocks, or one by one where a layer or a step is the user's own."""
    owner: Any = next(cls for cls in type(self).__mro__ if _ORIGINALS in vars(cls))
    kinds = [type(layer) for layer in self.network_layers]
    known = all(kind.__module__ == owner.__module__ and kind.__name__ in BY_NAME for kind in kinds)
    if known and type(self).feed_sample is owner.feed_sample:
        return predicted(self.network_layers, data_inputs)
    labels: list[int] = vars(owner)[_ORIGINALS](self, data_inputs)
    return labels


METHODS: dict[str, tuple[str, Callable[..., Any]]] = {
    "Conv2D": ("conv_", Conv2D.conv_),
    "MaxPooling2D": ("max_pooling", MaxPooling2D.max_pooling),
    "AveragePooling2D": ("average_pooling", AveragePooling2D.average_pooling),
    "ReLU": ("relu_layer", ReLU.relu_layer),
    "Sigmoid": ("sigmoid_layer", Sigmoid.sigmoid_layer),
    "Model": ("predict", predict),
}


def install(module: ModuleType | None = None) -> ModuleType:
    """Assign the fast methods to the classes of `pygad.cnn`, or of a module like it.

    Objects made before and after, subclasses, and other modules that use the classes
    (`pygad.gacnn`) call them from then on; constructors, checks and attributes stay the
    package's own. `Model.predict` takes samples through the layers in blocks, unless a layer is a
    subclass's or `feed_sample` is overridden. A second call changes nothing.

    Parameters
    ----------
    module : module, optional
        Where the classes are, such as NumPyCNN's `cnn`; by default `pygad.cnn`.

    Returns
    -------
    module
        The module whose classes were changed.

    Raises
    ------
    MissingDependencyError
        If no module is given and pygad is not installed.
    ParameterError
        If a class or method is missing; nothing is changed then.

    Examples
    --------
    >>> from fastconv.dropin import pygad_cnn
    >>> pygad_cnn.install()  # doctest: +SKIP
    """
    module = _pygad() if module is None else module
    found = _classes(module)
    for cls, name, fast in found:
        if _ORIGINALS not in vars(cls):
            setattr(cls, _ORIGINALS, vars(cls)[name])
            setattr(cls, name, fast)
    return module


def uninstall(module: ModuleType | None = None) -> ModuleType:
    """Give the classes their own methods back.

    Parameters
    ----------
    module : module, optional
        As for `install`.

    Returns
    -------
    module
        The module whose classes are their own again.

    Raises
    ------
    MissingDependencyError, ParameterError
        As for `install`.

    Examples
    --------
    >>> from fastconv.dropin import pygad_cnn
    >>> pygad_cnn.uninstall()  # doctest: +SKIP
    """
    module = _pygad() if module is None else module
    for cls, name, _ in _classes(module):
        if _ORIGINALS in vars(cls):
            setattr(cls, name, vars(cls)[_ORIGINALS])
            delattr(cls, _ORIGINALS)
    return module


def _classes(module: ModuleType) -> list[tuple[type, str, Callable[..., Any]]]:
    found = []
    for name, (method, fast) in METHODS.items():
        cls = getattr(module, name, None)
        if not isinstance(cls, type) or method not in vars(cls):
            raise ParameterError(f"module: expected a class {name} with {method}, in {module!r}")
        found.append((cls, method, fast))
    return found


def _pygad() -> ModuleType:
    try:
        return importlib.import_module("pygad.cnn")
    except ImportError as error:
        raise MissingDependencyError("pygad_cnn.install needs pygad: pip install pygad") from error
