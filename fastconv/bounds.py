"""What sums of integers come to: whether the accumulator holds them, and whether floats would.

A sum of integers is exact in float32 while no partial sum exceeds 2**24, in float64 while none
exceeds 2**53, and BLAS multiplies those many times faster than it does integers, which it does not
know. Bounds come from the dtypes where that is enough, else from the arrays' least and largest
elements.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from fastconv.dtypes import Array, Dtype, row_of
from fastconv.errors import AccumulatorError
from fastconv.problem import Problem

Range = tuple[int, int]
"""The least and the largest element of an array, and 0, for padding counts."""
MULTIPLYING = ("conv", "local_conv")
ADDING = ("avg_pool", "adaptive_avg_pool", "scatter", "columns")
"""Operations whose sums are checked; those that only move or compare values have none."""


def check_sums(problem: Problem, inputs: tuple[Any, ...]) -> None:
    """Raise an `AccumulatorError` unless every sum, in any order, stays in its accumulator."""
    if not sums_integers(problem):
        return
    summed = [array for array in _summed(problem, inputs) if array is not None]
    if not _proven(problem, len(summed)):
        _check(problem, [_seen(array) for array in summed])


def sums_integers(problem: Problem) -> bool:
    """Whether a problem adds integers up, so that their sums must be checked."""
    if problem.dtype.kind not in "biu" or problem.accumulator.kind not in "iu":
        return False
    if problem.operation == "columns":
        return problem.direction == "input_gradient"
    return problem.operation in (*MULTIPLYING, *ADDING)


def working_dtype(problem: Problem, first: Array, second: Array) -> Dtype:
    """Return the dtype to multiply two arrays in: one that BLAS knows, wherever it is exact."""
    kept = problem.accumulator
    if kept.kind not in "iu":
        return kept
    if working_itemsize(problem) == 4:
        return np.dtype(np.float32)
    largest = _largest(problem, [_seen(first), _seen(second)])
    for name in ("float32", "float64"):
        if largest <= row_of(name).exact_limit:
            return np.dtype(name)
    return kept


@lru_cache(maxsize=4096)
def working_itemsize(problem: Problem) -> int:
    """Return the most bytes an element of `working_dtype` has, whatever the data."""
    kept = problem.accumulator
    if kept.kind not in "iu":
        return kept.itemsize
    largest = _largest(problem, [_declared(problem.dtype)] * 2)
    return 4 if largest <= row_of(np.float32).exact_limit else 8


def terms(problem: Problem) -> int:
    """Return the most products, or elements, that one sum adds up."""
    if problem.operation == "local_conv" and problem.direction == "weight_gradient":
        return max(1, problem.conv.batch)
    if problem.operation in MULTIPLYING:
        geometry = problem.conv
        if problem.direction == "forward":
            return geometry.k
        if problem.direction == "input_gradient":
            return geometry.m * geometry.taps * _copies(problem)
        return max(1, geometry.batch * geometry.positions)
    if problem.operation == "scatter":
        return max(1, math.prod(problem.scatter.out))
    if problem.operation == "adaptive_avg_pool":
        return problem.adaptive.terms(problem.direction == "forward")
    taps = problem.window.taps
    return taps if problem.direction == "forward" else taps * _copies(problem)


def _copies(problem: Problem) -> int:
    """Return how often an element is there at most: itself, and the padding that repeats it."""
    if problem.padding_mode == "zeros":
        return 1
    axes = problem.window.axes
    return math.prod(1 + axis.before + max(0, axis.last - axis.size) for axis in axes)


def _summed(problem: Problem, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return inputs if problem.operation in MULTIPLYING else inputs[:1]


@lru_cache(maxsize=4096)
def _proven(problem: Problem, count: int) -> bool:
    """Whether the dtype alone shows that every sum fits."""
    try:
        _check(problem, [_declared(problem.dtype)] * count)
    except AccumulatorError:
        return False
    return True


def _check(problem: Problem, ranges: list[Range]) -> None:
    low, high = _times(_product(ranges[:2]), terms(problem))
    if problem.operation in MULTIPLYING and len(ranges) > 2:  # a bias
        low, high = low + ranges[2][0], high + ranges[2][1]
    _check_fits(problem, "sums", (low, high), problem.accumulator)
    if problem.operation == "avg_pool" and problem.divisor is not None:
        ends = [_truncated(end, problem.divisor) for end in (low, high)]
        _check_fits(problem, "averages", (min(ends), max(ends)), problem.result_dtype)


def _check_fits(problem: Problem, what: str, found: Range, dtype: Dtype) -> None:
    limits = np.iinfo(dtype)
    if found[0] < limits.min or found[1] > limits.max:
        raise AccumulatorError(
            f"{_to_change(problem, what)}: {what} of {terms(problem)} {problem.dtype} terms may "
            f"lie anywhere in [{found[0]}, {found[1]}], beyond {dtype}; use smaller values or a "
            "wider dtype"
        )


def _to_change(problem: Problem, what: str) -> str:
    """Return the parameter that a caller would change."""
    if what == "averages":
        return "divisor_override"
    if problem.operation.endswith("avg_pool"):
        return "input" if problem.direction == "forward" else "grad_output"
    if problem.operation == "scatter":
        return "grad_output"
    return "acc_dtype"


def _largest(problem: Problem, ranges: list[Range]) -> int:
    """Return what no partial sum of products exceeds."""
    return max(map(abs, _times(_product(ranges), terms(problem))))


def _product(ranges: list[Range]) -> Range:
    if len(ranges) == 1:
        return ranges[0]
    ends = [first * second for first in ranges[0] for second in ranges[1]]
    return min(ends), max(ends)


def _times(one: Range, count: int) -> Range:
    return one[0] * count, one[1] * count


def _truncated(value: int, divisor: int) -> int:
    quotient = abs(value) // abs(divisor)
    return quotient if (value < 0) == (divisor < 0) else -quotient


def _declared(dtype: Dtype) -> Range:
    if dtype.kind == "b":
        return 0, 1
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


def _seen(array: Array) -> Range:
    if not array.size:
        return 0, 0
    return min(0, int(array.min())), max(0, int(array.max()))
