"""Convolutions of float16, bfloat16 and integers by the generated kernels of float32 and float64.

A few samples at a time are converted, solved and converted back: rounded once, or exact because
the sums of integers are shown to be exact in the float that is chosen.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from fastconv.algorithms.algorithm import Algorithm, Inputs, Outputs
from fastconv.algorithms.depthwise import Depthwise
from fastconv.algorithms.im2col_gemm import Im2colGemm
from fastconv.algorithms.implicit_gemm import ImplicitGemm
from fastconv.bounds import working_dtype, working_itemsize
from fastconv.dtypes import Array, Dtype
from fastconv.problem import Problem

COMPILED: tuple[Algorithm, ...] = (Depthwise(), ImplicitGemm())
OTHERWISE = Im2colGemm()
"""For integers whose sums no float holds."""
BLOCK_BYTES = 4 * 2**20
"""Converted input and result of some samples, which stay in the cache meanwhile; one at least."""


class Converted:
    """Convert, solve, convert back."""

    name = "converted"
    exact = True
    uses_blas = True  # where integers are too large for floats

    def rejects(self, problem: Problem) -> str | None:
        """Accept forward what is not computed in its own dtype, where a compiled kernel accepts."""
        if problem.operation != "conv" or problem.direction != "forward":
            return f"solves conv forward, not {problem.operation} {problem.direction}"
        if problem.native:
            return f"{problem.dtype} is computed in its own dtype"
        if problem.accumulator.kind == "c":
            return "no compiled kernel computes complex numbers"
        reasons = []
        for algorithm in COMPILED:
            reason = algorithm.rejects(_inner(problem, _widest(problem), 1))
            if reason is None:
                return None
            reasons.append(f"{algorithm.name}: {reason}")
        return "; ".join(reasons)

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count the converted arrays of a block of samples, the weight, and what solves them."""
        samples, own = _samples(problem, limit), _own_bytes(problem, limit)
        kernel = max(
            _solver(problem, dtype, samples).scratch(_inner(problem, dtype, samples), limit - own)
            for dtype in _possible(problem)
        )
        exactly = 0 if _is_float_sure(problem) else OTHERWISE.scratch(problem, limit)
        return max(own + kernel, exactly)

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Walk the blocks of samples."""
        x, w, b = inputs
        (out,) = outputs
        if x is None or w is None:
            return
        dtype = working_dtype(problem, x, w)
        if dtype.kind != "f":
            OTHERWISE.run(problem, inputs, outputs, limit, threads)
            return
        integral = out.dtype.kind in "iu"
        weight = w.astype(dtype)
        bias = None if b is None or integral else b.astype(dtype)
        step, rest = _samples(problem, limit), limit - _own_bytes(problem, limit)
        for start in range(0, problem.conv.batch, step):
            part = slice(start, min(start + step, problem.conv.batch))
            inner = _inner(problem, dtype, part.stop - start)
            y = np.empty(inner.result_shape, dtype)
            values = x[part].astype(dtype, order="C")
            solver = _solver(problem, dtype, part.stop - start)
            solver.run(inner, (values, weight, bias), (y,), rest, threads)
            np.copyto(out[part], y, casting="unsafe")
        if b is not None and integral:
            out += _along_channels(b, out)


def _along_channels(bias: Array, y: Array) -> Array:
    return bias.astype(y.dtype).reshape(-1, *(1,) * (y.ndim - 2))


def _widest(problem: Problem) -> Dtype:
    return np.dtype(np.float32 if working_itemsize(problem) == 4 else np.float64)


def _is_float_sure(problem: Problem) -> bool:
    """Whether the dtype alone shows that a float will do."""
    return problem.accumulator.kind == "f" or working_itemsize(problem) == 4


def _possible(problem: Problem) -> tuple[Dtype, ...]:
    """Return the dtypes that the data may turn out to be multiplied in."""
    widest = _widest(problem)
    return (widest,) if _is_float_sure(problem) else (np.dtype(np.float32), widest)


@lru_cache(maxsize=4096)
def _inner(problem: Problem, dtype: Dtype, samples: int) -> Problem:
    geometry = replace(problem.conv, batch=samples)
    return Problem("conv", "forward", geometry, dtype)


@lru_cache(maxsize=4096)
def _solver(problem: Problem, dtype: Dtype, samples: int) -> Algorithm:
    inner = _inner(problem, dtype, samples)
    return next(each for each in COMPILED if each.rejects(inner) is None)


def _sample_bytes(problem: Problem) -> int:
    geometry = problem.conv
    x, y = geometry.channels * geometry.plane, geometry.out_channels * geometry.positions
    return (x + y) * working_itemsize(problem)


def _own_bytes(problem: Problem, limit: int) -> int:
    """Count the converted arrays of a block of samples, and the weight."""
    weight = problem.conv.out_channels * problem.conv.k * working_itemsize(problem)
    return _samples(problem, limit) * _sample_bytes(problem) + weight


def _samples(problem: Problem, limit: int) -> int:
    """Return how many samples are converted at a time."""
    most = min(limit, BLOCK_BYTES) // _sample_bytes(problem)
    return max(1, min(most, problem.conv.batch))
