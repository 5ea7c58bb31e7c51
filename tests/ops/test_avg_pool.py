import inspect

import numpy as np
import pytest

import fastconv as F
from tests import oracle
from tests.helpers import ints, same

POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
BACKWARD = {1: F.avg_pool1d_backward, 2: F.avg_pool2d_backward, 3: F.avg_pool3d_backward}
SIZES = {1: (11,), 2: (9, 8), 3: (5, 6, 7)}
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])
ALGORITHMS = pytest.mark.parametrize("algorithm", ["pooling", "naive"])
GRID = pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(2, None, 0), (3, 2, 1), (3, 1, 1), (2, 3, 0), (3, 4, 2)]
)


@RANKS
def test_parameters_are_those_of_pytorch(rank):
    names = ["kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"]
    defaults = [None, 0, False, True]
    if rank > 1:
        names.append("divisor_override")
        defaults.append(None)
    forward = inspect.signature(POOL[rank]).parameters
    assert list(forward)[: len(names) + 1] == ["input", *names]
    assert [p.default for p in forward.values()][2 : len(names) + 1] == defaults
    backward = inspect.signature(BACKWARD[rank]).parameters
    assert list(backward)[: len(names) + 2] == ["grad_output", "input_size", *names]
    assert [p.default for p in backward.values()][3 : len(names) + 2] == defaults


def place(rank, kernel, stride, padding):
    return (kernel,) * rank, (stride or kernel,) * rank, ((padding, padding),) * rank


@RANKS
@GRID
@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
@pytest.mark.parametrize("count", [True, False], ids=["count-pad", "skip-pad"])
def test_values(rank, kernel, stride, padding, ceil_mode, count):
    for dtype in (np.float32, np.float64):
        x = ints(2, 3, *SIZES[rank], dtype=dtype)
        y = POOL[rank](x, kernel, stride, padding, ceil_mode, count)
        expected = oracle.avg_pool(x, *place(rank, kernel, stride, padding), None, ceil_mode, count)
        same(y, expected.astype(dtype))


@RANKS
@GRID
@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
@pytest.mark.parametrize("count", [True, False], ids=["count-pad", "skip-pad"])
def test_gradient(rank, kernel, stride, padding, ceil_mode, count):
    x = ints(2, 3, *SIZES[rank])
    y = POOL[rank](x, kernel, stride, padding, ceil_mode, count)
    gy = ints(*y.shape) * 6**3  # so that every quotient is an integer
    gx = BACKWARD[rank](gy, x.shape, kernel, stride, padding, ceil_mode, count)
    expected = oracle.avg_pool_gradient(
        gy, x.shape, *place(rank, kernel, stride, padding), None, count
    )
    same(gx, expected)


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("divisor", [1, 4, -2, 7])
def test_divisor_override(rank, divisor):
    x = ints(2, 3, *SIZES[rank])
    y = POOL[rank](x, 3, 2, 1, divisor_override=divisor)
    args = place(rank, 3, 2, 1)
    same(y, oracle.avg_pool(x, *args, divisor_override=divisor))
    gy = ints(*y.shape) * 28
    gx = BACKWARD[rank](gy, x.shape, 3, 2, 1, divisor_override=divisor)
    same(gx, oracle.avg_pool_gradient(gy, x.shape, *args, divisor_override=divisor))


@RANKS
def test_a_different_value_for_every_dimension(rank):
    x = ints(1, 2, *SIZES[rank])
    kernel, stride = (3, 2, 2)[:rank], (2, 1, 3)[:rank]
    pairs = ((1, 2), (0, 1), (3, 0))[:rank]
    same(POOL[rank](x, kernel, stride, pairs), oracle.avg_pool(x, kernel, stride, pairs))


@RANKS
def test_unbatched(rank):
    x = ints(2, 3, *SIZES[rank])
    y = POOL[rank](x[1], 2)
    same(y, POOL[rank](x[1:], 2)[0])
    same(BACKWARD[rank](y, x[1].shape, 2), BACKWARD[rank](y[None], x[1:].shape, 2)[0])


@ALGORITHMS
def test_what_overhangs_in_ceil_mode_never_counts(algorithm):
    """Five ones, windows of 4 every 3: the second holds 2 elements, 3 with the padding."""
    x = np.ones((1, 1, 5))
    with F.settings(algorithm=algorithm):
        for padding, count, expected in (
            (0, True, [1, 1]),
            (0, False, [1, 1]),
            (1, True, [3 / 4, 3 / 4]),
            (1, False, [1, 1]),
            (((0, 1),), True, [1, 2 / 3]),
        ):
            y = F.avg_pool1d(x, 4, 3, padding, True, count)
            np.testing.assert_array_equal(y.ravel(), expected)


@ALGORITHMS
def test_windows_without_input_give_zero_or_nan(algorithm):
    x = np.array([[[4.0, 8.0]]])
    with F.settings(algorithm=algorithm):
        same(F.avg_pool1d(x, 2, 2, 3), np.array([[[0.0, 2, 4, 0]]]))
        nan = float("nan")
        same(F.avg_pool1d(x, 2, 2, 3, count_include_pad=False), np.array([[[nan, 4.0, 8.0, nan]]]))


@ALGORITHMS
def test_gradients_of_windows_without_input_go_nowhere(algorithm):
    gy = np.array([[[1.0, 2, 4, 8]]])
    with F.settings(algorithm=algorithm):
        same(
            F.avg_pool1d_backward(gy, (1, 1, 2), 2, 2, 3, count_include_pad=False),
            np.array([[[2.0, 4.0]]]),
        )
        same(F.avg_pool1d_backward(gy, (1, 1, 2), 2, 2, 3), np.array([[[1.0, 2.0]]]))


@ALGORITHMS
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_touch_exactly_the_windows_that_hold_them(algorithm, value):
    x = ints(1, 1, 7, 7)
    x[0, 0, 3, 4] = value
    with F.settings(algorithm=algorithm):
        y = F.avg_pool2d(x, 3, 2, 1)
    holds = F.avg_pool2d((~np.isfinite(x)).astype(float), 3, 2, 1) > 0
    assert 0 < holds.sum() < holds.size
    same(~np.isfinite(y), holds)


def test_no_batch():
    y = F.avg_pool2d(np.zeros((0, 3, 4, 4)), 2)
    same(y, np.zeros((0, 3, 2, 2)))
    same(F.avg_pool2d_backward(y, (0, 3, 4, 4), 2), np.zeros((0, 3, 4, 4)))
