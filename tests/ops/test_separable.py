import numpy as np
import pytest

import fastconv as F
from fastconv import ParameterError, ShapeError, reference
from tests.helpers import ints, same
from tests.ops.test_conv import CONV, DTYPES, RANKS, SIZES

SEPARABLE = {1: F.separable_conv1d, 2: F.separable_conv2d, 3: F.separable_conv3d}


def arrays(rank, dtype=np.float64, multiplier=2):
    x = ints(2, 3, *SIZES[rank], dtype=dtype, seed=1)
    depthwise = ints(3 * multiplier, 1, *(3, 2, 2)[:rank], dtype=dtype, seed=2)
    pointwise = ints(5, 3 * multiplier, *(1,) * rank, dtype=dtype, seed=3)
    return x, depthwise, pointwise, ints(5, dtype=dtype, seed=4)


@RANKS
@DTYPES
@pytest.mark.parametrize("multiplier", [1, 2, 3])
@pytest.mark.parametrize(
    ("place", "mode"),
    [((1, 0, 1), "zeros"), ((2, 1, 1), "zeros"), ((1, "same", 2), "zeros"), ((2, 1, 1), "reflect")],
    ids=str,
)
def test_it_is_two_convolutions(rank, dtype, multiplier, place, mode):
    x, d, p, b = arrays(rank, dtype, multiplier)
    between = CONV[rank](x, d, None, *place, 3, padding_mode=mode)
    for bias in (None, b):
        y = SEPARABLE[rank](x, d, p, bias, *place, padding_mode=mode)
        same(y, CONV[rank](between, p, bias))
        slow = getattr(reference, f"separable_conv{rank}d")
        same(slow(x, d, p, bias, *place, padding_mode=mode), y)


@RANKS
def test_kernels_of_a_channel_lie_side_by_side(rank):
    x, d, _, _ = arrays(rank)
    each = np.eye(6)
    y = SEPARABLE[rank](x, d, each)
    for output in range(6):
        channel = slice(output // 2, output // 2 + 1)
        same(y[:, output : output + 1], CONV[rank](x[:, channel], d[output : output + 1]))


@RANKS
def test_a_pointwise_weight_needs_no_spatial_sizes(rank):
    x, d, p, b = arrays(rank)
    same(SEPARABLE[rank](x, d, p.reshape(5, 6), b), SEPARABLE[rank](x, d, p, b))


@RANKS
@pytest.mark.parametrize("batched", [True, False], ids=["batched", "unbatched"])
def test_channels_last(rank, batched):
    x, d, p, b = arrays(rank)
    sample = slice(None) if batched else 0
    y = SEPARABLE[rank](x, d, p, b, 2, 1, activation="relu")
    last = np.moveaxis(x, 1, -1)[sample]
    how = {"activation": "relu", "layout": "channels_last"}
    same(SEPARABLE[rank](last, d, p, b, 2, 1, **how), np.moveaxis(y, 1, -1)[sample])
    same(SEPARABLE[rank](x[sample], d, p, b, 2, 1, activation="relu"), y[sample])


@RANKS
def test_little_memory_takes_a_sample_at_a_time(rank, plans):
    x, d, p, b = arrays(rank)
    y = SEPARABLE[rank](x, d, p, b)
    assert len(plans) == 2
    with F.settings(max_scratch_bytes=512):
        same(SEPARABLE[rank](x, d, p, b), y)
    assert len(plans) == 6


def test_no_batch():
    x, d, p, b = arrays(2)
    same(F.separable_conv2d(x[:0], d, p, b), F.separable_conv2d(x, d, p, b)[:0])


def test_the_plan_has_two_steps():
    plan = F.explain("separable_conv2d", (1, 8, 9, 9), (16, 1, 3, 3), (4, 16))
    assert plan.before.problem.conv.groups == 8
    assert plan.problem.conv.taps == 1
    lines = str(plan).splitlines()
    assert lines[0] == f"problem    {plan.before.problem}"
    assert lines[lines.index("and then") + 1] == f"problem    {plan.problem}"


def test_dtypes_are_promoted_first():
    x, d, p, b = arrays(1, np.float32)
    assert F.separable_conv1d(x, d, p, b).dtype == np.float32
    assert F.separable_conv1d(x, d, p.astype(np.float64)).dtype == np.float64


X, D, P, B = arrays(2)
REFUSED = {
    "rank": (lambda F: F.separable_conv2d(X[0, 0], D, P), ShapeError, "input: expected shape"),
    "depthwise-rank": (lambda F: F.separable_conv2d(X, D[0], P), ShapeError, "weight: expected 4"),
    "depthwise-channels": (
        lambda F: F.separable_conv2d(X, ints(6, 2, 3, 3), P),
        ShapeError,
        r"depthwise_weight: expected \(C_in \* multiplier, 1, \*kernel\).*\(6, 2, 3, 3\)",
    ),
    "depthwise-multiple": (
        lambda F: F.separable_conv2d(X, D[:5], P),
        ShapeError,
        "depthwise_weight: expected a multiple of the input's 3 channels",
    ),
    "pointwise": (
        lambda F: F.separable_conv2d(X, D, P[:, :5]),
        ShapeError,
        r"pointwise_weight: expected \(C_out, 6\).*got \(5, 5, 1, 1\)",
    ),
    "pointwise-taps": (
        lambda F: F.separable_conv2d(X, D, ints(5, 6, 1, 2)),
        ShapeError,
        "pointwise_weight: expected",
    ),
    "pointwise-scalar": (
        lambda F: F.separable_conv2d(X, D, 3.0),
        ShapeError,
        "pointwise_weight: expected",
    ),
    "bias": (lambda F: F.separable_conv2d(X, D, P, ints(6)), ShapeError, "bias: expected shape"),
    "kernel": (
        lambda F: F.separable_conv2d(X, ints(6, 1, 9, 1), P),
        ShapeError,
        "kernel_size: .*9 elements",
    ),
    "empty": (
        lambda F: F.separable_conv2d(X[:, :0], D[:0], P),
        ShapeError,
        "must be|at least 1|mult",
    ),
    "stride": (lambda F: F.separable_conv2d(X, D, P, stride=0), ParameterError, "stride: "),
    "padding": (lambda F: F.separable_conv2d(X, D, P, padding="full"), ParameterError, "padding: "),
    "dilation": (lambda F: F.separable_conv2d(X, D, P, dilation=1.5), ParameterError, "dilation: "),
    "mode": (
        lambda F: F.separable_conv2d(X, D, P, padding_mode="wrap"),
        ParameterError,
        "padding_mode: ",
    ),
    "layout": (lambda F: F.separable_conv2d(X, D, P, layout="NHWC"), ParameterError, "layout: "),
    "activation": (
        lambda F: F.separable_conv2d(X, D, P, activation="gelu"),
        ParameterError,
        "activation: ",
    ),
}


@pytest.mark.parametrize(("call", "error", "words"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
def test_what_is_refused(call, error, words, module, plans):
    with pytest.raises(error, match=words):
        call(module)
    assert plans == []
