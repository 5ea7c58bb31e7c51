"""Windows and columns: `sliding_windows`, `im2col`, `col2im`, and PyTorch's `unfold` and `fold`."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, plain_array, promoted, row_of
from fastconv.errors import ParameterError, ShapeError
from fastconv.geometry import batched_shape, window_geometry
from fastconv.lowering.windows import window_view
from fastconv.ops.call import like_input, solve, with_batch
from fastconv.parameters import IntOrInts, Ints, PaddingLike
from fastconv.problem import Direction, Problem


def sliding_windows(
    input: npt.ArrayLike, kernel_size: IntOrInts, stride: IntOrInts = 1, dilation: IntOrInts = 1
) -> Array:
    """View every window of an array, without copying it.

    Parameters
    ----------
    input : array_like
        `(N, C, *sizes)` of any dtype and strides; `(C, *sizes)` if `kernel_size` is a tuple as
        long as `sizes`.
    kernel_size, stride, dilation : int or tuple of int
        In elements; an int `kernel_size` means that all dimensions after `(N, C)` are spatial.

    Returns
    -------
    numpy.ndarray
        Read-only view `(N, C, *out, *kernel_size)`, or `(C, *out, *kernel_size)`.

    Raises
    ------
    ShapeError
        If a window does not fit the input.
    ParameterError, DtypeError
        If a parameter or the input makes no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.arange(25).reshape(1, 1, 5, 5)
    >>> F.sliding_windows(x, 3, stride=2).shape
    (1, 1, 2, 2, 3, 3)
    >>> F.sliding_windows(x, 3, stride=2)[0, 0, 1, 1]
    array([[12, 13, 14],
           [17, 18, 19],
           [22, 23, 24]])
    """
    x = plain_array("input", input)
    rank = _rank(kernel_size, len(x.shape) - 2)
    shape = batched_shape("input", x.shape, rank)
    steps = (
        parameters.integers("kernel_size", kernel_size, rank),
        parameters.integers("stride", stride, rank),
        parameters.integers("dilation", dilation, rank),
    )
    window_geometry(shape, steps[0], steps[1], "valid", steps[2])  # raises if they do not fit
    return like_input(window_view(with_batch(x, rank), *steps), x.shape, rank)


def im2col(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    *,
    pad_value: float = 0,
) -> Array:
    """Copy every window of an array into a column.

    Parameters
    ----------
    input : array_like
        `(N, C, *sizes)`; `(C, *sizes)` if `kernel_size` is a tuple as long as `sizes`.
    kernel_size, stride, dilation : int or tuple of int
        In elements; an int `kernel_size` means that all dimensions after `(N, C)` are spatial.
    padding : int, tuple, or str
        Elements of padding: for every side, per dimension, or `(before, after)` per dimension;
        or "valid", "same", "same_lower" (the ONNX and TensorFlow rule).
    pad_value : float
        The value of the padding.

    Returns
    -------
    numpy.ndarray
        `(N, C * prod(kernel_size), prod(out))`, channels slowest, then taps in C order; without
        `N` for an unbatched input.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.im2col(np.arange(6.0).reshape(1, 1, 2, 3), 2)
    array([[[0., 1.],
            [1., 2.],
            [3., 4.],
            [4., 5.]]])
    """
    (x,) = promoted(input=input)
    rank = _rank(kernel_size, x.ndim - 2)
    shape = batched_shape("input", x.shape, rank)
    problem = _problem("forward", shape, kernel_size, stride, padding, dilation, x.dtype)
    value = pad_value_array(pad_value, x.dtype)
    return like_input(solve(problem, (with_batch(x, rank), value)), x.shape, rank)


def col2im(
    columns: npt.ArrayLike,
    output_size: IntOrInts,
    kernel_size: IntOrInts,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
) -> Array:
    """Add columns back to where `im2col` took them from: its adjoint.

    Parameters
    ----------
    columns : array_like
        `(N, C * prod(kernel_size), prod(out))`, or without `N`.
    output_size : int or tuple of int
        Spatial sizes of the result.
    kernel_size, stride, padding, dilation
        As for `im2col`. The rank is that of whichever of the sizes is a tuple, else 1.

    Returns
    -------
    numpy.ndarray
        `(N, C, *output_size)`, or `(C, *output_size)`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.col2im(np.ones((1, 4, 2)), (2, 3), 2)
    array([[[[1., 2., 1.],
             [1., 2., 1.]]]])
    """
    rank = parameters.rank_of(output_size) or parameters.rank_of(kernel_size) or 1
    return _col2im("columns", columns, output_size, kernel_size, stride, padding, dilation, rank)


def unfold(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    dilation: IntOrInts = 1,
    padding: PaddingLike = 0,
    stride: IntOrInts = 1,
) -> Array:
    """Copy windows into columns, with the parameter order of `torch.nn.functional.unfold`.

    Parameters
    ----------
    input : array_like
        `(N, C, H, W)` or `(C, H, W)`. As an extension a `kernel_size` of one or three integers
        takes inputs of as many spatial dimensions, and an int takes `(N, C, D, H, W)`.
    kernel_size, dilation, padding, stride
        As for `im2col`.

    Returns
    -------
    numpy.ndarray
        `(N, C * prod(kernel_size), prod(out))`, or without `N`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.unfold(np.zeros((1, 3, 10, 12)), (4, 5)).shape
    (1, 60, 56)
    """
    (x,) = promoted(input=input)
    rank = _rank(kernel_size, 3 if x.ndim == 5 else 2)
    shape = batched_shape("input", x.shape, rank)
    problem = _problem("forward", shape, kernel_size, stride, padding, dilation, x.dtype)
    columns = solve(problem, (with_batch(x, rank), pad_value_array(0, x.dtype)))
    return like_input(columns, x.shape, rank)


def fold(
    input: npt.ArrayLike,
    output_size: IntOrInts,
    kernel_size: IntOrInts,
    dilation: IntOrInts = 1,
    padding: PaddingLike = 0,
    stride: IntOrInts = 1,
) -> Array:
    """Add columns back, with the parameter order of `torch.nn.functional.fold`.

    Parameters
    ----------
    input : array_like
        Columns `(N, C * prod(kernel_size), prod(out))`, or without `N`.
    output_size : int or tuple of int
        Spatial sizes of the result; an int means a square image.
    kernel_size, dilation, padding, stride
        As for `col2im`.

    Returns
    -------
    numpy.ndarray
        `(N, C, *output_size)`, or `(C, *output_size)`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.fold(np.ones((1, 12, 12)), (4, 5), (2, 2)).shape
    (1, 3, 4, 5)
    """
    rank = parameters.rank_of(output_size) or parameters.rank_of(kernel_size) or 2
    return _col2im("input", input, output_size, kernel_size, stride, padding, dilation, rank)


def columns_problem(
    input: Ints,
    kernel_size: IntOrInts,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    *,
    dtype: npt.DTypeLike = np.float32,
) -> Problem:
    """Return the problem of `im2col` on an input shape."""
    rank = _rank(kernel_size, len(input) - 2)
    shape = batched_shape("input", input, rank)
    return _problem("forward", shape, kernel_size, stride, padding, dilation, row_of(dtype).dtype)


def _col2im(
    name: str,
    columns: npt.ArrayLike,
    output_size: IntOrInts,
    kernel_size: IntOrInts,
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
    rank: int,
) -> Array:
    (given,) = promoted(**{name: columns})
    problem = fold_problem(
        name,
        given.shape,
        output_size,
        kernel_size,
        stride,
        padding,
        dilation,
        rank,
        dtype=given.dtype,
    )
    result = solve(problem, (given if given.ndim == 3 else given[np.newaxis],))
    return result if given.ndim == 3 else result[0]


def fold_problem(
    name: str,
    shape: Ints,
    output_size: IntOrInts,
    kernel_size: IntOrInts,
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
    rank: int,
    *,
    dtype: npt.DTypeLike,
) -> Problem:
    """Return the problem of `col2im` on columns of a shape."""
    if len(shape) not in (2, 3):
        raise ShapeError(
            f"{name}: expected shape (N, C * prod(kernel_size), positions) or without N, "
            f"got {shape}"
        )
    sizes = parameters.integers("output_size", output_size, rank)
    kernel = parameters.integers("kernel_size", kernel_size, rank)
    batch, rows, positions = shape if len(shape) == 3 else (1, *shape)
    taps = int(np.prod(kernel, dtype=object))
    if rows == 0 or rows % taps:
        raise ShapeError(
            f"{name}: {rows} rows, of shape {shape}, are not a multiple of the {taps} taps "
            f"of kernel_size {kernel}"
        )
    problem = _problem(
        "input_gradient",
        (batch, rows // taps, *sizes),
        kernel,
        stride,
        padding,
        dilation,
        np.dtype(dtype),
    )
    if problem.window.positions != positions:
        raise ShapeError(
            f"{name}: output_size {sizes} has {problem.window.out} window positions, so "
            f"{problem.window.positions} columns are expected, got {positions} in shape {shape}"
        )
    return problem


def _rank(kernel_size: IntOrInts, otherwise: int) -> int:
    rank = parameters.rank_of(kernel_size)
    rank = otherwise if rank is None else rank
    if rank < 1:
        raise ShapeError("input: expected at least one spatial dimension after (N, C)")
    return rank


def _problem(
    direction: Direction,
    shape: Ints,
    kernel_size: IntOrInts,
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
    dtype: np.dtype[Any],
) -> Problem:
    rank = len(shape) - 2
    return _cached_problem(
        direction,
        shape,
        parameters.integers("kernel_size", kernel_size, rank),
        parameters.integers("stride", stride, rank),
        parameters.padding_form("padding", padding, rank),
        parameters.integers("dilation", dilation, rank),
        dtype,
    )


@lru_cache(maxsize=4096)
def _cached_problem(
    direction: Direction,
    shape: Ints,
    kernel: Ints,
    stride: Ints,
    padding: parameters.Padding,
    dilation: Ints,
    dtype: np.dtype[Any],
) -> Problem:
    return Problem(
        "columns", direction, window_geometry(shape, kernel, stride, padding, dilation), dtype
    )


def pad_value_array(value: float, dtype: np.dtype[Any]) -> Array:
    """Return a pad value as an array of no dimensions, or refuse what is not a number."""
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "biuf":
        raise ParameterError(f"pad_value: expected a number, got {value!r}")
    with np.errstate(over="ignore"):
        result = array.astype(dtype)
    if np.isfinite(array) and not np.isfinite(result):
        raise ParameterError(f"pad_value: {value!r} is beyond the range of {dtype}")
    return result
