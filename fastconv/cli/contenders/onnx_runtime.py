"""ONNX Runtime on the CPU, on a model of one node."""

from typing import Any

import numpy as np

from fastconv.algorithms import Inputs
from fastconv.cli.contenders.contender import Call
from fastconv.cli.extras import importable
from fastconv.dtypes import Array
from fastconv.problem import Problem

OPSET, IR_VERSION = 18, 8
NODES = {"conv": "Conv", "max_pool": "MaxPool", "avg_pool": "AveragePool"}


class OnnxRuntime:
    """A session of its own for each problem; weights are constants, so it may pack them."""

    name = "ONNX Runtime"

    def available(self) -> bool:
        """Whether onnx, which builds the model, and onnxruntime are installed."""
        return importable("onnx") and importable("onnxruntime")

    def rejects(self, problem: Problem) -> str | None:
        """Accept convolutions and pools forward, in float32."""
        if problem.layout != "channels_first":
            return "channels first only"
        if problem.operation not in NODES or problem.direction != "forward" or problem.indices:
            return "convolutions and pools forward only"
        if problem.divisor is not None or problem.activation is not None:
            return "no divisor, no activation"
        if problem.padding or (problem.operation == "conv" and problem.conv.fewer_out):
            return "all positions that fit, over zeros"
        axes = problem.window.axes
        if problem.window.rounding == "cover_all" or problem.nan != "propagate":
            return "no rounding to cover all, no NaN ignored"
        if problem.operation == "avg_pool" and any(axis.dilation > 1 for axis in axes):
            return "averages have no dilation"
        if problem.operation != "conv" and any(
            max(axis.before, axis.after) >= axis.kernel for axis in axes
        ):
            return "padding is not less than the kernel"
        return None if problem.dtype == np.float32 else "float32 only"

    def prepare(self, problem: Problem, inputs: Inputs, threads: int = 1) -> Call:
        """Build the model and its session."""
        return session_call(_model(problem, inputs), inputs[0], threads)


def session_call(model: bytes, x: Array, threads: int) -> Call:
    """Return the call of a model of one input and one output."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {"x": x}

    def call() -> Array:
        result: Array = session.run(None, feed)[0]
        return result

    return call


def _model(problem: Problem, inputs: Inputs) -> bytes:
    constants = {
        name: array
        for name, array in zip(("w", "b"), inputs[1:], strict=False)
        if array is not None
    }
    shapes = (problem.geometry.input_shape, problem.geometry.output_shape)
    return one_node(NODES[problem.operation], _attributes(problem), constants, *shapes)


def one_node(
    kind: str,
    attributes: dict[str, Any],
    constants: dict[str, Array],
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
) -> bytes:
    """Return a model of one node from "x" and constants to "y"."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node(kind, ["x", *constants], ["y"], **attributes)],
        "one_node",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output_shape)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    serialized: bytes = model.SerializeToString()
    return serialized


def _attributes(problem: Problem) -> dict[str, Any]:
    window = problem.window
    befores, afters = ([getattr(a, end) for a in window.axes] for end in ("before", "after"))
    attributes: dict[str, Any] = {
        "kernel_shape": window.kernel,
        "strides": [axis.stride for axis in window.axes],
        "pads": [*befores, *afters],
    }
    if problem.operation == "avg_pool":
        attributes["count_include_pad"] = int(problem.count_include_pad)
    else:
        attributes["dilations"] = [axis.dilation for axis in window.axes]
    if problem.operation == "conv":
        attributes["group"] = problem.conv.groups
    else:
        attributes["ceil_mode"] = int(window.ceil_mode)
    return attributes
