"""PyTorch as judge of every pool: values, indices and gradients."""

import itertools

import numpy as np
import pytest

import fastconv as F
from tests.helpers import distinct, ints, same

torch = pytest.importorskip("torch")
T = torch.nn.functional
SIZES = {1: (11,), 2: (9, 8), 3: (5, 6, 7)}
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])
ALGORITHMS = pytest.mark.parametrize("algorithm", ["pooling", "naive"])
BATCHED = pytest.mark.parametrize("batched", [True, False], ids=["batched", "unbatched"])
NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def given(array):
    return torch.from_numpy(np.ascontiguousarray(array))


def of(name, rank, module=F):
    return getattr(module, name.format(rank))


def near(got, expected):
    """Equal but for the rounding of powers, roots and quotients in another order."""
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-12)


def sample(rank, batched=True, seed=0):
    x = ints(2, 3, *SIZES[rank], seed=seed)
    return x if batched else x[0]


def odd_values(rank, seed):
    values = [NAN, INF, -INF, -INF, 0.0, 1.0, 1.0, 2.0]
    return np.random.default_rng(seed).choice(values, (2, 2, *SIZES[rank]))


# Norms

PLACES = list(itertools.product([2, 3], [None, 1, 2, 3]))


@RANKS
@ALGORITHMS
@BATCHED
@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
@pytest.mark.parametrize("norm", [1, 2, 3.0, 4, 2.5, 0.5, INF])
def test_norms_and_their_gradients(rank, algorithm, batched, ceil_mode, norm):
    x = sample(rank, batched)
    if norm in (2.5, 0.5):  # of negative numbers PyTorch's are NaN, and so are ours
        x = np.abs(x)
    for kernel, stride in PLACES:
        args = (norm, kernel, stride, ceil_mode)
        leaf = given(x).requires_grad_()
        y = of("lp_pool{}d", rank, T)(leaf, *args)
        with F.settings(algorithm=algorithm):
            ours = of("lp_pool{}d", rank)(x, *args)
        near(ours, y.detach().numpy())
        if norm == INF or norm < 1:
            continue
        gy = ints(*ours.shape, seed=1)
        y.backward(given(gy))
        with F.settings(algorithm=algorithm):
            near(of("lp_pool{}d_backward", rank)(gy, x, ours, *args), leaf.grad.numpy())


@RANKS
@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
def test_gradients_of_the_largest_magnitude(rank, ceil_mode):
    size = int(np.prod(SIZES[rank]))
    values = np.random.default_rng(rank).permutation(np.arange(1, 2 * size + 1)).astype(float)
    x = (values * np.where(values % 3 == 0, -1, 1)).reshape(1, 2, *SIZES[rank])  # no ties
    leaf = given(x).requires_grad_()
    y = of("lp_pool{}d", rank, T)(leaf, INF, 3, 2, ceil_mode)
    gy = ints(*y.shape)
    y.backward(given(gy))
    ours = of("lp_pool{}d_backward", rank)(gy, x, y.detach().numpy(), INF, 3, 2, ceil_mode)
    same(ours, leaf.grad.numpy())


def test_a_norm_with_a_value_for_every_dimension():
    x = sample(2)
    args = (2, (3, 2), (1, 3))
    near(F.lp_pool2d(x, *args), T.lp_pool2d(given(x), *args).numpy())


# Adaptive pools

OUTPUTS = {
    1: [1, 2, 3, 4, 11, 17, (5,)],
    2: [1, 2, (3, 4), (None, 3), (4, None), (9, 8), 13, (1, 20)],
    3: [1, 2, (3, 4, 5), (None, 2, None), (5, 6, 7), 8],
}
CASES = pytest.mark.parametrize(("rank", "out"), [(r, o) for r, os in OUTPUTS.items() for o in os])


