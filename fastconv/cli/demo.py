"""`fastconv demo`: a photograph through three layers, on the reference and on the engine."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from fastconv.cli.console import (
    console,
    help_text,
    progress,
    shape,
    show,
    table,
)
from fastconv.cli.extras import check_folder, require
from fastconv.cli.photograph import as_input, photograph
from fastconv.cli.stack import (
    Measured,
    check_size,
    measure,
    ready_reference,
    speed_up,
    three_layers,
)
from fastconv.dtypes import Array
from fastconv.errors import ParameterError
from fastconv.plan.threads import limited_threads

FIGURE = "feature-maps.png"
HELP = help_text(
    """Run a photograph through three layers, twice: by plain loops and by the engine.

2 edge filters 3x3, 3 random filters 5x5, 1 random filter 7x7, each followed by ReLU and a 2x2 max
pool. Shows the time of every stage on the reference and on the engine and the largest difference
of their results, and writes a figure of all feature maps.""",
    "fastconv demo",
    "fastconv demo --image holiday.jpg --rgb --output maps",
    "fastconv demo digit-nine    another demo; its options stand after its name",
)


def demo(
    context: typer.Context,
    image: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A photograph; by default scikit-image's cat."),
    ] = None,
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder that the figure is written to.")
    ] = Path("demo-output"),
    rgb: Annotated[bool, typer.Option("--rgb", help="Use the colours, not the grey.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Draws the random filters.")] = 0,
    repetitions: Annotated[
        int, typer.Option(min=1, help="Runs of each stage, at most; the best counts.")
    ] = 20,
) -> None:
    """Run a photograph through three layers, by plain loops and by the engine."""
    if context.invoked_subcommand is not None:
        refuse_options(context)
        return
    require("demo", "matplotlib", "PIL", "threadpoolctl")
    check_folder("output", output)
    pixels = photograph(image)
    x = as_input(pixels, rgb)
    check_size(x.shape)
    out = console()
    out.print(f"Input {shape(x.shape)} float32 from {image or 'the cat of skimage.data'}")
    seconds = ready_reference()
    out.print(
        f"The reference's loops were compiled or loaded in {seconds:.2f} s, not counted below."
    )
    stages = three_layers(x.shape[1], seed)
    # one thread for both: the loops have no more, and times vary less on a busy machine
    with limited_threads(1), progress() as bars:
        runs = measure(stages, x, repetitions)
        measured = list(bars.track(runs, total=len(stages), description="stages"))
    show(_table(measured))
    _draw(pixels if rgb else x[0, 0], measured, output / FIGURE)
    out.print(f"Feature maps: {output / FIGURE}", soft_wrap=True)


def refuse_options(context: typer.Context) -> None:
    """Refuse options of `demo` itself that stand before the name of another demo."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise ParameterError(
                f"{name}: options of 'demo {context.invoked_subcommand}' stand after its name"
            )


def _table(measured: list[Measured]) -> Table:
    numbers = ("output", "reference ms", "engine ms", "speed-up", "largest difference")
    shown = table("Best times of each stage, one thread", ["stage"], numbers)
    for row in measured:
        shown.add_row(row.stage.name, shape(row.maps.shape), *speed_up([row]))
    shown.add_section()
    shown.add_row("total", "", *speed_up(measured), style="bold")
    return shown


def _draw(pixels: Array, measured: list[Measured], path: Path) -> None:
    from fastconv.cli.figure import draw  # imports matplotlib, which takes a second

    draw(pixels, measured, path)
