"""`fastconv bench`: the engine against the reference and others, on layers of known networks."""

import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import fastconv
from fastconv.cli.console import (
    console,
    geometric_mean,
    help_text,
    milliseconds,
    progress,
    show,
    significant,
    table,
    times,
)
from fastconv.cli.contenders import ENGINE, PEERS, REFERENCE, WINDOW_VIEW, Contender
from fastconv.cli.extras import check_file, require
from fastconv.cli.layers import Layer, layers
from fastconv.cli.race import Outcome, race
from fastconv.plan.threads import limited_threads

HELP = help_text(
    """Measure the engine against the reference on the layers of known networks.

All contenders run in turns in one process, their results are compared first, and the best time
of each counts. "window view" is what one writes without this package: a sliding window view,
copied and multiplied (pools: reduced).""",
    "fastconv bench",
    "fastconv bench --layers 'resnet50.*3x3' --peers --threads 2",
    "fastconv bench --direction pool --json pool.json --plot pool.png",
)


class Direction(StrEnum):
    """What is computed of each layer."""

    FORWARD = "forward"
    INPUT = "input"
    WEIGHT = "weight"
    POOL = "pool"


def bench(
    pattern: Annotated[
        str,
        typer.Option("--layers", metavar="REGEX", help="Only layers whose name matches."),
    ] = "",
    direction: Annotated[
        Direction,
        typer.Option(help="Convolutions forward, their gradients, or pools."),
    ] = Direction.FORWARD,
    threads: Annotated[int, typer.Option(min=1, help="Threads of BLAS and of the peers.")] = 1,
    peers: Annotated[
        bool, typer.Option("--peers", help="Add PyTorch and ONNX Runtime, if installed.")
    ] = False,
    reference: Annotated[
        bool, typer.Option("--reference/--no-reference", help="Run the slow loops too.")
    ] = True,
    seconds: Annotated[
        float,
        typer.Option("--seconds-per-layer", min=0, help="Time for all contenders together."),
    ] = 1.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every number there.")
    ] = None,
    plot_file: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the ratios there.")
    ] = None,
) -> None:
    """Measure the engine against the reference on the layers of known networks."""
    require("cli", "threadpoolctl")
    _check_files(json_file, plot_file)
    chosen = layers(direction, pattern)
    out = console()
    contenders = _contenders(out, reference, peers)
    outcomes = _race_all(chosen, contenders, seconds, threads)
    title = f"{direction.value}, {chosen[0].problem.dtype.name}, threads: {threads}"
    names = _others(contenders, outcomes)
    show(_table(title, outcomes, names, pool=direction is Direction.POOL))
    out.print("\n".join(_means(outcomes, names)))
    if json_file is not None:
        json_file.write_text(_as_json(outcomes, direction.value, threads), encoding="utf-8")
    if plot_file is not None:
        _plot(title, outcomes, names, plot_file)
    wrong = [outcome.layer.name for outcome in outcomes if not outcome.agrees]
    if wrong:
        out.print(f"Results differ by more than rounding: {', '.join(wrong)}", style="bold red")
        raise typer.Exit(1)


def _check_files(json_file: Path | None, plot_file: Path | None) -> None:
    """Find out before the work whether its results can be written."""
    if plot_file is not None:
        require("demo", "matplotlib")
    for name, path in (("json", json_file), ("plot", plot_file)):
        if path is not None:
            check_file(name, path)


def _contenders(out: Console, reference: bool, peers: bool) -> list[Contender]:
    """Return who takes part, the one that the others are compared with first."""
    chosen: list[Contender] = [REFERENCE] if reference else []
    chosen += [WINDOW_VIEW, ENGINE]
    if peers:
        found = {peer.name: peer.available() for peer in PEERS}
        words = [f"{name} {'found' if there else 'not installed'}" for name, there in found.items()]
        out.print(f"Peers: {', '.join(words)}.")
        chosen += [peer for peer in PEERS if found[peer.name]]
    return chosen


def _race_all(
    chosen: list[Layer], contenders: Sequence[Contender], seconds: float, threads: int
) -> list[Outcome]:
    outcomes = []
    # once around everything: to set the threads of BLAS in each call would take longer than the
    # smallest layers, and "window view" needs the same number
    with limited_threads(threads), progress() as bars:
        task = bars.add_task("", total=len(chosen))
        for layer in chosen:
            bars.update(task, description=layer.name)
            outcomes.append(race(layer, contenders, seconds, threads))
            bars.advance(task)
    return outcomes


def _others(contenders: Sequence[Contender], outcomes: list[Outcome]) -> list[str]:
    """Return the names of those, besides the engine, that took part in any layer."""
    names = [contender.name for contender in contenders if contender is not ENGINE]
    return [name for name in names if any(name in outcome.seconds for outcome in outcomes)]


def _table(title: str, outcomes: list[Outcome], names: list[str], pool: bool) -> Table:
    rate = "GB/s" if pool else "GFLOP/s"
    others = [name for name in names if name != REFERENCE.name]
    shown = table(
        title,
        ["layer", "algorithm"],
        [
            *([f"{REFERENCE.name} ms"] if REFERENCE.name in names else []),
            "engine ms",
            rate,
            *(["ratio"] if REFERENCE.name in names else []),
            *(f"{name} ms" for name in others),
            "error",
            "scratch MiB",
        ],
    )
    for outcome in outcomes:
        seconds = outcome.seconds
        slow = [milliseconds(seconds[REFERENCE.name])] if REFERENCE.name in names else []
        shown.add_row(
            outcome.layer.name,
            outcome.algorithm,
            *slow,
            milliseconds(seconds[ENGINE.name]),
            significant(outcome.gigabytes if pool else outcome.gigaflops),
            *([times(outcome.ratio(REFERENCE.name))] if slow else []),
            *(milliseconds(seconds.get(name)) for name in others),
            f"{outcome.errors.get(ENGINE.name, 0):.1e}",
            f"{outcome.scratch_bytes / 2**20:.2f}",
            style=None if outcome.agrees else "red",
        )
    return shown


def _means(outcomes: list[Outcome], names: list[str]) -> list[str]:
    """Say how the engine compares with each of the others, over the layers both computed."""
    lines = []
    for name in names:
        ratios = [ratio for outcome in outcomes if (ratio := outcome.ratio(name)) is not None]
        mean = geometric_mean(ratios)
        if mean is not None:
            lines.append(
                f"{name}: {times(mean)} the engine's time"
                f" (geometric mean; layers: {len(ratios)}; {times(min(ratios))} to"
                f" {times(max(ratios))})"
            )
    return lines


def _as_json(outcomes: list[Outcome], direction: str, threads: int) -> str:
    machine: dict[str, Any] = fastconv.info()
    machine["settings"] = asdict(machine["settings"])
    content = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "direction": direction,
        "threads": threads,
        "machine": machine,
        "layers": [outcome.record() for outcome in outcomes],
    }
    return json.dumps(content, indent=1) + "\n"


def _plot(title: str, outcomes: list[Outcome], names: list[str], path: Path) -> None:
    from fastconv.cli.plot import draw_ratios  # imports matplotlib, which takes a second

    draw_ratios(title, outcomes, names, path)
