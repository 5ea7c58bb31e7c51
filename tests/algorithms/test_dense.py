import numpy as np
import pytest

import fastconv as F
from fastconv import Problem
from fastconv.algorithms import ALGORITHMS, dense
from fastconv.plan import plan_for
from tests.helpers import fenced, inputs_of, ints, same, unharmed

pytest.importorskip("numba")

NAME = "dense"
(ALGORITHM,) = (a for a in ALGORITHMS if a.name == NAME)
LINES = [
    "conv forward x=9x3x4x5 w=7x3x4x5 float32",
    "conv forward x=33x40x1 w=50x40x1 act=tanh float32",
    "conv forward x=8x2x3x2x2 w=1x2x3x2x2 s=2 float64",
    "conv input_gradient x=1x3x4x5 w=7x3x4x5 float32",
    "conv input_gradient x=17x40x1 w=50x40x1 float64",
    "conv input_gradient x=1x40x7x7 w=300x40x7x7 float32",
    "conv input_gradient x=30x3x4x5 w=7x3x4x5 float32",
    "conv weight_gradient x=1x3x4x5 w=7x3x4x5 float64",
    "conv weight_gradient x=130x3x4x5 w=70x3x4x5 float32",
]
EACH_LINE = pytest.mark.parametrize("line", LINES)


def sums(problem, inputs):
    """What NumPy's matrix product makes of integers."""
    geometry = problem.conv
    n, m, k = geometry.batch, geometry.m, geometry.k
    first, second = inputs[0], inputs[1]
    if problem.direction == "forward":
        y = first.reshape(n, k) @ second.reshape(m, k).T + inputs[2]
        return np.tanh(y) if problem.activation else y
    if problem.direction == "input_gradient":
        return second.reshape(n, m) @ first.reshape(m, k)
    return second.reshape(n, m).T @ first.reshape(n, k)


@EACH_LINE
@pytest.mark.parametrize("threads", [1, 2])
def test_products_are_exact_and_stay_inside(line, threads):
    problem = Problem.parse(line)
    first = "position_sums" if problem.direction == "weight_gradient" else NAME
    assert plan_for(problem).algorithm == first
    assert NAME in plan_for(problem).candidates
    inputs = inputs_of(problem)
    out = fenced(np.full(problem.result_shape, np.nan, problem.dtype))
    ALGORITHM.run(problem, inputs, (out,), 2**25, threads)
    assert unharmed(out)
    expected = sums(problem, inputs).reshape(out.shape).astype(problem.dtype)
    if problem.activation:
        np.testing.assert_allclose(out, expected, rtol=1e-6)
    else:
        same(np.array(out), expected)


def test_a_transposed_convolution_has_bias_and_activation():
    x, w, b = ints(9, 6, 1, 1), ints(6, 3, 2, 4), ints(3)
    shapes = ((9, 6, 1, 1), (6, 3, 2, 4), (3,))
    assert F.explain("conv_transpose2d", *shapes).algorithm == NAME
    expected = np.einsum("ni,ichw->nchw", x[..., 0, 0], w) + b[:, np.newaxis, np.newaxis]
    same(F.conv_transpose2d(x, w, b), expected)
    same(F.conv_transpose2d(x, w, b, activation="relu"), np.maximum(expected, 0))


@pytest.mark.parametrize("samples", [1, 5, 8, 30])
def test_a_sample_does_not_depend_on_its_batch(samples):
    """Few samples are solved by another algorithm, to the same bits."""
    rng = np.random.default_rng(0)
    x, w, b = rng.random((30, 900)), rng.random((70, 900)), rng.random(70)
    for dtype in (np.float32, np.float64):
        x, w, b = x.astype(dtype), w.astype(dtype), b.astype(dtype)
        arrays = (w.reshape(70, 100, 3, 3), b)
        whole = F.conv2d(x.reshape(30, 100, 3, 3), *arrays)
        part = x[7 : 7 + samples]
        same(F.conv2d(part.reshape(-1, 100, 3, 3), *arrays), whole[7 : 7 + samples])
        gy = rng.random((30, 70, 1, 1)).astype(dtype)
        gx = F.conv2d_input((30, 100, 3, 3), arrays[0], gy)
        found = F.conv2d_input((samples, 100, 3, 3), arrays[0], gy[:samples])
        same(found, gx[:samples])


def test_a_prepared_weight_is_packed_once():
    x, w = ints(9, 3, 4, 5, dtype=np.float32), ints(7, 3, 4, 5, dtype=np.float32)
    layer = F.prepare_conv(w)
    expected = np.einsum("nchw,ochw->no", x, w)[..., np.newaxis, np.newaxis]
    same(layer(x), expected)
    same(layer(x[:1]), expected[:1])
    assert F.explain("conv2d", x.shape, w.shape).algorithm == NAME


@pytest.mark.parametrize("samples", [1, 3, 30])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_prepared_transposed_convolution_has_the_same_bits(samples, activation):
    rng = np.random.default_rng(1)
    x = rng.random((samples, 300, 1, 1)).astype(np.float32)
    w, b = rng.random((300, 9, 3, 3)).astype(np.float32), rng.random(9).astype(np.float32)
    layer = F.prepare_conv_transpose(w, b, activation=activation)
    expected = F.conv_transpose2d(x, w, b, activation=activation)
    same(layer(x), expected)
    with F.settings(threads=2):
        same(layer(x), expected)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("conv forward x=9x4x3x3 w=4x2x3x3 g=2 float32", "2 groups"),
        ("conv forward x=9x4x3x3 w=4x4x2x3 float32", "does not cover"),
        ("conv forward x=9x4x1 w=4x4x1 p=1 float32", "does not cover"),
        ("conv forward x=9x4x3 w=4x4x3 int8", "int8"),
        ("conv forward x=2x40x3 w=48x40x3 float32", "2 samples are too few"),
        ("conv weight_gradient x=0x4x3 w=4x4x3 float32", "nothing to multiply"),
        ("max_pool forward x=1x1x2x2 k=2 s=2 float32", "solves conv"),
    ],
)
def test_refusals_say_why(line, reason):
    assert reason in ALGORITHM.rejects(Problem.parse(line))


def test_few_samples_are_taken_where_no_other_sums_in_the_same_order():
    problem = Problem.parse("conv forward x=1x3x1 w=4x3x1 float32")
    assert dense._few.rejects(problem) is not None
    assert ALGORITHM.rejects(problem) is None
