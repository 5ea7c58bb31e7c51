"""Odd arrays and odd values: what works, works as on plain copies; nothing changes its inputs."""

import warnings

import numpy as np
import pytest

import fastconv as F
from fastconv import DtypeError, reference
from tests.helpers import ints, same

# Each operation as a call on one float array (2, 4, 6, 6), whatever else it needs being fixed.
W, W_ONE, W_DEPTH = ints(6, 4, 3, 3, seed=2), ints(6, 4, 1, 1, seed=3), ints(4, 1, 3, 3, seed=4)
GY = ints(2, 6, 6, 6, seed=5)
PLACES = np.arange(2 * 4 * 36).reshape(2, 4, 6, 6) % 100 - 1
SAME, LAST = {"padding": 1}, {"layout": "channels_last"}
X8, POWERS = ints(2, 4, 18, 18, seed=6), 2.0 ** (PLACES % 3)
SAMPLES = np.linspace(0, 1, 16).reshape(2, 4, 2)
CALLS = {
    "conv2d-input": lambda m, x: m.conv2d(x, W, ints(6), **SAME),
    "conv2d-one-tap": lambda m, x: m.conv2d(x, W_ONE, ints(6)),
    "conv2d-depthwise": lambda m, x: m.conv2d(x, W_DEPTH, groups=4, **SAME),
    "conv2d-stride": lambda m, x: m.conv2d(x, W, stride=2, dilation=2, **SAME),
    "conv2d-weight": lambda m, x: m.conv2d(ints(1, 4, 9, 9), x),
    "conv2d-bias": lambda m, x: m.conv2d(ints(1, 4, 5, 5), W_ONE[:2], x[:, 1, 2, 3]),
    "conv2d_input-weight": lambda m, x: m.conv2d_input((1, 4, 9, 9), x, ints(1, 2, 4, 4)),
    "conv2d_input-grad": lambda m, x: m.conv2d_input((2, 3, 8, 8), ints(4, 3, 3, 3), x),
    "conv2d_input-one-tap": lambda m, x: m.conv2d_input((2, 3, 6, 6), ints(4, 3, 1, 1), x),
    "conv2d_input-depthwise": lambda m, x: m.conv2d_input((2, 4, 8, 8), W_DEPTH, x, groups=4),
    "conv2d_weight-input": lambda m, x: m.conv2d_weight(x, W.shape, GY, **SAME),
    "conv2d_weight-one-tap": lambda m, x: m.conv2d_weight(x, W_ONE.shape, GY),
    "conv2d_weight-grad": lambda m, x: m.conv2d_weight(ints(2, 3, 8, 8), (4, 3, 3, 3), x),
    "conv_transpose2d-input": lambda m, x: m.conv_transpose2d(
        x, GY[:2].reshape(4, 3, 6, 6), None, 2
    ),
    "conv_transpose2d-weight": lambda m, x: m.conv_transpose2d(ints(1, 2, 3, 3), x, ints(4)),
    "conv_transpose2d_input": lambda m, x: m.conv_transpose2d_input(
        (2, 3, 4, 4), ints(3, 4, 3, 3), x
    ),
    "conv_transpose2d_weight": lambda m, x: m.conv_transpose2d_weight(
        ints(2, 3, 4, 4), (3, 4, 3, 3), x
    ),
    "conv2d_input-last": lambda m, x: m.conv2d_input(
        (2, 6, 8, 4), ints(6, 4, 3, 3)[:, :4], x, **LAST
    ),
    "conv2d_weight-last": lambda m, x: m.conv2d_weight(x, (4, 6, 3, 3), ints(2, 2, 4, 4), **LAST),
    "causal_conv1d": lambda m, x: m.causal_conv1d(x[:, :, 0], W[:, :, 0], state=x[:, :, 1, :2]),
    "max_pool2d": lambda m, x: m.max_pool2d(x, 3, 2, 1, return_indices=True),
    "max_pool2d-values": lambda m, x: m.max_pool2d(x, 3, 2, 1),
    "max_pool2d_backward": lambda m, x: m.max_pool2d_backward(x, PLACES, (2, 4, 10, 10)),
    "max_pool2d-ignore": lambda m, x: m.max_pool2d(x, 3, 2, 1, return_indices=True, nan="ignore"),
    "min_pool2d": lambda m, x: m.min_pool2d(x, 3, 2, 1, return_indices=True),
    "lp_pool2d": lambda m, x: m.lp_pool2d(x, 2, 2, 1),
    "lp_pool2d-largest": lambda m, x: m.lp_pool2d(x, float("inf"), 3, 2, padding=1),
    "lp_pool2d_backward": lambda m, x: m.lp_pool2d_backward(x, X8, POWERS, 2, 3),
    "median_pool2d": lambda m, x: m.median_pool2d(x, 3, 2, 1),
    "adaptive_max_pool2d": lambda m, x: m.adaptive_max_pool2d(x, (4, 5), return_indices=True),
    "adaptive_avg_pool2d": lambda m, x: m.adaptive_avg_pool2d(x, (3, 1)),
    "adaptive_avg_pool2d_backward": lambda m, x: m.adaptive_avg_pool2d_backward(x, (2, 4, 12, 6)),
    "fractional_max_pool2d": lambda m, x: m.fractional_max_pool2d(
        x, 2, 3, return_indices=True, _random_samples=SAMPLES
    ),
    "max_unpool2d": lambda m, x: m.max_unpool2d(x, PLACES, 2),
    "max_unpool2d_backward": lambda m, x: m.max_unpool2d_backward(x, PLACES % 36, x.shape),
    "global_max_pool": lambda m, x: m.global_max_pool(x, return_indices=True),
    "avg_pool2d": lambda m, x: m.avg_pool2d(x, 3, 2, 1, True, False),
    "avg_pool2d_backward": lambda m, x: m.avg_pool2d_backward(x, (2, 4, 12, 12), 2),
    "im2col": lambda m, x: m.im2col(x, 3, 2, 1, pad_value=5),
    "im2col-no-padding": lambda m, x: m.im2col(x, 2),
    "unfold": lambda m, x: m.unfold(x, 3, 1, 1, 2),
    "col2im": lambda m, x: m.col2im(x.reshape(2, 4, 36), (6, 7), (1, 2)),
    "fold": lambda m, x: m.fold(x[:, :, 0], (2, 7), (2, 2)),
    "sliding_windows": lambda m, x: m.sliding_windows(x, 3, 2),
}
CALL = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
MODULE = pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])


