"""Every mistake is refused before anything is computed, by parameter, with what came."""

import itertools
import tracemalloc

import numpy as np
import pytest

import fastconv as F
from fastconv import DtypeError, ParameterError, ShapeError, reference
from tests.helpers import ints

X1, X2, X3 = ints(1, 4, 9), ints(1, 4, 7, 6), ints(1, 4, 5, 5, 5)
W1, W2, W3 = ints(2, 4, 3), ints(2, 4, 3, 3), ints(2, 4, 3, 3, 3)
GY2 = ints(1, 2, 5, 4)
P2 = np.zeros((1, 4, 3, 3), int)
G2 = ints(1, 4, 3, 3)

SHAPES = {
    # convolution: ranks
    "conv1d-rank": (lambda F: F.conv1d(X2, W1), r"input: expected .*\(N, C, W\).*1, 4, 7, 6"),
    "conv2d-rank": (lambda F: F.conv2d(X1[0], W2), r"input: expected .*\(N, C, H, W\).*\(4, 9\)"),
    "conv3d-rank": (lambda F: F.conv3d(X1, W3), r"input: expected .*\(N, C, D, H, W\)"),
    "conv2d-scalar": (lambda F: F.conv2d(np.float64(3), W2), r"input: expected .*got \(\)"),
    "conv2d-weight-rank": (lambda F: F.conv2d(X2, W1), "weight: expected 4 dimensions.*2, 4, 3"),
    "conv2d-unbatched-weight": (lambda F: F.conv2d(X2, W2[0]), "weight: expected 4 dimensions"),
    # convolution: channels and groups
    "conv2d-channels": (lambda F: F.conv2d(X2, W2[:, :3]), "weight: .*3 channels.*1, 4, 7, 6"),
    "conv2d-groups-input": (lambda F: F.conv2d(X2, W2, groups=3), "groups: 3 .*4 channels"),
    "conv2d-groups-output": (
        lambda F: F.conv2d(X2, ints(3, 2, 3, 3), groups=2),
        "groups: 2 .*3 output channels",
    ),
    "conv2d-groups-channels": (lambda F: F.conv2d(X2, W2, groups=2), "weight: .*groups=2.*8"),
    "conv2d-bias": (lambda F: F.conv2d(X2, W2, ints(3)), r"bias: expected shape \(2,\).*\(3,\)"),
    "conv2d-bias-rank": (lambda F: F.conv2d(X2, W2, ints(2, 1)), r"bias: .*\(2,\).*\(2, 1\)"),
    "conv2d-bias-scalar": (lambda F: F.conv2d(X2, W2, 1.0), r"bias: .*\(2,\).*got \(\)"),
    "conv2d-weight-scalar": (lambda F: F.conv2d(X2, 1.0, ints(2)), "weight"),
    # convolution: sizes
    "conv2d-kernel": (lambda F: F.conv2d(X2, ints(2, 4, 3, 7)), "kernel_size: .*7 elements.* 6"),
    "conv2d-kernel-padded": (
        lambda F: F.conv2d(X2, ints(2, 4, 10, 1), padding=1),
        r"kernel_size: .*10 elements.* 7 elements, 9 with padding \(1, 1\)",
    ),
    "conv2d-dilated": (
        lambda F: F.conv2d(X2, W2, dilation=3),
        r"kernel_size: .*7 elements \(kernel 3, dilation 3\)",
    ),
    "conv2d-no-channels": (lambda F: F.conv2d(X2, W2[:, :0]), "weight: .*input of 0 channels"),
    "conv2d-no-rows": (lambda F: F.conv2d(X2[:, :, :0], W2), "input: .*at least 1.*1, 4, 0, 6"),
    "conv2d-no-filters": (lambda F: F.conv2d(X2, W2[:0]), "weight: .*at least 1.*0, 4, 3, 3"),
    "conv2d-no-taps": (lambda F: F.conv2d(X2, W2[:, :, :0]), "weight: .*at least 1"),
    # convolution gradients
    "conv2d_input-grad": (
        lambda F: F.conv2d_input(X2.shape, W2, GY2[:, :, 1:]),
        r"grad_output: expected shape \(1, 2, 5, 4\).*\(1, 2, 4, 4\)",
    ),
    "conv2d_input-batch": (lambda F: F.conv2d_input((2, 4, 7, 6), W2, GY2), "grad_output"),
    "conv2d_input-unbatched": (lambda F: F.conv2d_input((4, 7, 6), W2, GY2), "grad_output"),
    "conv2d_input-size": (lambda F: F.conv2d_input((7, 6), W2, GY2), "input"),
    "conv2d_input-channels": (lambda F: F.conv2d_input((1, 3, 7, 6), W2, GY2), "weight"),
    "conv2d_input-zero": (lambda F: F.conv2d_input((1, 4, 0, 6), W2, GY2), "input.*at least 1"),
    "conv2d_weight-grad": (
        lambda F: F.conv2d_weight(X2, W2.shape, GY2[:, :1]),
        r"grad_output: expected shape \(1, 2, 5, 4\).*\(1, 1, 5, 4\)",
    ),
    "conv2d_weight-size": (lambda F: F.conv2d_weight(X2, (2, 4, 3), GY2), "weight"),
    "conv2d_weight-zero": (lambda F: F.conv2d_weight(X2, (2, 4, 0, 3), GY2), "weight"),
    "conv2d_weight-channels": (lambda F: F.conv2d_weight(X2, (2, 5, 3, 3), GY2), "weight"),
    # pools
    "max_pool2d-rank": (lambda F: F.max_pool2d(X1[0], 2), r"input: expected .*\(4, 9\)"),
    "max_pool2d-kernel": (lambda F: F.max_pool2d(X2, 7), "kernel_size: .*dimension 1 of 6"),
    "max_pool2d-empty": (lambda F: F.max_pool2d(X2[:, :, :, :0], 2), "input: .*at least 1"),
    "avg_pool3d-rank": (lambda F: F.avg_pool3d(X1, 2), r"input: expected .*\(N, C, D, H, W\)"),
    "avg_pool3d-kernel": (lambda F: F.avg_pool3d(X3, (2, 6, 2)), "kernel_size: .*dimension 1"),
    "avg_pool2d_backward": (
        lambda F: F.avg_pool2d_backward(G2, (1, 4, 8, 8), 2),
        r"grad_output: expected shape \(1, 4, 4, 4\).*\(1, 4, 3, 3\)",
    ),
    "avg_pool2d_backward-size": (lambda F: F.avg_pool2d_backward(G2, (6, 6), 2), "input"),
    "max_pool2d_backward": (
        lambda F: F.max_pool2d_backward(G2, P2[:, :, 1:], (1, 4, 7, 6)),
        r"indices: expected shape \(1, 4, 3, 3\).*\(1, 4, 2, 3\)",
    ),
    "max_pool2d_backward-batch": (
        lambda F: F.max_pool2d_backward(G2, P2, (2, 4, 7, 6)),
        "grad_output: .*leading",
    ),
    "max_pool2d_backward-size": (lambda F: F.max_pool2d_backward(G2, P2, (7, 6)), "input_size"),
    "lp_pool2d_backward-output": (
        lambda F: F.lp_pool2d_backward(G2, X2[:, :, :6], G2[:, :, 1:], 2, 2),
        r"output: expected shape \(1, 4, 3, 3\).*\(1, 4, 2, 3\)",
    ),
    "adaptive_avg_pool2d_backward-channels": (
        lambda F: F.adaptive_avg_pool2d_backward(G2, (1, 3, 7, 6)),
        "grad_output: .*leading",
    ),
    "adaptive_max_pool2d-rank": (lambda F: F.adaptive_max_pool2d(X1[0], 2), "input: expected"),
    "fractional_max_pool2d-size": (
        lambda F: F.fractional_max_pool2d(X2, 3, (5, 5)),
        "output_size: 5 windows of 3 elements need 7 elements in spatial dimension 1, got 6",
    ),
    "fractional_max_pool2d-samples": (
        lambda F: F.fractional_max_pool2d(X2, 3, 2, _random_samples=np.zeros((1, 4, 3))),
        r"_random_samples: expected shape \(1, 4, 2\).*\(1, 4, 3\)",
    ),
    "max_unpool2d-indices": (
        lambda F: F.max_unpool2d(G2, P2[:, :, 1:], 2),
        r"indices: expected shape \(1, 4, 3, 3\) as input, got \(1, 4, 2, 3\)",
    ),
    "max_unpool2d-size": (
        lambda F: F.max_unpool2d(G2, P2, 2, output_size=(8, 6)),
        "output_size: expected between 4 and 8, both excluded, .*dimension 0, got 8",
    ),
    "max_unpool2d-padding": (lambda F: F.max_unpool2d(G2, P2, 2, padding=3), "padding: .*no elem"),
    "max_unpool2d_backward-leading": (
        lambda F: F.max_unpool2d_backward(X2, P2, (2, 4, 3, 3)),
        "input_size: .*leading",
    ),
    "global_avg_pool-rank": (lambda F: F.global_avg_pool(X1[0]), r"input: expected shape \(N, C"),
    "max_pool2d_backward-zero": (
        lambda F: F.max_pool2d_backward(G2, P2, (1, 4, 0, 6)),
        "input_size: .*at least 1",
    ),
    # columns
    "im2col-rank": (lambda F: F.im2col(X2, (2, 2, 2, 2)), "input: expected"),
    "im2col-vector": (lambda F: F.im2col(np.zeros(4), 2), "input"),
    "im2col-matrix": (lambda F: F.im2col(np.zeros((4, 4)), 2), "input: .*spatial"),
    "im2col-kernel": (lambda F: F.im2col(X2, 7), "kernel_size: .*dimension 1 of 6"),
    "sliding_windows-kernel": (lambda F: F.sliding_windows(X2, 7), "kernel_size"),
    "sliding_windows-vector": (lambda F: F.sliding_windows(np.zeros(4), (2,)), "input"),
    "unfold-rank": (lambda F: F.unfold(np.zeros((4, 4)), 2), "input: expected"),
    "col2im-rows": (lambda F: F.col2im(ints(1, 7, 6), (3, 4), 2), "columns: 7 rows.* 4 taps"),
    "col2im-no-rows": (lambda F: F.col2im(ints(1, 0, 6), (3, 4), 2), "columns: 0 rows"),
    "col2im-positions": (
        lambda F: F.col2im(ints(1, 8, 5), (3, 4), 2),
        r"columns: .*\(2, 3\) window positions.* 6 columns are expected, got 5",
    ),
    "col2im-dlfs": (
        lambda F: F.col2im(ints(7, 8), (3, 4), 2, dialect="dlfs"),
        r"columns: 7 rows.* 6 window positions \(2, 3\)",
    ),
    "col2im-dlfs-taps": (
        lambda F: F.col2im(ints(6, 9), (3, 4), 2, dialect="dlfs"),
        r"columns: 9 rows.* 4 taps",
    ),
    "col2im-dlfs-rank": (
        lambda F: F.col2im(ints(1, 6, 8), (3, 4), 2, dialect="dlfs"),
        r"columns: expected shape \(N \* positions, C \* prod",
    ),
    "col2im-chainer": (
        lambda F: F.col2im(ints(1, 2, 2, 3, 2, 3), (3, 4), 2, dialect="chainer"),
        r"columns: expected kernel_size \(2, 2\) .*got \(2, 3\)",
    ),
    "col2im-jax": (
        lambda F: F.col2im(ints(1, 8, 3, 2), (3, 4), 2, dialect="jax"),
        r"columns: expected window positions \(2, 3\) .*got \(3, 2\)",
    ),
    "col2im-cs231n": (
        lambda F: F.col2im(ints(0, 6), (3, 4), 2, dialect="cs231n"),
        "columns: 0 rows",
    ),
    "im2col-reflect": (
        lambda F: F.im2col(X2, 2, padding=(6, 6), padding_mode="reflect"),
        r"padding: \(6, 6\) with padding_mode='reflect' must be less than the 6 .*dimension 1",
    ),
    "im2col-circular": (
        lambda F: F.im2col(X2, 2, padding=((0, 8), 0), padding_mode="circular"),
        r"padding: \(0, 8\) with padding_mode='circular' must be at most the 7 .*dimension 0",
    ),
    "col2im-reflect": (
        lambda F: F.col2im(ints(1, 4, 8), 3, 2, 1, 3, padding_mode="reflect"),
        "padding: .*less than the 3",
    ),
    "col2im-rank": (lambda F: F.col2im(ints(1, 2, 8, 6), (3, 4), 2), "columns: expected shape"),
    "fold-rank": (lambda F: F.fold(ints(8), (3, 4), 2), "input: expected shape"),
    "fold-kernel": (lambda F: F.fold(ints(1, 8, 6), (1, 4), 2), "kernel_size"),
}


