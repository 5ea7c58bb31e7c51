"""What every layer is: arrays with names, a forward and a backward."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv.dtypes import Array
from fastconv.errors import StateError
from fastconv.nn import state

Seed = int | np.random.Generator | None


class Layer:
    """One step of a model, or several.

    A layer keeps its parameters as plain arrays in its attributes, and their gradients in
    `gradients`. `backward` needs what `forward` kept, which it does in training mode only.

    Attributes
    ----------
    training : bool
        Whether `forward` prepares for `backward`, and uses the statistics of its batch. True at
        first; `train` and `eval` change it.
    frozen : bool
        Whether parameters stay as they are: no gradients of them are computed.
    gradients : dict of str to numpy.ndarray
        What the last `backward` found, by the names of the layer's own parameters.
    """

    parameter_names: tuple[str, ...] = ()
    """Attributes that hold this layer's own parameters; one that is None has no parameter."""
    buffer_names: tuple[str, ...] = ()
    """Attributes that hold other arrays that belong to its state."""

    def __init__(self) -> None:
        self.training = True
        self.frozen = False
        self.gradients: dict[str, Array] = {}
        self._kept: Any = None

    def forward(self, x: Array) -> Array:
        """Return the layer's output.

        Parameters
        ----------
        x : numpy.ndarray
            A batch, `(N, ...)`.

        Returns
        -------
        numpy.ndarray
            A batch of as many.
        """
        raise NotImplementedError

    def backward(self, gy: Array) -> Array:
        """Return the gradient of the last `forward`'s input; keep those of the parameters.

        Parameters
        ----------
        gy : numpy.ndarray
            Gradient of the output, of its shape.

        Returns
        -------
        numpy.ndarray
            Of the shape of the input.

        Raises
        ------
        StateError
            If `forward` was not called before, in training mode.
        """
        raise NotImplementedError

    def backward_parameters(self, gy: Array) -> None:
        """Compute the gradients of the parameters only, as is enough for a first layer."""
        self.backward(gy)

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Return `forward` of an input."""
        return self.forward(np.asarray(x))

    def children(self) -> dict[str, "Layer"]:
        """Return the layers that this one is made of, by name."""
        return {}

    def layers(self, prefix: str = "") -> Iterator[tuple[str, "Layer"]]:
        """Yield this layer and all inside it, with the prefix of the names of their arrays."""
        yield prefix, self
        for name, child in self.children().items():
            yield from child.layers(f"{prefix}{name}.")

    def parameters(self) -> dict[str, Array]:
        """Return all parameters, live, by their names in PyTorch's style: `"0.weight"`."""
        return {
            prefix + name: getattr(layer, name)
            for prefix, layer in self.layers()
            for name in layer.parameter_names
            if getattr(layer, name) is not None
        }

    def trainable(self) -> dict[str, Array]:
        """Return the parameters that are not frozen."""
        return {
            prefix + name: getattr(layer, name)
            for prefix, layer in self.layers()
            if not layer.frozen
            for name in layer.parameter_names
            if getattr(layer, name) is not None
        }

    def all_gradients(self) -> dict[str, Array]:
        """Return the gradients of the last `backward`, by the names of `parameters`."""
        return {
            prefix + name: gradient
            for prefix, layer in self.layers()
            if not layer.frozen
            for name, gradient in layer.gradients.items()
        }

    def generators(self) -> dict[str, np.random.Generator]:
        """Return the generators that layers draw from while they are trained, by name."""
        found = ((prefix, getattr(layer, "rng", None)) for prefix, layer in self.layers())
        return {
            f"{prefix}rng": rng for prefix, rng in found if isinstance(rng, np.random.Generator)
        }

    def train(self) -> "Layer":
        """Set training mode, here and inside; return the layer."""
        return self._mode(True)

    def eval(self) -> "Layer":
        """Set evaluation mode, here and inside, and let go of what was kept; return the layer."""
        return self._mode(False)

    def freeze(self, frozen: bool = True) -> "Layer":
        """Keep all parameters here and inside as they are, or train them again."""
        for _, layer in self.layers():
            layer.frozen = frozen
            layer.gradients = {}
        return self

    def initialise(self, rng: Seed = None) -> "Layer":
        """Draw all parameters anew, here and inside, from one generator; return the layer."""
        generator = np.random.default_rng(rng)
        for _, layer in self.layers():
            layer.draw(generator)
        return self

    def draw(self, rng: np.random.Generator) -> None:
        """Draw this layer's own parameters."""

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and buffers, by the names PyTorch would give them.

        Examples
        --------
        >>> from fastconv import nn
        >>> list(nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU()).state_dict())
        ['0.weight', '0.bias']
        """
        return {name: array.copy() for name, array in self._arrays().items()}

    def load_state_dict(self, arrays: Mapping[str, Any]) -> "Layer":
        """Take over the values of a state, all or nothing; return the layer.

        Parameters
        ----------
        arrays : mapping of str to array_like
            What `state_dict` returns, here or of a PyTorch module with the same names.

        Returns
        -------
        Layer
            The layer itself.

        Raises
        ------
        StateError
            If names are missing or unknown.
        ShapeError
            If an array has another shape.
        DtypeError
            If an array holds no numbers of the parameter's kind.
        """
        state.fill(self._arrays(), arrays)
        return self

    def save(self, path: state.PathLike) -> None:
        """Write `state_dict` to an `.npz` file, whole or not at all."""
        state.write(path, self.state_dict())

    def load(self, path: state.PathLike) -> "Layer":
        """Take over the values of a file that `save` wrote; nothing is unpickled.

        Raises
        ------
        StateError, ShapeError, DtypeError
            If the file is no such file, or of another model.
        """
        return self.load_state_dict(state.read(path))

    def _arrays(self) -> dict[str, Array]:
        return {
            prefix + name: getattr(layer, name)
            for prefix, layer in self.layers()
            for name in (*layer.parameter_names, *layer.buffer_names)
            if getattr(layer, name) is not None
        }

    def _mode(self, training: bool) -> "Layer":
        for _, layer in self.layers():
            layer.training = training
            layer._kept = None
        return self

    def _keep(self, kept: Any) -> None:
        self._kept = kept if self.training else None

    def _recall(self) -> Any:
        if self._kept is None:
            raise StateError(
                f"backward: {type(self).__name__} keeps nothing; "
                "call forward in training mode first"
            )
        return self._kept
