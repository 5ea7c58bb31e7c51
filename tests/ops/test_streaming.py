"""A signal in blocks gives, bit for bit, what it gives at once."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv as F
from fastconv import ParameterError, PlanError, ShapeError, reference
from fastconv.ops import streaming
from tests.helpers import BLOCKED, ints, python, same

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
STEADY = pytest.mark.parametrize("algorithm", streaming.STEADY)


def normal(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def in_blocks(x, w, b, cuts, *place, **how):
    """Feed the blocks between the cuts, one after the other."""
    ys, state = [], None
    for start, stop in itertools.pairwise((0, *sorted(cuts), x.shape[-1])):
        y, state = F.causal_conv1d(x[..., start:stop], w, b, *place, state=state, **how)
        ys.append(y)
    return np.concatenate(ys, -1), state


def bits(y):
    return y.shape, y.dtype, y.tobytes()


@STEADY
@DTYPES
@given(data=st.data())
def test_blocks_of_any_size_give_the_same_bits(algorithm, dtype, data):
    groups = data.draw(st.sampled_from([1, 1, 2, 3]))
    inputs = groups * data.draw(st.sampled_from([1, 2, 3, 9]))
    outputs = groups * data.draw(st.sampled_from([1, 2, 5, 17]))
    kernel, dilation = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 5))
    length = data.draw(st.integers(1, 90))
    cuts = data.draw(st.lists(st.integers(0, length), max_size=12))
    x = normal(data.draw(st.integers(1, 2)), inputs, length, dtype=dtype, seed=1)
    w = normal(outputs, inputs // groups, kernel, dtype=dtype, seed=2)
    b = data.draw(st.sampled_from([None, normal(outputs, dtype=dtype, seed=3)]))
    activation = data.draw(st.sampled_from([None, "relu", "leaky_relu"]))
    place, how = (dilation, groups), {"activation": activation}
    with F.settings(algorithm=algorithm):
        whole, end = F.causal_conv1d(x, w, b, *place, **how)
        parts, state = in_blocks(x, w, b, cuts, *place, **how)
        ones, last = in_blocks(x, w, b, range(1, length), *place, **how)
    assert bits(whole) == bits(parts) == bits(ones)
    assert bits(end) == bits(state) == bits(last)
    padded = F.conv1d(x, w, b, 1, ((dilation * (kernel - 1), 0),), *place, **how)
    tolerance = 64 * np.finfo(dtype).eps * w[0].size
    np.testing.assert_allclose(whole, padded, tolerance, tolerance)


@DTYPES
@pytest.mark.parametrize("threads", [1, 3])
def test_long_signals_and_many_channels(dtype, threads):
    """Longer than a chunk, sums longer than are kept in one register, several panels of weights."""
    length = streaming.CHUNK + 1009
    x = normal(1, 70, length, dtype=dtype)
    w, b = normal(33, 70, 5, dtype=dtype), normal(33, dtype=dtype)
    with F.settings(threads=threads):
        whole, _ = F.causal_conv1d(x, w, b, 3)
        for cuts in ((1, 2, 5), (700, 701, length - 1), (streaming.CHUNK - 1, streaming.CHUNK + 3)):
            assert bits(in_blocks(x, w, b, cuts, 3)[0]) == bits(whole)


@DTYPES
def test_the_bits_do_not_depend_on_the_batch_or_the_threads(dtype):
    x, w = normal(5, 8, 3000, dtype=dtype), normal(16, 8, 7, dtype=dtype)
    whole, _ = F.causal_conv1d(x, w)
    for sample in range(5):
        with F.settings(threads=1 + sample % 3):
            y, _ = F.causal_conv1d(x[sample], w)
        assert bits(y) == bits(whole[sample])


@DTYPES
@pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
def test_it_is_the_padded_convolution(dtype, module):
    x, w, b = ints(2, 4, 11, dtype=dtype), ints(6, 2, 3, dtype=dtype), ints(6, dtype=dtype)
    y, state = module.causal_conv1d(x, w, b, 2, 2)
    same(y, F.conv1d(x, w, b, 1, ((4, 0),), 2, 2))
    same(state, x[:, :, -4:])
    state[...] = 0
    assert x[:, :, -4:].any()


def test_the_state_comes_before_the_input():
    x, w = ints(2, 3, 20), ints(4, 3, 5)
    y, state = F.causal_conv1d(x[:, :, 10:], w, state=x[:, :, 6:10])
    same(y, F.conv1d(x, w)[:, :, 6:])
    same(state, x[:, :, -4:])


def test_a_block_shorter_than_the_reach_keeps_what_is_older():
    x, w = ints(1, 1, 3), ints(1, 1, 6)
    _, state = F.causal_conv1d(x, w)
    same(state, np.concatenate([np.zeros((1, 1, 2)), x], -1))


def test_unbatched():
    x, w, b = ints(3, 9), ints(2, 3, 4), ints(2)
    y, state = F.causal_conv1d(x, w, b)
    batched, states = F.causal_conv1d(x[None], w, b)
    same(y, batched[0])
    same(state, states[0])
    same(
        F.causal_conv1d(x, w, b, state=state)[0], F.causal_conv1d(x[None], w, b, state=states)[0][0]
    )


@pytest.mark.parametrize("batched", [True, False], ids=["batched", "unbatched"])
def test_channels_last(batched):
    x, w, b = ints(2, 4, 9), ints(6, 2, 3), ints(6)
    y, state = F.causal_conv1d(x, w, b, 2, 2)
    sample = slice(None) if batched else 0
    lx, ly, ls = (np.moveaxis(a, 1, 2)[sample] for a in (x, y, state))
    parts = []
    for start, stop in ((0, 1), (1, 9)):
        before = {"state": parts[-1][1]} if parts else {}
        block = lx[..., start:stop, :]
        parts.append(F.causal_conv1d(block, w, b, 2, 2, layout="channels_last", **before))
    same(np.concatenate([part[0] for part in parts], -2), ly)
    same(parts[-1][1], ls)


def test_nothing_more_changes_nothing():
    x, w = ints(2, 3, 5), ints(4, 3, 3)
    _, state = F.causal_conv1d(x, w)
    y, after = F.causal_conv1d(x[:, :, :0], w, state=state)
    assert y.shape == (2, 4, 0)
    same(after, state)


def test_a_kernel_of_one_tap_has_no_state():
    x, w = ints(2, 3, 5), ints(4, 3, 1)
    y, state = F.causal_conv1d(x, w)
    same(y, F.conv1d(x, w))
    assert state.shape == (2, 3, 0)
    same(F.causal_conv1d(x, w, state=state)[0], y)


def test_no_batch():
    y, state = F.causal_conv1d(ints(0, 3, 5), ints(4, 3, 3))
    assert (y.shape, state.shape) == ((0, 4, 5), (0, 3, 2))


def test_dtypes_are_promoted_first():
    x, w = np.ones((1, 1, 3), np.float32), np.ones((1, 1, 2), np.float32)
    assert [a.dtype for a in F.causal_conv1d(x, w)] == [np.float32] * 2
    assert [a.dtype for a in F.causal_conv1d(x, w, state=np.ones((1, 1, 1)))] == [np.float64] * 2


@STEADY
def test_an_algorithm_may_be_forced(algorithm, plans):
    with F.settings(algorithm=algorithm):
        F.causal_conv1d(ints(1, 2, 9), ints(3, 2, 4))
    assert {plan.algorithm for plan in plans} == {algorithm}


def test_an_algorithm_that_promises_nothing_is_refused(plans):
    with F.settings(algorithm="im2col_gemm"), pytest.raises(PlanError, match="the same bits"):
        F.causal_conv1d(ints(1, 2, 9), ints(3, 2, 4))
    assert plans == []


@pytest.mark.parametrize("length", [1, 2, 500])
def test_the_algorithm_does_not_depend_on_the_block(length, plans):
    """Not even where scratch memory is too short for the longest."""
    x, w = ints(1, 8, length), ints(64, 8, 9)
    F.causal_conv1d(x, w)
    with F.settings(max_scratch_bytes=8192):
        F.causal_conv1d(x, w)
    assert [plan.algorithm for plan in plans] == ["implicit_gemm", "tapwise"]


def test_without_numba_too():
    code = """
