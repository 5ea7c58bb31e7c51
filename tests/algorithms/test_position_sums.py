"""Weight gradients over positions: what is taken, its bits, and that it keeps to its arrays.

That its sums are right is for the agreement tests.
"""

import sys

import numpy as np
import pytest

pytest.importorskip("numba")

import fastconv as F
from fastconv import Problem, settings
from fastconv.algorithms import ALGORITHMS, depthwise_sums, position_dots, position_sums
from fastconv.algorithms import im2col_gemm as columns
from fastconv.kernels import target
from fastconv.plan import plan_for
from tests.algorithms.test_implicit_gemm import ODD
from tests.helpers import accepting, fenced, ints, python, same, share_all, unharmed

CUT = {"position_sums": position_sums, "position_dots": position_dots}
MODULES = {**CUT, "depthwise_sums": depthwise_sums}
LINES = [
    "conv weight_gradient x=3x5x9x9 w=40x5x3x3 p=1 float32",
    "conv weight_gradient x=2x6x31x29 w=34x3x3x3 s=2 p=1:0 g=2 float32",
    "conv weight_gradient x=7x4x13 w=48x4x5 p=2:1 d=2 float64",
    "conv weight_gradient x=40x10x5x5 w=12x10x5x5 float32",
    "conv weight_gradient x=2x40x7x7 w=70x40x1x1 float32",
    "conv weight_gradient x=2x8x40x50 w=8x1x3x3 p=1 g=8 float32",
    "conv weight_gradient x=3x6x40x51 w=6x1x5x4 s=2 p=2 g=6 float64",
    "conv weight_gradient x=3x3x600x20 w=6x1x5x5 s=2 p=2 g=3 float32",
    "conv weight_gradient x=3x3x17x35 w=3x1x5x5 p=4:0x1:3 g=3 float64",
    "conv weight_gradient x=2x6x7x7 w=6x1x3x3 p=1 g=6 float32",
    "conv weight_gradient x=5x1x32x32 w=6x1x5x5 float32",
    "conv weight_gradient x=70x5x4x4 w=40x5x4x4 float32",
    "conv weight_gradient x=3x8x9x9 w=60x4x1x1 g=2 layout=last float64",
    "conv weight_gradient x=2x3x70x70 w=20x3x3x3 p=1 float32",
    "conv weight_gradient x=1x3x5000 w=5x3x9 s=3 p=4 float32",
    "conv weight_gradient x=1x2x9x10x40 w=5x2x3x2x3 p=1x0x1 float32",
    "conv weight_gradient x=3x5x9x9 w=40x5x3x3 p=1 layout=last float32",
    "conv weight_gradient x=2x4x33x70 w=4x1x3x3 p=1 g=4 layout=last float32",
]
CASES = [(line, name) for line in LINES for name in accepting(Problem.parse(line), list(MODULES))]
EACH_CASE = pytest.mark.parametrize(("line", "name"), CASES)


def random_inputs(problem, seed=0):
    generator = np.random.default_rng(seed)
    shapes = (problem.x_shape, problem.y_shape)
    return [generator.standard_normal(shape).astype(problem.dtype) for shape in shapes]


def bits(problem, name, inputs, threads=1, limit=2**26):
    """The result's bytes."""
    gw = fenced(np.full(problem.result_shape, np.nan, problem.dtype))
    (algorithm,) = (a for a in ALGORITHMS if a.name == name)
    plain = inputs
    if problem.layout == "channels_last":  # as plans hand them over
        plain = [np.moveaxis(array, -1, 1) for array in inputs]
    algorithm.run(problem, plain, (gw,), limit, threads)
    assert unharmed(gw)
    return gw.tobytes()


@pytest.fixture
def _small_pieces(monkeypatch):
    share_all(monkeypatch)
    for module, name in ((position_sums, "MOST_STRIP"), (position_dots, "STRIP")):
        monkeypatch.setattr(module, name, 37)
        module._engine.cache_clear()
    monkeypatch.setattr(position_sums, "CHUNK_BYTES", 1)
    monkeypatch.setattr(depthwise_sums, "LONGEST_SUM", 5)
    yield
    for module in CUT.values():
        module._engine.cache_clear()


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("conv weight_gradient x=1x64x56x56 w=64x64x3x3 p=1 float32", "position_sums"),
        ("conv weight_gradient x=128x16x5x5 w=120x16x5x5 float32", "position_sums"),
        ("conv weight_gradient x=1x3x224x224 w=64x3x7x7 s=2 p=3 float32", "position_sums"),
        ("conv weight_gradient x=128x1x32x32 w=6x1x5x5 float32", "position_dots"),
        ("conv weight_gradient x=1x24x56x56 w=144x24x1x1 float32", "position_dots"),
        ("conv weight_gradient x=1x96x112x112 w=96x1x7x7 p=3 g=96 float32", "position_dots"),
        ("conv weight_gradient x=1x96x112x112 w=96x1x3x3 s=2 p=1 g=96 float32", "depthwise_sums"),
    ],
)
def test_which_is_taken(line, name):
    if not target.host().masked_loads:
        pytest.skip("one of them only")
    assert plan_for(Problem.parse(line)).algorithm == name


