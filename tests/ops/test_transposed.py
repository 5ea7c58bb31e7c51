import inspect

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import fastconv as F
from fastconv import ParameterError, ShapeError, reference
from tests import oracle, oracle_transposed
from tests.helpers import ints, same

TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
INPUT = {1: F.conv_transpose1d_input, 2: F.conv_transpose2d_input, 3: F.conv_transpose3d_input}
WEIGHT = {1: F.conv_transpose1d_weight, 2: F.conv_transpose2d_weight, 3: F.conv_transpose3d_weight}
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_INPUT = {1: F.conv1d_input, 2: F.conv2d_input, 3: F.conv3d_input}
SIZES = {1: (7,), 2: (4, 5), 3: (3, 2, 4)}
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def arrays(rank, dtype=np.float64, groups=1):
    x = ints(2, 3 * groups, *SIZES[rank], dtype=dtype, seed=1)
    w = ints(3 * groups, 2, *(3, 2, 2)[:rank], dtype=dtype, seed=2)
    return x, w, ints(2 * groups, dtype=dtype, seed=3)


def check(rank, x, w, b, stride, padding, output_padding, groups, dilation):
    """All three functions, and the reference's, against the oracle; all parameters are tuples."""
    place = (stride, padding, output_padding, groups, dilation)
    steps = (stride, padding, dilation, groups)
    out = tuple(
        oracle_transposed.smallest_size(*axis) + more
        for *axis, more in zip(
            x.shape[2:], w.shape[2:], stride, padding, dilation, output_padding, strict=True
        )
    )
    y = TRANSPOSE[rank](x, w, b, *place)
    same(y, oracle_transposed.conv_transpose(x, w, b, *steps, out).astype(x.dtype))
    gy = ints(*y.shape, dtype=x.dtype, seed=9)
    gx = oracle_transposed.conv_transpose_input(x.shape, w, gy, *steps).astype(x.dtype)
    gw = oracle_transposed.conv_transpose_weight(x, w.shape, gy, *steps).astype(x.dtype)
    same(INPUT[rank](x.shape, w, gy, *place), gx)
    same(WEIGHT[rank](x, w.shape, gy, *place), gw)
    name = f"conv_transpose{rank}d"
    same(getattr(reference, name)(x, w, b, *place), y)
    same(getattr(reference, f"{name}_input")(x.shape, w, gy, *place), gx)
    same(getattr(reference, f"{name}_weight")(x, w.shape, gy, *place), gw)


@RANKS
def test_parameters_are_those_of_pytorch(rank):
    parameters = inspect.signature(TRANSPOSE[rank]).parameters
    place = ["stride", "padding", "output_padding", "groups", "dilation"]
    assert list(parameters)[:8] == ["input", "weight", "bias", *place]
    assert [p.default for p in parameters.values()][2:8] == [None, 1, 0, 0, 1, 1]
    assert list(inspect.signature(INPUT[rank]).parameters)[:3] == [
        "input_size",
        "weight",
        "grad_output",
    ]
    for function in (INPUT[rank], WEIGHT[rank]):
        parameters = inspect.signature(function).parameters
        assert list(parameters)[2:8] == ["grad_output", *place]
        assert [p.default for p in parameters.values()][3:8] == [1, 0, 0, 1, 1]


@RANKS
@DTYPES
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("stride", "more"), [(1, 0), (2, 0), (2, 1), (3, 2)])
@pytest.mark.parametrize(("padding", "dilation"), [(0, 1), (1, 2)])
def test_with_gradients(rank, dtype, groups, stride, more, padding, dilation):
    x, w, b = arrays(rank, dtype, groups)
    pairs = ((padding, padding),) * rank
    check(rank, x, w, b, (stride,) * rank, pairs, (more,) * rank, groups, (dilation,) * rank)


@given(data=st.data())
def test_any_parameters(data):
    rank, groups = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    each = lambda low, high: data.draw(st.tuples(*[st.integers(low, high)] * rank))  # noqa: E731
    sizes, kernel, stride, dilation = each(1, 4), each(1, 4), each(1, 4), each(1, 3)
    padding = tuple(zip(each(0, 3), each(0, 3), strict=True))
    more = tuple(
        data.draw(st.integers(0, max(*pair) - 1)) for pair in zip(stride, dilation, strict=True)
    )
    axes = zip(sizes, kernel, stride, padding, dilation, more, strict=True)
    assume(all(oracle_transposed.smallest_size(*axis) + m > 0 for *axis, m in axes))
    inputs, outputs = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2))
    x = ints(data.draw(st.integers(0, 2)), inputs * groups, *sizes)
    w, b = ints(inputs * groups, outputs, *kernel, seed=1), ints(outputs * groups, seed=2)
    check(rank, x, w, b, stride, padding, more, groups, dilation)