def unaligned(x):
    raw = np.empty(x.nbytes + 1, np.uint8)
    odd = raw[1:].view(x.dtype).reshape(x.shape)
    odd[...] = x
    assert not odd.flags.aligned
    return odd


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def permuted(x):
    return np.ascontiguousarray(x.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)


ODD = {
    "fortran": np.asfortranarray,
    "reversed": lambda x: x[::-1, ::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1, ::-1],
    "permuted": permuted,
    "channels-last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "every-second": lambda x: np.repeat(np.repeat(x, 2, 3), 2, 1)[:, ::2, :, ::2],
    "read-only": read_only,
    "unaligned": unaligned,
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "broadcast-rows": lambda x: np.broadcast_to(x[:, :, :1], x.shape),
    "broadcast-batch": lambda x: np.broadcast_to(x[:1], x.shape),
    "broadcast-all": lambda x: np.broadcast_to(x[0, 0, 0, 0], x.shape),
    "subclass": lambda x: x.view(type("Subclass", (np.ndarray,), {})),
}


def results(result):
    return result if isinstance(result, tuple) else (result,)


@CALL
@MODULE
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_odd_arrays_give_what_plain_copies_give(call, module, odd):
    x = odd(ints(2, 4, 6, 6, seed=1))
    plain = np.array(x.astype(float), order="C")
    for got, expected in zip(results(call(module, x)), results(call(module, plain)), strict=True):
        assert type(got) is np.ndarray
        same(got, expected)


