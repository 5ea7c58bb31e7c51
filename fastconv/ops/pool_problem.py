"""From the arguments of a pool to its problem."""

from functools import lru_cache
from typing import Any

import numpy as np

from fastconv import parameters
from fastconv.geometry import batched_shape, check_padding_mode, window_geometry
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
    rounding: str | None = None,
    nan: str = "propagate",
    norm: float | None = None,
    quantile: float | None = None,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
) -> Problem:
    """Return the problem of a pool on an input shape; the stride defaults to the kernel size."""
    kernel = parameters.integers("kernel_size", kernel_size, rank)
    return _cached(
        operation,
        direction,
        rank,
        channels_second(input, rank, layout),
        kernel,
        kernel if stride is None else parameters.integers("stride", stride, rank),
        parameters.padding_form("padding", padding, rank),
        parameters.integers("dilation", dilation, rank),
        parameters.rounding(rounding, ceil_mode),
        dtype,
        indices,
        count_include_pad,
        None if divisor is None else parameters.divisor("divisor_override", divisor),
        parameters.nan(nan),
        None if norm is None else parameters.norm("norm_type", norm),
        None if quantile is None else parameters.quantile("q", quantile),
        parameters.padding_mode(padding_mode),
        layout,
    )


def channels_second(shape: Ints, rank: int, layout: str) -> Ints:
    """Return a shape that is in the order of a layout with its channels second."""
    if parameters.layout(layout) != "channels_first" and len(shape) > rank:
        return (*shape[: -rank - 1], shape[-1], *shape[-rank - 1 : -1])
    return shape


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
    rounding: str,
    dtype: np.dtype[Any],
    indices: bool,
    count_include_pad: bool,
    divisor: int | None,
    nan: str,
    norm: float | None,
    quantile: float | None,
    padding_mode: str,
    layout: str,
) -> Problem:
    shape = batched_shape("input", input, rank)
    place = (kernel, stride, padding, dilation, rounding)
    geometry = window_geometry(shape, *place, repeats=padding_mode != "zeros")
    check_padding_mode(geometry.axes, padding_mode)
    return Problem(
        operation,
        direction,
        geometry,
        dtype,
        indices,
        count_include_pad,
        divisor,
        layout=layout,
        padding_mode=padding_mode,
        nan=nan,
        norm=norm,
        quantile=quantile,
    )
