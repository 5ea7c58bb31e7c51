"""Where the columns are the input as it lies in memory: one multiply per sample, no copy at all.

That is so for kernels of one tap that visit every position once, and for kernels as large as the
input, which have one position.
"""

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.dtypes import Array
from fastconv.geometry import Axis
from fastconv.problem import Problem


class Pointwise:
    """Multiply the weight matrix with the input itself."""

    name = "pointwise"
    exact = True
    uses_blas = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept 1x1 kernels at stride 1 and kernels that cover the input, without padding."""
        if problem.operation != "conv":
            return f"solves conv, not {problem.operation}"
        if not problem.native:
            return f"multiplies floating point in its own dtype, not {problem.dtype}"
        axes = problem.conv.axes
        if any(axis.before or axis.after for axis in axes):
            return "padding is not 0"
        if all(_one_tap(axis) for axis in axes) or all(_one_window(axis) for axis in axes):
            return None
        return (
            f"kernel {problem.conv.kernel} is neither one tap at stride 1 "
            f"nor as large as the input {problem.conv.sizes}"
        )

    def takes_views(self, problem: Problem) -> bool:
        """One tap leaves channels and positions an axis each; larger kernels merge them."""
        return all(_one_tap(axis) for axis in problem.conv.axes)

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count one sample's product in a weight gradient; nothing else is allocated."""
        geometry = problem.conv
        if problem.direction == "weight_gradient":
            return geometry.out_channels * geometry.k * problem.dtype.itemsize
        return 0

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Solve the three directions as `W x`, `W^T gy` and `gy x^T`."""
        geometry = problem.conv
        n, g, m, k = geometry.batch, geometry.groups, geometry.m, geometry.k
        length = geometry.positions
        (out,) = outputs
        first, second, *rest = inputs
        if first is None or second is None:
            return
        if problem.direction == "forward":
            x, y, w = first.reshape(n, g, k, length), out.reshape(n, g, m, length), second
            if length == g == 1:  # one multiply for all samples
                np.matmul(x.reshape(n, k), w.reshape(m, k).T, y.reshape(n, m))
            else:
                np.matmul(w.reshape(g, m, k), x, y)
            if rest and rest[0] is not None:
                y += rest[0].reshape(g, m, 1)
        elif problem.direction == "input_gradient":
            weight = first.reshape(g, m, k).swapaxes(1, 2)
            np.matmul(weight, second.reshape(n, g, m, length), out.reshape(n, g, k, length))
        else:
            x, gy = first.reshape(n, g, k, length), second.reshape(n, g, m, length)
            _weight_gradient(x, gy, out.reshape(g, m, k))


def _one_tap(axis: Axis) -> bool:
    return axis.kernel == 1 and axis.stride == 1 and axis.out == axis.size


def _one_window(axis: Axis) -> bool:
    return axis.kernel == axis.size and axis.dilation == 1


def _weight_gradient(x: Array, gy: Array, gw: Array) -> None:
    gw[:] = 0
    for sample in range(x.shape[0]):
        gw += np.matmul(gy[sample], x[sample].swapaxes(1, 2))
