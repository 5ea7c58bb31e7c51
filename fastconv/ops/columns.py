"""Windows and columns: `sliding_windows`, `im2col`, `col2im`, and PyTorch's `unfold` and `fold`."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import dialects, parameters
from fastconv.dialects import BY_NAME
from fastconv.dtypes import Array, Dtype, accumulator, plain_array, promoted, row_of, scalar
from fastconv.errors import ParameterError, ShapeError
from fastconv.geometry import batched_shape, check_padding_mode, window_geometry
from fastconv.lowering.windows import window_view
from fastconv.ops import repeated
from fastconv.ops.call import like_input, solver, with_batch
from fastconv.ops.repeated import Settled
from fastconv.parameters import IntOrInts, Ints, PaddingLike
from fastconv.plan import plan_for
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
    pad_value: complex = 0,
    padding_mode: str = "zeros",
    dialect: str = "fastconv",
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
    pad_value : number
        The value of the padding, where `padding_mode` is "zeros"; one that the input's dtype holds.
    padding_mode : str
        "zeros", or what the padding repeats of the input: "reflect" (without its last element),
        "replicate" (the last element) or "circular" (the other end).
    dialect : str
        The order of the result: "fastconv", "chainer", "dlfs", "cnnumpy", "cs231n" or "jax".

    Returns
    -------
    numpy.ndarray
        By dialect, with `K = C * prod(kernel_size)`, channels slowest, then taps in C order, and
        `L = prod(out)`:

        - "fastconv" (PyTorch, Keras, ONNX): `(N, K, L)`
        - "chainer" (DeZero): `(N, C, *kernel_size, *out)`
        - "jax": `(N, K, *out)`
        - "dlfs" (Deep Learning from Scratch): `(N * L, K)`
        - "cnnumpy" (onnx.reference): `(K, N * L)`
        - "cs231n": `(K, L * N)`, samples fastest

        Without `N` for an unbatched input.

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
    >>> F.im2col(np.arange(3.0).reshape(1, 1, 3), 3, 2, 1, padding_mode="reflect", dialect="dlfs")
    array([[1., 0., 1.],
           [1., 2., 1.]])
    """
    place = (kernel_size, stride, padding, dilation)
    return repeated.call(_settle_im2col, (input,), (*place, pad_value, padding_mode, dialect))


def _settle_im2col(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
    pad_value: complex,
    padding_mode: str,
    dialect: str,
) -> Settled[Array]:
    (x,) = promoted(input=input)
    rank = _rank(kernel_size, x.ndim - 2)
    problem = columns_problem(
        *(x.shape, kernel_size, stride, padding, dilation),
        padding_mode=padding_mode,
        dialect=dialect,
        dtype=x.dtype,
    )
    value = (
        None
        if type(pad_value) is int and pad_value == 0
        else pad_value_array(pad_value, x.dtype, padding_mode)
    )
    bare = x.ndim == rank + 1
    return _gathering(problem, value, bare, bare and BY_NAME[dialect].keeps_batch), (x,)


def _gathering(
    problem: Problem, value: Array | None, bare: bool, drops: bool
) -> Callable[[Array], Array]:
    """Return what copies windows into columns, and a value where padding is; None is 0."""
    solve = solver(plan_for(problem), (bare, False), drops)
    return lambda x: solve(x, value)


