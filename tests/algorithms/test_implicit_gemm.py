import signal
import sys
import tracemalloc

import numpy as np
import pytest

import fastconv as F
from fastconv import PlanError, Problem, settings
from fastconv.algorithms import ALGORITHMS, implicit_gemm
from fastconv.algorithms.algorithm import Packed
from fastconv.kernels import gemm
from fastconv.plan import plan_for
from tests import oracle
from tests.helpers import fenced, ints, place_of, python, same, share_all, solved, unharmed

pytest.importorskip("numba")

(ALGORITHM,) = (a for a in ALGORITHMS if a.name == "implicit_gemm")
NAME, MIB = "implicit_gemm", 2**20
LINES = [
    "conv forward x=5x3x9x11 w=4x3x3x3 p=1 float32",
    "conv forward x=5x7x13x17 w=11x7x3x3 float32",
    "conv forward x=4x5x37 w=6x5x5 p=2:1 d=2 float64",
    "conv forward x=5x6x11x10 w=10x3x3x3 s=2 p=1 g=2 float32",
    "conv forward x=3x4x12x15 w=9x4x5x3 s=3x2 p=2x0:3 d=1x2 float64",
    "conv forward x=4x8x6x19 w=17x8x1x1 float32",
    "conv forward x=3x5x6x6 w=5x1x3x3 p=1 g=5 float32",
    "conv forward x=3x2x4x5 w=3x2x2x2 p=5 float32",
    "conv forward x=3x3x5x6x7 w=8x3x3x3x3 p=1 s=1x2x1 float32",
    "conv forward x=3x150x5x6 w=20x150x3x3 p=1 float32",
]
EACH_LINE = pytest.mark.parametrize("line", LINES)


def random_inputs(problem, seed=0):
    """Data whose sums depend on their order."""
    generator, geometry = np.random.default_rng(seed), problem.conv
    shapes = (geometry.input_shape, geometry.weight_shape, (geometry.out_channels,))
    return tuple(generator.standard_normal(shape).astype(problem.dtype) for shape in shapes)


def bits(problem, inputs, threads=1, limit=64 * MIB):
    """The result's bytes, sample by sample."""
    y = fenced(np.full(problem.result_shape, np.nan, problem.dtype))
    ALGORITHM.run(problem, inputs, (y,), limit, threads)
    assert unharmed(y)
    return [sample.tobytes() for sample in y]


def with_batch(line, batch):
    head, _, rest = line.partition("x=")
    shape, _, tail = rest.partition(" ")
    return Problem.parse(f"{head}x={batch}x{shape.partition('x')[2]} {tail}")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("conv input_gradient x=1x2x8 w=3x2x3 float32", "conv forward"),
        ("conv weight_gradient x=1x2x8 w=3x2x3 float32", "conv forward"),
        ("max_pool forward x=1x2x8 k=3 float32", "conv forward"),
        ("conv forward x=1x1x3x3x3x3 w=1x1x2x2x2x2 float32", "3 spatial dimensions"),
        ("conv forward x=1x1x30000x30000 w=1x1x3x3 float32", "tables"),
    ],
)
def test_what_it_refuses_and_why(line, why):
    assert why in ALGORITHM.rejects(Problem.parse(line))


@EACH_LINE
def test_it_accepts(line):
    assert ALGORITHM.rejects(Problem.parse(line)) is None


@EACH_LINE
def test_a_sample_has_the_same_bits_in_any_batch_and_place(line):
    problem = Problem.parse(line)
    x, w, b = random_inputs(problem)
    batch = len(x)
    whole = bits(problem, (x, w, b))
    assert len(set(whole)) == batch
    alone = with_batch(line, 1)
    assert [bits(alone, (x[i : i + 1], w, b))[0] for i in range(batch)] == whole
    assert bits(problem, (np.ascontiguousarray(x[::-1]), w, b)) == whole[::-1]
    twice = with_batch(line, 2 * batch)
    assert bits(twice, (np.concatenate([x, x]), w, b)) == whole + whole


