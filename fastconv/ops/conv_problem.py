"""From the arguments of a convolution to its problem."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import activations, parameters
from fastconv.dtypes import Dtype, accumulator
from fastconv.geometry import batched_shape, check_padding_mode, conv_geometry
from fastconv.ops.pool_problem import channels_second
from fastconv.parameters import IntOrInts, Ints, Padding, PaddingLike
from fastconv.problem import Direction, Problem


def conv_problem(
    direction: Direction,
    rank: int,
    input: Ints,
    weight: Ints,
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
    groups: int,
    dtype: np.dtype[Any],
    activation: str | None = None,
    layout: str = "channels_first",
    padding_mode: str = "zeros",
    acc_dtype: npt.DTypeLike | None = None,
) -> Problem:
    """Return the problem of a convolution, or of one of its gradients, on two shapes.

    `input` is in the order of the layout; a problem always has the channels second.
    """
    input = channels_second(input, rank, layout)
    return _cached(
        direction,
        rank,
        input,
        weight,
        parameters.integers("stride", stride, rank),
        parameters.padding_form("padding", padding, rank),
        parameters.integers("dilation", dilation, rank),
        parameters.integer("groups", groups),
        dtype,
        None if activation is None else activations.checked(activation),
        layout,
        parameters.padding_mode(padding_mode),
        None if acc_dtype is None else accumulator(dtype, acc_dtype),
    )


@lru_cache(maxsize=4096)
def _cached(
    direction: Direction,
    rank: int,
    input: Ints,
    weight: Ints,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    groups: int,
    dtype: np.dtype[Any],
    activation: str | None,
    layout: str,
    padding_mode: str,
    acc: Dtype | None,
) -> Problem:
    shape = batched_shape("input", input, rank, "sums")
    geometry = conv_geometry(shape, weight, stride, padding, dilation, groups)
    check_padding_mode(geometry.axes, padding_mode)
    return Problem(
        *("conv", direction, geometry, dtype),
        activation=activation,
        layout=layout,
        padding_mode=padding_mode,
        acc=acc,
    )
