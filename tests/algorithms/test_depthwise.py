import itertools
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv as F
import fastconv.reference as reference
from fastconv import PlanError, Problem, ShapeError, settings
from fastconv.algorithms import ALGORITHMS, depthwise
from fastconv.algorithms.algorithm import Packed
from fastconv.plan import plan_for
from tests import oracle
from tests.helpers import fenced, inputs_of, place_of, python, same, solved, unharmed
from tests.strategies import axis_arguments

pytest.importorskip("numba")

(ALGORITHM,) = (a for a in ALGORITHMS if a.name == "depthwise")
NAME, KIB = "depthwise", 2**10
LINES = [
    "conv forward x=5x3x17x37 w=3x1x3x3 p=1 g=3 float32",
    "conv forward x=4x5x23x40 w=5x1x3x3 s=2 p=1 g=5 float32",
    "conv forward x=3x2x19x21 w=4x1x5x5 p=2 g=2 float64",
    "conv forward x=3x2x29x35 w=2x1x7x7 s=2 p=3 g=2 float64",
    "conv forward x=4x3x13x17 w=3x1x3x3 p=2 d=2 g=3 float32",
    "conv forward x=3x2x27x40 w=4x1x5x5 p=4:0x1 d=3x2 g=2 float64",
    "conv forward x=4x3x13x17 w=3x1x3x3 s=2 d=2 g=3 float32",
    "conv forward x=3x2x11x33 w=6x1x4x2 s=3x2 p=2x0:3 d=1x3 g=2 float64",
    "conv forward x=5x4x301 w=8x1x9 p=4 g=4 float32",
    "conv forward x=4x3x90 w=3x1x4 s=3 p=5:0 g=3 float64",
    "conv forward x=3x2x5x6x7 w=2x1x3x3x3 p=1 s=1x2x1 g=2 float32",
    "conv forward x=3x4x7x7 w=4x1x3x3 p=1 g=4 float32",
]
EACH_LINE = pytest.mark.parametrize("line", LINES)
GUARDED = [*LINES, "conv forward x=2x2x4x3 w=2x1x5x5 p=4 g=2 float32"]


def random_inputs(problem):
    """Data whose sums depend on their order."""
    generator, geometry = np.random.default_rng(0), problem.conv
    shapes = (geometry.input_shape, geometry.weight_shape, (geometry.out_channels,))
    return tuple(generator.standard_normal(shape).astype(problem.dtype) for shape in shapes)


def bits(problem, inputs, threads=1):
    """The result's bytes, sample by sample."""
    y = fenced(np.full(problem.result_shape, np.nan, problem.dtype))
    ALGORITHM.run(problem, inputs, (y,), 2**26, threads)
    assert unharmed(y)
    return [sample.tobytes() for sample in y]


def agrees(problem):
    """Assert the reference's result, on integers whose sums are exact."""
    inputs = tuple(fenced(array) for array in inputs_of(problem))
    same(solved(problem, inputs, NAME)[0], solved(problem, inputs, "naive")[0])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("conv input_gradient x=1x2x8 w=2x1x3 g=2 float32", "conv forward"),
        ("max_pool forward x=1x2x8 k=2 float32", "conv forward"),
        ("conv forward x=1x4x8 w=4x2x3 g=2 float32", "4 channels in 2 groups"),
        ("conv forward x=1x2x5x5x5x5 w=2x1x3x3x3x3 g=2 float32", "3 spatial"),
        ("conv forward x=1x1x200x200 w=1x1x150x150 float32", "22500 taps"),
        ("conv forward x=1x1x9x90000 w=1x1x3x3 d=1x40000 float64", "bytes"),
    ],
)
def test_refuses_with_a_reason(line, why):
    assert why in ALGORITHM.rejects(Problem.parse(line))


@EACH_LINE
def test_comes_before_the_others(line):
    assert plan_for(Problem.parse(line)).algorithm == NAME


