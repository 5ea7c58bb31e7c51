"""The figures of training: curves, filters, and which classes were taken for which."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fastconv.dtypes import Array
from fastconv.nn.trainer import History

COLOURS = ("#3b6fb6", "#d9722e", "#4a9a5b", "#8c5fb0", "#c9a227", "#000000")
COLUMNS = 8
"""Most filters in a row."""


def draw_curves(histories: Mapping[str, History], path: Path) -> None:
    """Write loss and accuracy by epoch; the training data's are dashed.

    Parameters
    ----------
    histories : mapping of str to History
        By what they are called.
    path : Path
        The file to write.
    """
    figure = _figure(10, 4)
    for place, name in enumerate(("loss", "accuracy")):
        axes = figure.add_subplot(1, 2, place + 1)
        for colour, (label, history) in zip(COLOURS, histories.items(), strict=False):
            numbers = range(1, len(history.epochs) + 1)
            train = [row[name] for row in history.epochs]
            test = [row[f"validation_{name}"] for row in history.epochs]
            axes.plot(numbers, test, color=colour, marker=".", label=label)
            axes.plot(numbers, train, color=colour, linestyle="--", linewidth=1)
        axes.set(xlabel="epoch", title=f"{name} (dashed: of the training data)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    figure.savefig(path)


def draw_filters(banks: Mapping[str, Array], path: Path) -> None:
    """Write filters as pictures: red adds, blue takes away.

    Parameters
    ----------
    banks : mapping of str to numpy.ndarray
        Weights `(C_out, C_in, kH, kW)`, by what they are called; the first input channel is shown.
    path : Path
        The file to write.
    """
    columns = min(COLUMNS, max(len(bank) for bank in banks.values()))
    rows = [-(-min(len(bank), 2 * COLUMNS) // columns) for bank in banks.values()]
    figure = _figure(1.3 * max(3, columns), 1.4 * sum(rows) + 0.4)
    grid = figure.add_gridspec(sum(rows), columns)
    first = 0
    for count, (name, bank) in zip(rows, banks.items(), strict=True):
        for number, weights in enumerate(bank[: count * columns, 0]):
            axes = figure.add_subplot(grid[first + number // columns, number % columns])
            most = max(float(np.abs(weights).max()), 1e-12)
            axes.imshow(weights, cmap="RdBu_r", vmin=-most, vmax=most)
            axes.set(xticks=[], yticks=[])
            if number == 0:
                axes.set_title(name, size=8, loc="left")
        first += count
    figure.savefig(path)


def draw_confusion(counts: Array, names: tuple[str, ...], path: Path) -> None:
    """Write the confusion matrix.

    Parameters
    ----------
    counts : numpy.ndarray
        `(classes, classes)`: rows are what it was, columns what it was taken for.
    names : tuple of str
        Of the classes.
    path : Path
        The file to write.
    """
    side = 1.6 + 0.45 * len(names)
    figure = _figure(side, side)
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="taken for", ylabel="was")
    _write_counts(axes, counts, shares)
    figure.savefig(path)


def _write_counts(axes: Axes, counts: Array, shares: Array) -> None:
    for row, column in np.argwhere(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"
        text = str(counts[row, column])
        axes.text(column, row, text, ha="center", va="center", size=8, color=colour)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure
