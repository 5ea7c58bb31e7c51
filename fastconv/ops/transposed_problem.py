"""From the arguments of a transposed convolution to its problem.

A transposed convolution is the input gradient of a convolution: its own gradients are that
convolution forward, and its weight gradient with the two arrays exchanged. Nothing is stuffed with
zeros for it.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import activations, parameters
from fastconv.dtypes import Dtype, accumulator
from fastconv.errors import ParameterError
from fastconv.geometry import batched_shape, transposed_geometry
from fastconv.ops.pool_problem import channels_second
from fastconv.parameters import IntOrInts, Ints, Padding, PaddingLike
from fastconv.problem import Direction, Problem


def transposed_problem(
    direction: Direction,
    rank: int,
    input: Ints,
    weight: Ints,
    stride: IntOrInts,
    padding: PaddingLike,
    output_padding: IntOrInts,
    groups: int,
    dilation: IntOrInts,
    output_size: IntOrInts | None,
    dtype: np.dtype[Any],
    *,
    activation: str | None = None,
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Problem:
    """Return the problem whose input gradient takes `input` to the transposed convolution's output.

    `input` is in the order of the layout, and so is an output size with batch and channels.
    """
    parameters.layout(layout)
    form = parameters.padding_form("padding", padding, rank)
    more = parameters.integers("output_padding", output_padding, rank, 0)
    if any(more) and (output_size is not None or form in ("same", "same_lower")):
        which = f"padding={form!r}" if output_size is None else "output_size"
        raise ParameterError(
            f"output_padding: expected 0, for {which} decides the output's size, "
            f"got {output_padding!r}"
        )
    steps = parameters.integers("stride", stride, rank)
    jumps = parameters.integers("dilation", dilation, rank)
    for given, step, jump in zip(more, steps, jumps, strict=True):
        if given >= max(step, jump):
            raise ParameterError(
                f"output_padding: expected less than the stride {step} or the dilation {jump}, "
                f"got {given}"
            )
    input = channels_second(input, rank, layout)
    return _cached(
        *(direction, rank, input, weight, steps, form, more, jumps),
        parameters.integer("groups", groups),
        spatial_sizes(output_size, rank, layout),
        dtype,
        activations.checked(activation),
        layout,
        None if acc_dtype is None else accumulator(dtype, acc_dtype),
    )


def spatial_sizes(size: IntOrInts | None, rank: int, layout: str) -> Ints:
    """Return the spatial part of an output size, if any, which may have batch and channels."""
    if size is None:
        return ()
    if parameters.rank_of(size) in (rank + 1, rank + 2):
        whole = parameters.shape("output_size", size)
        size = whole[-rank - 1 : -1] if layout == "channels_last" else whole[-rank:]
    return parameters.integers("output_size", size, rank)


@lru_cache(maxsize=4096)
def _cached(
    direction: Direction,
    rank: int,
    input: Ints,
    weight: Ints,
    stride: Ints,
    padding: Padding,
    output_padding: Ints,
    dilation: Ints,
    groups: int,
    output_size: Ints,
    dtype: np.dtype[Any],
    activation: str | None,
    layout: str,
    acc: Dtype | None,
) -> Problem:
    shape = batched_shape("input", input, rank, "sums")
    place = (stride, padding, output_padding, dilation, groups, output_size)
    geometry = transposed_geometry(shape, weight, *place)
    return Problem(
        "conv", direction, geometry, dtype, activation=activation, layout=layout, acc=acc
    )
