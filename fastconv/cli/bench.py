"""`fastconv bench`: the engine against the reference and others, on layers of known networks."""

import datetime
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
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
from fastconv.cli.contenders import (
    ENGINE,
    OWN,
    PEERS,
    PREPARED,
    PREPARED_TRANSPOSED,
    PURE_NUMPY,
    REFERENCE,
    TRANSPOSED_PEERS,
    WINDOW_VIEW,
    Contender,
    own_threads,
)
from fastconv.cli.extras import check_file, require
from fastconv.cli.layers import COLUMNS, POOLS, Layer, layers
from fastconv.cli.race import Outcome, race
from fastconv.cli.roofline import peak
from fastconv.errors import ParameterError
from fastconv.plan import current_settings

HELP = help_text(
    """Measure the engine against the reference on the layers of known networks.

All contenders run in turns in one process, their results are compared first, and the best time
of each counts. "window view" is what one writes without this package: a sliding window view,
copied and multiplied (pools: reduced). "engine prepared" has packed its weights before, as ONNX
Runtime does; it is what the peers' ratio is computed with.""",
    "fastconv bench",
    "fastconv bench --layers 'resnet50.*3x3' --peers --threads 2",
    "fastconv bench --direction pool --json pool.json --plot pool.png",
    "fastconv bench --roofline --no-reference --plot roofline.png",
)


class Direction(StrEnum):
    """What is computed of each layer."""

    FORWARD = "forward"
    INPUT = "input"
    WEIGHT = "weight"
    TINY = "tiny"
    TRANSPOSED = "transposed"
    POOL = "pool"
    POOL_BACKWARD = "pool-backward"
    UNFOLD = "unfold"
    FOLD = "fold"

    @property
    def moves(self) -> bool:
        """Whether memory is what it is about, not multiplications."""
        return self.value in (*POOLS, *COLUMNS)


class Precision(StrEnum):
    """What the engine's algorithms may trade for speed."""

    HIGH = "high"
    FAST = "fast"


PrecisionOption = Annotated[
    Precision, typer.Option(help="Of the engine; fast admits larger rounding errors.")
]


