"""Every algorithm against the naive loops, on one problem."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastconv.activations import ACTIVATIONS
from fastconv.algorithms import ALGORITHMS, Algorithm, Inputs, Outputs
from fastconv.cli.operands import Kind, exact_norm, operands, run_problem, tolerance
from fastconv.dtypes import Array
from fastconv.errors import PlanError
from fastconv.plan import plan_for, settings
from fastconv.problem import Problem

REFERENCE = "naive"


@dataclass(frozen=True)
class Trial:
    """One way to run an algorithm.

    Attributes
    ----------
    name : str
        What is said of it when it fails.
    kind : str
        The data, as `operands` names them.
    max_scratch_bytes : int, optional
        A limit other than the default. A tight one makes many small blocks, whose borders are
        where mistakes hide.
    strided : bool
        Whether the inputs are read-only and in Fortran order.
    """

    name: str
    kind: Kind
    max_scratch_bytes: int | None = None
    strided: bool = False


TRIALS = (
    Trial("integers", "integer"),
    Trial("integers, 4 KiB of scratch", "integer", max_scratch_bytes=2**12),
    Trial("integers, read-only Fortran-order inputs", "integer", strided=True),
    Trial("integers with NaN and infinities", "special"),
    Trial("normal random numbers", "normal"),
)


@dataclass(frozen=True)
class Failure:
    """An algorithm that did not do on a problem what the reference did."""

    problem: Problem
    algorithm: str
    trial: str
    difference: float
    reason: str


def first_failure(
    problem: Problem, only: str | None = None, runs: Counter[str] | None = None
) -> Failure | None:
    """Run every algorithm that accepts a problem, in every trial, until one fails.

    Parameters
    ----------
    problem : Problem
        Any that the reference accepts.
    only : str, optional
        Look at this algorithm alone.
    runs : Counter, optional
        Is told how often each algorithm ran.

    Returns
    -------
    Failure or None
        The first exception or difference; the reference itself can fail only by an exception.

    Raises
    ------
    PlanError
        If the reference refuses the problem.
    """
    expected: dict[Kind, Outputs] = {}
    for trial in TRIALS:
        if trial.kind not in expected:
            with settings(algorithm=REFERENCE):
                plan_for(problem)  # a refusal is the caller's mistake, not a failure
            try:
                expected[trial.kind] = run_problem(
                    problem, operands(problem, trial.kind), REFERENCE
                )
            except Exception as error:
                return Failure(problem, REFERENCE, trial.name, np.inf, _said(error))
        for algorithm in ALGORITHMS:
            if algorithm.name == REFERENCE or only not in (None, algorithm.name):
                continue
            failure = _failure(problem, algorithm, trial, expected[trial.kind], runs)
            if failure is not None:
                return failure
    return None


def largest_difference(got: Array, expected: Array) -> float:
    """Return the largest absolute difference; infinite where shape, dtype or NaNs differ."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return np.inf
    with np.errstate(invalid="ignore"):
        equal = (got == expected) | (np.isnan(got) & np.isnan(expected))
        if got.dtype.kind == "c":  # which part of infinity times a complex number is NaN is open
            equal |= ~np.isfinite(got) & ~np.isfinite(expected)
        gaps = np.where(equal, 0.0, np.abs(_wide(got) - _wide(expected)))
    return float(np.where(np.isnan(gaps), np.inf, gaps).max(initial=0))


def _wide(array: Array) -> Array:
    return array.astype(complex if array.dtype.kind == "c" else float)


def _failure(
    problem: Problem,
    algorithm: Algorithm,
    trial: Trial,
    expected: Outputs,
    runs: Counter[str] | None,
) -> Failure | None:
    inputs = operands(problem, trial.kind)
    if trial.strided:
        inputs = _strided(inputs)
    limit: dict[str, Any] = {}
    if trial.max_scratch_bytes is not None:
        limit = {"max_scratch_bytes": trial.max_scratch_bytes}
    with settings(algorithm=algorithm.name, **limit):
        try:
            plan_for(problem)
        except PlanError:
            return None
        try:
            outputs = run_problem(problem, inputs, algorithm.name)
        except Exception as error:
            return Failure(problem, algorithm.name, trial.name, np.inf, _said(error))
    if runs is not None:
        runs[algorithm.name] += 1
    allowed = 0.0
    if trial.kind == "normal" or not (algorithm.exact and _exact(problem)):
        allowed = tolerance(problem, expected[0], algorithm)
    difference = largest_difference(outputs[0], expected[0])
    reason = f"{allowed:.3g} is allowed"
    if difference <= allowed and problem.indices:
        # no rounding here: on normal data no two candidates for a maximum are nearly equal
        difference, allowed = largest_difference(outputs[1], expected[1]), 0.0
        reason = "of the indices"
    if difference <= allowed:
        return None
    return Failure(problem, algorithm.name, trial.name, difference, reason)


def _exact(problem: Problem) -> bool:
    if problem.activation is not None and not ACTIVATIONS[problem.activation].exact:
        return False
    return exact_norm(problem)


def _strided(inputs: Inputs) -> Inputs:
    copies = tuple(None if array is None else np.array(array, order="F") for array in inputs)
    for copy in copies:
        if copy is not None:
            copy.flags.writeable = False
    return copies


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
