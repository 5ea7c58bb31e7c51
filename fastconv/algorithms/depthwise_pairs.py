"""The gradient of a depthwise convolution's input, where the stride is 2, and so transposed ones.

Four elements of the result, two by two, see different taps of the same few positions. Here they are
computed together (`kernels.depthwise_pairs`), where `turned_forward` solves a problem for each of
the four, and then puts the results in their places.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from fastconv.activations import code_of
from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.algorithms.depthwise import LONGEST_ROW, SERIAL_FLOPS, WAKE_FLOPS
from fastconv.algorithms.numba_here import refusal
from fastconv.dtypes import Array, ready
from fastconv.kernels.pool import hands, share
from fastconv.problem import Problem

KERNELS = (2, 3, 4, 5)
"""Taps along an axis that there is code for."""
ROWS = {"avx512": (4, 2, 1), "avx2": (2, 1)}
"""Pairs of rows of a tile, by the registers a CPU has for four sums of each."""


class DepthwisePairs:
    """Bands of pairs of rows, each channel on its own."""

    name = "depthwise_pairs"
    exact = True
    uses_blas = False
    compiled = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept depthwise convolutions by small windows and a stride of 2 along both axes."""
        reason = refusal(problem, 2, "input_gradient")
        if reason is not None:
            return reason
        from fastconv.kernels import target

        conv = problem.conv
        if problem.layout != "channels_first":
            return "layout is channels_last"
        if conv.channels != conv.groups or conv.m != 1:
            return (
                f"needs one channel per group, got {conv.channels} and {conv.out_channels} "
                f"in {conv.groups} groups"
            )
        if conv.rank != 2 or any(axis.stride != 2 or axis.dilation != 1 for axis in conv.axes):
            return "written for two axes of stride 2 and neighbouring taps"
        if not set(conv.kernel) <= set(KERNELS):
            return f"has no code for a window of {conv.kernel}"
        if not target.host().masked_loads or target.host().name not in ROWS:
            return "this CPU has no masked loads"
        if conv.axes[1].out > LONGEST_ROW:
            return f"rows of more than {LONGEST_ROW} elements"
        return None

    def fuses_activation(self, problem: Problem) -> bool:
        """Return True: tiles end in it."""
        return True

    def adds_bias(self, problem: Problem) -> bool:
        """Return True: sums start from it."""
        return True

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count a row of zeros: everything is read in place, or copied if not contiguous."""
        return problem.conv.axes[1].out * problem.dtype.itemsize

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Share the bands of all planes between threads."""
        w, gy, *rest = inputs
        (gx,) = outputs
        conv = problem.conv
        if not conv.batch:
            return
        bias = rest[0] if rest and rest[0] is not None else np.zeros(conv.channels, problem.dtype)
        loops, zeros, table, items = _engine(problem)
        threads = threads if problem.flops >= SERIAL_FLOPS else 1
        arrays = (_flat(gy), zeros, _flat(w), _flat(bias), gx.reshape(-1), table)
        share(loops, arrays, items, hands(problem.flops, WAKE_FLOPS, threads))


def _flat(array: Array) -> Array:
    return ready(array).reshape(-1)


@lru_cache(maxsize=512)
def _engine(problem: Problem) -> tuple[Any, Array, Array, int]:
    """Return the loops, a row of zeros, the table, and how many bands there are."""
    from fastconv.kernels import depthwise_pairs, target

    conv, dtype, host = problem.conv, problem.dtype, target.host()
    height, width = conv.axes
    pairs = -(-height.size // 2)
    choices = (rows for rows in ROWS[host.name] if rows <= pairs)
    rows = min(choices, key=lambda rows: -(-pairs // rows) * (rows + 0.5))
    tile = depthwise_pairs.Pairs(
        dtype,
        host.lanes(dtype),
        rows,
        (height.kernel, width.kernel),
        (height.before % 2 == 1, width.before % 2 == 1),
        code_of(problem.activation),
    )
    numbers = {
        "channels": conv.channels,
        "height": height.size,
        "width": width.size,
        "out_height": height.out,
        "out_width": width.out,
        "before_height": height.before,
        "before_width": width.before,
    }
    table = np.array([numbers[name] for name in depthwise_pairs.HEADER], np.int64)
    bands = conv.batch * conv.channels * -(-pairs // rows)
    return depthwise_pairs.pair_loops(tile), np.zeros(width.out, dtype), table, bands
