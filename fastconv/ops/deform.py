"""Deformable convolution: `deform_conv2d` and its gradients, as torchvision defines them."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, Dtype, accumulator, promoted
from fastconv.geometry import check_padding_mode
from fastconv.geometry_special import deform_geometry, deform_groups
from fastconv.ops.call import check_grad_output, check_shape, solve
from fastconv.ops.conv import check_bias
from fastconv.ops.pool_problem import channels_second
from fastconv.parameters import IntOrInts, Ints, Padding, PaddingLike
from fastconv.problem import Direction, Problem


class DeformGradients(NamedTuple):
    """The gradients of `deform_conv2d`; that of the mask is None where there is none."""

    input: Array
    offset: Array
    weight: Array
    mask: Array | None


GRADIENTS: tuple[Direction, ...] = (
    *("input_gradient", "offset_gradient", "weight_gradient", "mask_gradient"),
)
"""In the order in which they are computed, the last only where there is a mask."""


def deform_conv2d(
    input: npt.ArrayLike,
    offset: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    mask: npt.ArrayLike | None = None,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Convolve with taps moved by offsets (v1) and weighed by a mask (v2), as in torchvision.

    A tap reads between elements by bilinear interpolation, and zeros outside the input. A NaN
    among the offsets makes what it reads NaN.

    Parameters
    ----------
    input : array_like
        `(N, C_in, H, W)`, of floats; half precision is computed in float32 and rounded once.
    offset : array_like
        `(N, 2 * offset_groups * kh * kw, oh, ow)`: for each group of input channels and each tap
        how far down, then how far to the right, in elements. The number of groups follows from
        the shape.
    weight : array_like
        `(C_out, C_in // groups, kh, kw)`. The number of groups follows from the shape.
    bias : array_like, optional
        `(C_out,)`.
    stride, padding, dilation, acc_dtype
        As for `conv2d`.
    mask : array_like, optional
        `(N, offset_groups * kh * kw, oh, ow)`.
    padding_mode : str
        What the padding holds, as for `conv2d`; beyond the padding taps read zeros.
    layout : str
        "channels_first", or "channels_last" for an input `(N, H, W, C_in)`, a result
        `(N, oh, ow, C_out)`, and offsets and a mask with their channels last too; the order of
        the weight does not change.

    Returns
    -------
    numpy.ndarray
        `(N, C_out, oh, ow)`, in the promoted dtype of the arrays.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x, w = np.array([[[[1.0, 2.0, 4.0]]]]), np.ones((1, 1, 1, 1))
    >>> half_right = np.zeros((1, 2, 1, 3))
    >>> half_right[:, 1] = 0.5
    >>> F.deform_conv2d(x, half_right, w)
    array([[[[1.5, 3. , 2. ]]]])
    """
    arrays = _promoted(input=input, weight=weight, offset=offset, mask=mask, bias=bias)
    x, w, given, m, b = arrays
    shapes = (x.shape, w.shape, given.shape, None if m is None else m.shape)
    how = (padding_mode, layout, acc_dtype)
    problem = deform_problem("forward", *shapes, stride, padding, dilation, *how, x.dtype)
    if b is not None:
        check_bias(b.shape, problem)
    return solve(problem, (x, w, b, given, m))


def deform_conv2d_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    offset: npt.ArrayLike,
    weight: npt.ArrayLike,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    mask: npt.ArrayLike | None = None,
    *,
    padding_mode: str = "zeros",
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> DeformGradients:
    """Return the gradients of `deform_conv2d` with respect to all its arrays.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, `(N, C_out, oh, ow)`; that of the bias is `conv2d_bias` of it.
    input, offset, weight, stride, padding, dilation, mask, padding_mode, layout, acc_dtype
        As in the forward call; the gradients of input, offset and mask are in the layout.

    Returns
    -------
    tuple of numpy.ndarray
        The gradients `input`, `offset`, `weight` and `mask`, by these names too; the last is None
        where there is no mask. Where a tap lies on an element, the slope is that below and to the
        right of it.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x, w = np.array([[[[1.0, 2.0, 4.0]]]]), np.ones((1, 1, 1, 1))
    >>> offset = np.zeros((1, 2, 1, 3))
    >>> gradients = F.deform_conv2d_backward(np.ones((1, 1, 1, 3)), x, offset, w)
    >>> gradients.offset[0, 1]
    array([[ 1.,  2., -4.]])
    """
    arrays = _promoted(
        input=input, weight=weight, offset=offset, mask=mask, grad_output=grad_output
    )
    x, w, given, m, gy = arrays
    shapes = (x.shape, w.shape, given.shape, None if m is None else m.shape)
    how = (padding_mode, layout, acc_dtype)

    def problem(direction: Direction) -> Problem:
        return deform_problem(direction, *shapes, stride, padding, dilation, *how, x.dtype)

    check_grad_output(problem("forward"), gy.shape, False)
    return DeformGradients(
        input=solve(problem("input_gradient"), (w, gy, given, m)),
        offset=solve(problem("offset_gradient"), (x, w, gy, given, m)),
        weight=solve(problem("weight_gradient"), (x, gy, given, m)),
        mask=None if m is None else solve(problem("mask_gradient"), (x, w, gy, given, m)),
    )


def deform_problem(
    direction: Direction,
    input: Ints,
    weight: Ints,
    offset: Ints,
    mask: Ints | None,
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
    padding_mode: str,
    layout: str,
    acc_dtype: npt.DTypeLike | None,
    dtype: np.dtype[Any],
) -> Problem:
    """Return the problem of a deformable convolution on the shapes of its arrays.

    Those of input, offset and mask are in the order of the layout.
    """
    input = channels_second(input, 2, layout)
    problem = _cached(
        direction,
        input,
        weight,
        parameters.integers("stride", stride, 2),
        parameters.padding_form("padding", padding, 2),
        parameters.integers("dilation", dilation, 2),
        deform_groups(input, weight, channels_second(offset, 2, layout)),
        mask is not None,
        parameters.padding_mode(padding_mode),
        layout,
        None if acc_dtype is None else accumulator(dtype, acc_dtype),
        dtype,
    )
    check_shape("offset", offset, problem.offset_shape, "for these windows")
    if mask is not None:
        check_shape("mask", mask, problem.mask_shape, "for these windows and offsets")
    return problem


@lru_cache(maxsize=4096)
def _cached(
    direction: Direction,
    input: Ints,
    weight: Ints,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    groups: tuple[int, int],
    masked: bool,
    padding_mode: str,
    layout: str,
    acc: Dtype | None,
    dtype: np.dtype[Any],
) -> Problem:
    geometry = deform_geometry(input, weight, stride, padding, dilation, *groups, masked)
    check_padding_mode(geometry.axes, padding_mode)
    return Problem(
        *("deform_conv", direction, geometry, dtype),
        padding_mode=padding_mode,
        layout=layout,
        acc=acc,
    )


def _promoted(**named: Any) -> list[Any]:
    """Bring arrays to one floating dtype; None stays in its place if it is a mask or a bias."""
    left_out = {name for name in ("mask", "bias") if name in named and named[name] is None}
    given = {name: value for name, value in named.items() if name not in left_out}
    arrays = dict(zip(given, promoted(**given), strict=True))
    return [arrays.get(name) for name in named]