@pytest.mark.parametrize(("call", "words"), SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
def test_shapes_that_do_not_fit(call, words, module, plans):
    with pytest.raises(ShapeError, match=words):
        call(module)
    assert plans == []


INTEGERS = {
    "zero": (0, "at least 1, got 0"),
    "negative": (-2, "at least [01], got -2"),
    "float": (2.0, "expected an integer, got 2.0"),
    "numpy-float": (np.float32(2), "expected an integer"),
    "nan": (float("nan"), "expected an integer, got nan"),
    "infinity": (float("inf"), "expected an integer, got inf"),
    "None": (None, "expected an integer, got None"),
    "string": ("2", "expected .*got '2'"),
    "bool": (True, "expected an integer, got True"),
    "complex": (2j, "expected an integer"),
    "2^41": (2**41, "too large"),
    "2^63": (2**63, "too large"),
    "2^64": (2**64, "too large"),
    "-2^63": (-(2**63), "at least [01]"),
    "uint64": (np.uint64(2**64 - 1), "too large"),
    "empty": ((), "2 of them|2 integers"),
    "three": ((1, 1, 1), "2 of them|2 integers"),
    "one-bad": ((1, 0), "at least 1, got 0"),
    "one-float": ((1, 1.5), "expected an integer, got 1.5"),
    "nested": (((1, 1), (1, 1)), "expected an integer"),
    "object": (object(), "expected an integer"),
}
TAKERS = {
    "conv2d-stride": ("stride", lambda v: F.conv2d(X2, W2, stride=v)),
    "conv2d-dilation": ("dilation", lambda v: F.conv2d(X2, W2, dilation=v)),
    "conv2d_input-stride": ("stride", lambda v: F.conv2d_input(X2.shape, W2, GY2, stride=v)),
    "conv2d_weight-dilation": (
        "dilation",
        lambda v: F.conv2d_weight(X2, W2.shape, GY2, dilation=v),
    ),
    "max_pool2d-kernel": ("kernel_size", lambda v: F.max_pool2d(X2, v)),
    "min_pool2d-kernel": ("kernel_size", lambda v: F.min_pool2d(X2, v)),
    "avg_pool2d-dilation": ("dilation", lambda v: F.avg_pool2d(X2, 2, dilation=v)),
    "lp_pool2d-kernel": ("kernel_size", lambda v: F.lp_pool2d(X2, 2, v)),
    "median_pool2d-kernel": ("kernel_size", lambda v: F.median_pool2d(X2, v)),
    "fractional_max_pool2d-kernel": (
        "kernel_size",
        lambda v: F.fractional_max_pool2d(X2, v, 2),
    ),
    "max_unpool2d-kernel": ("kernel_size", lambda v: F.max_unpool2d(G2, P2, v)),
    "adaptive_avg_pool2d-size": ("output_size", lambda v: F.adaptive_avg_pool2d(X2, v)),
    "max_pool2d-stride": ("stride", lambda v: F.max_pool2d(X2, 2, v)),
    "max_pool2d-dilation": ("dilation", lambda v: F.max_pool2d(X2, 2, dilation=v)),
    "avg_pool2d-kernel": ("kernel_size", lambda v: F.avg_pool2d(X2, v)),
    "avg_pool2d-stride": ("stride", lambda v: F.avg_pool2d(X2, 2, v)),
    "avg_pool2d_backward-kernel": (
        "kernel_size",
        lambda v: F.avg_pool2d_backward(G2, (1, 4, 6, 6), v),
    ),
    "im2col-stride": ("stride", lambda v: F.im2col(X2, 2, v)),
    "im2col-dilation": ("dilation", lambda v: F.im2col(X2, 2, dilation=v)),
    "sliding_windows-stride": ("stride", lambda v: F.sliding_windows(X2, 2, v)),
    "unfold-stride": ("stride", lambda v: F.unfold(X2, 2, stride=v)),
    "fold-output_size": ("output_size", lambda v: F.fold(ints(1, 4, 4), v, (2, 2))),
    "fold-stride": ("stride", lambda v: F.fold(ints(1, 4, 4), (3, 3), 2, stride=v)),
}
OPTIONAL = {"max_pool2d-stride", "avg_pool2d-stride", "adaptive_avg_pool2d-size"}
PADDINGS = {"zero", "one-bad", "nested"}  # 0, (1, 0) and ((1, 1), (1, 1)) are paddings


@pytest.mark.parametrize(
    ("taker", "value"),
    [
        (t, v)
        for t, v in itertools.product(TAKERS, INTEGERS)
        if not (v == "None" and t in OPTIONAL)
        if not (v in ("zero", "one-bad") and t == "adaptive_avg_pool2d-size")  # no windows at all
        if not (t == "fold-output_size" and v in ("three", "empty"))  # decides the rank itself
    ],
)
def test_values_that_are_no_positive_integers(taker, value, plans):
    name, call = TAKERS[taker]
    given, words = INTEGERS[value]
    with pytest.raises(ParameterError, match=rf"^{name}: .*({words})"):
        call(given)
    assert plans == []


@pytest.mark.parametrize("value", INTEGERS)
def test_groups_is_one_positive_integer(value):
    with pytest.raises(ParameterError, match=r"^groups: "):
        F.conv2d(X2, W2, groups=INTEGERS[value][0])


@pytest.mark.parametrize("value", [v for v in INTEGERS if v not in PADDINGS])
@pytest.mark.parametrize(
    "call",
    [
        lambda v: F.conv2d(X2, W2, padding=v),
        lambda v: F.conv2d_input(X2.shape, W2, GY2, padding=v),
        lambda v: F.max_pool2d(X2, 2, padding=v),
        lambda v: F.avg_pool2d(X2, 2, padding=v),
        lambda v: F.im2col(X2, 2, padding=v),
        lambda v: F.fold(ints(1, 4, 9), (4, 4), 2, padding=v),
    ],
    ids=["conv2d", "conv2d_input", "max_pool2d", "avg_pool2d", "im2col", "fold"],
)
def test_padding(call, value):
    with pytest.raises(ParameterError, match=r"^padding: "):
        call(INTEGERS[value][0])


@pytest.mark.parametrize(
    "padding",
    [(1, 2, 3), ((1, 2, 3), (1, 2, 3)), ((1, -1), 0), ((1, 0.5), 0), "full", "SAME", {}, b"same"],
    ids=repr,
)
def test_padding_of_the_wrong_length_or_form(padding):
    with pytest.raises(ParameterError, match=r"^padding: "):
        F.conv2d(X2, W2, padding=padding)


@pytest.mark.parametrize(
    "value", [0, 1.5, "2", float("nan"), True, 2**64, -(2**64), (2,), [3, 3]], ids=repr
)
@pytest.mark.parametrize(
    "call",
    [
        lambda v: F.avg_pool2d(X2, 2, divisor_override=v),
        lambda v: F.avg_pool3d(X3, 2, divisor_override=v),
        lambda v: F.avg_pool2d_backward(G2, (1, 4, 6, 6), 2, divisor_override=v),
    ],
    ids=["avg_pool2d", "avg_pool3d", "avg_pool2d_backward"],
)
def test_divisor_override(call, value):
    with pytest.raises(ParameterError, match=r"^divisor_override: "):
        call(value)


CHOICES = {
    "rounding": ("up", "FLOOR", 1, b"ceil", ["ceil"]),
    "nan": ("skip", None, 0, float("nan"), ["ignore"]),
    "layout": ("NCHW", None, 1, b"channels_last"),
}


@pytest.mark.parametrize("pool", [F.max_pool2d, F.min_pool2d], ids=["max", "min"])
@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in CHOICES.items() for v in vs])
def test_choices_of_pools(pool, name, value, plans):
    with pytest.raises(ParameterError, match=rf"^{name}: expected one of .*got"):
        pool(X2, 2, **{name: value})
    assert plans == []


