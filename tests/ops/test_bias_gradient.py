import numpy as np
import pytest

import fastconv as F
from fastconv import ParameterError, ShapeError, reference
from tests.helpers import ints, same
from tests.ops.test_conv import CONV, DTYPES, RANKS, SIZES, arrays

BIAS = {1: F.conv1d_bias, 2: F.conv2d_bias, 3: F.conv3d_bias}


@RANKS
@DTYPES
@pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
def test_it_is_the_sum_over_all_but_the_channels(rank, dtype, module):
    gy = ints(3, 5, *SIZES[rank], dtype=dtype)
    function = getattr(module, f"conv{rank}d_bias")
    expected = gy.sum((0, *range(2, rank + 2)))
    same(function(gy), expected)
    same(function(gy[0]), gy[:1].sum((0, *range(2, rank + 2))))
    last = np.moveaxis(gy, 1, -1)
    same(function(last, layout="channels_last"), expected)
    same(function(last[0], layout="channels_last"), function(gy[0]))
    same(function(gy[:0]), np.zeros(5, dtype))


@RANKS
def test_it_is_the_adjoint_of_adding_a_bias(rank):
    x, w, b = arrays(rank)
    y = CONV[rank](x, w, b) - CONV[rank](x, w)
    gy = ints(*y.shape, seed=8)
    assert (y * gy).sum() == (b * BIAS[rank](gy)).sum()


@RANKS
def test_infinities_and_nan_stay_in_their_channels(rank):
    gy = np.ones((2, 3, *SIZES[rank]))
    gy[(1, 1, *(0,) * rank)] = np.inf
    gy[(0, 2, *(0,) * rank)] = np.nan
    b = BIAS[rank](gy)
    assert np.isfinite(b[0])
    assert b[1] == np.inf
    assert np.isnan(b[2])


def test_strided_gradients():
    gy = ints(4, 6, 8, 10)[::2, ::-1, ::3, 1::2]
    same(F.conv2d_bias(gy), gy.sum((0, 2, 3)))
    gy = np.broadcast_to(ints(1, 3, 1, 1), (2, 3, 4, 5))
    same(F.conv2d_bias(gy), gy.sum((0, 2, 3)))


@RANKS
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_shapes_and_layouts_that_are_refused(rank, layout, plans):
    none = (2, 0, *(2,) * rank) if layout == "channels_first" else (*(2,) * (rank + 1), 0)
    for shape in ((2,) * rank, (2,) * (rank + 3), none, ()):
        with pytest.raises(ShapeError):
            BIAS[rank](np.zeros(shape), layout=layout)
    with pytest.raises(ParameterError, match=r"^layout: "):
        BIAS[rank](np.zeros((2,) * (rank + 2)), layout="NCHW")
    assert plans == []
