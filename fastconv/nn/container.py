"""Layers made of layers."""

from collections.abc import Iterator, Mapping

from fastconv import activations
from fastconv.dtypes import Array
from fastconv.errors import ParameterError
from fastconv.nn.elementwise import activated, activation_gradient
from fastconv.nn.layer import Layer


class Sequential(Layer):
    """One layer after the other.

    Parameters
    ----------
    *layers : Layer, or one mapping of str to Layer
        With a mapping the names are its keys, else "0", "1", ...

    Raises
    ------
    ParameterError
        If something is no layer, or a name holds a dot.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3, rng=0), nn.ReLU(), nn.Flatten())
    >>> model(np.ones((2, 1, 8, 8), np.float32)).shape
    (2, 144)
    >>> model.backward(np.ones((2, 144), np.float32)).shape
    (2, 1, 8, 8)
    >>> model.all_gradients()["0.weight"].shape
    (4, 1, 3, 3)
    """

    def __init__(self, *layers: Layer | Mapping[str, Layer]) -> None:
        super().__init__()
        named: dict[str, Layer] = {}
        for place, layer in enumerate(layers):
            if isinstance(layer, Mapping):
                named |= layer
            else:
                named[str(place)] = layer
        for name, child in named.items():
            if not isinstance(child, Layer) or "." in name:
                raise ParameterError(f"layers: expected names and layers, got {name!r}: {child!r}")
        self._layers = named

    def children(self) -> dict[str, Layer]:
        """Return the layers by name, in their order."""
        return self._layers

    def forward(self, x: Array) -> Array:
        """Return what the last layer makes of what the others made."""
        for layer in self:
            x = layer.forward(x)
        return x

    def backward(self, gy: Array) -> Array:
        """Go through the layers from the last to the first."""
        for layer in reversed(list(self)):
            gy = layer.backward(gy)
        return gy

    def backward_parameters(self, gy: Array) -> None:
        """Go back no further than to the first layer that has something to learn."""
        layers = list(self)
        learning = [place for place, layer in enumerate(layers) if layer.trainable()]
        if not learning:
            return
        for layer in reversed(layers[learning[0] + 1 :]):
            gy = layer.backward(gy)
        layers[learning[0]].backward_parameters(gy)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers.values())

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, place: int | str) -> Layer:
        if isinstance(place, str):
            return self._layers[place]
        return list(self)[place]

    def __repr__(self) -> str:
        lines = (f"  {name}: {_indented(layer)}\n" for name, layer in self._layers.items())
        return f"{type(self).__name__}(\n{''.join(lines)})"


class Residual(Layer):
    """`activation(body(x) + shortcut(x))` (He et al. 2015).

    Parameters
    ----------
    body : Layer
        What is learned beside the shortcut.
    shortcut : Layer, optional
        Nothing by default: the input itself.
    activation : str, optional
        What is applied to the sum: a name as `Conv2d` takes it.

    Raises
    ------
    ParameterError
        If there is no such activation.
    """

    def __init__(
        self, body: Layer, shortcut: Layer | None = None, *, activation: str | None = None
    ) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut
        self.activation = activations.checked(activation)

    def children(self) -> dict[str, Layer]:
        """Return body and shortcut."""
        both = {"body": self.body}
        return both if self.shortcut is None else {**both, "shortcut": self.shortcut}

    def forward(self, x: Array) -> Array:
        """Return the sum of both ways, activated."""
        other = x if self.shortcut is None else self.shortcut.forward(x)
        y = self.body.forward(x) + other
        if self.activation is not None:
            y = activated(self.activation, y)
        self._keep(y)
        return y

    def backward(self, gy: Array) -> Array:
        """Return the sum of the gradients of both ways."""
        y = self._recall()
        if self.activation is not None:
            gy = activation_gradient(self.activation, y, gy)
        other = gy if self.shortcut is None else self.shortcut.backward(gy)
        total: Array = self.body.backward(gy) + other
        return total

    def __repr__(self) -> str:
        return (
            f"Residual(\n  body: {_indented(self.body)}\n  shortcut: {_indented(self.shortcut)}\n)"
        )


def _indented(layer: Layer | None) -> str:
    return "\n  ".join(repr(layer).splitlines())