@pytest.mark.parametrize("rounding", ["floor", "cover_all"])
@pytest.mark.parametrize(
    "call",
    [
        lambda **k: F.max_pool2d(X2, 2, **k),
        lambda **k: F.avg_pool2d(X2, 2, **k),
        lambda **k: F.lp_pool2d(X2, 2, 2, **k),
        lambda **k: F.avg_pool2d_backward(G2, (1, 4, 6, 6), 2, **k),
    ],
    ids=["max_pool2d", "avg_pool2d", "lp_pool2d", "avg_pool2d_backward"],
)
def test_rounding_that_contradicts_ceil_mode(call, rounding):
    with pytest.raises(ParameterError, match=rf"^rounding: '{rounding}' contradicts ceil_mode"):
        call(ceil_mode=True, rounding=rounding)
    call(ceil_mode=True, rounding="ceil")
    call(ceil_mode=False, rounding="floor")


NUMBERS = [0, -1, float("nan"), "2", None, True, 2j, [2.0], 10**400, object()]


@pytest.mark.parametrize("value", NUMBERS, ids=lambda v: repr(v)[:12])
def test_norms_are_numbers_above_zero(value, plans):
    for call in (
        lambda v: F.lp_pool2d(X2, v, 2),
        lambda v: F.lp_pool2d_backward(G2, X2[:, :, :6], G2, v, 2),
        lambda v: F.global_lp_pool(X2, v),
    ):
        with pytest.raises(ParameterError, match=r"^norm_type: expected a number"):
            call(value)
    assert plans == []


