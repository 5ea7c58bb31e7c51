"""PyTorch as independent judge: equal, bit for bit, on integers in float64."""

import itertools

import numpy as np
import pytest

import fastconv as F
from tests.helpers import ints, same

torch = pytest.importorskip("torch")
T = torch.nn.functional
SIZES = {1: (11,), 2: (9, 8), 3: (5, 6, 7)}
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])
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


CONV_GRID = list(
    itertools.product([1, 2, 3], [0, 1, 2], [1, 2], [(1, 4), (2, 4), (4, 4), (4, 8)], [False, True])
)


@RANKS
@pytest.mark.parametrize(("stride", "padding", "dilation", "channels", "biased"), CONV_GRID)
def test_convolution_and_its_gradients(rank, stride, padding, dilation, channels, biased):
    groups, out_channels = channels
    x = ints(2, 4, *SIZES[rank], seed=1)
    w = ints(out_channels, 4 // groups, *(3, 2, 2)[:rank], seed=2)
    b = ints(out_channels, seed=3) if biased else None
    place = (stride, padding, dilation, groups)
    y = of("conv{}d", rank)(x, w, b, *place)
    bias = given(b) if biased else None
    same(y, of("conv{}d", rank, T)(given(x), given(w), bias, *place).numpy())
    gy = ints(*y.shape, seed=4)
    gx = of("conv{}d_input", rank, torch.nn.grad)(x.shape, given(w), given(gy), *place)
    same(of("conv{}d_input", rank)(x.shape, w, gy, *place), gx.numpy())
    gw = of("conv{}d_weight", rank, torch.nn.grad)(given(x), w.shape, given(gy), *place)
    same(of("conv{}d_weight", rank)(x, w.shape, gy, *place), gw.numpy())


@RANKS
def test_convolution_with_a_value_for_every_dimension(rank):
    x, w = ints(1, 3, *SIZES[rank]), ints(2, 3, *(2, 3, 2)[:rank])
    place = ((2, 1, 3)[:rank], (0, 2, 1)[:rank], (1, 2, 1)[:rank])
    same(
        of("conv{}d", rank)(x, w, None, *place),
        of("conv{}d", rank, T)(given(x), given(w), None, *place).numpy(),
    )


@RANKS
@pytest.mark.parametrize("form", ["same", "valid"])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_convolution_with_named_padding(rank, form, kernel, dilation):
    x, w = ints(1, 3, *SIZES[rank]), ints(2, 3, *(kernel,) * rank)
    args = (None, 1, form, dilation)
    same(
        of("conv{}d", rank)(x, w, *args),
        of("conv{}d", rank, T)(given(x), given(w), *args).numpy(),
    )


@RANKS
@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
def test_convolution_of_even_kernels_with_same_padding(rank):
    x, w = ints(1, 2, *SIZES[rank]), ints(2, 2, *(4,) * rank)
    expected = of("conv{}d", rank, T)(given(x), given(w), padding="same").numpy()
    same(of("conv{}d", rank)(x, w, padding="same"), expected)


@RANKS
def test_unbatched_convolution(rank):
    x, w = ints(3, *SIZES[rank]), ints(2, 3, *(3,) * rank)
    same(of("conv{}d", rank)(x, w), of("conv{}d", rank, T)(given(x), given(w)).numpy())


POOL_GRID = [
    (kernel, stride, padding)
    for kernel, stride, padding in itertools.product([1, 2, 3, 4], [None, 1, 2, 3], [0, 1, 2])
    if padding <= kernel // 2
]


@RANKS
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
def test_max_pooling(rank, dilation, ceil_mode):
    x = ints(2, 3, *SIZES[rank], low=-2, high=2)  # many ties
    compared = 0
    for kernel, stride, padding in POOL_GRID:
        args = (kernel, stride, padding, dilation, ceil_mode)
        try:
            y, indices = of("max_pool{}d", rank, T)(given(x), *args, return_indices=True)
        except RuntimeError:
            with pytest.raises(F.ShapeError):
                of("max_pool{}d", rank)(x, *args)
            continue
        ours, places = of("max_pool{}d", rank)(x, *args, return_indices=True)
        same(ours, y.numpy())
        same(places, indices.numpy())
        same(of("max_pool{}d", rank)(x, *args), y.numpy())
        gy = ints(*ours.shape)
        leaf = given(x).requires_grad_()
        of("max_pool{}d", rank, T)(leaf, *args).backward(given(gy))
        same(of("max_pool{}d_backward", rank)(gy, places, x.shape), leaf.grad.numpy())
        compared += 1
    assert compared > 10


@RANKS
@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
@pytest.mark.parametrize("count_include_pad", [False, True], ids=["skip-pad", "count-pad"])
@pytest.mark.parametrize("divisor", [None, 3, -2])
def test_average_pooling(rank, ceil_mode, count_include_pad, divisor):
    if divisor is not None and rank == 1:
        pytest.skip("avg_pool1d takes no divisor")
    x = ints(2, 3, *SIZES[rank])
    for kernel, stride, padding in POOL_GRID:
        args = (kernel, stride, padding, ceil_mode, count_include_pad)
        args += () if rank == 1 else (divisor,)
        leaf = given(x).requires_grad_()
        y = of("avg_pool{}d", rank, T)(leaf, *args)
        same(of("avg_pool{}d", rank)(x, *args), y.detach().numpy())
        gy = ints(*y.shape) * 6**4  # quotients are integers, so that sums are exact
        y.backward(given(gy))
        same(of("avg_pool{}d_backward", rank)(gy, x.shape, *args), leaf.grad.numpy())


@RANKS
def test_pooling_with_a_value_for_every_dimension(rank):
    x = ints(1, 2, *SIZES[rank])
    kernel, stride, padding = (2, 3, 3)[:rank], (1, 2, 3)[:rank], (1, 0, 1)[:rank]
    same(
        of("max_pool{}d", rank)(x, kernel, stride, padding),
        of("max_pool{}d", rank, T)(given(x), kernel, stride, padding).numpy(),
    )
    same(
        of("avg_pool{}d", rank)(x, kernel, stride, padding),
        of("avg_pool{}d", rank, T)(given(x), kernel, stride, padding).numpy(),
    )


@RANKS
@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
def test_windows_larger_than_the_input(rank, ceil_mode):
    x = ints(1, 1, *(2,) * rank)
    try:
        expected = of("max_pool{}d", rank, T)(given(x), 3, 2, 0, 1, ceil_mode).numpy()
    except RuntimeError:
        with pytest.raises(F.ShapeError, match="kernel_size"):
            of("max_pool{}d", rank)(x, 3, 2, 0, 1, ceil_mode)
    else:
        same(of("max_pool{}d", rank)(x, 3, 2, 0, 1, ceil_mode), expected)


@RANKS
@pytest.mark.parametrize("algorithm", ["pooling", "naive"])
@pytest.mark.parametrize("seed", range(6))
def test_max_pooling_of_nan_and_infinity(rank, algorithm, seed):
    generator = np.random.default_rng(seed)
    values = [NAN, INF, -INF, -INF, 0.0, 1.0, 1.0, 2.0]
    x = generator.choice(values, (2, 2, *SIZES[rank]))
    for args in ((2,), (3, 2, 1), (2, 1, 1, 2), (3, 2, 1, 1, True)):
        y, indices = of("max_pool{}d", rank, T)(given(x), *args, return_indices=True)
        with F.settings(algorithm=algorithm):
            ours, places = of("max_pool{}d", rank)(x, *args, return_indices=True)
            same(of("max_pool{}d", rank)(x, *args), y.numpy())
        same(ours, y.numpy())
        same(places, indices.numpy())


@pytest.mark.parametrize("kernel", [2, (3, 2), (1, 4)])
@pytest.mark.parametrize("dilation", [1, (2, 1)])
@pytest.mark.parametrize("padding", [0, (1, 2)])
@pytest.mark.parametrize("stride", [1, 2, (3, 1)])
@pytest.mark.parametrize("shape", [(2, 3, 9, 8), (3, 9, 8)], ids=["batched", "unbatched"])
def test_unfold_and_fold(kernel, dilation, padding, stride, shape):
    x = ints(*shape)
    columns = T.unfold(given(x), kernel, dilation, padding, stride)
    same(F.unfold(x, kernel, dilation, padding, stride), columns.numpy())
    back = T.fold(columns, (9, 8), kernel, dilation, padding, stride)
    same(F.fold(columns.numpy(), (9, 8), kernel, dilation, padding, stride), back.numpy())


@RANKS
def test_accuracy_in_float32_is_that_of_pytorch(rank):
    """Error against float64, on random data, within 4 times that of PyTorch."""
    generator = np.random.default_rng(rank)
    x = generator.standard_normal((2, 16, *SIZES[rank])).astype(np.float32)
    w = generator.standard_normal((8, 16, *(3,) * rank)).astype(np.float32)
    truth = of("conv{}d", rank, T)(given(x).double(), given(w).double(), padding=1).numpy()
    theirs = of("conv{}d", rank, T)(given(x), given(w), padding=1).numpy()
    ours = of("conv{}d", rank)(x, w, padding=1)
    assert np.abs(ours - truth).max() <= 4 * np.abs(theirs - truth).max()
