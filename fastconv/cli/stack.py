"""The classic stack of three layers: filters, ReLU, 2x2 max pool; three times over.

It is written against the names that `fastconv` and `fastconv.reference` share, so that the same
lines run on both.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

import numpy as np

import fastconv
from fastconv import reference
from fastconv.cli.console import milliseconds, times
from fastconv.dtypes import Array
from fastconv.errors import ParameterError

SMALLEST = 42
"""Pixels of an image's side that leave one element after the last pool."""
SECONDS = 0.3
"""Time after which a stage is not repeated."""

Step = Callable[[ModuleType, Array], Array]


@dataclass(frozen=True)
class Stage:
    """One step of the stack; `bank` holds its filters, if it has any."""

    name: str
    step: Step
    bank: Array | None = None


@dataclass(frozen=True)
class Measured:
    """What a stage made and how long it took: the best of some repetitions, in seconds."""

    stage: Stage
    maps: Array
    reference: float
    engine: float
    difference: float


def speed_up(rows: list[Measured]) -> tuple[str, ...]:
    """Return, in words, both forms' milliseconds, their ratio and the largest difference."""
    slow = sum(row.reference for row in rows)
    fast = sum(row.engine for row in rows)
    difference = max(row.difference for row in rows)
    return milliseconds(slow), milliseconds(fast), times(slow / fast), f"{difference:.1e}"


def three_layers(channels: int, seed: int = 0) -> list[Stage]:
    """Return the stages of the stack for an input of so many channels.

    The first bank finds vertical and horizontal edges; the filters of the others are random, with
    a sum of zero, so that they too see structure and not brightness.
    """
    rng = np.random.default_rng(seed)
    banks = {
        "2 edge filters 3x3": _edges(channels),
        "3 filters 5x5": _random(rng, (3, 2, 5, 5)),
        "1 filter 7x7": _random(rng, (1, 3, 7, 7)),
    }
    stages = []
    for number, (words, bank) in enumerate(banks.items(), 1):
        stages += [
            Stage(f"convolution {number}: {words}", _convolution(bank), bank),
            Stage(f"ReLU {number}", _relu),
            Stage(f"max pool {number}: 2x2", _pool),
        ]
    return stages


def check_size(shape: tuple[int, ...]) -> None:
    """Raise a `ParameterError` unless an image `(..., H, W)` is large enough for the stack."""
    height, width = shape[-2:]
    if min(height, width) < SMALLEST:
        raise ParameterError(
            f"image: expected at least {SMALLEST}x{SMALLEST} pixels, got {height}x{width}"
        )


def ready_reference() -> float:
    """Call the reference once, so that its loops are compiled; return the seconds that took."""
    start = time.perf_counter()
    x = np.zeros((1, 1, 4, 4), np.float32)
    reference.max_pool2d(reference.conv2d(x, x[..., :2, :2]), 2)
    return time.perf_counter() - start


def measure(stages: list[Stage], image: Array, repetitions: int) -> Iterator[Measured]:
    """Run the stages on the reference and on the engine, each on its own results."""
    slow = fast = image
    for stage in stages:
        maps, other, seconds = _race(stage.step, slow, fast, repetitions)
        difference = float(np.abs(maps - other).max())
        yield Measured(stage, other, *seconds, difference)
        slow, fast = maps, other


def _race(
    step: Step, slow: Array, fast: Array, repetitions: int
) -> tuple[Array, Array, tuple[float, float]]:
    """Alternate between reference and engine; return both results and both best times.

    The first call of each does not count: it plans, and may compile.
    """
    step(reference, slow)
    step(fastconv, fast)
    best = [np.inf, np.inf]
    end = time.perf_counter() + SECONDS
    for _ in range(repetitions):
        first = time.perf_counter()
        expected = step(reference, slow)
        second = time.perf_counter()
        got = step(fastconv, fast)
        third = time.perf_counter()
        best = [min(best[0], second - first), min(best[1], third - second)]
        if third > end:
            break
    return expected, got, (best[0], best[1])


def _convolution(bank: Array) -> Step:
    def convolve(engine: ModuleType, x: Array) -> Array:
        result: Array = engine.conv2d(x, bank)
        return result

    return convolve


def _relu(engine: ModuleType, x: Array) -> Array:
    """NumPy's own in both runs, for it is no window operation."""
    return np.maximum(x, np.float32(0))


def _pool(engine: ModuleType, x: Array) -> Array:
    result: Array = engine.max_pool2d(x, 2)
    return result


def _edges(channels: int) -> Array:
    """Return (2, channels, 3, 3): brighter to the right, and brighter below."""
    vertical = np.array([[-1, 0, 1]] * 3, np.float32) / channels
    bank = np.stack([vertical, vertical.T])
    return np.ascontiguousarray(np.repeat(bank[:, np.newaxis], channels, axis=1))


def _random(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    bank = rng.standard_normal(shape)
    bank -= bank.mean(axis=(2, 3), keepdims=True)
    return np.asarray(bank / np.sqrt(np.prod(shape[1:])), np.float32)