@pytest.mark.parametrize("value", [-0.1, 1.1, *NUMBERS[2:]], ids=lambda v: repr(v)[:12])
def test_quantiles_are_numbers_from_zero_to_one(value, plans):
    with pytest.raises(ParameterError, match=r"^q: expected a number"):
        F.quantile_pool2d(X2, 2, q=value)
    assert plans == []


@pytest.mark.parametrize("value", [0, 1.5, "1", (0.5,) * 3, (0.5, -1), {}, float("nan")], ids=repr)
def test_output_ratios(value):
    with pytest.raises(ParameterError, match=r"^output_ratio: "):
        F.fractional_max_pool2d(X2, 2, output_ratio=value)


def test_a_fractional_pool_needs_a_size():
    with pytest.raises(ParameterError, match=r"^output_size: neither"):
        F.fractional_max_pool2d(X2, 2)
    with pytest.raises(ParameterError, match=r"^output_ratio: .*above 0"):
        F.fractional_max_pool2d(X2, 2, output_ratio=0)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_samples_are_from_zero_to_one(value, plans):
    samples = np.full((1, 4, 2), 0.5)
    samples[0, 3, 1] = value
    with pytest.raises(ParameterError, match=r"^_random_samples: expected numbers from 0 to 1"):
        F.fractional_max_pool2d(X2, 2, 2, _random_samples=samples)
    assert plans == []


