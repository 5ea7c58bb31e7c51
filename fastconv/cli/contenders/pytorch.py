"""PyTorch on the CPU: `torch.nn.functional` and `torch.nn.grad`."""

from collections.abc import Callable
from functools import partial
from typing import Any

from fastconv.algorithms import Inputs
from fastconv.cli.contenders.contender import Call
from fastconv.cli.extras import importable
from fastconv.dtypes import Array
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
        if problem.operation not in ("conv", "max_pool", "avg_pool") or problem.indices:
            return "convolutions, pools and columns only"
        if problem.operation != "conv" and problem.direction != "forward":
            return "pools forward only"
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
    from torch.nn import functional, grad

    window = problem.window
    stride = tuple(axis.stride for axis in window.axes)
    padding = tuple(axis.before for axis in window.axes)
    dilation = tuple(axis.dilation for axis in window.axes)
    if problem.operation == "conv":
        name = f"conv{window.rank}d"
        steps = (stride, padding, dilation, problem.conv.groups)
        if problem.direction == "forward":
            return partial(getattr(functional, name), *tensors, *steps)
        first, second = tensors
        if problem.direction == "input_gradient":
            function = getattr(grad, f"{name}_input")
            return partial(function, problem.conv.input_shape, first, second, *steps)
        return partial(
            getattr(grad, f"{name}_weight"), first, problem.conv.weight_shape, second, *steps
        )
    if problem.operation == "columns":
        columns = (window.kernel, dilation, padding, stride)
        if problem.direction == "forward":
            return partial(functional.unfold, tensors[0], *columns)
        return partial(functional.fold, tensors[0], window.sizes, *columns)
    place = (tensors[0], window.kernel, stride, padding)
    if problem.operation == "max_pool":
        function = getattr(functional, f"max_pool{window.rank}d")
        return partial(function, *place, dilation, window.ceil_mode)
    function = getattr(functional, f"avg_pool{window.rank}d")
    options = (window.ceil_mode, problem.count_include_pad)
    divisor = () if problem.divisor is None else (problem.divisor,)
    return partial(function, *place, *options, *divisor)
