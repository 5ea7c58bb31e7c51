import threading

import pytest

import fastconv as F
from fastconv.plan.threads import limited_threads
from tests.helpers import ints, python, same

threadpoolctl = pytest.importorskip("threadpoolctl")


def blas_threads():
    return {
        library["num_threads"]
        for library in threadpoolctl.threadpool_info()
        if library["user_api"] == "blas"
    }


@pytest.mark.parametrize("threads", [1, 2])
def test_the_limit_holds_inside_and_is_lifted_after(threads):
    before = blas_threads()
    with limited_threads(threads):
        assert blas_threads() <= {threads}
    assert blas_threads() == before


@pytest.mark.parametrize("threads", [1, 2, 64])
def test_results_do_not_depend_on_the_number(threads):
    x, w = ints(2, 3, 9, 9), ints(4, 3, 3, 3)
    expected = F.conv2d(x, w)
    with F.settings(threads=threads):
        same(F.conv2d(x, w), expected)


def test_the_plan_names_them():
    with F.settings(threads=2):
        plan = F.explain("conv2d", (1, 3, 8, 8), (4, 3, 3, 3))
    assert plan.threads == 2
    assert "threads    2" in str(plan)
    assert F.explain("conv2d", (1, 3, 8, 8), (4, 3, 3, 3)).threads is None


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


def test_without_threadpoolctl_the_error_says_what_to_install():
    printed = python(
        """
import sys
sys.modules["threadpoolctl"] = None
import fastconv as F, numpy as np
x, w = np.ones((1, 1, 4)), np.ones((1, 1, 2))
F.conv1d(x, w)
try:
    with F.settings(threads=2):
        F.conv1d(x, w)
except F.MissingDependencyError as error:
    print(error)
"""
    )
    assert "pip install threadpoolctl" in printed
