"""Calls that are remembered: the same results, and the same refusals, as at the first time."""

import numpy as np
import pytest

import fastconv as F
from fastconv import ParameterError, ShapeError, settings
from fastconv.ops import repeated
from tests.helpers import ints, same


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch):
    monkeypatch.setattr(repeated, "_plans", {})


def arrays(dtype=np.float32):
    return ints(2, 3, 9, 8, dtype=dtype), ints(4, 3, 3, 3, dtype=dtype), ints(4, dtype=dtype)


@pytest.mark.parametrize("place", [{}, {"stride": 2}, {"stride": (2, 1), "padding": ((1, 0), 2)}])
@pytest.mark.parametrize("with_bias", [False, True])
def test_the_second_call_gives_what_the_first_did(place, with_bias):
    x, w, b = arrays()
    bias = b if with_bias else None
    first = F.conv2d(x, w, bias, **place)
    assert len(repeated._plans) == 1
    same(F.conv2d(x, w, bias, **place), first)
    assert len(repeated._plans) == 1
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
    assert len(repeated._plans) >= 4


@pytest.mark.parametrize("stride", [True, 1.0, "1", None, (1, True), [1.5, 1]])
def test_what_equals_a_known_argument_is_still_refused(stride):
    x, w, _ = arrays()
    F.conv2d(x, w, stride=1)
    F.conv2d(x, w, stride=(1, 1))
    with pytest.raises((ParameterError, ShapeError)):
        F.conv2d(x, w, stride=stride)


def test_settings_are_part_of_a_call():
    x, w, _ = arrays()
    F.conv2d(x, w)
    with settings(algorithm="im2col_gemm"):
        F.conv2d(x, w)
    assert {plan.algorithm for plan in repeated._plans.values()} >= {"im2col_gemm"}
    assert len(repeated._plans) == 2


def test_converted_arrays_are_not_remembered():
    x, w, _ = arrays()
    expected = F.conv2d(x, w)
    repeated._plans.clear()
    for _ in range(2):
        same(F.conv2d(x.astype(">f4"), w), expected)
        same(F.conv2d(x.tolist(), w.astype(np.float64)), expected.astype(np.float64))
    assert not repeated._plans


def test_the_number_of_calls_is_limited(monkeypatch):
    monkeypatch.setattr(repeated, "MOST_CALLS", 3)
    w = np.ones((1, 1, 2), np.float32)
    for length in range(2, 20):
        F.conv1d(np.ones((1, 1, length), np.float32), w)
        assert len(repeated._plans) <= 3
