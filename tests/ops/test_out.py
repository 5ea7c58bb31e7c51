"""`algorithm=` and `out=` of the convolutions."""

import warnings

import numpy as np
import pytest

import fastconv as F
from fastconv import DtypeError, ParameterError, PlanError, ShapeError, reference
from tests.helpers import EXACT_NAMES, fenced, ints, same, unharmed

X, W, B = ints(2, 4, 7, 6), ints(6, 4, 3, 3), ints(6)
Y = F.conv2d(X, W, B)
CALLS = {
    "conv2d": lambda x, out: F.conv2d(x, W, B, out=out),
    "prepared": lambda x, out: F.prepare_conv(W, B)(x, out=out),
    "transposed": lambda x, out: F.prepare_conv_transpose(
        W[:, :, ::-1, ::-1].swapaxes(0, 1), B, padding=2
    )(x, out=out),
    "reference": lambda x, out: reference.conv2d(x, W, B, out=out),
}
CALL = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def blank(shape=Y.shape, dtype=Y.dtype):
    return np.full(shape, 77, dtype)


@CALL
def test_the_result_is_put_there_and_returned(call):
    out = fenced(blank())
    assert call(X, out) is out
    same(out, Y)
    assert unharmed(out)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("batched", [True, False])
def test_every_rank_with_and_without_batch(rank, batched):
    x, w = ints(1, 4, *(7, 6, 5)[:rank]), ints(6, 2, *(2,) * rank)
    x = x if batched else x[0]
    conv, parameters = getattr(F, f"conv{rank}d"), {"groups": 2, "activation": "relu"}
    expected = conv(x, w, **parameters)
    for call in (lambda out: conv(x, w, **parameters, out=out), F.prepare_conv(w, **parameters)):
        out = blank(expected.shape)
        got = call(x, out=out) if isinstance(call, F.PreparedConv) else call(out)
        assert got is out
        same(out, expected)


STRIDED = {
    "every-second": lambda: np.full((2, 6, 5, 8), 77.0)[..., ::2],
    "fortran": lambda: np.asfortranarray(blank()),
    "reversed": lambda: blank()[::-1, :, ::-1],
    "channels-last": lambda: blank((2, 5, 4, 6)).transpose(0, 3, 1, 2),
    "part": lambda: np.full((4, 9, 5, 4), 77.0)[1:3, 2:8],
    "unaligned": lambda: np.zeros(Y.nbytes + 1, np.uint8)[1:].view(Y.dtype).reshape(Y.shape),
}


@CALL
@pytest.mark.parametrize("make", STRIDED.values(), ids=STRIDED)
def test_strided_arrays_work(call, make):
    out = make()
    whole = out.base if out.base is not None else out
    outside = whole.size - out.size
    assert call(X, out) is out
    same(np.array(out), Y)
    if whole.dtype == out.dtype:
        assert (whole == 77).sum() >= outside  # what lies between was left alone


def test_a_subclass_works():
    class Named(np.ndarray):
        pass

    out = blank().view(Named)
    assert F.conv2d(X, W, B, out=out) is out
    same(np.asarray(out), Y)


def test_an_empty_batch():
    out = np.empty((0, 6, 5, 4))
    assert F.conv2d(X[:0], W, B, out=out) is out


def read_only():
    array = blank()
    array.flags.writeable = False
    return array


BAD = {
    "list": (lambda: Y.tolist(), DtypeError, "expected a numpy.ndarray, got list"),
    "matrix": (lambda: np.zeros((2, 2)).view(np.matrix), DtypeError, "got matrix"),
    "masked": (lambda: np.ma.zeros(Y.shape), DtypeError, "got MaskedArray"),
    "float32": (lambda: blank(dtype="f4"), DtypeError, "expected dtype float64, got float32"),
    "swapped": (lambda: blank(dtype=">f8"), DtypeError, "expected dtype float64, got >f8"),
    "shape": (lambda: blank((2, 6, 5, 5)), ShapeError, r"\(2, 6, 5, 4\).*got \(2, 6, 5, 5\)"),
    "unbatched": (lambda: blank(Y.shape[1:]), ShapeError, r"\(2, 6, 5, 4\)"),
    "broadcastable": (lambda: blank((3, *Y.shape)), ShapeError, r"\(3, 2, 6, 5, 4\)"),
    "read-only": (read_only, ParameterError, "read-only"),
}