@RANKS
def test_it_is_the_adjoint_of_the_convolution(rank):
    x, w, _ = arrays(rank)
    y = TRANSPOSE[rank](x, w, None, 2, 1, 1)
    same(y, CONV_INPUT[rank](y.shape, w, x, 2, 1))
    gy = ints(*y.shape, seed=4)
    assert (y * gy).sum() == (x * CONV[rank](gy, w, None, 2, 1)).sum()


@RANKS
def test_unbatched(rank):
    x, w, b = arrays(rank)
    y = TRANSPOSE[rank](x[0], w, b, 2)
    same(y, TRANSPOSE[rank](x[:1], w, b, 2)[0])
    same(INPUT[rank](x[0].shape, w, y, 2), INPUT[rank](x[:1].shape, w, y[None], 2)[0])
    same(WEIGHT[rank](x[0], w.shape, y, 2), WEIGHT[rank](x[:1], w.shape, y[None], 2))


@RANKS
@pytest.mark.parametrize("form", ["same", "same_lower"])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_is_the_adjoint_of_same(rank, form, stride, dilation):
    """Also where windows do not touch, and from every size that the convolution brings here."""
    x, w, b = arrays(rank)
    for less in range(stride):
        sizes = tuple(size * stride - less for size in x.shape[2:])
        asked = {"output_size": sizes} if less else {}
        y = TRANSPOSE[rank](x, w, b, stride, form, dilation=dilation, **asked)
        assert y.shape == (2, 2, *sizes)
        z = ints(2, 2, *sizes, seed=5)
        assert CONV[rank](z, w, None, stride, form, dilation).shape == x.shape
        pairs = tuple(
            oracle.same_padding(size, kernel, stride, dilation, form == "same_lower")
            for size, kernel in zip(sizes, w.shape[2:], strict=True)
        )
        steps = ((stride,) * rank, pairs, (dilation,) * rank, 1)
        same(y, oracle_transposed.conv_transpose(x, w, b, *steps, sizes).astype(float))
        place = (stride, form, 0, 1, dilation)
        gx = oracle_transposed.conv_transpose_input(x.shape, w, y, *steps).astype(float)
        same(INPUT[rank](x.shape, w, y, *place, **asked), gx)


@RANKS
def test_valid_is_no_padding(rank):
    x, w, b = arrays(rank)
    same(TRANSPOSE[rank](x, w, b, 2, "valid", 1), TRANSPOSE[rank](x, w, b, 2, 0, 1))


@RANKS
@pytest.mark.parametrize("more", [0, 1, 2])
@pytest.mark.parametrize("whole", [False, True], ids=["spatial", "whole"])
def test_an_output_size_stands_for_an_output_padding(rank, more, whole):
    x, w, b = arrays(rank)
    y = TRANSPOSE[rank](x, w, b, 3, 1, more)
    size = y.shape if whole else y.shape[2:]
    same(TRANSPOSE[rank](x, w, b, 3, 1, output_size=size), y)
    same(INPUT[rank](x.shape, w, y, 3, 1, output_size=size), INPUT[rank](x.shape, w, y, 3, 1, more))
    same(
        WEIGHT[rank](x, w.shape, y, 3, 1, output_size=size),
        WEIGHT[rank](x, w.shape, y, 3, 1, more),
    )


def test_one_output_size_for_all_dimensions():
    x, w, _ = arrays(2)
    w = w[:, :, :2]
    y = F.conv_transpose2d(x[:, :, :, :4], w, None, 2, output_size=9)
    same(y, F.conv_transpose2d(x[:, :, :, :4], w, None, 2, output_padding=1))


@RANKS
@DTYPES
@pytest.mark.parametrize("batched", [True, False], ids=["batched", "unbatched"])
def test_channels_last(rank, dtype, batched):
    x, w, b = arrays(rank, dtype, groups=2)
    place = (2, 1, 1, 2)
    y = TRANSPOSE[rank](x, w, b, *place)
    sample = slice(None) if batched else 0
    lx, ly = (np.moveaxis(a, 1, -1)[sample] for a in (x, y))
    last = {"layout": "channels_last"}
    same(TRANSPOSE[rank](lx, w, b, *place, **last), ly)
    same(TRANSPOSE[rank](lx, w, b, 2, 1, 0, 2, output_size=ly.shape, **last), ly)
    same(
        INPUT[rank](lx.shape, w, ly, *place, **last),
        np.moveaxis(INPUT[rank](x.shape, w, y, *place), 1, -1)[sample],
    )
    x, y = (np.moveaxis(a, -1, -rank - 1) for a in (lx, ly))
    same(WEIGHT[rank](lx, w.shape, ly, *place, **last), WEIGHT[rank](x, w.shape, y, *place))


