"""PyTorch as the judge of arrays without elements: which are allowed, and what comes of them."""

import itertools

import numpy as np
import pytest

import fastconv as F
from fastconv import ParameterError, ShapeError

torch = pytest.importorskip("torch")
T = torch.nn.functional


def theirs(call, *shapes):
    """What PyTorch returns, with the gradients of all inputs after it; None where it refuses."""
    tensors = [torch.ones(shape, requires_grad=True) for shape in shapes]
    try:
        with torch.no_grad():
            results = call(*tensors)
    except (RuntimeError, ValueError, IndexError):
        return None, None
    results = results if isinstance(results, tuple) else (results,)
    try:
        first = call(*tensors)
        first = first[0] if isinstance(first, tuple) else first
        gradients = torch.autograd.grad(first, tensors, torch.ones_like(first))
    except RuntimeError:
        return [result.numpy() for result in results], None
    return [result.numpy() for result in results], [gradient.numpy() for gradient in gradients]


def ours(call, *shapes):
    """What fastconv returns; None where it refuses."""
    try:
        results = call(*(np.ones(shape, np.float32) for shape in shapes))
    except (ShapeError, ParameterError):
        return None
    return list(results) if isinstance(results, tuple) else [results]


def compare(found, expected, what):
    if expected is None:
        assert found is None, what
        return
    assert found is not None, what
    assert len(found) == len(expected), what
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype, what
        np.testing.assert_allclose(one, other, rtol=1e-6, err_msg=str(what))


def function(module, name, rank):
    return getattr(module, name.format(rank))


def with_zeros(rank):
    """Shapes (N, C, *sizes) and (C, *sizes) with a 0 in any of up to three places."""
    for shape in itertools.product((2, 0), (2, 0), (4, 0), *((5,),) * (rank - 1)):
        yield shape
        yield shape[1:]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("how", [{}, {"padding": 1}, {"padding": 1, "stride": 2}, {"groups": 2}])
