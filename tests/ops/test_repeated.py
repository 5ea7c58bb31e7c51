"""Calls that are remembered: the same results, and the same refusals, as at the first time."""

import numpy as np
import pytest

import fastconv as F
from fastconv import ParameterError, ShapeError, settings
from fastconv.ops import repeated
from tests.helpers import ints, same


@pytest.fixture(autouse=True)
def _nothing_known():
    repeated._known.clear()


def arrays(dtype=np.float32):
    return ints(2, 3, 9, 8, dtype=dtype), ints(4, 3, 3, 3, dtype=dtype), ints(4, dtype=dtype)


X, W, GY = ints(2, 3, 6, 5), ints(4, 3, 3, 3), ints(2, 4, 4, 3)
INDICES = F.max_pool2d(X, 2, return_indices=True)[1]
COLUMNS = ints(2, 12, 20)
CALLS = {
    "conv2d": (lambda x, w: F.conv2d(x, w, padding=(1, 0)), (X, W)),
    "conv2d_input": (lambda w, gy: F.conv2d_input(X.shape, w, gy), (W, GY)),
    "conv2d_weight": (lambda x, gy: F.conv2d_weight(x, W.shape, gy), (X, GY)),
    "conv2d_bias": (F.conv2d_bias, (GY,)),
    "conv_transpose2d": (lambda gy, w: F.conv_transpose2d(gy, w, stride=2), (GY, W)),
    "conv_transpose2d_input": (
        lambda w, x: F.conv_transpose2d_input(GY.shape, w, x),
        (W, X),
    ),
    "conv_transpose2d_weight": (
        lambda gy, x: F.conv_transpose2d_weight(gy, W.shape, x),
        (GY, X),
    ),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), (X,)),
    "with indices": (lambda x: F.max_pool2d(x, 2, return_indices=True)[1], (X,)),
    "max_pool2d_backward": (
        lambda gy: F.max_pool2d_backward(gy, INDICES, X.shape),
        (ints(*INDICES.shape),),
    ),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 2, stride=1), (X,)),
    "avg_pool2d_backward": (
        lambda gy: F.avg_pool2d_backward(gy, X.shape, 2),
        (ints(*INDICES.shape),),
    ),
    "unfold": (lambda x: F.unfold(x, (2, 2)), (X,)),
    "fold": (lambda c: F.fold(c, (6, 5), 2), (COLUMNS,)),
    "im2col": (lambda x: F.im2col(x, 2, padding=1, pad_value=7), (X,)),
    "col2im": (lambda c: F.col2im(c, (6, 5), 2), (COLUMNS,)),
}


WITHOUT_ORDER = [name for name in CALLS if name not in ("max_pool2d", "with indices")]


@pytest.mark.parametrize(
    ("dtype", "name"),
    [(dtype, name) for dtype in (np.float32, np.int16) for name in CALLS]
    + [(np.complex64, name) for name in WITHOUT_ORDER],
)
def test_a_known_call_reads_its_arrays_anew(dtype, name):
    call, given = CALLS[name]
    given = tuple(array.astype(dtype) for array in given)
    others = tuple(array[::-1].copy() + dtype(2) for array in given)
    first, second = call(*given), call(*others)
    assert len(repeated._known) == 1
    same(call(*given), first)
    same(call(*others), second)
    assert not np.array_equal(first, second)
    repeated._known.clear()
    same(call(*others), second)


@pytest.mark.parametrize("place", [{}, {"stride": 2}, {"stride": (2, 1), "padding": ((1, 0), 2)}])
@pytest.mark.parametrize("with_bias", [False, True])
def test_the_second_call_gives_what_the_first_did(place, with_bias):
    x, w, b = arrays()
    bias = b if with_bias else None
    first = F.conv2d(x, w, bias, **place)
    same(F.conv2d(x, w, bias, **place), first)
    assert len(repeated._known) == 1
    same(F.conv2d(2 * x, w, None if bias is None else 2 * bias, **place), 2 * first)
    same(F.conv2d(x[0], w, bias, **place), first[0])
    same(F.conv2d(x[0], w, bias, **place), first[0])


def test_other_arrays_are_another_call():
    x, w, _ = arrays()
    results = [
        F.conv2d(*each)
        for each in (
            (x, w),
            (x[:1], w),
            (x.astype(np.float64), w),
            (x, w[:2]),
            (x, w, x[0, 0, 0, :4]),
        )
    ]
    assert len({(r.shape, r.dtype) for r in results}) == 4
    assert len(repeated._known) >= 4