@RANKS
@pytest.mark.parametrize("name", ["relu", "tanh"])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_activation_after_the_bias(rank, name, layout):
    x, w, b = arrays(rank, np.float32)
    x = x if layout == "channels_first" else np.moveaxis(x, 1, -1)
    plain = TRANSPOSE[rank](x, w, b, 2, layout=layout)
    y = TRANSPOSE[rank](x, w, b, 2, layout=layout, activation=name)
    np.testing.assert_allclose(y, np.maximum(plain, 0) if name == "relu" else np.tanh(plain), 1e-6)


@RANKS
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_out(rank, layout):
    x, w, b = arrays(rank)
    x = x if layout == "channels_first" else np.moveaxis(x, 1, -1)
    y = TRANSPOSE[rank](x, w, b, 2, layout=layout)
    out = np.full(y.shape, np.nan)
    assert TRANSPOSE[rank](x, w, b, 2, layout=layout, out=out) is out
    same(out, y)
    odd = np.full(y.shape[::-1], np.nan).T
    same(TRANSPOSE[rank](x, w, b, 2, layout=layout, out=odd), y)
    with pytest.raises(ShapeError, match=r"^out: "):
        TRANSPOSE[rank](x, w, b, 3, layout=layout, out=out)
    with pytest.raises(ParameterError, match=r"^out: shares memory with bias"):
        TRANSPOSE[rank](x, w, out.reshape(-1)[:2], 2, layout=layout, out=out)
    same(out, y)


@RANKS
@pytest.mark.parametrize("algorithm", ["naive", "im2col_gemm"])
def test_infinities_and_nan_reach_only_the_outputs_under_their_windows(rank, algorithm):
    """No zeros are stuffed in, so there is no 0 * inf."""
    x, w = np.ones((1, 1, *SIZES[rank])), np.ones((1, 1, *(2,) * rank))
    w[(0, 0, *(0,) * rank)] = 0
    for value in (np.inf, -np.inf, np.nan):
        x[(0, 0, *(1,) * rank)] = value
        y = TRANSPOSE[rank](x, w, None, 3, 0, 2, algorithm=algorithm)
        under = np.zeros(y.shape, bool)
        under[(0, 0, *(slice(3, 5),) * rank)] = True
        assert (np.isfinite(y) | under).all()
        assert not np.isfinite(y[under]).any()
        assert (y[(0, 0, *(slice(None, None, 3),) * rank)][tuple([0] * rank)] == 0).all()


def test_an_algorithm_can_be_forced(plans):
    x, w, _ = arrays(1)
    F.conv_transpose1d(x, w, algorithm="naive")
    assert [plan.algorithm for plan in plans] == ["naive"]
    with pytest.raises(F.PlanError, match=r"depthwise.* refuses .conv input_gradient"):
        F.conv_transpose1d(x, w, algorithm="depthwise")


def test_dtypes_are_promoted_first():
    x, w = np.ones((1, 1, 3), np.float32), np.ones((1, 1, 2), np.float32)
    assert F.conv_transpose1d(x, w).dtype == np.float32
    assert F.conv_transpose1d(x, w, np.ones(1)).dtype == np.float64
    assert F.conv_transpose1d_input((1, 1, 3), w, np.ones((1, 1, 4))).dtype == np.float64
    assert F.conv_transpose1d_weight(x, w.shape, np.ones((1, 1, 4))).dtype == np.float64


