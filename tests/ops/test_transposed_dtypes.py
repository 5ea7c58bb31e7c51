"""Transposed convolution, bias gradients, padding modes and streams of every dtype."""

import numpy as np
import pytest

import fastconv as F
from fastconv import DtypeError, reference
from fastconv.errors import AccumulatorError
from tests.helpers import ints, same

MODULES = pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
INTEGERS = pytest.mark.parametrize(
    ("dtype", "sums"),
    [("int8", "int32"), ("uint8", "int32"), ("int16", "int64"), ("bool", "int32")],
)


def small(*shape, dtype, seed=0):
    high = {"bool": 1, "uint8": 4}.get(dtype, 4)
    return ints(*shape, seed=seed, low=0 if high < 4 or dtype == "uint8" else -4, high=high).astype(
        dtype
    )


def both(*shape, seed=0):
    """Complex numbers of small integers."""
    return ints(*shape, seed=seed) + 1j * ints(*shape, seed=seed + 1)


@INTEGERS
@MODULES
def test_integers_are_summed_exactly(dtype, sums, module):
    x, w = small(2, 4, 5, 6, dtype=dtype, seed=1), small(4, 3, 3, 2, dtype=dtype, seed=2)
    b = small(6, dtype=dtype, seed=3)
    place = (2, 1, 1, 2)
    wide = [a.astype(np.float64) for a in (x, w, b)]
    y = module.conv_transpose2d(x, w, b, *place)
    same(y, F.conv_transpose2d(*wide, *place).astype(sums))
    gy = small(*y.shape, dtype=dtype, seed=4)
    wide.append(gy.astype(np.float64))
    gx = F.conv_transpose2d_input(x.shape, wide[1], wide[3], *place).astype(sums)
    same(module.conv_transpose2d_input(x.shape, w, gy, *place), gx)
    gw = F.conv_transpose2d_weight(wide[0], w.shape, wide[3], *place).astype(sums)
    same(module.conv_transpose2d_weight(x, w.shape, gy, *place), gw)
    same(module.conv2d_bias(gy), gy.sum((0, 2, 3)).astype(sums))
    relu = module.conv_transpose2d(x, w, b, *place, activation="relu", layout="channels_first")
    same(relu, np.maximum(y, 0))


@MODULES
def test_large_integers_are_exact_or_refused(module):
    x, w = np.full((1, 1, 3), 2**20, np.int64), np.full((1, 1, 2), 2**20 + 1, np.int64)
    product = 2**20 * (2**20 + 1)
    y = module.conv_transpose1d(x, w).ravel().tolist()
    assert y == [product, 2 * product, 2 * product, product]
    with pytest.raises(AccumulatorError, match="acc_dtype"):
        module.conv_transpose1d(x << 20, w << 20)
    with pytest.raises(DtypeError, match="acc_dtype"):
        module.conv_transpose1d(x.astype(np.uint64), w.astype(np.uint64))
    out = module.conv_transpose1d(x.astype(np.uint64), w.astype(np.uint64), acc_dtype=np.uint64)
    assert out.dtype == np.uint64
    assert out.ravel().tolist() == y


def test_folded_padding_counts_for_the_accumulator():
    """The corner gets every copy's gradient: sums that fit without them do not fit with them."""
    w, gy = np.full((1, 1, 1), 2**14, np.int16), np.full((1, 1, 41), 2**15 - 1, np.int16)
    how = {"padding": 20, "padding_mode": "replicate"}
    gx = F.conv1d_input((1, 1, 1), w, gy, **how)
    assert gx.item() == 41 * 2**14 * (2**15 - 1)
    w, gy = np.full((1, 1, 1), 2**60), np.ones((1, 1, 41), np.int64)
    assert F.conv1d_input((1, 1, 41), w, gy).max() == 2**60
    with pytest.raises(AccumulatorError):
        F.conv1d_input((1, 1, 1), w, gy, **how)


@MODULES
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_halves_are_rounded_once(module, layout):
    """1 + 2**-11 + 2**-11: each alone is rounded away beside 1, together they are not."""
    x, w = np.full((1, 2, 1), 2.0**-11, np.float16), np.ones((2, 1, 1), np.float16)
    x[0, 0] = 1
    x = x if layout == "channels_first" else np.moveaxis(x, 1, -1)
    y = module.conv_transpose1d(x, w, np.full(1, 2.0**-11, np.float16), layout=layout)
    same(y, np.full((1, 1, 1), 1 + 2.0**-10, np.float16))


@MODULES
def test_folded_halves_are_rounded_once(module):
    w, gy = np.ones((1, 1, 1), np.float16), np.full((1, 1, 3), 2.0**-11, np.float16)
    gy[0, 0, 1] = 1
    gx = module.conv1d_input((1, 1, 1), w, gy, padding=1, padding_mode="replicate")
    same(gx, np.full((1, 1, 1), 1 + 2.0**-10, np.float16))


@MODULES
def test_complex_gradients_are_the_adjoints(module):
    x, w = both(2, 4, 5, 6, seed=1), both(4, 3, 3, 2, seed=3)
    place = (2, 1, 1, 2)
    y = module.conv_transpose2d(x, w, None, *place)
    real = lambda a, b: F.conv_transpose2d(a, b, None, *place)  # noqa: E731
    same(
        y,
        real(x.real.copy(), w.real.copy())
        - real(x.imag.copy(), w.imag.copy())
        + 1j * (real(x.real.copy(), w.imag.copy()) + real(x.imag.copy(), w.real.copy())),
    )
    gy = both(*y.shape, seed=5)
    gx = module.conv_transpose2d_input(x.shape, w, gy, *place)
    gw = module.conv_transpose2d_weight(x, w.shape, gy, *place)
    assert np.vdot(gy, y) == np.vdot(gx, x) == np.vdot(gw, w)
    same(module.conv2d_bias(gy), gy.sum((0, 2, 3)))


@MODULES
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_complex_padding_modes_are_adjoint(module, mode):
    x, w = both(2, 4, 5, seed=1), both(6, 2, 3, seed=3)
    place, how = (1, 2, 1, 2), {"padding_mode": mode}
    y = module.conv1d(x, w, None, *place, **how)
    gy = both(*y.shape, seed=5)
    gx = module.conv1d_input(x.shape, w, gy, *place, **how)
    gw = module.conv1d_weight(x, w.shape, gy, *place, **how)
    assert np.vdot(gy, y) == np.vdot(gx, x) == np.vdot(gw, w)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "float16"])
def test_streams_of_other_dtypes(dtype):
    x, w = small(2, 3, 40, dtype=dtype, seed=1), small(4, 3, 5, dtype=dtype, seed=2)
    whole, _ = F.causal_conv1d(x, w, None, 2)
    expected = F.causal_conv1d(x.astype(float), w.astype(float), None, 2)[0]
    same(whole, expected.astype(whole.dtype))
    state, parts = None, []
    for start in range(0, 40, 7):
        y, state = F.causal_conv1d(x[:, :, start : start + 7], w, None, 2, state=state)
        parts.append(y)
    same(np.concatenate(parts, -1), whole)


def test_separable_integers():
    x, d, p = (small(*s, dtype="int8") for s in ((1, 2, 6, 6), (4, 1, 3, 3), (5, 4)))
    wide = F.separable_conv2d(*(a.astype(float) for a in (x, d, p)))
    y = F.separable_conv2d(x, d, p)
    assert y.dtype == np.int64
    same(y, wide.astype(np.int64))
