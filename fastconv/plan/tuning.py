"""Measuring the algorithms of a problem: each runs it on data made up for that, in turns."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fastconv.algorithms import Inputs, Outputs
from fastconv.dtypes import Array
from fastconv.errors import AccumulatorError, PlanError
from fastconv.plan.plan import Plan
from fastconv.plan.settings import Settings
from fastconv.plan.wisdom import remember
from fastconv.problem import Problem

SECONDS = 0.03
"""Time of each algorithm's runs, one of its first and one more at least."""
HOPELESS = 4
"""Times the fastest first run after which an algorithm does not run again."""
SAMPLED = ("conv", "columns", "max_pool", "min_pool", "avg_pool", "lp_pool", "quantile_pool")
"""Operations that data can be made up for; the others have one algorithm beside the plain loops."""
_turn = threading.RLock()
"""Measurements wait for one another, for each would slow the other down."""


def measured(
    problem: Problem,
    settings: Settings,
    names: list[str],
    plan: Callable[[Problem, Settings], Plan],
    asked: bool,
) -> str | None:
    """Return the fastest of some algorithms, and remember it; None if there is nothing to measure.

    `plan` returns the plan of a problem under settings.
    """
    if problem.empty or problem.operation not in SAMPLED or not names:
        return None
    if len(names) == 1:
        best = names[0]
    else:
        with _turn:
            best = _fastest(problem, settings, names, plan)
    remember(problem, settings, best, asked)
    return best


def _fastest(
    problem: Problem,
    settings: Settings,
    names: list[str],
    plan: Callable[[Problem, Settings], Plan],
) -> str:
    inputs, outputs = _scratch_inputs(problem), _scratch_outputs(problem)
    calls: dict[str, Callable[[], None]] = {}
    for name in names:
        try:
            forced = plan(problem, replace(settings, algorithm=name, plan="rule"))
            forced.run(inputs, outputs)  # compiles, and brings the data to the caches
        except (PlanError, AccumulatorError, MemoryError):
            continue
        calls[name] = partial(forced.run, inputs, outputs)
    best = {name: _timed(call) for name, call in calls.items()}
    least = min(best.values(), default=math.inf)
    left = {name: SECONDS - best[name] for name in best if best[name] < HOPELESS * least}
    while left and len(best) > 1:
        for name in list(left):
            seconds = _timed(calls[name])
            best[name] = min(best[name], seconds)
            left[name] -= seconds
            if left[name] <= 0:
                del left[name]
    return min(best, key=best.__getitem__, default=names[0])


def _timed(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _scratch_inputs(problem: Problem) -> Inputs:
    """Make up inputs, as `algorithms.Algorithm` lists them."""
    forward = problem.direction == "forward"
    if problem.operation == "columns":
        x = problem.window.input_shape if forward else problem.columns_shape
        return (
            (_noise(x, problem), np.zeros((), problem.dtype)) if forward else (_noise(x, problem),)
        )
    if problem.operation == "conv":
        w = problem.conv.weight_shape
        shapes: dict[str, list[tuple[int, ...]]] = {
            "forward": [problem.x_shape, w],
            "input_gradient": [w, problem.y_shape],
            "weight_gradient": [problem.x_shape, problem.y_shape],
        }
        arrays = [_noise(shape, problem) for shape in shapes[problem.direction]]
        return (*arrays, None) if forward else tuple(arrays)
    if forward:
        return (_noise(problem.x_shape, problem),)
    gy = _noise(problem.y_shape, problem)
    if problem.operation == "lp_pool":
        return (gy, _noise(problem.x_shape, problem), np.ones_like(gy))
    return (gy,)


def _scratch_outputs(problem: Problem) -> Outputs:
    result = np.empty(problem.result_shape, problem.result_dtype)
    return (result, np.empty(problem.result_shape, np.int64)) if problem.indices else (result,)


def _noise(shape: tuple[int, ...], problem: Problem) -> Array:
    """Return numbers that are neither all alike nor ever denormal."""
    numbers: Any = np.random.default_rng(0).integers(-3, 4, shape)
    if problem.dtype.kind in "bu":
        numbers = np.abs(numbers) % 2
    array: Array = numbers.astype(problem.dtype)
    return array
