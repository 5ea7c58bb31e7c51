"""Showing training: a table that grows by a row an epoch, and the speeds of the engines."""

import time
from collections.abc import Callable

from rich.table import Table

from fastconv import nn
from fastconv.cli.console import milliseconds, table, times
from fastconv.cli.engines import Engine, on
from fastconv.dtypes import Array
from fastconv.nn.losses import Loss
from fastconv.nn.trainer import History

SECONDS = 1.0
"""How long an engine repeats its step to be timed."""
COLUMNS = {
    "loss": "training loss",
    "accuracy": "training accuracy",
    "validation_loss": "test loss",
    "validation_accuracy": "test accuracy",
    "seconds": "seconds taken",
}
Step = Callable[[], None]


def epochs_table(title: str, history: History) -> Table:
    """Return a table with a row an epoch."""
    shown = table(title, (), ("epoch", *COLUMNS.values()))
    for number, row in enumerate(history.epochs, 1):
        shown.add_row(str(number), *(_number(name, row[name]) for name in COLUMNS))
    return shown


def speeds(make: Callable[[], tuple[nn.Layer, Loss]], x: Array, target: Array) -> Table:
    """Time a step of training of a model on every engine, from the same parameters."""
    measured = {engine: _step_seconds(engine, make, x, target) for engine in Engine}
    title = f"A step of training, {len(x)} {'image' if len(x) == 1 else 'images'}"
    shown = table(title, ["engine"], ("ms a step", "images a second", "speed-up"))
    for engine, seconds in measured.items():
        rate = f"{len(x) / seconds:,.0f}"
        ratio = times(measured[Engine.REFERENCE] / seconds)
        shown.add_row(engine.value, milliseconds(seconds), rate, ratio)
    return shown


def _step_seconds(
    engine: Engine, make: Callable[[], tuple[nn.Layer, Loss]], x: Array, target: Array
) -> float:
    """Return the best time of some steps; the first does not count: it plans, and may compile."""
    model, loss = make()
    optimiser = nn.SGD(model, 1e-6)
    best = float("inf")
    with on(engine):
        _step(model, loss, optimiser, x, target)
        end = time.perf_counter() + SECONDS
        while True:
            start = time.perf_counter()
            _step(model, loss, optimiser, x, target)
            stop = time.perf_counter()
            best = min(best, stop - start)
            if stop > end:
                return best


def _step(model: nn.Layer, loss: Loss, optimiser: nn.Optimiser, x: Array, target: Array) -> None:
    _, gradient = loss(model.forward(x), target)
    model.backward_parameters(gradient)
    optimiser.step()


def _number(name: str, value: float) -> str:
    if name == "seconds":
        return f"{value:.2f}"
    return f"{value:.4f}"
