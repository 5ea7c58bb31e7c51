"""Convolution forward as one product and one sum after the other, in the same order everywhere.

Each is elementwise over all positions of a block, so that a result depends on its own window alone,
to the bit: not on where it lies in the output, nor on how long that is. A matrix multiply promises
nothing of the kind. Several times slower, and only chosen where that promise is asked for.
"""

import itertools
import math
from functools import lru_cache
from typing import Any

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.dtypes import Array
from fastconv.lowering.blocks import boxes, largest_box
from fastconv.lowering.im2col import BoxWindows
from fastconv.problem import Problem

BLOCK_BYTES = 2**19
"""Sums of one block: they stay in the cache while every tap is added."""


class Tapwise:
    """Add a tap of a channel at a time."""

    name = "tapwise"
    exact = True
    uses_blas = False

    def rejects(self, problem: Problem) -> str | None:
        """Accept convolutions forward."""
        if (problem.operation, problem.direction) == ("conv", "forward"):
            return None
        return f"solves conv forward, not {problem.operation} {problem.direction}"

    def takes_views(self, problem: Problem) -> bool:
        """Blocks are read through window views, and written where they belong."""
        return True

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count a block's sums, its products, and the padded input behind it, of one sample."""
        return _block_bytes(problem, _positions(problem, limit))

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Walk samples and blocks of positions."""
        x, w, b = inputs
        (y,) = outputs
        if x is None or w is None:
            return
        geometry = problem.conv
        g, m, rank = geometry.groups, geometry.m, geometry.rank
        weight = w.reshape(g, m, -1, *geometry.kernel)  # (g, m, c, *kernel)
        weight = weight.astype(problem.accumulator, copy=False)
        start = np.zeros((), w.dtype) if b is None else b.reshape(g, m, *(1,) * rank)
        for box in boxes(geometry.out, _positions(problem, limit)):
            windows = BoxWindows.of(geometry.axes, box)
            place: tuple[Any, ...] = tuple(slice(*ends) for ends in box.ranges)
            for sample in range(geometry.batch):
                view = windows.view(x[sample : sample + 1])[0]  # (C, *out, *kernel)
                view = view.reshape(g, -1, *view.shape[1:])
                _solve(view, weight, start, y[(sample, slice(None), *place)])


def _solve(view: Array, weight: Array, start: Array, y: Array) -> None:
    """Add to the start, channel after channel of tap after tap, and write `y` (OC, *out)."""
    kernel = weight.shape[3:]
    rank = len(kernel)
    sums = np.empty((*weight.shape[:2], *y.shape[1:]), weight.dtype)
    sums[...] = start
    product = np.empty_like(sums)
    for tap in itertools.product(*map(range, kernel)):
        for channel in range(weight.shape[2]):
            at: tuple[Any, ...] = (channel, ..., *tap)
            values = view[(slice(None), *at)][:, np.newaxis]  # (g, 1, *out)
            factors = weight[(slice(None), slice(None), *at)]  # (g, m)
            factors = factors.reshape(*factors.shape, *(1,) * rank)
            np.multiply(values, factors, out=product, dtype=product.dtype, casting="unsafe")
            sums += product
    np.copyto(y, sums.reshape(y.shape), casting="unsafe")


@lru_cache(maxsize=1024)
def _positions(problem: Problem, limit: int) -> int:
    """Return the positions of a block: those that suit the cache, or fewer that fit the limit."""
    count = max(1, BLOCK_BYTES // (problem.conv.out_channels * problem.accumulator.itemsize))
    while count > 1 and _block_bytes(problem, count) > limit:
        count //= 2
    return count


def _block_bytes(problem: Problem, positions: int) -> int:
    geometry = problem.conv
    box = largest_box(geometry.out, positions)
    lengths = BoxWindows.of(geometry.axes, box).region.lengths
    padded = geometry.channels * math.prod(lengths) if geometry.padded else 0
    weight = 0 if problem.native else geometry.out_channels * geometry.k
    sums = weight + 2 * geometry.out_channels * box.positions
    return padded * problem.dtype.itemsize + sums * problem.accumulator.itemsize
