import sys

import numpy as np
import pytest

from fastconv import Problem
from fastconv.algorithms import ALGORITHMS, FORWARD, implicit_gemm
from fastconv.plan import plan_for
from tests.helpers import expected, fenced, inputs_of, ints, python, same, share_all, unharmed
from tests.helpers import solved as solved_by

pytest.importorskip("numba")

NAME, MIB = "turned_forward", 2**20
(ALGORITHM,) = (a for a in ALGORITHMS if a.name == NAME)
LINES = [
    "conv input_gradient x=4x3x9x11 w=4x3x3x3 p=1 float32",
    "conv input_gradient x=4x7x13x17 w=11x7x3x3 p=4x0:3 float32",
    "conv input_gradient x=3x32x7x7 w=37x32x3x3 p=1 float32",
    "conv input_gradient x=4x5x37 w=6x5x5 p=2:1 s=3 d=2 float64",
    "conv input_gradient x=3x6x11x10 w=10x3x3x3 s=2 p=1 g=2 float32",
    "conv input_gradient x=3x4x12x15 w=9x4x5x3 s=4x2 p=2x0:3 d=1x2 float64",
    "conv input_gradient x=3x4x16x24 w=9x4x4x4 s=2 p=1 float32",
    "conv input_gradient x=3x5x8x34 w=9x5x2x2 s=2 float32",
    "conv input_gradient x=3x3x31x35 w=9x3x11x11 s=4 float32",
    "conv input_gradient x=3x5x9x9 w=5x1x3x3 p=1 g=5 float32",
    "conv input_gradient x=3x5x9x10 w=10x1x3x3 p=1 s=2 g=5 float32",
    "conv input_gradient x=3x3x5x6x7 w=8x3x3x3x3 p=1 s=1x2x1 float32",
    "conv input_gradient x=3x9x5x6x8 w=4x9x2x2x2 s=2 float64",
    "conv input_gradient x=3x6x9x8 w=8x6x1x1 s=2 float32",
    "conv input_gradient x=3x50x5x5 w=40x50x1x1 float32",
    "conv input_gradient x=3x20x6x8 w=40x20x3x3 s=2 p=1 layout=last float32",
    "conv input_gradient x=3x20x6x8 w=4x20x3x3 p=1 layout=last float64",
]
EACH_LINE = pytest.mark.parametrize("line", LINES)


def random_inputs(problem, seed=0):
    """Data whose sums depend on their order."""
    generator, geometry = np.random.default_rng(seed), problem.conv
    shapes = (geometry.weight_shape, problem.y_shape, (geometry.channels,))
    return tuple(generator.standard_normal(shape).astype(problem.dtype) for shape in shapes)


def bits(problem, inputs, threads=1, limit=64 * MIB):
    """The result's bytes, sample by sample."""
    gx = fenced(np.full(problem.result_shape, np.nan, problem.dtype))
    layout = problem.layout == "channels_last"
    w, gy, *b = inputs
    views = (np.moveaxis(gy, -1, 1), np.moveaxis(gx, -1, 1)) if layout else (gy, gx)
    ALGORITHM.run(problem, (w, views[0], *b), (views[1],), limit, threads)
    assert unharmed(gx)
    return [sample.tobytes() for sample in gx]


def with_batch(line, batch):
    head, _, rest = line.partition("x=")
    shape, _, tail = rest.partition(" ")
    return Problem.parse(f"{head}x={batch}x{shape.partition('x')[2]} {tail}")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("conv forward x=1x2x8 w=3x2x3 float32", "conv input_gradient"),
        ("max_pool forward x=1x2x8 k=3 float32", "conv input_gradient"),
        ("conv input_gradient x=1x2x8 w=3x2x3 float16", "float16"),
        ("conv input_gradient x=1x2x3x5 w=4x2x3x5 float32", "one window"),
        ("conv input_gradient x=1x1x3x3x3x3 w=1x1x2x2x2x2 float32", "3 spatial dimensions"),
    ],
)
def test_what_it_refuses_and_why(line, why):
    assert why in ALGORITHM.rejects(Problem.parse(line))


