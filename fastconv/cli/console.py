"""How the commands show things: consoles, progress bars, and numbers in tables."""

import math
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

PIPED_WIDTH = 200
"""Columns of a table that no terminal shows, so that a file or a pager gets it whole."""


def console() -> Console:
    """Return the console of results; text only and wide where stdout is no terminal."""
    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)


def progress() -> Progress:
    """Return progress bars on stderr that vanish when done, so that stdout holds results alone."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def table(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    """Return an empty table: columns of words to the left, columns of numbers to the right."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for name in words:
        made.add_column(name, overflow="fold")
    for name in numbers:
        made.add_column(name, justify="right", no_wrap=True)
    return made


def milliseconds(seconds: float | None) -> str:
    """Return a time in ms with three significant digits; a dash for None."""
    return "–" if seconds is None else significant(seconds * 1e3)


def times(ratio: float | None) -> str:
    """Return a speed-up; a dash for None."""
    return "–" if ratio is None else f"{significant(ratio)}×"


def significant(number: float) -> str:
    """Return a number with about three significant digits and no exponent."""
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(number))))
    return f"{number:.{min(digits, 4)}f}"


def shape(sizes: Sequence[int]) -> str:
    """Return a shape as it is written in a problem's line: `2x149x224`."""
    return "x".join(map(str, sizes))


def geometric_mean(ratios: Sequence[float]) -> float | None:
    """Return the geometric mean, or None of nothing."""
    if not ratios:
        return None
    return math.exp(sum(map(math.log, ratios)) / len(ratios))
