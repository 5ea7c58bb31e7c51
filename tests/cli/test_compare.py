from collections import Counter

import numpy as np
import pytest

from fastconv import PlanError, Problem
from fastconv.cli.compare import TRIALS, Trial, first_failure, largest_difference
from tests.cli.bugs import break_algorithm

CONV = Problem.parse("conv forward x=2x3x9 w=4x3x3 s=2 p=1 float32")
POOL = Problem.parse("max_pool forward x=1x2x8 k=2 s=2 indices=1 float32")


def test_agreement():
    runs = Counter()
    assert first_failure(CONV, runs=runs) is None
    assert runs["im2col_gemm"] >= len(TRIALS) - 1  # a tight limit may be refused
    assert "pooling" not in runs
    assert "naive" not in runs


def test_a_wrong_result(monkeypatch):
    def off_by_one(problem, inputs, outputs):
        outputs[0].flat[0] += 1

    break_algorithm(monkeypatch, "im2col_gemm", off_by_one)
    failure = first_failure(CONV)
    assert (failure.algorithm, failure.trial) == ("im2col_gemm", TRIALS[0].name)
    assert failure.difference == 1
    assert first_failure(CONV, only="pointwise") is None


def test_wrong_indices(monkeypatch):
    def elsewhere(problem, inputs, outputs):
        outputs[1].flat[0] += 1

    break_algorithm(monkeypatch, "pooling", elsewhere)
    failure = first_failure(POOL)
    assert (failure.difference, failure.reason) == (1, "of the indices")


def test_an_exception(monkeypatch):
    def fail(problem, inputs, outputs):
        raise IndexError("out of\nbounds")

    break_algorithm(monkeypatch, "pooling", fail)
    failure = first_failure(POOL)
    assert failure.reason == "IndexError: out of bounds"
    assert failure.difference == np.inf


def test_an_exception_of_the_reference(monkeypatch):
    def fail(problem, inputs, outputs):
        raise IndexError

    break_algorithm(monkeypatch, "naive", fail)
    assert first_failure(POOL).algorithm == "naive"


def test_inputs_that_are_written_to(monkeypatch):
    def scribble(problem, inputs, outputs):
        inputs[0][...] = 0

    break_algorithm(monkeypatch, "im2col_gemm", scribble)
    assert "read-only" in first_failure(CONV).reason


def test_spread_nans(monkeypatch):
    def spread(problem, inputs, outputs):
        if not np.isfinite(inputs[0]).all():
            outputs[0][...] = np.nan

    break_algorithm(monkeypatch, "im2col_gemm", spread)
    assert first_failure(CONV).trial == "integers with NaN and infinities"


def test_errors_beyond_rounding(monkeypatch):
    def imprecise(problem, inputs, outputs):
        if not np.array_equal(inputs[0], np.rint(inputs[0]), equal_nan=True):
            outputs[0][...] *= 1 + 1e-4

    break_algorithm(monkeypatch, "im2col_gemm", imprecise)
    failure = first_failure(CONV)
    assert failure.trial == "normal random numbers"
    assert "is allowed" in failure.reason


def test_an_inexact_algorithm_may_round_integers(monkeypatch):
    def round_a_little(problem, inputs, outputs):
        outputs[0][...] *= 1 + 1e-7

    kind = break_algorithm(monkeypatch, "im2col_gemm", round_a_little)
    assert first_failure(CONV) is not None
    monkeypatch.setattr(kind, "exact", False)
    assert first_failure(CONV) is None


def test_refusals_of_the_reference_are_the_callers():
    with pytest.raises(PlanError, match="naive"):
        first_failure(Problem.parse("conv forward x=1x1x2x2x2x2 w=1x1x1x1x1x1 float32"))


def test_trials_cover_every_kind_of_data():
    assert {trial.kind for trial in TRIALS} == {"integer", "special", "normal"}
    assert any(trial.strided for trial in TRIALS)
    assert any(trial.max_scratch_bytes for trial in TRIALS)
    assert Trial("x", "integer").max_scratch_bytes is None


@pytest.mark.parametrize(
    ("got", "expected", "difference"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([np.nan, np.inf], [np.nan, np.inf], 0),
        ([np.nan], [1.0], np.inf),
        ([np.inf], [-np.inf], np.inf),
        ([np.inf], [1.0], np.inf),
        ([], [], 0),
        ([1.0], [1.0, 1.0], np.inf),
    ],
)
def test_largest_difference(got, expected, difference):
    assert largest_difference(np.array(got), np.array(expected)) == difference


def test_another_dtype_differs():
    assert largest_difference(np.zeros(2, np.float32), np.zeros(2)) == np.inf