@pytest.mark.parametrize("value", [0, "seed", np.random.RandomState(0)], ids=lambda v: str(v)[:6])
def test_generators_are_numpys(value):
    with pytest.raises(ParameterError, match=r"^generator: expected a numpy.random.Generator"):
        F.fractional_max_pool2d(X2, 2, 2, generator=value)


@pytest.mark.parametrize("value", [(), (1, 2, 3), (2, "a"), "22", 2.5, (None,)], ids=repr)
def test_output_sizes(value):
    for pool in (F.adaptive_max_pool2d, F.adaptive_avg_pool2d):
        with pytest.raises(ParameterError, match=r"^output_size: "):
            pool(X2, value)


@pytest.mark.parametrize("value", ["a", None, [1.0, 2.0], 2j, len], ids=str)
def test_pad_value_is_a_number(value):
    with pytest.raises(ParameterError, match=r"^pad_value: expected a number"):
        F.im2col(X2, 2, padding=1, pad_value=value)


@pytest.mark.parametrize("value", ["torch", "Chainer", "", None, 3, b"jax", ["jax"]], ids=repr)
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("dialect", lambda v: F.im2col(X2, 2, dialect=v)),
        ("dialect", lambda v: F.col2im(ints(1, 4, 4), (3, 3), 2, dialect=v)),
        ("padding_mode", lambda v: F.im2col(X2, 2, padding=1, padding_mode=v)),
        ("padding_mode", lambda v: F.col2im(ints(1, 4, 4), (3, 3), 2, padding_mode=v)),
    ],
    ids=["im2col-dialect", "col2im-dialect", "im2col-mode", "col2im-mode"],
)
def test_names_that_are_not_among_those_known(name, call, value, plans):
    with pytest.raises(ParameterError, match=rf"^{name}: expected one of"):
        call(value)
    assert plans == []


