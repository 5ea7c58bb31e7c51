"""1x1 kernels at stride 1 without padding: one matrix multiply per sample, no copy at all."""

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.dtypes import Array
from fastconv.problem import Problem


class Pointwise:
    """Multiply the weight matrix with the input as it lies in memory."""

    name = "pointwise"
    exact = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept kernels of one tap that visit every position once."""
        if problem.operation != "conv":
            return f"solves conv, not {problem.operation}"
        for axis in problem.conv.axes:
            if axis.kernel != 1:
                return f"kernel {problem.conv.kernel} has more than one tap"
            if axis.stride != 1:
                return "stride is not 1"
            if axis.before or axis.after:
                return "padding is not 0"
        return None

    def scratch(self, problem: Problem, limit: int) -> int:
        """Nothing, but one sample's product in a weight gradient."""
        geometry = problem.conv
        if problem.direction == "weight_gradient" and geometry.batch > 1:
            return geometry.out_channels * geometry.k * problem.dtype.itemsize
        return 0

    def run(self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int) -> None:
        """Solve all three directions as `W x`, `W^T gy` and `gy x^T`."""
        geometry = problem.conv
        n, g, m, k = geometry.batch, geometry.groups, geometry.m, geometry.k
        (out,) = outputs
        first, second, *rest = inputs
        if first is None or second is None:
            return
        if problem.direction == "forward":
            columns = first.reshape(n, g, k, -1)
            y = out.reshape(n, g, m, -1)
            np.matmul(second.reshape(g, m, k), columns, out=y)
            if rest and rest[0] is not None:
                y += rest[0].reshape(g, m, 1)
        elif problem.direction == "input_gradient":
            weight = first.reshape(g, m, k).swapaxes(1, 2)
            np.matmul(weight, second.reshape(n, g, m, -1), out=out.reshape(n, g, k, -1))
        else:
            _weight_gradient(
                first.reshape(n, g, k, -1), second.reshape(n, g, m, -1), out.reshape(g, m, k)
            )


def _weight_gradient(columns: Array, gy: Array, gw: Array) -> None:
    gw[:] = 0
    for sample in range(columns.shape[0]):
        gw += np.matmul(gy[sample], columns[sample].swapaxes(1, 2))
