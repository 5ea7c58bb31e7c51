"""PyTorch on the CPU: `torch.nn.functional`, and what `torch.nn.grad` calls."""

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

from fastconv.algorithms import Inputs
from fastconv.cli.contenders.contender import Call
from fastconv.cli.extras import importable
from fastconv.dtypes import Array
from fastconv.planes import ScatterGeometry
from fastconv.problem import Problem


class PyTorch:
    """Tensors on the same memory as the arrays, without recording gradients."""

    name = "PyTorch"

    def available(self) -> bool:
        """Whether torch is installed."""
        return importable("torch")

    def rejects(self, problem: Problem) -> str | None:
        """Accept convolutions and columns in all directions and pools forward.

        Padded alike on both sides.
        """
        if problem.layout != "channels_first":
            return "channels first only"
        if problem.not_compiled is not None:
            return "float32 and float64 only"
        if problem.operation == "columns":
            return _columns_refusal(problem)
        if problem.operation == "scatter":
            sizes, out = problem.scatter.sizes, problem.scatter.out
            fits = len(sizes) == 2 and all(map(operator.ge, sizes, out))
            return None if fits else "gradients of pools in planes only"
        if problem.operation not in ("conv", "max_pool", "avg_pool") or problem.indices:
            return "convolutions, pools and columns only"
        planes = problem.operation != "conv" and problem.window.rank == 2
        if problem.operation != "conv" and problem.direction != "forward" and not planes:
            return "gradients of pools in planes only"
        if problem.padding or (problem.operation == "conv" and problem.conv.fewer_out):
            return "all positions that fit, over zeros"
        if problem.activation is not None:
            return "no activation"
        if any(axis.before != axis.after for axis in problem.window.axes):
            return "padding is not alike on both sides"
        if problem.operation != "conv":
            return _pool_refusal(problem)
        return None

    def prepare(self, problem: Problem, inputs: Inputs, threads: int = 1) -> Call:
        """Wrap the arrays as tensors; its number of threads is set for the whole process."""
        import torch

        torch.set_num_threads(threads)
        if problem.operation == "columns":
            inputs = inputs[:1]  # the value of padding is 0
        tensors = [None if array is None else torch.from_numpy(array) for array in inputs]
        function = _function(problem, tensors)

        def call() -> Array:
            with torch.inference_mode():
                result: Array = function().numpy()
            return result

        return call


def _columns_refusal(problem: Problem) -> str | None:
    if problem.window.rank != 2 or problem.dialect != "fastconv":
        return "unfold and fold of planes only"
    if problem.padding_mode != "zeros":
        return "over zeros"
    if any(axis.before != axis.after for axis in problem.window.axes):
        return "padding is not alike on both sides"
    return None


def _pool_refusal(problem: Problem) -> str | None:
    axes = problem.window.axes
    if problem.window.rounding == "cover_all" or problem.nan != "propagate":
        return "no rounding to cover all, no NaN ignored"
    if any(2 * axis.before > axis.kernel for axis in axes):
        return "padding is more than half the kernel"
    if problem.operation == "avg_pool" and any(axis.dilation > 1 for axis in axes):
        return "averages have no dilation"
    return None


def _function(problem: Problem, tensors: list[Any]) -> Callable[[], Any]:
    from torch.nn import functional

    if problem.operation == "scatter":
        return _scattered(problem.scatter, tensors)
    window = problem.window
    stride = tuple(axis.stride for axis in window.axes)
    padding = tuple(axis.before for axis in window.axes)
    dilation = tuple(axis.dilation for axis in window.axes)
    if problem.operation == "conv":
        name = f"conv{window.rank}d"
        steps = (stride, padding, dilation, problem.conv.groups)
        if problem.direction == "forward":
            return partial(getattr(functional, name), *tensors, *steps)
        return _gradient(problem, tensors, steps)
    if problem.operation == "columns":
        columns = (window.kernel, dilation, padding, stride)
        if problem.direction == "forward":
            return partial(functional.unfold, tensors[0], *columns)
        return partial(functional.fold, tensors[0], window.sizes, *columns)
    place = (tensors[0], window.kernel, stride, padding)
    if problem.operation == "max_pool":
        function = getattr(functional, f"max_pool{window.rank}d")
        return partial(function, *place, dilation, window.ceil_mode)
    if problem.direction == "input_gradient":
        return _averages_gradient(problem, *tensors)
    function = getattr(functional, f"avg_pool{window.rank}d")
    options = (window.ceil_mode, problem.count_include_pad)
    divisor = () if problem.divisor is None else (problem.divisor,)
    return partial(function, *place, *options, *divisor)


def _gradient(problem: Problem, tensors: list[Any], steps: tuple[Any, ...]) -> Callable[[], Any]:
    """Return the call behind `torch.nn.grad`, without what that does before.

    There the operand that is not read is one element in every place, which PyTorch then copies.
    """
    import torch

    geometry, (first, second) = problem.conv, tensors
    stride, padding, dilation, groups = steps
    inputs = problem.direction == "input_gradient"
    unread = torch.empty(geometry.input_shape if inputs else geometry.weight_shape)
    unread = unread.to(first.dtype)
    x, w = (unread, first) if inputs else (first, unread)
    place = (None, stride, padding, dilation, False, [0] * geometry.rank, groups)
    backward = torch.ops.aten.convolution_backward

    def gradient() -> Any:
        return backward(second, x, w, *place, (inputs, not inputs, False))[0 if inputs else 1]

    return gradient


def _averages_gradient(problem: Problem, gy: Any) -> Callable[[], Any]:
    """Return the call that autograd makes: it asks for the input, of which the shape is used."""
    import torch

    window = problem.window
    places = [[getattr(axis, name) for axis in window.axes] for name in ("stride", "before")]
    options = (window.ceil_mode, problem.count_include_pad, problem.divisor)
    x = torch.zeros(window.input_shape, dtype=gy.dtype)
    backward = torch.ops.aten.avg_pool2d_backward
    return partial(backward, gy, x, list(window.kernel), *places, *options)


def _scattered(geometry: ScatterGeometry, tensors: list[Any]) -> Callable[[], Any]:
    """Return the call that autograd makes, of any pool from and to these sizes."""
    import torch

    pairs = list(zip(geometry.sizes, geometry.out, strict=True))
    stride = [size // out or 1 for size, out in pairs]
    kernel = [size - (out - 1) * step for (size, out), step in zip(pairs, stride, strict=True)]
    values, indices = tensors
    x = torch.zeros(geometry.input_shape, dtype=values.dtype)
    backward = torch.ops.aten.max_pool2d_with_indices_backward
    place = (kernel, stride, [0, 0], [1, 1], False)
    return partial(backward, values, x, *place, indices)
