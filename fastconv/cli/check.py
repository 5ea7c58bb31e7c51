"""`fastconv check`: every algorithm against the reference, on edge cases and random problems."""

import secrets
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated

import typer

from fastconv.algorithms import ALGORITHMS
from fastconv.cli.compare import REFERENCE, Failure, first_failure
from fastconv.cli.console import console, help_text, progress
from fastconv.cli.generate import random_problems
from fastconv.cli.problems import edge_problems
from fastconv.cli.shrink import shrink
from fastconv.problem import Problem

SECONDS = 20.0
HELP = help_text(
    """Check every algorithm against the reference.

First the list of edge cases, then random problems, for a time or a count. Each problem is solved
by every algorithm that accepts it: on integers (equal bit for bit), with a tight limit of scratch
memory, on strided inputs, with NaN and infinities, and on normal random numbers (equal within
rounding).

A failure is made as small as possible and printed as one line that --problem repeats; the exit
code is then 1.""",
    "fastconv check",
    "fastconv check --seconds 300 --seed 7",
    'fastconv check --problem "conv forward x=1x3x8x8 w=4x3x3x3 s=2 p=1 float32"',
)


@dataclass
class Tally:
    """What has been checked."""

    problems: int = 0
    runs: Counter[str] = field(
        default_factory=lambda: Counter(
            {algorithm.name: 0 for algorithm in ALGORITHMS if algorithm.name != REFERENCE}
        )
    )


def check(
    seconds: Annotated[
        float | None,
        typer.Option(min=0, help=f"Time for random problems ({SECONDS:g} by default)."),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=0, help="Number of random problems, instead of a time.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Draw the same random problems again.")
    ] = None,
    problem: Annotated[
        str | None, typer.Option(metavar="LINE", help="Check this one problem only.")
    ] = None,
) -> None:
    """Check every algorithm against the reference."""
    tally = Tally()
    seed = secrets.randbelow(10**6) if seed is None else seed
    if problem is not None:
        failure = _first([Problem.parse(problem)], tally, "problem")
    else:
        failure = _first(edge_problems(), tally, "edge cases")
        failure = failure or _random(tally, seconds, count, seed)
    if failure is not None:
        _report(failure)
        raise typer.Exit(1)
    drawn = "" if problem is not None else f" (random ones of seed {seed})"
    out = console()
    out.print(f"All algorithms agree with the reference. Problems: {tally.problems}{drawn}.")
    out.print("Runs: " + ", ".join(f"{name} {runs}" for name, runs in tally.runs.items()))


def _random(tally: Tally, seconds: float | None, count: int | None, seed: int) -> Failure | None:
    if seconds is None and count is None:
        seconds = SECONDS
    problems = islice(random_problems(seed), count)
    if seconds is None:
        return _first(problems, tally, "random problems", count)
    return _first(_until(problems, seconds), tally, "random problems", count)


def _until(problems: Iterator[Problem], seconds: float) -> Iterator[Problem]:
    end = time.monotonic() + seconds
    while time.monotonic() < end and (problem := next(problems, None)) is not None:
        yield problem


def _first(
    problems: list[Problem] | Iterator[Problem], tally: Tally, name: str, total: int | None = None
) -> Failure | None:
    """Return the first failure among problems."""
    total = len(problems) if isinstance(problems, list) else total
    with progress() as bars:
        for problem in bars.track(problems, total=total, description=name):
            tally.problems += 1
            failure = first_failure(problem, runs=tally.runs)
            if failure is not None:
                return failure
    return None


def _report(failure: Failure) -> None:
    """Shrink a failure and print it, with the command that repeats it."""
    smallest = failure

    def fails(problem: Problem) -> bool:
        nonlocal smallest
        found = first_failure(problem, only=failure.algorithm)
        if found is None or found.algorithm != failure.algorithm:
            return False
        smallest = found
        return True

    with progress() as bars:
        bars.add_task("making it smaller", total=None)
        shrink(failure.problem, fails)
    out = console()
    rows = {
        "FAILED": str(smallest.problem),
        "algorithm": smallest.algorithm,
        "data": smallest.trial,
        "largest difference": f"{smallest.difference:.6g} ({smallest.reason})",
        "first seen on": str(failure.problem),
        "repeat with": f'fastconv check --problem "{smallest.problem}"',
    }
    for name, value in rows.items():
        out.print(f"{name:<18}  {value}", markup=False, soft_wrap=True)