def test_a_pad_value_is_for_padding_that_repeats_nothing():
    with pytest.raises(ParameterError, match=r"^pad_value: expected 0 .*'reflect', got 3"):
        F.im2col(X2, 2, padding=1, pad_value=3, padding_mode="reflect")


@pytest.mark.parametrize(
    ("place", "got"),
    [(42, 42), (-2, -2), (2**62, 2**62), (-(2**63), -(2**63)), (41, None), (-1, None)],
)
@pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
def test_indices_must_lie_in_their_plane(module, place, got, plans):
    places = P2.copy()
    places[0, 3, 2, 1] = place
    if got is None:
        assert module.max_pool2d_backward(G2, places, (1, 4, 7, 6)).shape == (1, 4, 7, 6)
        return
    with pytest.raises(ParameterError, match=rf"^indices: .*\[0, 42\).*got {got}"):
        module.max_pool2d_backward(G2, places, (1, 4, 7, 6))
    assert plans == [] or module is F  # which looks at an index when it moves the value


@pytest.mark.parametrize("place", [36, -2, 2**62])
@pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
def test_places_to_unpool_lie_in_their_plane(module, place, plans):
    places = P2.copy()
    places[0, 3, 2, 1] = place
    for call in (
        lambda: module.max_unpool2d(G2, places, 2),
        lambda: module.max_unpool2d_backward(X2[:, :, :6], places, G2.shape),
        lambda: module.adaptive_max_pool2d_backward(G2, places, (1, 4, 6, 6)),
        lambda: module.fractional_max_pool2d_backward(G2, places, (1, 4, 6, 6)),
        lambda: module.min_pool2d_backward(G2, places, (1, 4, 6, 6)),
    ):
        with pytest.raises(ParameterError, match=rf"^indices: .*\[0, 36\).*got {place}"):
            call()
    assert plans == [] or module is F