@EACH_LINE
@pytest.mark.parametrize("packed", [False, True])
def test_any_number_of_threads_gives_the_same_bits(line, packed, monkeypatch):
    shared = []

    def recorded(loops, arguments, items, threads):
        shared.append(min(items, threads))
        return share(loops, arguments, items, threads)

    share = implicit_gemm.share
    share_all(monkeypatch)
    monkeypatch.setattr(implicit_gemm, "share", recorded)
    problem = Problem.parse(line)
    x, w, b = random_inputs(problem, 1)
    inputs = (x, ALGORITHM.pack(problem, w, b), None) if packed else (x, w, b)
    serial = bits(problem, inputs)
    assert set(shared) == {1}
    for threads in (2, 3, 7):
        assert bits(problem, inputs, threads) == serial
    assert max(shared) > 2


@EACH_LINE
def test_small_work_stays_with_the_caller(line, monkeypatch):
    def forbidden(loops, arguments, items, threads):
        assert threads == 1
        return share(loops, arguments, items, threads)

    share = implicit_gemm.share
    monkeypatch.setattr(implicit_gemm, "share", forbidden)
    problem = Problem.parse(line)
    monkeypatch.setattr(implicit_gemm, "SERIAL_FLOPS", problem.flops + 1)
    bits(problem, random_inputs(problem), 4)


@EACH_LINE
def test_packed_weights_give_the_same_bits(line):
    problem = Problem.parse(line)
    x, w, b = random_inputs(problem, 2)
    packed = ALGORITHM.pack(problem, w, b)
    assert isinstance(packed, Packed)
    kept = w.copy(), b.copy()
    expected = bits(problem, (x, w, b))
    w[...] = b[...] = np.nan  # packed is packed
    for _ in range(2):
        assert bits(problem, (x, packed, None)) == expected
    one = with_batch(line, 1)
    assert bits(one, (x[1:2], packed, None)) == expected[1:2]
    plain = ALGORITHM.pack(problem, kept[0], None)
    assert bits(problem, (x, plain, None)) == bits(problem, (x, kept[0], None))


@EACH_LINE
@pytest.mark.parametrize("size", [1, 3000])
def test_chunks_and_blocks_of_weights_change_nothing(line, size, monkeypatch):
    """Large weights are packed by parts, in blocks that fit the cache; so can small ones be."""
    problem = Problem.parse(line)
    inputs = random_inputs(problem, 3)
    expected = bits(problem, inputs)
    packed = ALGORITHM.pack(problem, *inputs[1:])
    monkeypatch.setattr(implicit_gemm, "PANELS_BYTES", size)
    share_all(monkeypatch)
    assert bits(problem, (inputs[0], packed, None), 3) == expected
    monkeypatch.setattr(implicit_gemm, "CHUNK_BYTES", size)
    for threads in (1, 3):
        assert bits(problem, inputs, threads) == expected


STRIDED = [line for line in LINES if " s=" in line or "p=5" in line]


@pytest.mark.parametrize("line", STRIDED)
def test_samples_copied_one_at_a_time_change_nothing(line):
    problem = Problem.parse(line)
    inputs = random_inputs(problem, 4)
    expected = bits(problem, inputs)
    sizes = {ALGORITHM.scratch(problem, limit) for limit in (0, 3 * MIB + 8000, 64 * MIB)}
    assert len(sizes) > 1
    for limit in (0, 3 * MIB + 8000, 3 * MIB + 16000):
        assert bits(problem, inputs, limit=limit) == expected


SCRATCH = [
    "conv forward x=8x16x60x60 w=16x16x3x3 p=1 float32",
    "conv forward x=8x16x60x60 w=16x16x3x3 s=2 p=1 float32",
    "conv forward x=8x8x50x50 w=8x8x1x1 p=3 float64",
    "conv forward x=1x256x6x6 w=512x256x3x3 p=1 float32",
    "conv forward x=1x256x6x6 w=512x32x3x3 p=1 g=8 float32",
]


