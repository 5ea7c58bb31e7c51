"""PyTorch as judge of windows, columns, padding modes and unfold and fold."""

import itertools

import numpy as np
import pytest

import fastconv as F
from fastconv.lowering.pad import fold_padding, pad
from tests.helpers import ints, same

torch = pytest.importorskip("torch")
T = torch.nn.functional
SIZES = {1: (11,), 2: (9, 8), 3: (5, 6, 7)}
RANKS = pytest.mark.parametrize("rank", SIZES)
TORCH_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate"}
TORCH_MODES["circular"] = "circular"
MODES = pytest.mark.parametrize("mode", TORCH_MODES)
GRID = list(itertools.product([1, 2, 3, (3, 2)], [1, 2, (2, 3)], [0, 1, (2, 1)], [1, 2, (1, 2)]))


def given(array):
    return torch.from_numpy(np.ascontiguousarray(array))


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), GRID)
@pytest.mark.parametrize("shape", [(2, 3, 9, 8), (3, 9, 8)], ids=["batched", "unbatched"])
def test_unfold_and_fold(kernel, stride, padding, dilation, shape):
    x = ints(*shape)
    place = (kernel, dilation, padding, stride)
    columns = T.unfold(given(x), *place).numpy()
    same(F.unfold(x, *place), columns)
    layer = torch.nn.Unfold(*place)
    same(F.unfold(x, *place), layer(given(x)).numpy())
    g = ints(*columns.shape, seed=1)
    same(F.fold(g, (9, 8), *place), T.fold(given(g), (9, 8), *place).numpy())
    same(F.fold(g, (9, 8), *place), torch.nn.Fold((9, 8), *place)(given(g)).numpy())


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), GRID)
@MODES
def test_columns_of_a_padded_image(kernel, stride, padding, dilation, mode):
    """Padded by PyTorch, unfolded by PyTorch, and differentiated by PyTorch."""
    x = ints(2, 3, 9, 8)
    rows, cols = padding if isinstance(padding, tuple) else (padding, padding)
    leaf = given(x).requires_grad_()
    padded = T.pad(leaf, (cols, cols, rows, rows), TORCH_MODES[mode])
    columns = T.unfold(padded, kernel, dilation, 0, stride)
    place = (kernel, stride, padding, dilation)
    same(F.im2col(x, *place, padding_mode=mode), columns.detach().numpy())
    g = ints(*columns.shape, seed=1)
    columns.backward(given(g))
    same(F.col2im(g, (9, 8), *place, padding_mode=mode), leaf.grad.numpy())


@RANKS
@MODES
@pytest.mark.parametrize("pairs", [(1, 1), (2, 0), (0, 3), (4, 4)], ids=str)
def test_padding_and_back(rank, mode, pairs):
    x = ints(2, 3, *SIZES[rank])
    leaf = given(x).requires_grad_()
    ends = (pairs,) * rank
    expected = T.pad(leaf, pairs * rank, TORCH_MODES[mode])
    same(pad(x, ends, mode), expected.detach().numpy())
    g = ints(*expected.shape, seed=1)
    expected.backward(given(g))
    same(np.ascontiguousarray(fold_padding(g, ends, mode)), leaf.grad.numpy())


@MODES
@pytest.mark.parametrize("padding", [3, 4, 5, 9])
def test_how_much_may_be_padded(mode, padding):
    x = ints(1, 2, 4)
    try:
        expected = T.pad(given(x), (padding, padding), TORCH_MODES[mode])
    except RuntimeError:
        with pytest.raises(F.ShapeError, match="padding"):
            F.im2col(x, 3, padding=padding, padding_mode=mode)
    else:
        ours = F.im2col(x, 1, padding=padding, padding_mode=mode)
        same(ours, expected.numpy())


@RANKS
def test_windows_are_tensor_unfold(rank):
    x = ints(2, 3, *SIZES[rank])
    windows = given(x)
    for axis in range(rank):
        windows = windows.unfold(2 + axis, (3, 2, 2)[axis], (2, 1, 3)[axis])
    ours = F.sliding_windows(x, (3, 2, 2)[:rank], (2, 1, 3)[:rank])
    same(np.ascontiguousarray(ours), np.ascontiguousarray(windows.numpy()))


@pytest.mark.parametrize("rank", [1, 3])
def test_columns_of_other_ranks_are_windows_of_tensors(rank):
    x = ints(2, 3, *SIZES[rank])
    windows = given(x)
    for axis in range(rank):
        windows = windows.unfold(2 + axis, 2, 2)
    order = (0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
    expected = windows.permute(order).reshape(2, 3 * 2**rank, -1).numpy()
    same(F.im2col(x, 2, 2), expected)


@pytest.mark.parametrize("shape", [(0, 3, 9, 8), (1, 1, 1, 1)], ids=str)
def test_empty_and_single(shape):
    x = ints(*shape)
    same(F.unfold(x, 1), T.unfold(given(x), 1).numpy())
