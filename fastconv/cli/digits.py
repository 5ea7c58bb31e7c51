"""Images of digits to train on: those that scikit-learn ships, or a folder of IDX files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastconv.cli.extras import require
from fastconv.cli.idx import read_folder
from fastconv.dtypes import Array
from fastconv.errors import ParameterError

SIDE = 32
"""What LeNet-5 looks at."""
SHIFT = 2
"""Pixels by which images are moved while LeNet-5 learns."""
TEST_SHARE = 5
"""One in so many of scikit-learn's digits is kept for the test."""


@dataclass(frozen=True)
class Digits:
    """Images `(N, H, W)`, float32 from 0 (paper) to 1 (ink), with labels; to train and to test."""

    name: str
    images: Array
    labels: Array
    test_images: Array
    test_labels: Array

    @property
    def side(self) -> int:
        """Height and width of an image."""
        return int(self.images.shape[1])

    def of_classes(self, classes: tuple[int, ...]) -> "Digits":
        """Return the images of some classes, labelled by their places in the list."""
        arrays: list[Any] = []
        for images, labels in (
            (self.images, self.labels),
            (self.test_images, self.test_labels),
        ):
            chosen = np.isin(labels, classes)
            if set(np.unique(labels[chosen]).tolist()) != set(classes):
                raise ParameterError(f"classes: {self.name} do not have all of {classes}")
            places: Array = labels[chosen][:, np.newaxis] == classes
            arrays += [images[chosen], places.argmax(axis=1)]
        return Digits(self.name, *arrays)


def load(folder: Path | None, seed: int = 0) -> Digits:
    """Return the digits in a folder of IDX files, or scikit-learn's.

    Parameters
    ----------
    folder : Path, optional
        With the four files of MNIST or Fashion-MNIST.
    seed : int
        Draws which of scikit-learn's digits are kept for the test.

    Returns
    -------
    Digits
        To train on.

    Raises
    ------
    ParameterError
        If the files are not what they should be.
    MissingDependencyError
        If scikit-learn is needed and not installed.
    """
    if folder is not None:
        images, labels, test_images, test_labels = read_folder(folder)
        if images.shape[1] != images.shape[2] or images.shape[1] > SIDE:
            raise ParameterError(
                f"data: expected square images of up to {SIDE} pixels, got {images.shape[1:]}"
            )
        own, other = (part.astype(np.float32) / 255 for part in (images, test_images))
        return Digits(str(folder), own, labels.astype(int), other, test_labels.astype(int))
    require("demo", "sklearn")
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    pixels, classes = found.images.astype(np.float32) / 16, found.target.astype(int)
    order = np.random.default_rng(seed).permutation(len(pixels))
    test, train = order[: len(order) // TEST_SHARE], order[len(order) // TEST_SHARE :]
    parts = (pixels[train], classes[train], pixels[test], classes[test])
    return Digits("scikit-learn's digits", *parts)


def enlarged(images: Array) -> Array:
    """Bring images `(N, H, W)` to 32x32: with a border, or, where they are small, interpolated."""
    side = images.shape[1]
    if 2 * side > SIDE:
        before = (SIDE - side) // 2
        after = SIDE - side - before
        return np.pad(images, ((0, 0), (before, after), (before, after)))
    weights = _interpolation(side)
    result: Array = weights @ images @ weights.T  # (N, 32, 32)
    return result


def shifted(inputs: Array, rng: np.random.Generator) -> Array:
    """Return images `(N, 1, H, W)` moved by up to `SHIFT` pixels each way, drawn for each."""
    count, _, height, width = inputs.shape
    room = ((0, 0), (0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(inputs, room, mode="edge"), (height, width), axis=(2, 3)
    )
    rows, columns = rng.integers(0, 2 * SHIFT + 1, (2, count))
    return np.ascontiguousarray(windows[np.arange(count), :, rows, columns])


def _interpolation(side: int) -> Array:
    """Return (32, side): the shares of linear interpolation between the centres of pixels."""
    places = np.clip((np.arange(SIDE) + 0.5) * side / SIDE - 0.5, 0, side - 1)
    low = np.minimum(places.astype(int), side - 2)
    weights = np.zeros((SIDE, side), np.float32)
    weights[np.arange(SIDE), low] = 1 - (places - low)
    weights[np.arange(SIDE), low + 1] = places - low
    return weights
