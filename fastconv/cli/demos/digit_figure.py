"""The figure of `fastconv demo digit-nine`."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fastconv.dropin.digit_nine import FILTERS
from fastconv.dtypes import Array

NAMES = ("box", "vertical", "diagonal")


def draw(matrix: Array, maps: Array, pooled: Array, probabilities: Array, path: Path) -> None:
    """Write the digit, the filters, their maps and the probabilities as PNG.

    Parameters
    ----------
    matrix : numpy.ndarray
        The digit, `(H, W)`, of 1 and -1.
    maps, pooled : numpy.ndarray
        `(3, h, w)`, from 0 to 1.
    probabilities : numpy.ndarray
        `(10,)`.
    path : Path
        The file to write.
    """
    figure = Figure(figsize=(11, 6.6), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("A digit by three hand-made filters", size=16, x=0.02, ha="left")
    grid = figure.add_gridspec(3, 5, width_ratios=(1.6, 1, 1, 1, 2.2))
    _picture(figure.add_subplot(grid[:, 0]), matrix, "input", -1)
    columns = ((FILTERS, "", -1), (maps, " after ReLU", 0), (pooled, " pooled", 0))
    for column, (planes, words, low) in enumerate(columns, 1):
        for row, (name, plane) in enumerate(zip(NAMES, planes, strict=True)):
            _picture(figure.add_subplot(grid[row, column]), plane, name + words, low)
    bars = figure.add_subplot(grid[:, 4])
    bars.barh(range(10), probabilities, color="#404040")
    bars.set(yticks=range(10), xlabel="probability", title="dense layer", xlim=(0, 1))
    bars.invert_yaxis()
    bars.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def _picture(axes: Axes, values: Array, title: str, low: float) -> None:
    axes.imshow(values, cmap="gray_r", vmin=low, vmax=1)
    axes.set_title(title, size=9)
    axes.set(xticks=[], yticks=[])
    if values.size <= 15:
        for (row, column), value in ((at, values[at]) for at in _places(values.shape)):
            colour = "white" if value > (low + 1) / 2 else "black"
            text = f"{value:.2g}"
            axes.text(column, row, text, ha="center", va="center", size=8, color=colour)


def _places(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(row, column) for row in range(shape[0]) for column in range(shape[1])]
