"""Vectors of output channels: what is taken, and that bits do not depend on anything else.

That its sums are right is for the agreement tests, and that it keeps to its arrays for the guarded
program of `test_implicit_gemm`.
"""

import numpy as np
import pytest

pytest.importorskip("numba")

import fastconv as F
from fastconv import Problem, settings
from fastconv.algorithms import ALGORITHMS, channel_vectors
from fastconv.kernels import target
from fastconv.plan import plan_for
from tests.algorithms import test_implicit_gemm as positions
from tests.helpers import fenced, ints, same, share_all, unharmed

NAME = "channel_vectors"
(ALGORITHM,) = (a for a in ALGORITHMS if a.name == NAME)
LINES = [
    "conv forward x=5x3x7x7 w=32x3x3x3 p=1 float32",
    "conv forward x=5x7x5x6 w=17x7x3x3 float32",
    "conv forward x=4x5x13 w=48x5x5 p=2:1 d=2 float64",
    "conv forward x=5x16x7x6 w=40x8x3x3 s=2 p=1 g=2 float32",
    "conv forward x=3x30x4x4 w=64x30x1x1 float32",
    "conv forward x=3x24x5x5 w=70x24x5x5 float32",
    "conv forward x=3x3x3x4x5 w=48x3x2x3x3 s=1x2x1 float32",
    "conv forward x=3x150x3x3 w=20x150x3x3 p=1 float32",
]
EACH_LINE = pytest.mark.parametrize("line", LINES)


def bits(problem, inputs, threads=1, limit=2**26):
    """The result's bytes, sample by sample."""
    y = fenced(np.full(problem.result_shape, np.nan, problem.dtype))
    ALGORITHM.run(problem, inputs, (y,), limit, threads)
    assert unharmed(y)
    return [sample.tobytes() for sample in y]


@EACH_LINE
def test_it_is_taken_where_planes_are_small(line):
    plan = plan_for(Problem.parse(line))
    assert plan.algorithm == NAME
    assert "implicit_gemm" in (*plan.candidates, *plan.refusals)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("conv input_gradient x=1x2x8 w=3x2x3 float32", "conv forward"),
        ("conv forward x=1x1x3x3x3x3 w=1x1x2x2x2x2 float32", "3 spatial dimensions"),
        ("conv forward x=1x16x300x300 w=16x16x3x3 float32", "positions"),
        ("conv forward x=1x2x7x7 w=16x2x3x3 float32", "18 terms"),
        ("conv forward x=1x64x56x56 w=64x64x3x3 p=1 float32", "vectors of positions"),
        ("conv forward x=1x64x7x7 w=1x64x3x3 p=1 float32", "vectors of positions"),
    ],
)
def test_what_it_refuses_and_why(line, why):
    assert why in ALGORITHM.rejects(Problem.parse(line))


@EACH_LINE
def test_a_sample_has_the_same_bits_in_any_batch_and_place(line):
    problem = Problem.parse(line)
    x, w, b = positions.random_inputs(problem)
    whole = bits(problem, (x, w, b))
    assert len(set(whole)) == len(x)
    one = positions.with_batch(line, 1)
    assert [bits(one, (x[i : i + 1], w, b))[0] for i in range(len(x))] == whole
    assert bits(problem, (np.ascontiguousarray(x[::-1]), w, b)) == whole[::-1]


@EACH_LINE
@pytest.mark.parametrize("packed", [False, True])
def test_any_number_of_threads_gives_the_same_bits(line, packed, monkeypatch):
    share_all(monkeypatch)
    problem = Problem.parse(line)
    x, w, b = positions.random_inputs(problem, 1)
    inputs = (x, ALGORITHM.pack(problem, w, b), None) if packed else (x, w, b)
    serial = bits(problem, inputs)
    for threads in (2, 3, 7):
        assert bits(problem, inputs, threads) == serial
    bound = ALGORITHM.bind(problem, ALGORITHM.pack(problem, w, b), 2**26, 3)
    y = np.full(problem.result_shape, np.nan, problem.dtype)
    bound(x, y)
    assert [sample.tobytes() for sample in y] == serial


@EACH_LINE
def test_samples_copied_one_at_a_time_change_nothing(line):
    problem = Problem.parse(line)
    inputs = positions.random_inputs(problem, 2)
    assert bits(problem, inputs, limit=0) == bits(problem, inputs)


