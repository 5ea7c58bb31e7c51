"""What every operation does around its plan: allocate the result, run, drop an added batch."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastconv import memory
from fastconv.algorithms import Inputs
from fastconv.dtypes import Array
from fastconv.errors import ShapeError
from fastconv.plan import Plan, plan_for
from fastconv.problem import Problem


def solve(problem: Problem, inputs: Inputs) -> Array:
    """Run the plan of a problem that has one result, and return it, batched."""
    plan = plan_for(problem)
    result = memory.empty(plan.output_shape, problem.result_dtype)
    plan.run(inputs, (result,))
    return result


def solver(plan: Plan, unbatched: Sequence[bool], drops: bool) -> Callable[..., Array]:
    """Return what solves a plan that has one result, given the arrays.

    `unbatched` says which of them lack the batch dimension, `drops` that the result is to lack it.
    """
    solve, allocate = plan.run, memory.allocator(plan.output_shape, plan.result_dtype)

    def solved(*arrays: Array | None) -> Array:
        result = allocate()
        solve(arrays, (result,))
        return result

    if not any(unbatched):
        return solved

    def solved_as_batch(*arrays: Any) -> Array:
        pairs = zip(arrays, unbatched, strict=True)
        result = solved(*(array[np.newaxis] if bare else array for array, bare in pairs))
        return result[0] if drops else result

    return solved_as_batch


def with_batch(array: Array, rank: int) -> Array:
    """View an unbatched array of `rank` spatial dimensions as a batch of one."""
    return array if array.ndim == rank + 2 else array[np.newaxis]


def like_input(array: Array, shape: tuple[int, ...], rank: int) -> Array:
    """Drop the batch dimension again if the caller's shape had none."""
    return array if len(shape) == rank + 2 else array[0]


def check_shape(name: str, got: tuple[int, ...], expected: tuple[int, ...], why: str) -> None:
    """Raise a `ShapeError` unless the shapes are equal."""
    if got != expected:
        raise ShapeError(f"{name}: expected shape {expected} {why}, got {got}")


def check_grad_output(problem: Problem, shape: tuple[int, ...], unbatched: bool) -> None:
    """Raise a `ShapeError` unless a gradient has the shape of the forward output."""
    expected = problem.y_shape[1:] if unbatched else problem.y_shape
    check_shape("grad_output", shape, expected, "as the forward output")
