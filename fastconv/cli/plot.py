"""The plots of a benchmark: the times of others, or the share of the peak that is reached."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fastconv.cli.contenders import CONTENDERS, PREPARED
from fastconv.cli.race import Outcome

COLOURS = dict(
    zip(
        dict.fromkeys(contender.name for contender in CONTENDERS),  # names come once
        ("#9a9a9a", "#000000", "#8c5fb0", "#c9a227", "#3b6fb6", "#d9722e", "#4a9a5b"),
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


def draw_shares(title: str, outcomes: list[Outcome], path: Path) -> None:
    """Draw what share of the micro-kernel's own peak each layer reaches.

    Parameters
    ----------
    title : str
        What was measured.
    outcomes : list of Outcome
        The layers, from top to bottom, with a peak.
    path : Path
        The file to write; its suffix chooses the format.
    """
    shares = [100 * (outcome.share_of_peak or 0.0) for outcome in outcomes]
    figure = Figure(figsize=(9, 1.3 + 1.6 * ROW * len(outcomes)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rows = np.arange(len(outcomes))
    axes.barh(rows, shares, height=0.75, color=COLOURS[PREPARED.name])
    for row, (share, outcome) in enumerate(zip(shares, outcomes, strict=True)):
        text = f" {share:.0f} %  {outcome.layer.problem.flops / 1e6:,.1f} Mflop"
        ground = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.text(share + 0.5, row, text, va="center", size=8, bbox=ground)
    axes.set_yticks(rows, [outcome.layer.name for outcome in outcomes])
    axes.set_ylim(len(outcomes) - 0.4, -0.6)  # from top to bottom
    axes.set_xlim(0, max(118.0, 1.18 * max(shares)))
    axes.axvline(100, color="black", linewidth=1)
    axes.set_xlabel("% of what the micro-kernel reaches from the nearest cache, in the same run")
    axes.set_title(title, loc="left")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)
