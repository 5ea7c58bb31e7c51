"""Whole arrays padded by mode, against NumPy; and back, by the inner products."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastconv.errors import ParameterError, ShapeError
from fastconv.geometry import Axis, check_padding_mode
from fastconv.lowering.pad import fold_padding, pad
from fastconv.parameters import PADDING_MODES, padding_mode
from tests.helpers import distinct, ints, same

NUMPY = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
MODES = pytest.mark.parametrize("mode", NUMPY)
DTYPES = ["f4", "f8", "f2", "c8", "c16", "i1", "u2", "i8"]


def fits(size, before, after, mode):
    most = {"reflect": size - 1, "circular": size}.get(mode, 99)
    return max(before, after) <= most


@st.composite
def shapes(draw, mode):
    """Sizes and pairs of up to four axes that may be padded in a mode."""
    sizes, pairs = [], []
    for _ in range(draw(st.integers(1, 4))):
        size = draw(st.integers(1, 6))
        most = {"reflect": size - 1, "circular": size}.get(mode, 6)
        sizes.append(size)
        pairs.append((draw(st.integers(0, most)), draw(st.integers(0, most))))
    return tuple(sizes), tuple(pairs)


@MODES
@given(data=st.data(), lead=st.sampled_from([(), (2,), (2, 3), (0, 2)]))
def test_it_is_numpys_pad(mode, data, lead):
    sizes, pairs = data.draw(shapes(mode))
    x = distinct(*lead, *sizes)
    same(pad(x, pairs, mode), np.pad(x, [(0, 0)] * len(lead) + list(pairs), NUMPY[mode]))


@MODES
@given(data=st.data())
def test_back_is_the_adjoint(mode, data):
    sizes, pairs = data.draw(shapes(mode))
    x = ints(2, *sizes, seed=1)
    padded = pad(x, pairs, mode)
    g = ints(*padded.shape, seed=2)
    before = g.copy()
    folded = fold_padding(g, pairs, mode)
    assert folded.shape == x.shape
    assert (padded * g).sum() == (x * folded).sum()
    same(g, before)


@MODES
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_kept(mode, dtype):
    x = np.arange(12).reshape(3, 4).astype(dtype)
    pairs = ((1, 2), (2, 0))
    padded = pad(x, pairs, mode)
    same(padded, np.pad(x, pairs, NUMPY[mode]))
    folded = fold_padding(np.ones_like(padded), pairs, mode)
    assert folded.dtype == x.dtype
    assert folded.sum() == (x.size if mode == "zeros" else padded.size)


@MODES
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_strides(mode, order):
    x = distinct(2, 5, 6)
    odd = np.array(x[:, ::-1, ::-1], order=order)[:, ::-1, ::-1]
    pairs = ((1, 3), (4, 2))
    same(pad(odd, pairs, mode), pad(x, pairs, mode))
    padded = pad(x, pairs, mode)
    same(fold_padding(np.asfortranarray(padded), pairs, mode), fold_padding(padded, pairs, mode))


@pytest.mark.parametrize("value", [7.0, -np.inf, np.nan])
def test_the_value_of_the_padding(value):
    x = distinct(2, 3, 4)
    expected = np.pad(x, ((0, 0), (1, 2), (0, 3)), constant_values=value)
    same(pad(x, ((1, 2), (0, 3)), "zeros", value), expected)


def test_one_element_is_repeated_any_number_of_times():
    same(pad(np.array([[3.0]]), ((4, 2),), "replicate"), np.full((1, 7), 3.0))
    same(fold_padding(np.ones((1, 7)), ((4, 2),), "replicate"), np.array([[7.0]]))


def test_back_without_modes_is_a_view():
    g = distinct(2, 5, 5)
    assert np.shares_memory(fold_padding(g, ((1, 1), (0, 2))), g)


@MODES
@pytest.mark.parametrize("ends", [(0, 3), (3, 0), (4, 0), (0, 5), (9, 9)], ids=str)
def test_what_pytorch_refuses_is_refused(mode, ends):
    axes = (Axis(9, 3), Axis(4, 3, before=ends[0], after=ends[1]))
    if fits(4, *ends, mode):
        check_padding_mode(axes, mode)
        return
    words = rf"^padding: \({ends[0]}, {ends[1]}\) .*{mode!r}.* the 4 elements.*dimension 1"
    with pytest.raises(ShapeError, match=words):
        check_padding_mode(axes, mode)


@MODES
def test_modes_are_known_by_name(mode):
    assert padding_mode(mode) == mode
    assert set(PADDING_MODES) == set(NUMPY)


@pytest.mark.parametrize("mode", ["constant", "Zeros", None, 0, ("zeros",), b"zeros"], ids=repr)
def test_other_modes_are_refused(mode):
    with pytest.raises(ParameterError, match=r"^padding_mode: expected one of .*circular"):
        padding_mode(mode)
