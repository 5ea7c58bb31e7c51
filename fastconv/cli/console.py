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
    """Return progress bars on stderr, if that is a terminal, that vanish when done."""
    shown = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=shown,
        transient=True,
        disable=not shown.is_terminal,
    )


def table(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    """Return an empty table: columns of words to the left, columns of numbers to the right."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for name in words:
        made.add_column(name, no_wrap=True, vertical="bottom")
    for name in numbers:
        # a heading of two lines, for the numbers are short
        made.add_column(name.replace(" ", "\n", 1), justify="right", no_wrap=True)
    return made


def show(made: Table) -> None:
    """Print a table whole, even where the terminal is narrower."""
    out = console()
    needed = out.measure(made, options=out.options.update(max_width=PIPED_WIDTH)).maximum
    Console(width=max(out.width, needed), highlight=False).print(made)


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


def help_text(text: str, *examples: str) -> str:
    """Return a command's help: paragraphs, whose lines are joined, and examples, one a line."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    shown = ["\b", "[bold]Examples[/bold]", *(f"  {example}" for example in examples)]
    return "\n\n".join([*paragraphs, "\n".join(shown)])  # \b keeps the lines of a paragraph apart
