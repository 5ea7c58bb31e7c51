"""The weight gradient of a depthwise convolution by a common window, read in place.

Each weight is a dot product of two planes, all weights of a channel of the same two. What is loaded
of a row serves all taps that read it; see `kernels.window_tile`.
"""

from typing import Any

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.algorithms.implicit_gemm import threads_now
from fastconv.algorithms.numba_here import refusal
from fastconv.dtypes import ready
from fastconv.kernels.pool import share
from fastconv.lowering.taps import LONGEST_SUM
from fastconv.problem import Problem

KERNELS = {"avx512": ((3, 3), (5, 5)), "avx2": ((3, 3),)}
"""Windows whose sums stay in the registers of an instruction set."""
STRIDES = (1, 2)
MOST_OUTPUTS = 3
"""Output channels of an input channel; with more, tiles of several of them load less."""


class DepthwiseSums:
    """All taps of a window at once, down the rows of both planes."""

    name = "depthwise_sums"
    exact = True
    uses_blas = False
    compiled = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept weight gradients of depthwise convolutions by common windows."""
        reason = refusal(problem, 2, "weight_gradient")
        if reason is not None:
            return reason
        from fastconv.kernels import target

        geometry = problem.conv
        if geometry.channels != geometry.groups or geometry.m > MOST_OUTPUTS:
            return (
                f"needs one input channel per group and up to {MOST_OUTPUTS} of output, got "
                f"{geometry.channels} and {geometry.out_channels} in {geometry.groups} groups"
            )
        if geometry.kernel not in KERNELS.get(target.host().name, ()):
            return f"has no code for a window of {geometry.kernel}"
        strides = {axis.stride for axis in geometry.axes}
        if len(strides) > 1 or not strides <= set(STRIDES):
            return f"written for a stride of {STRIDES} along both axes"
        if any(axis.dilation > 1 for axis in geometry.axes):
            return "written for windows that are not dilated"
        return None

    def scratch(self, problem: Problem, limit: int) -> int:
        """Return 0: everything is read in place, or a sample that is not contiguous copied."""
        return 0

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Share output channels between threads."""
        geometry = problem.conv
        x, gy = inputs
        (gw,) = outputs
        if not geometry.batch:
            gw.fill(0)
            return
        threads = threads_now(problem, threads)
        samples = geometry.batch if x.flags.carray and gy.flags.carray else 1
        for start in range(0, geometry.batch, samples):
            part = slice(start, start + samples)
            arrays = (ready(x[part]).reshape(-1), ready(gy[part]).reshape(-1), gw.reshape(-1))
            sizes = _sizes(problem, samples, int(start > 0))
            share(_loops(problem), (*arrays, sizes), geometry.out_channels, threads)


def _sizes(problem: Problem, samples: int, adds: int) -> tuple[int, ...]:
    geometry = problem.conv
    planes = (geometry.channels, *geometry.sizes, geometry.out_channels, *geometry.out)
    before = (axis.before for axis in geometry.axes)
    return (samples, *planes, *before, LONGEST_SUM, adds)


def _loops(problem: Problem) -> Any:
    from fastconv.kernels import target, window_sums, window_tile

    geometry, lanes = problem.conv, target.host().lanes(problem.dtype)
    kernel = (geometry.kernel[0], geometry.kernel[1])
    window = window_tile.Window(problem.dtype, lanes, kernel, geometry.axes[0].stride)
    return window_sums.window_loops(window)
