"""`prepare_conv`: the results of `conv*d`, by weights packed once."""

import copy
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastconv as F
from fastconv import DtypeError, ParameterError, PlanError, Problem, ShapeError, reference
from fastconv.ops import prepared_call
from tests.helpers import NAMES, accepting, all_lines, inputs_of, ints, place_of, python, same

LINES = [
    line
    for line in all_lines()
    if line.startswith("conv forward")
    and " o=" not in line  # what only the gradient of a transposed convolution asks for
    and Problem.parse(line).conv.rank <= 3
]


def conv(problem, module=F):
    return getattr(module, f"conv{problem.conv.rank}d")


def words_of(problem):
    return {
        "layout": problem.layout,
        "padding_mode": problem.padding_mode,
        "acc_dtype": problem.acc,
    }


@pytest.mark.parametrize("line", LINES)
def test_as_the_plain_call(line):
    problem = Problem.parse(line)
    x, w, b = inputs_of(problem)
    parameters = (*place_of(problem), problem.conv.groups)
    for bias in (b, None):
        words = words_of(problem)
        layer = F.prepare_conv(w, bias, *parameters, **words)
        expected = conv(problem)(x, w, bias, *parameters, **words)
        for _ in range(2):
            same(layer(x), expected)
        if len(x):
            same(layer(x[0]), expected[0])


@pytest.mark.parametrize("name", NAMES)
def test_every_algorithm(name):
    lines = [line for line in LINES if name in accepting(Problem.parse(line))]
    for line in lines[::4]:
        problem = Problem.parse(line)
        x, w, b = inputs_of(problem)
        parameters = (*place_of(problem), problem.conv.groups)
        last = {"activation": None if w.dtype.kind == "c" else "relu6", **words_of(problem)}
        layer = F.prepare_conv(w, b, *parameters, **last)
        with F.settings(algorithm=name):
            got = layer(x)
        same(got, conv(problem)(x, w, b, *parameters, **last))


def test_settings_in_force_at_the_call_count():
    layer = F.prepare_conv(ints(2, 3, 3, 3))
    x = ints(1, 3, 6, 6)
    expected = layer(x)
    with F.settings(algorithm="pointwise"), pytest.raises(PlanError, match="pointwise"):
        layer(x)
    with F.settings(threads=1, max_scratch_bytes=2**20):
        same(layer(x), expected)
    same(layer(x), expected)


def test_it_keeps_copies():
    w, b, x = ints(2, 3, 3, 3), ints(2), ints(1, 3, 6, 6)
    layer, expected = F.prepare_conv(w, b), F.conv2d(x, w, b)
    kept = w.copy(), b.copy()
    w[:], b[:] = 0, 0
    same(layer(x), expected)
    same(layer.weight, kept[0])
    same(layer.bias, kept[1])
    for array in (layer.weight, layer.bias):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    assert F.prepare_conv(w).bias is None


def test_odd_weights_and_inputs():
    w, x = ints(2, 3, 3, 3), ints(2, 3, 6, 7)
    expected = F.conv2d(x, w)
    frozen = x.copy()
    frozen.flags.writeable = False
    for weight in (np.asfortranarray(w), w[::-1].copy()[::-1], w.astype(">f8"), w.tolist()):
        layer = F.prepare_conv(weight)
        for given in (x, np.asfortranarray(x), x.astype(">f8"), x.tolist(), frozen):
            same(layer(given), expected)
        same(layer(x[:, :, ::-1]), F.conv2d(x[:, :, ::-1], w))


@pytest.mark.parametrize(
    ("weight", "input", "result"), [("f4", "f4", "f4"), ("f4", "f8", "f8"), ("f8", "f4", "f8")]
)
def test_dtypes_are_promoted(weight, input, result):
    layer = F.prepare_conv(ints(2, 3, 3, dtype=weight), ints(2, dtype=weight))
    x = ints(1, 3, 9, dtype=input)
    for _ in range(2):
        same(layer(x), F.conv1d(x, ints(2, 3, 3), ints(2)).astype(result))
    assert layer.weight.dtype == weight
    same(layer(x.astype(int)), F.conv1d(x, ints(2, 3, 3), ints(2)))


def test_a_bias_takes_part_in_the_promotion():
    layer = F.prepare_conv(ints(2, 3, 3, dtype="f4"), ints(2))
    assert layer(ints(1, 3, 9, dtype="f4")).dtype == np.float64


def test_it_packs_once(monkeypatch):
    from fastconv.algorithms.implicit_gemm import ImplicitGemm

    packed = []
    pack = ImplicitGemm.pack

    def counted(self, *arguments):
        packed.append(pack(self, *arguments))
        return packed[-1]

    monkeypatch.setattr(ImplicitGemm, "pack", counted)
    layer = F.prepare_conv(ints(6, 3, 3, 3), padding=1)
    assert not packed  # not before it knows for which input
    x = ints(1, 3, 9, 9)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(layer, [x] * 40))
    assert len(packed) == 1
    for size in (4, 5, 6):
        layer(ints(1, 3, size, size))
    assert len(layer._packed) == len({p.key for p in packed})
    layer(x.astype(np.float32).astype(np.float64))
    layer(ints(1, 3, 9, 9)[0])
    layer(ints(2, 3, 9, 9))
    assert len({id(p) for p in layer._packed.values()}) == len(layer._packed)


def test_many_shapes_are_not_all_kept():
    layer = F.prepare_conv(ints(2, 1, 3))
    for size in range(3, 3 + 2 * prepared_call.MOST_SHAPES):
        assert layer(ints(1, 1, size)).shape == (1, 2, size - 2)
    assert len(layer._ready) == prepared_call.MOST_SHAPES
    same(layer(ints(1, 1, 3)), F.conv1d(ints(1, 1, 3), ints(2, 1, 3)))