@pytest.mark.parametrize("line", SCRATCH)
@pytest.mark.parametrize("limit", [MIB // 2, 4 * MIB, 32 * MIB])
@pytest.mark.parametrize("order", ["C", "F"])
def test_scratch_memory_is_within_the_limit(line, limit, order):
    """Arrays that are not contiguous are copied besides, the input one sample at a time."""
    problem = Problem.parse(line)
    with settings(algorithm=NAME, max_scratch_bytes=limit):
        try:
            plan = plan_for(problem)
        except PlanError:
            assert limit < 4 * MIB
            return
    x, w, b = (np.asarray(array, order=order) for array in random_inputs(problem))
    y = np.empty(problem.result_shape, problem.dtype)
    plan.run((x, w, b), (y,))  # compiles
    tracemalloc.start()
    try:
        plan.run((x, w, b), (y,))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert plan.scratch_bytes <= limit
    copies = x[0].nbytes + w.nbytes if order == "F" else 0
    assert peak <= plan.scratch_bytes + copies + 2**16


@pytest.mark.parametrize("line", SCRATCH)
def test_scratch_memory_is_a_padded_copy_and_a_little_at_most(line):
    problem = Problem.parse(line)
    geometry = problem.conv
    padded = np.prod([axis.size + axis.before + axis.after for axis in geometry.axes])
    copy = geometry.batch * geometry.channels * int(padded) * problem.dtype.itemsize
    with settings(algorithm=NAME, max_scratch_bytes=2**40):
        assert plan_for(problem).scratch_bytes <= copy + 4 * MIB


SMALL = [
    "conv forward x=2x2x9 w=3x2x3 p=1 float32",
    "conv forward x=1x2x5x18 w=3x2x3x3 p=1 float32",
    "conv forward x=1x2x6x7 w=2x1x3x2 p=1x0 s=2 g=2 float64",
    "conv forward x=1x1x4x5 w=2x1x2x2 p=3 d=2 float32",
    "conv forward x=1x1x3x4x5 w=2x1x2x3x2 p=1 float32",
]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("line", SMALL)
def test_nan_and_infinity_touch_the_windows_that_hold_them_only(line, value):
    problem = Problem.parse(line)
    geometry = problem.conv
    clean = ints(*geometry.input_shape, dtype=problem.dtype)
    w = ints(*geometry.weight_shape, dtype=problem.dtype, low=1, high=3)
    (expected,) = solved(problem, (clean, w, None), NAME)
    held = {
        source: [at for at in oracle.positions(geometry.out) if source in windows[at]]
        for windows in [windows_of(problem)]
        for source in oracle.positions(geometry.sizes)
    }
    inputs, outputs = geometry.channels // geometry.groups, geometry.m
    for channel in range(geometry.channels):
        first = channel // inputs * outputs
        for source, touched in held.items():
            x = clean.copy()
            x[(0, channel, *source)] = value
            wanted = expected.copy()
            for at in touched:
                wanted[(0, slice(first, first + outputs), *at)] = value
            same(solved(problem, (x, w, None), NAME)[0], wanted)


def windows_of(problem):
    stride, pads, dilation = place_of(problem)
    geometry = problem.conv
    return {
        at: {
            source
            for _, source in oracle.taps_inside(
                at, geometry.sizes, geometry.kernel, stride, pads, dilation
            )
        }
        for at in oracle.positions(geometry.out)
    }


@pytest.mark.parametrize("line", SMALL)
def test_everywhere_nan_but_in_padding(line):
    problem = Problem.parse(line)
    geometry = problem.conv
    x = np.full(geometry.input_shape, np.nan, problem.dtype)
    w, b = (
        ints(*shape, dtype=problem.dtype)
        for shape in (geometry.weight_shape, (geometry.out_channels,))
    )
    (y,) = solved(problem, (x, w, b), NAME)
    for at, sources in windows_of(problem).items():
        found = y[(slice(None), slice(None), *at)]
        assert np.isnan(found).all() if sources else (found == b).all()


@pytest.mark.parametrize("line", SMALL)
def test_negative_zeros_sum_to_zero(line):
    problem = Problem.parse(line)
    geometry = problem.conv
    x = np.full(geometry.input_shape, -0.0, problem.dtype)
    w = ints(*geometry.weight_shape, dtype=problem.dtype)
    (y,) = solved(problem, (x, w, None), NAME)
    assert (y == 0).all()
    assert not np.signbit(y).any()
    (by_zeros,) = solved(problem, (-x, w, None), NAME)
    assert y.tobytes() == by_zeros.tobytes()
    (biased,) = solved(problem, (x, w, np.full(geometry.out_channels, 5, problem.dtype)), NAME)
    assert (biased == 5).all()


ODD = {
    "fortran": np.asfortranarray,
    "reversed": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "transposed": lambda a: np.ascontiguousarray(a.swapaxes(0, -1)).swapaxes(0, -1),
    "sliced": lambda a: np.repeat(a, 2, -1)[..., ::2],
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), a.dtype, -1, 1).reshape(a.shape),
    "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
}


