"""Convolution by transforms: within its bound of exact sums, and what is not finite contained."""

import numpy as np
import pytest
from hypothesis import given

import fastconv as F
from fastconv import PlanError, Problem, settings
from fastconv.algorithms import ALGORITHMS, fft
from fastconv.lowering import fft_tiles
from fastconv.plan import plan_for
from tests.helpers import expected, inputs_of, python, same, solved
from tests.strategies import problems

NAME = "fft"
(ALGORITHM,) = (algorithm for algorithm in ALGORITHMS if algorithm.name == NAME)
PLACES = [
    "x=2x1x50 w=1x1x9 p=4",
    "x=1x3x40 w=4x3x7 p=2:9 d=3",
    "x=2x2x23 w=6x1x4 s=3 g=2",
    "x=2x3x13x14 w=4x3x5x3 p=2x1",
    "x=1x4x17x15 w=6x2x3x7 s=2x3 p=3 d=1x2 g=2",
    "x=3x5x11x10 w=5x1x7x7 p=3 g=5",
    "x=1x2x3x3 w=3x2x2x2 p=6",  # windows of nothing but padding
    "x=1x2x5x6x7 w=3x2x3x2x4 p=1",
    "x=1x1x2x3x4x5 w=2x1x2x2x2x2 p=1",
    "x=2x3x9x8 w=4x3x3x3 p=1 layout=last",
    "x=1x2x9x8 w=4x2x3x3 p=1 mode=reflect",
]
DTYPES = ("float32", "float64", "complex64", "complex128")
LINES = [f"conv forward {place} {dtype}" for place in PLACES for dtype in DTYPES]
FLOATS = [line for line in LINES if line.endswith("float32")]
EACH_LINE = pytest.mark.parametrize("line", LINES)


def bound(problem, x, w):
    """The bound that the algorithm states: relative to the largest sum that there could be."""
    largest = np.abs(x).max(initial=0) * np.abs(w).reshape(len(w), -1).sum(1).max(initial=0)
    double, own = np.finfo(np.float64).eps, np.finfo(problem.dtype).eps
    return 16 * double * largest, own


def check(problem, inputs, name=NAME, **changes):
    (found,) = solved(problem, inputs, name, **changes)
    (wanted,) = expected(problem, inputs)
    absolute, relative = bound(problem, *inputs[:2])
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=relative, atol=absolute)


@EACH_LINE
def test_within_the_bound(line):
    problem = Problem.parse(line)
    for threads in (1, 2):
        check(problem, inputs_of(problem), threads=threads)


@EACH_LINE
def test_in_the_smallest_tiles(line):
    problem = Problem.parse(line)
    needed = ALGORITHM.scratch(problem.on_padded, 0) + problem.padded_bytes
    check(problem, inputs_of(problem), max_scratch_bytes=needed)
    with settings(algorithm=NAME, max_scratch_bytes=needed - 1):
        if ALGORITHM.scratch(problem.on_padded, needed - 1) >= needed:
            with pytest.raises(PlanError, match="scratch"):
                plan_for(problem)


@given(problems(kinds=(("conv", "forward"),)))
def test_any_problem(problem):
    if ALGORITHM.rejects(problem) is None:
        check(problem, inputs_of(problem))


@pytest.mark.parametrize("line", FLOATS)
def test_bits_depend_on_neither_threads_nor_batch(line, monkeypatch):
    monkeypatch.setattr(fft, "SERIAL_SECONDS", 0)
    problem = Problem.parse(line)
    rng = np.random.default_rng(3)
    x, w, b = (rng.standard_normal(a.shape).astype(a.dtype) for a in inputs_of(problem))
    (whole,) = solved(problem, (x, w, b), NAME, threads=1)
    (shared,) = solved(problem, (x, w, b), NAME, threads=3)
    assert shared.tobytes() == whole.tobytes()
    one = Problem.parse(line.replace(f"x={len(x)}x", "x=1x"))
    for n in range(len(x)):
        (alone,) = solved(one, (x[n : n + 1], w, b), NAME, threads=2)
        assert alone.tobytes() == whole[n : n + 1].tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["input", "weight"])
