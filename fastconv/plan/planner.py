"""The planner: the first algorithm that does not refuse; plans are cached."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from fastconv.algorithms import ALGORITHMS, Algorithm
from fastconv.errors import PlanError
from fastconv.kernels.pool import cores
from fastconv.plan import wisdom
from fastconv.plan.plan import Plan, is_native, left_for_algorithm, takes_views
from fastconv.plan.settings import Settings, current_settings
from fastconv.plan.tuning import measured
from fastconv.plan.wisdom import tuned_choice
from fastconv.problem import Problem

NAIVE = "naive"
"""The name of the reference."""
_not_measured: set[tuple[Problem, Settings]] = set()
"""Problems between whose algorithms there is nothing to choose."""
INDEX_BYTES = 8
"""Of an index into a plane."""


def plan_for(problem: Problem, packed: bool = False) -> Plan:
    """Return the plan of a problem under the settings in force.

    It may be another where weights are packed before, so that no call pays for it. Where the
    settings ask for it, and nobody has before, algorithms are measured first.

    Raises
    ------
    PlanError
        If the algorithm asked for refuses, or all do.
    """
    settings = current_settings()
    if settings.plan == "measure" and settings.algorithm is None:
        measure_once(problem, settings)
    # without an argument more plans are cached as those are that were measured
    return _plan(problem, settings, True) if packed else _plan(problem, settings)


@lru_cache(maxsize=4096)
def _plan(problem: Problem, settings: Settings, packed: bool = False) -> Plan:
    candidates: list[Algorithm] = []
    refusals: dict[str, str] = {}
    for algorithm in ALGORITHMS:
        reason = _refusal(algorithm, problem, settings, packed)
        if reason is None:
            candidates.append(algorithm)
        else:
            refusals[algorithm.name] = reason
    if not candidates:
        raise PlanError(_message(problem, settings, refusals))
    source = "rule" if settings.algorithm is None else "asked"
    tuned = None if problem.empty else tuned_choice(problem, settings)
    if tuned is not None and (first := _by_name(tuned, problem, settings)) is not None:
        source, candidates = "measured", [first, *(a for a in candidates if a is not first)]
        refusals.pop(tuned, None)
    chosen = candidates[0]
    return Plan(
        problem,
        tuple(algorithm.name for algorithm in candidates),
        refusals,
        problem.padded_bytes
        + _scratch(
            chosen,
            problem.on_padded,
            left_for_algorithm(problem, settings.max_scratch_bytes),
        ),
        settings.max_scratch_bytes,
        settings.threads or cores(),
        settings.threads is not None and chosen.uses_blas,
        chosen,
        source=source,
    )


_keepers: list[Callable[[], None]] = [_plan.cache_clear]
"""What forgets plans that somebody keeps."""


def when_plans_change(forget: Callable[[], None]) -> None:
    """Call a function whenever another algorithm may be chosen than before under equal settings."""
    _keepers.append(forget)


def _forget() -> None:
    for forget in _keepers:
        forget()


def _by_name(name: str, problem: Problem, settings: Settings) -> Algorithm | None:
    """Return an algorithm if it may be taken, even one that is thought to be slower."""
    algorithm = next((a for a in ALGORITHMS if a.name == name), None)
    forced = replace(settings, algorithm=name)
    if algorithm is None or _refusal(algorithm, problem, forced) is not None:
        return None
    return None if _imprecise(algorithm, problem, settings) else algorithm


def _imprecise(algorithm: Algorithm, problem: Problem, settings: Settings) -> bool:
    """Return whether an algorithm is not to be taken unasked, however fast it may be."""
    declines = getattr(algorithm, "declines", None)
    if declines is None or declines(problem.on_padded, settings.precision) is None:
        return False
    slow = getattr(algorithm, "only_slow", None)
    return slow is None or not slow(problem.on_padded, settings.precision)


def tuned_plan(problem: Problem) -> Plan:
    """Measure the algorithms that may solve a problem, and return the plan of the fastest.

    Raises
    ------
    PlanError
        If none accepts.
    """
    settings = current_settings()
    if measured(problem, settings, measurable(problem, settings), _plan, asked=True):
        _forget()
    return _plan(problem, settings)


def measure_once(problem: Problem, settings: Settings) -> None:
    """Measure the algorithms of a problem unless that has been done."""
    if tuned_choice(problem, settings) is not None or (problem, settings) in _not_measured:
        return
    if measured(problem, settings, measurable(problem, settings), _plan, asked=False) is None:
        _not_measured.add((problem, settings))
    else:
        _forget()


def forget_plans(problems: tuple[Problem, ...] | None) -> None:
    """Forget what was measured of problems under the settings in force, or of all."""
    wisdom.forget(problems, current_settings())
    _not_measured.clear()
    _forget()


def measurable(problem: Problem, settings: Settings) -> list[str]:
    """Return the names of the algorithms among which measuring chooses: all but the plain loops."""
    accepted = (a for a in ALGORITHMS[:-1] if _by_name(a.name, problem, settings) is not None)
    return [algorithm.name for algorithm in accepted]


def _refusal(
    algorithm: Algorithm, problem: Problem, settings: Settings, packed: bool = False
) -> str | None:
    if settings.algorithm not in (None, algorithm.name):
        return f"settings ask for {settings.algorithm}"
    if problem.empty:
        return None if algorithm.name == NAIVE else "there is nothing to compute"
    if not settings.compiled and (getattr(algorithm, "compiled", False) or algorithm.name == NAIVE):
        return "settings ask for NumPy alone"
    reason = algorithm.rejects(problem.on_padded) or _declined(algorithm, problem, settings, packed)
    if reason is not None:
        return reason
    limit = settings.max_scratch_bytes
    left = left_for_algorithm(problem, limit)
    needed = _scratch(algorithm, problem.on_padded, max(0, left))
    if needed > left and not getattr(algorithm, "last_resort", False):
        needed += problem.padded_bytes
        return f"needs {needed} bytes of scratch memory; max_scratch_bytes is {limit}"
    return None


def _declined(
    algorithm: Algorithm, problem: Problem, settings: Settings, packed: bool
) -> str | None:
    """Return why an algorithm is not taken by itself, though it would be if it were asked for."""
    declines = getattr(algorithm, "declines", None)
    if packed:
        declines = getattr(algorithm, "declines_packed", declines)
    if declines is None or settings.algorithm is not None:
        return None
    reason: str | None = declines(problem.on_padded, settings.precision)
    return reason


def _scratch(algorithm: Algorithm, problem: Problem, limit: int) -> int:
    """Count what the algorithm needs, and the arrays again where they are transposed for it."""
    if problem.empty:
        return 0
    needed = algorithm.scratch(problem, limit)
    if is_native(algorithm, problem) or takes_views(algorithm, problem):
        return needed
    x, y = (
        math.prod(shape) for shape in (problem.geometry.input_shape, problem.geometry.output_shape)
    )
    itemsize = max(problem.dtype.itemsize, problem.result_dtype.itemsize)
    needed += (x + y) * itemsize
    if problem.operation == "deform_conv":
        needed += math.prod(problem.offset_shape) * itemsize
    if problem.indices or problem.operation == "scatter":
        needed += y * INDEX_BYTES
    return needed


def _message(problem: Problem, settings: Settings, refusals: dict[str, str]) -> str:
    if settings.algorithm is not None:
        return (
            f"algorithm {settings.algorithm!r} refuses '{problem}': {refusals[settings.algorithm]}"
        )
    reasons = "; ".join(f"{name}: {reason}" for name, reason in refusals.items())
    return f"no algorithm accepts '{problem}': {reasons}"