def test_many_threads_and_shapes():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    layers = [F.prepare_conv(ints(o, 3, 3, 3), ints(o), padding=1) for o in (1, 4, 6, 8, 17)]
    inputs = [ints(n, 3, size, size) for n in (1, 2) for size in (3, 7, 12)]
    plain = [[F.conv2d(x, la.weight, la.bias, padding=1) for x in inputs] for la in layers]
    together = threading.Barrier(8)

    def work(turn):
        together.wait(60)
        for step in range(60):
            layer, x = (step + turn) % len(layers), (step * 7 + turn) % len(inputs)
            same(layers[layer](inputs[x]), plain[layer][x])
        return True

    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(8)))
    finally:
        sys.setswitchinterval(before)


def test_after_a_fork():
    printed = python(
        """
import os
import numpy as np
import fastconv as F
from fastconv.ops import prepared_call

used, fresh = F.prepare_conv(np.ones((2, 1, 3, 3))), F.prepare_conv(np.ones((2, 1, 3, 3)))
x = np.ones((1, 1, 5, 5))
expected = used(x)
prepared_call._packing.acquire()  # as if another thread were packing
child = os.fork()
if not child:
    os._exit(0 if np.array_equal(used(x), expected) and np.array_equal(fresh(x), expected) else 9)
print(os.waitpid(child, 0)[1])
"""
    )
    assert printed == "0"


def test_pickled_and_copied():
    layer = F.prepare_conv(ints(4, 1, 3, 3), ints(4), 2, "same", groups=2, activation="tanh")
    x = ints(1, 2, 7, 7)
    expected = layer(x)
    for other in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer), copy.copy(layer)):
        assert repr(other) == repr(layer)
        same(other(x), expected)


def test_repr():
    assert repr(F.prepare_conv(ints(2, 3, 5))) == "PreparedConv(2x3x5 float64)"
    layer = F.prepare_conv(ints(2, 1, 3, 3, dtype="f4"), ints(2, dtype="f4"), 2, "same", 3, 2)
    assert repr(layer) == (
        "PreparedConv(2x1x3x3 float32, bias, stride=2, padding='same', dilation=3, groups=2)"
    )


def test_the_reference_runs_the_loops_whatever_the_settings(monkeypatch):
    from fastconv.algorithms.naive import Naive

    ran = []
    run = Naive.run
    monkeypatch.setattr(Naive, "run", lambda *arguments: (ran.append(1), run(*arguments))[1])
    layer = reference.prepare_conv(ints(2, 3, 3), padding=1, activation="relu")
    x = ints(1, 3, 9)
    with F.settings(algorithm="im2col_gemm"):
        y = layer(x)
    same(y, reference.conv1d(x, ints(2, 3, 3), padding=1, activation="relu"))
    layer(x)
    assert len(ran) == 3
    assert "naive" in repr(layer)


BAD = {
    "rank": (lambda: F.prepare_conv(ints(2, 3)), ShapeError, r"^weight: .*\(2, 3\)"),
    "rank-4": (lambda: F.prepare_conv(ints(*[1] * 6)), ShapeError, "^weight: "),
    "no-taps": (lambda: F.prepare_conv(np.ones((2, 2, 0))), ShapeError, "at least 1"),
    "no-filters": (lambda: F.prepare_conv(np.ones((0, 2, 3))), ShapeError, "^weight: "),
    "groups": (lambda: F.prepare_conv(ints(3, 1, 3), groups=2), ShapeError, "^groups: 2"),
    "groups-0": (lambda: F.prepare_conv(ints(3, 1, 3), groups=0), ParameterError, "^groups: "),
    "stride": (lambda: F.prepare_conv(ints(3, 1, 3), stride=0), ParameterError, "^stride: "),
    "stride-rank": (lambda: F.prepare_conv(ints(3, 1, 3), stride=(1, 1)), ParameterError, "stride"),
    "padding": (lambda: F.prepare_conv(ints(3, 1, 3), padding="full"), ParameterError, "^padding"),
    "dilation": (lambda: F.prepare_conv(ints(3, 1, 3), dilation=1.5), ParameterError, "^dilation"),
    "bias": (lambda: F.prepare_conv(ints(3, 1, 3), ints(2)), ShapeError, r"^bias: .*\(3,\)"),
    "activation": (
        lambda: F.prepare_conv(ints(3, 1, 3), activation="gelu"),
        ParameterError,
        "^activation: ",
    ),
    "dtype": (lambda: F.prepare_conv(np.ones((3, 1, 3), "g")), DtypeError, "weight"),
    "masked": (lambda: F.prepare_conv(np.ma.ones((3, 1, 3))), DtypeError, "^weight: Masked"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_found_at_once(case):
    make, error, words = BAD[case]
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("forced", [None, "naive"])
def test_bad_inputs(forced):
    layer = F.prepare_conv(ints(2, 3, 3, 3))
    with F.settings(algorithm=forced):
        for shape in ((3, 3), (1, 1, 3, 5, 5), (1, 2, 5, 5), (1, 3, 2, 5), (1, 3, 0, 5)):
            with pytest.raises(ShapeError):
                layer(np.zeros(shape))
        with pytest.raises(DtypeError, match=r"^input: "):
            layer(np.ma.zeros((1, 3, 5, 5)))
        with pytest.raises(DtypeError, match=str(np.dtype("g"))):
            layer(np.zeros((1, 3, 5, 5), "g"))
        assert layer(np.zeros((0, 3, 5, 5))).shape == (0, 2, 3, 3)