@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_convolution(rank, how, kernel):
    channels_and_outputs = ((2, 4), (0, 4), (1, 4), (2, 0))
    for x, (c, k) in itertools.product(with_zeros(rank), channels_and_outputs):
        w, name = (k, c, kernel, *(2,) * (rank - 1)), f"conv{rank}d"
        forward, gradients = theirs(lambda *a, name=name: getattr(T, name)(*a, **how), x, w, (k,))
        what = (name, x, w, how)
        found = ours(lambda *a, name=name: getattr(F, name)(*a, **how), x, w, (k,))
        compare(found, forward, what)
        if forward is None:
            continue
        y = forward[0].shape
        gx = ours(lambda w, gy, x=x: function(F, "conv{}d_input", rank)(x, w, gy, **how), w, y)
        gw = ours(lambda x, gy, w=w: function(F, "conv{}d_weight", rank)(x, w, gy, **how), x, y)
        compare([*gx, *gw], gradients[:2], what)
        if 0 not in x[-rank - 1 : len(x) - rank]:  # of no channels nothing tells how many biases
            compare(ours(function(F, "conv{}d_bias", rank), y), gradients[2:], what)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "how",
    [{}, {"padding": 1}, {"stride": 3}, {"stride": 4, "output_padding": 1}, {"groups": 2}],
)
@pytest.mark.parametrize("size", [4, 1, 0])
def test_transposed_convolution(rank, how, size):
    name = f"conv_transpose{rank}d"
    for n, c, k, kernel in itertools.product((2, 0), (2, 0), (3, 0), (2, 3)):
        x = (n, c, size, *(5,) * (rank - 1))
        w = (c, k, kernel, *(3,) * (rank - 1))
        b = (k * how.get("groups", 1),)
        forward, gradients = theirs(lambda *a: getattr(T, name)(*a, **how), x, w, b)
        what = (name, x, w, how)
        compare(ours(lambda *a: getattr(F, name)(*a, **how), x, w, b), forward, what)
        if forward is None:
            continue
        y = forward[0].shape
        gx = ours(lambda w, gy, x=x: getattr(F, name + "_input")(x, w, gy, **how), w, y)
        gw = ours(lambda x, gy, w=w: getattr(F, name + "_weight")(x, w, gy, **how), x, y)
        gb = ours(function(F, "conv{}d_bias", rank), y)
        compare([*gx, *gw, *gb], gradients, what)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_pools(rank, kernel):
    for x in with_zeros(rank):
        for padding in (0, kernel // 2):
            check_average(rank, x, kernel, 1, padding)
            check_maximum(rank, x, kernel, 1, padding)
        forward, _ = theirs(lambda x: function(T, "lp_pool{}d", rank)(x, 1, kernel), x)
        compare(ours(lambda x: function(F, "lp_pool{}d", rank)(x, 1, kernel), x), forward, x)


def check_average(rank, shape, *place):
    forward, gradients = theirs(lambda x: function(T, "avg_pool{}d", rank)(x, *place), shape)
    found = ours(lambda x: function(F, "avg_pool{}d", rank)(x, *place), shape)
    compare(found, forward, (shape, place))
    if forward is not None:
        backward = function(F, "avg_pool{}d_backward", rank)
        found = ours(lambda gy: backward(gy, shape, *place), forward[0].shape)
        compare(found, gradients, (shape, place))


def check_maximum(rank, shape, *place):
    full = (*place, 1, False, True)
    forward, gradients = theirs(lambda x: function(T, "max_pool{}d", rank)(x, *full), shape)
    found = ours(lambda x: function(F, "max_pool{}d", rank)(x, *full), shape)
    compare(found, forward, (shape, place))
    if forward is not None:
        backward = function(F, "max_pool{}d_backward", rank)
        found = ours(lambda gy: backward(gy, forward[1], shape), forward[0].shape)
        compare(found, gradients, (shape, place))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_adaptive_pools(rank):
    sizes = [2, 0] if rank == 1 else [2, 0, (0, *(2,) * (rank - 1))]
    for x, size in itertools.product(with_zeros(rank), sizes):
        name = f"adaptive_avg_pool{rank}d"
        forward, gradients = theirs(lambda x, n=name, s=size: getattr(T, n)(x, s), x)
        compare(ours(lambda x, n=name, s=size: getattr(F, n)(x, s), x), forward, (name, x, size))
        if forward is not None:
            backward = getattr(F, name + "_backward")
            found = ours(lambda gy, x=x, b=backward: b(gy, x), forward[0].shape)
            compare(found, gradients, (name, x, size))
        name = f"adaptive_max_pool{rank}d"
        forward, gradients = theirs(lambda x, n=name, s=size: getattr(T, n)(x, s, True), x)
        compare(ours(lambda x, n=name, s=size: getattr(F, n)(x, s, True), x), forward, (name, x))
        if forward is not None:
            backward, at = getattr(F, name + "_backward"), forward[1]
            found = ours(lambda gy, x=x, b=backward, at=at: b(gy, at, x), forward[0].shape)
            compare(found, gradients, (name, x, size))


@pytest.mark.parametrize("rank", [2, 3])
def test_fractional_pools(rank):
    name, how = f"fractional_max_pool{rank}d", {"return_indices": True}
    backward = getattr(F, name + "_backward")
    for x, size in itertools.product(with_zeros(rank), [2, 0, (0, *(2,) * (rank - 1))]):
        samples = torch.zeros((*(1, *x)[-rank - 2 : -rank], rank))
        forward, gradients = theirs(
            lambda x, s=size, r=samples: getattr(T, name)(x, 2, s, _random_samples=r, **how), x
        )
        found = ours(
            lambda x, s=size, r=samples: getattr(F, name)(
                x, 2, s, _random_samples=r.numpy(), **how
            ),
            x,
        )
        compare(found, forward, (name, x, size))
        if forward is not None:
            at = forward[1]
            found = ours(lambda gy, x=x, at=at: backward(gy, at, x), forward[0].shape)
            compare(found, gradients, (name, x, size))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_unpooling(rank):
    name = f"max_unpool{rank}d"
    backward = getattr(F, name + "_backward")
    for x in with_zeros(rank):
        at = np.broadcast_to(np.arange(int(np.prod(x[-rank:]))).reshape(x[-rank:]), x).copy()
        forward, gradients = theirs(lambda x, at=at: getattr(T, name)(x, torch.tensor(at), 2), x)
        compare(ours(lambda x, at=at: getattr(F, name)(x, at, 2), x), forward, (name, x))
        if forward is not None:
            found = ours(lambda gy, x=x, at=at: backward(gy, at, x), forward[0].shape)
            compare(found, gradients, (name, x))


@pytest.mark.parametrize("kernel", [1, 2, 5])
@pytest.mark.parametrize("padding", [0, 2])
def test_columns(kernel, padding):
    how = {"padding": padding}
    for x in with_zeros(2):
        forward, _ = theirs(lambda x: T.unfold(x, kernel, **how), x)
        compare(ours(lambda x: F.unfold(x, kernel, **how), x), forward, (x, kernel, padding))
        positions = int(np.prod([size + 2 * padding - kernel + 1 for size in x[-2:]]))
        columns = (*x[:-3], x[-3] * kernel**2, max(0, positions))
        forward, _ = theirs(lambda c, x=x: T.fold(c, x[-2:], kernel, **how), columns)
        found = ours(lambda c, x=x: F.fold(c, x[-2:], kernel, **how), columns)
        compare(found, forward, (columns, x, kernel, padding))
