import inspect

import numpy as np
import pytest

import fastconv as F
from tests import oracle
from tests.helpers import distinct, ints, same

POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
BACKWARD = {1: F.max_pool1d_backward, 2: F.max_pool2d_backward, 3: F.max_pool3d_backward}
SIZES = {1: (11,), 2: (9, 8), 3: (5, 6, 7)}
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])
NAN, INF = float("nan"), float("inf")


@RANKS
def test_parameters_are_those_of_pytorch(rank):
    parameters = inspect.signature(POOL[rank]).parameters
    names = ["input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"]
    assert list(parameters)[:7] == names
    assert [p.default for p in parameters.values()][2:7] == [None, 0, 1, False, False]
    assert list(inspect.signature(BACKWARD[rank]).parameters)[:3] == [
        "grad_output",
        "indices",
        "input_size",
    ]


@RANKS
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [
        (2, None, 0, 1),
        (3, 2, 1, 1),
        (3, 1, 1, 1),
        (2, 3, 0, 1),
        (2, 2, 1, 2),
        (3, 4, 2, 1),
        (1, 1, 0, 1),
    ],
)
def test_values_and_indices(rank, dtype, ceil_mode, kernel, stride, padding, dilation):
    x = ints(2, 3, *SIZES[rank], dtype=dtype)  # with many ties
    args = (kernel, stride, padding, dilation, ceil_mode)
    y, indices = POOL[rank](x, *args, return_indices=True)
    expected, places = oracle.max_pool(
        x,
        (kernel,) * rank,
        (stride or kernel,) * rank,
        ((padding, padding),) * rank,
        (dilation,) * rank,
        ceil_mode,
    )
    same(y, expected.astype(dtype))
    same(indices, places)
    same(POOL[rank](x, *args), y)


@RANKS
def test_a_different_value_for_every_dimension(rank):
    x = distinct(1, 2, *SIZES[rank])
    kernel, stride, dilation = (3, 2, 2)[:rank], (2, 1, 3)[:rank], (1, 2, 1)[:rank]
    pairs = ((1, 2), (0, 1), (3, 0))[:rank]
    y, indices = POOL[rank](x, kernel, stride, pairs, dilation, return_indices=True)
    expected, places = oracle.max_pool(x, kernel, stride, pairs, dilation)
    same(y, expected)
    same(indices, places)


@RANKS
def test_unbatched(rank):
    x = distinct(2, 3, *SIZES[rank])
    y, indices = POOL[rank](x[1], 2, return_indices=True)
    batched, places = POOL[rank](x[1:], 2, return_indices=True)
    same(y, batched[0])
    same(indices, places[0])
    same(BACKWARD[rank](y, indices, x[1].shape), BACKWARD[rank](batched, places, x[1:].shape)[0])


@RANKS
def test_indices_point_at_the_values(rank):
    x = ints(2, 3, *SIZES[rank])
    y, indices = POOL[rank](x, 3, 2, 1, return_indices=True)
    flat = x.reshape(2, 3, -1)
    same(np.take_along_axis(flat, indices.reshape(2, 3, -1), 2).reshape(y.shape), y)


@pytest.mark.parametrize("algorithm", ["pooling", "naive"])
@pytest.mark.parametrize(
    ("values", "best", "where"),
    [
        ([1, 3, 3, 2], 3, 1),
        ([5, 5, 5, 5], 5, 0),
        ([-INF, -INF, -INF, -INF], -INF, 0),
        ([-INF, -7, -INF, -9], -7, 1),
        ([1, NAN, 2, 3], NAN, 1),
        ([NAN, 1, NAN, 3], NAN, 2),
        ([NAN, NAN, NAN, NAN], NAN, 3),
        ([INF, NAN, INF, INF], NAN, 1),
        ([1, INF, INF, 2], INF, 1),
        ([-0.0, 0.0, -1, -2], 0, 0),
    ],
    ids=repr,
)
def test_first_maximum_and_last_nan(values, best, where, algorithm):
    """In one row, and in a square where the order crosses rows."""
    with F.settings(algorithm=algorithm):
        for shape, pool, kernel in (((1, 1, 4), F.max_pool1d, 4), ((1, 1, 2, 2), F.max_pool2d, 2)):
            x = np.array(values, np.float64).reshape(shape)
            y, indices = pool(x, kernel, return_indices=True)
            same(y.ravel(), np.array([best], np.float64))
            assert indices.ravel().tolist() == [where]
            same(pool(x, kernel), y)


@pytest.mark.parametrize("algorithm", ["pooling", "naive"])
def test_nan_touches_exactly_the_windows_that_hold_it(algorithm):
    x = distinct(1, 1, 7, 7)
    x[0, 0, 3, 4] = NAN
    with F.settings(algorithm=algorithm):
        y, indices = F.max_pool2d(x, 3, 2, 1, return_indices=True)
    holds = F.max_pool2d(np.isnan(x).astype(float), 3, 2, 1) == 1
    assert holds.any()
    assert not holds.all()
    same(np.isnan(y), holds)
    assert (indices[holds] == 3 * 7 + 4).all()


@pytest.mark.parametrize("algorithm", ["pooling", "naive"])
def test_windows_without_input_give_minus_infinity_and_no_index(algorithm):
    with F.settings(algorithm=algorithm):
        y, indices = F.max_pool1d(np.array([[[-5.0, 7.0]]]), 2, 2, 3, return_indices=True)
        assert y.tolist() == [[[-INF, -5.0, 7.0, -INF]]]
        assert indices.tolist() == [[[-1, 0, 1, -1]]]
        same(F.max_pool1d(np.array([[[-5.0, 7.0]]]), 2, 2, 3), y)
        gx = F.max_pool1d_backward(np.array([[[1.0, 2, 4, 8]]]), indices, (1, 1, 2))
    same(gx, np.array([[[2.0, 4.0]]]))


@RANKS
def test_backward_adds_where_windows_share_a_maximum(rank):
    x = distinct(2, 3, *SIZES[rank])
    y, indices = POOL[rank](x, 3, 1, 1, return_indices=True)
    gy = ints(*y.shape)
    gx = BACKWARD[rank](gy, indices, x.shape)
    same(gx, oracle.scatter(gy, indices, SIZES[rank]))
    assert (np.bincount(indices[0, 0].ravel()) > 1).any()


@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "u4", "i8", "u8", ">i4"])
def test_indices_of_any_integer_dtype(dtype):
    gy = np.array([[[1.0, 2.0]]])
    same(
        F.max_pool1d_backward(gy, np.array([[[3, 1]]], dtype), (1, 1, 5)),
        np.array([[[0.0, 2, 0, 1, 0]]]),
    )


def test_gradient_keeps_its_dtype_in_float32():
    gy = np.full((1, 1, 3), 2.0**24, np.float32)
    gx = F.max_pool1d_backward(gy, np.zeros((1, 1, 3), int), (1, 1, 2))
    same(gx, np.array([[[3 * 2.0**24, 0]]], np.float32))


def test_no_batch():
    y, indices = F.max_pool2d(np.zeros((0, 3, 4, 4)), 2, return_indices=True)
    same(y, np.zeros((0, 3, 2, 2)))
    same(indices, np.zeros((0, 3, 2, 2), np.int64))
    same(F.max_pool2d_backward(y, indices, (0, 3, 4, 4)), np.zeros((0, 3, 4, 4)))