random = np.random.default_rng(0)
x, w = random.standard_normal((1, 2, 50)), random.standard_normal((3, 2, 4))
whole = F.causal_conv1d(x, w)[0]
first, state = F.causal_conv1d(x[:, :, :7], w)
print((np.concatenate([first, F.causal_conv1d(x[:, :, 7:], w, state=state)[0]], -1) == whole).all())
print(F.explain("causal_conv1d", x, w).algorithm)
"""
    assert python(BLOCKED + code).split() == ["True", "tapwise"]


X, W = ints(2, 4, 9), ints(6, 4, 3)
REFUSED = {
    "rank": (
        lambda: F.causal_conv1d(ints(1, 2, 3, 4), W),
        ShapeError,
        r"input: expected .*\(N, C, W",
    ),
    "scalar": (lambda: F.causal_conv1d(3.0, W), ShapeError, "input: expected"),
    "weight": (lambda: F.causal_conv1d(X, W[0]), ShapeError, "weight: expected 3 dimensions"),
    "taps": (lambda: F.causal_conv1d(X, W[:, :, :0]), ShapeError, "weight: every dimension"),
    "channels": (lambda: F.causal_conv1d(X, W[:, :3]), ShapeError, "weight: .*3 channels"),
    "groups": (lambda: F.causal_conv1d(X, W, groups=3), ShapeError, "groups: 3 must divide"),
    "bias": (lambda: F.causal_conv1d(X, W, ints(5)), ShapeError, r"bias: expected shape \(6,\)"),
    "state": (
        lambda: F.causal_conv1d(X, W, state=ints(2, 4, 3)),
        ShapeError,
        r"state: expected shape \(2, 4, 2\).*got \(2, 4, 3\)",
    ),
    "state-unbatched": (
        lambda: F.causal_conv1d(X, W, state=ints(4, 2)),
        ShapeError,
        r"state: expected shape \(2, 4, 2\).*got \(4, 2\)",
    ),
    "dilation": (lambda: F.causal_conv1d(X, W, dilation=0), ParameterError, "dilation: expected"),
    "dilation-huge": (lambda: F.causal_conv1d(X, W, dilation=2**40), ShapeError, "more than"),
    "layout": (lambda: F.causal_conv1d(X, W, layout="NWC"), ParameterError, "layout: expected"),
    "activation": (
        lambda: F.causal_conv1d(X, W, activation="x"),
        ParameterError,
        "activation: expected",
    ),
}


@pytest.mark.parametrize(("call", "error", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(call, error, words, plans):
    with pytest.raises(error, match=words):
        call()
    assert plans == []
