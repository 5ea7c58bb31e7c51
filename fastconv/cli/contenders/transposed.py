"""Transposed convolutions, which are gradients of convolutions' inputs: prepared, and by others."""

from functools import partial
from typing import Any

import numpy as np

import fastconv
from fastconv.algorithms import Inputs
from fastconv.cli.contenders.contender import Call
from fastconv.cli.contenders.onnx_runtime import OnnxRuntime, one_node, session_call
from fastconv.cli.contenders.own import EnginePrepared
from fastconv.cli.contenders.pytorch import PyTorch
from fastconv.dtypes import Array
from fastconv.problem import Problem


class EnginePreparedTransposed(EnginePrepared):
    """`fastconv.prepare_conv_transpose`."""

    def rejects(self, problem: Problem) -> str | None:
        """Accept gradients of inputs that are transposed convolutions."""
        return _refusal(problem)

    def prepare(self, problem: Problem, inputs: Inputs, threads: int = 1) -> Call:
        """Prepare the transposed convolution, and call it once, for that is when it packs."""
        conv = problem.conv
        layer = fastconv.prepare_conv_transpose(
            inputs[0],
            None,
            tuple(axis.stride for axis in conv.axes),
            tuple((axis.before, axis.after) for axis in conv.axes),
            _output_padding(problem),
            conv.groups,
            tuple(axis.dilation for axis in conv.axes),
        )
        layer(inputs[1])
        return partial(layer, inputs[1])


class PyTorchTransposed(PyTorch):
    """`torch.nn.functional.conv_transpose2d` and its siblings."""

    def rejects(self, problem: Problem) -> str | None:
        """Accept gradients of inputs that are transposed convolutions, padded alike."""
        reason = _refusal(problem)
        if reason is None and any(axis.before != axis.after for axis in problem.conv.axes):
            return "padding is not alike on both sides"
        return reason

    def prepare(self, problem: Problem, inputs: Inputs, threads: int = 1) -> Call:
        """Wrap the arrays as tensors; its number of threads is set for the whole process."""
        import torch
        from torch.nn import functional

        torch.set_num_threads(threads)
        conv = problem.conv
        w, gy = (torch.from_numpy(array) for array in inputs[:2])
        function = partial(
            getattr(functional, f"conv_transpose{conv.rank}d"),
            *(gy, w, None),
            tuple(axis.stride for axis in conv.axes),
            tuple(axis.before for axis in conv.axes),
            _output_padding(problem),
            conv.groups,
            tuple(axis.dilation for axis in conv.axes),
        )

        def call() -> Array:
            with torch.inference_mode():
                result: Array = function().numpy()
            return result

        return call


class OnnxRuntimeTransposed(OnnxRuntime):
    """A session for a `ConvTranspose`; the weight is a constant."""

    def rejects(self, problem: Problem) -> str | None:
        """Accept gradients of inputs that are transposed convolutions, in float32."""
        reason = _refusal(problem)
        return "float32 only" if reason is None and problem.dtype != np.float32 else reason

    def prepare(self, problem: Problem, inputs: Inputs, threads: int = 1) -> Call:
        """Build the model and its session."""
        conv = problem.conv
        attributes: dict[str, Any] = {
            "kernel_shape": conv.kernel,
            "strides": [axis.stride for axis in conv.axes],
            "dilations": [axis.dilation for axis in conv.axes],
            "pads": [*(a.before for a in conv.axes), *(a.after for a in conv.axes)],
            "output_padding": _output_padding(problem),
            "group": conv.groups,
        }
        shapes = (conv.output_shape, conv.input_shape)
        model = one_node("ConvTranspose", attributes, {"w": inputs[0]}, *shapes)
        return session_call(model, inputs[1], threads)


def _output_padding(problem: Problem) -> tuple[int, ...]:
    """Return by how much the gradient is longer than the least that has all windows."""
    return tuple(
        axis.size - (axis.out - 1) * axis.stride - axis.extent + axis.before + axis.after
        for axis in problem.conv.axes
    )


def _refusal(problem: Problem) -> str | None:
    if (problem.operation, problem.direction) != ("conv", "input_gradient"):
        return "transposed convolutions only"
    if problem.layout != "channels_first" or problem.padding or problem.activation is not None:
        return "channels first, over zeros, no activation"
    if problem.not_compiled is not None:
        return "float32 and float64 only"
    if problem.conv.rank > 3 or not problem.conv.batch:
        return "up to 3 spatial dimensions, and some samples"
    more = _output_padding(problem)
    strides = [axis.stride for axis in problem.conv.axes]
    if any(not 0 <= extra < stride for extra, stride in zip(more, strides, strict=True)):
        return "output_padding would not be less than the stride"
    return None
