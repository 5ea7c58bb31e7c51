"""Every contender computes what the reference computes, on every edge case it accepts."""

import numpy as np
import pytest

from fastconv import Problem
from fastconv.cli.compare import largest_difference
from fastconv.cli.contenders import (
    CONTENDERS,
    ENGINE,
    PEERS,
    PREPARED,
    PREPARED_TRANSPOSED,
    REFERENCE,
    TRANSPOSED_PEERS,
    WINDOW_VIEW,
    own_threads,
)
from fastconv.cli.operands import operands, run_problem, tolerance
from fastconv.cli.problems import edge_problems

TRANSPOSED = (PREPARED_TRANSPOSED, *TRANSPOSED_PEERS)
PROBLEMS = [problem for problem in edge_problems() if problem.geometry.batch]


def test_names():
    assert [contender.name for contender in CONTENDERS] == [
        "reference",
        "engine",
        "engine prepared",
        "pure NumPy",
        "window view",
        *("PyTorch", "ONNX Runtime", "engine prepared", "PyTorch", "ONNX Runtime"),
    ]


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
def test_results(contender):
    if not contender.available():
        pytest.skip("not installed")
    accepted = [problem for problem in PROBLEMS if contender.rejects(problem) is None]
    assert len(accepted) > (4 if contender in TRANSPOSED else 20)
    for problem in accepted:
        inputs = operands(problem, "normal")
        if problem.operation == "columns" and problem.direction == "forward":
            inputs = (inputs[0], np.zeros((), problem.dtype))  # all that others pad with
        got = contender.prepare(problem, inputs, 1)()
        expected = run_problem(problem, inputs, "naive")[0]
        assert largest_difference(got, expected) <= tolerance(problem, expected), str(problem)


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
def test_a_bias_may_be_missing(contender):
    if not contender.available():
        pytest.skip("not installed")
    problem = Problem.parse("conv forward x=1x2x8x8 w=3x2x3x3 p=1 float32")
    if contender in TRANSPOSED:
        problem = Problem.parse("conv input_gradient x=1x2x8x8 w=3x2x3x3 p=1 float32")
    inputs = (*operands(problem)[:2], None)
    expected = run_problem(problem, inputs, "naive")[0]
    np.testing.assert_allclose(contender.prepare(problem, inputs)(), expected, rtol=1e-5)


def test_fastconv_accepts_everything():
    for problem in PROBLEMS:
        assert REFERENCE.rejects(problem) is None
        assert ENGINE.rejects(problem) is None


@pytest.mark.parametrize(
    ("contender", "line"),
    [
        (WINDOW_VIEW, "conv weight_gradient x=1x2x8 w=3x2x3 float32"),
        (WINDOW_VIEW, "max_pool forward x=1x2x8 k=3 s=2 ceil=1 float32"),
        (WINDOW_VIEW, "avg_pool forward x=1x2x8 k=3 s=2 p=1 pad=0 float32"),
        (WINDOW_VIEW, "conv forward x=1x2x8 w=3x2x3 act=relu float32"),
        (PREPARED, "conv weight_gradient x=1x2x8 w=3x2x3 float32"),
        (PREPARED, "conv forward x=1x1x2x2x2x2 w=1x1x1x1x1x1 float32"),
        (PREPARED, "max_pool forward x=1x2x8 k=3 float32"),
        (PEERS[0], "conv forward x=1x2x8 w=3x2x3 act=relu float32"),
        (PEERS[1], "conv forward x=1x2x8 w=3x2x3 act=relu float32"),
        (PEERS[0], "columns forward x=1x2x8 k=3 float32"),
        (PEERS[0], "conv forward x=1x2x8 w=3x2x3 p=1:0 float32"),
        (PEERS[0], "max_pool forward x=1x2x8 k=3 p=2 float32"),
        (PEERS[1], "conv forward x=1x2x8 w=3x2x3 float64"),
        (PEERS[1], "conv input_gradient x=1x2x8 w=3x2x3 float32"),
        (PEERS[1], "max_pool forward x=1x2x8 k=3 p=3 float32"),
        (TRANSPOSED_PEERS[0], "conv forward x=1x2x8 w=3x2x3 float32"),
        (TRANSPOSED_PEERS[0], "conv input_gradient x=1x2x8 w=3x2x3 p=0:1 float32"),
        (TRANSPOSED_PEERS[0], "conv input_gradient x=1x2x8 w=3x2x3 s=2 layout=last float32"),
        (TRANSPOSED_PEERS[1], "conv input_gradient x=1x2x8 w=3x2x3 float64"),
        (TRANSPOSED_PEERS[1], "conv input_gradient x=1x2x8 w=3x2x3 float16"),
        (TRANSPOSED_PEERS[1], "conv input_gradient x=1x2x8 w=3x2x3 act=relu float32"),
    ],
)
def test_refusals_have_a_reason(contender, line):
    assert contender.rejects(Problem.parse(line))


def test_own_threads_are_set_and_set_back(monkeypatch):
    import fastconv
    from fastconv.plan import current_settings

    threadpoolctl = pytest.importorskip("threadpoolctl")

    def blas():
        pools = threadpoolctl.threadpool_info()
        return {pool["num_threads"] for pool in pools if pool["user_api"] == "blas"}

    before = current_settings(), blas()
    with own_threads(1):
        assert current_settings().threads == 1
        assert fastconv.explain("conv2d", (1, 1, 4, 4), (1, 1, 2, 2)).threads == 1
        assert blas() == {1}
        gradient = Problem.parse("conv input_gradient x=1x2x8 w=3x2x3 float32")
        ENGINE.prepare(gradient, operands(gradient))()  # limits BLAS inside the limit
        assert blas() == {1}
    assert (current_settings(), blas()) == before
    with pytest.raises(ZeroDivisionError), own_threads(2):
        raise ZeroDivisionError
    assert (current_settings(), blas()) == before


def test_what_is_not_installed_is_not_available(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert [peer.available() for peer in PEERS] == [False, False]