@EACH_LINE
def test_it_is_planned(line):
    assert plan_for(Problem.parse(line)).candidates[:2].count(NAME)


@EACH_LINE
def test_it_agrees_with_the_oracle(line):
    problem = Problem.parse(line)
    inputs = inputs_of(problem)
    (got,) = solved_by(problem, inputs, NAME)
    same(got, expected(problem, inputs)[0])


@EACH_LINE
@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
def test_bias_and_activation(line, activation):
    """Phases without taps have them too."""
    plain = Problem.parse(line)
    words = line.split()
    act = [] if activation is None else [f"act={activation}"]
    problem = Problem.parse(" ".join([*words[:-1], *act, words[-1]]))
    inputs = inputs_of(plain)
    b = ints(plain.conv.channels, dtype=plain.dtype, seed=7)
    (got,) = solved_by(problem, (*inputs, b), NAME)
    ones = (1,) * plain.conv.rank
    wanted = expected(plain, inputs)[0] + (
        b if plain.layout == "channels_last" else b.reshape(-1, *ones)
    )
    if activation == "tanh":
        np.testing.assert_allclose(got, np.tanh(wanted), rtol=1e-6, atol=1e-6)
    else:
        same(got, np.maximum(wanted, 0) if activation else wanted)


@EACH_LINE
def test_a_sample_has_the_same_bits_in_any_batch_and_place(line):
    problem = Problem.parse(line)
    w, gy, b = random_inputs(problem)
    batch = len(gy)
    whole = bits(problem, (w, gy, b))
    assert len(set(whole)) == batch
    alone = with_batch(line, 1)
    assert [bits(alone, (w, gy[i : i + 1], b))[0] for i in range(batch)] == whole
    assert bits(problem, (w, np.ascontiguousarray(gy[::-1]), b)) == whole[::-1]


@EACH_LINE
def test_threads_limits_and_chunks_give_the_same_bits(line, monkeypatch):
    problem = Problem.parse(line)
    inputs = random_inputs(problem, 1)
    serial = bits(problem, inputs)
    for limit in (0, 4 * MIB):
        assert bits(problem, inputs, limit=limit) == serial
    share_all(monkeypatch)
    for threads in (2, 5):
        assert bits(problem, inputs, threads) == serial
    monkeypatch.setattr(implicit_gemm, "PANELS_BYTES", 1)
    monkeypatch.setattr(implicit_gemm, "CHUNK_BYTES", 1)
    assert bits(problem, inputs, 3) == serial


@EACH_LINE
def test_close_to_double_precision(line):
    problem = Problem.parse(line)
    w, gy, _ = random_inputs(problem, 2)
    wanted = expected(problem, (w.astype(np.float64), gy.astype(np.float64)))[0]
    (got,) = solved_by(problem, (w, gy), NAME)
    epsilon = np.finfo(problem.dtype).eps
    assert np.abs(got - wanted).max() <= 4 * epsilon * problem.conv.m * problem.conv.taps


@pytest.mark.parametrize("value", [np.nan, np.inf])
@EACH_LINE
def test_nan_and_infinity_touch_what_they_are_multiplied_into_only(line, value):
    """The elements that change are those that a gradient of ones at the position reaches."""
    problem = with_batch(line, 1)
    generator = np.random.default_rng(3)
    w = np.ones(problem.conv.weight_shape, problem.dtype)
    for _ in range(3):
        gy = np.zeros(problem.y_shape, problem.dtype)
        place = tuple(generator.integers(0, size) for size in gy.shape)
        gy[place] = 1
        (reached,) = solved_by(problem, (w, gy), NAME)
        gy[place] = value
        (got,) = solved_by(problem, (w, gy), NAME)
        assert ((reached == 0) == (got == 0)).all()
        assert not np.isfinite(got[reached != 0]).any()