class Dtype(StrEnum):
    """What the arrays hold."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"


def bench(
    pattern: Annotated[
        str,
        typer.Option("--layers", metavar="REGEX", help="Only layers whose name matches."),
    ] = "",
    direction: Annotated[
        Direction,
        typer.Option(
            help="Convolutions forward, their gradients, tiny or transposed ones; pools; columns."
        ),
    ] = Direction.FORWARD,
    dtype: Annotated[Dtype, typer.Option(help="What the arrays hold.")] = Dtype.FLOAT32,
    batch: Annotated[
        int, typer.Option(min=1, help="Samples at a time, in layers of one sample.")
    ] = 1,
    precision: PrecisionOption = Precision.HIGH,
    threads: Annotated[int, typer.Option(min=1, help="Threads of all but the reference.")] = 1,
    peers: Annotated[
        bool, typer.Option("--peers", help="Add PyTorch and ONNX Runtime, if installed.")
    ] = False,
    reference: Annotated[
        bool, typer.Option("--reference/--no-reference", help="Run the slow loops too.")
    ] = True,
    numpy: Annotated[
        bool, typer.Option("--numpy/--no-numpy", help="Run the ways of pure NumPy too.")
    ] = True,
    roofline: Annotated[
        bool,
        typer.Option("--roofline", help="Add each layer's share of the micro-kernel's own peak."),
    ] = False,
    seconds: Annotated[
        float,
        typer.Option("--seconds-per-layer", min=0, help="Time for all contenders together."),
    ] = 1.0,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every number there.")
    ] = None,
    plot_file: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw ratios or shares there."),
    ] = None,
) -> None:
    """Measure the engine against the reference on the layers of known networks."""
    require("cli", "threadpoolctl")
    _check(direction, roofline, json_file, plot_file)
    chosen = layers(direction, pattern, dtype, batch)
    out = console()
    among = _peers(direction) if peers else ()
    prepared = _prepared(direction) if peers or roofline else ()
    contenders = _contenders(out, reference, numpy, prepared, among)
    with _precision(precision.value):
        outcomes = _race_all(chosen, contenders, seconds, threads, roofline)
    title = _title(direction, chosen[0].problem.dtype.name, precision, threads)
    names = _others(contenders, outcomes)
    show(_table(title, outcomes, names, moves=direction.moves))
    out.print("\n".join(_means(outcomes, names)))
    if roofline:
        out.print(_roof(outcomes))
    _write_json(json_file, outcomes, direction.value, threads)
    _plot(title, outcomes, names, plot_file, roofline)
    _fail_if_wrong(out, outcomes)


def _title(direction: Direction, dtype: str, precision: Precision, threads: int) -> str:
    kind = f"{dtype}{', fast' * (precision is Precision.FAST)}"
    return f"{direction.value}, {kind}, threads: {threads}"


def _peers(direction: Direction) -> tuple[Contender, ...]:
    return TRANSPOSED_PEERS if direction is Direction.TRANSPOSED else PEERS


def _prepared(direction: Direction) -> tuple[Contender, ...]:
    return (PREPARED_TRANSPOSED if direction is Direction.TRANSPOSED else PREPARED,)


def _write_json(path: Path | None, outcomes: list[Outcome], direction: str, threads: int) -> None:
    if path is not None:
        path.write_text(_as_json(outcomes, direction, threads), encoding="utf-8")


def _fail_if_wrong(out: Console, outcomes: list[Outcome]) -> None:
    wrong = [outcome.layer.name for outcome in outcomes if not outcome.agrees]
    if wrong:
        out.print(f"Results differ by more than rounding: {', '.join(wrong)}", style="bold red")
        raise typer.Exit(1)


@contextmanager
def _precision(precision: str) -> Iterator[None]:
    """Let the engine plan for a precision inside the block, in the whole process."""
    before = current_settings().precision
    fastconv.configure(precision=precision)
    try:
        yield
    finally:
        fastconv.configure(precision=before)


def _check(
    direction: Direction, roofline: bool, json_file: Path | None, plot_file: Path | None
) -> None:
    """Find out before the work whether there will be results, and whether they can be written."""
    if roofline and direction.moves:
        raise ParameterError("roofline: pools and columns have no multiplications")
    if plot_file is not None:
        require("demo", "matplotlib")
    for name, path in (("json", json_file), ("plot", plot_file)):
        if path is not None:
            check_file(name, path)


def _contenders(
    out: Console,
    reference: bool,
    numpy: bool,
    prepared: tuple[Contender, ...],
    peers: tuple[Contender, ...],
) -> list[Contender]:
    """Return who takes part, the one that the others are compared with first."""
    chosen: list[Contender] = [REFERENCE] if reference else []
    chosen += [WINDOW_VIEW, PURE_NUMPY, ENGINE] if numpy else [ENGINE]
    chosen += prepared
    if peers:
        found = {peer.name: peer.available() for peer in peers}
        words = [f"{name} {'found' if there else 'not installed'}" for name, there in found.items()]
        out.print(f"Peers: {', '.join(words)}.")
        chosen += [peer for peer in peers if found[peer.name]]
    return chosen


def _race_all(
    chosen: list[Layer],
    contenders: Sequence[Contender],
    seconds: float,
    threads: int,
    roofline: bool,
) -> list[Outcome]:
    outcomes, best = [], 0.0
    # once around everything: to set threads in each call would take longer than the smallest layers
    with own_threads(threads), progress() as bars:
        task = bars.add_task("", total=len(chosen))
        for layer in chosen:
            bars.update(task, description=layer.name)
            outcomes.append(race(layer, contenders, seconds, threads))
            if roofline:  # between the layers, so that a slow moment does not lower it
                best = max(best, peak(layer.problem.dtype, threads))
            bars.advance(task)
    return [replace(outcome, peak=best or None) for outcome in outcomes]


def _roof(outcomes: list[Outcome]) -> str:
    shares = [share for outcome in outcomes if (share := outcome.share_of_peak) is not None]
    mean, best = geometric_mean(shares) or 0.0, (outcomes[0].peak or 0.0) / 1e9
    return (
        f"micro-kernel from the nearest cache: {significant(best)} GFLOP/s;"
        f" the layers reach {mean:.0%} of it (geometric mean; {min(shares):.0%} to"
        f" {max(shares):.0%})"
    )


def _others(contenders: Sequence[Contender], outcomes: list[Outcome]) -> list[str]:
    """Return the names of those, besides the engine, that took part in any layer."""
    names = [contender.name for contender in contenders if contender.name not in OWN]
    return [name for name in names if any(name in outcome.seconds for outcome in outcomes)]


def _table(title: str, outcomes: list[Outcome], names: list[str], moves: bool) -> Table:
    columns = [
        column
        for column in _columns(names, moves)
        if any(column[1](outcome) is not None for outcome in outcomes)
    ]
    shown = table(title, ["layer", "algorithm"], [name for name, _ in columns])
    for outcome in outcomes:
        texts = (text(outcome) for _, text in columns)
        shown.add_row(
            outcome.layer.name,
            outcome.algorithm,
            *("–" if text is None else text for text in texts),
            style=None if outcome.agrees else "red",
        )
    return shown


def _columns(names: list[str], moves: bool) -> list[tuple[str, Callable[[Outcome], str | None]]]:
    """Return heading and text of every column of numbers; None where there is no number."""

    def time_of(name: str) -> Callable[[Outcome], str | None]:
        return lambda outcome: _or_none(milliseconds, outcome.seconds.get(name))

    return [
        (f"{REFERENCE.name} ms", time_of(REFERENCE.name)),
        ("engine ms", time_of(ENGINE.name)),
        ("prepared ms", time_of(PREPARED.name)),
        (
            "GB/s" if moves else "GFLOP/s",
            lambda outcome: significant(outcome.gigabytes if moves else outcome.gigaflops),
        ),
        ("of peak", lambda outcome: _or_none("{:.0%}".format, outcome.share_of_peak)),
        ("ratio", lambda outcome: _or_none(times, outcome.ratio(REFERENCE.name))),
        *((f"{name} ms", time_of(name)) for name in names if name != REFERENCE.name),
        ("best peer / ours", lambda outcome: _or_none(times, outcome.peer_ratio)),
        ("error", lambda outcome: f"{outcome.errors.get(ENGINE.name, 0):.1e}"),
        ("scratch MiB", lambda outcome: f"{outcome.scratch_bytes / 2**20:.2f}"),
    ]


def _or_none(text: Callable[[float], str], number: float | None) -> str | None:
    return None if number is None else text(number)


def _means(outcomes: list[Outcome], names: list[str]) -> list[str]:
    """Say how the engine compares with each of the others, over the layers both computed."""
    lines = [
        _mean(name, "the engine's time", [outcome.ratio(name) for outcome in outcomes])
        for name in names
    ]
    peers = [outcome.peer_ratio for outcome in outcomes]
    lines.append(_mean("best peer", "our time, prepared where weights can be", peers))
    return [line for line in lines if line]


def _mean(name: str, of: str, found: list[float | None]) -> str:
    ratios = [ratio for ratio in found if ratio is not None]
    mean = geometric_mean(ratios)
    if mean is None:
        return ""
    return (
        f"{name}: {times(mean)} {of}"
        f" (geometric mean; layers: {len(ratios)}; {times(min(ratios))} to {times(max(ratios))})"
    )


def _as_json(outcomes: list[Outcome], direction: str, threads: int) -> str:
    machine: dict[str, Any] = fastconv.info()
    machine["settings"] = asdict(machine["settings"])
    del (
        machine["cache_folder"],
        machine["tuned_plans"],
    )  # whoever reads the numbers need not know where things lie
    content = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "direction": direction,
        "threads": threads,
        "dtype": outcomes[0].layer.problem.dtype.name,
        "machine": machine,
        "peak_flop_per_s": outcomes[0].peak,
        "layers": [outcome.record() for outcome in outcomes],
    }
    return json.dumps(content, indent=1) + "\n"


def _plot(
    title: str, outcomes: list[Outcome], names: list[str], path: Path | None, roofline: bool
) -> None:
    if path is None:
        return
    from fastconv.cli.plot import draw_ratios, draw_shares  # imports matplotlib: a second

    if roofline:
        draw_shares(title, outcomes, path)
    else:
        draw_ratios(title, outcomes, names, path)