def col2im(
    columns: npt.ArrayLike,
    output_size: IntOrInts,
    kernel_size: IntOrInts,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    *,
    padding_mode: str = "zeros",
    dialect: str = "fastconv",
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Add columns back to where `im2col` took them from: its adjoint.

    Parameters
    ----------
    columns : array_like
        As `im2col` returns them in this dialect: `(N, C * prod(kernel_size), prod(out))` in
        "fastconv". They may lack `N` where that is an axis of its own.
    output_size : int or tuple of int
        Spatial sizes of the result.
    kernel_size, stride, padding, dilation, padding_mode, dialect
        As for `im2col`. The rank is that of whichever of the sizes is a tuple; else what the
        columns of "chainer" and "jax" show, 1 for the others.
    acc_dtype : dtype, optional
        What sums are kept in, if not int32 for 8-bit integers, int64 for wider ones, float32 for
        float16. Integers are returned in it; floating point is rounded once to its own dtype.

    Returns
    -------
    numpy.ndarray
        `(N, C, *output_size)`, or `(C, *output_size)`; in the accumulator for integers.

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
    place = (output_size, kernel_size, stride, padding, dilation)
    words = ("columns", None, *place, padding_mode, dialect, acc_dtype)
    return repeated.call(_settle_col2im, (columns,), words)


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
    return repeated.call(_settle_unfold, (input,), (kernel_size, stride, padding, dilation))


def _settle_unfold(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
) -> Settled[Array]:
    (x,) = promoted(input=input)
    rank = _rank(kernel_size, 3 if x.ndim == 5 else 2)
    shape = batched_shape("input", x.shape, rank)
    problem = _problem("forward", shape, kernel_size, stride, padding, dilation, x.dtype)
    bare = x.ndim == rank + 1
    return _gathering(problem, None, bare, bare), (x,)


def fold(
    input: npt.ArrayLike,
    output_size: IntOrInts,
    kernel_size: IntOrInts,
    dilation: IntOrInts = 1,
    padding: PaddingLike = 0,
    stride: IntOrInts = 1,
    *,
    acc_dtype: npt.DTypeLike | None = None,
) -> Array:
    """Add columns back, with the parameter order of `torch.nn.functional.fold`.

    Parameters
    ----------
    input : array_like
        Columns `(N, C * prod(kernel_size), prod(out))`, or without `N`.
    output_size : int or tuple of int
        Spatial sizes of the result; an int means a square image.
    kernel_size, dilation, padding, stride, acc_dtype
        As for `col2im`.

    Returns
    -------
    numpy.ndarray
        `(N, C, *output_size)`, or `(C, *output_size)`; in the accumulator for integers.

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
    place = (output_size, kernel_size, stride, padding, dilation)
    words = ("input", 2, *place, "zeros", "fastconv", acc_dtype)
    return repeated.call(_settle_col2im, (input,), words)


def columns_problem(
    input: Ints,
    kernel_size: IntOrInts,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    *,
    padding_mode: str = "zeros",
    dialect: str = "fastconv",
    dtype: npt.DTypeLike = np.float32,
) -> Problem:
    """Return the problem of `im2col` on an input shape."""
    mode, order = parameters.padding_mode(padding_mode), dialects.dialect(dialect)
    rank = _rank(kernel_size, len(input) - 2)
    place = (batched_shape("input", input, rank), kernel_size, stride, padding, dilation)
    return _problem("forward", *place, row_of(dtype).dtype, mode, order.name)


def _settle_col2im(
    columns: npt.ArrayLike,
    name: str,
    usual_rank: int | None,
    output_size: IntOrInts,
    kernel_size: IntOrInts,
    stride: IntOrInts,
    padding: PaddingLike,
    dilation: IntOrInts,
    padding_mode: str,
    dialect: str,
    acc_dtype: npt.DTypeLike | None,
) -> Settled[Array]:
    """Settle `col2im`, or `fold`, whose usual rank is that of images where no size says one."""
    order = dialects.dialect(dialect)
    (given,) = promoted(**{name: columns})
    rank = parameters.rank_of(output_size) or parameters.rank_of(kernel_size)
    if rank is None:
        rank = usual_rank or rank_of_columns(given.ndim, order.name)
    place = (output_size, kernel_size, stride, padding, dilation, rank)
    problem = fold_problem(
        *(name, given.shape, *place),
        padding_mode=padding_mode,
        dialect=order.name,
        dtype=given.dtype,
        acc_dtype=acc_dtype,
    )
    bare = given.ndim != order.ndim(rank)
    return solver(plan_for(problem), (bare,), bare), (given,)


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
    padding_mode: str = "zeros",
    dialect: str = "fastconv",
    dtype: npt.DTypeLike,
    acc_dtype: npt.DTypeLike | None = None,
) -> Problem:
    """Return the problem of `col2im` on columns of a shape."""
    order, ndim = dialects.dialect(dialect), dialects.dialect(dialect).ndim(rank)
    sizes = parameters.integers("output_size", output_size, rank)
    kernel = parameters.integers("kernel_size", kernel_size, rank)
    if order.keeps_batch and len(shape) == ndim - 1:
        shape = (1, *shape)
    if len(shape) != ndim:
        raise ShapeError(f"{name}: expected shape {_COLUMNS[order.name]}, got {shape}")
    mode = parameters.padding_mode(padding_mode)
    place = (kernel, stride, padding, dilation, np.dtype(dtype), mode, order.name, acc_dtype)
    single = _problem("input_gradient", (1, 1, *sizes), *place)
    outer = order.outer(name, shape, kernel, single.window.out)
    return _problem("input_gradient", (*outer, *sizes), *place)


_COLUMNS = {
    "fastconv": "(N, C * prod(kernel_size), positions) or without N",
    "chainer": "(N, C, *kernel_size, *positions) or without N",
    "jax": "(N, C * prod(kernel_size), *positions) or without N",
    "dlfs": "(N * positions, C * prod(kernel_size))",
    "cnnumpy": "(C * prod(kernel_size), N * positions)",
    "cs231n": "(C * prod(kernel_size), positions * N)",
}


def rank_of_columns(ndim: int, dialect: str) -> int:
    """Return the rank that columns show where both sizes are integers."""
    if dialect == "chainer":
        return max(1, (ndim - 1) // 2)
    return max(1, ndim - 2) if dialect == "jax" else 1


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
    padding_mode: str = "zeros",
    dialect: str = "fastconv",
    acc_dtype: npt.DTypeLike | None = None,
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
        padding_mode,
        dialect,
        None if acc_dtype is None else accumulator(dtype, acc_dtype),
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
    padding_mode: str,
    dialect: str,
    acc: Dtype | None,
) -> Problem:
    geometry = window_geometry(shape, kernel, stride, padding, dilation)
    check_padding_mode(geometry.axes, padding_mode)
    return Problem(
        *("columns", direction, geometry, dtype),
        padding_mode=padding_mode,
        dialect=dialect,
        acc=acc,
    )


def pad_value_array(value: complex, dtype: Dtype, padding_mode: str = "zeros") -> Array:
    """Return a pad value as an array of no dimensions, or refuse what is no number of the dtype."""
    result = scalar("pad_value", value, dtype)
    if padding_mode != "zeros" and result != 0:
        raise ParameterError(
            f"pad_value: expected 0 with padding_mode={padding_mode!r}, got {value!r}"
        )
    return result
