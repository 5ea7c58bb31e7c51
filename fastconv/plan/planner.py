"""The planner: the first algorithm that does not refuse; plans are cached."""

import math
from functools import lru_cache

from fastconv.algorithms import ALGORITHMS, Algorithm
from fastconv.errors import PlanError
from fastconv.kernels.pool import cores
from fastconv.plan.plan import Plan, is_native, left_for_algorithm, takes_views
from fastconv.plan.settings import Settings, current_settings
from fastconv.problem import Problem

NAIVE = "naive"
"""The name of the reference."""
INDEX_BYTES = 8
"""Of an index into a plane."""


def plan_for(problem: Problem) -> Plan:
    """Return the plan of a problem under the settings in force.

    Raises
    ------
    PlanError
        If the algorithm asked for refuses, or all do.
    """
    return _plan(problem, current_settings())


@lru_cache(maxsize=4096)
def _plan(problem: Problem, settings: Settings) -> Plan:
    candidates: list[Algorithm] = []
    refusals: dict[str, str] = {}
    for algorithm in ALGORITHMS:
        reason = _refusal(algorithm, problem, settings)
        if reason is None:
            candidates.append(algorithm)
        else:
            refusals[algorithm.name] = reason
    if not candidates:
        raise PlanError(_message(problem, settings, refusals))
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
    )


def _refusal(algorithm: Algorithm, problem: Problem, settings: Settings) -> str | None:
    if settings.algorithm not in (None, algorithm.name):
        return f"settings ask for {settings.algorithm}"
    if problem.empty:
        return None if algorithm.name == NAIVE else "there is nothing to compute"
    if not settings.compiled and (getattr(algorithm, "compiled", False) or algorithm.name == NAIVE):
        return "settings ask for NumPy alone"
    reason = algorithm.rejects(problem.on_padded) or _declined(algorithm, problem, settings)
    if reason is not None:
        return reason
    limit = settings.max_scratch_bytes
    left = left_for_algorithm(problem, limit)
    needed = _scratch(algorithm, problem.on_padded, max(0, left))
    if needed > left and not getattr(algorithm, "last_resort", False):
        needed += problem.padded_bytes
        return f"needs {needed} bytes of scratch memory; max_scratch_bytes is {limit}"
    return None


def _declined(algorithm: Algorithm, problem: Problem, settings: Settings) -> str | None:
    """Return why an algorithm is not taken by itself, though it would be if it were asked for."""
    declines = getattr(algorithm, "declines", None)
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
