import inspect

import numpy as np
import pytest
from hypothesis import given

import fastconv as F
from fastconv import ParameterError, Problem, ShapeError, reference
from tests import oracle_local
from tests.helpers import inputs_of, ints, same, solved
from tests.strategies import problems

SIZES = {1: (9,), 2: (7, 6), 3: (4, 5, 6)}
RANKS = pytest.mark.parametrize("rank", SIZES)
PLACES = [(1, 0, 1), (2, 1, 1), (1, 2, 2), (3, 1, 1)]


def of(name, rank, module=F):
    return getattr(module, name.format(rank))


def arrays(rank, stride, padding, dilation, groups, batch=2):
    """Input, weight and output gradient that fit each other."""
    kernel = (3, 2, 2)[:rank]
    x = ints(batch, 4, *SIZES[rank], seed=1)
    shared = np.zeros((6, 4 // groups, *kernel))
    shape = of("conv{}d", rank)(x, shared, None, stride, padding, dilation, groups).shape
    w = ints(6, *shape[2:], 4 // groups, *kernel, seed=2)
    return x, w, ints(*shape, seed=3)


@RANKS
@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
def test_forward_and_gradients(rank, place, groups, module):
    x, w, gy = arrays(rank, *place, groups)
    stride, padding, dilation = place
    spelt = ((stride,) * rank, ((padding, padding),) * rank, (dilation,) * rank, groups)
    b = ints(*gy.shape[1:], seed=4)
    y = of("local_conv{}d", rank, module)(x, w, b, *place, groups)
    same(y, oracle_local.local_conv(x, w, b, *spelt))
    gx = of("local_conv{}d_input", rank, module)(x.shape, w, gy, *place, groups)
    same(gx, oracle_local.input_gradient(x.shape, w, gy, *spelt))
    gw = of("local_conv{}d_weight", rank, module)(x, w.shape, gy, *place, groups)
    same(gw, oracle_local.weight_gradient(x, w.shape, gy, *spelt))
    assert ((y - b) * gy).sum() == (x * gx).sum() == (w * gw).sum()


@RANKS
@pytest.mark.parametrize("groups", [1, 2])
def test_the_same_filter_everywhere_is_convolution(rank, groups):
    x, w, gy = arrays(rank, 2, 1, 1, groups)
    shared = ints(6, 4 // groups, *(3, 2, 2)[:rank])
    spread = np.broadcast_to(shared.reshape(6, *(1,) * rank, *shared.shape[1:]), w.shape)
    b, place = ints(6), (2, 1, 1, groups)
    same(of("local_conv{}d", rank)(x, spread, b, *place), of("conv{}d", rank)(x, shared, b, *place))
    gx = of("conv{}d_input", rank)(x.shape, shared, gy, *place)
    same(of("local_conv{}d_input", rank)(x.shape, spread, gy, *place), gx)
    gw = of("local_conv{}d_weight", rank)(x, w.shape, gy, *place)
    same(
        gw.sum(tuple(range(1, 1 + rank))),
        of("conv{}d_weight", rank)(x, shared.shape, gy, *place),
    )


@RANKS
def test_unbatched(rank):
    x, w, gy = arrays(rank, 1, 1, 1, 1)
    same(
        of("local_conv{}d", rank)(x[1], w, padding=1), of("local_conv{}d", rank)(x, w, padding=1)[1]
    )
    gx = of("local_conv{}d_input", rank)(x.shape[1:], w, gy[1], padding=1)
    same(gx, of("local_conv{}d_input", rank)(x.shape, w, gy, padding=1)[1])
    gw = of("local_conv{}d_weight", rank)(x[0], w.shape, gy[0], padding=1)
    same(gw, of("local_conv{}d_weight", rank)(x[:1], w.shape, gy[:1], padding=1))


def test_named_and_uneven_padding():
    x = ints(1, 2, 7, 6)
    w = ints(3, 4, 3, 2, 2, 3)
    pairs = (((0, 1), (0, 1)), (2, 2))
    y = F.local_conv2d(x, w, None, 2, "same")
    same(y, F.local_conv2d(x, w, None, 2, pairs[0]))
    assert y.shape == (1, 3, 4, 3)


def test_a_bias_for_every_channel_or_output():
    x, w, _ = arrays(2, 1, 0, 1, 1)
    y = F.local_conv2d(x, w)
    same(F.local_conv2d(x, w, np.arange(6.0)), y + np.arange(6.0).reshape(6, 1, 1))
    b = ints(*y.shape[1:])
    same(F.local_conv2d(x, w, b), y + b)


@RANKS
@pytest.mark.parametrize("batch", [0, 1, 7])
def test_batches(rank, batch):
    x, w, gy = arrays(rank, 1, 0, 1, 2, batch)
    assert of("local_conv{}d", rank)(x, w, groups=2).shape == gy.shape
    assert of("local_conv{}d_input", rank)(x.shape, w, gy, groups=2).shape == x.shape
    gw = of("local_conv{}d_weight", rank)(x, w.shape, gy, groups=2)
    assert gw.shape == w.shape
    assert batch or not gw.any()


@given(
    problems(
        kinds=tuple(
            ("local_conv", direction)
            for direction in ("forward", "input_gradient", "weight_gradient")
        )
    )
)
def test_small_blocks_agree(problem):
    inputs = inputs_of(problem)
    whole = solved(problem, inputs, "local_gemm")
    try:
        small = solved(problem, inputs, "local_gemm", max_scratch_bytes=2048)
    except F.PlanError:  # one position of all samples is the least
        return
    same(small[0], whole[0])


def test_scratch_is_bounded():
    line = "local_conv forward x=8x64x56x56 w=64x54x54x64x3x3 float32"
    with F.settings(algorithm="local_gemm"):
        problem = Problem.parse(line)
        plan = F.plan.plan_for(problem)
    assert plan.scratch_bytes <= 4 * 2**20
    assert plan.flops == 2 * 8 * 64 * 54 * 54 * 64 * 9


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((ints(1, 2, 5, 5), ints(3, 2, 3, 3)), r"weight: expected 6 dimensions \(C_out, \*out"),
        (
            (ints(1, 2, 5, 5), ints(3, 3, 4, 2, 3, 3)),
            r"weight: expected shape \(3, 3, 3, 2, 3, 3\).*\(3, 3\) window positions.*3, 3, 4",
        ),
        ((ints(1, 2, 5, 5), ints(3, 3, 3, 1, 3, 3)), "weight: .*1 channels"),
        ((ints(1, 2, 5, 5), ints(3, 3, 3, 2, 6, 3)), "kernel_size: .*6 elements"),
        ((ints(5, 5), ints(3, 3, 3, 2, 3, 3)), "input: expected"),
        (
            (ints(1, 2, 5, 5), ints(3, 3, 3, 2, 3, 3), ints(3, 3)),
            r"bias: expected shape \(3,\) or \(3, 3, 3\), got \(3, 3\)",
        ),
    ],
    ids=["dimensions", "out", "channels", "kernel", "rank", "bias"],
)
def test_shapes_that_do_not_fit(args, words, plans):
    with pytest.raises(ShapeError, match=words):
        F.local_conv2d(*args)
    assert plans == []


def test_gradients_that_do_not_fit():
    x, w, gy = arrays(2, 1, 0, 1, 1)
    with pytest.raises(ShapeError, match="grad_output: expected shape"):
        F.local_conv2d_input(x.shape, w, gy[:, 1:])
    with pytest.raises(ShapeError, match="grad_output: expected shape"):
        F.local_conv2d_weight(x, w.shape, gy[:1])
    with pytest.raises(ParameterError, match="weight_size: "):
        F.local_conv2d_weight(x, 5, gy)


@RANKS
def test_parameters_are_those_of_conv(rank):
    for suffix in ("", "_input", "_weight"):
        ours = inspect.signature(getattr(F, f"local_conv{rank}d{suffix}"))
        theirs = inspect.signature(getattr(F, f"conv{rank}d{suffix}"))
        names = list(ours.parameters)
        positional = [n for n in names if ours.parameters[n].kind != inspect.Parameter.KEYWORD_ONLY]
        assert positional == list(theirs.parameters)[: len(positional)]
        assert set(names) <= set(theirs.parameters)


@RANKS
@pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
def test_complex_gradients_are_adjoints(rank, module):
    x, w, gy = (1j * a + a[..., ::-1] for a in arrays(rank, 1, 1, 1, 2))
    y = of("local_conv{}d", rank, module)(x, w, padding=1, groups=2)
    gx = of("local_conv{}d_input", rank, module)(x.shape, w, gy, padding=1, groups=2)
    gw = of("local_conv{}d_weight", rank, module)(x, w.shape, gy, padding=1, groups=2)
    assert np.vdot(y, gy) == np.vdot(x, gx) == np.vdot(w, gw)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint32", "bool"])
def test_integers_are_exact(dtype):
    x, w, _ = arrays(2, 1, 0, 1, 1)
    x, w = np.abs(x).astype(dtype), np.abs(w).astype(dtype)
    y = F.local_conv2d(x, w)
    assert y.dtype == (np.int32 if np.dtype(dtype).itemsize == 1 else np.int64)
    same(y.astype(float), F.local_conv2d(x.astype(float), w.astype(float)))
    same(reference.local_conv2d(x, w), y)


def test_sums_that_may_not_fit_are_refused():
    x, w, _ = arrays(2, 1, 0, 1, 1)
    with pytest.raises(F.AccumulatorError, match="sums"):
        F.local_conv2d(x.astype(np.int64) + 2**40, w.astype(np.int64) + 2**40)
    x, w = np.abs(x).astype(np.uint64), np.abs(w).astype(np.uint64)
    with pytest.raises(F.DtypeError, match="acc_dtype: nothing is wider than uint64"):
        F.local_conv2d(x, w)
    with pytest.raises(F.AccumulatorError, match="acc_dtype: sums"):
        F.local_conv2d(x + 2**32, w + 2**32, acc_dtype="uint64")
    with pytest.raises(F.AccumulatorError, match="acc_dtype: sums"):
        F.local_conv2d(x.astype(np.int8), w.astype(np.int8) + 100, acc_dtype="int8")


def test_the_largest_unsigned_sum_that_fits():
    x, w = np.full((1, 2, 4), 2**32, np.uint64), np.full((1, 4, 2, 1), 2**31, np.uint64)
    y = F.local_conv1d(x, w - 1, acc_dtype="uint64")
    assert int(y[0, 0, 1]) == 2 * 2**32 * (2**31 - 1)
    with pytest.raises(F.AccumulatorError, match="acc_dtype: sums"):
        F.local_conv1d(x, w, acc_dtype="uint64")


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pytorch_agrees(groups, dtype):
    """As PyTorch's users spell it: unfolded windows, each times its own filter."""
    torch = pytest.importorskip("torch")
    x, w, gy = (a.astype(dtype) for a in arrays(2, 2, 1, 1, groups))
    b = ints(6, *gy.shape[2:], dtype=dtype)
    tx, tw = (torch.from_numpy(a).requires_grad_() for a in (x, w))
    columns = torch.nn.functional.unfold(tx, w.shape[-2:], 1, 1, 2)
    columns = columns.reshape(2, groups, 4 // groups, *w.shape[-2:], *gy.shape[2:])
    filters = tw.reshape(groups, 6 // groups, *w.shape[1:])
    y = torch.einsum("ngcijhw,gmhwcij->ngmhw", columns, filters).reshape(gy.shape)
    y = y + torch.from_numpy(b)
    same(F.local_conv2d(x, w, b, 2, 1, 1, groups), y.detach().numpy())
    y.backward(torch.from_numpy(gy))
    same(F.local_conv2d_input(x.shape, w, gy, 2, 1, 1, groups), tx.grad.numpy())
    same(F.local_conv2d_weight(x, w.shape, gy, 2, 1, 1, groups), tw.grad.numpy())