@CASES
@ALGORITHMS
@BATCHED
def test_adaptive_maxima_and_their_gradients(rank, out, algorithm, batched):
    x = ints(2, 3, *SIZES[rank], low=-2, high=2)  # many ties
    x = x if batched else x[0]
    leaf = given(x).requires_grad_()
    y, indices = of("adaptive_max_pool{}d", rank, T)(leaf, out, return_indices=True)
    with F.settings(algorithm=algorithm):
        ours, places = of("adaptive_max_pool{}d", rank)(x, out, return_indices=True)
        same(of("adaptive_max_pool{}d", rank)(x, out), ours)
    same(ours, y.detach().numpy())
    same(places, indices.numpy())
    gy = ints(*ours.shape, seed=1)
    y.backward(given(gy))
    with F.settings(algorithm=algorithm):
        gx = of("adaptive_max_pool{}d_backward", rank)(gy, places, x.shape)
    same(gx, leaf.grad.numpy())


@CASES
@ALGORITHMS
@BATCHED
def test_adaptive_averages_and_their_gradients(rank, out, algorithm, batched):
    x = sample(rank, batched)
    leaf = given(x).requires_grad_()
    y = of("adaptive_avg_pool{}d", rank, T)(leaf, out)
    with F.settings(algorithm=algorithm):
        ours = of("adaptive_avg_pool{}d", rank)(x, out)
    near(ours, y.detach().numpy())
    gy = ints(*ours.shape, seed=1)
    y.backward(given(gy))
    with F.settings(algorithm=algorithm):
        gx = of("adaptive_avg_pool{}d_backward", rank)(gy, x.shape)
    near(gx, leaf.grad.numpy())


@RANKS
@ALGORITHMS
@pytest.mark.parametrize("seed", range(6))
def test_adaptive_maxima_of_nan_and_infinity(rank, algorithm, seed):
    x = odd_values(rank, seed)
    for out in (1, 2, 3, 4):
        y, indices = of("adaptive_max_pool{}d", rank, T)(given(x), out, return_indices=True)
        with F.settings(algorithm=algorithm):
            ours, places = of("adaptive_max_pool{}d", rank)(x, out, return_indices=True)
            same(of("adaptive_max_pool{}d", rank)(x, out), y.numpy())
        same(ours, y.numpy())
        same(places, indices.numpy())


@RANKS
def test_global_pools_are_adaptive_pools_to_one(rank):
    x = sample(rank)
    near(F.global_avg_pool(x), of("adaptive_avg_pool{}d", rank, T)(given(x), 1).numpy())
    y, indices = of("adaptive_max_pool{}d", rank, T)(given(x), 1, return_indices=True)
    ours, places = F.global_max_pool(x, return_indices=True)
    same(ours, y.numpy())
    same(places, indices.numpy())


# Fractional max pools

FRACTIONAL = {
    2: [(2, 3), ((2, 3), (4, 5)), (1, (9, 8)), ((3, 2), 1), (2, (8, 7)), ((9, 8), 1)],
    # PyTorch refuses three dimensions that are filled to the last element
    3: [(2, 3), ((1, 2, 3), (4, 4, 4)), (1, (4, 5, 6)), (2, 1), ((2, 1, 2), (3, 5, 2))],
}


@pytest.mark.parametrize(
    ("rank", "kernel", "out"), [(r, k, o) for r, cases in FRACTIONAL.items() for k, o in cases]
)
@ALGORITHMS
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_fractional_maxima_and_their_gradients(rank, kernel, out, algorithm, dtype):
    x = ints(2, 3, *SIZES[rank], low=-2, high=2, dtype=dtype)
    generator = np.random.default_rng(7)
    for case in range(8):
        samples = generator.random((2, 3, rank)).astype(dtype)
        if case == 0:
            samples[:] = 0
        leaf = given(x).requires_grad_()
        options = {"return_indices": True}
        y, indices = of("fractional_max_pool{}d", rank, T)(
            leaf, kernel, out, _random_samples=given(samples), **options
        )
        with F.settings(algorithm=algorithm):
            ours, places = of("fractional_max_pool{}d", rank)(
                x, kernel, out, _random_samples=samples, **options
            )
        same(ours, y.detach().numpy())
        same(places, indices.numpy())
        gy = ints(*ours.shape, dtype=dtype)
        y.backward(given(gy))
        gx = of("fractional_max_pool{}d_backward", rank)(gy, places, x.shape)
        same(gx, leaf.grad.numpy())


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("ratio", [(0.5, 0.7, 0.8), (0.25, 0.34, 0.29)])
def test_fractional_sizes_by_ratio(rank, ratio):
    x, samples = sample(rank), np.full((2, 3, rank), 0.4)
    expected = of("fractional_max_pool{}d", rank, T)(
        given(x), 2, output_ratio=ratio[:rank], _random_samples=given(samples)
    )
    ours = of("fractional_max_pool{}d", rank)(
        x, 2, output_ratio=ratio[:rank], _random_samples=samples
    )
    same(ours, expected.numpy())


