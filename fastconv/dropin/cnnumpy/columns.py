"""The helpers `get_indices`, `im2col` and `col2im`."""

import numpy.typing as npt

from fastconv import parameters
from fastconv.dropin.arrays import Named, floats
from fastconv.dropin.indices import tap_indices
from fastconv.dtypes import Array
from fastconv.errors import ShapeError
from fastconv.ops import columns
from fastconv.parameters import Ints

NAMES = Named(
    input="X", columns="dX_col", output_size="X_shape", padding="pad", kernel_size="HF, WF"
)


def get_indices(
    X_shape: Ints, HF: int, WF: int, stride: int, pad: int
) -> tuple[Array, Array, Array]:
    """Return where the elements of `im2col` lie in the padded images.

    Parameters
    ----------
    X_shape : tuple of int
        `(N, C, H, W)`.
    HF, WF : int
        Height and width of the filters.
    stride, pad : int
        From one window to the next, and around the images.

    Returns
    -------
    tuple of numpy.ndarray
        Rows i and columns j, `(C * HF * WF, oh * ow)`, and channels d, `(C * HF * WF, 1)`.

    Raises
    ------
    ShapeError, ParameterError
        If the arguments make no sense, or no window fits.

    Examples
    --------
    >>> from fastconv.dropin import cnnumpy
    >>> i, j, d = cnnumpy.get_indices((1, 1, 2, 3), 1, 2, 1, 0)
    >>> j
    array([[0, 1, 0, 1],
           [1, 2, 1, 2]])
    """
    d, i, j = tap_indices(X_shape, (HF, WF), stride, pad)
    return i, j, d


def im2col(X: npt.ArrayLike, HF: int, WF: int, stride: int, pad: int) -> Array:
    """Copy every window of images into a column.

    Parameters
    ----------
    X : array_like
        `(N, C, H, W)`.
    HF, WF, stride, pad : int
        As for `get_indices`.

    Returns
    -------
    numpy.ndarray
        `(C * HF * WF, N * oh * ow)`, in the dtype of the images; float64 for integers.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments make no sense, or no window fits.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin import cnnumpy
    >>> cnnumpy.im2col(np.arange(6).reshape(2, 1, 1, 3), 1, 2, 1, 0)
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.]])
    """
    (x,) = floats(X=X)
    if x.ndim != 4:
        raise ShapeError(f"X: expected shape (N, C, H, W), got {x.shape}")
    with NAMES:
        return columns.im2col(x, (HF, WF), stride, pad, dialect="cnnumpy")


def col2im(dX_col: npt.ArrayLike, X_shape: Ints, HF: int, WF: int, stride: int, pad: int) -> Array:
    """Add columns back to where `im2col` took them from.

    Parameters
    ----------
    dX_col : array_like
        `(C * HF * WF, N * oh * ow)`.
    X_shape : tuple of int
        `(N, C, H, W)`.
    HF, WF, stride, pad : int
        As for `get_indices`.

    Returns
    -------
    numpy.ndarray
        `(N, C, H, W)` with any padding, in the dtype of the columns; float64 for integers.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments make no sense or do not fit each other.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.dropin import cnnumpy
    >>> cnnumpy.col2im(np.ones((2, 2)), (1, 1, 1, 3), 1, 2, 1, 0)
    array([[[[1., 2., 1.]]]])
    """
    (cols,) = floats(dX_col=dX_col)
    shape = parameters.shape("X_shape", X_shape)
    with NAMES:
        result = columns.col2im(cols, shape[2:], (HF, WF), stride, pad, dialect="cnnumpy")
    if result.shape != shape:
        raise ShapeError(f"dX_col: expected the columns of X_shape {shape}, got {cols.shape}")
    return result
