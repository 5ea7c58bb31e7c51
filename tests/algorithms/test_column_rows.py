"""Columns in compiled loops: every kind of loop, bit for bit, by one thread and by several."""

import sys

import numpy as np
import pytest

import fastconv as F
from fastconv import PlanError, Problem, settings
from fastconv.algorithms import ALGORITHMS, column_rows
from fastconv.plan import plan_for
from tests.helpers import expected, inputs_of, python, same, solved

pytest.importorskip("numba")
NAME = "column_rows"
(ALGORITHM,) = (algorithm for algorithm in ALGORITHMS if algorithm.name == NAME)
PLACES = [
    "x=2x3x7x7 k=3 p=1",  # flat: a plane is as large as its columns
    "x=1x2x40x40 k=5 p=2 d=1x1",
    "x=2x3x5x70 k=3",  # rows
    "x=2x2x9x8 k=3x2 s=2 p=1:0x2",
    "x=1x3x21x40 k=3 s=2 p=1",  # more than one vector
    "x=1x2x6x71 k=2x5 s=1x2 p=0x3 d=1x2",
    "x=1x2x13x14 k=4 s=4x3 p=2",  # other strides
    "x=2x1x29 k=5 s=1 p=9 d=3",  # taps that read nothing
    "x=1x2x3x4x5 k=2x3x2 s=1x1x2 p=1",
    "x=1x1x3x2x4x5 k=2 p=1 s=1",
    "x=2x2x200 k=7 p=3",
    "x=3x2x1x1 k=1",
]
MODES = ["", "mode=reflect ", "mode=replicate ", "mode=circular "]
DIRECTIONS = ("forward", "input_gradient")
DTYPES = {
    "forward": ("uint8", "float16", "float64", "complex128"),
    "input_gradient": ("int8", "float64", "complex64"),
}
OF_FLOATS = [f"columns {d} {place} float32" for place in PLACES for d in DIRECTIONS]
OF_OTHERS = [f"columns {d} {p} {t}" for d in DIRECTIONS for p in PLACES[:8:2] for t in DTYPES[d]]


@pytest.mark.parametrize("line", OF_FLOATS + OF_OTHERS)
def test_agrees_with_the_oracle(line, monkeypatch):
    monkeypatch.setattr(column_rows, "SERIAL_BYTES", 0)
    column_rows._engine.cache_clear()
    problem = Problem.parse(line)
    inputs = inputs_of(problem)
    (wanted,) = expected(problem, inputs)
    for threads in (1, 3):
        (found,) = solved(problem, inputs, NAME, threads=threads)
        same(found, wanted)
    column_rows._engine.cache_clear()


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("dialect", column_rows.ROWS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    "place", ["x=3x2x6x7 k=3 p=2:1 s=1x2", "x=2x1x9 k=3 p=2", "x=1x2x5x4 k=3 p=1"]
)
def test_padding_that_repeats_the_input(mode, dialect, direction, place):
    problem = Problem.parse(f"columns {direction} {place} {mode}dialect={dialect} float32")
    if ALGORITHM.rejects(problem):
        assert (dialect, direction) == ("cnnumpy", "input_gradient")
        return
    inputs = inputs_of(problem)
    same(solved(problem, inputs, NAME)[0], expected(problem, inputs)[0])


@pytest.mark.parametrize("line", OF_FLOATS)
def test_results_do_not_depend_on_the_batch(line):
    """On numbers whose sums are rounded."""
    problem = Problem.parse(line)
    rng = np.random.default_rng(5)
    arrays = [rng.standard_normal(a.shape).astype(a.dtype) for a in inputs_of(problem)]
    whole = solved(problem, arrays, NAME)[0]
    batch = problem.window.batch
    one = Problem.parse(line.replace(f"x={batch}x", "x=1x"))
    for sample in range(batch):
        alone = solved(one, (arrays[0][sample : sample + 1], *arrays[1:]), NAME)[0]
        assert alone.tobytes() == whole[sample : sample + 1].tobytes()


