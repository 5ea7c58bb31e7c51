"""The public functions on every dtype: result dtypes, exactness, refusals, adjoints."""

import math

import numpy as np
import pytest

import fastconv as F
from fastconv import AccumulatorError, DtypeError, ParameterError, reference
from fastconv.dtypes import row_of, with_bfloat16
from tests.helpers import ints, same
from tests.test_inputs import ODD

DTYPES = [row_of(name).dtype for name in with_bfloat16()]
EACH = pytest.mark.parametrize("dtype", DTYPES, ids=str)
MODULE = pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
INTEGERS = [dtype for dtype in DTYPES if dtype.kind in "biu"]
COMPLEX = [np.dtype(np.complex64), np.dtype(np.complex128)]


def chosen(dtype):
    return {"acc_dtype": "uint64"} if dtype == np.uint64 else {}


def sums(dtype):
    return np.dtype("uint64") if dtype == np.uint64 else row_of(dtype).sums


def calls(module, x, how):
    """Each operation on an array (2, 4, 6, 6): its name, result, and the dtype that must have."""
    dtype = x.dtype.newbyteorder("=")
    w, gy = ints(6, 4, 3, 3, seed=2, dtype=dtype), ints(2, 6, 4, 4, seed=3, dtype=dtype)
    b, total = ints(6, seed=4, dtype=dtype), sums(dtype)
    yield "conv2d", module.conv2d(x, w, b, **how), total
    yield "conv2d_input", module.conv2d_input((2, 6, 8, 8), _first(x, w, 6), x, **how), total
    yield "conv2d_weight", module.conv2d_weight(x, w.shape, gy, **how), total
    wt, gyt = ints(4, 3, 3, 3, seed=6, dtype=dtype), ints(2, 3, 8, 8, seed=7, dtype=dtype)
    yield "transposed", module.conv_transpose2d(x, wt, b[:3], **how), total
    yield "transposed_input", module.conv_transpose2d_input(x.shape, wt, gyt, **how), total
    yield "transposed_weight", module.conv_transpose2d_weight(x, wt.shape, gyt, **how), total
    yield "unfold", module.unfold(x, 2), dtype
    yield "im2col", module.im2col(x, 3, padding=1, pad_value=1), dtype
    yield "fold", module.fold(x.reshape(2, 4, 36), (6, 7), (1, 2), **how), total
    yield "col2im", module.col2im(x.reshape(2, 4, 36), (6, 7), (1, 2), **how), total
    yield "windows", module.sliding_windows(x, 3), dtype
    averages = np.dtype(np.int8) if dtype.kind == "b" else dtype
    yield "avg_pool2d", module.avg_pool2d(x, 3, 2, 1), averages
    yield "avg_backward", module.avg_pool2d_backward(x, (2, 4, 12, 12), 2), total
    yield "adaptive_avg", module.adaptive_avg_pool2d(x, (3, 4)), averages
    if dtype.kind == "c":
        return
    yield "adaptive_max", module.adaptive_max_pool2d(x, 4), dtype
    yield "min_pool2d", module.min_pool2d(x, 3, 2, 1), dtype
    yield "unpool", module.max_unpool2d(*module.max_pool2d(x, 2, return_indices=True), 2), dtype
    y, places = module.max_pool2d(x, 3, 2, 1, return_indices=True)
    yield "max_pool2d", y, dtype
    yield "indices", places, np.dtype(np.int64)
    yield "max_backward", module.max_pool2d_backward(y, places, x.shape), total


def _first(x, w, channels):
    return ints(4, channels, 3, 3, seed=5, dtype=w.dtype)


@EACH
@MODULE
def test_result_dtypes(module, dtype):
    for name, result, expected in calls(module, ints(2, 4, 6, 6, dtype=dtype), chosen(dtype)):
        assert result.dtype == expected, name