@EACH_LINE
def test_odd_arrays(line):
    problem = Problem.parse(line)
    w, gy = inputs_of(problem)
    (wanted,) = solved_by(problem, (w, gy), NAME)
    for odd in (
        np.asfortranarray,
        lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
        lambda a: np.repeat(a, 2, -1)[..., ::2],
    ):
        same(solved_by(problem, (odd(w), odd(gy)), NAME)[0], wanted)


def test_every_forward_algorithm_is_used():
    used = set()
    for line in LINES:
        problem = Problem.parse(line)
        used |= set(ALGORITHM.solvers(problem))
    assert used == {algorithm.name for algorithm in FORWARD}


GUARDED = """
import numpy as np
from fastconv import Problem
from fastconv.algorithms import ALGORITHMS
from tests.guarded import SIDES, Guarded
from tests.helpers import inputs_of

CHECKED = [a for a in ALGORITHMS if a.name in ("turned_forward", "dense")]
(OTHER,) = (a for a in ALGORITHMS if a.name == "im2col_gemm")


def solve(line):
    problem = Problem.parse(line)
    inputs = inputs_of(problem)
    wanted = np.empty(problem.result_shape, problem.dtype)
    OTHER.run(problem, inputs, (wanted,), 2**25, 1)
    accepting = [a for a in CHECKED if a.rejects(problem) is None]
    for algorithm in accepting:
        for side in SIDES:
            w, gy = (Guarded(array, side) for array in inputs)
            gx = Guarded(np.full(problem.result_shape, np.nan, problem.dtype), side)
            algorithm.run(problem, (w.array, gy.array), (gx.array,), 2**25, 1)
            np.testing.assert_array_equal(gx.array, wanted, f"{algorithm.name}: {line}")
            assert all(each.unharmed for each in (w, gy, gx)), line
    return len(accepting)
"""
WIDTHS = (2, 3, 5, 8, 9, 15, 16, 17, 31, 33, 47, 49, 65)


@pytest.mark.skipif(sys.platform != "linux", reason="pages are protected through glibc")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_outside_the_arrays_is_touched(dtype):
    code = f"""
done = 0
for width in {WIDTHS}:
    done += solve(f"conv input_gradient x=2x3x{{width}} w=5x3x1 {dtype}")
    done += solve(f"conv input_gradient x=1x3x{{width}} w=8x3x2 p=1 s=2 {dtype}")
    done += solve(f"conv input_gradient x=1x2x3x{{width}} w=8x2x3x3 p=1 {dtype}")
    done += solve(f"conv input_gradient x=1x2x7x{{width}} w=8x2x3x3 p=1 s=2 {dtype}")
    done += solve(f"conv input_gradient x=2x9x6x{{width}} w=4x9x4x4 p=1 s=2 {dtype}")
    done += solve(f"conv input_gradient x=2x5x6x{{width}} w=4x5x2x2 s=2 {dtype}")
    done += solve(f"conv input_gradient x=1x3x9x{{width}} w=4x3x5x5 s=4 p=2 {dtype}")
    done += solve(f"conv input_gradient x=2x{{width}}x2x3 w=30x{{width}}x1x1 {dtype}")
    done += solve(f"conv input_gradient x=1x4x5x{{width}} w=4x1x3x3 s=2 p=1 g=4 {dtype}")
    done += solve(f"conv input_gradient x=2x6x4x{{width}} w=6x1x3x3 p=1 g=6 {dtype}")
    done += solve(f"conv input_gradient x=1x1x{{width}} w=9x1x{{width}} {dtype}")
    done += solve(f"conv input_gradient x=6x1x3x{{width}} w=5x1x3x{{width}} {dtype}")
print(done >= 10 * len({WIDTHS}))
"""
    assert python(GUARDED + code) == "True"
