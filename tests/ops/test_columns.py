import inspect

import numpy as np
import pytest

import fastconv as F
from tests import oracle
from tests.helpers import distinct, ints, same

SIZES = {1: (9,), 2: (7, 6), 3: (4, 5, 6), 4: (3, 4, 2, 3)}
RANKS = pytest.mark.parametrize("rank", SIZES)


@pytest.mark.parametrize(
    ("function", "names", "defaults"),
    [
        (F.sliding_windows, "input kernel_size stride dilation", [1, 1]),
        (F.im2col, "input kernel_size stride padding dilation pad_value", [1, 0, 1, 0]),
        (F.col2im, "columns output_size kernel_size stride padding dilation", [1, 0, 1]),
        (F.unfold, "input kernel_size dilation padding stride", [1, 0, 1]),
        (F.fold, "input output_size kernel_size dilation padding stride", [1, 0, 1]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_parameters(function, names, defaults):
    parameters = inspect.signature(function).parameters
    names = names.split()
    assert list(parameters)[: len(names)] == names
    found = [p.default for p in parameters.values()][: len(names)]
    assert found[len(names) - len(defaults) :] == defaults


def test_pad_value_is_keyword_only():
    with pytest.raises(TypeError):
        F.im2col(np.zeros((1, 1, 4)), 2, 1, 0, 1, 5)


@RANKS
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_im2col_and_back(rank, dtype):
    x = distinct(2, 2, *SIZES[rank], dtype=dtype)
    for stride, padding, dilation in ((1, 0, 1), (2, 1, 1), (1, 2, 2), (3, 1, 1)):
        place = ((stride,) * rank, ((padding, padding),) * rank, (dilation,) * rank)
        kernel = (2,) * rank
        columns = F.im2col(x, 2, stride, padding, dilation)
        same(columns, oracle.im2col(x, kernel, *place))
        back = F.col2im(columns, SIZES[rank], 2, stride, padding, dilation)
        same(back, oracle.col2im(columns, SIZES[rank], kernel, *place).astype(dtype))


@RANKS
def test_a_different_value_for_every_dimension(rank):
    x = distinct(1, 2, *SIZES[rank])
    kernel, stride = (3, 2, 2, 1)[:rank], (2, 1, 3, 1)[:rank]
    pairs, dilation = ((1, 2), (0, 1), (3, 0), (0, 0))[:rank], (1, 2, 1, 1)[:rank]
    columns = F.im2col(x, kernel, stride, pairs, dilation)
    same(columns, oracle.im2col(x, kernel, stride, pairs, dilation))
    back = F.col2im(columns, SIZES[rank], kernel, stride, pairs, dilation)
    same(back, oracle.col2im(columns, SIZES[rank], kernel, stride, pairs, dilation))


@pytest.mark.parametrize("pad_value", [7, -2.5, float("nan"), -np.inf, np.float32(3), np.int8(1)])
def test_pad_value_fills_the_padding_only(pad_value):
    x = distinct(1, 2, 4, 5)
    columns = F.im2col(x, 3, padding=((0, 2), (1, 0)), pad_value=pad_value)
    same(columns, oracle.im2col(x, (3, 3), None, ((0, 2), (1, 0)), None, pad_value))


def test_a_finite_pad_value_must_fit_the_dtype():
    with pytest.raises(F.ParameterError, match=r"^pad_value: "):
        F.im2col(np.zeros((1, 1, 2), np.float32), 2, padding=1, pad_value=1e300)


@pytest.mark.parametrize("form", ["same", "same_lower", "valid"])
def test_named_padding(form):
    x = distinct(1, 2, 7, 6)
    columns = F.im2col(x, (2, 3), 2, form)
    pairs = ((0, 0), (0, 0))
    if form != "valid":
        lower = form == "same_lower"
        pairs = (oracle.same_padding(7, 2, 2, 1, lower), oracle.same_padding(6, 3, 2, 1, lower))
    same(columns, oracle.im2col(x, (2, 3), (2, 2), pairs))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_tuple_fixes_the_rank_so_that_inputs_may_be_unbatched(rank):
    x = distinct(2, 2, *SIZES[rank])
    kernel = (2,) * rank
    columns = F.im2col(x[1], kernel)
    same(columns, F.im2col(x[1:], kernel)[0])
    same(F.col2im(columns, SIZES[rank], kernel), F.col2im(columns[None], SIZES[rank], kernel)[0])
    same(F.sliding_windows(x[1], kernel), F.sliding_windows(x[1:], kernel)[0])


def test_an_int_means_that_all_after_batch_and_channels_is_spatial():
    x = distinct(2, 3, 4)
    same(F.im2col(x, 2), F.im2col(x, (2,)))
    assert F.sliding_windows(x, 2).shape == (2, 3, 3, 2)
    assert F.sliding_windows(x, (2, 2)).shape == (2, 2, 3, 2, 2)


def test_columns_are_ordered_channels_taps_positions():
    x = distinct(1, 2, 3, 4)
    columns = F.im2col(x, (2, 3))
    split = columns.reshape(1, 2, 2, 3, 2, 2)  # (N, C, kh, kw, oh, ow)
    for c, i, j, oh, ow in np.ndindex(2, 2, 3, 2, 2):
        assert split[0, c, i, j, oh, ow] == x[0, c, oh + i, ow + j]


def test_columns_times_weights_is_convolution():
    x, w = ints(2, 3, 6, 7), ints(4, 3, 3, 2)
    product = w.reshape(4, -1) @ F.im2col(x, (3, 2), 2, 1)
    same(product.reshape(F.conv2d(x, w, None, 2, 1).shape), F.conv2d(x, w, None, 2, 1))


@pytest.mark.parametrize("shape", [(2, 3, 7, 6), (3, 7, 6)], ids=["batched", "unbatched"])
def test_unfold_and_fold_are_these_in_pytorchs_order(shape):
    x = distinct(*shape)
    columns = F.unfold(x, (3, 2), (1, 2), (2, 1), (2, 1))
    same(columns, F.im2col(x, (3, 2), stride=(2, 1), padding=(2, 1), dilation=(1, 2)))
    back = F.fold(columns, (7, 6), (3, 2), (1, 2), (2, 1), (2, 1))
    same(back, F.col2im(columns, (7, 6), (3, 2), stride=(2, 1), padding=(2, 1), dilation=(1, 2)))
    assert back.shape == shape


def test_unfold_takes_three_dimensions_as_one_unbatched_image():
    x = distinct(3, 6, 6)
    same(F.unfold(x, 2), F.unfold(x[None], 2)[0])


@pytest.mark.parametrize("rank", [1, 3])
def test_unfold_and_fold_in_other_ranks(rank):
    x = distinct(2, 2, *SIZES[rank])
    kernel = (2,) * rank
    columns = F.unfold(x, kernel)
    same(columns, F.im2col(x, kernel))
    same(F.fold(columns, SIZES[rank], kernel), F.col2im(columns, SIZES[rank], kernel))


def test_an_int_output_size_is_a_square_for_fold_and_a_line_for_col2im():
    assert F.fold(np.ones((1, 4, 9)), 4, 2).shape == (1, 1, 4, 4)
    assert F.col2im(np.ones((1, 4, 3)), 4, 2).shape == (1, 2, 4)


@RANKS
def test_sliding_windows(rank):
    x = distinct(2, 2, *SIZES[rank])
    view = F.sliding_windows(x, 2, 2)
    assert np.shares_memory(view, x)
    assert not view.flags.writeable
    expected = oracle.im2col(x, (2,) * rank, (2,) * rank)
    order = (0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
    same(view.transpose(order).reshape(expected.shape), expected)


@pytest.mark.parametrize("dtype", ["i1", "u8", "?", "f2", "c16", ">i4", "V3"])
def test_sliding_windows_of_any_dtype(dtype):
    x = np.arange(24).astype("u1").view("V3") if dtype == "V3" else np.arange(8).astype(dtype)
    view = F.sliding_windows(x.reshape(1, 1, 8), 3, 2)
    assert view.shape == (1, 1, 3, 3)
    for o, t in np.ndindex(3, 3):
        assert view[0, 0, o, t] == x[2 * o + t]


def test_no_batch():
    columns = F.im2col(np.zeros((0, 2, 4, 4)), 3)
    same(columns, np.zeros((0, 18, 4)))
    same(F.col2im(columns, (4, 4), 3), np.zeros((0, 2, 4, 4)))
    assert F.sliding_windows(np.zeros((0, 2, 4, 4)), 3).shape == (0, 2, 2, 2, 3, 3)
