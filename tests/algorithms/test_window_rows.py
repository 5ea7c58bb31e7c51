"""Compiled pools: NaN and infinities in vectors and at their ends, threads, and their arrays' ends.

That results are right on integers is for the agreement tests.
"""

import sys

import numpy as np
import pytest

from fastconv import Problem, settings
from fastconv.algorithms import ALGORITHMS
from fastconv.algorithms.regular_pool import regular
from fastconv.plan import plan_for
from tests.helpers import distinct, inputs_of, python, same, solved

pytest.importorskip("numba")
NAN, INF = np.nan, np.inf
COMPILED = ("window_planes", "window_rows", "window_places", "window_spread", "plane_places")
PLACES = [
    "k=3x3 p=1",
    "k=3x3 s=2 p=1",
    "k=2x2 s=2",
    "k=2x3 s=1x3 p=1",
    "k=5x4 s=2 p=2",
    "k=2x7 s=7",
    "k=3x2 d=2 p=1x2 round=cover_all",
]
RULES = [
    *(("max_pool", place) for place in PLACES),
    ("min_pool", "k=3x3 s=2 p=1"),
    ("min_pool", "k=5x4 s=2 p=2 nan=ignore"),
    ("max_pool", "k=3x3 p=1 nan=ignore"),
    ("max_pool", "k=2x7 s=7 nan=ignore"),
    ("max_pool", "k=2x3 s=1x3 p=1 layout=last"),
    ("min_pool", "k=3x2 d=2 p=1x2 round=cover_all layout=last nan=ignore"),
]
"""Every way to reduce with NaN kept, and some of them otherwise: all have code of their own."""
ODD = {
    "one": [NAN],
    "some": [NAN] * 40,
    "infinities": [INF, -INF] * 30,
    "lowest": [-INF] * 1200,
    "all": [NAN, INF, -INF] * 60,
}


def with_odd_values(problem, values, seed):
    """Values that all differ, some of them replaced."""
    rng = np.random.default_rng(seed)
    x = distinct(*problem.x_shape, seed=seed).astype(problem.dtype)
    x.flat[rng.choice(x.size, len(values), replace=False)] = values
    return x


@pytest.mark.parametrize("values", ODD.values(), ids=ODD)
@pytest.mark.parametrize(("kind", "place"), RULES)
def test_odd_values_go_where_the_plain_loops_have_them(kind, place, values):
    problem = Problem.parse(f"{kind} forward x=2x3x7x45 {place} float32")
    x = with_odd_values(problem, values, seed=len(values))
    (expected,) = solved(problem, (x,), "naive")
    same(solved(problem, (x,), "window_rows")[0], expected)


SMALL = [
    "max_pool forward x=2x3x7x45 k=3x3 p=1 float32",
    "min_pool forward x=2x3x7x45 k=2x3 p=1x1 float32",
    "max_pool forward x=2x3x7x45 k=3x3 p=1 nan=ignore float32",
    "max_pool forward x=2x3x8x28 k=2x2 s=2 float32",
    "min_pool forward x=2x3x7x45 k=2x3 s=2x3 nan=ignore float32",
]


@pytest.mark.parametrize("values", ODD.values(), ids=ODD)
@pytest.mark.parametrize("line", SMALL)
def test_odd_values_in_small_planes(line, values):
    problem = Problem.parse(line)
    x = with_odd_values(problem, values, seed=len(values))
    (expected,) = solved(problem, (x,), "naive")
    same(solved(problem, (x,), "window_planes")[0], expected)


@pytest.mark.parametrize("values", ODD.values(), ids=ODD)
@pytest.mark.parametrize("place", PLACES)
def test_places_of_odd_values(place, values):
    for rule in ("", " nan=ignore"):
        line = f"max_pool forward x=2x3x7x45 {place} indices=1{rule} float32"
        problem = Problem.parse(line)
        x = with_odd_values(problem, values, seed=len(values))
        for got, expected in zip(
            solved(problem, (x,), "window_places"), solved(problem, (x,), "naive"), strict=True
        ):
            same(got, expected)


LARGE = [
    "max_pool forward x=2x16x64x65 k=3x3 s=2 p=1 float32",
    "avg_pool forward x=2x16x64x65 k=3x3 p=1 pad=0 float32",
    "max_pool forward x=1x2x150001 k=5 s=2 p=2 float64",
    "max_pool forward x=1x4x20x40x41 k=3x3x3 p=1 float32",
    "avg_pool forward x=2x64x65x16 k=3x3 p=1 layout=last float32",
    "max_pool forward x=2x16x64x65 k=3x3 s=2 p=1 indices=1 float32",
    "scatter forward x=2x16x64x65 o=32x33 float32",
    "avg_pool input_gradient x=2x16x64x65 k=3x3 s=2 p=1 float32",
    "avg_pool input_gradient x=2x16x64x65 k=3x3 p=1 float32",
    "avg_pool input_gradient x=2x16x64x66 k=2x3 s=2x3 float32",
    "adaptive_max_pool forward x=2x16x64x65 o=7x6 float32",
    "adaptive_avg_pool forward x=2x16x64x64 o=1x1 float32",
    "max_pool forward x=2x64x28x28 k=3x3 p=1 float32",
    "avg_pool forward x=2x64x28x28 k=2x2 s=2 float32",
]