@pytest.mark.parametrize("form", ODD)
@pytest.mark.parametrize("stride", [1, 2])
def test_odd_arrays(form, stride):
    x, w, b = (ints(*s, dtype=np.float32) for s in ((2, 3, 9, 10), (5, 3, 3, 3), (5,)))
    with settings(algorithm=NAME):
        expected = F.conv2d(x, w, b, stride=stride)
        odd = [ODD[form](array) for array in (x, w, b)]
        for array in odd:
            array.flags.writeable = False
        same(F.conv2d(*odd, stride=stride), expected)


def test_a_repeated_element_is_read_in_place():
    x = np.broadcast_to(np.float32(2), (2, 3, 6, 7))
    w = np.broadcast_to(np.float32(1), (4, 3, 2, 2))
    with settings(algorithm=NAME):
        same(F.conv2d(x, w), np.full((2, 4, 5, 6), 24, np.float32))


# In a program of its own, since one element too far ends it.

GUARDED = """
import itertools
import numpy as np
from fastconv import Problem
from fastconv.algorithms import ALGORITHMS
from tests.guarded import SIDES, Guarded
from tests.helpers import accepting, inputs_of

COMPILED = [a for a in ALGORITHMS if getattr(a, "compiled", False) and a.exact]


def solve(line, threads=1):
    problem = Problem.parse(line)
    inputs = inputs_of(problem)
    wanted = by_blas(problem, inputs)
    names = accepting(problem, [a.name for a in COMPILED])
    for algorithm in (a for a in COMPILED if a.name in names):
        for side in SIDES:
            x, w, b = (Guarded(array, side) for array in inputs)
            y = Guarded(np.full(problem.result_shape, np.nan, problem.dtype), side)
            arrays = (x.array, w.array, b.array)
            algorithm.run(problem, arrays, (y.array,), 2**25, threads)
            np.testing.assert_array_equal(y.array, wanted, f"{algorithm.name}: {line}")
            assert all(each.unharmed for each in (x, w, b, y)), line
    return len(names)


def by_blas(problem, inputs):
    (algorithm,) = (a for a in ALGORITHMS if a.name == "im2col_gemm")
    y = np.empty(problem.result_shape, problem.dtype)
    algorithm.run(problem, inputs, (y,), 2**25, 1)
    return y
"""
WIDTHS = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49)


