"""`fastconv demo digit-nine`: a digit of 7x5 pixels, found by three hand-made filters."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from fastconv.cli.console import console, help_text, show, significant, table, times
from fastconv.cli.demos.pace import pace
from fastconv.cli.extras import check_folder, require
from fastconv.cli.tutorials import averaged, pooled_matrix
from fastconv.dropin import digit_nine as nine
from fastconv.dtypes import Array

NAME = "digit-nine"
FIGURE = "digit-nine.png"
FILTERS = ("box", "vertical", "diagonal")
SIZE, STRIDE = 2, 1
HELP = help_text(
    """Recognise a digit of 7x5 pixels by three hand-made filters.

A box, a vertical and a diagonal line are held against every window, their agreement is averaged,
and after ReLU and a 2x2 max pool a dense layer names the digit. Shows the maps, the scores, and the
time beside the tutorial's loops, and writes a figure.""",
    "fastconv demo digit-nine",
    "fastconv demo digit-nine --digit 4 --noise 2",
)


def run(
    digit: Annotated[int, typer.Option(min=0, max=9, help="The digit to recognise.")] = 9,
    noise: Annotated[int, typer.Option(min=0, max=35, help="Pixels of it to turn over.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Draws those pixels.")] = 0,
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder that the figure is written to.")
    ] = Path("demo-output"),
) -> None:
    """Recognise a digit by three hand-made filters."""
    require("demo", "matplotlib")
    check_folder("output", output)
    matrix = disturbed(nine.DIGITS[digit], noise, seed)
    maps = nine.relu(nine.averaged_conv2d(matrix, nine.FILTERS))
    pooled = nine.pool2d(maps, SIZE, STRIDE)
    found, probabilities = nine.classify(nine.flatten(pooled), *nine.template_classifier())
    out = console()
    out.print("\n".join("".join("██" if ink > 0 else "░░" for ink in row) for row in matrix))
    show(_maps(maps, pooled))
    show(_scores(probabilities))
    mistake = "" if found == digit else f", though it was drawn as a {digit}"
    out.print(f"This is a {found}{mistake}.")
    out.print(_times(matrix, maps, pooled))
    from fastconv.cli.demos.digit_figure import draw  # imports matplotlib, which takes a second

    draw(matrix, maps, pooled, probabilities, output / FIGURE)
    out.print(f"Feature maps: {output / FIGURE}", soft_wrap=True)


def disturbed(matrix: Array, noise: int, seed: int) -> Array:
    """Turn some pixels over, drawn without replacement."""
    result = matrix.copy()
    places = np.random.default_rng(seed).choice(result.size, noise, replace=False)
    result.reshape(-1)[places] *= -1
    return result


def by_the_loops(matrix: Array) -> tuple[Array, Array]:
    """Compute maps and pooled maps as the tutorial does, filter after filter."""
    maps = [np.maximum(averaged(matrix, kernel), 0) for kernel in nine.FILTERS]
    pooled = [pooled_matrix(plane, SIZE, STRIDE, 0, "max") for plane in maps]
    return np.stack(maps), np.stack(pooled)


def _maps(maps: Array, pooled: Array) -> Table:
    shown = table("Maps after ReLU, and pooled", ["filter"], ("map", "pooled"))
    for name, plane, small in zip(FILTERS, maps, pooled, strict=True):
        shown.add_row(name, _matrix(plane), _matrix(small))
        shown.add_section()
    return shown


def _matrix(values: Array) -> str:
    return "\n".join("  ".join(f"{value:.2f}" for value in row) for row in values)


def _scores(probabilities: Array) -> Table:
    shown = table("The dense layer", ["digit"], ("probability",))
    for digit in np.argsort(-probabilities):
        shown.add_row(str(digit), f"{probabilities[digit]:.3f}")
    return shown


def _times(matrix: Array, maps: Array, pooled: Array) -> str:
    """Race one digit, and a thousand at once, against the loops."""
    slow, (expected, small) = pace(lambda: by_the_loops(matrix))
    difference = max(np.abs(maps - expected).max(), np.abs(pooled - small).max())
    many = np.repeat(matrix[np.newaxis], 1000, axis=0)

    def fast(digits: Array) -> Array:
        return nine.pool2d(nine.relu(nine.averaged_conv2d(digits, nine.FILTERS)), SIZE, STRIDE)

    one, _ = pace(lambda: fast(matrix))
    thousand, _ = pace(lambda: fast(many))
    return (
        f"Loops {significant(slow * 1e6)} µs a digit, fastconv {significant(one * 1e6)} µs "
        f"({times(slow / one)}), or {significant(thousand * 1e3)} µs in a stack of 1000 "
        f"({times(1000 * slow / thousand)}); largest difference {difference:.1e}"
    )
