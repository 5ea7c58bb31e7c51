import inspect

import numpy as np
import pytest

import fastconv as F
from tests import oracle
from tests.helpers import ints, same

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
SIZES = {1: (9,), 2: (8, 7), 3: (5, 6, 4)}
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def arrays(rank, dtype=np.float64, groups=1):
    x = ints(2, 2 * groups, *SIZES[rank], dtype=dtype, seed=1)
    w = ints(3 * groups, 2, *(3, 2, 2)[:rank], dtype=dtype, seed=2)
    return x, w, ints(3 * groups, dtype=dtype, seed=3)


@pytest.mark.parametrize("function", CONV.values(), ids=lambda f: f.__name__)
def test_parameters_are_those_of_pytorch(function):
    parameters = inspect.signature(function).parameters
    assert list(parameters)[:7] == [
        "input",
        "weight",
        "bias",
        "stride",
        "padding",
        "dilation",
        "groups",
    ]
    assert [p.default for p in parameters.values()][2:7] == [None, 1, 0, 1, 1]


@RANKS
@DTYPES
def test_batched(rank, dtype):
    x, w, b = arrays(rank, dtype)
    same(CONV[rank](x, w), oracle.conv(x, w).astype(dtype))
    same(CONV[rank](x, w, b), oracle.conv(x, w, b).astype(dtype))


@RANKS
def test_unbatched(rank):
    x, w, b = arrays(rank)
    y = CONV[rank](x[0], w, b, padding=1)
    same(y, CONV[rank](x[:1], w, b, padding=1)[0])


@RANKS
@pytest.mark.parametrize("stride", [1, 2, 3, 7])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_stride_dilation_and_groups(rank, stride, dilation, groups):
    x, w, b = arrays(rank, groups=groups)
    y = CONV[rank](x, w, b, stride, 1, dilation, groups)
    place = ((stride,) * rank, ((1, 1),) * rank, (dilation,) * rank)
    same(y, oracle.conv(x, w, b, *place, groups))


@RANKS
def test_a_different_value_for_every_dimension(rank):
    x, w, _ = arrays(rank)
    stride, dilation = (2, 1, 3)[:rank], (1, 2, 1)[:rank]
    pairs = ((1, 2), (0, 1), (3, 0))[:rank]
    y = CONV[rank](x, w, stride=stride, padding=pairs, dilation=dilation)
    same(y, oracle.conv(x, w, None, stride, pairs, dilation))


@RANKS
@pytest.mark.parametrize("form", ["same", "same_lower", "valid"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_named_padding_with_any_stride(rank, form, stride, dilation):
    x, w, _ = arrays(rank)
    y = CONV[rank](x, w, stride=stride, padding=form, dilation=dilation)
    pairs = [(0, 0)] * rank
    if form != "valid":
        assert y.shape[2:] == tuple(-(-size // stride) for size in SIZES[rank])
        pairs = [
            oracle.same_padding(size, kernel, stride, dilation, form == "same_lower")
            for size, kernel in zip(SIZES[rank], w.shape[2:], strict=True)
        ]
    same(y, oracle.conv(x, w, None, (stride,) * rank, tuple(pairs), (dilation,) * rank))


def test_same_and_same_lower_differ_where_the_padding_is_odd():
    x, w = ints(1, 1, 6), ints(1, 1, 2)
    same(F.conv1d(x, w, padding="same"), F.conv1d(x, w, padding=((0, 1),)))
    same(F.conv1d(x, w, padding="same_lower"), F.conv1d(x, w, padding=((1, 0),)))


@pytest.mark.parametrize("channels", [2, 5])
@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise(channels, multiplier):
    x, w = ints(2, channels, 7, 6), ints(channels * multiplier, 1, 3, 3)
    y = F.conv2d(x, w, padding=1, groups=channels)
    same(y, oracle.conv(x, w, padding=((1, 1), (1, 1)), groups=channels))


def test_one_tap():
    x, w, b = ints(3, 4, 5, 6), ints(7, 4, 1, 1), ints(7)
    same(F.conv2d(x, w, b), oracle.conv(x, w, b))


def test_it_is_a_cross_correlation():
    x = np.zeros((1, 1, 5))
    x[0, 0, 2] = 1
    same(F.conv1d(x, np.array([[[1.0, 2, 3]]]), padding=1), np.array([[[0.0, 3, 2, 1, 0]]]))


@pytest.mark.parametrize(
    ("x", "w", "y"), [("f4", "f4", "f4"), ("f4", "f8", "f8"), ("i4", "f4", "f8")]
)
def test_dtypes_are_promoted_first(x, w, y):
    result = F.conv1d(np.ones((1, 1, 4), x), np.ones((1, 1, 2), w))
    same(result, np.full((1, 1, 3), 2, y))
    assert F.conv1d(np.ones((1, 1, 4), "f4"), np.ones((1, 1, 2), "f4"), [1.0]).dtype == np.float64


def test_no_batch_no_result():
    y = F.conv2d(np.zeros((0, 3, 5, 5)), np.zeros((4, 3, 3, 3)), np.zeros(4))
    same(y, np.zeros((0, 4, 3, 3)))


def test_the_result_is_new_contiguous_and_writable():
    x, w = ints(1, 1, 4), np.ones((1, 1, 1))
    y = F.conv1d(x, w)
    assert y.flags.c_contiguous
    assert y.flags.writeable
    assert not np.shares_memory(y, x)
