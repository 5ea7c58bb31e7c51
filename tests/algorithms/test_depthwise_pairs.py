"""The gradient of a depthwise input by pairs: exact, within its arrays, its bits and reasons."""

import sys

import numpy as np
import pytest

pytest.importorskip("numba")

import fastconv as F
from fastconv import Problem, settings
from fastconv.algorithms import ALGORITHMS, depthwise_pairs
from fastconv.kernels import target
from fastconv.plan import plan_for
from tests.algorithms.test_turned_forward import GUARDED, random_inputs, with_batch
from tests.helpers import expected, fenced, inputs_of, ints, python, same, solved, unharmed

NAME = "depthwise_pairs"
(ALGORITHM,) = (a for a in ALGORITHMS if a.name == NAME)
LINES = [
    "conv input_gradient x=3x4x19x37 w=4x1x3x3 s=2 p=1 g=4 float32",
    "conv input_gradient x=2x3x8x34 w=3x1x3x3 s=2 p=0:1 g=3 float32",
    "conv input_gradient x=2x3x10x41 w=3x1x5x4 s=2 p=2x3 g=3 float64",
    "conv input_gradient x=2x5x2x9 w=5x1x2x2 s=2 g=5 float32",
]
"""Compiled for each instruction set's tiles of several rows, and of one."""
EACH_LINE = pytest.mark.parametrize("line", LINES)
pytestmark = pytest.mark.skipif(not target.host().masked_loads, reason="for vectors with masks")


def bits(problem, inputs, threads=1):
    """The result's bytes, sample by sample."""
    gx = fenced(np.full(problem.result_shape, np.nan, problem.dtype))
    ALGORITHM.run(problem, inputs, (gx,), 2**26, threads)
    assert unharmed(gx)
    return [sample.tobytes() for sample in gx]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("conv forward x=1x2x8x8 w=2x1x3x3 s=2 g=2 float32", "conv input_gradient"),
        ("conv input_gradient x=1x2x8x8 w=2x1x3x3 s=2 g=2 float16", "float16"),
        ("conv input_gradient x=1x2x8x8 w=2x1x3x3 s=2 g=2 layout=last float32", "channels_last"),
        ("conv input_gradient x=1x2x8x8 w=4x1x3x3 s=2 g=2 float32", "2 and 4 in 2 groups"),
        ("conv input_gradient x=1x4x8x8 w=2x2x3x3 s=2 g=2 float32", "4 and 2 in 2 groups"),
        ("conv input_gradient x=1x2x8 w=2x1x3 s=2 g=2 float32", "two axes"),
        ("conv input_gradient x=1x2x8x8 w=2x1x3x3 s=2x1 g=2 float32", "stride 2"),
        ("conv input_gradient x=1x2x8x8 w=2x1x3x3 s=2 d=2 g=2 float32", "neighbouring taps"),
        ("conv input_gradient x=1x2x9x9 w=2x1x7x7 s=2 g=2 float32", "window of (7, 7)"),
        ("conv input_gradient x=1x1x3x65536 w=1x1x3x3 s=2 p=1 float32", "rows of more than"),
    ],
)
def test_what_it_refuses_and_why(line, why):
    assert why in ALGORITHM.rejects(Problem.parse(line))


@EACH_LINE
def test_it_is_taken_and_agrees_with_the_oracle(line):
    problem = Problem.parse(line)
    assert plan_for(problem).algorithm == NAME
    inputs = inputs_of(problem)
    same(solved(problem, inputs, NAME)[0], expected(problem, inputs)[0])