def test_unsigned_indices_do_not_wrap_to_minus_one():
    with pytest.raises(ParameterError, match=r"^indices: "):
        F.max_pool1d_backward(np.ones((1, 1, 1)), np.full((1, 1, 1), 2**64 - 1, "u8"), (1, 1, 4))


@pytest.mark.parametrize(
    "size", [5, None, "abc", 7.5, (1, 4, -1, 6), (1, 4, 7.0, 6), (1, None, 7, 6), {}], ids=repr
)
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("input_size", lambda s: F.conv2d_input(s, W2, GY2)),
        ("weight_size", lambda s: F.conv2d_weight(X2, s, GY2)),
        ("input_size", lambda s: F.max_pool2d_backward(G2, P2, s)),
        ("input_size", lambda s: F.avg_pool2d_backward(G2, s, 2)),
    ],
    ids=["conv2d_input", "conv2d_weight", "max_pool2d_backward", "avg_pool2d_backward"],
)
def test_sizes_that_are_no_shapes(name, call, size):
    with pytest.raises(ParameterError, match=f"^{name}: "):
        call(size)


HUGE = {
    "conv1d-padding": lambda: F.conv1d(X1, W1, padding=2**40),
    "conv2d-padding": lambda: F.conv2d(X2, W2, padding=2**30),
    "conv3d-padding": lambda: F.conv3d(X3, W3, padding=((2**30, 0),) * 3),
    "conv2d-dilation": lambda: F.conv2d(X2, W2, dilation=2**40),
    "conv2d_input": lambda: F.conv2d_input((1, 4, 2**40, 2**40), W2, GY2),
    "conv2d_input-channels": lambda: F.conv2d_input((1, 2**40, 7, 6), W2, GY2),
    "conv2d_input-batch": lambda: F.conv2d_input((2**40, 4, 7, 6), W2, GY2),
    "conv2d_weight": lambda: F.conv2d_weight(X2, (2**40, 4, 3, 3), GY2),
    "conv2d_weight-taps": lambda: F.conv2d_weight(X2, (2, 4, 2**40, 2**40), GY2),
    "max_pool1d-padding": lambda: F.max_pool1d(X1, 2, padding=2**40),
    "max_pool2d-padding": lambda: F.max_pool2d(X2, 2, padding=2**30),
    "max_pool2d-kernel": lambda: F.max_pool2d(X2, 2**40),
    "max_pool2d_backward": lambda: F.max_pool2d_backward(G2, P2 - 1, (1, 4, 2**40, 2**40)),
    "max_pool2d_backward-overflow": lambda: F.max_pool2d_backward(G2, P2, (1, 4, 2**32, 2**32)),
    "adaptive_max_pool2d": lambda: F.adaptive_max_pool2d(X2, 2**30),
    "adaptive_avg_pool2d_backward": lambda: F.adaptive_avg_pool2d_backward(
        G2, (1, 4, 2**40, 2**40)
    ),
    "fractional_max_pool2d": lambda: F.fractional_max_pool2d(X2, 2, 2**40),
    "max_unpool2d": lambda: F.max_unpool2d(G2, P2, 2**30),
    "max_unpool2d-stride": lambda: F.max_unpool2d(G2, P2, 2, 2**40),
    "median_pool2d-padding": lambda: F.median_pool2d(X2, 2, padding=2**30),
    "avg_pool2d-padding": lambda: F.avg_pool2d(X2, 2, padding=2**30),
    "avg_pool2d_backward": lambda: F.avg_pool2d_backward(G2, (1, 4, 2**40, 2**40), 2),
    "im2col-padding": lambda: F.im2col(X2, 2, padding=2**30),
    "im2col-kernel": lambda: F.im2col(X2, (2**20, 2**20), padding=2**20),
    "fold-output": lambda: F.fold(ints(1, 4, 4), 2**40, 2),
    "fold-kernel": lambda: F.fold(ints(1, 4, 4), 3, 2**40),
    "col2im-output": lambda: F.col2im(ints(1, 4, 4), (2**40, 2**40), (2, 2)),
    "unfold-padding": lambda: F.unfold(X2, 2, padding=2**30),
    "sliding_windows-kernel": lambda: F.sliding_windows(X2, 2**40),
}


