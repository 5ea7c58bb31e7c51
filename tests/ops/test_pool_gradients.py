"""Gradients of pools against finite differences, and where the gradients of ranks go."""

import numpy as np
import pytest

import fastconv as F
from fastconv import ShapeError, reference
from tests.helpers import distinct, ints, same

MODULE = pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])
LAYOUT = pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
SIZES = {1: (9,), 2: (7, 6), 3: (4, 5, 3), 4: (2, 3, 2, 3)}
NAN = np.nan


def slope(pool, x, gy, step):
    """How the sum of a pool's results, times gy, grows along a step."""
    return ((pool(x + step) - pool(x - step)) * gy).sum() / 2


def apart(*shape):
    """Numbers no two of which are near, so that small steps change no order."""
    return distinct(*shape) / 10


@MODULE
@RANKS
@pytest.mark.parametrize("kind", ["median", "quantile", "max", "min"])
@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_ranks(module, rank, kind, mode):
    how = {"stride": 2, "padding": 1, "padding_mode": mode}
    if kind == "quantile":
        how["q"] = 0.3
    pool, back = (getattr(module, f"{kind}_pool{rank}d{end}") for end in ("", "_backward"))
    x = apart(2, 3, *SIZES[rank])
    y, indices = pool(x, 3, return_indices=True, **how)
    same(y, pool(x, 3, **how))
    flat = x.reshape(2, 3, -1)
    same(np.take_along_axis(flat, indices.reshape(2, 3, -1), 2).reshape(y.shape), y)
    gy, step = ints(*y.shape), ints(*x.shape, seed=1) * 1e-4
    found = (back(gy, indices, x.shape) * step).sum()
    np.testing.assert_allclose(slope(lambda x: pool(x, 3, **how), x, gy, step), found, rtol=1e-7)


@MODULE
@LAYOUT
@pytest.mark.parametrize("rank", SIZES)
@pytest.mark.parametrize("kind", ["avg", "max", "lp"])
def test_global_pools(module, layout, rank, kind):
    pool, back = (getattr(module, f"global_{kind}_pool{end}") for end in ("", "_backward"))
    x = apart(2, 3, *SIZES[rank]) + (100 if kind == "lp" else 0)
    x = np.moveaxis(x, 1, -1) if layout == "channels_last" else x
    norm = (3,) if kind == "lp" else ()
    y = pool(x, *norm, layout=layout)
    gy, step = ints(*y.shape), ints(*x.shape, seed=1) * 1e-4
    if kind == "avg":
        gx = back(gy, x.shape, layout=layout)
    elif kind == "max":
        _, indices = pool(x, return_indices=True, layout=layout)
        gx = back(gy, indices, x.shape, layout=layout)
    else:
        gx = back(gy, x, y, *norm, layout=layout)
    assert gx.shape == x.shape
    found = slope(lambda x: pool(x, *norm, layout=layout), x, gy, step)
    np.testing.assert_allclose(found, (gx * step).sum(), rtol=1e-7)


@MODULE
def test_equal_elements_are_sorted_by_place(module):
    x = np.array([[[5.0, 1.0, 5.0, 1.0, 5.0, 5.0]]])
    for q, place in ((0, 1), (0.2, 3), (0.4, 0), (0.6, 2), (0.8, 4), (1, 5)):
        _, indices = module.quantile_pool1d(x, 6, q=q, return_indices=True)
        assert indices.ravel() == [place]


@MODULE
def test_padding_is_never_where_an_infinity_was(module):
    x = np.array([[[np.inf, np.inf]]])
    y, indices = module.quantile_pool1d(x, 4, padding=1, q=1, return_indices=True)
    same(y, np.array([[[np.inf]]]))
    same(indices, np.array([[[1]]]))
    y, indices = module.median_pool1d(x, 1, 3, padding=3, return_indices=True)
    same(y, np.array([[[-np.inf, np.inf, -np.inf]]]))
    same(indices, np.array([[[-1, 0, -1]]]))


@MODULE
def test_nan_is_where_the_last_one_was(module):
    x = np.array([[[NAN, NAN, 3.0, 1.0, NAN, 2.0]]])
    y, indices = module.median_pool1d(x, 3, return_indices=True)
    same(y, np.array([[[NAN, NAN]]]))
    same(indices, np.array([[[1, 4]]]))
    y, indices = module.median_pool1d(x, 3, 3, padding=((1, 0),), return_indices=True)
    same(indices, np.array([[[1, 4]]]))


@MODULE
def test_gradients_that_do_not_fit_a_global_pool(module, plans):
    x, y = ints(2, 3, 4, 5), ints(2, 3, 1, 1)
    words = r"expected shape \(2, 3, 1, 1\) with one element for every plane"
    with pytest.raises(ShapeError, match="grad_output: " + words):
        module.global_avg_pool_backward(y[0], x.shape)
    with pytest.raises(ShapeError, match="indices: " + words):
        module.global_max_pool_backward(y, y.astype(int)[..., 0], x.shape)
    with pytest.raises(ShapeError, match="output: " + words):
        module.global_lp_pool_backward(y, x, y[:1])
    with pytest.raises(ShapeError, match=r"input_size: expected shape \(N, C, \*sizes\), got"):
        module.global_avg_pool_backward(y, (2, 3))
    assert plans == []