@pytest.mark.parametrize("pad", [0, 1, 2, 3, 5])
def test_every_size_and_padding_agrees(pad):
    """Also where there are fewer positions than padding, and elements without any."""
    for height in (1, 2, 3, 4, 7, 8, 9, 16, 17):
        for width in (3, 15, 16, 31, 32, 33, 34, 63, 65):
            if height + 2 * pad < 3:
                continue
            line = f"x=1x2x{height}x{width} w=2x1x3x3 s=2 p={pad}x{pad % 2} g=2 float32"
            problem = Problem.parse(f"conv input_gradient {line}")
            inputs = inputs_of(problem)
            same(solved(problem, inputs, NAME)[0], solved(problem, inputs, "naive")[0])


@EACH_LINE
def test_bits_depend_on_neither_batch_nor_threads_nor_tile(line, monkeypatch):
    monkeypatch.setattr(depthwise_pairs, "SERIAL_FLOPS", 0)
    monkeypatch.setattr(depthwise_pairs, "WAKE_FLOPS", 0)
    problem = Problem.parse(line)
    w, gy, b = random_inputs(problem)
    together = bits(problem, (w, gy, b))
    for threads in (2, 3):
        assert bits(problem, (w, gy, b), threads) == together
    alone = with_batch(line, 1)
    assert [bits(alone, (w, gy[i : i + 1], b))[0] for i in range(len(gy))] == together
    if line == LINES[0]:
        monkeypatch.setitem(depthwise_pairs.ROWS, target.host().name, (1,))
        depthwise_pairs._engine.cache_clear()
        assert bits(problem, (w, gy, b)) == together
        depthwise_pairs._engine.cache_clear()


def test_bias_and_activation_of_a_transposed_convolution():
    """And arrays that do not lie as the loops want them."""
    x, w, b = ints(2, 3, 5, 9, dtype=np.float32), ints(3, 1, 3, 3, dtype=np.float32), ints(3)
    b = b.astype(np.float32)
    parameters = {"stride": 2, "padding": 1, "output_padding": 1, "groups": 3}
    call = F.explain("conv_transpose2d", x, w, b, **parameters)
    assert call.algorithm == NAME
    with settings(algorithm="turned_forward"):
        wanted = F.conv_transpose2d(x, w, b, **parameters)
    same(F.conv_transpose2d(x, w, b, **parameters), wanted)
    strided = np.asfortranarray(x)
    strided.flags.writeable = False
    got = F.conv_transpose2d(strided, np.asfortranarray(w), b, **parameters, activation="relu")
    same(got, np.maximum(wanted, 0))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_touches_exactly_its_elements(value):
    problem = Problem.parse(LINES[0])
    w, gy = inputs_of(problem)
    w = np.abs(w) + 1
    (clean,) = solved(problem, (w, gy), NAME)
    for place in ((0, 0, 0, 0), (1, 2, 4, 9), (2, 3, 9, 18)):
        spoiled = gy.copy()
        spoiled[place] = value
        (found,) = solved(problem, (w, spoiled), NAME)
        sample, channel, row, column = place
        touched = np.zeros(clean.shape, bool)
        rows, columns = (slice(max(0, 2 * at - 1), 2 * at + 2) for at in (row, column))
        touched[sample, channel, rows, columns] = True
        np.testing.assert_array_equal(~np.isfinite(found), touched)
        same(found[~touched], clean[~touched])


@pytest.mark.skipif(sys.platform != "linux", reason="pages are protected through glibc")
def test_nothing_outside_the_arrays_is_touched():
    """Rows in and beyond the padding, and vectors that end where an array does."""
    guarded = GUARDED.replace("turned_forward", NAME)
    code = """
done = 0
for width in (1, 2, 15, 16, 17, 31, 32, 33, 34, 65):
    done += solve(f"conv input_gradient x=1x2x7x{width} w=2x1x3x3 p=1 s=2 g=2 float32")
    done += solve(f"conv input_gradient x=1x2x8x{width} w=2x1x2x2 p=3x1 s=2 g=2 float32")
    done += solve(f"conv input_gradient x=2x1x17x{width} w=1x1x5x4 p=2x3 s=2 float64")
print(done)
"""
    assert python(guarded + code) == "30"