WIDTHS = [*range(1, 40), 63, 64, 65, 127, 128, 129, 150]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("kernel", "stride", "pad"),
    [(3, 1, 1), (3, 2, 1), (5, 1, 2), (5, 2, 0), (7, 1, 0), (7, 2, 3), (3, 1, 4), (2, 3, 1)],
)
def test_every_width_agrees(dtype, kernel, stride, pad):
    for width in WIDTHS:
        line = f"x=2x2x9x{width} w=4x1x{kernel}x{kernel} s={stride} p={pad} g=2 {dtype}"
        try:
            problem = Problem.parse(f"conv forward {line}")
        except ShapeError:
            continue
        agrees(problem)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_every_height_agrees(dtype, kernel, stride):
    for height, before, after in itertools.product([*range(1, 20), 33], (0, 2, 5), (0, 1, 6)):
        line = f"x=1x2x{height}x18 w=2x1x{kernel}x{kernel} s={stride} p={before}:{after}x1 g=2"
        try:
            problem = Problem.parse(f"conv forward {line} {dtype}")
        except ShapeError:
            continue
        agrees(problem)


@pytest.mark.parametrize("kernel", [3, 5])
def test_every_dilation_agrees(kernel):
    for height, d, right in itertools.product((11, 16, 29, 31), (1, 2, 3, 5), (1, 2, 7)):
        line = f"x=2x2x{height}x35 w=2x1x{kernel}x{kernel} p={d} d={d}x{right} g=2 float32"
        try:
            problem = Problem.parse(f"conv forward {line}")
        except ShapeError:
            continue
        agrees(problem)


@st.composite
def problems(draw):
    rank = draw(st.integers(1, 3))
    axes = [draw(axis_arguments(12 if rank > 1 else 200)) for _ in range(rank)]
    if draw(st.booleans()) and rank == 2:
        kernel, stride = draw(st.sampled_from([3, 5, 7])), draw(st.integers(1, 2))
        dilation = draw(st.integers(1, 3))
        axes = [(draw(st.integers(1, 40)), kernel, stride, axis[3], dilation) for axis in axes]
    sizes, kernel, stride, pads, dilation = (
        "x".join(map(str, words))
        for words in zip(
            *((*a[:3], f"{a[3][0]}:{a[3][1]}", a[4]) for a in axes),
            strict=True,
        )
    )
    batch, channels, multiplier = (draw(st.integers(1, 3)) for _ in range(3))
    line = (
        f"conv forward x={batch}x{channels}x{sizes} w={channels * multiplier}x1x{kernel} "
        f"s={stride} p={pads} d={dilation} g={channels} "
    )
    try:
        return Problem.parse(line + draw(st.sampled_from(["float32", "float64"])))
    except ShapeError:
        return Problem.parse("conv forward x=1x1x3x3 w=1x1x3x3 float32")


@given(problems())
def test_any_problem_agrees(problem):
    agrees(problem)


@EACH_LINE
def test_agrees_with_the_oracle(line):
    problem = Problem.parse(line)
    inputs = inputs_of(problem)
    expected = oracle.conv(*inputs, *place_of(problem), problem.conv.groups)
    same(solved(problem, inputs, NAME)[0], expected.astype(problem.dtype))


@EACH_LINE
def test_bits_depend_on_neither_batch_nor_threads(line, monkeypatch):
    monkeypatch.setattr(depthwise, "cores", lambda: 5)
    monkeypatch.setattr(depthwise, "SERIAL_FLOPS", 0)
    monkeypatch.setattr(depthwise, "WAKE_FLOPS", 0)
    depthwise._engine.cache_clear()
    problem = Problem.parse(line)
    x, w, b = random_inputs(problem)
    together = bits(problem, (x, w, b))
    for threads in (2, 3, 5):
        assert bits(problem, (x, w, b), threads) == together
    shape = "x".join(map(str, x.shape))
    alone = Problem.parse(line.replace(shape, "1" + shape[shape.index("x") :]))
    for index, sample in enumerate(together):
        assert bits(alone, (x[index : index + 1], w, b)) == [sample]
    depthwise._engine.cache_clear()