@pytest.mark.parametrize("call", HUGE.values(), ids=HUGE)
def test_absurd_sizes_are_refused_without_allocating(call, plans):
    tracemalloc.start()
    try:
        with pytest.raises(ShapeError):
            call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20
    assert plans == []


@pytest.mark.parametrize(
    "call",
    [
        lambda: F.conv2d(X2, W2, stride=2**40),
        lambda: F.max_pool2d(X2, 2, 2**40),
        lambda: F.avg_pool2d(X2, 2, 2**40),
        lambda: F.im2col(X2, 2, 2**40),
        lambda: F.sliding_windows(X2, 2, 2**40),
        lambda: F.conv2d(X2, W2[:, :, :1, :1], dilation=2**40),
        lambda: reference.conv2d(X2, W2, stride=2**40),
        lambda: reference.im2col(X2, 2, 2**40),
    ],
)
def test_a_huge_stride_is_one_window(call):
    assert call().size < 200


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.sliding_windows(x, (2, 1), 2**40),
        lambda x: F.im2col(x, (2, 1), 2**40),
        lambda x: F.conv2d(x, np.ones((1, 1, 2, 1)), stride=2**40),
        lambda x: F.max_pool2d(x, (2, 1), 2**40),
        lambda x: F.avg_pool2d(x, (2, 1), 2**40),
    ],
    ids=["sliding_windows", "im2col", "conv2d", "max_pool2d", "avg_pool2d"],
)
def test_a_huge_stride_over_long_rows_does_not_overflow(call):
    """The stride times a row's 8 MiB does not fit a signed 64-bit number of bytes."""
    assert call(np.zeros((1, 1, 2, 2**20))).size <= 2


@pytest.mark.parametrize("call", [F.im2col, F.sliding_windows], ids=lambda f: f.__name__)
def test_more_dimensions_than_an_array_can_have(call):
    with pytest.raises(ShapeError, match=r"^(input|kernel_size): "):
        call(np.zeros((1,) * 42), (1,) * 40)


@pytest.mark.parametrize(
    ("call", "missing"),
    [
        (lambda: F.conv2d(X2), "weight"),
        (lambda: F.max_pool2d(X2), "kernel_size"),
        (lambda: F.conv2d(X2, W2, strides=2), "strides"),
        (lambda: F.fold(ints(1, 4, 4), (3, 3)), "kernel_size"),
    ],
)
def test_signatures_are_pythons(call, missing):
    with pytest.raises(TypeError, match=missing):
        call()


def test_errors_are_what_numpy_users_catch():
    with pytest.raises(ValueError, match="input"):
        F.conv2d(X1[0], W2)
    with pytest.raises(TypeError, match="input"):
        F.conv2d(X2.astype(np.longdouble), W2)
    assert issubclass(DtypeError, TypeError)
