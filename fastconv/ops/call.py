"""What every operation does around its plan: allocate the result, run, drop an added batch."""

import numpy as np

from fastconv import memory
from fastconv.algorithms import Inputs
from fastconv.dtypes import Array
from fastconv.errors import ShapeError
from fastconv.plan import plan_for
from fastconv.problem import Problem


def solve(problem: Problem, inputs: Inputs) -> Array:
    """Run the plan of a problem that has one result, and return it, batched."""
    plan = plan_for(problem)
    result = memory.empty(plan.output_shape, problem.result_dtype)
    plan.run(inputs, (result,))
    return result


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