@pytest.mark.parametrize("line", LARGE)
def test_threads_do_not_matter(line):
    problem = Problem.parse(line)
    inputs = inputs_of(problem)
    assert plan_for(problem).algorithm in COMPILED
    one = solved(problem, inputs, threads=1)
    for threads in (2, 3):
        for got, expected in zip(solved(problem, inputs, threads=threads), one, strict=True):
            same(got, expected)
    for got, expected in zip(one, solved(problem, inputs, "naive"), strict=True):
        same(got, expected)


INTEGERS = [("max", "int8"), ("min", "uint8"), ("max", "uint32"), ("min", "int64"), ("max", "bool")]


@pytest.mark.parametrize(("kind", "dtype"), INTEGERS)
def test_integers_are_compared_in_vectors_of_their_own(kind, dtype):
    problem = Problem.parse(f"{kind}_pool forward x=1x3x9x150 k=3x3 s=2 p=1 {dtype}")
    inputs = inputs_of(problem)
    same(solved(problem, inputs, "window_rows")[0], solved(problem, inputs, "naive")[0])


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_integers_in_small_planes(dtype):
    problem = Problem.parse(f"max_pool forward x=1x3x9x50 k=3x3 p=1 {dtype}")
    inputs = inputs_of(problem)
    same(solved(problem, inputs, "window_planes")[0], solved(problem, inputs, "naive")[0])


@pytest.mark.parametrize(
    ("line", "regularly"),
    [
        (
            "adaptive_avg_pool forward x=1x2x8x9 o=4x3 float32",
            "avg_pool forward x=1x2x8x9 k=2x3 s=2x3 float32",
        ),
        ("adaptive_max_pool forward x=1x2x8x9 o=3x3 float32", None),
        (
            "avg_pool input_gradient x=1x2x8x9 k=3x2 p=1:0x0 float32",
            "avg_pool forward x=1x2x7x8 k=3x2 p=1:2x1 div=6 float32",
        ),
        ("avg_pool input_gradient x=1x2x8x9 k=3x2 s=2 float32", None),
        ("avg_pool input_gradient x=1x2x8x9 k=3x3 p=1 pad=0 float32", None),
    ],
)
def test_pools_that_are_regular_ones(line, regularly):
    found = regular(Problem.parse(line))
    assert (None if found is None else str(found)) == regularly


def test_a_row_that_is_too_long_for_scratch_is_left_to_others():
    problem = Problem.parse("max_pool forward x=1x1x700000 k=600000 float32")
    (algorithm,) = (a for a in ALGORITHMS if a.name == "window_rows")
    assert "more than" in algorithm.rejects(problem)
    with settings(max_scratch_bytes=2**30):
        assert plan_for(problem).algorithm == "pooling"


GUARDED = [
    "max_pool forward x=1x2x7x37 k=3x3 p=1 float32",
    "avg_pool forward x=1x2x5x19 k=2x3 p=0x1 pad=0 float64",
    "max_pool forward x=1x3x5x18 k=2x2 s=2 float32",
    "max_pool forward x=1x2x7x37 k=3x3 s=2 p=1 float32",
    "max_pool forward x=1x2x5x35 k=3x3 s=2 float32",
    "max_pool forward x=1x2x5x35 k=5x4 s=1x2 p=2 float64",
    "max_pool forward x=1x1x5x21x3 k=2x3x2 p=1 layout=last float32",
    "avg_pool forward x=1x2x6x36 k=2x2 s=2 float32",
    "avg_pool forward x=1x2x2x5x19 k=2x3x7 s=1x2x7 p=1x0x3 float64",
    "avg_pool input_gradient x=1x2x6x17 k=3x2 s=2 p=1 float32",
    "avg_pool input_gradient x=1x3x6x38 k=2x2 s=2 float32",
    "avg_pool input_gradient x=1x2x6x21 k=3x3 s=3 float64",
    "scatter forward x=1x2x6x17 o=3x5 float32",
    "scatter forward x=1x3x6x38 o=3x19 float32",
]
GUARDED_RUN = """
import numpy as np
from fastconv import Problem
from fastconv.algorithms import ALGORITHMS
from fastconv.cli.operands import operands
from tests.guarded import SIDES, Guarded
from tests.helpers import inputs_of, solved

for line in LINES:
    problem = Problem.parse(line)
    nearby = problem.operation == "scatter"
    inputs = operands(problem, "normal") if nearby else inputs_of(problem)
    (expected,) = solved(problem, inputs, "naive")
    algorithm = next(a for a in ALGORITHMS if a.rejects(problem) is None)
    assert algorithm.name in NAMES, (line, algorithm.name)

    def view(array):
        last = problem.layout == "channels_last"
        return np.moveaxis(array, -1, 1) if last else array

    for side in SIDES:
        guarded = [Guarded(a, side).array if a.dtype.kind == "f" else a for a in inputs]
        y = Guarded(np.full(problem.result_shape, np.nan, problem.dtype), side)
        algorithm.run(problem, [view(a) for a in guarded], (view(y.array),), 2**26, 2)
        assert np.array_equal(y.array, expected), (line, side)
        assert y.unharmed, (line, side)
print("unharmed")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")
@pytest.mark.parametrize("features", [None, "+avx2,+fma,+avx", ""], ids=["host", "avx2", "sse"])
def test_never_leaves_its_arrays(features):
    narrower = {} if features is None else {"NUMBA_CPU_NAME": "generic"}
    if features:
        narrower["NUMBA_CPU_FEATURES"] = features
    code = f"LINES = {GUARDED!r}\nNAMES = {COMPILED!r}\n{GUARDED_RUN}"
    assert python(code, **narrower) == "unharmed"
