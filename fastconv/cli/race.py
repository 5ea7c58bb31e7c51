"""Contenders on one layer: results compared first, then timed in turns."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastconv.algorithms import Inputs
from fastconv.cli.contenders import ENGINE, OWN, PEERS, PREPARED, REFERENCE, Call, Contender
from fastconv.cli.layers import Layer
from fastconv.cli.operands import operands, run_problem, tolerance
from fastconv.dtypes import Array
from fastconv.plan import plan_for
from fastconv.problem import Problem

TURN_SECONDS = 0.05
"""Time of one contender's calls before it is another's turn."""
QUIET_SECONDS, MOST_SETTLING = 0.002, 0.3
"""How long no thread may have worked before a turn, and how long that is waited for."""

COMPILED = (*OWN, REFERENCE.name)
"""Whose first calls may compile, which is not what is measured."""
LONGEST_TO_REPEAT = 5.0
"""Seconds of a first call of the reference beyond which what it compiled matters little."""


@dataclass(frozen=True)
class Outcome:
    """What a race on one layer found.

    Attributes
    ----------
    layer : Layer
        The layer and its problem.
    algorithm : str
        The engine's.
    scratch_bytes : int
        The engine's scratch memory.
    seconds : dict of str to float
        Best time of each contender that took part.
    errors : dict of str to float
        Largest difference of each from the first contender, relative to the largest output.
    agrees : bool
        Whether the engine's errors are within what rounding explains.
    peak : float or None
        What the micro-kernel reaches from the nearest cache, in operations a second, if that was
        measured.
    """

    layer: Layer
    algorithm: str
    scratch_bytes: int
    seconds: dict[str, float]
    errors: dict[str, float]
    agrees: bool
    peak: float | None = None

    @property
    def gigaflops(self) -> float:
        """Of the engine, in GFLOP/s of the direct algorithm."""
        return self.layer.problem.flops / self.seconds[ENGINE.name] / 1e9

    @property
    def gigabytes(self) -> float:
        """Of the engine, in GB/s of input read and output written once."""
        return moved_bytes(self.layer.problem) / self.seconds[ENGINE.name] / 1e9

    def ratio(self, name: str) -> float | None:
        """Return how many times the engine's time another contender takes."""
        if name not in self.seconds:
            return None
        return self.seconds[name] / self.seconds[ENGINE.name]

    @property
    def peer_ratio(self) -> float | None:
        """How many times our time the fastest peer takes: prepared, where weights can be."""
        peers = [self.seconds[peer.name] for peer in PEERS if peer.name in self.seconds]
        ours = self.seconds.get(PREPARED.name, self.seconds.get(ENGINE.name))
        return min(peers) / ours if peers and ours else None

    @property
    def share_of_peak(self) -> float | None:
        """What part of the micro-kernel's own peak the engine, prepared if it can be, reaches."""
        if self.peak is None:
            return None
        seconds = min(self.seconds[name] for name in OWN if name in self.seconds)
        return self.layer.problem.flops / seconds / self.peak

    def record(self) -> dict[str, Any]:
        """Return every number, for JSON."""
        others = [name for name in self.seconds if name != ENGINE.name]
        return {
            "layer": self.layer.name,
            "problem": str(self.layer.problem),
            "algorithm": self.algorithm,
            "seconds": self.seconds,
            "errors": self.errors,
            "agrees": self.agrees,
            "ratios": {name: self.ratio(name) for name in others},
            "best_peer_to_ours": self.peer_ratio,
            "share_of_peak": self.share_of_peak,
            "flops": self.layer.problem.flops,
            "bytes": moved_bytes(self.layer.problem),
            "gflop_per_s": self.gigaflops,
            "gbyte_per_s": self.gigabytes,
            "scratch_bytes": self.scratch_bytes,
        }