@EACH
def test_engine_and_reference_agree(dtype):
    x = ints(2, 4, 6, 6, dtype=dtype)
    both = zip(calls(F, x, chosen(dtype)), calls(reference, x, chosen(dtype)), strict=True)
    for (_, got, _), (_, expected, _) in both:
        same(got, expected)


@EACH
@pytest.mark.parametrize("odd", ODD)
def test_odd_arrays(odd, dtype):
    if odd == "unaligned" and dtype.itemsize == 1:
        return  # single bytes are always aligned
    x = ODD[odd](ints(2, 4, 6, 6, dtype=dtype))
    plain = np.array(x.astype(dtype), order="C")
    both = zip(calls(F, x, chosen(dtype)), calls(F, plain, chosen(dtype)), strict=True)
    for (name, got, _), (_, expected, _) in both:
        assert type(got) is np.ndarray, name
        same(got, expected)


@MODULE
@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        ("int8", "uint8", "int64"),
        ("int8", "bool", "int32"),
        ("int8", "float16", "float16"),
        ("int32", "float32", "float64"),
        ("float16", "complex64", "complex64"),
        ("int64", "uint64", "float64"),
        ("float16", "float32", "float32"),
    ],
)
def test_promotion(module, first, second, result):
    x, w = ints(1, 2, 9, dtype=first), ints(3, 2, 3, dtype=second)
    y = module.conv1d(x, w)
    wide = complex if y.dtype.kind == "c" else float
    same(y, F.conv1d(x.astype(wide), w.astype(wide)).astype(result))


@MODULE
@pytest.mark.parametrize(
    ("dtype", "acc", "result"),
    [
        ("int8", "int64", "int64"),
        ("int8", "int16", "int16"),
        ("uint8", "uint32", "uint32"),
        ("int64", "int32", "int32"),
        ("uint64", "int64", "int64"),
        ("float16", "float64", "float16"),
        ("float32", "float64", "float32"),
        ("complex64", "complex128", "complex64"),
    ],
)
def test_a_chosen_accumulator(module, dtype, acc, result):
    x, w, gy = (ints(*shape, dtype=dtype, seed=7) for shape in ((2, 3, 9), (4, 3, 3), (2, 4, 7)))
    how = {"acc_dtype": acc}
    for got in (
        module.conv1d(x, w, **how),
        module.conv1d_input(x.shape, w, gy, **how),
        module.conv1d_weight(x, w.shape, gy, **how),
        module.col2im(gy, (8,), 2, **how),
        module.fold(gy, (8,), 2, **how),
    ):
        assert got.dtype == result
    wide = complex if dtype == "complex64" else float
    same(module.conv1d(x, w, **how), F.conv1d(x.astype(wide), w.astype(wide)).astype(result))


def test_float64_sums_of_float32_round_once():
    x = np.array([[[1, 2.0**-30, -1]]], np.float32)
    w = np.ones((1, 1, 3), np.float32)
    assert F.conv1d(x, w, acc_dtype=float)[0, 0, 0] == 2.0**-30


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_halves_are_summed_in_float32(name):
    if name not in with_bfloat16():
        pytest.skip("ml_dtypes is not installed")
    dtype = row_of(name).dtype
    x = np.ones((1, 1, 5000), dtype)  # counting in float16 stops at 2048, in bfloat16 at 256
    w = np.ones((1, 1, 4096), dtype)
    assert (F.conv1d(x, w).astype(float) == 4096).all()
    assert (reference.conv1d(x, w).astype(float) == 4096).all()
    assert float(F.avg_pool1d(x, 4096)[0, 0, 0]) == 1
    places = np.zeros((1, 1, 4096), int)
    assert float(F.max_pool1d_backward(w, places, (1, 1, 9))[0, 0, 0]) == 4096


