"""PyTorch as judge of convolutions beyond the plain ones: bit for bit on integers.

Transposed convolutions with their gradients, by PyTorch's autograd, and other layouts.
"""

import itertools

import numpy as np
import pytest

import fastconv as F
from tests.helpers import ints, same

torch = pytest.importorskip("torch")
T = torch.nn.functional
SIZES = {1: (7,), 2: (5, 4), 3: (3, 4, 3)}
KERNEL = (3, 2, 2)
RANKS = pytest.mark.parametrize("rank", [1, 2, 3])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def leaf(array):
    return torch.from_numpy(np.ascontiguousarray(array)).requires_grad_()


def of(name, rank, module=F):
    return getattr(module, name.format(rank))


def last(array, rank):
    """A copy with channels last."""
    return np.ascontiguousarray(np.moveaxis(array, -rank - 1, -1))


def check(ours, theirs, rank, x, w, b, place):
    """A forward function and its gradients in both layouts, against PyTorch's autograd."""
    tx, tw = leaf(x), leaf(w)
    tb = None if b is None else leaf(b)
    y = of(theirs, rank, T)(tx, tw, tb, *place)
    gy = ints(*y.shape, dtype=x.dtype, seed=9)
    y.backward(torch.from_numpy(gy))
    y, gx, gw = y.detach().numpy(), tx.grad.numpy(), tw.grad.numpy()
    same(of(ours, rank)(x, w, b, *place), y)
    same(of(f"{ours}_input", rank)(x.shape, w, gy, *place), gx)
    same(of(f"{ours}_weight", rank)(x, w.shape, gy, *place), gw)
    kind = {"layout": "channels_last"}
    lx, lgy = last(x, rank), last(gy, rank)
    same(of(ours, rank)(lx, w, b, *place, **kind), last(y, rank))
    same(of(f"{ours}_input", rank)(lx.shape, w, lgy, *place, **kind), last(gx, rank))
    same(of(f"{ours}_weight", rank)(lx, w.shape, lgy, *place, **kind), gw)


def refused_or_empty(rank, x, w, place, theirs):
    """PyTorch takes outputs of no elements in some dtypes and refuses them in others."""
    try:
        ours = of("conv_transpose{}d", rank)(x, w, None, *place)
    except F.ShapeError as error:
        ours, message = None, str(error)
    if ours is None:
        assert theirs is None
        assert message.startswith("padding")
        return
    assert ours.size == 0
    assert theirs is None or ours.shape == tuple(theirs.shape)


GROUPS = [(1, 4, 3), (2, 2, 3), (4, 1, 2), (4, 1, 1)]
"""Groups, and channels of each on either side."""


@RANKS
@DTYPES
@pytest.mark.parametrize(("groups", "inputs", "outputs"), GROUPS)
def test_transposed_convolution(rank, dtype, groups, inputs, outputs):
    x = ints(2, groups * inputs, *SIZES[rank], dtype=dtype, seed=1)
    w = ints(groups * inputs, outputs, *KERNEL[:rank], dtype=dtype, seed=2)
    b = ints(groups * outputs, dtype=dtype, seed=3)
    compared = 0
    for stride, padding, more, dilation in itertools.product([1, 2, 3], [0, 1, 2], [0, 1], [1, 2]):
        if more >= max(stride, dilation):
            continue
        place = (stride, padding, more, groups, dilation)
        try:
            theirs = of("conv_transpose{}d", rank, T)(leaf(x), leaf(w), None, *place)
        except RuntimeError:
            theirs = None
        if theirs is None or not theirs.numel():
            refused_or_empty(rank, x, w, place, theirs)
            continue
        check("conv_transpose{}d", "conv_transpose{}d", rank, x, w, None if more else b, place)
        compared += 1
    assert compared > 15


@RANKS
def test_transposed_convolution_with_a_value_for_every_dimension(rank):
    x, w = ints(1, 4, *SIZES[rank]), ints(4, 3, *KERNEL[:rank])
    place = ((3, 1, 2)[:rank], (1, 0, 1)[:rank], (2, 1, 0)[:rank], 2, (1, 2, 1)[:rank])
    check("conv_transpose{}d", "conv_transpose{}d", rank, x, w, ints(6), place)


@RANKS
def test_unbatched_transposed_convolution(rank):
    x, w = ints(3, *SIZES[rank]), ints(3, 2, *KERNEL[:rank])
    check("conv_transpose{}d", "conv_transpose{}d", rank, x, w, ints(2), (2, 1, 1))


