"""Pools whose padding holds elements of the input."""

import inspect

import numpy as np
import pytest

import fastconv as F
from fastconv import ParameterError, PlanError, ShapeError, reference
from tests import oracle, oracle_padded, oracle_pool
from tests.helpers import distinct, ints, same

MODES = pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])
MODULES = pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
LAYOUTS = pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
NUMPY = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
SIZES = (5, 6, 4)
PADS = ((1, 3), (0, 2), (3, 1))
NAMES = ("max_pool", "min_pool", "avg_pool", "lp_pool", "median_pool", "quantile_pool")


def padded(x, pads, mode):
    return np.pad(x, ((0, 0), (0, 0), *pads), NUMPY[mode])


def last(x):
    return np.moveaxis(x, 1, -1)


@RANKS
@pytest.mark.parametrize("name", [*NAMES, "avg_pool_backward", "lp_pool_backward"])
def test_every_function_takes_it(rank, name):
    stem, _, backward = name.partition("_backward")
    full = f"{stem}{rank}d" + ("_backward" if name != stem else backward)
    parameter = inspect.signature(getattr(F, full)).parameters["padding_mode"]
    assert (parameter.default, parameter.kind) == ("zeros", parameter.KEYWORD_ONLY)


@RANKS
@MODES
@MODULES
@pytest.mark.parametrize("rounding", ["floor", "ceil", "cover_all"])
def test_it_is_numpys_pad_and_then_the_pool(rank, mode, module, rounding):
    x, pads, kernel, stride = ints(2, 3, *SIZES[:rank]), PADS[:rank], (2,) * rank, (3,) * rank
    whole, none, ones = padded(x, pads, mode), ((0, 0),) * rank, (1,) * rank
    place, how = (kernel, stride, pads), {"padding_mode": mode, "rounding": rounding}
    oracles = (stride, none, ones, rounding)

    def pool(name):
        return getattr(module, f"{name}_pool{rank}d")

    for name in ("max", "min"):
        y, _ = oracle_pool.extreme_pool(whole, kernel, *oracles, name == "min", False)
        same(pool(name)(x, *place, **how), y)
    y, _ = oracle_pool.quantile_pool(whole, 0.25, kernel, *oracles)
    same(pool("quantile")(x, *place, q=0.25, **how), y)
    y, _ = oracle_pool.quantile_pool(whole, 0.5, kernel, *oracles)
    same(pool("median")(x, *place, **how), y)
    for counts in (True, False):  # which matters to windows of nothing alone
        y = oracle.avg_pool(whole, kernel, *oracles, counts, None, False)
        same(pool("avg")(x, *place, count_include_pad=counts, **how), y)
    y = oracle_pool.lp_pool(whole, 1, kernel, *oracles)
    how["padding"] = pads
    np.testing.assert_allclose(pool("lp")(x, 1, kernel, stride, **how), y, rtol=1e-14)


@RANKS
@MODES
@LAYOUTS
@MODULES
@pytest.mark.parametrize("name", ["max", "min"])
def test_indices_are_of_the_elements_that_are_repeated(rank, mode, layout, module, name):
    """So that the gradient by them is the adjoint of picking them."""
    x, pads = distinct(2, 3, *SIZES[:rank]), PADS[:rank]
    how = {"padding_mode": mode, "layout": layout}
    given = last(x) if layout == "channels_last" else x
    pool, back = (getattr(module, f"{name}_pool{rank}d{end}") for end in ("", "_backward"))
    y, indices = pool(given, 3, 2, pads, return_indices=True, **how)
    flat = given.reshape(2, -1, 3) if layout == "channels_last" else x.reshape(2, 3, -1)
    axis = 1 if layout == "channels_last" else 2
    places = indices.reshape((2, -1, 3) if axis == 1 else (2, 3, -1))
    same(np.take_along_axis(flat, places, axis).reshape(y.shape), y)
    gy = ints(*y.shape, seed=1)
    gx = back(gy, indices, given.shape, layout=layout)
    assert (gy * y).sum() == (gx * given).sum()
    one = pool(given[0], 3, 2, pads, return_indices=True, **how)
    same(one[0], y[0])
    same(one[1], indices[0])


