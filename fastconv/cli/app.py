"""The commands, put together."""

from typing import Annotated

import typer

import fastconv
from fastconv.cli import bench, check, demo, info, predict, warmup
from fastconv.cli.console import help_text
from fastconv.cli.demos import DEMOS

HELP = help_text(
    """Convolution and pooling on NumPy arrays, as matrix multiplies over windows.""",
    "fastconv demo                     the engine and plain loops on a photograph",
    "fastconv demo lenet               train LeNet-5 on handwritten digits",
    "fastconv bench --layers resnet50  the same on the layers of known networks",
    "fastconv check --seconds 60       every algorithm against the reference",
    "fastconv warmup                   compile what most programs need, and keep it",
    "fastconv info                     versions, CPU, settings",
)

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
demos = typer.Typer(rich_markup_mode="rich", no_args_is_help=False)
demos.callback(invoke_without_command=True, help=demo.HELP)(demo.demo)
for each in DEMOS:
    demos.command(each.NAME, help=each.HELP)(each.run)
app.add_typer(demos, name="demo")
app.command(help=predict.HELP)(predict.predict)
app.command(help=bench.HELP)(bench.bench)
app.command(help=check.HELP)(check.check)
app.command(help=warmup.HELP)(warmup.warmup)
app.command(help=info.HELP)(info.info)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fastconv {fastconv.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options of `fastconv` itself; `version` is dealt with before this is called."""
