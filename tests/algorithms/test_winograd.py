"""Winograd's convolution: how far it is off, what it is taken for, and what its bits depend on."""

import sys

import numpy as np
import pytest

pytest.importorskip("numba")

import fastconv as F
from fastconv import Problem, settings
from fastconv.activations import ACTIVATIONS, activate
from fastconv.algorithms import ALGORITHMS, winograd, winograd_cost, winograd_engine
from fastconv.plan import plan_for
from tests.algorithms.test_implicit_gemm import GUARDED, random_inputs, with_batch
from tests.helpers import expected, fenced, python, same, share_all, solved, unharmed

BY_OUTPUTS = {algorithm.outputs: algorithm for algorithm in winograd.WINOGRADS}
NAMES = tuple(algorithm.name for algorithm in winograd.WINOGRADS)
EPS = {"float32": 2.0**-24, "float64": 2.0**-53}
BOUNDS = {2: 16, 3: 32, 4: 64, 6: 400}
"""By outputs: errors of 3x3 kernels, in roundings of the largest result, are not more."""
LINES = [
    "conv forward x=3x17x9x11 w=18x17x3x3 p=1 float32",
    "conv forward x=5x40x7x7 w=34x20x3x3 p=2:1x0:2 g=2 float32",
    "conv forward x=2x70x20x37 w=50x70x3x3 p=1 act=relu float32",
    "conv forward x=3x150x6x5 w=50x150x3x3 float32",
    "conv forward x=2x16x4x4 w=16x16x3x3 p=5 act=leaky_relu float32",
]
OTHERS = {
    "conv forward x=2x9x13x12 w=20x9x3x3 p=1 float64": "winograd_2",
    "conv forward x=3x20x50 w=33x20x3 p=1 float32": "winograd_4",
    "conv forward x=2x20x21x19 w=33x20x5x5 p=2 float32": "winograd_2",
    "conv forward x=2x20x14x12 w=17x20x2x2 p=1:0 float32": "winograd_4",
    "conv forward x=2x16x6x18 w=17x16x3x1 p=1x0 float32": "winograd_3",
}
EACH_LINE = pytest.mark.parametrize("line", LINES)
EACH = pytest.mark.parametrize("outputs", BY_OUTPUTS)


def bits(outputs, problem, inputs, threads=1):
    """The result's bytes, sample by sample."""
    y = fenced(np.full(problem.result_shape, np.nan, problem.dtype))
    BY_OUTPUTS[outputs].run(problem, inputs, (y,), 2**26, threads)
    assert unharmed(y)
    return [sample.tobytes() for sample in y]


def precisely(line, inputs):
    """The result by sums in float64."""
    problem = Problem.parse(f"{line.rpartition(' ')[0]} float64")
    return solved(problem, [array.astype(float) for array in inputs], "implicit_gemm")[0]


@EACH
@EACH_LINE
def test_errors_are_within_the_bound(line, outputs):
    problem = Problem.parse(line)
    inputs = random_inputs(problem)
    (y,) = solved(problem, inputs, BY_OUTPUTS[outputs].name)
    precise = precisely(line, inputs)
    error = np.abs(y - precise).max() / np.abs(precise).max()
    assert error <= BOUNDS[outputs] * EPS["float32"]


@pytest.mark.parametrize(("line", "name"), OTHERS.items())
def test_other_kernels_and_dtypes(line, name):
    problem = Problem.parse(line)
    inputs = random_inputs(problem)
    precise = precisely(line, inputs)
    (y,) = solved(problem, inputs, name)
    error = np.abs(y - precise).max() / np.abs(precise).max()
    assert error <= BOUNDS[4] * EPS[problem.dtype.name]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_the_sums(name):
    line = "conv forward x=2x17x9x11 w=18x17x3x3 p=1"
    inputs = random_inputs(Problem.parse(f"{line} float32"))
    (wanted,) = solved(Problem.parse(f"{line} float32"), inputs, "winograd_2")
    activate(name, wanted)
    (y,) = solved(Problem.parse(f"{line} act={name} float32"), inputs, "winograd_2")
    np.testing.assert_allclose(y, wanted, 2e-6, 1e-7)


def test_two_outputs_are_exact_on_integers():
    """Not promised, but a fault of the loops would show: all entries are halves at most."""
    for line in LINES[:2]:
        problem = Problem.parse(line)
        rng = np.random.default_rng(1)
        inputs = [rng.integers(-4, 5, a.shape).astype(a.dtype) for a in random_inputs(problem)]
        same(solved(problem, inputs, "winograd_2")[0], expected(problem, inputs)[0])


