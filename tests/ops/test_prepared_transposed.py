"""`prepare_conv_transpose`: the results of `conv_transpose*d`, by weights packed once."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastconv as F
from fastconv import DtypeError, ParameterError, PlanError, ShapeError, reference
from fastconv.plan import plan_for
from tests.helpers import ints, same

TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
CASES = {
    "dense": ((9, 40, 1, 1), (40, 3, 4, 5), ()),
    "dense-many": ((40, 6, 1, 1), (6, 3, 2, 4), ()),
    "kernel-is-stride": ((2, 8, 5, 9), (8, 20, 2, 2), (2,)),
    "groups": ((2, 8, 5, 9), (8, 3, 2, 2), (2, 0, 0, 2)),
    "overlap": ((2, 8, 5, 9), (8, 20, 4, 4), (2, 1)),
    "small": ((1, 8, 2, 2), (8, 20, 4, 4), (2, 1)),
    "line": ((2, 8, 25), (8, 20, 8), (4, 2)),
    "volume": ((2, 4, 3, 4, 5), (4, 5, 2, 2, 2), (2,)),
    "odd": ((2, 8, 5, 9), (8, 20, 3, 3), (2, 1, 1)),
    "same": ((2, 8, 5, 9), (8, 20, 3, 3), (2, "same")),
    "pairs": ((2, 8, 5, 9), (8, 20, 3, 3), (1, ((0, 1), (2, 0)), 0, 1, 2)),
    "depthwise": ((2, 8, 5, 9), (8, 1, 3, 3), (1, 1, 0, 8)),
}
EACH_CASE = pytest.mark.parametrize("case", CASES)


@EACH_CASE
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
def test_as_the_plain_call(case, dtype):
    shape, weight, place = CASES[case]
    groups = place[3] if len(place) > 3 else 1
    x, w, b = ints(*shape, dtype=dtype), ints(*weight, dtype=dtype), ints(weight[1] * groups)
    b = b.astype(dtype)
    transpose = TRANSPOSE[len(shape) - 2]
    activation = None if dtype == "i4" else "relu"
    for bias in (b, None):
        layer = F.prepare_conv_transpose(w, bias, *place, activation=activation)
        expected = transpose(x, w, bias, *place, activation=activation)
        for _ in range(2):
            same(layer(x), expected)
        same(layer(x[0]), expected[0])
        same(layer(x[:1]), expected[:1])


@EACH_CASE
def test_channels_last_and_the_reference(case):
    shape, weight, place = CASES[case]
    x, w = ints(*shape), ints(*weight)
    expected = np.moveaxis(TRANSPOSE[len(shape) - 2](x, w, None, *place), 1, -1)
    x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    for module in (F, reference):
        same(module.prepare_conv_transpose(w, None, *place, layout="channels_last")(x), expected)


def test_an_output_size_may_be_asked_for():
    x, w = ints(2, 3, 5, 5), ints(3, 2, 3, 3)
    layer = F.prepare_conv_transpose(w, stride=2)
    for size in (11, 12, (12, 11), (2, 2, 11, 12), None):
        same(layer(x, output_size=size), F.conv_transpose2d(x, w, stride=2, output_size=size))
    with pytest.raises(ShapeError, match=r"^output_size: "):
        layer(x, output_size=13)
    with pytest.raises(ParameterError, match=r"^output_size: "):
        layer(x, output_size="12")
    with pytest.raises(ParameterError, match=r"^output_padding: expected 0, for output_size"):
        F.prepare_conv_transpose(w, stride=2, output_padding=1)(x, output_size=12)


@pytest.mark.parametrize("case", ["dense", "dense-many", "overlap"])
def test_it_packs_once(case, monkeypatch):
    shape, weight, place = CASES[case]
    x, w = ints(*shape, dtype="f4"), ints(*weight, dtype="f4")
    problem = F.explain("conv_transpose2d", shape, weight, None, *place).problem
    chosen = type(plan_for(problem, packed=True).chosen)
    packed, pack = [], chosen.pack

    def counted(self, *arguments):
        packed.append(pack(self, *arguments))
        return packed[-1]

    monkeypatch.setattr(chosen, "pack", counted)
    layer = F.prepare_conv_transpose(w, None, *place)
    assert not packed  # not before it knows for which input
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(layer, [x] * 40))
    assert len(packed) == 1
    for result in results:
        same(result, results[0])
    with F.settings(threads=1):
        layer(x)
    assert len(layer._packed) == 1


@pytest.mark.parametrize(
    ("shape", "weight", "plain", "packed"),
    [
        ((1, 512, 8, 8), (512, 256, 4, 4), "transposed_gemm", "turned_winograd"),
        ((1, 1024, 4, 4), (1024, 512, 4, 4), "transposed_gemm", "turned_forward"),
        ((1, 128, 32, 32), (128, 3, 4, 4), "transposed_gemm", "transposed_gemm"),
        ((1, 256, 64, 64), (256, 128, 2, 2), "transposed_gemm", "transposed_gemm"),
        ((1, 100, 1, 1), (100, 1024, 4, 4), "dense", "dense"),
    ],
)
def test_another_way_may_be_taken_where_packing_costs_nothing(shape, weight, plain, packed):
    place = (2, 1) if weight[-1] == 4 and shape[-1] > 1 else (weight[-1],)
    plan = F.explain("conv_transpose2d", shape, weight, None, *place)
    assert plan.algorithm == plain
    found = plan_for(plan.problem, packed=True)
    assert found.algorithm.startswith(packed)
    if packed != plain:
        assert "of the time" in found.refusals[plain] or "less time" in found.refusals[plain]


@pytest.mark.parametrize("name", ["turned_winograd_2", "turned_forward"])
def test_phases_are_packed(name):
    """The same bits in every batch and on every number of threads, and NaN where it belongs."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 17, 9, 8)).astype("f4")
    w, b = (rng.standard_normal(s).astype("f4") for s in ((17, 18, 4, 4), (18,)))
    x[1, 5, 4, 3] = np.nan
    layer = F.prepare_conv_transpose(w, b, 2, 1, activation="relu")
    wide = (a.astype(float) for a in (x, w, b))
    precise = F.conv_transpose2d(*wide, 2, 1, activation="relu", algorithm="im2col_gemm")
    with F.settings(algorithm=name):
        y = layer(x)
        same(np.isnan(y), np.isnan(precise))
        assert np.nanmax(np.abs(y - precise)) < 2e-6 * np.nanmax(precise)
        same(layer(x[2:]), y[2:])
        with F.settings(threads=2):
            same(layer(x), y)
        assert len(layer._packed) == 1
        same(y, F.conv_transpose2d(x, w, b, 2, 1, activation="relu"))


