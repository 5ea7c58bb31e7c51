"""Pools in NumPy: reduce one axis at a time over its taps, as strided slices.

A reduction over a window view makes NumPy visit a few elements at a time. Here the taps of one
axis are combined plane-wide, then those of the next: `kh + kw` passes for `kh * kw` taps, on as
many planes at a time as the cache holds.
"""

import functools
import math
from collections.abc import Callable, Iterator

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.algorithms.pool_extremes import extremes, fractional_extremes
from fastconv.algorithms.pool_means import (
    average_gradients,
    averages,
    norm_gradients,
    norms,
    shares_of,
)
from fastconv.algorithms.pool_places import gather, scatter, unpool
from fastconv.algorithms.pool_ranks import quantiles
from fastconv.dtypes import Array, Dtype, row_of
from fastconv.problem import KEEPING, Problem

BLOCK_BYTES = 2**20
"""Input of one block of planes; what is made of it is smaller."""
INDEX = 8
"""Bytes of an index."""


class Pooling:
    """Separable reductions over taps, and moves to and from places of planes."""

    name = "pooling"
    exact = True
    uses_blas = False

    def rejects(self, problem: Problem) -> str | None:
        """Accept pools, scatters and gathers."""
        if (problem.operation, problem.direction) in _RUN:
            return None
        return f"solves pools and scatters, not {problem.operation}"

    def takes_views(self, problem: Problem) -> bool:
        """Accept any: planes are taken one block of a sample at a time where they must be."""
        return True

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count partly reduced copies of one block of planes, and divisors that differ."""
        return _step(problem, limit) * _plane_bytes(problem) + _share_bytes(problem)

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Walk blocks of planes."""
        step, solve = _step(problem, limit), _RUN[problem.operation, problem.direction]
        working = _working_dtype(problem)
        shares = shares_of(problem, working)
        if shares is not None:
            solve = functools.partial(solve, shares=shares)
        for planes, targets in _samples(inputs, outputs):
            for start in range(0, targets[0].shape[0], step):
                part = slice(start, start + step)
                sources = [_as(array[part], problem.dtype, working) for array in planes]
                results = [array[part] for array in targets]
                first = results[0]
                if first.dtype != working:
                    results[0] = np.empty(first.shape, working)
                solve(problem, sources, results)
                if first.dtype != working:
                    np.copyto(first, results[0], casting="unsafe")


def _working_dtype(problem: Problem) -> Dtype:
    """Return what is reduced in: what is kept in its own dtype, sums in the accumulator."""
    if (problem.operation, problem.direction) not in KEEPING:
        return problem.accumulator
    return problem.dtype if problem.dtype.kind in "biu" else row_of(problem.dtype).accumulator


def _as(array: Array, dtype: Dtype, working: Dtype) -> Array:
    """Convert an array of the problem's dtype; indices stay what they are."""
    return array.astype(working, copy=False) if array.dtype == dtype else array


def _samples(inputs: Inputs, outputs: Outputs) -> Iterator[tuple[list[Array], list[Array]]]:
    """Yield arrays as planes: of all samples where that needs no copy, else of one at a time."""
    if all(array.flags.c_contiguous for array in (*inputs, *outputs)):
        yield [_planes(array) for array in inputs], [_planes(array) for array in outputs]
        return
    for sample in range(outputs[0].shape[0]):
        yield [array[sample] for array in inputs], [array[sample] for array in outputs]


def _planes(array: Array) -> Array:
    """View (N, C, *sizes) as (N * C, *sizes)."""
    return array.reshape(array.shape[0] * array.shape[1], *array.shape[2:])


def _plane_bytes(problem: Problem) -> int:
    """Bytes of scratch memory for one plane: two partly reduced copies, and what goes with them."""
    geometry, item = problem.geometry, _working_dtype(problem).itemsize
    converted = 0 if problem.native else 2  # the input and the result
    if problem.operation in ("scatter", "unpool", "gather"):
        # shifted places, weights and sums in float64
        wide = max(INDEX, item)
        return wide * 4 * math.prod(geometry.out) + 3 * wide * math.prod(geometry.sizes)
    pairs = zip(geometry.sizes, geometry.out, strict=True)
    largest = math.prod(max(size, out) for size, out in pairs)
    if problem.operation == "quantile_pool":  # all taps side by side, before and after a pass
        count = problem.window.taps
        ordered = count * (item + 3 * INDEX) if problem.indices else 0  # places and orders of them
        return ((2 * count + converted) * item + ordered) * largest
    taken = problem.operation.startswith(("adaptive", "fractional"))  # elements, not slices
    copies = converted + (4 if taken or problem.operation == "lp_pool" else 2)
    if problem.operation.endswith("avg_pool") and problem.dtype.kind in "biu":
        copies += 1  # remainders
    if not (problem.indices or problem.norm == math.inf or problem.operation.startswith("frac")):
        return largest * copies * item
    # two sets of places and their sum, masks, and places that are taken
    return largest * (copies * item + 3 * INDEX + 4 + (2 * INDEX if taken else 0))


def _share_bytes(problem: Problem) -> int:
    if problem.operation not in ("avg_pool", "lp_pool", "adaptive_avg_pool"):
        return 0
    positions = math.prod(problem.geometry.out)
    return positions * (8 + 8 + _working_dtype(problem).itemsize)


def _step(problem: Problem, limit: int) -> int:
    """Return the planes of one block."""
    geometry = problem.geometry
    cached = BLOCK_BYTES // (math.prod(geometry.sizes) * _working_dtype(problem).itemsize)
    allowed = (limit - _share_bytes(problem)) // _plane_bytes(problem)
    return max(1, min(cached, allowed, geometry.batch * geometry.channels))


_RUN: dict[tuple[str, str], Callable[..., None]] = {
    ("max_pool", "forward"): extremes,
    ("min_pool", "forward"): extremes,
    ("adaptive_max_pool", "forward"): extremes,
    ("fractional_max_pool", "forward"): fractional_extremes,
    ("avg_pool", "forward"): averages,
    ("avg_pool", "input_gradient"): average_gradients,
    ("adaptive_avg_pool", "forward"): averages,
    ("adaptive_avg_pool", "input_gradient"): average_gradients,
    ("lp_pool", "forward"): norms,
    ("lp_pool", "input_gradient"): norm_gradients,
    ("quantile_pool", "forward"): quantiles,
    ("scatter", "forward"): scatter,
    ("unpool", "forward"): unpool,
    ("gather", "forward"): gather,
}