@pytest.mark.parametrize("channels", [16, 64, 512])
@pytest.mark.parametrize("kind", ["normal", "positive"])
def test_precision_high_keeps_errors_near_those_of_pytorch(channels, kind):
    """Within four times, on the same data; a fast one need not, nor does it."""
    torch = pytest.importorskip("torch")
    line = f"conv forward x=1x{channels}x20x20 w=32x{channels}x3x3 p=1 float32"
    problem = Problem.parse(line)
    x, w, b = random_inputs(problem)
    if kind == "positive":
        x = np.maximum(x, 0)
    precise = precisely(line, (x, w, b))
    theirs = torch.nn.functional.conv2d(*map(torch.from_numpy, (x, w, b)), padding=1).numpy()
    limit = 4 * np.abs(theirs - precise).max()
    algorithms = [a for a in winograd.WINOGRADS if "errors" not in str(a.declines(problem, "high"))]
    assert [a.outputs for a in algorithms] == [2, 3]
    for algorithm in algorithms:
        assert np.abs(solved(problem, (x, w, b), algorithm.name)[0] - precise).max() <= limit


@pytest.mark.parametrize(
    ("line", "high", "fast"),
    [
        ("conv forward x=1x128x56x56 w=128x128x3x3 p=1 float32", "winograd_3", "winograd_4"),
        ("conv forward x=1x512x7x7 w=512x512x3x3 p=1 float32", "winograd_2", "winograd_2"),
        ("conv forward x=1x16x20x20 w=16x16x3x3 p=1 float32", "implicit_gemm", "implicit_gemm"),
    ],
)
def test_what_is_taken(line, high, fast):
    problem = Problem.parse(line)
    plan = plan_for(problem)
    assert plan.algorithm == high
    assert plan.exact == (not high.startswith("winograd"))
    assert "implicit_gemm" in plan.candidates
    assert "precision" in plan.refusals["winograd_4"]
    with settings(precision="fast"):
        assert plan_for(problem).algorithm == fast
        refusals = plan_for(problem).refusals
    assert not any("precision" in reason for reason in refusals.values())
    assert fast == "winograd_2" or "of the time" in refusals["winograd_2"]
    with settings(algorithm="winograd_4"):
        assert plan_for(problem).algorithm == "winograd_4"


def test_what_is_taken_does_not_depend_on_the_batch():
    for size in (7, 14, 28):
        chosen = {
            plan_for(
                Problem.parse(f"conv forward x={n}x256x{size}x{size} w=256x256x3x3 p=1 float32")
            ).algorithm
            for n in (1, 2, 8, 64)
        }
        assert len(chosen) == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("conv input_gradient x=1x2x8 w=3x2x3 float32", "conv forward"),
        ("conv forward x=1x2x8x8x8 w=3x2x3x3x3 float32", "2 spatial dimensions"),
        ("conv forward x=1x2x9x9 w=3x2x3x3 s=2 float32", "stride 1"),
        ("conv forward x=1x2x9x9 w=3x2x3x3 d=2 float32", "dense"),
        ("conv forward x=1x2x9x9 w=3x2x4x4 float32", "no points are known"),
        ("conv forward x=1x2x9x9 w=3x2x1x1 float32", "no points are known"),
        ("conv forward x=1x64x9x9 w=32x2x3x3 g=32 float32", "do not fill vectors"),
        ("conv forward x=1x2x9x9 w=3x2x3x3 int8", "float32 and float64"),
    ],
)
def test_what_it_refuses_and_why(line, why):
    assert why in BY_OUTPUTS[2].rejects(Problem.parse(line))


@EACH
@EACH_LINE
def test_a_sample_has_the_same_bits_in_any_batch_and_place(line, outputs):
    problem = Problem.parse(line)
    x, w, b = random_inputs(problem)
    whole = bits(outputs, problem, (x, w, b))
    assert len(set(whole)) == len(x)
    one = with_batch(line, 1)
    assert [bits(outputs, one, (x[i : i + 1], w, b))[0] for i in range(len(x))] == whole
    assert bits(outputs, problem, (np.ascontiguousarray(x[::-1]), w, b)) == whole[::-1]
    many = with_batch(line, 4 * len(x))
    assert bits(outputs, many, (np.concatenate([x] * 4), w, b)) == 4 * whole


