"""The demo's figure: the photograph and what every stage makes of it.

Everything is placed by hand, in inches from the upper left corner: the photograph, beside it a row
for each layer and in it a cell for each stage, its maps side by side.
"""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fastconv.cli.console import shape
from fastconv.cli.stack import Measured
from fastconv.dtypes import Array

MARGIN = 0.3
PHOTOGRAPH = 4.6
CELL = 3.6
BETWEEN_CELLS = 0.4
BETWEEN_MAPS = 0.08
BETWEEN_ROWS = 0.25
CAPTION = 0.28
HEADER = 1.05
DPI = 110
INK, FAINT = "#1a1a1a", "#6b6b6b"


def draw(pixels: Array, measured: list[Measured], path: Path) -> None:
    """Write the figure as PNG.

    Parameters
    ----------
    pixels : numpy.ndarray
        The photograph as it is shown, `(H, W)` or `(H, W, 3)`.
    measured : list of Measured
        Three stages for each layer.
    path : Path
        The file to write.
    """
    layers = [measured[start : start + 3] for start in range(0, len(measured), 3)]
    aspect = pixels.shape[0] / pixels.shape[1]
    heights = [_map_width(layer[0]) * aspect for layer in layers]
    banks = [bank for row in measured if (bank := row.stage.bank) is not None]
    left = 4 * CAPTION + PHOTOGRAPH * aspect + BETWEEN_ROWS + _filter_width(banks)
    right = sum(heights) + len(layers) * 2 * CAPTION + (len(layers) - 1) * BETWEEN_ROWS
    size = (
        2 * MARGIN + PHOTOGRAPH + 3 * (BETWEEN_CELLS + CELL),
        HEADER + max(left, right) + MARGIN,
    )
    figure = Figure(figsize=size, dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    _text(figure, MARGIN, 0.45, "A photograph through three layers", 18, INK)
    _input(figure, pixels, banks)
    top = HEADER
    for layer, height in zip(layers, heights, strict=True):
        for column, row in enumerate(layer):
            x = MARGIN + PHOTOGRAPH + BETWEEN_CELLS + column * (CELL + BETWEEN_CELLS)
            _stage(figure, row, x, top, height)
        top += 2 * CAPTION + height + BETWEEN_ROWS
    figure.savefig(path)


def _input(figure: Figure, pixels: Array, banks: list[Array]) -> None:
    """Draw the photograph and, below it, all filters."""
    height = PHOTOGRAPH * pixels.shape[0] / pixels.shape[1]
    _text(figure, MARGIN, HEADER, "input", 12, INK, bold=True)
    _text(figure, MARGIN, HEADER + CAPTION, shape(pixels.shape), 10, FAINT)
    _image(figure, pixels, MARGIN, HEADER + 1.3 * CAPTION, PHOTOGRAPH, height, contrast=False)
    top = HEADER + 2 * CAPTION + height + BETWEEN_ROWS
    _text(figure, MARGIN, top, "filters", 12, INK, bold=True)
    words = ", ".join(shape(bank.shape) for bank in banks) + "; their first channel"
    _text(figure, MARGIN, top + CAPTION, words, 10, FAINT)
    width = _filter_width(banks)
    for index, taps in enumerate(taps for bank in banks for taps in bank[:, 0]):
        x = MARGIN + index * (width + BETWEEN_MAPS)
        _image(figure, taps, x, top + 1.3 * CAPTION, width, width, contrast=False)


def _filter_width(banks: list[Array]) -> float:
    count = sum(len(bank) for bank in banks)
    return (PHOTOGRAPH - (count - 1) * BETWEEN_MAPS) / count


def _map_width(measured: Measured) -> float:
    """Share a cell among its maps; a single one gets half, or it would outshine the others."""
    count: int = max(2, measured.maps.shape[1])
    return (CELL - (count - 1) * BETWEEN_MAPS) / count


def _stage(figure: Figure, measured: Measured, x: float, y: float, height: float) -> None:
    _text(figure, x, y, measured.stage.name, 12, INK, bold=True)
    _text(figure, x, y + CAPTION, shape(measured.maps.shape[1:]), 10, FAINT)
    width = _map_width(measured)
    for index, plane in enumerate(measured.maps[0]):
        left = x + index * (width + BETWEEN_MAPS)
        _image(figure, plane, left, y + 1.3 * CAPTION, width, height)


def _image(
    figure: Figure,
    pixels: Array,
    x: float,
    y: float,
    width: float,
    height: float,
    contrast: bool = True,
) -> None:
    """Draw one picture; with `contrast` the few strongest values do not darken all others."""
    across, down = figure.get_size_inches()
    box = (x / across, 1 - (y + height) / down, width / across, height / down)
    axes = figure.add_axes(box)
    low, high = np.percentile(pixels, (0.5, 99.5)) if contrast else (None, None)
    axes.imshow(
        pixels, cmap="gray", vmin=low, vmax=high, aspect="auto", interpolation="antialiased"
    )
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(linewidth=0.5, edgecolor=FAINT)


def _text(
    figure: Figure, x: float, y: float, text: str, size: float, colour: str, bold: bool = False
) -> None:
    across, down = figure.get_size_inches()
    weight = "bold" if bold else "normal"
    figure.text(x / across, 1 - y / down, text, size=size, color=colour, weight=weight)
