"""A trained model with what it needs to look at an image, in one `.npz` file."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastconv import nn
from fastconv.cli.digits import SIDE, enlarged
from fastconv.dtypes import Array
from fastconv.errors import ParameterError, StateError
from fastconv.nn import state

ABOUT = "about"
MOST_FILTERS, MOST_CLASSES = 64, 1000
"""What a file may ask for: whoever wrote it decides what is allocated."""


@dataclass(frozen=True)
class Sight:
    """How a model sees images, and what it can say.

    Attributes
    ----------
    kind : str
        "lenet" or "two-class".
    side : int
        Height and width of the images it was trained on.
    mean, std : float
        What they are normalised by.
    classes : tuple of str
        Names of its outputs.
    filters : int
        Of a two-class model.
    """

    kind: str
    side: int
    mean: float
    std: float
    classes: tuple[str, ...]
    filters: int = 1

    def inputs(self, images: Array) -> Array:
        """Return images `(N, side, side)` as the model takes them, `(N, 1, h, w)`."""
        sized = enlarged(images) if self.kind == "lenet" else images
        normal = (sized - np.float32(self.mean)) / np.float32(self.std)
        return np.ascontiguousarray(normal[:, np.newaxis], np.float32)

    def probabilities(self, outputs: Array) -> Array:
        """Return the probability of each class, from the outputs of one sample."""
        if self.kind == "lenet":
            odds = np.exp(outputs - outputs.max())
        else:
            odds = np.exp(-np.logaddexp(0, [outputs[0], -outputs[0]]))
        result: Array = odds / odds.sum()
        return result


def two_class(side: int, filters: int = 1, rng: nn.layer.Seed = None) -> nn.Sequential:
    """Return one 3x3 'same' convolution, ReLU, and a dense unit whose sigmoid is the answer."""
    generator = np.random.default_rng(rng)
    return nn.Sequential(
        {
            "conv": nn.Conv2d(1, filters, 3, padding="same", activation="relu", rng=generator),
            "flatten": nn.Flatten(),
            "dense": nn.Linear(filters * side * side, 1, rng=generator),
        }
    )


BUILDERS: dict[str, Callable[[Sight], nn.Sequential]] = {
    "lenet": lambda sight: nn.LeNet5(len(sight.classes)),
    "two-class": lambda sight: two_class(sight.side, sight.filters),
}


def save(path: Path, model: nn.Layer, sight: Sight) -> None:
    """Write a model and its sight."""
    state.write(path, {ABOUT: np.array(json.dumps(asdict(sight))), **model.state_dict()})


def load(path: Path) -> tuple[nn.Sequential, Sight]:
    """Return a model and its sight.

    Raises
    ------
    StateError, ShapeError
        If the file holds none.
    """
    arrays = state.read(path)
    try:
        words: dict[str, Any] = json.loads(str(arrays.pop(ABOUT)))
        sight = Sight(**{**words, "classes": tuple(words["classes"])})
        build = BUILDERS[sight.kind]
    except (KeyError, TypeError, ValueError):
        raise StateError(f"model: {path} is no model that fastconv demo saved") from None
    sizes = (sight.side, sight.filters, len(sight.classes))
    if not all(isinstance(size, int) for size in sizes) or not 2 <= sight.side <= SIDE:
        raise ParameterError(f"model: {path} says its images are {sight.side} pixels wide")
    if not 1 <= sight.filters <= MOST_FILTERS or not 2 <= len(sight.classes) <= MOST_CLASSES:
        raise ParameterError(f"model: {path} says it has {sizes[1:]} filters and classes")
    model = build(sight)
    model.load_state_dict(arrays)
    return model, sight