FLOATS = {
    "affine": (lambda x, b: F.affine(x, None, b, activation="relu"), (X, ints(3))),
    "activation_backward": (lambda gy, y: F.activation_backward(gy, y, "tanh"), (X, 2 * X)),
    "batch_norm": (
        lambda x, m, v, w, b: F.batch_norm(x, m, v * v, w, b, residual=x + 1),
        (X, *(ints(3, seed=seed) for seed in range(4))),
    ),
    "softmax": (lambda x: F.softmax(x, 1), (X,)),
    "log_softmax": (lambda x: F.log_softmax(x, -1), (X,)),
    "softmax_backward": (lambda gy, y: F.softmax_backward(gy, y, 2), (X, X + 1)),
}


@pytest.mark.parametrize("name", FLOATS)
def test_a_known_call_element_by_element_takes_any_strides(name):
    call, given = FLOATS[name]
    given = tuple(array.astype(np.float32) for array in given)
    others = tuple(np.asfortranarray(3 * array[::-1]) for array in given)
    call(*given)
    assert len(repeated._known) == 1
    got = call(*others)
    repeated._known.clear()
    same(got, call(*(array.copy(order="C") for array in others)))


def test_one_sample_is_not_a_batch_of_one():
    for _ in range(2):
        assert F.unfold(X[0], 2).shape == (12, 20)
        assert F.unfold(X[:1], 2).shape == (1, 12, 20)
        assert F.fold(COLUMNS[0], (6, 5), 2).shape == (3, 6, 5)
        assert F.max_pool2d(X[0], 2).shape == (3, 3, 2)
        assert F.conv2d_weight(X[0], W.shape, GY[0]).shape == W.shape


@pytest.mark.parametrize("stride", [True, 1.0, "1", None, (1, True), [1.5, 1], np.True_])
def test_what_equals_a_known_argument_is_still_refused(stride):
    x, w, _ = arrays()
    for known in (1, (1, 1)):
        F.conv2d(x, w, stride=known)
        F.unfold(x, 2, stride=known)
    with pytest.raises((ParameterError, ShapeError)):
        F.conv2d(x, w, stride=stride)
    with pytest.raises((ParameterError, ShapeError)):
        F.unfold(x, 2, stride=stride)


def test_a_pad_value_of_minus_zero_is_not_zero():
    x = np.ones((1, 1, 1), np.float32)
    signs = [np.signbit(F.im2col(x, 1, padding=1, pad_value=v)[0, 0, 0]) for v in (0.0, -0.0, 0.0)]
    assert signs == [False, True, False]


def test_indices_are_checked_at_every_call():
    gy = np.ones((1, 1, 2), np.float32)
    F.max_pool1d_backward(gy, np.array([[[0, 1]]]), (1, 1, 2))
    with pytest.raises(ParameterError, match="indices: expected places in"):
        F.max_pool1d_backward(gy, np.array([[[0, 2]]]), (1, 1, 2))


def test_sums_of_integers_are_checked_at_every_call():
    x, w = np.ones((1, 1, 4), np.int64), np.ones((1, 1, 2), np.int64)
    F.conv1d(x, w)
    with pytest.raises(F.AccumulatorError):
        F.conv1d(x * 2**62, w)


def test_settings_are_part_of_a_call():
    x, w, _ = arrays()
    F.conv2d(x, w)
    with settings(algorithm="im2col_gemm"):
        F.conv2d(x, w)
    assert len(repeated._known) == 2
    with settings(algorithm="im2col_gemm"):
        F.conv2d(x, w)
    assert len(repeated._known) == 2
    with settings(algorithm="winograd_4"), pytest.raises(F.PlanError):
        F.conv2d(x, w, stride=2)


def test_what_is_measured_changes_known_calls():
    F.unfold(X, 2)
    F.forget_tuned()
    assert not repeated._known


def test_converted_arrays_are_not_remembered():
    x, w, _ = arrays()
    expected = F.conv2d(x, w)
    repeated._known.clear()
    for _ in range(2):
        same(F.conv2d(x.astype(">f4"), w), expected)
        same(F.conv2d(x.tolist(), w.astype(np.float64)), expected.astype(np.float64))
    assert not repeated._known


def test_the_number_of_calls_is_limited(monkeypatch):
    monkeypatch.setattr(repeated, "MOST_CALLS", 3)
    w = np.ones((1, 1, 2), np.float32)
    for length in range(2, 20):
        F.conv1d(np.ones((1, 1, length), np.float32), w)
        assert len(repeated._known) <= 3