@pytest.mark.skipif(sys.platform != "linux", reason="pages are protected through glibc")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_outside_the_arrays_is_touched(dtype):
    code = f"""
done = 0
for width in {WIDTHS}:
    done += solve(f"conv forward x=2x3x{{width}} w=5x3x1 {dtype}")
    done += solve(f"conv forward x=1x2x{{width}} w=4x2x3 p=1 {dtype}")
    done += solve(f"conv forward x=1x2x{{width}} w=1x2x2 s=2 p=1 {dtype}")
    done += solve(f"conv forward x=1x2x3x{{width}} w=8x2x3x3 p=1 {dtype}")
    done += solve(f"conv forward x=2x2x4x{{width}} w=3x2x2x1 {dtype}")
    done += solve(f"conv forward x=1x3x5x{{width}} w=6x3x3x3 s=2 p=1 {dtype}")
    done += solve(f"conv forward x=1x2x3x{{width}} w=3x2x1x3 p=0x4 d=2 {dtype}")
    done += solve(f"conv forward x=1x2x4x{{width}} w=2x2x2x1 s=3 p=0:2x0 {dtype}")
    done += solve(f"conv forward x=2x4x3x{{width}} w=8x2x1x1 g=2 {dtype}")
    done += solve(f"conv forward x=2x6x4x{{width}} w=6x1x3x3 p=1 g=6 {dtype}")
    done += solve(f"conv forward x=1x4x5x{{width}} w=4x1x3x3 s=2 p=1 g=4 {dtype}")
    done += solve(f"conv forward x=1x1x2x3x{{width}} w=5x1x2x2x1 p=1x0x0 {dtype}")
solve("conv forward x=2x16x33x47 w=24x16x3x3 p=1 {dtype}", threads=3)
solve("conv forward x=2x16x33x47 w=24x16x3x3 s=2 p=1 {dtype}", threads=3)
print(done >= 12 * len({WIDTHS}))
"""
    assert python(GUARDED + code) == "True"


@pytest.mark.skipif(sys.platform != "linux", reason="pages are protected through glibc")
@pytest.mark.parametrize(("side", "step"), [("start", -1), ("end", 1)])
def test_a_guarded_array_is_guarded(side, step):
    code = f"""
import ctypes, signal
signal.signal(signal.SIGSEGV, signal.SIG_DFL)
from tests.guarded import Guarded
import numpy as np, os
array = Guarded(np.ones((3, 5), np.float32), {side!r}).array
address = array.ctypes.data + ({step} if {step} < 0 else array.nbytes)
child = os.fork()
if not child:
    ctypes.string_at(array.ctypes.data, array.nbytes)
    ctypes.string_at(address, 1)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert python(code) == str(-signal.SIGSEGV)


WHOLE = [
    "conv forward x=2x3x16x16 w=17x3x3x3 p=1 float32",
    "conv forward x=1x4x8x32 w=8x4x1x1 act=relu float64",
    "conv forward x=1x4x32x32 w=16x4x3x3 s=2 p=1 float32",
]


@pytest.mark.parametrize("line", WHOLE)
@pytest.mark.parametrize("offset", [0, 1])
def test_results_that_go_past_the_caches_are_the_same(line, offset, monkeypatch):
    """Written so where whole vectors are aligned; an offset makes sure that none is."""
    problem = Problem.parse(line)
    inputs = random_inputs(problem)

    def solve():
        implicit_gemm._engine.cache_clear()
        size = int(np.prod(problem.result_shape))
        around = np.full(size + 64, np.nan, problem.dtype)
        start = -around.ctypes.data % 64 // problem.dtype.itemsize + offset
        y = around[start : start + size].reshape(problem.result_shape)
        ALGORITHM.run(problem, inputs, (y,), 2**26, 1)
        assert np.isnan(np.delete(around, slice(start, start + size))).all()
        return y.tobytes()

    expected = solve()
    monkeypatch.setattr(implicit_gemm, "STREAM_BYTES", 0)
    try:
        assert solve() == expected
        word = gemm.HEADER.index("stream")
        assert implicit_gemm._engine(problem).table[word] == 1
    finally:
        implicit_gemm._engine.cache_clear()


def test_more_threads_than_items(monkeypatch):
    share_all(monkeypatch)
    problem = Problem.parse("conv forward x=1x1x1x1 w=1x1x1x1 float32")
    x, w, b = random_inputs(problem)
    assert bits(problem, (x, w, b), 64) == [(x * w + b).tobytes()]
