"""`fastconv predict`: what a trained model takes an image for."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from fastconv.cli.console import console, help_text, show, table
from fastconv.cli.extras import require
from fastconv.dtypes import Array
from fastconv.errors import ParameterError

INK = 0.25
"""Brightness from which a pixel is ink, as a share of the brightest."""
MARGIN_OF = {28: 4}
"""Empty pixels that the images a model was trained on have around them, by their side."""
HELP = help_text(
    """Say what a model that `fastconv demo lenet` or `two-class` saved takes an image for.

The image may have any size and format. It is taken as grey, dark on light or light on dark, and cut
and scaled as the images were that the model was trained on.""",
    "fastconv predict demo-output/lenet.npz digit.png",
)


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The .npz file of a demo.")],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A photograph or a drawing.")],
    whole: Annotated[
        bool, typer.Option("--whole", help="Scale the whole image; do not cut to what is drawn.")
    ] = False,
) -> None:
    """Say what a trained model takes an image for."""
    require("demo", "PIL")
    from fastconv.cli import saved_model
    from fastconv.cli.photograph import as_input, photograph

    trained, sight = saved_model.load(model)
    grey = as_input(photograph(image), False)[0, 0]
    drawn = prepared(grey, sight.side, cut=not whole)
    outputs = trained.eval()(sight.inputs(drawn[np.newaxis]))[0]
    probabilities = sight.probabilities(outputs)
    out = console()
    out.print(
        "\n".join("".join("  ░░▒▒▓▓██"[2 * round(4 * v) :][:2] for v in row) for row in drawn)
    )
    shown = table("", ["class"], ("probability",))
    for place in np.argsort(-probabilities):
        shown.add_row(sight.classes[place], f"{probabilities[place]:.3f}")
    show(shown)
    out.print(f"This is a {sight.classes[int(probabilities.argmax())]}.")


def prepared(grey: Array, side: int, cut: bool = True) -> Array:
    """Return a grey image as those of the training data are: ink 1 on 0, of their size.

    Parameters
    ----------
    grey : numpy.ndarray
        `(H, W)`, from 0 to 1.
    side : int
        Height and width of the result.
    cut : bool
        Whether to leave away what is empty around the drawing.

    Returns
    -------
    numpy.ndarray
        `(side, side)`, float32.

    Raises
    ------
    ParameterError
        If nothing is drawn.
    """
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = 1 - grey if np.median(border) > 0.5 else grey
    ink = ink - np.median(1 - border if np.median(border) > 0.5 else border)
    if ink.max() <= 0.05:
        raise ParameterError("image: nothing is drawn on it: no pixel differs from the border")
    ink = np.clip(ink / ink.max(), 0, 1).astype(np.float32)
    if cut:
        rows, columns = (np.flatnonzero((ink > INK).any(axis)) for axis in (1, 0))
        ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    margin = MARGIN_OF.get(side, 0)
    scaled = _scaled(_square(ink), side - 2 * margin)
    return np.pad(scaled / max(float(scaled.max()), 1e-6), margin)


def _square(ink: Array) -> Array:
    """Put an image in the middle of an empty square."""
    most = max(ink.shape)
    before = [(most - size) // 2 for size in ink.shape]
    after = [most - size - first for size, first in zip(ink.shape, before, strict=True)]
    return np.pad(ink, list(zip(before, after, strict=True)))


def _scaled(ink: Array, side: int) -> Array:
    """Scale a square to another size, by the mean of what falls into each pixel."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(ink, np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BOX), np.float32)