@RANKS
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_output_sizes_are_those_of_the_module(rank, stride):
    x, w = ints(2, 3, *SIZES[rank]), ints(3, 2, *KERNEL[:rank])
    module = of("ConvTranspose{}d", rank, torch.nn)(
        3, 2, KERNEL[:rank], stride, padding=1, bias=False, dtype=torch.float64
    )
    module.weight.data = torch.from_numpy(w)
    least = [(n - 1) * stride + k - 2 for n, k in zip(x.shape[2:], w.shape[2:], strict=True)]
    for more in range(stride + 1):
        size = [n + more for n in least]
        call = lambda: of("conv_transpose{}d", rank)(x, w, None, stride, 1, output_size=size)  # noqa: E731,B023
        if more < stride and min(size) > 0:
            same(call(), module(torch.from_numpy(x), output_size=size).detach().numpy())
        else:
            with pytest.raises(ValueError, match="output size"):
                module(torch.from_numpy(x), output_size=size)
            with pytest.raises(F.ShapeError, match="output_size"):
                call()


@RANKS
@DTYPES
@pytest.mark.parametrize(("groups", "inputs", "outputs"), GROUPS)
def test_convolution_in_both_layouts(rank, dtype, groups, inputs, outputs):
    x = ints(2, groups * inputs, *SIZES[rank], dtype=dtype, seed=1)
    w = ints(groups * outputs, inputs, *KERNEL[:rank], dtype=dtype, seed=2)
    b = ints(groups * outputs, dtype=dtype, seed=3)
    for place in itertools.product([1, 2, 3], [1, 2], [1, 2], [groups]):
        check("conv{}d", "conv{}d", rank, x, w, b, place)


MODES = pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])


@RANKS
@DTYPES
@MODES
@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize(("groups", "inputs", "outputs"), GROUPS)
def test_padding_modes_are_those_of_the_module(rank, dtype, mode, groups, inputs, outputs):
    x = ints(2, groups * inputs, *SIZES[rank], dtype=dtype, seed=1)
    w = ints(groups * outputs, inputs, *KERNEL[:rank], dtype=dtype, seed=2)
    b = ints(groups * outputs, dtype=dtype, seed=3)
    for stride, padding, dilation in itertools.product([1, 2], [0, 1, 2, "same"], [1, 2]):
        if padding == "same" and stride > 1:
            continue
        module = of("Conv{}d", rank, torch.nn)(
            groups * inputs,
            groups * outputs,
            KERNEL[:rank],
            *(stride, padding, dilation, groups),
            padding_mode=mode,
        )
        module.weight.data, module.bias.data = torch.from_numpy(w), torch.from_numpy(b)
        tx, place, how = leaf(x), (stride, padding, dilation, groups), {"padding_mode": mode}
        try:
            y = module(tx)
        except RuntimeError:  # the kernel or the padding is too large
            with pytest.raises(F.ShapeError):
                of("conv{}d", rank)(x, w, b, *place, **how)
            continue
        gy = ints(*y.shape, dtype=dtype, seed=9)
        y.backward(torch.from_numpy(gy))
        y, gx, gw = y.detach().numpy(), tx.grad.numpy(), module.weight.grad.numpy()
        same(of("conv{}d", rank)(x, w, b, *place, **how), y)
        same(of("conv{}d_input", rank)(x.shape, w, gy, *place, **how), gx)
        same(of("conv{}d_weight", rank)(x, w.shape, gy, *place, **how), gw)
        lx, lgy, how["layout"] = last(x, rank), last(gy, rank), "channels_last"
        same(of("conv{}d", rank)(lx, w, b, *place, **how), last(y, rank))
        same(of("conv{}d_input", rank)(lx.shape, w, lgy, *place, **how), last(gx, rank))
        same(of("conv{}d_weight", rank)(lx, w.shape, lgy, *place, **how), gw)


@RANKS
@MODES
@pytest.mark.parametrize("padding", [1, 2, 3, 4, 5])
def test_too_much_padding_is_refused_where_the_module_refuses(rank, mode, padding):
    x, w = ints(1, 2, *(3,) * rank), ints(2, 2, *(2,) * rank)
    module = of("Conv{}d", rank, torch.nn)(
        2, 2, 2, padding=padding, padding_mode=mode, bias=False, dtype=torch.float64
    )
    module.weight.data = torch.from_numpy(w)
    try:
        expected = module(torch.from_numpy(x)).detach().numpy()
    except RuntimeError:
        with pytest.raises(F.ShapeError, match=r"^padding: .*padding_mode="):
            of("conv{}d", rank)(x, w, padding=padding, padding_mode=mode)
    else:
        same(of("conv{}d", rank)(x, w, padding=padding, padding_mode=mode), expected)
