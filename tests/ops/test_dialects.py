"""Columns in the orders and with the paddings of other libraries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv as F
from fastconv import reference
from fastconv.dialects import NAMES
from tests import oracle, oracle_columns
from tests.helpers import distinct, ints, same

SIZES = {1: (9,), 2: (7, 6), 3: (4, 5, 6), 4: (3, 4, 3, 3)}
RANKS = pytest.mark.parametrize("rank", SIZES)
DIALECTS = pytest.mark.parametrize("dialect", NAMES)
MODES = pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
KEEP_BATCH = ("fastconv", "chainer", "jax")


@RANKS
@DIALECTS
@MODES
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_both_directions_agree_with_the_oracle(rank, dialect, mode, dtype):
    x = distinct(3, 2, *SIZES[rank], dtype=dtype)
    kernel = (3, 2, 2, 1)[:rank]
    for stride, padding, dilation in ((1, 0, 1), (2, 1, 1), (1, 2, 2)):
        pairs = ((padding, min(padding, 1)),) * rank
        place = ((stride,) * rank, pairs, (dilation,) * rank)
        how = {"padding_mode": mode, "dialect": dialect}
        columns = F.im2col(x, kernel, stride, pairs, dilation, **how)
        same(columns, oracle_columns.im2col(x, kernel, *place, 0, mode, dialect))
        g = ints(*columns.shape, dtype=dtype)
        back = F.col2im(g, SIZES[rank], kernel, stride, pairs, dilation, **how)
        expected = oracle_columns.col2im(g, x.shape, kernel, *place, mode, dialect)
        same(back, expected.astype(dtype))
        assert (columns * g).sum() == (x * back).sum()


def test_the_oracles_agree():
    x = distinct(2, 3, 6, 5)
    place = ((3, 2), (2, 1), ((1, 2), (0, 3)), (1, 2))
    same(oracle_columns.im2col(x, *place, -4.0), oracle.im2col(x, *place, -4.0))
    columns = ints(*oracle.im2col(x, *place).shape)
    same(oracle_columns.col2im(columns, x.shape, *place), oracle.col2im(columns, (6, 5), *place))


def windows_of(x, kh, kw, stride):
    """Yield (n, i, j, window) in the order of samples, rows, columns."""
    for n in range(x.shape[0]):
        for i, top in enumerate(range(0, x.shape[2] - kh + 1, stride)):
            for j, left in enumerate(range(0, x.shape[3] - kw + 1, stride)):
                yield n, i, j, x[n, :, top : top + kh, left : left + kw]


def test_dlfs_is_a_row_for_every_window():
    x = distinct(3, 2, 5, 6)
    rows = F.im2col(x, (2, 3), 2, dialect="dlfs")
    assert rows.shape == (3 * 2 * 2, 2 * 2 * 3)
    for row, (*_, window) in zip(rows, windows_of(x, 2, 3, 2), strict=True):
        same(row, window.ravel())


def test_cnnumpy_is_a_column_for_every_window_sample_by_sample():
    x = distinct(3, 2, 5, 6)
    columns = F.im2col(x, (2, 3), 2, dialect="cnnumpy")
    assert columns.shape == (2 * 2 * 3, 3 * 2 * 2)
    for column, (*_, window) in zip(columns.T, windows_of(x, 2, 3, 2), strict=True):
        same(column, window.ravel())


def test_cs231n_is_a_column_for_every_window_position_by_position():
    x = distinct(3, 2, 5, 6)
    columns = F.im2col(x, (2, 3), 2, dialect="cs231n")
    assert columns.shape == (2 * 2 * 3, 2 * 2 * 3)
    for n, i, j, window in windows_of(x, 2, 3, 2):
        same(columns[:, (i * 2 + j) * 3 + n], window.ravel())


def test_chainer_and_jax_keep_the_window_positions_apart():
    x = distinct(3, 2, 5, 6)
    chainer = F.im2col(x, (2, 3), 2, dialect="chainer")
    jax = F.im2col(x, (2, 3), 2, dialect="jax")
    assert chainer.shape == (3, 2, 2, 3, 2, 2)
    assert jax.shape == (3, 2 * 2 * 3, 2, 2)
    for n, i, j, window in windows_of(x, 2, 3, 2):
        same(chainer[n, :, :, :, i, j], window)
        same(jax[n, :, i, j], window.ravel())


@DIALECTS
def test_a_matrix_multiply_over_columns_is_convolution(dialect):
    x, w = ints(2, 3, 6, 7), ints(4, 3, 3, 2)
    y = F.conv2d(x, w, None, 2, 1)
    columns = F.im2col(x, (3, 2), 2, 1, dialect=dialect)
    flat = w.reshape(4, -1)
    products = {
        "fastconv": lambda: (flat @ columns).reshape(y.shape),
        "chainer": lambda: np.tensordot(columns, w, ([1, 2, 3], [1, 2, 3])).transpose(0, 3, 1, 2),
        "jax": lambda: np.tensordot(flat, columns, (1, 1)).swapaxes(0, 1),
        "dlfs": lambda: (columns @ flat.T).reshape(2, *y.shape[2:], 4).transpose(0, 3, 1, 2),
        "cnnumpy": lambda: (flat @ columns).reshape(4, 2, *y.shape[2:]).swapaxes(0, 1),
        "cs231n": lambda: (flat @ columns).reshape(4, *y.shape[2:], 2).transpose(3, 0, 1, 2),
    }
    same(products[dialect](), y)


@DIALECTS
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_unbatched(dialect, rank):
    x = distinct(2, *SIZES[rank])
    kernel = (2,) * rank
    batched = F.im2col(x[None], kernel, 1, 1, dialect=dialect)
    columns = F.im2col(x, kernel, 1, 1, dialect=dialect)
    back = F.col2im(columns, SIZES[rank], kernel, 1, 1, dialect=dialect)
    if dialect in KEEP_BATCH:
        same(columns, batched[0])
        assert back.shape == x.shape
    else:  # the batch is not an axis of its own
        same(columns, batched)
        assert back.shape == (1, *x.shape)
    same(back.reshape(x.shape), F.col2im(batched, SIZES[rank], kernel, 1, 1, dialect=dialect)[0])


@pytest.mark.parametrize("dialect", ["chainer", "jax"])
@RANKS
def test_columns_with_axes_show_the_rank(dialect, rank):
    x = distinct(2, 3, *(5,) * rank)
    columns = F.im2col(x, 2, dialect=dialect)
    assert F.col2im(columns, 5, 2, dialect=dialect).shape == x.shape


@DIALECTS
@MODES
def test_no_batch(dialect, mode):
    how = {"padding_mode": mode, "dialect": dialect}
    columns = F.im2col(np.zeros((0, 2, 4, 4)), (3, 3), 1, 1, **how)
    assert columns.size == 0
    assert F.col2im(columns, (4, 4), (3, 3), 1, 1, **how).shape == (0, 2, 4, 4)


@DIALECTS
@pytest.mark.parametrize("channels", [1, 7, 8, 20])
def test_few_and_many_channels(dialect, channels):
    x = distinct(2, channels, 6, 7)
    place = ((1, 1), ((1, 1), (1, 1)), (1, 1))
    expected = oracle_columns.im2col(x, (3, 3), *place, 0, "zeros", dialect)
    same(F.im2col(x, 3, 1, 1, dialect=dialect), expected)


@DIALECTS
@MODES
def test_the_loops_agree(dialect, mode):
    how = {"padding_mode": mode, "dialect": dialect}
    x = distinct(2, 3, 5, 4)
    columns = F.im2col(x, 3, 2, (2, 1), **how)
    same(reference.im2col(x, 3, 2, (2, 1), **how), columns)
    back = F.col2im(columns, (5, 4), 3, 2, (2, 1), **how)
    same(reference.col2im(columns, (5, 4), 3, 2, (2, 1), **how), back)


@DIALECTS
@MODES
def test_the_plan_is_explained(dialect, mode, plans):
    how = {"padding_mode": mode, "dialect": dialect}
    x = distinct(2, 3, 5, 4)
    columns = F.im2col(x, 3, 2, (2, 1), **how)
    F.col2im(columns, (5, 4), 3, 2, (2, 1), **how)
    assert plans == [
        F.explain("im2col", x.shape, 3, 2, (2, 1), dtype=float, **how),
        F.explain("col2im", columns.shape, (5, 4), 3, 2, (2, 1), dtype=float, **how),
    ]
    assert plans[0].output_shape == columns.shape


@DIALECTS
def test_samples_are_padded_a_few_at_a_time(dialect):
    x = distinct(9, 4, 40, 41)
    how = {"padding_mode": "circular", "dialect": dialect}
    with F.settings(max_scratch_bytes=2 * 4 * 42 * 43 * 8):
        plan = F.explain("im2col", x.shape, 3, 1, 1, dtype=float, **how)
        assert 0 < plan.scratch_bytes <= plan.max_scratch_bytes
        columns = F.im2col(x, 3, 1, 1, **how)
        back = F.col2im(columns, (40, 41), 3, 1, 1, **how)
    same(columns, F.im2col(x, 3, 1, 1, **how))
    same(back, F.col2im(columns, (40, 41), 3, 1, 1, **how))


@MODES
@given(shift=st.integers(0, 6))
def test_padding_no_window_reads_does_not_matter(mode, shift):
    x = distinct(1, 1, 7)
    columns = F.im2col(x, 2, 99, ((0, shift),), padding_mode=mode)
    same(columns, x[..., :2].reshape(1, 2, 1))
