"""The plot of a benchmark: how many times the engine's time the others take."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fastconv.cli.contenders import CONTENDERS
from fastconv.cli.race import Outcome

COLOURS = dict(
    zip(
        (contender.name for contender in CONTENDERS),
        ("#9a9a9a", "#000000", "#3b6fb6", "#d9722e", "#4a9a5b"),
        strict=True,
    )
)
ROW = 0.16
"""Inches of a bar."""


def draw_ratios(title: str, outcomes: list[Outcome], names: list[str], path: Path) -> None:
    """Draw a bar for each layer and contender; right of the line at 1 the engine is faster.

    Parameters
    ----------
    title : str
        What was measured.
    outcomes : list of Outcome
        The layers, from top to bottom.
    names : list of str
        The contenders, from top to bottom in each layer.
    path : Path
        The file to write; its suffix chooses the format.
    """
    step = len(names) + 1
    figure = Figure(figsize=(9, 1.3 + ROW * step * len(outcomes)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, name in enumerate(names):
        rows = [row for row, outcome in enumerate(outcomes) if outcome.ratio(name) is not None]
        ratios = [outcomes[row].ratio(name) or 0.0 for row in rows]
        at = np.array(rows) * step + place
        # bars start at 1, where both are equally fast
        axes.barh(at, np.array(ratios) - 1, left=1, height=0.9, color=COLOURS[name], label=name)
    middles = np.arange(len(outcomes)) * step + (len(names) - 1) / 2
    axes.set_yticks(middles, [outcome.layer.name for outcome in outcomes])
    axes.set_ylim(len(outcomes) * step - 0.5, -1.5)  # from top to bottom
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.set_xlabel("time relative to the engine (right of the line the engine is faster)")
    axes.set_title(title, loc="left")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper right", ncols=len(names), frameon=False)
    figure.savefig(path)