@RANKS
@MODES
@LAYOUTS
@MODULES
def test_gradients_of_averages_are_adjoint(rank, mode, layout, module):
    x, pads = ints(2, 3, *SIZES[:rank]) * 64, PADS[:rank]
    x = last(x) if layout == "channels_last" else x
    how = {"padding_mode": mode, "layout": layout}
    pool, back = (getattr(module, f"avg_pool{rank}d{end}") for end in ("", "_backward"))
    y = pool(x, 2, 2, pads, **how)
    gy = ints(*y.shape, seed=1) * 64
    gx = back(gy, x.shape, 2, 2, pads, **how)
    assert (gy * y).sum() == (gx * x).sum()


@RANKS
@MODES
@MODULES
@pytest.mark.parametrize("norm", [1, 2, 3, np.inf])
def test_gradients_of_norms_are_folded(rank, mode, module, norm):
    x, pads, kernel = np.abs(distinct(2, 3, *SIZES[:rank])) + 1, PADS[:rank], (2,) * rank
    pool, back = (getattr(module, f"lp_pool{rank}d{end}") for end in ("", "_backward"))
    how = {"padding": pads, "padding_mode": mode}
    y = pool(x, norm, 2, 2, **how)
    gy, whole = ints(*y.shape, seed=1), padded(x, pads, mode)
    place = (kernel, (2,) * rank, ((0, 0),) * rank, (1,) * rank, "floor")
    gradient = oracle_pool.lp_pool_gradient(gy, whole, y, norm, *place)
    expected = oracle_padded.folded(gradient, x.shape[2:], pads, mode)
    np.testing.assert_allclose(back(gy, x, y, norm, 2, 2, **how), expected, rtol=1e-12, atol=1e-12)


@MODES
def test_nan_is_repeated_too(mode):
    x = np.arange(5.0).reshape(1, 1, 5)
    x[0, 0, 1] = np.nan
    whole = padded(x, ((2, 2),), mode)
    for name in ("max_pool1d", "avg_pool1d", "median_pool1d"):
        y = getattr(F, name)(x, 1, 1, 2, padding_mode=mode)
        same(np.isnan(y), np.isnan(whole))
    y, indices = F.max_pool1d(x, 7, 1, 1, return_indices=True, padding_mode=mode)
    assert np.isnan(y).all()
    assert (indices == 1).all()


def test_integers_keep_their_dtype():
    x = ints(1, 2, 5, 6, dtype=np.uint8)
    how = {"padding_mode": "reflect"}
    same(F.max_pool2d(x, 3, 1, 2, **how), F.max_pool2d(padded(x, ((2, 2),) * 2, "reflect"), 3, 1))
    same(F.avg_pool2d(x, 3, 1, 2, **how), F.avg_pool2d(padded(x, ((2, 2),) * 2, "reflect"), 3, 1))


def test_the_padded_copy_is_counted():
    how = {"padding": 1, "padding_mode": "reflect", "return_indices": True}
    plain = F.explain("max_pool2d", (1, 3, 64, 64), 3, 1, return_indices=True)
    plan = F.explain("max_pool2d", (1, 3, 64, 64), 3, 1, **how)
    assert plan.scratch_bytes >= plain.scratch_bytes + 3 * 66 * 66 * 4 + 66 * 66 * 8
    with F.settings(max_scratch_bytes=1000, algorithm="pooling"), pytest.raises(PlanError):
        F.explain("max_pool2d", (1, 3, 64, 64), 3, 1, **how)


CALLS = {
    "max": lambda **k: F.max_pool1d(np.ones((1, 1, 4)), 2, **k),
    "min": lambda **k: F.min_pool1d(np.ones((1, 1, 4)), 2, **k),
    "avg": lambda **k: F.avg_pool1d(np.ones((1, 1, 4)), 2, **k),
    "avg_back": lambda **k: F.avg_pool1d_backward(np.ones((1, 1, 2)), (1, 1, 4), 2, **k),
    "lp": lambda **k: F.lp_pool1d(np.ones((1, 1, 4)), 2, 2, **k),
    "median": lambda **k: F.median_pool1d(np.ones((1, 1, 4)), 2, **k),
}


@pytest.mark.parametrize("name", CALLS)
def test_nonsense_is_refused(name, plans):
    for value in ("constant", None, 0, b"reflect", ("reflect",)):
        with pytest.raises(ParameterError, match=r"^padding_mode: expected one of \('zeros'"):
            CALLS[name](padding_mode=value)
    with pytest.raises(ShapeError, match=r"^padding: \(4, 4\) with padding_mode='reflect'"):
        CALLS[name](padding=4, padding_mode="reflect")
    with pytest.raises(ShapeError, match=r"^padding: \(5, 5\) with padding_mode='circular'"):
        CALLS[name](padding=5, padding_mode="circular")
    assert plans == []
