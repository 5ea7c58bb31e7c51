"""`fastconv demo feature-maps`: the tutorial's three layers, by its loops and by the drop-in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from fastconv.cli import tutorials
from fastconv.cli.console import (
    console,
    help_text,
    progress,
    shape,
    show,
    table,
)
from fastconv.cli.demos.pace import pace
from fastconv.cli.extras import check_folder, require
from fastconv.cli.photograph import as_input, photograph
from fastconv.cli.stack import Measured, Stage, check_size, speed_up, three_layers
from fastconv.dropin import numpycnn
from fastconv.dtypes import Array
from fastconv.plan.threads import limited_threads

NAME = "feature-maps"
FIGURE = "feature-maps-tutorial.png"
HELP = help_text(
    """Run a photograph through the tutorial's three layers, by its own loops and by the drop-in.

The functions are conv, relu and pooling of fastconv.dropin.numpycnn, on images (H, W) or (H, W, 3)
and filters (F, k, k[, C]), in float64: 2 edge filters 3x3, 3 random filters 5x5, 1 random filter
7x7. Beside each stage stand the time of the tutorial's loops, which take some seconds, and the
largest difference of the results; a figure shows all maps.""",
    "fastconv demo feature-maps",
    "fastconv demo feature-maps --image holiday.jpg --rgb",
)
Step = Callable[[Array], Array]


@dataclass(frozen=True)
class Pair:
    """A stage in both forms; `bank` holds its filters `(F, k, k[, C])`, if it has any."""

    name: str
    slow: Step
    fast: Step
    bank: Array | None = None


def run(
    image: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A photograph; by default scikit-image's cat."),
    ] = None,
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder that the figure is written to.")
    ] = Path("demo-output"),
    rgb: Annotated[bool, typer.Option("--rgb", help="Use the colours, not the grey.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Draws the random filters.")] = 0,
) -> None:
    """Run a photograph through the tutorial's three layers."""
    require("demo", "matplotlib", "PIL", "threadpoolctl")
    check_folder("output", output)
    pixels = photograph(image)
    x = as_tutorial(as_input(pixels, rgb))
    check_size(x.shape[:2])
    console().print(f"Input {shape(x.shape)} float64 from {image or 'the cat of skimage.data'}")
    pairs = layers(3 if rgb else 1, seed)
    # one thread for both: the loops have no more
    with limited_threads(1), progress() as bars:
        measured = list(bars.track(measure(pairs, x), total=len(pairs), description="stages"))
    show(_table(measured))
    from fastconv.cli.figure import draw  # imports matplotlib, which takes a second

    draw(pixels if rgb else x, measured, output / FIGURE)
    console().print(f"Feature maps: {output / FIGURE}", soft_wrap=True)


def as_tutorial(x: Array) -> Array:
    """Turn `(1, C, H, W)` into float64 `(H, W)` of one channel, or `(H, W, C)`."""
    image: Array = x[0].astype(np.float64).transpose(1, 2, 0)  # (H, W, C)
    return image[:, :, 0] if image.shape[2] == 1 else image


def layers(channels: int, seed: int) -> list[Pair]:
    """Return the stages of the three layers for an image of 1 or 3 channels."""
    pairs = []
    stages = [stage for stage in three_layers(channels, seed) if stage.bank is not None]
    for number, stage in enumerate(stages, 1):
        bank = np.asarray(stage.bank, np.float64).transpose(0, 2, 3, 1)  # (F, k, k, C)
        bank = bank[..., 0] if number == 1 and channels == 1 else bank
        pairs += [
            Pair(stage.name, _slow_conv(bank), _fast_conv(bank), bank),
            Pair(f"ReLU {number}", tutorials.rectified, numpycnn.relu),
            Pair(f"max pool {number}: 2x2", _slow_pool, numpycnn.pooling),
        ]
    return pairs


def measure(pairs: list[Pair], image: Array) -> Iterator[Measured]:
    """Run the stages in both forms, each on the results of its own form."""
    slow = fast = image
    for pair in pairs:
        seconds, expected = pace(partial(pair.slow, slow), 1)
        best, got = pace(partial(pair.fast, fast), 20)
        difference = float(np.abs(expected - got).max())
        yield Measured(_as_stage(pair), _planes(got), seconds, best, difference)
        slow, fast = expected, got


def _as_stage(pair: Pair) -> Stage:
    """Describe a stage as the figure takes it, with filters `(F, C, k, k)`."""
    bank = pair.bank
    if bank is not None:
        bank = bank[:, np.newaxis] if bank.ndim == 3 else bank.transpose(0, 3, 1, 2)
    return Stage(pair.name, lambda _, x: pair.fast(x), bank)


def _planes(maps: Array) -> Array:
    return maps.transpose(2, 0, 1)[np.newaxis]  # (1, F, H, W)


def _slow_conv(bank: Array) -> Step:
    return lambda x: tutorials.bank_maps(x, bank)


def _fast_conv(bank: Array) -> Step:
    return lambda x: numpycnn.conv(x, bank)


def _slow_pool(maps: Array) -> Array:
    return tutorials.pooled_maps(maps, 2, 2)


def _table(measured: list[Measured]) -> Table:
    numbers = ("maps", "loops ms", "fastconv ms", "speed-up", "largest difference")
    shown = table("Time of each stage, one thread", ["stage"], numbers)
    for row in measured:
        sizes = row.maps.shape[2:] + row.maps.shape[1:2]  # (H, W, F)
        shown.add_row(row.stage.name, shape(sizes), *speed_up([row]))
    shown.add_section()
    shown.add_row("total", "", *speed_up(measured), style="bold")
    return shown