def test_many_and_few_samples_are_packed_apart():
    x, w, b = ints(40, 6, 1, 1), ints(6, 3, 2, 4), ints(3)
    layer = F.prepare_conv_transpose(w, b)
    for count in (1, 40, 2, 30, 1):
        same(layer(x[:count]), F.conv_transpose2d(x[:count], w, b))
    assert len(layer._packed) == 2


def test_it_keeps_copies():
    w, b, x = ints(3, 2, 4, 4), ints(2), ints(1, 3, 6, 6)
    layer, expected = F.prepare_conv_transpose(w, b, 2), F.conv_transpose2d(x, w, b, 2)
    layer(x)
    w[:], b[:] = 0, 0
    same(layer(x), expected)
    for array in (layer.weight, layer.bias):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_settings_in_force_at_the_call_count():
    layer, x = F.prepare_conv_transpose(ints(3, 2, 4, 4), stride=2), ints(1, 3, 6, 6)
    expected = layer(x)
    with F.settings(algorithm="fft"), pytest.raises(PlanError, match="fft"):
        layer(x.astype(int))
    for name in ("transposed_gemm", "turned_forward", "naive"):
        with F.settings(algorithm=name):
            same(layer(x), expected)


def test_pickled_copied_and_printed():
    layer = F.prepare_conv_transpose(ints(4, 1, 3, 3), ints(2), 2, 1, 1, 2, activation="tanh")
    x = ints(1, 4, 7, 7)
    expected = layer(x)
    for other in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer), copy.copy(layer)):
        assert repr(other) == repr(layer)
        same(other(x), expected)
    assert repr(layer) == (
        "PreparedConvTranspose(4x1x3x3 float64, bias, stride=2, padding=1, output_padding=1, "
        "groups=2, activation='tanh')"
    )


def test_dtypes_are_promoted():
    layer = F.prepare_conv_transpose(ints(3, 2, 4, dtype="f4"), stride=2)
    x = ints(1, 3, 9)
    for dtype, result in (("f4", "f4"), ("f8", "f8"), ("i2", "f4")):
        expected = F.conv_transpose1d(x, ints(3, 2, 4), stride=2).astype(result)
        same(layer(x.astype(dtype)), expected)


BAD = {
    "rank": (lambda f: f(ints(2, 3)), ShapeError, r"^weight: expected \(C_in, .*\(2, 3\)"),
    "no-taps": (lambda f: f(np.ones((2, 2, 0))), ShapeError, "at least 1"),
    "groups": (lambda f: f(ints(3, 1, 3), groups=2), ShapeError, "^groups: 2"),
    "stride": (lambda f: f(ints(3, 1, 3), stride=0), ParameterError, "^stride: "),
    "padding": (lambda f: f(ints(3, 1, 3), padding="full"), ParameterError, "^padding"),
    "output_padding": (lambda f: f(ints(3, 1, 3), output_padding=1), ParameterError, "^output_pad"),
    "same": (lambda f: f(ints(3, 1, 3), None, 2, "same", 1), ParameterError, "^output_padding"),
    "dilation": (lambda f: f(ints(3, 1, 3), dilation=1.5), ParameterError, "^dilation"),
    "bias": (lambda f: f(ints(3, 1, 3), ints(2)), ShapeError, r"^bias: .*\(1,\)"),
    "activation": (lambda f: f(ints(3, 1, 3), activation="gelu"), ParameterError, "^activation: "),
    "layout": (lambda f: f(ints(3, 1, 3), layout="first"), ParameterError, "^layout: "),
    "dtype": (lambda f: f(np.ones((3, 1, 3), "g")), DtypeError, "weight"),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_found_at_once(case):
    make, error, words = BAD[case]
    with pytest.raises(error, match=words):
        make(F.prepare_conv_transpose)


def test_padding_that_leaves_nothing_of_small_inputs_is_fine():
    layer = F.prepare_conv_transpose(ints(3, 2, 3, 3), padding=3)
    x = ints(1, 3, 9, 9)
    same(layer(x), F.conv_transpose2d(x, layer.weight, padding=3))
    with pytest.raises(ShapeError, match=r"^padding: "):
        layer(x[..., :3, :3])
    for shape in ((3, 3), (1, 2, 9, 9), (1, 1, 3, 9, 9)):
        with pytest.raises(ShapeError):
            layer(np.zeros(shape))