def race(
    layer: Layer, contenders: Sequence[Contender], seconds: float, threads: int = 1
) -> Outcome:
    """Let contenders compute a layer, compare what they return, and time them.

    Parameters
    ----------
    layer : Layer
        The layer.
    contenders : sequence of Contender
        Those that accept its problem take part; the engine must be one, and the first of the
        others that takes part is what results are compared with.
    seconds : float
        Time for all of them together; each runs at least once however long that takes.
    threads : int
        For other libraries; see `Contender.prepare`.

    Returns
    -------
    Outcome
        Best times, errors, and facts of the engine's plan.
    """
    problem = layer.problem
    inputs = inputs_of(layer)
    if problem.operation == "conv" and problem.direction == "forward":
        inputs = (*inputs[:2], None)  # the bias is not what is measured
    if problem.operation == "columns" and problem.direction == "forward":
        inputs = (inputs[0], np.zeros((), problem.dtype))  # all that others pad with
    calls = {
        contender.name: contender.prepare(problem, inputs, threads)
        for contender in contenders
        if contender.rejects(problem) is None
    }
    best, results = _first_results(calls, seconds)
    judge = next((name for name in calls if name not in OWN), ENGINE.name)
    expected = results[judge]
    errors = {name: relative_error(got, expected) for name, got in results.items() if name != judge}
    largest = float(np.abs(expected).max(initial=0))
    worst = max(errors.get(name, 0.0) for name in OWN)
    plan = plan_for(problem)
    agrees = worst * largest <= tolerance(problem, expected, plan.chosen)
    del results, expected
    _take_turns(calls, best, seconds)
    return Outcome(layer, plan.algorithm, plan.scratch_bytes, best, errors, agrees)


def inputs_of(layer: Layer) -> Inputs:
    """Return normal data for a layer; the places of a gradient are those that its pool finds."""
    inputs = operands(layer.problem, "normal")
    if layer.pool is None:
        return inputs
    _, places = run_problem(layer.pool, operands(layer.pool, "normal"))
    return inputs[0], places


def relative_error(got: Array, expected: Array) -> float:
    """Return the largest difference relative to the largest expected value."""
    largest = float(np.abs(expected).max(initial=0))
    difference = float(np.abs(got - expected).max(initial=0))
    return difference / largest if largest else difference


def moved_bytes(problem: Problem) -> int:
    """Return the bytes of input and output, and of the places of what is moved to them."""
    geometry = problem.geometry
    columns = problem.operation == "columns"
    output = math.prod(problem.columns_shape if columns else geometry.output_shape)
    places = output * 8 if problem.operation == "scatter" else 0
    return (math.prod(geometry.input_shape) + output) * problem.dtype.itemsize + places


def _first_results(
    calls: dict[str, Call], seconds: float
) -> tuple[dict[str, float], dict[str, Array]]:
    """Call everybody once, and those twice who may have compiled and would have no other turn."""
    times, results = {}, {}
    for name, call in calls.items():
        start = time.perf_counter()
        results[name] = call()
        times[name] = time.perf_counter() - start
        longest = LONGEST_TO_REPEAT if name == REFERENCE.name else math.inf
        if name in COMPILED and seconds < times[name] < longest:
            start = time.perf_counter()
            call()
            times[name] = time.perf_counter() - start
    return times, results


def _take_turns(calls: dict[str, Call], best: dict[str, float], seconds: float) -> None:
    """Run contenders in turns, each until its share of the time is used; keep the best times.

    The first runs count too, so that a call longer than all of the time is not repeated. A turn
    is some calls of one contender after one that does not count, as a program would call it.
    """
    left = {name: seconds / len(calls) for name in calls if best[name] <= seconds}
    while left:
        for name in list(left):
            settle()
            took, least = turn(calls[name], best[name])
            best[name] = min(best[name], least)
            left[name] -= took
            if left[name] <= 0:
                del left[name]


def turn(call: Callable[[], object], expected: float) -> tuple[float, float]:
    """Call for some milliseconds; return the time of all calls and the least of one.

    The first call wakes threads and brings data to the caches; it only counts where it is so long
    that this does not matter.
    """
    begin = time.perf_counter()
    least = math.inf
    if expected < TURN_SECONDS:
        call()
    while True:
        start = time.perf_counter()
        call()
        now = time.perf_counter()
        least = min(least, now - start)
        if now - begin > TURN_SECONDS:
            return now - begin, least


def settle() -> None:
    """Wait until no thread of this process is at work any more.

    Threads of other libraries go on spinning for some milliseconds after a call, to be ready for
    the next. Whoever is timed meanwhile has a core less.
    """
    end = time.perf_counter() + MOST_SETTLING
    while time.perf_counter() < end:
        used = time.process_time()
        time.sleep(QUIET_SECONDS)
        if time.process_time() - used < QUIET_SECONDS / 10:
            return
