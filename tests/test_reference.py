"""`import fastconv.reference as F` stands in for `import fastconv as F`."""

import inspect
import re

import numpy as np
import pytest

import fastconv as F
from fastconv import reference
from fastconv.errors import DtypeError, ShapeError
from tests.helpers import ints, same

PREPARING = ("prepare_conv", "prepare_conv_transpose")
"""Functions that return a callable: tests/ops/test_prepared*.py."""
OPERATIONS = sorted(
    {name for name in F.__all__ if inspect.isfunction(getattr(F, name))}
    - {"configure", "explain", "forget_tuned", "info", "settings", "tune"}
    - {"deform_conv2d_backward"}  # several plans: tests/ops/test_deform.py
    - set(PREPARING)
)
BETWEEN = {
    *("activation_backward", "affine", "batch_norm", "batch_norm_backward"),
    *("log_softmax", "log_softmax_backward", "softmax", "softmax_backward"),
}
"""Functions without plans: tests/ops/test_between.py."""
OPERATIONS = sorted(set(OPERATIONS) - BETWEEN)
SPATIAL = {1: (9,), 2: (9, 8), 3: (5, 6, 7)}


def arguments(name):
    """One call of every operation."""
    if name in ("im2col", "sliding_windows", "unfold"):
        return (ints(2, 3, 9, 8), 3), {}
    if name in ("col2im", "fold"):
        return (ints(2, 12, 12), (5, 4), (2, 2)), {}
    if name in BETWEEN:
        return between(name)
    if name == "conv_tbc":
        return (ints(9, 2, 4), ints(3, 4, 6), ints(6), 1), {}
    if name == "causal_conv1d":
        return (ints(2, 4, 9), ints(6, 2, 3), ints(6), 2, 2), {"state": ints(2, 4, 4)}
    if name == "deform_conv2d":
        return (ints(2, 4, 7, 6), ints(2, 18, 5, 4) / 4, ints(6, 2, 3, 3), ints(6)), {}
    if name.startswith("global"):
        x, ones = ints(2, 3, 9, 8), ints(2, 3, 1, 1) * 72
        gradients = {
            "global_avg_pool_backward": (ones, x.shape),
            "global_max_pool_backward": (ones, np.abs(ones).astype(int) // 72, x.shape),
            "global_lp_pool_backward": (ones, x, np.ones_like(ones)),
        }
        return gradients.get(name, (x,)), {}
    rank = int(re.search(r"(\d)d", name)[1])
    sizes = SPATIAL[rank]
    x, w = ints(2, 4, *sizes), ints(6, 2, *(3,) * rank)
    gy = ints(2, 6, *(size - 2 for size in sizes))
    kind = name.replace(f"{rank}d", "")
    if kind == "conv":
        return (x, w, ints(6)), {"groups": 2, "stride": 2, "padding": "same"}
    if kind == "conv_bias":
        return (gy,), {}
    if kind == "separable_conv":
        depthwise = ints(8, 1, *(3,) * rank)
        return (x, depthwise, ints(5, 8), ints(5)), {"padding": 1, "stride": 2}
    if kind.startswith("local_conv"):
        w = ints(6, *gy.shape[2:], 2, *(3,) * rank)
        shapes = {"local_conv": (x, w, ints(6)), "local_conv_input": (x.shape, w, gy)}
        return shapes.get(kind, (x, w.shape, gy)), {"groups": 2}
    if kind == "conv_input":
        return (x.shape, w, gy), {"groups": 2}
    if kind.startswith("conv_transpose"):
        x, w = ints(2, 6, *sizes), ints(6, 2, *(3,) * rank)
        gy = ints(2, 4, *(size * 2 for size in sizes))
        place = {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}
        called = {"": (x, w, ints(4)), "_input": (x.shape, w, gy), "_weight": (x, w.shape, gy)}
        return called[kind.removeprefix("conv_transpose")], place
    if kind == "conv_weight":
        return (x, w.shape, gy), {"groups": 2}
    halves = ints(2, 4, *(size // 2 for size in sizes)) * 8
    places = np.abs(halves).astype(int) // 8
    if kind == "max_unpool":
        return (halves, places, 2), {}
    if kind == "max_unpool_backward":
        return (x, places, halves.shape), {}
    if re.search("(max|min|median|quantile)_pool_backward", kind):
        return (halves, places, x.shape), {}
    if kind == "adaptive_avg_pool_backward":
        return (halves * 27, x.shape), {}
    if kind.startswith("adaptive"):
        return (x, 3), {}
    if kind in ("fractional_max_pool", "fractional_max_pool_with_indices"):
        return (x, 2, 3), {"_random_samples": np.full((2, 4, rank), 0.3)}
    if kind == "lp_pool":
        return (x, 2, 3), {"padding": 1, "ceil_mode": True}
    if kind == "lp_pool_backward":
        return (halves, x, np.ones_like(halves), 2, 2), {}
    if kind == "quantile_pool":
        return (x, 3), {"padding": 1, "q": 0.25}
    if kind == "avg_pool_backward":
        return (halves, x.shape, 2), {}
    return (x, 3), {"padding": 1, "ceil_mode": True}


def between(name):
    x, w = ints(2, 3, 9, 8), np.arange(1.0, 4)
    return {
        "activation_backward": (x, x, "relu"),
        "affine": (x, w, w, x),
        "batch_norm": (x, w, w**2, w, w),
        "batch_norm_backward": (x, x, w, w**2, w),
    }.get(name, (x, x, 1) if name.endswith("backward") else (x, 1)), {}


@pytest.mark.parametrize("name", OPERATIONS)
def test_it_has_the_same_name_parameters_and_result(name):
    ours, theirs = getattr(F, name), getattr(reference, name)
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert theirs.__doc__
    args, kwargs = arguments(name)
    for slow, fast in zip(
        *(results(function(*args, **kwargs)) for function in (theirs, ours)), strict=True
    ):
        same(slow, fast)


def results(returned):
    return returned if isinstance(returned, tuple) else (returned,)


@pytest.mark.parametrize("name", OPERATIONS)
def test_it_runs_the_naive_loops(name, plans):
    args, kwargs = arguments(name)
    with F.settings(algorithm="im2col_gemm"):  # the module's own choice wins
        getattr(reference, name)(*args, **kwargs)
        assert F.plan.current_settings().algorithm == "im2col_gemm"
    assert {plan.algorithm for plan in plans} == {"naive"}
    assert len(plans) == 1 + name.startswith("separable")


def test_indices_too():
    x = ints(1, 2, 7, 7)
    ours = F.max_pool2d(x, 3, 2, return_indices=True)
    theirs = reference.max_pool2d(x, 3, 2, return_indices=True)
    for one, other in zip(ours, theirs, strict=True):
        same(other, one)


@pytest.mark.parametrize("shape", [(2, 3, 9), (2, 3, 7, 6), (0, 2, 5, 5)], ids=str)
def test_sliding_windows_are_read_only_in_the_same_shape(shape):
    x = ints(*shape)
    windows = reference.sliding_windows(x, 3, 2, 2)
    same(windows, F.sliding_windows(x, 3, 2, 2))
    assert not windows.flags.writeable


def test_unbatched_sliding_windows():
    x = ints(3, 7, 6)
    same(reference.sliding_windows(x, (2, 3)), F.sliding_windows(x, (2, 3)))


def test_errors_are_the_same():
    with pytest.raises(ShapeError, match="kernel_size"):
        reference.conv1d(ints(1, 1, 2), ints(1, 1, 3))
    with pytest.raises(DtypeError, match="input"):
        reference.sliding_windows(np.zeros((1, 1, 4), "g"), 2)
