"""The gradient of a bias: `conv1d_bias`, `conv2d_bias`, `conv3d_bias`.

It is the weight gradient of a convolution by one tap over an input of ones.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, promoted
from fastconv.ops import repeated
from fastconv.ops.call import solver
from fastconv.ops.conv_problem import conv_problem
from fastconv.ops.repeated import Settled
from fastconv.plan import plan_for
from fastconv.problem import Problem

MOST_ONES = 2**18
"""Elements of an input of ones that are made one by one: no algorithm has to copy them then."""


def conv1d_bias(
    grad_output: npt.ArrayLike,
    *,
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return the gradient of `conv1d` or `conv_transpose1d` with respect to its bias.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, `(N, C_out, L)` or `(C_out, L)`, before any activation.
    layout : str
        "channels_first", or "channels_last" for a gradient `(N, L, C_out)`.
    acc_dtype : dtype, optional
        What sums are kept in, if not int32 for 8-bit integers, int64 for wider ones, float32 for
        float16. Integers are returned in it; floating point is rounded once to its own dtype.

    Returns
    -------
    numpy.ndarray
        `(C_out,)`: the sum over everything but the channels.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.conv1d_bias(np.ones((5, 2, 3)))
    array([15., 15.])
    """
    return _bias_gradient(1, grad_output, layout, acc_dtype)


def conv2d_bias(
    grad_output: npt.ArrayLike,
    *,
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return the gradient of `conv2d` or `conv_transpose2d` with respect to its bias.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, `(N, C_out, H, W)` or `(C_out, H, W)`, before any activation.
    layout : str
        "channels_first", or "channels_last" for a gradient `(N, H, W, C_out)`.
    acc_dtype : dtype, optional
        What sums are kept in, if not int32 for 8-bit integers, int64 for wider ones, float32 for
        float16. Integers are returned in it; floating point is rounded once to its own dtype.

    Returns
    -------
    numpy.ndarray
        `(C_out,)`: the sum over everything but the channels.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.conv2d_bias(np.ones((5, 2, 3, 3)))
    array([45., 45.])
    """
    return _bias_gradient(2, grad_output, layout, acc_dtype)


def conv3d_bias(
    grad_output: npt.ArrayLike,
    *,
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Return the gradient of `conv3d` or `conv_transpose3d` with respect to its bias.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, `(N, C_out, D, H, W)` or `(C_out, D, H, W)`, before any activation.
    layout : str
        "channels_first", or "channels_last" for a gradient `(N, D, H, W, C_out)`.
    acc_dtype : dtype, optional
        What sums are kept in, if not int32 for 8-bit integers, int64 for wider ones, float32 for
        float16. Integers are returned in it; floating point is rounded once to its own dtype.

    Returns
    -------
    numpy.ndarray
        `(C_out,)`: the sum over everything but the channels.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.conv3d_bias(np.ones((5, 2, 3, 3, 3)))
    array([135., 135.])
    """
    return _bias_gradient(3, grad_output, layout, acc_dtype)


def bias_problem(
    rank: int,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    layout: str,
    acc_dtype: npt.DTypeLike | None = None,
) -> Problem:
    """Return the problem of a bias gradient, from the shape of the gradient of the output."""
    last = parameters.layout(layout) == "channels_last"
    place = len(shape) - 1 if last else len(shape) - rank - 1
    input_shape = tuple(1 if axis == place else size for axis, size in enumerate(shape))
    if len(input_shape) in (rank + 1, rank + 2) and 0 in shape[-rank - last : len(shape) - last]:
        input_shape = (0,) + (1,) * (rank + 1)  # there is nothing to sum, as for no samples
    weight = (shape[place] if 0 <= place < len(shape) else 1, 1, *(1,) * rank)
    return conv_problem(
        *("weight_gradient", rank, input_shape, weight, 1, 0, 1, 1, dtype),
        layout=layout,
        acc_dtype=acc_dtype,
    )


def _bias_gradient(
    rank: int, grad_output: npt.ArrayLike, layout: str, acc_dtype: npt.DTypeLike | None
) -> Array:
    return repeated.call(_settle, (grad_output,), (rank, layout, acc_dtype))


def _settle(
    grad_output: npt.ArrayLike, rank: int, layout: str, acc_dtype: npt.DTypeLike | None
) -> Settled[Array]:
    (gy,) = promoted(grad_output=grad_output)
    problem = bias_problem(rank, gy.shape, gy.dtype, parameters.layout(layout), acc_dtype)
    solve, shape = solver(plan_for(problem), (False, False), False), problem.y_shape
    x_shape, dtype = problem.x_shape, gy.dtype
    return lambda gy: solve(_ones(x_shape, dtype), gy.reshape(shape)).reshape(-1), (gy,)


def _ones(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an input of ones; where it would be large, one sample's in every sample's place."""
    if math.prod(shape) <= MOST_ONES:
        return np.ones(shape, dtype)
    return np.broadcast_to(np.ones((1, *shape[1:]), dtype), shape)
