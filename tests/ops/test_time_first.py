import inspect

import numpy as np
import pytest

import fastconv as F
from fastconv import ParameterError, ShapeError, reference
from tests.helpers import ints, same

MODULE = pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])


@MODULE
@pytest.mark.parametrize("dtype", [np.float32, np.int8])
@pytest.mark.parametrize("pad", [0, 2, "same", ((2, 0),)])
def test_it_is_conv1d_of_another_order(module, pad, dtype):
    x, w, b = (ints(*shape, dtype=dtype) for shape in ((9, 2, 4), (3, 4, 6), (6,)))
    y = module.conv_tbc(x, w, b, pad)
    expected = F.conv1d(x.transpose(1, 2, 0), w.transpose(2, 1, 0), b, padding=pad)
    same(y, np.ascontiguousarray(expected.transpose(2, 0, 1)))
    assert y.flags.c_contiguous


def test_no_bias_and_no_batch():
    x, w = ints(9, 2, 4), ints(3, 4, 6)
    same(F.conv_tbc(x, w, None), F.conv_tbc(x, w, np.zeros(6)))
    assert F.conv_tbc(x[:, :0], w, None).shape == (7, 0, 6)


def test_what_does_not_fit(plans):
    x, w = ints(9, 2, 4), ints(3, 4, 6)
    with pytest.raises(ShapeError, match=r"input: expected shape \(L, N, C_in\), got \(9, 2\)"):
        F.conv_tbc(x[..., 0], w, None)
    with pytest.raises(ShapeError, match=r"weight: expected shape \(kL, C_in, C_out\), got \(3, 4"):
        F.conv_tbc(x, w[..., 0], None)
    with pytest.raises(ShapeError, match=r"weight: .*3 channels"):
        F.conv_tbc(x, w[:, :3], None)
    with pytest.raises(ShapeError, match=r"bias: expected shape \(6,\)"):
        F.conv_tbc(x, w, np.zeros(5))
    with pytest.raises(ParameterError, match="pad: "):
        F.conv_tbc(x, w, None, -1)
    assert plans == []


def test_parameters_are_pytorchs():
    names = list(inspect.signature(F.conv_tbc).parameters)
    assert names == ["input", "weight", "bias", "pad", "acc_dtype"]
