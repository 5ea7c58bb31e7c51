"""Many Python threads, and a fork."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import fastconv as F
from fastconv import Problem
from tests.helpers import EXACT_NAMES, NAMES, accepting, all_lines, inputs_of, python, same, solved

THREADS = 8


@pytest.fixture(autouse=True)
def _threads_take_turns_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def different_problems(name):
    """Problems of different shapes that an algorithm solves, several of each kind.

    Of those that are not exact one, as every kernel size is compiled anew.
    """
    chosen, kinds, most = [], {}, 4 if name in EXACT_NAMES else 1
    for problem in map(Problem.parse, all_lines()):
        kind = (problem.operation, problem.direction)
        if (
            name in accepting(problem, NAMES)
            and problem.geometry.batch
            and kinds.get(kind, 0) < most
        ):
            kinds[kind] = kinds.get(kind, 0) + 1
            chosen.append(problem)
    return chosen


@pytest.mark.parametrize("name", NAMES)
def test_threads_give_the_serial_results(name):
    cases = [(p, inputs_of(p)) for p in different_problems(name)]
    serial = [solved(problem, inputs, name) for problem, inputs in cases]
    together = threading.Barrier(THREADS)

    def work(turn):
        together.wait(60)
        found = []
        for step in range(2 * len(cases)):
            index = (step + turn) % len(cases)  # every thread at another problem
            problem, inputs = cases[index]
            found.append((index, solved(problem, inputs, name)))
        return found

    with ThreadPoolExecutor(THREADS) as pool:
        for found in pool.map(work, range(THREADS)):
            for index, results in found:
                for result, expected in zip(results, serial[index], strict=True):
                    same(result, expected)


def test_a_call_inside_a_pool_inside_a_pool():
    problem = Problem.parse("conv forward x=2x3x9x9 w=4x3x3x3 p=1 float32")
    inputs = inputs_of(problem)
    (expected,) = solved(problem, inputs)

    def inner(_):
        return solved(problem, inputs)[0]

    def outer(_):
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(inner, range(4)))

    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(outer, range(4)):
            for result in found:
                same(result, expected)


@pytest.mark.parametrize("name", ["im2col_gemm", "naive"])
def test_large_calls_at_once_keep_their_scratch_memory_apart(name):
    problems = [
        Problem.parse(f"conv forward x=2x8x{size}x{size} w=8x8x3x3 p=1 float32")
        for size in range(20, 20 + THREADS)
    ]
    cases = [(p, inputs_of(p, seed)) for seed, p in enumerate(problems)]
    serial = [solved(problem, inputs, name)[0] for problem, inputs in cases]
    together = threading.Barrier(THREADS)

    def work(case):
        together.wait(60)
        return [solved(*case, name)[0] for _ in range(5)]

    with ThreadPoolExecutor(THREADS) as pool:
        for found, expected in zip(pool.map(work, cases), serial, strict=True):
            for result in found:
                same(result, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("limit", [None, 2])
def test_a_forked_child_works(limit):
    printed = python(
        f"""
import os
import numpy as np
import fastconv as F
import fastconv.reference as R

x, w = np.arange(2 * 8 * 40 * 40.0).reshape(2, 8, 40, 40) % 7, np.ones((8, 8, 3, 3))
with F.settings(threads={limit}):
    before = F.conv2d(x, w), R.conv2d(x, w), F.max_pool2d(x, 2)
    child = os.fork()
    if not child:
        after = F.conv2d(x, w), R.conv2d(x, w), F.max_pool2d(x, 2)
        os._exit(0 if all(map(np.array_equal, before, after)) else 9)
    print(os.waitpid(child, 0)[1])
"""
    )
    assert printed == "0"


def test_settings_of_one_thread_do_not_force_another():
    x, w = inputs_of(Problem.parse("conv forward x=1x2x6x6 w=2x2x3x3 float64"))[:2]
    chosen = {}

    def work(name):
        with F.settings(algorithm=name):
            F.conv2d(x, w)
            chosen[name] = F.explain("conv2d", x, w).algorithm

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, ["naive", "im2col_gemm"]))
    assert chosen == {"naive": "naive", "im2col_gemm": "im2col_gemm"}
