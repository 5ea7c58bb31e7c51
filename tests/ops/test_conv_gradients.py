import inspect

import numpy as np
import pytest

import fastconv as F
from tests import oracle
from tests.helpers import ints, same
from tests.ops.test_conv import CONV, DTYPES, RANKS, arrays

INPUT = {1: F.conv1d_input, 2: F.conv2d_input, 3: F.conv3d_input}
WEIGHT = {1: F.conv1d_weight, 2: F.conv2d_weight, 3: F.conv3d_weight}


@RANKS
def test_parameters_are_those_of_torch_nn_grad(rank):
    shared = ["grad_output", "stride", "padding", "dilation", "groups"]
    for table, names in ((INPUT, ["input_size", "weight"]), (WEIGHT, ["input", "weight_size"])):
        parameters = inspect.signature(table[rank]).parameters
        assert list(parameters)[:7] == names + shared
        assert [p.default for p in parameters.values()][3:7] == [1, 0, 1, 1]


def check(rank, x, w, stride=1, padding=0, dilation=1, groups=1):
    """Compare both gradients with the oracle; padding by whatever form the call takes."""
    place = (stride, padding, dilation, groups)
    y = CONV[rank](x, w, None, *place)
    gy = ints(*y.shape, dtype=x.dtype, seed=9)
    pairs = padding
    if isinstance(padding, int):
        pairs = ((padding, padding),) * rank
    elif isinstance(padding, str):
        pairs = ((0, 0),) * rank
        if padding != "valid":
            pairs = tuple(
                oracle.same_padding(size, kernel, stride, dilation, padding == "same_lower")
                for size, kernel in zip(x.shape[2:], w.shape[2:], strict=True)
            )
    args = ((stride,) * rank, pairs, (dilation,) * rank, groups)
    gx = oracle.conv_input_gradient(x.shape, w, gy, *args).astype(x.dtype)
    gw = oracle.conv_weight_gradient(x, w.shape, gy, *args).astype(x.dtype)
    same(INPUT[rank](x.shape, w, gy, *place), gx)
    same(WEIGHT[rank](x, w.shape, gy, *place), gw)


@RANKS
@DTYPES
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_both_gradients(rank, dtype, stride, groups):
    x, w, _ = arrays(rank, dtype, groups)
    check(rank, x, w, stride, 1, 1, groups)
    check(rank, x, w, stride, 0, 2, groups)


@RANKS
@pytest.mark.parametrize("form", ["same", "same_lower", "valid"])
@pytest.mark.parametrize("stride", [1, 2])
def test_every_form_of_padding_of_the_forward_call(rank, form, stride):
    x, w, _ = arrays(rank)
    check(rank, x, w, stride, form)
    check(rank, x, w, stride, ((1, 2), (0, 3), (2, 0))[:rank])


@RANKS
def test_unbatched(rank):
    x, w, _ = arrays(rank)
    gy = ints(*CONV[rank](x, w).shape)
    same(INPUT[rank](x[0].shape, w, gy[0]), INPUT[rank](x[:1].shape, w, gy[:1])[0])
    same(WEIGHT[rank](x[0], w.shape, gy[0]), WEIGHT[rank](x[:1], w.shape, gy[:1]))


def test_input_elements_that_no_window_reads_get_zero():
    gx = F.conv1d_input((1, 1, 6), np.ones((1, 1, 2)), np.ones((1, 1, 2)), stride=3)
    same(gx, np.array([[[1.0, 1, 0, 1, 1, 0]]]))


def test_taps_that_only_read_padding_get_zero():
    gw = F.conv1d_weight(np.ones((1, 1, 1)), (1, 1, 3), np.ones((1, 1, 1)), padding=1)
    same(gw, np.array([[[0.0, 1, 0]]]))


@RANKS
def test_no_batch(rank):
    x, w, _ = arrays(rank)
    gy = ints(*CONV[rank](x, w).shape)
    same(INPUT[rank]((0, *x.shape[1:]), w, gy[:0]), x[:0])
    same(WEIGHT[rank](x[:0], w.shape, gy[:0]), np.zeros_like(w))


@pytest.mark.parametrize("size", [(2, 2, 9), [2, 2, 9], np.array([2, 2, 9])], ids=repr)
def test_sizes_are_any_sequence(size):
    x, w, _ = arrays(1)
    gy = ints(*F.conv1d(x, w).shape)
    same(F.conv1d_input(size, w, gy), F.conv1d_input(x.shape, w, gy))


def test_dtypes_are_promoted_first():
    w, gy = np.ones((1, 1, 2), np.float32), np.ones((1, 1, 3), np.float64)
    assert F.conv1d_input((1, 1, 4), w, gy).dtype == np.float64
    assert F.conv1d_weight(np.ones((1, 1, 4), np.float32), w.shape, gy).dtype == np.float64


@RANKS
@DTYPES
@pytest.mark.parametrize("batched", [True, False], ids=["batched", "unbatched"])
def test_channels_last(rank, dtype, batched):
    x, w, _ = arrays(rank, dtype, groups=2)
    place = (2, 1, 1, 2)
    gy = ints(*CONV[rank](x, w, None, *place).shape, dtype=dtype, seed=9)
    last = [np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in (x, gy)]
    sample = slice(None) if batched else 0
    (x, gy), (lx, lgy) = ([a[sample] for a in pair] for pair in ((x, gy), last))
    gx = np.moveaxis(INPUT[rank](x.shape, w, gy, *place), -rank - 1, -1)
    same(INPUT[rank](lx.shape, w, lgy, *place, layout="channels_last"), gx)
    gw = WEIGHT[rank](x, w.shape, gy, *place)
    same(WEIGHT[rank](lx, w.shape, lgy, *place, layout="channels_last"), gw)


@RANKS
def test_a_gradient_in_the_other_layout_is_refused(rank):
    x, w, _ = arrays(rank)
    gy = ints(*CONV[rank](x, w).shape)
    shape = (*x.shape[:1], *x.shape[2:], x.shape[1])
    with pytest.raises(F.ShapeError, match=r"^grad_output: "):
        INPUT[rank](shape, w, gy, layout="channels_last")
    with pytest.raises(F.ParameterError, match=r"^layout: "):
        INPUT[rank](shape, w, gy, layout="NHWC")