X1, W1 = ints(1, 4, 5), ints(4, 2, 3)
X2, W2 = ints(1, 4, 5, 6), ints(4, 2, 3, 3)
G2 = ints(1, 2, 7, 8)
REFUSED = {
    "rank": (lambda F: F.conv_transpose2d(X1[0], W2), ShapeError, r"input: expected .*\(4, 5\)"),
    "weight-rank": (lambda F: F.conv_transpose2d(X2, W1), ShapeError, "weight: expected 4 dim"),
    "weight-empty": (lambda F: F.conv_transpose2d(X2, W2[:, :0]), ShapeError, "weight: every"),
    "channels": (lambda F: F.conv_transpose2d(X2, W2[:3]), ShapeError, "weight: .* 3 channels"),
    "groups": (
        lambda F: F.conv_transpose2d(X2, W2, groups=3),
        ShapeError,
        "groups: 3 must divide the input's 4 channels",
    ),
    "bias": (
        lambda F: F.conv_transpose2d(X2, W2, ints(2), groups=2),
        ShapeError,
        r"bias: expected shape \(4,\).*\(2,\)",
    ),
    "padding": (
        lambda F: F.conv_transpose1d(X1, W1, padding=4),
        ShapeError,
        r"padding: \(4, 4\) leaves an output of -1 elements in spatial dimension 0.* 5",
    ),
    "output_size-small": (
        lambda F: F.conv_transpose1d(X1, W1, stride=2, output_size=10),
        ShapeError,
        "output_size: expected 11 to 12 elements in spatial dimension 0.* 5, got 10",
    ),
    "output_size-large": (
        lambda F: F.conv_transpose2d(X2, W2, stride=2, output_size=(11, 15)),
        ShapeError,
        "output_size: expected 13 to 14 .* dimension 1.* 6, got 15",
    ),
    "output_size-same": (
        lambda F: F.conv_transpose1d(X1, W1, None, 3, "same", output_size=12),
        ShapeError,
        "output_size: expected 13 to 15 .*got 12",
    ),
    "output_size-rank": (
        lambda F: F.conv_transpose1d(X1, W1, output_size=(1, 2, 3, 4)),
        ParameterError,
        "output_size: expected an integer or 1 of them",
    ),
    "output_size-type": (
        lambda F: F.conv_transpose1d(X1, W1, output_size=7.0),
        ParameterError,
        "output_size: expected an integer, got 7.0",
    ),
    "output_padding-large": (
        lambda F: F.conv_transpose1d(X1, W1, None, 2, 0, 2),
        ParameterError,
        "output_padding: expected less than the stride 2 or the dilation 1, got 2",
    ),
    "output_padding-same": (
        lambda F: F.conv_transpose1d(X1, W1, None, 2, "same", 1),
        ParameterError,
        "output_padding: expected 0, for padding='same' decides",
    ),
    "output_padding-size": (
        lambda F: F.conv_transpose1d(X1, W1, None, 2, 0, 1, output_size=12),
        ParameterError,
        "output_padding: expected 0, for output_size decides",
    ),
    "layout": (
        lambda F: F.conv_transpose1d(X1, W1, layout="last"),
        ParameterError,
        "layout: expected one of",
    ),
    "activation": (
        lambda F: F.conv_transpose1d(X1, W1, activation="gelu"),
        ParameterError,
        "activation: expected",
    ),
    "input-grad": (
        lambda F: F.conv_transpose2d_input(X2.shape, W2, G2[:, :, 1:]),
        ShapeError,
        r"grad_output: expected shape \(1, 2, 7, 8\) as the output, got \(1, 2, 6, 8\)",
    ),
    "input-unbatched": (
        lambda F: F.conv_transpose2d_input(X2.shape[1:], W2, G2),
        ShapeError,
        r"grad_output: expected shape \(2, 7, 8\)",
    ),
    "input-size": (
        lambda F: F.conv_transpose2d_input("abcd", W2, G2),
        ParameterError,
        "input_size: expected a shape",
    ),
    "weight-grad": (
        lambda F: F.conv_transpose2d_weight(X2, W2.shape, G2[:, :1]),
        ShapeError,
        r"grad_output: expected shape \(1, 2, 7, 8\)",
    ),
    "weight-size": (
        lambda F: F.conv_transpose2d_weight(X2, (3, 2, 3, 3), G2),
        ShapeError,
        "weight: .*3 channels",
    ),
    "huge-stride": (
        lambda F: F.conv_transpose2d(X2, W2, stride=2**38),
        ShapeError,
        "output: shape .* more than",
    ),
    "huge-size": (
        lambda F: F.conv_transpose2d_input((1, 4, 2**40, 2**40), W2, G2),
        ShapeError,
        "output: shape .* more than",
    ),
    "integers": (
        lambda F: F.conv_transpose1d(X1, W1, groups=np.nan),
        ParameterError,
        "groups: expected an integer, got nan",
    ),
}


@pytest.mark.parametrize(("call", "error", "words"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
def test_what_is_refused(call, error, words, module, plans):
    with pytest.raises(error, match=words):
        call(module)
    assert plans == []


@pytest.mark.parametrize("name", ["stride", "padding", "output_padding", "groups", "dilation"])
@pytest.mark.parametrize("value", [-1, 2.0, None, "2", np.nan, True, 2**63, -(2**63), ()], ids=repr)
def test_values_that_are_no_integers(name, value):
    for call in (
        lambda **v: F.conv_transpose2d(X2, W2, **v),
        lambda **v: F.conv_transpose2d_input(X2.shape, W2, G2, **v),
        lambda **v: F.conv_transpose2d_weight(X2, W2.shape, G2, **v),
    ):
        with pytest.raises(ParameterError, match=rf"^{name}: "):
            call(**{name: value})