@EACH_LINE
@pytest.mark.parametrize("outputs", [2, 4])
@pytest.mark.parametrize("packed", [False, True])
def test_threads_chunks_and_blocks_give_the_same_bits(line, outputs, packed, monkeypatch):
    problem, algorithm = Problem.parse(line), BY_OUTPUTS[outputs]
    x, w, b = random_inputs(problem, 1)
    serial = bits(outputs, problem, (x, w, b))
    inputs = (x, algorithm.pack(problem, w, b), None) if packed else (x, w, b)
    assert bits(outputs, problem, inputs) == serial
    share_all(monkeypatch)
    for blocks in (0, 4, 1000):
        monkeypatch.setattr(winograd, "BLOCKS_PER_THREAD", blocks)
        for size in (1, 2**16, 2**23):
            monkeypatch.setattr(winograd_engine, "CHUNK_BYTES", size)
            monkeypatch.setattr(winograd_engine, "SHARED_BYTES", size)
            winograd_engine.engine_of.cache_clear()
            assert bits(outputs, problem, inputs, 3) == serial
    winograd_engine.engine_of.cache_clear()


@EACH
@pytest.mark.parametrize("by_panels", [False, True])
def test_a_turned_weight_is_read_where_it_lies(outputs, by_panels, monkeypatch):
    if by_panels:
        monkeypatch.setattr(winograd_engine, "CHUNK_BYTES", 1)
    winograd_engine.engine_of.cache_clear()
    problem = Problem.parse(LINES[3])
    x, w, b = random_inputs(problem, 9)
    wanted = bits(outputs, problem, (x, w, b))
    lying = w[np.newaxis, ..., ::-1, ::-1].swapaxes(1, 2).copy()
    turned = lying.swapaxes(1, 2)[..., ::-1, ::-1]
    assert bits(outputs, problem, (x, turned, b), 2) == wanted
    assert (
        bits(outputs, problem, (x, np.pad(turned, ((0, 0),) * 4 + ((1, 1),))[..., 1:4], b))
        == wanted
    )
    winograd_engine.engine_of.cache_clear()


@pytest.mark.parametrize("most", [1, 5, 8, 100])
def test_any_cut_gives_the_same_bits(most, monkeypatch):
    problem = Problem.parse(LINES[2])
    inputs = random_inputs(problem, 2)
    expectation = bits(4, problem, inputs)
    for cached in (winograd_engine.engine_of, winograd_cost.blocks_of):
        cached.cache_clear()
    monkeypatch.setattr(winograd_cost, "_most", lambda problem, form: most)
    try:
        assert bits(4, problem, inputs) == expectation
    finally:
        for cached in (winograd_engine.engine_of, winograd_cost.blocks_of):
            cached.cache_clear()


@EACH
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("line", [LINES[0], LINES[1], LINES[4]])
def test_nan_and_infinity_touch_the_windows_that_hold_them_only(line, value, outputs):
    problem = Problem.parse(line)
    x, w, b = random_inputs(problem, 3)
    clean = bits(outputs, problem, (x, w, b))
    rng = np.random.default_rng(4)
    for _ in range(6):
        spoiled = x.copy()
        place = tuple(rng.integers(0, x[1].shape))
        spoiled[(1, *place)] = value
        wanted = solved(problem, (spoiled, w, b), "implicit_gemm")[0]
        (y,) = solved(problem, (spoiled, w, b), BY_OUTPUTS[outputs].name)
        same(y[1], wanted[1])
        assert [y[0].tobytes(), *(sample.tobytes() for sample in y[2:])] == [clean[0], *clean[2:]]


@EACH
def test_what_overflows_in_the_transforms_only_is_computed_directly(outputs):
    problem = Problem.parse(LINES[0])
    x, w, b = random_inputs(problem, 5)
    x[0] *= np.float32(2.0**126 / np.abs(x[0]).max())
    w *= np.float32(2.0**-5)
    (y,) = solved(problem, (x, w, b), BY_OUTPUTS[outputs].name)
    assert np.isfinite(y).all()
    precise = precisely(LINES[0], (x, w, b))
    assert np.abs(y[0] - precise[0]).max() <= BOUNDS[6] * EPS["float32"] * np.abs(precise[0]).max()


