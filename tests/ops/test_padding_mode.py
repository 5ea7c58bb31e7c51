"""Convolutions whose padding holds elements of the input."""

import inspect

import numpy as np
import pytest

import fastconv as F
from fastconv import ParameterError, PlanError, ShapeError, reference
from tests import oracle_padded
from tests.helpers import ints, same
from tests.ops.test_conv import CONV, DTYPES, RANKS, arrays
from tests.ops.test_conv_gradients import INPUT, WEIGHT

MODES = pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])


@RANKS
def test_every_function_takes_it(rank):
    for function in (CONV[rank], INPUT[rank], WEIGHT[rank]):
        parameter = inspect.signature(function).parameters["padding_mode"]
        assert (parameter.default, parameter.kind) == ("zeros", parameter.KEYWORD_ONLY)


@RANKS
@DTYPES
@MODES
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [((1, 2), (0, 3), (2, 1)), ((1, 0), (0, 0), (0, 2))], ids=str)
@pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
def test_it_is_that_of_the_oracle(rank, dtype, mode, stride, padding, module):
    x, w, b = arrays(rank, dtype, groups=2)
    place, how = (stride, padding[:rank], 1, 2), {"padding_mode": mode}
    args = ((stride,) * rank, padding[:rank], (1,) * rank, 2, mode)
    name = f"conv{rank}d"
    y = oracle_padded.conv(x, w, b, *args).astype(dtype)
    same(getattr(module, name)(x, w, b, *place, **how), y)
    gx = oracle_padded.conv_input_gradient(x.shape, w, y, *args).astype(dtype)
    same(getattr(module, f"{name}_input")(x.shape, w, y, *place, **how), gx)
    gw = oracle_padded.conv_weight_gradient(x, w.shape, y, *args).astype(dtype)
    same(getattr(module, f"{name}_weight")(x, w.shape, y, *place, **how), gw)


@RANKS
@MODES
@pytest.mark.parametrize("form", ["same", "same_lower", "valid"])
def test_padding_by_name(rank, mode, form):
    x, w, b = arrays(rank)
    y = CONV[rank](x, w, b, 2, form, padding_mode=mode)
    assert y.shape == CONV[rank](x, w, b, 2, form).shape
    if form == "valid":
        same(y, CONV[rank](x, w, b, 2))


@MODES
def test_with_everything_else(mode):
    x, w, b = arrays(2, np.float32)
    plain = F.conv2d(x[0], w, b, padding=1, padding_mode=mode)
    how = {"padding": 1, "padding_mode": mode, "activation": "relu", "layout": "channels_last"}
    last = np.moveaxis(x[0], 0, -1)
    out = np.empty((*plain.shape[1:], plain.shape[0]), np.float32)
    assert F.conv2d(last, w, b, out=out, algorithm="im2col_gemm", **how) is out
    same(out, np.moveaxis(np.maximum(plain, 0), 0, -1))


@MODES
def test_nan_reaches_the_outputs_whose_windows_hold_it(mode):
    x, w = np.zeros((1, 1, 6)), np.ones((1, 1, 3))
    x[0, 0, 1] = np.nan
    reached = np.isnan(F.conv1d(x, w, padding=1, padding_mode=mode)).ravel().tolist()
    assert reached == [True, True, True, False, False, False]
    x[0, 0, 1], x[0, 0, 0] = 0, np.inf
    reached = np.isinf(F.conv1d(x, w, padding=1, padding_mode=mode)).ravel().tolist()
    assert reached == [True, True, False, False, False, mode == "circular"]


def test_the_padded_copy_is_counted_and_allowed_by_default():
    shapes = (1, 16, 1024, 1024), (16, 16, 3, 3)
    how = {"padding": 1, "padding_mode": "reflect"}
    plan = F.explain("conv2d", *shapes, **how)
    copy = 16 * 1026 * 1026 * 4
    assert copy > plan.max_scratch_bytes
    assert copy <= plan.scratch_bytes <= copy + plan.max_scratch_bytes
    forced = F.settings(max_scratch_bytes=copy - 1, algorithm="im2col_gemm")
    with forced, pytest.raises(PlanError, match="max_scratch_byte"):
        F.explain("conv2d", *shapes, **how)
    with F.settings(max_scratch_bytes=copy - 1):
        assert F.explain("conv2d", *shapes, **how).candidates == ("naive",)
    with F.settings(max_scratch_bytes=copy + 2**23):
        assert F.explain("conv2d", *shapes, **how).scratch_bytes <= copy + 2**23


def test_nothing_is_copied_where_there_is_no_padding():
    plan = F.explain("conv2d", (1, 3, 8, 8), (4, 3, 3, 3), padding_mode="reflect")
    assert plan.scratch_bytes == F.explain("conv2d", (1, 3, 8, 8), (4, 3, 3, 3)).scratch_bytes


@pytest.mark.parametrize("value", ["constant", "same", None, 0, b"reflect", ("reflect",)], ids=repr)
def test_unknown_modes(value, plans):
    x, w, _ = arrays(1)
    gy = ints(*F.conv1d(x, w).shape)
    plans.clear()
    for call in (
        lambda: F.conv1d(x, w, padding_mode=value),
        lambda: F.conv1d_input(x.shape, w, gy, padding_mode=value),
        lambda: F.conv1d_weight(x, w.shape, gy, padding_mode=value),
    ):
        with pytest.raises(ParameterError, match=r"^padding_mode: expected one of \('zeros'"):
            call()
    assert plans == []


@pytest.mark.parametrize(
    ("mode", "padding", "words"),
    [
        ("reflect", 9, r"\(9, 9\) with padding_mode='reflect' must be less than the 9 elements"),
        ("reflect", ((0, 10),), r"\(0, 10\)"),
        ("circular", 10, "at most the 9 elements of spatial dimension 0"),
    ],
)
def test_more_padding_than_input(mode, padding, words, plans):
    x, w, _ = arrays(1)
    with pytest.raises(ShapeError, match=f"^padding: .*{words}"):
        F.conv1d(x, w, padding=padding, padding_mode=mode)
    assert plans == []