@pytest.mark.parametrize(
    ("line", "name", "why"),
    [
        ("conv forward x=1x2x8 w=3x2x3 float32", "position_sums", "conv weight_gradient"),
        ("conv forward x=1x2x8 w=3x2x3 float32", "position_dots", "conv weight_gradient"),
        ("conv weight_gradient x=1x2x8 w=3x2x3 int16", "position_sums", "int16"),
        (
            "conv weight_gradient x=1x1x3x3x3x3 w=1x1x2x2x2x2 float32",
            "position_sums",
            "3 spatial dimensions",
        ),
        (
            "conv weight_gradient x=1x64x7x7 w=64x64x3x3 p=1 float32",
            "position_dots",
            "of the time",
        ),
        ("conv weight_gradient x=1x4x9x9 w=4x2x3x3 g=2 float32", "depthwise_sums", "per group"),
        ("conv weight_gradient x=1x4x9x9 w=4x1x7x7 g=4 float32", "depthwise_sums", "a window"),
    ],
)
def test_what_is_refused_and_why(line, name, why):
    (algorithm,) = (a for a in ALGORITHMS if a.name == name)
    if name == "position_dots" and not target.host().masked_loads:
        why = "conv weight_gradient" if "forward" in line else "lanes"
    assert why in algorithm.rejects(Problem.parse(line))


@EACH_CASE
def test_any_number_of_threads_gives_the_same_bits(line, name, monkeypatch):
    share_all(monkeypatch)
    problem = Problem.parse(line)
    inputs = random_inputs(problem)
    serial = bits(problem, name, inputs)
    assert bits(problem, name, inputs) == serial
    for threads in (2, 3, 7):
        assert bits(problem, name, inputs, threads) == serial


@EACH_CASE
@pytest.mark.usefixtures("_small_pieces")
def test_small_pieces_give_the_same_integers(line, name):
    problem = Problem.parse(line)
    inputs = [ints(*shape, dtype=problem.dtype) for shape in (problem.x_shape, problem.y_shape)]
    with settings(algorithm="im2col_gemm"):
        plan = plan_for(problem)
    gw = np.empty(problem.result_shape, problem.dtype)
    plan.run(inputs, (gw,))
    for threads in (1, 3):
        assert bits(problem, name, inputs, threads, limit=0) == gw.tobytes()


@pytest.mark.parametrize("name", CUT)
def test_errors_of_long_sums_are_small(name):
    """Of 200 000 terms; what one after the other would give is some ten times worse."""
    problem = Problem.parse("conv weight_gradient x=4x1x224x224 w=4x1x1x2 float32")
    if name not in accepting(problem, [name]):
        pytest.skip("refused here")
    x, gy = (abs(array) for array in random_inputs(problem))
    gw = np.frombuffer(bits(problem, name, (x, gy)), np.float32)
    wide = [a.astype(np.float64) for a in (x, gy)]
    exact = [np.einsum("nihw,nohw->o", wide[0][..., t : 223 + t], wide[1]) for t in (0, 1)]
    worst = np.abs(gw.reshape(4, 2) / np.stack(exact, 1) - 1).max()
    assert worst < 8 * np.finfo(np.float32).eps


@pytest.mark.parametrize("form", ODD)
@pytest.mark.parametrize("shape", [(40, 3, 3, 3), (6, 1, 3, 3)])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_odd_arrays(form, shape, layout):
    channels = shape[1] if shape[1] == 3 else 6
    x, gy = (ints(2, 6, 6, c) for c in (channels, shape[0]))
    if layout == "channels_first":
        x, gy = (np.ascontiguousarray(np.moveaxis(a, -1, 1)) for a in (x, gy))
    x, gy = x.astype(np.float32), gy.astype(np.float32)

    def gradient(x, gy):
        groups = channels // shape[1]
        return F.conv2d_weight(x, shape, gy, padding=1, groups=groups, layout=layout)

    with settings(algorithm="naive"):
        expected = gradient(x, gy)
    odd = [ODD[form](array) for array in (x, gy)]
    for array in odd:
        array.flags.writeable = False
    same(gradient(*odd), expected)