@pytest.mark.parametrize("rank", [2, 3])
def test_unbatched_fractional_maxima(rank):
    x, samples = sample(rank, batched=False), np.random.default_rng(0).random((1, 3, rank))
    expected = of("fractional_max_pool{}d", rank, T)(given(x), 2, 3, _random_samples=given(samples))
    same(of("fractional_max_pool{}d", rank)(x, 2, 3, _random_samples=samples), expected.numpy())
    same(of("fractional_max_pool{}d", rank)(x, 2, 3, _random_samples=samples[0]), expected.numpy())


@pytest.mark.parametrize("seed", range(4))
def test_fractional_maxima_of_nan_and_infinity(seed):
    x = odd_values(2, seed)
    samples = np.random.default_rng(seed).random((2, 2, 2))
    options = {"return_indices": True}
    y, indices = T.fractional_max_pool2d(given(x), 3, 4, _random_samples=given(samples), **options)
    ours, places = F.fractional_max_pool2d(x, 3, 4, _random_samples=samples, **options)
    same(ours, y.numpy())
    same(places, indices.numpy())


# Unpooling


@RANKS
@ALGORITHMS
@BATCHED
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(2, None, 0), (3, 2, 1), (3, 3, 1), (2, 1, 0), (1, 2, 0)]
)
def test_unpooling_and_its_gradient(rank, algorithm, batched, kernel, stride, padding):
    x = np.random.default_rng(rank).permutation(2 * 3 * int(np.prod(SIZES[rank])))
    x = x.reshape(2, 3, *SIZES[rank]).astype(float)
    x = x if batched else x[0]
    place = (kernel, stride, padding)
    y, indices = of("max_pool{}d", rank)(x, *place, return_indices=True)
    for size in (SIZES[rank], (2, 3, *SIZES[rank])):
        leaf = given(y).requires_grad_()
        back = of("max_unpool{}d", rank, T)(leaf, given(indices), *place, list(size))
        with F.settings(algorithm=algorithm):
            ours = of("max_unpool{}d", rank)(y, indices, *place, size)
        same(ours, back.detach().numpy())
        gy = ints(*ours.shape)
        back.backward(given(gy))
        with F.settings(algorithm=algorithm):
            gx = of("max_unpool{}d_backward", rank)(gy, indices, y.shape)
        same(gx, leaf.grad.numpy())


@RANKS
def test_unpooled_sizes(rank):
    y = np.ones((1, 1, *(3,) * rank))
    indices = np.arange(3**rank).reshape(y.shape)
    for place in ((2, None, 0), (3, 2, 0), (3, 1, 1), (4, 3, 1)):
        expected = of("max_unpool{}d", rank, T)(given(y), given(indices), *place)
        same(of("max_unpool{}d", rank)(y, indices, *place), expected.numpy())
        default = expected.shape[2]
        for size in range(max(1, default - 4), default + 5):
            sizes = [size] * rank
            try:
                back = of("max_unpool{}d", rank, T)(given(y), given(indices), *place, sizes)
            except ValueError:
                with pytest.raises(F.ShapeError, match="output_size"):
                    of("max_unpool{}d", rank)(y, indices, *place, sizes)
                continue
            except RuntimeError:  # an index outside what is asked for
                with pytest.raises(F.ParameterError, match="indices"):
                    of("max_unpool{}d", rank)(y, indices, *place, sizes)
                continue
            same(of("max_unpool{}d", rank)(y, indices, *place, sizes), back.numpy())