@pytest.mark.parametrize(
    "line", [LINES[3], LINES[5], "conv forward x=2x40x3x3 w=250x40x3x3 float32"]
)
def test_weights_packed_a_chunk_at_a_time_change_nothing(line, monkeypatch):
    problem = Problem.parse(line)
    inputs = positions.random_inputs(problem, 4)
    expected = bits(problem, inputs)
    monkeypatch.setattr(channel_vectors, "CHUNK_BYTES", 1)
    share_all(monkeypatch)
    channel_vectors._engine.cache_clear()
    try:
        for threads in (1, 3):
            assert bits(problem, inputs, threads) == expected
    finally:
        channel_vectors._engine.cache_clear()


def test_scratch_memory_is_a_padded_copy_and_a_chunk_of_weights():
    problem = Problem.parse("conv forward x=1x512x7x7 w=512x512x3x3 p=1 float32")
    copy = 4 * 512 * 9 * 9
    assert copy < ALGORITHM.scratch(problem, 2**25) <= copy + 2**22
    huge = "conv forward x=1x4096x5x5 w=512x4096x5x5 float32"
    assert "packed at once" in ALGORITHM.rejects(Problem.parse(huge))


def test_packed_is_packed():
    problem = Problem.parse(LINES[0])
    x, w, b = positions.random_inputs(problem, 3)
    packed, expected = ALGORITHM.pack(problem, w, b), bits(problem, (x, w, b))
    w[...] = b[...] = np.nan
    assert bits(problem, (x, packed, None)) == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "line",
    [
        "conv forward x=1x4x5x5 w=17x4x3x3 p=1 float32",
        "conv forward x=1x4x6x5 w=16x4x3x2 s=2 p=1 d=1x2 float64",
    ],
)
def test_nan_and_infinity_touch_the_windows_that_hold_them_only(line, value):
    problem = Problem.parse(line)
    geometry = problem.conv
    clean = ints(*geometry.input_shape, dtype=problem.dtype)
    w = ints(*geometry.weight_shape, dtype=problem.dtype, low=1, high=3)

    def solve(x):
        y = np.empty(problem.result_shape, problem.dtype)
        ALGORITHM.run(problem, (x, w, None), (y,), 2**26, 1)
        return y

    expected, windows = solve(clean), positions.windows_of(problem)
    for source in np.ndindex(geometry.sizes):
        x = clean.copy()
        x[(0, 2, *source)] = value
        wanted = expected.copy()
        for at, sources in windows.items():
            if source in sources:
                wanted[(0, slice(None), *at)] = value
        same(solve(x), wanted)


@pytest.mark.parametrize("form", positions.ODD)
@pytest.mark.parametrize("padding", [0, 1])
def test_odd_arrays(form, padding):
    x, w, b = (ints(*s, dtype=np.float32) for s in ((2, 3, 6, 6), (16, 3, 3, 3), (16,)))
    with settings(algorithm=NAME):
        expected = F.conv2d(x, w, b, padding=padding)
        odd = [positions.ODD[form](array) for array in (x, w, b)]
        for array in odd:
            array.flags.writeable = False
        same(F.conv2d(*odd, padding=padding), expected)


def test_an_input_whose_planes_crowd_the_cache_is_copied_with_its_padding():
    plane = 256
    line = "conv forward x=1x{}x{}x{} w=64x{}x3x3 p=1 float32"
    crowded = Problem.parse(line.format(64, plane, plane, 64))
    assert plane * plane * 4 % channel_vectors.WAY_BYTES == 0
    assert ALGORITHM.rejects(crowded) is None
    assert ALGORITHM.rejects(Problem.parse(line.format(64, plane, plane - 8, 64))) is not None
    few = Problem.parse(line.format(8, plane, plane, 8))
    assert ALGORITHM.rejects(few) is not None


def test_tiles_have_the_rows_that_waste_least():
    if target.host() is not target.AVX512:
        pytest.skip("one number of rows here")
    line = "conv forward x=1x9x{0}x{0} w=9x9x1x1 float32"
    rows = [channel_vectors._rows(Problem.parse(line.format(size)).conv) for size in (7, 8)]
    assert rows == [7, 8]