def test_scratch_memory_is_a_padded_copy_and_little_more():
    problem = Problem.parse("conv weight_gradient x=1x512x28x28 w=512x512x3x3 p=1 float32")
    copy = 4 * 512 * 30 * 30
    (algorithm,) = (a for a in ALGORITHMS if a.name == "position_sums")
    assert copy < algorithm.scratch(problem, 2**25) <= copy + 2**22


@pytest.mark.parametrize(
    ("transposed", "planned"),
    [((2, 64, 8, 8), "position_sums"), ((2, 3, 40, 40), "position_dots")],
)
def test_transposed_convolutions_use_them(transposed, planned):
    if not target.host().masked_loads:
        pytest.skip("one of them only")
    x = ints(*transposed).astype(np.float32)
    gy = ints(2, 2, 2 * transposed[2], 2 * transposed[3]).astype(np.float32)
    size = (transposed[1], 2, 4, 4)
    problem = f"conv weight_gradient x=2x2x{gy.shape[2]}x{gy.shape[3]} "
    problem += f"w={'x'.join(map(str, size))} s=2 p=1 float32"
    assert plan_for(Problem.parse(problem)).algorithm == planned
    found = F.conv_transpose2d_weight(x, size, gy, stride=2, padding=1)
    with settings(algorithm="naive"):
        same(found, F.conv_transpose2d_weight(x, size, gy, stride=2, padding=1))


GUARDED = """
import numpy as np
from fastconv import Problem
from fastconv.algorithms import ALGORITHMS
from tests.guarded import SIDES, Guarded
from tests.helpers import accepting, inputs_of

NAMES = ("position_sums", "position_dots", "depthwise_sums")
FOUND = {a.name: a for a in ALGORITHMS}


def solve(line, threads):
    problem = Problem.parse(line)
    inputs = inputs_of(problem)
    wanted = np.empty(problem.result_shape, problem.dtype)
    FOUND["im2col_gemm"].run(problem, inputs, (wanted,), 2**25, 1)
    names = accepting(problem, NAMES)
    for name in names:
        for side in SIDES:
            x, gy = (Guarded(array, side) for array in inputs)
            gw = Guarded(np.full(problem.result_shape, np.nan, problem.dtype), side)
            FOUND[name].run(problem, (x.array, gy.array), (gw.array,), 2**25, threads)
            np.testing.assert_array_equal(gw.array, wanted, f"{name}: {line}")
            assert all(each.unharmed for each in (x, gy, gw)), line
    return len(names)
"""
WIDTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 48, 49)


@pytest.mark.skipif(sys.platform != "linux", reason="pages are protected through glibc")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_outside_the_arrays_is_touched(dtype):
    code = f"""
done = 0
for width in {WIDTHS}:
    for threads in (1, 3):
        done += solve(f"conv weight_gradient x=2x3x{{width}} w=5x3x1 {dtype}", threads)
        done += solve(f"conv weight_gradient x=1x2x{{width}} w=4x2x3 p=1 {dtype}", threads)
        done += solve(f"conv weight_gradient x=1x2x4x{{width}} w=17x2x3x1 {dtype}", threads)
        done += solve(f"conv weight_gradient x=1x3x5x{{width}} w=6x3x3x3 s=2 p=1 {dtype}", threads)
        done += solve(f"conv weight_gradient x=3x4x3x{{width}} w=4x1x3x1 g=4 {dtype}", threads)
        done += solve(f"conv weight_gradient x=1x3x3x3 w={{width}}x3x2x2 {dtype}", threads)
        done += solve(f"conv weight_gradient x=2x3x3x3 w={{width}}x3x1x1 {dtype}", threads)
        done += solve(f"conv weight_gradient x=2x2x5x{{width}} w=4x1x3x3 p=1 g=2 {dtype}", threads)
        done += solve(
            f"conv weight_gradient x=2x2x6x{{width}} w=2x1x5x5 s=2 p=3x2:4 g=2 {dtype}", threads
        )
        done += solve(f"conv weight_gradient x=2x{{width}}x3x3 w=3x{{width}}x3x3 {dtype}", threads)
print(done >= {len(WIDTHS)} * 14)
"""
    assert python(GUARDED + code) == "True"


def test_columns_are_still_there_for_other_dtypes():
    problem = Problem.parse("conv weight_gradient x=2x3x8x8 w=4x3x3x3 int8")
    assert plan_for(problem).algorithm in ("converted", columns.Im2colGemm.name)