def test_what_is_not_finite_touches_its_windows_only(value, where):
    problem = Problem.parse("conv forward x=2x2x20x20 w=3x2x5x5 p=2 float32")
    x, w, b = (array.copy() for array in inputs_of(problem))
    (x if where == "input" else w)[1, 1, 3, 2] = value
    (found,) = solved(problem, (x, w, b), NAME)
    # a weight that is not finite times the zeros of padding is NaN, but for the plain loops
    (wanted,) = solved(problem, (x, w, b), "naive" if where == "input" else "im2col_gemm")
    touched = ~np.isfinite(wanted)
    assert touched.any()
    assert not touched.all()
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("value", [1, np.nan])
def test_activation(value):
    line = "conv forward x=2x3x9x8 w=4x3x3x3 p=1 {}float32"
    x, w, b = (array.copy() for array in inputs_of(Problem.parse(line.format(""))))
    x[1, 0, 0, 0] = value
    (plain,) = solved(Problem.parse(line.format("")), (x, w, b), NAME)
    (found,) = solved(Problem.parse(line.format("act=relu ")), (x, w, b), NAME)
    same(found, np.maximum(plain, 0))


def test_sums_that_leave_the_range_of_transforms():
    x = np.zeros((1, 1, 40))
    x[0, 0, ::2] = 1e308
    with settings(algorithm=NAME):
        found = F.conv1d(x, np.array([[[0.5, 0.25]]]))
    np.testing.assert_allclose(found[0, 0, :2], [5e307, 2.5e307])
    assert np.isfinite(found).all()


def test_large_values_do_not_drown_small_ones():
    """Errors are those of float64, relative to the largest value."""
    x = np.random.default_rng(0).standard_normal((1, 1, 400)).astype(np.float32)
    x[0, 0, 200] = 1e6
    w = np.random.default_rng(1).standard_normal((1, 1, 31)).astype(np.float32)
    with settings(algorithm=NAME):
        found = F.conv1d(x, w)
    wanted = F.conv1d(x.astype(float), w.astype(float))
    np.testing.assert_allclose(found, wanted, rtol=2e-7, atol=1e-7)


LARGE = "conv forward x=1x1x512x512 w=1x1x31x31 p=15 "


def test_taken_for_large_windows():
    assert plan_for(Problem.parse(LARGE + "float32")).algorithm == NAME
    assert not plan_for(Problem.parse(LARGE + "float32")).exact
    small = plan_for(Problem.parse("conv forward x=1x1x512x512 w=1x1x3x3 float32"))
    assert "summed faster" in small.refusals[NAME]
    few = plan_for(Problem.parse("conv forward x=1x64x56x56 w=64x64x5x5 p=2 float32"))
    assert "of the time" in few.refusals[NAME]


def test_float64_takes_it_where_precision_is_fast():
    problem = Problem.parse(LARGE + "float64")
    assert "precision is high" in plan_for(problem).refusals[NAME]
    with settings(precision="fast"):
        assert plan_for(problem).algorithm == NAME
    with settings(algorithm=NAME):
        assert plan_for(problem).algorithm == NAME


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("conv input_gradient x=1x1x4x4 w=1x1x3x3 float32", "forward"),
        ("conv forward x=1x1x4x4 w=1x1x3x3 int8", "floating"),
        ("conv forward x=1x1x4x4 w=1x1x3x3 float16", "floating"),
        ("conv forward x=1x1x4x4 w=1x1x3x3 acc=float64 float32", "their own"),
    ],
)
def test_refusals(line, reason):
    assert reason in ALGORITHM.rejects(Problem.parse(line))


def test_agrees_with_scipy():
    signal = pytest.importorskip("scipy.signal")
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((90, 70)), rng.standard_normal((33, 21))
    with settings(algorithm=NAME):
        found = F.conv2d(x[np.newaxis], w[np.newaxis, np.newaxis])[0]
    np.testing.assert_allclose(found, signal.correlate(x, w, "valid"), atol=1e-11)


def test_without_scipy():
    code = """
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "scipy" else found(name, *rest)
sys.modules["scipy"] = None
import numpy as np, fastconv as F
x, w = np.ones((1, 1, 30), np.float32), np.ones((1, 1, 9), np.float32)
with F.settings(algorithm="fft"):
    print(F.conv1d(x, w).round(5).tolist() == [[[9.0] * 22]], "numba" in sys.modules)
"""
    assert python(code) == "True False"


@pytest.mark.parametrize("least", [1, 2, 3, 11, 13, 97, 100, 1009, 4096, 4097])
def test_fast_lengths(least):
    fft_of_scipy = pytest.importorskip("scipy.fft")
    length = fft_tiles.fast_length(least)
    assert length >= least
    rest = length
    for factor in (2, 3, 5, 7):
        while rest % factor == 0:
            rest //= factor
    assert rest == 1
    assert length <= 1.1 * fft_of_scipy.next_fast_len(least, real=True) + 1
