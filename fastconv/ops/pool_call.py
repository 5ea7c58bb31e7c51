"""What the pools share around their plans: places that are checked, results with indices."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.algorithms import Inputs
from fastconv.dtypes import Array, plain_array, promoted
from fastconv.errors import DtypeError
from fastconv.geometry import batched_shape
from fastconv.ops import repeated
from fastconv.ops.call import check_shape, like_input, solve, solver, with_batch
from fastconv.ops.pool_problem import channels_second, pool_problem
from fastconv.ops.repeated import Settled
from fastconv.parameters import IntOrInts, Ints, PaddingLike
from fastconv.plan import Plan, plan_for
from fastconv.planes import check_places, scatter_geometry
from fastconv.problem import Operation, Problem


def solve_extremes(
    problem: Problem, inputs: Inputs, shape: Ints, rank: int
) -> Array | tuple[Array, Array]:
    """Solve a problem that has indices if asked for, on an input of a shape."""
    if not problem.indices:
        return like_input(solve(problem, inputs), shape, rank)
    plan = plan_for(problem)
    y = np.empty(plan.output_shape, problem.result_dtype)
    indices = np.empty(plan.output_shape, np.int64)
    plan.run(inputs, (y, indices))
    return like_input(y, shape, rank), like_input(indices, shape, rank)


def extreme_pool(
    operation: Operation,
    rank: int,
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: PaddingLike,
    dilation: IntOrInts,
    ceil_mode: bool,
    return_indices: bool,
    rounding: str | None,
    nan: str,
    padding_mode: str,
    layout: str,
) -> Array | tuple[Array, Array]:
    """Take the maximum or minimum of every window."""
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    options = (return_indices, rounding, nan, padding_mode, layout)
    return repeated.call(settle_extremes, (input,), (operation, rank, *place, *options))


def settle_extremes(
    input: npt.ArrayLike,
    operation: Operation,
    rank: int,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    rounding: str | None = None,
    nan: str = "propagate",
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Settled[Array | tuple[Array, Array]]:
    """Return what takes the maximum or minimum of every window."""
    (x,) = promoted(input=input)
    place = (kernel_size, stride, padding, dilation, ceil_mode)
    problem = pool_problem(
        *(operation, rank, x.shape, *place, x.dtype),
        indices=parameters.flag("return_indices", return_indices),
        rounding=rounding,
        nan=nan,
        padding_mode=padding_mode,
        layout=layout,
    )
    bare = x.ndim == rank + 1
    if not problem.indices:
        return solver(plan_for(problem), (bare,), bare), (x,)
    return lambda x: solve_extremes(problem, (with_batch(x, rank),), x.shape, rank), (x,)


def planes_shapes(
    rank: int,
    out: Ints,
    planes: Ints,
    layout: str,
    outer: str = "input_size",
    inner: str = "grad_output",
    empty: str = "batch",
) -> tuple[Ints, Ints]:
    """Return `(N, C, *sizes)` of planes, and the sizes of what belongs to places in them.

    `empty` says what may be 0, as for `batched_shape`; "all" is of the places only.
    """
    first = "first" if empty == "all" else empty
    full = batched_shape(outer, channels_second(planes, rank, layout), rank, first)
    inside = batched_shape(inner, channels_second(out, rank, layout), rank, empty)
    if len(out) != len(planes) or full[:2] != inside[:2]:
        raise_leading(inner, outer, out, planes)
    return full, inside[2:]


def raise_leading(inner: str, outer: str, out: Ints, planes: Ints) -> None:
    """Say that batch or channels differ."""
    check_shape(inner, out, planes, f"in its leading dimensions (batch and channels), as {outer}")


@lru_cache(maxsize=4096)
def scatter_problem(
    rank: int,
    grad_output: Ints,
    input_size: Ints,
    dtype: np.dtype[Any],
    layout: str,
    empty: str = "batch",
) -> Problem:
    """Return the problem of a max pool's gradient on two shapes."""
    full, out = planes_shapes(rank, grad_output, input_size, layout, empty=empty)
    return Problem("scatter", "forward", scatter_geometry(full, out), dtype, layout=layout)


def scatter_back(
    rank: int,
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    layout: str,
    empty: str = "batch",
) -> Array:
    """Add gradients where the indices of a pool say that its results came from."""
    words = (rank, input_size, layout, empty)
    return repeated.call(_settle_scatter, (grad_output, indices), words)


def _settle_scatter(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    rank: int,
    input_size: Sequence[int],
    layout: str,
    empty: str,
) -> Settled[Array]:
    (gy,) = promoted(grad_output=grad_output)
    shape = parameters.shape("input_size", input_size)
    problem = scatter_problem(rank, gy.shape, shape, gy.dtype, parameters.layout(layout), empty)
    bare, out = len(shape) == rank + 1, gy.shape
    places, plan = plain_array("indices", indices), plan_for(problem)
    solve = solver(plan, (bare, bare), bare)
    return lambda gy, at: solve(gy, checked_places(at, out, "grad_output", plan)), (gy, places)


def checked_places(indices: npt.ArrayLike, shape: Ints, like: str, plan: Plan) -> Array:
    """Return indices of a shape as int64; all lie in their planes, or are -1.

    An algorithm that looks at each of them anyway may be left to find out whether they do.
    """
    places = plain_array("indices", indices)
    if places.dtype.kind not in "iu":
        raise DtypeError(f"indices: expected integers, got dtype {places.dtype}")
    check_shape("indices", places.shape, shape, f"as {like}")
    if places.dtype != np.int64 or not getattr(plan.chosen, "checks_places", False):
        check_places(places, math.prod(plan.problem.scatter.sizes))
    return places.astype(np.int64, copy=False)