# What PyTorch has under other names


@RANKS
@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
def test_minima_are_maxima_of_the_opposite(rank, ceil_mode):
    x = sample(rank)
    for kernel, stride, padding in ((2, None, 0), (3, 2, 1), (3, 1, 1)):
        args = (kernel, stride, padding, 1, ceil_mode)
        y, indices = of("max_pool{}d", rank, T)(given(-x), *args, return_indices=True)
        ours, places = of("min_pool{}d", rank)(x, *args, return_indices=True)
        same(ours, -y.numpy())
        same(places, indices.numpy())
        gy = ints(*ours.shape)
        leaf = given(-x).requires_grad_()
        of("max_pool{}d", rank, T)(leaf, *args).backward(given(gy))
        same(of("min_pool{}d_backward", rank)(gy, places, x.shape), leaf.grad.numpy())


@pytest.mark.parametrize("q", [0, 0.25, 0.5, 0.8, 1])
def test_quantiles_of_windows(q):
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 8))
    windows = T.unfold(given(x.reshape(6, 1, 9, 8)), 3, stride=2)  # (6, 9, positions)
    expected = torch.quantile(windows, q, dim=1, interpolation="lower").numpy()
    same(F.quantile_pool2d(x, 3, 2, q=q), expected.reshape(2, 3, 4, 3))
    if q == 0.5:
        same(F.median_pool2d(x, 3, 2), windows.median(1).values.numpy().reshape(2, 3, 4, 3))


@pytest.mark.parametrize("value", [0, -INF])
def test_padding_beyond_half_the_kernel(value):
    """As if the input had been padded before."""
    x = sample(2)
    padded = T.pad(given(x), (2, 3, 4, 1), value=value)
    pads = ((4, 1), (2, 3))
    if value == 0:
        same(F.avg_pool2d(x, (2, 3), 2, pads), T.avg_pool2d(padded, (2, 3), 2).numpy())
    else:
        same(F.max_pool2d(x, (2, 3), 2, pads), T.max_pool2d(padded, (2, 3), 2).numpy())


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("ceil", [False, True])
def test_padding_that_repeats_the_input_is_its_pad_before_the_pool(mode, ceil):
    x = distinct(2, 3, 7, 6) + 200
    leaf = torch.tensor(x, requires_grad=True)
    whole = T.pad(leaf, (2, 3, 1, 4), mode=mode)  # the last dimension first
    place, how = (3, 2, ((1, 4), (2, 3))), {"padding_mode": mode}
    y, indices = F.max_pool2d(x, *place, ceil_mode=ceil, return_indices=True, **how)
    theirs = T.max_pool2d(whole, 3, 2, ceil_mode=ceil)
    same(y, theirs.detach().numpy())
    gy = ints(*y.shape, seed=1)
    (gx,) = torch.autograd.grad(theirs, leaf, torch.tensor(gy), retain_graph=True)
    same(F.max_pool2d_backward(gy, indices, x.shape), gx.numpy())
    y = F.avg_pool2d(x, *place, ceil, False, **how)
    theirs = T.avg_pool2d(whole, 3, 2, ceil_mode=ceil)
    np.testing.assert_allclose(y, theirs.detach().numpy(), rtol=1e-12)
    (gx,) = torch.autograd.grad(theirs, leaf, torch.tensor(gy), retain_graph=True)
    back = F.avg_pool2d_backward(gy, x.shape, *place, ceil, False, **how)
    np.testing.assert_allclose(back, gx.numpy(), rtol=1e-12, atol=1e-12)
    how["padding"] = place[2]
    y = F.lp_pool2d(x, 2, 3, 2, ceil, **how)
    theirs = T.lp_pool2d(whole, 2, 3, 2, ceil)
    np.testing.assert_allclose(y, theirs.detach().numpy(), rtol=1e-12)
    (gx,) = torch.autograd.grad(theirs, leaf, torch.tensor(gy))
    back = F.lp_pool2d_backward(gy, x, y, 2, 3, 2, ceil, **how)
    np.testing.assert_allclose(back, gx.numpy(), rtol=1e-12, atol=1e-12)
