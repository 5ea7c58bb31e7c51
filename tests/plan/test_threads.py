import threading

import pytest

import fastconv as F
from fastconv.algorithms import ALGORITHMS
from fastconv.kernels.pool import cores
from fastconv.plan import threads
from fastconv.plan.threads import limited_threads
from tests.helpers import ints, python, same

threadpoolctl = pytest.importorskip("threadpoolctl")


def blas_threads():
    """Of NumPy's BLAS, and of others that were loaded before its threads were first limited."""
    known = threads._controller().info()
    return {library["num_threads"] for library in known if library["user_api"] == "blas"}


@pytest.mark.parametrize("threads", [1, 2])
def test_the_limit_holds_inside_and_is_lifted_after(threads):
    before = blas_threads()
    with limited_threads(threads):
        assert blas_threads() <= {threads}
    assert blas_threads() == before


@pytest.mark.parametrize("name", [None, "im2col_gemm", "naive"])
@pytest.mark.parametrize("threads", [1, 2, 64])
def test_results_do_not_depend_on_the_number(threads, name):
    x, w = ints(2, 3, 9, 9), ints(4, 3, 3, 3)
    with F.settings(algorithm=name):
        expected = F.conv2d(x, w)
        with F.settings(threads=threads):
            same(F.conv2d(x, w), expected)


@pytest.mark.parametrize(
    ("name", "of_blas"), [(None, False), ("im2col_gemm", True), ("naive", False)]
)
def test_the_plan_names_them(name, of_blas):
    with F.settings(threads=5, algorithm=name):
        plan = F.explain("conv2d", (1, 3, 8, 8), (4, 3, 3, 3))
    assert plan.threads == 5
    assert plan.limits_blas == of_blas
    assert f"threads    5{', of BLAS' if of_blas else ''}\n" in str(plan)


@pytest.mark.parametrize("name", [None, "im2col_gemm"])
def test_unless_set_they_are_the_cores_and_blas_is_left_alone(name):
    with F.settings(algorithm=name):
        plan = F.explain("conv2d", (1, 3, 8, 8), (4, 3, 3, 3))
    assert plan.threads == cores() >= 1
    assert not plan.limits_blas


@pytest.mark.parametrize(("name", "inside"), [("im2col_gemm", 1), ("implicit_gemm", None)])
def test_blas_is_limited_only_while_an_algorithm_uses_it(name, inside, monkeypatch):
    before, seen = blas_threads(), []
    (algorithm,) = (a for a in ALGORITHMS if a.name == name)
    run = type(algorithm).run

    def recorded(*arguments):
        seen.append(blas_threads())
        run(*arguments)

    monkeypatch.setattr(type(algorithm), "run", recorded)
    with F.settings(threads=1, algorithm=name):
        F.conv2d(ints(1, 3, 8, 8), ints(4, 3, 3, 3))
    assert seen == [before if inside is None else {inside}]
    assert blas_threads() == before


def test_overlapping_limits_leave_blas_as_it_was():
    """One thread enters while another is inside, and leaves after it."""
    before = blas_threads()
    inside, left = threading.Event(), threading.Event()

    def late():
        with limited_threads(1):
            inside.set()
            left.wait(60)

    worker = threading.Thread(target=late)
    with limited_threads(1):
        worker.start()
        inside.wait(1)  # in vain if the second has to wait for the first
    left.set()
    worker.join(60)
    assert blas_threads() == before


def test_without_threadpoolctl_what_limits_blas_says_what_to_install():
    printed = python(
        """
import sys
sys.modules["threadpoolctl"] = None
import fastconv as F, numpy as np
x, w = np.ones((1, 1, 4)), np.ones((1, 1, 2))
F.conv1d(x, w)
with F.settings(algorithm="im2col_gemm"):
    F.conv1d(x, w)
with F.settings(threads=2):
    print(F.conv1d(x, w).ravel().tolist())
try:
    with F.settings(threads=2, algorithm="im2col_gemm"):
        F.conv1d(x, w)
except F.MissingDependencyError as error:
    print(error)
"""
    )
    result, message = printed.splitlines()
    assert result == "[2.0, 2.0, 2.0]"
    assert "pip install threadpoolctl" in message