@EACH_LINE
def test_packed_and_bound_give_the_same_bits(line):
    problem = Problem.parse(line)
    x, w, b = random_inputs(problem)
    packed = ALGORITHM.pack(problem, w, b)
    assert isinstance(packed, Packed)
    plain = bits(problem, (x, w, b))
    assert bits(problem, (x, packed, None)) == plain
    for threads in (1, 2):
        y = np.empty(problem.result_shape, problem.dtype)
        ALGORITHM.bind(problem, packed, 2**26, threads)(x, y)
        assert [sample.tobytes() for sample in y] == plain


@EACH_LINE
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_touches_exactly_its_windows(line, poison):
    problem = Problem.parse(line)
    x, w, b = inputs_of(problem)
    w = np.abs(w) + 1
    clean = solved(problem, (x, w, b), NAME)[0]
    ones = np.ones_like(w)
    for place in np.random.default_rng(1).integers(0, x.size, 6):
        marked, mark = x.copy(), np.zeros_like(x)
        marked.flat[place], mark.flat[place] = poison, 1
        touched = solved(problem, (mark, ones, None), "naive")[0] != 0
        result = solved(problem, (marked, w, b), NAME)[0]
        np.testing.assert_array_equal(~np.isfinite(result), touched)
        np.testing.assert_array_equal(result[~touched], clean[~touched])


@pytest.mark.parametrize("array", ["read-only", "negative", "broadcast", "unaligned"])
def test_odd_arrays(array):
    x = np.random.default_rng(2).integers(-4, 5, (2, 3, 12, 13)).astype(np.float32)
    if array == "read-only":
        x.flags.writeable = False
    elif array == "negative":
        x = x[:, ::-1, :, ::-1]
    elif array == "broadcast":
        x = np.broadcast_to(x[:, :1], x.shape)
    else:
        raw = np.empty(x.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)
        raw[...] = x
        x = raw
    w = np.arange(27, dtype=np.float32).reshape(3, 1, 3, 3)
    with settings(algorithm=NAME):
        result = F.conv2d(x, w, padding=1, groups=3)
    same(result, reference.conv2d(x, w, padding=1, groups=3))


@EACH_LINE
def test_scratch_is_small_and_honoured(line):
    problem = Problem.parse(line)
    needed = ALGORITHM.scratch(problem, 0)
    assert needed <= 512 * KIB
    assert ALGORITHM.scratch(problem, 2**30) <= 512 * KIB * depthwise.cores()
    with settings(algorithm=NAME, max_scratch_bytes=needed):
        assert plan_for(problem).scratch_bytes == needed
    if needed:
        with (
            settings(algorithm=NAME, max_scratch_bytes=needed - 1),
            pytest.raises(PlanError, match="scratch"),
        ):
            plan_for(problem)


GUARDED_RUN = """
import numpy as np
from fastconv import Problem
from fastconv.algorithms import ALGORITHMS
from tests.guarded import SIDES, Guarded
from tests.helpers import inputs_of

(algorithm,) = (a for a in ALGORITHMS if a.name == "depthwise")
(naive,) = (a for a in ALGORITHMS if a.name == "naive")
for line in LINES:
    problem = Problem.parse(line)
    inputs = inputs_of(problem)
    expected = np.empty(problem.result_shape, problem.dtype)
    naive.run(problem, inputs, (expected,), 2**26, 1)
    for side in SIDES:
        guarded = [Guarded(array, side) for array in inputs]
        y = Guarded(np.full(problem.result_shape, np.nan, problem.dtype), side)
        algorithm.run(problem, [g.array for g in guarded], (y.array,), 2**26, 2)
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
    code = f"LINES = {GUARDED!r}\n{GUARDED_RUN}"
    assert python(code, **narrower) == "unharmed"
