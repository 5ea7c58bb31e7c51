"""PyTorch as independent judge of the other dtypes, for what it computes in them."""

import itertools

import numpy as np
import pytest

import fastconv as F
from tests.helpers import ints, same

torch = pytest.importorskip("torch")
T = torch.nn.functional
SIZES = {1: (11,), 2: (9, 8), 3: (5, 6, 7)}
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])
HALVES = ["float16", "bfloat16"]


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def given(array):
    array = np.ascontiguousarray(array)
    if array.dtype.kind == "V":
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def array_of(tensor):
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy().view(dtype_of("bfloat16"))
    return tensor.resolve_conj().numpy()


def dtype_of(name):
    if name == "bfloat16":
        return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    return np.dtype(name)


def of(name, rank, module=F):
    return getattr(module, name.format(rank))


PLACES = list(itertools.product([1, 2], [0, 1], [1, 2], [1, 2]))


@RANKS
@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), PLACES)
@pytest.mark.parametrize("name", [*HALVES, "complex64", "complex128"])
def test_convolution_and_its_gradients(rank, name, stride, padding, dilation, groups):
    """Bit for bit on small integers, in PyTorch's dtype; complex gradients conjugate, as there."""
    dtype = dtype_of(name)
    x = ints(2, 4, *SIZES[rank], seed=1, dtype=dtype, low=-1, high=1)
    w = ints(6, 4 // groups, *(3, 2, 2)[:rank], seed=2, dtype=dtype, low=-1, high=1)
    b = ints(6, seed=3, dtype=dtype)
    place = (stride, padding, dilation, groups)
    y = of("conv{}d", rank)(x, w, b, *place)
    inputs = [given(array).requires_grad_() for array in (x, w, b)]
    output = of("conv{}d", rank, T)(*inputs, *place)
    same(y, array_of(output.detach()))
    gy = ints(*y.shape, seed=4, dtype=dtype, low=-1, high=1)
    output.backward(given(gy))
    same(of("conv{}d_input", rank)(x.shape, w, gy, *place), array_of(inputs[0].grad))
    same(of("conv{}d_weight", rank)(x, w.shape, gy, *place), array_of(inputs[1].grad))


@RANKS
@pytest.mark.parametrize("name", [*HALVES, "complex64", "complex128"])
def test_transposed_convolution_and_its_gradients(rank, name):
    dtype = dtype_of(name)
    x = ints(2, 4, *SIZES[rank], seed=1, dtype=dtype, low=-1, high=1)
    w = ints(4, 3, *(3, 2, 2)[:rank], seed=2, dtype=dtype, low=-1, high=1)
    b = ints(6, seed=3, dtype=dtype)
    place = (2, 1, 1, 2, 2)
    y = of("conv_transpose{}d", rank)(x, w, b, *place)
    inputs = [given(array).requires_grad_() for array in (x, w, b)]
    output = of("conv_transpose{}d", rank, T)(*inputs, *place)
    same(y, array_of(output.detach()))
    gy = ints(*y.shape, seed=4, dtype=dtype, low=-1, high=1)
    output.backward(given(gy))
    same(of("conv_transpose{}d_input", rank)(x.shape, w, gy, *place), array_of(inputs[0].grad))
    same(of("conv_transpose{}d_weight", rank)(x, w.shape, gy, *place), array_of(inputs[1].grad))


@RANKS
@pytest.mark.parametrize("name", ["int8", "int16", "int32", "int64", "uint8"])
def test_convolution_of_integers(rank, name):
    """PyTorch keeps the dtype, and wraps: so the values agree where they fit."""
    x, w = ints(2, 4, *SIZES[rank], dtype=name), ints(6, 2, *(3,) * rank, dtype=name, low=0, high=1)
    y = of("conv{}d", rank)(x, w, None, 2, 1, 1, 2)
    expected = of("conv{}d", rank, T)(given(x), given(w), None, 2, 1, 1, 2).numpy()
    assert np.abs(y).max() <= np.iinfo(name).max
    same(y, expected.astype(y.dtype))
    assert y.dtype == ("int32" if name.endswith("int8") else "int64")


@RANKS
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("name", [*HALVES, "int8", "int16", "int32", "int64", "uint8"])
def test_max_pool(rank, name, ceil_mode):
    x = ints(2, 3, *SIZES[rank], dtype=dtype_of(name))
    got = of("max_pool{}d", rank)(x, 3, 2, 1, 1, ceil_mode, return_indices=True)
    expected = of("max_pool{}d", rank, T)(given(x), 3, 2, 1, 1, ceil_mode, return_indices=True)
    for one, other in zip(got, expected, strict=True):
        same(one, array_of(other))


@pytest.mark.parametrize("name", HALVES)
def test_max_pool_of_nan(name):
    x = ints(1, 2, 9, 8, dtype=dtype_of(name))
    x[0, 0, 2, 3] = x[0, 0, 2, 4] = x[0, 1, 5, 5] = np.nan
    got = F.max_pool2d(x, 3, 2, return_indices=True)
    expected = T.max_pool2d(given(x), 3, 2, return_indices=True)
    for one, other in zip(got, expected, strict=True):
        same(one, array_of(other))


AVERAGES = [(*options, None) for options in itertools.product([False, True], repeat=2)]
AVERAGES += [(False, True, 5), (True, False, -3)]


@pytest.mark.parametrize(("ceil_mode", "include", "divisor"), AVERAGES)
@pytest.mark.parametrize("rank", [2, 3])
def test_averages_of_integers_and_their_gradients(rank, ceil_mode, include, divisor):
    x = ints(2, 3, *SIZES[rank], dtype=np.int64, low=-50, high=50)
    options = (3, 2, 1, ceil_mode, include, divisor)
    y = of("avg_pool{}d", rank)(x, *options)
    same(y, of("avg_pool{}d", rank, T)(given(x), *options).numpy())
    gy = ints(*y.shape, dtype=np.int64, seed=1, low=-99, high=99)
    backward = of("avg_pool{}d_backward", rank, torch.ops.aten)
    triple = [[3] * rank, [2] * rank, [1] * rank]
    expected = backward(given(gy), given(x), *triple, ceil_mode, include, divisor).numpy()
    same(of("avg_pool{}d_backward", rank)(gy, x.shape, *options), expected)


@pytest.mark.parametrize("rank", [1, 2])  # PyTorch has no third
@pytest.mark.parametrize("name", HALVES)
def test_averages_of_halves(rank, name):
    x = ints(2, 3, *SIZES[rank], dtype=dtype_of(name))
    y = of("avg_pool{}d", rank)(x, 2, 2)
    same(y, array_of(of("avg_pool{}d", rank, T)(given(x), 2, 2)))


@pytest.mark.parametrize("name", [*HALVES, "complex64", "complex128", "bool"])
def test_unfold(name):
    x = ints(2, 3, 6, 7, dtype=dtype_of(name))
    same(F.unfold(x, (2, 3), 2, 1, 2), array_of(T.unfold(given(x), (2, 3), 2, 1, 2)))


@pytest.mark.parametrize("name", [*HALVES, "complex64", "complex128"])
def test_fold(name):
    columns = ints(2, 12, 30, dtype=dtype_of(name))
    same(F.fold(columns, (6, 7), 2), array_of(T.fold(given(columns), (6, 7), 2)))


@pytest.mark.parametrize("name", [*HALVES, "float32", "complex64"])
@pytest.mark.parametrize("shape", [(32, 64, 3, 3), (64, 1, 3, 3), (16, 64, 1, 1)])
def test_errors_are_within_4_times_those_of_pytorch(name, shape):
    dtype, groups = dtype_of(name), 64 // shape[1]
    rng = np.random.default_rng(5)
    x, w = rng.standard_normal((2, 64, 14, 14)), rng.standard_normal(shape)
    if name == "complex64":
        x, w = x + 1j * x[::-1], w - 2j * w[::-1]
    wide = x.dtype
    x, w = x.astype(dtype), w.astype(dtype)
    truth = F.conv2d(x.astype(wide), w.astype(wide), padding=1, groups=groups)
    ours = F.conv2d(x, w, padding=1, groups=groups)
    theirs = array_of(T.conv2d(given(x), given(w), padding=1, groups=groups))
    errors = [np.abs(each.astype(wide) - truth).max() for each in (ours, theirs)]
    assert errors[0] <= 4 * errors[1]


ROUNDED = {
    "adaptive_avg_pool{}d": ((3,), {}),
    "avg_pool{}d": ((3, 2, 1), {"ceil_mode": True, "count_include_pad": False}),
    "lp_pool{}d": ((2.0, 3, 2), {}),
}


@RANKS
@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("pool", ROUNDED)
def test_other_pools_of_halves(rank, name, pool):
    """No further from the exact result than one rounding, or than PyTorch."""
    args, how = ROUNDED[pool]
    x = np.random.default_rng(0).standard_normal((2, 3, *SIZES[rank])).astype(dtype_of(name))
    ours = of(pool, rank)(x, *args, **how)
    if rank == 3 and not pool.startswith("adaptive"):  # which PyTorch does not have for halves
        theirs = ours
    else:
        theirs = array_of(of(pool, rank, T)(given(x), *args, **how))
    exact = of(pool, rank)(x.astype(np.float64), *args, **how)
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    one_rounding = 2.0 ** (-8 if name == "bfloat16" else -11) * np.abs(exact) * 1.001 + 2.0**-25
    allowed = one_rounding
    if theirs is not ours:
        allowed = np.maximum(allowed, np.abs(theirs.astype(np.float64) - exact))
    assert (np.abs(ours.astype(np.float64) - exact) <= allowed).all()


@RANKS
@pytest.mark.parametrize("name", HALVES)
def test_places_in_pools_of_halves(rank, name):
    x = ints(2, 3, *SIZES[rank], dtype=dtype_of(name))
    got = of("adaptive_max_pool{}d", rank)(x, 3, return_indices=True)
    expected = of("adaptive_max_pool{}d", rank, T)(given(x), 3, return_indices=True)
    for one, other in zip(got, expected, strict=True):
        same(one, array_of(other))
    values, places = of("max_pool{}d", rank)(x, 2, return_indices=True)
    sizes = SIZES[rank]
    back = of("max_unpool{}d", rank, T)(given(values), given(places), 2, output_size=sizes)
    same(of("max_unpool{}d", rank)(values, places, 2, output_size=sizes), array_of(back))