@MODULE
@pytest.mark.parametrize("dtype", [d for d in INTEGERS if d.itemsize > 1], ids=str)
@pytest.mark.parametrize("size", [2**11, 2**23, 2**31 - 1, 2**52 + 1, 2**60 + 3])
def test_large_integers_are_exact(module, dtype, size):
    """In each range another arithmetic is used: float32, float64, then integers."""
    largest = min(size, np.iinfo(dtype).max)
    x = np.array([[[largest, 1, 0, largest]]], dtype)
    w = np.array([[[1, 2]], [[2, 1]]], dtype)
    y = module.conv1d(x, w, acc_dtype=None if dtype != np.uint64 else np.uint64)
    a, b, c, d = map(int, x.ravel())
    expected = [[a + 2 * b, b + 2 * c, c + 2 * d], [2 * a + b, 2 * b + c, 2 * c + d]]
    assert [[int(v) for v in row] for row in y[0]] == expected
    gw = module.conv1d_weight(x, (1, 1, 4), w[:1, :, :1], acc_dtype=y.dtype)
    assert [int(v) for v in gw.ravel()] == [a, b, c, d]
    gx = module.conv1d_input((1, 2, 4), w.reshape(1, 2, 2)[:, :, :1], x, acc_dtype=y.dtype)
    assert [int(v) for v in gx.ravel()] == [a, b, c, d, 2 * a, 2 * b, 2 * c, 2 * d]


OVERFLOWS = {
    "int64": lambda m: m.conv1d(np.full((1, 1, 3), 2**62), np.full((1, 1, 3), 2)),
    "int32": lambda m: m.conv1d(
        np.full((1, 2, 3), -(2**31), np.int32), np.full((1, 2, 3), -(2**31), np.int32)
    ),
    "bias": lambda m: m.conv1d(np.full((1, 1, 1), 2**62), np.full((1, 1, 1), 1), np.full(1, 2**62)),
    "small acc": lambda m: m.conv1d(
        np.full((1, 1, 3), 100, np.int8), np.full((1, 1, 3), 100, np.int8), acc_dtype="int8"
    ),
    "unsigned acc": lambda m: m.conv1d(
        np.full((1, 1, 3), -1, np.int8), np.ones((1, 1, 3), np.int8), acc_dtype="uint64"
    ),
    "uint64": lambda m: m.conv1d(
        np.full((1, 1, 3), 2**63, np.uint64), np.full((1, 1, 3), 2, np.uint64), acc_dtype="uint64"
    ),
    "input gradient": lambda m: m.conv1d_input(
        (1, 1, 4), np.full((1, 1, 3), 2**62), np.full((1, 1, 2), 2)
    ),
    "weight gradient": lambda m: m.conv1d_weight(
        np.full((1, 1, 4), 2**62), (1, 1, 3), np.full((1, 1, 2), 2)
    ),
    "col2im": lambda m: m.col2im(np.full((1, 2, 4), 2**62), (5,), 2),
    "fold": lambda m: m.fold(np.full((1, 2, 4), 100, np.int8), (5,), (2,), acc_dtype="int8"),
    "scatter": lambda m: m.max_pool1d_backward(
        np.full((1, 1, 2), 2**62), np.zeros((1, 1, 2), int), (1, 1, 4)
    ),
    "average": lambda m: m.avg_pool1d(np.full((1, 1, 4), 2**62), 4),
    "divisor": lambda m: m.avg_pool2d(np.full((1, 1, 2, 2), 100, np.int8), 2, divisor_override=2),
    "negative divisor": lambda m: m.avg_pool2d(
        np.full((1, 1, 2, 2), 100, np.uint8), 2, divisor_override=-4
    ),
}
NAMED = {"scatter": "grad_output", "average": "input"} | dict.fromkeys(
    ["divisor", "negative divisor"], "divisor_override"
)


@MODULE
@pytest.mark.parametrize("case", OVERFLOWS)
def test_sums_that_could_overflow_are_refused(module, case):
    with pytest.raises(AccumulatorError, match=rf"^{NAMED.get(case, 'acc_dtype')}: .* beyond "):
        OVERFLOWS[case](module)
    with pytest.raises(OverflowError):
        OVERFLOWS[case](module)