def test_a_weight_that_is_not_finite_spoils_its_channel_only():
    problem = Problem.parse(LINES[0])
    x, w, b = random_inputs(problem, 6)
    w[3, 2, 1, 1] = np.nan
    (y,) = solved(problem, (x, w, b), "winograd_4")
    assert np.isnan(y[:, 3]).any()
    assert np.isfinite(np.delete(y, 3, 1)).all()


def test_prepared_weights_and_settings():
    rng = np.random.default_rng(7)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((2, 96, 28, 28), (96, 96, 3, 3)))
    layer = F.prepare_conv(w, padding=1, activation="relu")
    with settings(precision="fast"):
        same(layer(x), F.conv2d(x, w, padding=1, activation="relu"))
        assert F.explain("conv2d", x, w, padding=1).algorithm == "winograd_4"
    same(layer(x), F.conv2d(x, w, padding=1, activation="relu"))
    strided = np.asfortranarray(x)
    strided.flags.writeable = False
    same(layer(strided), layer(x))


@pytest.mark.skipif(sys.platform != "linux", reason="pages are protected through glibc")
@pytest.mark.parametrize("outputs", [2, 4])
def test_nothing_outside_the_arrays_is_touched(outputs):
    code = f"""
from fastconv.algorithms import winograd_engine
NAME = "winograd_{outputs}"
COMPILED = [a for a in ALGORITHMS if a.name == NAME]


def accepting(problem, names):
    return [a.name for a in COMPILED if a.rejects(problem) is None]


def by_blas(problem, inputs, exact=by_blas):
    y = exact(problem, inputs)
    largest = 1e-5 * np.abs(y).max()
    np.testing.assert_array_equal = lambda a, b, line: np.testing.assert_allclose(a, b, 0, largest)
    return y


done = 0
for width in (1, 2, 3, 7, 8, 13, 15, 16, 17, 33):
    done += solve(f"conv forward x=1x16x3x{{width}} w=33x16x3x3 p=1 float32")
    done += solve(f"conv forward x=2x19x5x{{width}} w=17x19x3x3 p=1:2 float32")
done += solve("conv forward x=2x16x33x47 w=24x16x3x3 p=1 float32", threads=3)
winograd_engine.CHUNK_BYTES = 1
winograd_engine.engine_of.cache_clear()
done += solve("conv forward x=2x130x6x5 w=50x130x3x3 p=1 float32", threads=3)
problem = Problem.parse("conv forward x=1x49x6x5 w=60x49x3x3 p=1 float32")
inputs = inputs_of(problem)
wanted, lying = by_blas(problem, inputs), inputs[1][None, ..., ::-1, ::-1].swapaxes(1, 2).copy()
for side in SIDES:
    w, y = Guarded(lying, side), Guarded(np.full(wanted.shape, np.nan, wanted.dtype), side)
    turned = w.array.swapaxes(1, 2)[..., ::-1, ::-1]
    COMPILED[0].run(problem, (inputs[0], turned, inputs[2]), (y.array,), 2**26, 3)
    np.testing.assert_array_equal(y.array, wanted, "turned")
    assert w.unharmed and y.unharmed
print(done)
"""
    assert python(GUARDED + code) == "22"


def test_all_are_listed():
    found = [a.name for a in ALGORITHMS if not a.exact and a.name != "fft"]
    assert found == [*NAMES, *(f"turned_{name}" for name in NAMES)]


def test_the_gradient_of_the_input_is_one_of_a_turned_kernel():
    line = "conv input_gradient x=2x48x30x28 w=64x48x3x3 p=1 float32"
    problem = Problem.parse(line)
    assert plan_for(problem).algorithm == "turned_winograd_3"
    with settings(precision="fast"):
        assert plan_for(problem).algorithm in ("turned_winograd_4", "turned_winograd_6")
    rng = np.random.default_rng(8)
    w, gy = (
        rng.standard_normal(shape).astype(np.float32)
        for shape in (problem.conv.weight_shape, problem.y_shape)
    )
    precise = solved(
        Problem.parse(line.replace("float32", "float64")),
        (w.astype(float), gy.astype(float)),
        "turned_forward",
    )[0]
    for outputs in BY_OUTPUTS:
        (gx,) = solved(problem, (w, gy), f"turned_winograd_{outputs}")
        error = np.abs(gx - precise).max() / np.abs(precise).max()
        assert error <= BOUNDS[outputs] * EPS["float32"]