@CALL
@pytest.mark.parametrize("case", BAD)
def test_what_cannot_hold_the_result_is_refused_and_left_alone(call, case, plans):
    make, error, words = BAD[case]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # np.matrix
        out = make()
    before = np.array(out, copy=True)
    with pytest.raises(error, match=rf"^out: .*{words}"):
        call(X, out)
    assert plans == []
    np.testing.assert_array_equal(np.asarray(out), before)


@pytest.mark.parametrize("name", ["input", "weight", "bias"])
def test_memory_that_is_still_read_is_refused(name, plans):
    x, w, b = ints(1, 2, 4, 4), ints(2, 2, 1, 1), np.zeros(2)
    arrays = {"input": x, "weight": w, "bias": b}
    shared = np.zeros(64)
    arrays[name] = shared[: arrays[name].size].reshape(arrays[name].shape)
    out = shared[1:33].reshape(1, 2, 4, 4)
    with pytest.raises(ParameterError, match=f"^out: shares memory with {name}"):
        F.conv2d(*arrays.values(), out=out)
    assert plans == []
    assert not shared.any()


def test_neighbours_in_memory_are_no_overlap():
    both = np.zeros((1, 2, 4, 8))
    both[..., 1::2] = ints(1, 2, 4, 4)
    x, out = both[..., 1::2], both[..., ::2]
    w = ints(2, 2, 1, 1)
    expected = F.conv2d(x.copy(), w)
    F.conv2d(x, w, out=out)
    same(np.array(out), expected)
    F.prepare_conv(w)(x, out=out)
    same(np.array(out), expected)


def test_prepared_refuses_its_input():
    x = ints(1, 2, 4, 4)
    before = x.copy()
    with pytest.raises(ParameterError, match=r"^out: shares memory with input"):
        F.prepare_conv(ints(2, 2, 1, 1))(x, out=x)
    same(x, before)


@pytest.mark.parametrize(
    "call",
    [
        lambda out: F.conv2d(X, W[:, :3], B, out=out),
        lambda out: F.conv2d(X, W, B[:3], out=out),
        lambda out: F.conv2d(X, W, B, padding="full", out=out),
        lambda out: F.conv2d(X, W, B, algorithm="pointwise", out=out),
        lambda out: F.prepare_conv(W, B)(X[:, :3], out=out),
    ],
)
def test_out_is_as_it_was_when_a_call_fails(call):
    out = blank()
    with pytest.raises(F.FastconvError):
        call(out)
    same(out, blank())


@pytest.mark.parametrize(
    "name", [name for name in EXACT_NAMES if name not in ("pooling", "columns")]
)
def test_algorithm_forces_one(name, plans):
    x, w = ints(1, 2, 5, 5), ints(3, 2, 1, 1)
    expected = F.conv2d(x, w)
    try:
        same(F.conv2d(x, w, algorithm=name), expected)
    except PlanError:
        pytest.skip("refuses")
    assert plans[-1].algorithm == name
    assert F.plan.current_settings().algorithm is None


def test_algorithm_wins_over_the_settings(plans):
    with F.settings(algorithm="naive", max_scratch_bytes=2**20):
        F.conv2d(X, W, algorithm="im2col_gemm")
    assert plans[-1].algorithm == "im2col_gemm"
    assert plans[-1].max_scratch_bytes == 2**20


def test_algorithm_that_refuses_says_why():
    with pytest.raises(PlanError, match=r"'pointwise' refuses .*tap"):
        F.conv2d(X, W, algorithm="pointwise")
    with pytest.raises(PlanError, match=r"'pointwise' refuses"):
        F.explain("conv2d", X, W, algorithm="pointwise")


@pytest.mark.parametrize("name", ["fastest", 3, "", ["naive"]])
@pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
def test_unknown_algorithms(module, name):
    with pytest.raises(ParameterError, match=r"^algorithm: expected one of"):
        module.conv2d(X, W, algorithm=name)


def test_explain_knows_algorithm_and_out():
    plan = F.explain("conv2d", X, W, algorithm="naive", out=None)
    assert plan.algorithm == "naive"


def test_the_reference_stays_naive(plans):
    reference.conv2d(X, W, algorithm="im2col_gemm")
    assert plans[-1].algorithm == "naive"


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_they_are_keyword_only(rank):
    with pytest.raises(TypeError, match="positional"):
        getattr(F, f"conv{rank}d")(X, W, None, 1, 0, 1, 1, "relu")