def test_the_last_sum_that_fits():
    """One less than what is refused."""
    x, w = np.full((1, 1, 1), 2**62 - 1), np.full((1, 1, 1), 2)
    assert int(F.conv1d(x, w, np.ones(1, int))[0, 0, 0]) == 2**63 - 1
    with pytest.raises(AccumulatorError):
        F.conv1d(x, w, np.full(1, 2))
    low = np.full((1, 1, 1), -(2**62))
    assert int(F.conv1d(low, w)[0, 0, 0]) == -(2**63)


def test_a_refused_call_leaves_out_alone():
    out = np.full((1, 1, 1), 7)
    with pytest.raises(AccumulatorError):
        F.conv1d(np.full((1, 1, 3), 2**62), np.full((1, 1, 3), 2), out=out)
    assert out[0, 0, 0] == 7


def test_out_has_the_accumulators_dtype():
    x, w = ints(1, 2, 9, dtype=np.int8), ints(3, 2, 3, dtype=np.int8)
    out = np.empty((1, 3, 7), np.int32)
    assert F.conv1d(x, w, out=out) is out
    same(out, F.conv1d(x, w))
    with pytest.raises(DtypeError, match=r"^out: expected dtype int32, got int8"):
        F.conv1d(x, w, out=np.empty((1, 3, 7), np.int8))


@MODULE
def test_uint64_needs_an_accumulator(module):
    x = np.ones((1, 1, 4), np.uint64)
    for call in (
        lambda: module.conv1d(x, x),
        lambda: module.conv1d_input((1, 1, 4), x[..., :2], x[..., :3]),
        lambda: module.conv1d_weight(x, (1, 1, 2), x[..., :3]),
        lambda: module.col2im(x, (4,), 1),
        lambda: module.fold(x, (4,), (1,)),
    ):
        with pytest.raises(DtypeError, match=r"^acc_dtype: nothing is wider than uint64"):
            call()


@pytest.mark.parametrize("bad", ["float32", "int128", "O", 7, [1], "U3"])
def test_bad_accumulators(bad):
    x = ints(1, 1, 4, dtype=np.int8)
    with pytest.raises(DtypeError, match=r"^acc_dtype: sums of int8 are kept in int8 or .*, got"):
        F.conv1d(x, x, acc_dtype=bad)


@MODULE
@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
def test_complex_has_no_maximum(module, dtype):
    with pytest.raises(DtypeError, match=rf"^input: {dtype} numbers have no order"):
        module.max_pool1d(ints(1, 1, 4, dtype=dtype), 2)


