"""Measures the planner's thresholds again, on the CPU at hand.

    .venv/bin/python -m benchmarks.thresholds

For each constant that a cache or a hand-over decides, the layers it matters for are timed with
several values of it in turns, and the geometric mean of the times relative to the value in the code
is printed: a column well below 1 says that this CPU wants another value.
"""

import importlib
import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from rich.table import Table

import fastconv
from fastconv.algorithms import (
    channel_vectors,
    depthwise,
    implicit_gemm,
    winograd_cost,
    winograd_engine,
)
from fastconv.cli.console import console, progress
from fastconv.cli.layers import Layer, layers
from fastconv.cli.operands import operands
from fastconv.plan import planner
from fastconv.problem import Problem

SECONDS = 0.4
"""Time for all values of a constant on one layer."""


@dataclass(frozen=True)
class Threshold:
    """A constant of a module, other values of it, and the layers and threads to try them on."""

    module: str
    name: str
    values: tuple[float, ...]
    pattern: str
    threads: int = 1
    lines: tuple[str, ...] = ()
    """Problems to try them on in the place of layers."""


LARGE_WINDOWS = (
    "conv forward x=1x1x512x512 w=1x1x15x15 p=7 float32",
    "conv forward x=1x1x512x512 w=1x1x31x31 p=15 float32",
    "conv forward x=1x3x256x256 w=3x1x21x21 p=10 g=3 float32",
    "conv forward x=1x64x56x56 w=64x1x31x31 p=15 g=64 float32",
    "conv forward x=1x16x64x64 w=16x16x15x15 p=7 float32",
    "conv forward x=1x16x64x64 w=16x16x31x31 p=15 float32",
    "conv forward x=1x3x224x224 w=64x3x11x11 p=5 float32",
    "conv forward x=1x1x100000 w=1x1x301 p=150 float32",
    "conv forward x=1x1x100000 w=1x1x1001 p=500 float32",
    "conv forward x=1x8x16000 w=8x8x401 p=200 float32",
)
WINOGRAD = r"3x3$|conv[345]_|unet"
THRESHOLDS = (
    Threshold("implicit_gemm", "CHANNEL_BLOCK", (16, 32, 64, 128, 256), r"3x3$|conv[345]_|1x1"),
    Threshold(
        "implicit_gemm", "PANELS_BYTES", (2**16, 2**17, 2**18, 2**19, 2**20), r"3x3$|1x1|_2$"
    ),
    Threshold(
        "implicit_gemm", "SERIAL_FLOPS", (0, 2**18, 2**20, 2**22, 2**62), r"1x1a|expand|lenet", 2
    ),
    Threshold("implicit_gemm", "WAKE_FLOPS", (0, 2**22, 2**23, 2**25), r"1x1a|expand|lenet", 2),
    Threshold("implicit_gemm", "ITEMS_PER_THREAD", (4, 8, 24, 64), r"resnet|vgg", 2),
    Threshold("depthwise", "SERIAL_FLOPS", (0, 2**19, 2**21, 2**62), r"dw", 2),
    Threshold("channel_vectors", "GAIN", (0, 0.9, 1.0, 1.06, 9), r"[345]\.|conv[1-5]"),
    Threshold("fft", "GAIN", (0, 0.4, 0.6, 0.8, 1, 9), "", lines=LARGE_WINDOWS),
    Threshold("channel_vectors", "PHASES_COST", (1, 1.08, 1.2), r"conv1$|down"),
    Threshold("winograd_cost", "NEAR_BYTES", (2**18, 2**19, 3 * 2**18, 2**20), WINOGRAD),
    Threshold("winograd_cost", "MOST_BYTES", (2**20, 3 * 2**20, 6 * 2**20, 12 * 2**20), WINOGRAD),
    Threshold("winograd_cost", "FEWEST_BLOCKS", (1, 4, 8, 16), WINOGRAD, 2),
    Threshold("winograd_cost", "TURN_COST", (6.0, 12.0, 18.0, 24.0), WINOGRAD),
    Threshold("winograd_cost", "POINT_COST", (0.6, 1.2, 2.4), WINOGRAD),
    Threshold("winograd_cost", "NEAR_COST", (0.0, 0.1, 0.5), WINOGRAD),
    Threshold("winograd_engine", "LONGEST_SUM", (32, 64, 128, 256), WINOGRAD),
)


def times(threshold: Threshold, layer: Layer) -> dict[float, float]:
    """Return the best time of a prepared call on a layer by each value."""
    module = importlib.import_module(f"fastconv.algorithms.{threshold.module}")
    before = getattr(module, threshold.name)
    calls = {}
    try:
        for value in dict.fromkeys((before, *threshold.values)):
            setattr(module, threshold.name, value)
            _forget()
            calls[value] = _prepared(layer)
            calls[value]()
        best = dict.fromkeys(calls, math.inf)
        end = time.perf_counter() + SECONDS
        while math.inf in best.values() or time.perf_counter() < end:
            for value, call in calls.items():
                setattr(module, threshold.name, value)  # some are looked at in every call
                start = time.perf_counter()
                call()
                best[value] = min(best[value], time.perf_counter() - start)
    finally:
        setattr(module, threshold.name, before)
        _forget()
    return best


def _prepared(layer: Layer) -> Callable[[], object]:
    """Return a call whose plan, packing and bound loops were made with the constants of now."""
    x, w, *_ = operands(layer.problem, "normal")
    geometry = layer.problem.conv
    axes = geometry.axes
    conv = fastconv.prepare_conv(
        w,
        stride=[axis.stride for axis in axes],
        padding=[(axis.before, axis.after) for axis in axes],
        dilation=[axis.dilation for axis in axes],
        groups=geometry.groups,
    )
    conv(x)
    return lambda: conv(x)


def _forget() -> None:
    planner._plan.cache_clear()
    for module in (channel_vectors, depthwise, implicit_gemm):
        module._engine.cache_clear()
    for cached in (winograd_engine.engine_of, winograd_cost.blocks_of, winograd_cost.cost):
        cached.cache_clear()


def main() -> None:
    """Print how every value compares with the one in the code."""
    with progress() as bars:
        task = bars.add_task("", total=len(THRESHOLDS))
        rows = []
        for threshold in THRESHOLDS:
            bars.update(task, description=threshold.name)
            rows.append(_row(threshold))
            bars.advance(task)
    table = Table("constant", "in the code", "time relative to that, by value")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def _row(threshold: Threshold) -> tuple[str, str, str]:
    module = importlib.import_module(f"fastconv.algorithms.{threshold.module}")
    current = getattr(module, threshold.name)
    logs: dict[float, list[float]] = defaultdict(list)
    chosen = [Layer(line, Problem.parse(line)) for line in threshold.lines]
    for layer in chosen or layers("forward", threshold.pattern):
        with fastconv.settings(threads=threshold.threads):
            measured = times(threshold, layer)
        for value, seconds in measured.items():
            logs[value].append(math.log(seconds / measured[current]))
    means = {value: math.exp(sum(log) / len(log)) for value, log in logs.items()}
    shown = ", ".join(f"{value}: {mean:.2f}" for value, mean in sorted(means.items()))
    return f"{threshold.module}.{threshold.name}", str(current), shown


if __name__ == "__main__":
    main()