@CALL
@MODULE
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_inputs_are_never_modified(call, module, dtype):
    x = ints(2, 4, 6, 6, seed=1, dtype=dtype)
    before = [a.copy() for a in (x, W, W_ONE, W_DEPTH, GY, PLACES)]
    call(module, x)
    for array, copy in zip((x, W, W_ONE, W_DEPTH, GY, PLACES), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@CALL
def test_results_share_no_memory_with_inputs(call):
    x = ints(2, 4, 6, 6, seed=1)
    for result in results(call(F, x)):
        assert not np.shares_memory(result, x) or not result.flags.writeable


@CALL
@MODULE
def test_nan_and_infinity_raise_no_warning(call, module):
    x = ints(2, 4, 6, 6, seed=1)
    x[0, 1, 2, 3], x[0, 1, 2, 4], x[1, 2, 3, 4] = np.nan, np.inf, -np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(module, x)
        call(module, np.full_like(x, 1e308))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("algorithm", [None, "im2col_gemm", "naive"])
@pytest.mark.parametrize(
    ("kernel", "place"),
    [
        (3, {"padding": 1}),
        (3, {"stride": 2, "padding": ((2, 1), (0, 1))}),
        (2, {"dilation": 2}),
        (1, {}),
        (3, {"groups": 4, "padding": 1}),
        (3, {"groups": 2, "stride": 3}),
    ],
    ids=["plain", "stride", "dilation", "one-tap", "depthwise", "groups"],
)
def test_nonfinite_values_touch_exactly_the_outputs_whose_windows_hold_them(
    value, algorithm, kernel, place
):
    groups = place.get("groups", 1)
    w = np.ones((4, 4 // groups, kernel, kernel))
    x = ints(2, 4, 11, 12)
    x[1, 2, 5, 7] = value
    with F.settings(algorithm=algorithm):
        y = F.conv2d(x, w, **place)
        holds = F.conv2d((~np.isfinite(x)).astype(float), w, **place) > 0
    assert 0 < holds.sum() < holds.size
    same(~np.isfinite(y), holds)


@pytest.mark.parametrize("value", [np.nan, np.inf], ids=str)
@pytest.mark.parametrize("algorithm", [None, "im2col_gemm", "naive"])
@pytest.mark.parametrize("kernel", [1, 3])
def test_nonfinite_gradients_touch_exactly_what_they_reach(value, algorithm, kernel):
    w, x = np.ones((2, 2, kernel, kernel)), np.ones((2, 2, 9, 9))
    gy = ints(*F.conv2d(x, w).shape)
    gy[1, 1, 3, 4] = value
    bad = (~np.isfinite(gy)).astype(float)
    with F.settings(algorithm=algorithm):
        gx = F.conv2d_input(x.shape, w, gy)
        gw = F.conv2d_weight(x, w.shape, gy)
        same(~np.isfinite(gx), F.conv2d_input(x.shape, w, bad) > 0)
        same(~np.isfinite(gw), F.conv2d_weight(x, w.shape, bad) > 0)


@MODULE
def test_lists_and_scalars_are_arrays(module):
    nested = [[[1.0, 2.0, 4.0]]]
    same(module.conv1d(nested, [[[1.0, -1.0]]], [1.0]), np.array([[[0.0, -1.0]]]))
    same(module.max_pool1d(nested, 2, 1), np.array([[[2.0, 4.0]]]))
    same(module.im2col(nested, 2), np.array([[[1.0, 2.0], [2.0, 4.0]]]))
    same(module.max_pool1d_backward([[[3.0]]], [[[1]]], [1, 1, 2]), np.array([[[0.0, 3.0]]]))


def test_torch_tensors_are_arrays():
    torch = pytest.importorskip("torch")
    x, w = ints(1, 2, 5, 5), ints(3, 2, 3, 3)
    same(F.conv2d(torch.from_numpy(x), torch.from_numpy(w)), F.conv2d(x, w))


@pytest.mark.parametrize(
    "integer", [np.int8, np.uint16, np.int64, np.array], ids=lambda f: f.__name__
)
@MODULE
def test_numpy_integers_are_integers(module, integer):
    x, w = ints(1, 2, 8, 8), ints(4, 1, 2, 2)
    one, two = integer(1), integer(2)
    same(
        module.conv2d(x, w, None, two, (one, one), (two, one), two),
        module.conv2d(x, w, None, 2, 1, (2, 1), 2),
    )
    same(
        module.max_pool2d(x, two, one, ((one, one), (one, one))),
        module.max_pool2d(x, 2, 1, 1),
    )
    same(
        module.avg_pool2d(x, two, divisor_override=two),
        module.avg_pool2d(x, 2, None, 0, False, True, 2),
    )
    same(module.im2col(x, two, two, one, one), module.im2col(x, 2, 2, 1, 1))
    y = module.im2col(x, 2)
    same(module.col2im(y, np.array([8, 8]), two), module.col2im(y, (8, 8), 2))


def calls_on(value):
    """Every public operation with `value` in the place of each array in turn."""
    x, w, gy, places = ints(1, 1, 4), ints(1, 1, 2), ints(1, 1, 3), np.zeros((1, 1, 3), int)
    return {
        "conv1d-input": ("input", lambda: F.conv1d(value, w)),
        "conv1d-weight": ("weight", lambda: F.conv1d(x, value)),
        "conv1d-bias": ("bias", lambda: F.conv1d(x, w, value)),
        "conv1d_input-weight": ("weight", lambda: F.conv1d_input(x.shape, value, gy)),
        "conv1d_input-grad": ("grad_output", lambda: F.conv1d_input(x.shape, w, value)),
        "conv1d_weight-input": ("input", lambda: F.conv1d_weight(value, w.shape, gy)),
        "conv1d_weight-grad": ("grad_output", lambda: F.conv1d_weight(x, w.shape, value)),
        "max_pool1d": ("input", lambda: F.max_pool1d(value, 2)),
        "max_pool1d_backward": (
            "grad_output",
            lambda: F.max_pool1d_backward(value, places, x.shape),
        ),
        "max_pool1d_backward-indices": (
            "indices",
            lambda: F.max_pool1d_backward(gy, value, x.shape),
        ),
        "min_pool1d": ("input", lambda: F.min_pool1d(value, 2)),
        "lp_pool1d": ("input", lambda: F.lp_pool1d(value, 2, 2)),
        "lp_pool1d_backward": ("input", lambda: F.lp_pool1d_backward(gy, value, gy, 2, 2, 1)),
        "median_pool1d": ("input", lambda: F.median_pool1d(value, 2)),
        "adaptive_max_pool1d": ("input", lambda: F.adaptive_max_pool1d(value, 2)),
        "adaptive_avg_pool1d": ("input", lambda: F.adaptive_avg_pool1d(value, 2)),
        "adaptive_avg_pool1d_backward": (
            "grad_output",
            lambda: F.adaptive_avg_pool1d_backward(value, x.shape),
        ),
        "fractional_max_pool2d": ("input", lambda: F.fractional_max_pool2d(value, 1, 1)),
        "max_unpool1d": ("input", lambda: F.max_unpool1d(value, places, 2)),
        "max_unpool1d-indices": ("indices", lambda: F.max_unpool1d(gy, value, 2)),
        "max_unpool1d_backward": (
            "grad_output",
            lambda: F.max_unpool1d_backward(value, places, gy.shape),
        ),
        "global_max_pool": ("input", lambda: F.global_max_pool(value)),
        "avg_pool1d": ("input", lambda: F.avg_pool1d(value, 2)),
        "avg_pool1d_backward": ("grad_output", lambda: F.avg_pool1d_backward(value, x.shape, 2)),
        "im2col": ("input", lambda: F.im2col(value, 2)),
        "col2im": ("columns", lambda: F.col2im(value, 4, 2)),
        "unfold": ("input", lambda: F.unfold(value, (2,))),
        "fold": ("input", lambda: F.fold(value, (4,), 2)),
        "sliding_windows": ("input", lambda: F.sliding_windows(value, 2)),
    }


REFUSED = {
    "masked": np.ma.masked_array(np.ones((1, 1, 3))),
    "objects": np.ones((1, 1, 3), object),
    "None": None,
    "string": "ab",
    "strings": np.full((1, 1, 3), "a"),
    "records": np.zeros((1, 1, 3), [("a", "f8")]),
    "dates": np.zeros((1, 1, 3), "M8[s]"),
    "ragged": [[[1.0], [2.0, 3.0]]],
}


@pytest.mark.parametrize(
    ("kind", "call"), [(kind, call) for kind in REFUSED for call in calls_on(None)]
)
def test_arrays_without_a_plain_meaning_are_refused_by_name(kind, call):
    name, run = calls_on(REFUSED[kind])[call]
    if (kind, call) == ("None", "conv1d-bias"):
        run()  # no bias
        return
    with pytest.raises(DtypeError, match=rf"^{name}: "):
        run()


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("call", calls_on(None))
def test_matrices_are_refused_by_name(call):
    name, run = calls_on(np.matrix([[1.0, 2.0]]))[call]
    with pytest.raises(DtypeError, match=rf"^{name}: matrix"):
        run()


@pytest.mark.parametrize("dtype", ["longdouble", "clongdouble", "V8", "V2"])
@pytest.mark.parametrize(
    "call",
    [
        lambda x, w: F.conv1d(x, w),
        lambda x, w: F.conv1d(x, w, np.zeros(1, w.dtype)),
        lambda x, w: F.conv1d_input((1, 1, 5), w, x),
        lambda x, w: F.conv1d_weight(x, (1, 1, 3), w),
        lambda x, w: F.max_pool1d(x, 2),
        lambda x, w: F.avg_pool1d(x, 2),
        lambda x, w: F.im2col(x, 2),
        lambda x, w: F.fold(x, (5,), 1),
    ],
    ids=["conv", "bias", "conv_input", "conv_weight", "max_pool", "avg_pool", "im2col", "fold"],
)
def test_unsupported_dtypes_are_refused_with_those_supported(dtype, call):
    if np.dtype(dtype) in (np.float64, np.complex128):
        pytest.skip("long double is double here")
    with pytest.raises(DtypeError, match=f"{np.dtype(dtype)}.*float32, float64"):
        call(np.zeros((1, 1, 4), dtype), np.zeros((1, 1, 2), dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bool", "complex64"])
def test_indices_must_be_integers(dtype):
    with pytest.raises(DtypeError, match=r"^indices: expected integers"):
        F.max_pool1d_backward(np.zeros((1, 1, 2)), np.zeros((1, 1, 2), dtype), (1, 1, 4))


@pytest.mark.parametrize("name", ["conv1d", "max_pool1d", "avg_pool1d", "im2col"])
def test_extreme_values_survive(name):
    """Nothing is scaled or shifted on the way."""
    tiny, huge = np.finfo(float).smallest_subnormal, np.finfo(float).max
    x = np.array([[[tiny, huge, -huge, -tiny]]])
    second = (np.ones((1, 1, 1)),) if name == "conv1d" else (1,)
    same(getattr(F, name)(x, *second), x)