@MODULE
@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
@pytest.mark.parametrize("groups", [1, 2])
def test_complex_gradients_are_adjoints(module, dtype, groups):
    """<conv(x, w), gy> = <x, gx> = <w, gw>, the second of each conjugated."""
    place = {"stride": 2, "padding": (1, 2), "dilation": (2, 1), "groups": groups}
    x, w = ints(2, 4, 9, 7, dtype=dtype), ints(6, 4 // groups, 3, 2, dtype=dtype, seed=1)
    y = module.conv2d(x, w, **place)
    gy = ints(*y.shape, dtype=dtype, seed=2)
    gx = module.conv2d_input(x.shape, w, gy, **place)
    gw = module.conv2d_weight(x, w.shape, gy, **place)
    left = np.vdot(gy, y)
    # in <w, gw> the conjugate of gw: it is linear in gy
    assert left == np.vdot(gx, x) == np.vdot(gw, w)


@MODULE
@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
def test_complex_gradients_of_transposed_convolution_are_adjoints(module, dtype):
    place = {"stride": 2, "padding": 1, "output_padding": 1, "dilation": (2, 1)}
    x, w = ints(2, 4, 5, 4, dtype=dtype), ints(4, 3, 3, 2, dtype=dtype, seed=1)
    y = module.conv_transpose2d(x, w, **place)
    gy = ints(*y.shape, dtype=dtype, seed=2)
    gx = module.conv_transpose2d_input(x.shape, w, gy, **place)
    gw = module.conv_transpose2d_weight(x, w.shape, gy, **place)
    assert np.vdot(gy, y) == np.vdot(gx, x) == np.vdot(gw, w)


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_a_bias_of_a_transposed_convolution_is_added_before_rounding(dtype):
    """2048 + 1.5 is no float16: what comes first decides how a sum in two steps is rounded."""
    x = np.array([[[2048, 0.5]]], dtype) if dtype == "float16" else np.array([[[100, 1]]], dtype)
    w = np.ones((1, 1, 2), dtype)
    b = np.array([1.5 if dtype == "float16" else 100], dtype)
    exact = x.astype(float)
    expected = F.conv_transpose1d(exact, w.astype(float), b.astype(float))
    for module in (F, reference):
        got = module.conv_transpose1d(x, w, b)
        same(got, expected.astype(got.dtype))


@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
def test_complex_columns_are_adjoint(dtype):
    x, c = ints(2, 3, 6, dtype=dtype), ints(2, 6, 5, dtype=dtype, seed=1)
    assert np.vdot(c, F.im2col(x, 2)) == np.vdot(F.col2im(c, 6, 2), x)
    padded = F.im2col(x, 2, padding=1, pad_value=2 - 1j)
    assert padded[0, 0, 0] == 2 - 1j


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("uint8", -1), ("uint8", 256), ("int8", 0.5), ("int8", np.nan), ("bool", 2), ("float64", 1j)],
)
def test_pad_values_that_the_dtype_cannot_hold(dtype, value):
    with pytest.raises(ParameterError, match=r"^pad_value: "):
        F.im2col(np.zeros((1, 1, 4), dtype), 2, padding=1, pad_value=value)


@MODULE
@pytest.mark.parametrize("dtype", [d for d in INTEGERS if d.kind == "i"], ids=str)
def test_averages_are_truncated(module, dtype):
    x = np.array([[[[7, 0], [0, 0]], [[-7, 0], [0, 0]]]], dtype)
    same(module.avg_pool2d(x, 2), np.array([[[[1]], [[-1]]]], dtype))
    same(module.avg_pool2d(x, 2, divisor_override=-2), np.array([[[[-3]], [[3]]]], dtype))
    gx = module.avg_pool2d_backward(np.array([[[[-7]]]], dtype), (1, 1, 2, 2), 2)
    assert (gx == -1).all()


def test_averages_of_bool_count_as_int8():
    x = np.array([[[True, True, True, False]]])
    same(F.avg_pool1d(x, 2), np.array([[[1, 0]]], np.int8))
    assert F.avg_pool2d(x[..., None], (4, 1), divisor_override=1).item() == 3


@EACH
def test_an_empty_window_has_the_lowest_maximum(dtype):
    if dtype.kind == "c":
        return
    y, places = F.max_pool1d(ints(1, 1, 3, dtype=dtype), 2, 2, 3, return_indices=True)
    lowest = 0 if dtype.kind in "bu" else np.iinfo(dtype).min if dtype.kind == "i" else -math.inf
    assert float(y[0, 0, 0]) == lowest
    assert places[0, 0, 0] == -1


@EACH
def test_explain_knows_it(dtype):
    plan = F.explain("conv2d", (1, 3, 8, 8), (4, 3, 3, 3), dtype=dtype, **chosen(dtype))
    assert plan.problem.result_dtype == sums(dtype)
    assert F.Problem.parse(str(plan.problem)) == plan.problem
    compiled = ("implicit_gemm", "converted")
    assert plan.algorithm in (("im2col_gemm",) if dtype.kind == "c" else compiled)
