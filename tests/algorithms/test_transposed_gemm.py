import sys

import numpy as np
import pytest

from fastconv import Problem
from fastconv.algorithms import ALGORITHMS, implicit_gemm, transposed_gemm
from fastconv.algorithms.algorithm import Packed
from fastconv.plan import plan_for
from tests.algorithms.test_turned_forward import GUARDED, random_inputs, with_batch
from tests.helpers import (
    expected,
    fenced,
    inputs_of,
    ints,
    python,
    same,
    share_all,
    solved,
    unharmed,
)

pytest.importorskip("numba")

NAME, MIB = "transposed_gemm", 2**20
(ALGORITHM,) = (a for a in ALGORITHMS if a.name == NAME)
LINES = [
    "conv input_gradient x=3x5x8x34 w=9x5x2x2 s=2 float32",
    "conv input_gradient x=3x4x16x24 w=9x4x4x4 s=2 p=1 float32",
    "conv input_gradient x=3x3x64x64 w=8x3x4x4 s=2 p=1 float64",
    "conv input_gradient x=3x6x41 w=4x3x4 s=4 p=1:2 g=2 float32",
    "conv input_gradient x=3x5x9x37 w=6x5x3x8 s=1x4 p=3 d=2x1 float32",
    "conv input_gradient x=3x2x11x22 w=5x2x2x4 s=3x2 p=0x3:0 float64",
    "conv input_gradient x=3x9x5x6x8 w=4x9x2x2x2 s=2 float64",
    "conv input_gradient x=3x9x6x5x9 w=4x9x3x1x2 s=1x2x2 p=1x0x0 float32",
    "conv input_gradient x=3x20x7x16 w=70x20x4x2 s=4x2 float32",
]
EACH_LINE = pytest.mark.parametrize("line", LINES)


def bits(problem, inputs, threads=1, limit=64 * MIB):
    """The result's bytes, sample by sample."""
    gx = fenced(np.full(problem.result_shape, np.nan, problem.dtype))
    ALGORITHM.run(problem, inputs, (gx,), limit, threads)
    assert unharmed(gx)
    return [sample.tobytes() for sample in gx]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("conv forward x=1x2x8 w=3x2x3 float32", "conv input_gradient"),
        ("conv input_gradient x=1x2x24 w=3x2x2 s=2 layout=last float32", "channels_last"),
        ("conv input_gradient x=1x2x24 w=3x2x2 float32", "stride 1"),
        ("conv input_gradient x=1x2x24 w=3x2x3 s=3 float32", "stride 3"),
        ("conv input_gradient x=1x2x24 w=3x2x3 s=2 float32", "3 taps"),
        ("conv input_gradient x=1x2x24 w=3x2x2 s=2 d=3 float32", "3 apart"),
        ("conv input_gradient x=1x2x24 w=4x1x2 s=2 g=2 float32", "one channel"),
        ("conv input_gradient x=1x2x24 w=4x2x2 s=2 act=tanh float32", "tanh"),
        ("conv input_gradient x=1x2x8 w=4x2x2 s=2 float32", "4 positions"),
    ],
)
def test_what_it_refuses_and_why(line, why):
    assert why in ALGORITHM.rejects(Problem.parse(line))


@EACH_LINE
def test_it_is_planned(line):
    assert plan_for(Problem.parse(line)).algorithm == NAME


@EACH_LINE
@pytest.mark.parametrize("activation", [None, "relu"])
def test_it_agrees_with_the_oracle(line, activation):
    plain = Problem.parse(line)
    words = line.split()
    act = [] if activation is None else [f"act={activation}"]
    problem = Problem.parse(" ".join([*words[:-1], *act, words[-1]]))
    inputs = inputs_of(plain)
    (wanted,) = expected(plain, inputs)
    if activation is None:
        same(solved(problem, inputs, NAME)[0], wanted)
    b = ints(plain.conv.channels, dtype=plain.dtype, seed=7)
    wanted = wanted + b.reshape(-1, *(1,) * plain.conv.rank)
    (got,) = solved(problem, (*inputs, b), NAME)
    same(got, wanted if activation is None else np.maximum(wanted, 0))


@EACH_LINE
def test_a_sample_has_the_same_bits_in_any_batch_and_place(line):
    problem = Problem.parse(line)
    w, gy, b = random_inputs(problem)
    whole = bits(problem, (w, gy, b))
    assert len(set(whole)) == len(gy)
    alone = with_batch(line, 1)
    assert [bits(alone, (w, gy[i : i + 1], b))[0] for i in range(len(gy))] == whole
    assert bits(problem, (w, np.ascontiguousarray(gy[::-1]), b)) == whole[::-1]


@EACH_LINE
def test_threads_limits_chunks_and_packing_give_the_same_bits(line, monkeypatch):
    problem = Problem.parse(line)
    w, gy, b = inputs = random_inputs(problem, 1)
    serial = bits(problem, inputs)
    packed = ALGORITHM.pack(problem, w, b)
    assert isinstance(packed, Packed)
    assert bits(problem, (packed, gy)) == serial
    for limit in (0, 4 * MIB):
        assert bits(problem, inputs, limit=limit) == serial
    share_all(monkeypatch)
    for threads in (2, 5):
        assert bits(problem, inputs, threads) == serial
    monkeypatch.setattr(implicit_gemm, "PANELS_BYTES", 1)
    monkeypatch.setattr(transposed_gemm, "CHUNK_BYTES", 1)
    assert bits(problem, inputs, 3) == serial


@EACH_LINE
def test_results_that_go_past_the_caches_are_the_same(line, monkeypatch):
    problem = Problem.parse(line)
    inputs = random_inputs(problem, 2)
    wanted = bits(problem, inputs)
    monkeypatch.setattr(transposed_gemm, "STREAM_BYTES", 0)
    transposed_gemm._phases.cache_clear()
    try:
        assert bits(problem, inputs) == wanted
    finally:
        transposed_gemm._phases.cache_clear()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@EACH_LINE
def test_nan_and_infinity_touch_what_they_are_multiplied_into_only(line, value):
    problem = with_batch(line, 1)
    generator = np.random.default_rng(3)
    w = np.ones(problem.conv.weight_shape, problem.dtype)
    for _ in range(3):
        gy = np.zeros(problem.y_shape, problem.dtype)
        place = tuple(generator.integers(0, size) for size in gy.shape)
        gy[place] = 1
        (reached,) = solved(problem, (w, gy), NAME)
        gy[place] = value
        (got,) = solved(problem, (w, gy), NAME)
        assert ((reached == 0) == (got == 0)).all()
        assert not np.isfinite(got[reached != 0]).any()


@pytest.mark.skipif(sys.platform != "linux", reason="pages are protected through glibc")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_outside_the_arrays_is_touched(dtype):
    code = f"""
(ALGORITHM,) = (a for a in ALGORITHMS if a.name == {NAME!r})
done = 0
for width in (16, 17, 18, 31, 32, 33, 34, 47, 63, 64, 65, 66, 67, 96, 99, 130):
    done += solve(f"conv input_gradient x=2x3x{{width}} w=5x3x2 s=2 {dtype}")
    done += solve(f"conv input_gradient x=2x9x6x{{width}} w=4x9x4x4 p=1 s=2 {dtype}")
    done += solve(f"conv input_gradient x=2x5x6x{{width}} w=4x5x2x2 s=2 {dtype}")
    done += solve(f"conv input_gradient x=1x3x9x{{width}} w=4x3x5x4 s=4 p=2 {dtype}")
print(done >= 48)
"""
    assert python(GUARDED + code) == "True"