@pytest.mark.parametrize("dtype", ["int8", "float32", "complex128"])
def test_the_value_of_padding(dtype):
    x = np.arange(2 * 5 * 6).reshape(1, 2, 5, 6).astype(dtype)
    for place in ((3, 1, 1), (3, 2, 2), (2, 3, 1)):
        with settings(algorithm=NAME):
            found = F.im2col(x, *place, pad_value=7)
        with settings(algorithm="naive"):
            same(found, F.im2col(x, *place, pad_value=7))


@pytest.mark.parametrize("array", ["read-only", "negative", "broadcast", "unaligned", "fortran"])
def test_odd_arrays(array):
    x = np.arange(2 * 3 * 9 * 8, dtype=np.float32).reshape(2, 3, 9, 8)
    odd = x
    if array == "read-only":
        odd.flags.writeable = False
    elif array == "negative":
        odd = x[:, ::-1, :, ::-1]
    elif array == "broadcast":
        odd = np.broadcast_to(x[:, :1], x.shape)
    elif array == "fortran":
        odd = np.asfortranarray(x)
    else:
        odd = np.empty(x.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)
        odd[...] = x
    with settings(algorithm=NAME):
        same(F.unfold(odd, 3, padding=1), F.unfold(np.ascontiguousarray(odd), 3, padding=1))


def test_not_a_number_stays_where_it_is():
    c = np.ones((1, 2 * 9, 36), np.float32)
    c[0, 4, 7] = np.nan
    with settings(algorithm=NAME):
        found = F.fold(c, 6, 3, padding=1)
    (place,) = np.argwhere(np.isnan(found))
    np.testing.assert_array_equal(place, [0, 0, 1, 1])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("columns forward x=1x1x4x4 k=2 dialect=dlfs float32", "scattered"),
        ("columns input_gradient x=1x1x4x4 k=2 float16", "does not add"),
        ("columns input_gradient x=1x1x4x4 k=2 acc=float64 float32", "does not add"),
        ("columns forward x=1x1x200000x8 k=3 float32", "too large"),
        ("conv forward x=1x1x4x4 w=1x1x3x3 float32", "not conv"),
    ],
)
def test_refusals(line, reason):
    assert reason in ALGORITHM.rejects(Problem.parse(line))


def test_scratch_is_honoured():
    problem = Problem.parse("columns input_gradient x=4x2x9x8 k=3 p=1 mode=reflect float32")
    needed = ALGORITHM.scratch(problem, 0)
    with settings(algorithm=NAME, max_scratch_bytes=needed):
        assert plan_for(problem).scratch_bytes == needed
    with (
        settings(algorithm=NAME, max_scratch_bytes=needed - 1),
        pytest.raises(PlanError, match="scratch"),
    ):
        plan_for(problem)


GUARDED_RUN = """
import numpy as np
from fastconv import Problem
from fastconv.algorithms import ALGORITHMS, column_rows
from tests.guarded import SIDES, Guarded
from tests.helpers import inputs_of

column_rows.SERIAL_BYTES = 0
(algorithm,) = (a for a in ALGORITHMS if a.name == "column_rows")
(naive,) = (a for a in ALGORITHMS if a.name == "naive")
for line in LINES:
    problem = Problem.parse(line)
    inputs = inputs_of(problem)
    expected = np.empty(problem.result_shape, problem.result_dtype)
    naive.run(problem, inputs, (expected,), 2**26, 1)
    for side in SIDES:
        guarded = [Guarded(array, side) for array in inputs]
        y = Guarded(np.full(problem.result_shape, np.nan, problem.result_dtype), side)
        algorithm.run(problem, [g.array for g in guarded], (y.array,), 2**26, 2)
        assert np.array_equal(y.array, expected), (line, side)
        assert y.unharmed, (line, side)
print("unharmed")
"""
GUARDED = [*OF_FLOATS, *(line for line in OF_OTHERS if "float64" in line)]


@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")
@pytest.mark.parametrize("features", [None, "+avx2,+fma,+avx", ""], ids=["host", "avx2", "sse"])
def test_never_leaves_its_arrays(features):
    narrower = {} if features is None else {"NUMBA_CPU_NAME": "generic"}
    if features:
        narrower["NUMBA_CPU_FEATURES"] = features
    code = f"LINES = {GUARDED!r}\n{GUARDED_RUN}"
    assert python(code, **narrower) == "unharmed"
