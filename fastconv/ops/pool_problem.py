"""From the arguments of a pool to its problem."""

from functools import lru_cache
from typing import Any

import numpy as np

from fastconv import parameters
from fastconv.geometry import batched_shape, window_geometry
from fastconv.parameters import IntOrInts, Ints, Padding, PaddingLike
from fastconv.problem import Direction, Operation, Problem


def pool_problem(
    operation: Operation,
    rank: int,
    input: Ints,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: PaddingLike,
    dilation: IntOrInts,
    ceil_mode: bool,
    dtype: np.dtype[Any],
    *,
    direction: Direction = "forward",
    indices: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Problem:
    """Return the problem of a pool on an input shape; the stride defaults to the kernel size."""
    kernel = parameters.integers("kernel_size", kernel_size, rank)
    return _cached(
        operation,
        direction,
        rank,
        input,
        kernel,
        kernel if stride is None else parameters.integers("stride", stride, rank),
        parameters.padding_pairs("padding", padding, rank),
        parameters.integers("dilation", dilation, rank),
        bool(ceil_mode),
        dtype,
        indices,
        count_include_pad,
        None if divisor is None else parameters.divisor("divisor_override", divisor),
    )


@lru_cache(maxsize=4096)
def _cached(
    operation: Operation,
    direction: Direction,
    rank: int,
    input: Ints,
    kernel: Ints,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    ceil_mode: bool,
    dtype: np.dtype[Any],
    indices: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Problem:
    shape = batched_shape("input", input, rank)
    geometry = window_geometry(shape, kernel, stride, padding, dilation, ceil_mode)
    return Problem(operation, direction, geometry, dtype, indices, count_include_pad, divisor)
