"""Convolution of signals whose time comes first: PyTorch's `conv_tbc`."""

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, plain_array
from fastconv.errors import ShapeError
from fastconv.ops.conv import conv1d
from fastconv.parameters import Ints, PaddingLike


def conv_tbc(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None,
    pad: PaddingLike = 0,
    *,
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Convolve in 1-D with time, batch, channels in that order, as PyTorch's `conv_tbc`.

    Parameters
    ----------
    input : array_like
        `(L, N, C_in)`.
    weight : array_like
        `(kL, C_in, C_out)`.
    bias : array_like or None
        `(C_out,)`.
    pad : int, tuple, or str
        The `padding` of `conv1d`.
    acc_dtype : dtype, optional
        As for `conv1d`.

    Returns
    -------
    numpy.ndarray
        `(out, N, C_out)`, in the promoted dtype of the arrays, or in the accumulator for integers.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x, w = np.arange(4.0).reshape(4, 1, 1), np.array([[[1.0]], [[10.0]]])
    >>> F.conv_tbc(x, w, np.zeros(1)).ravel()
    array([10., 21., 32.])
    """
    x, w = plain_array("input", input), plain_array("weight", weight)
    tbc_shapes(x.shape, w.shape)
    y = conv1d(
        *(x.transpose(1, 0, 2), w.transpose(2, 1, 0), bias),
        padding=parameters.padding_form("pad", pad, 1),
        layout="channels_last",
        acc_dtype=acc_dtype,
    )
    return np.ascontiguousarray(y.transpose(1, 0, 2))  # (out, N, C_out)


def tbc_shapes(input: Ints, weight: Ints) -> tuple[Ints, Ints]:
    """Return the shapes of a channels-last `conv1d`, or refuse."""
    for name, shape, meaning in (
        ("input", input, "(L, N, C_in)"),
        ("weight", weight, "(kL, C_in, C_out)"),
    ):
        if len(shape) != 3:
            raise ShapeError(f"{name}: expected shape {meaning}, got {shape}")
    return (input[1], input[0], input[2]), weight[::-1]
