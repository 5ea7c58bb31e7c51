"""Softmax and its logarithm along a dimension, forward and gradient."""

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from fastconv import memory
from fastconv.dtypes import Array, ready
from fastconv.kernels.pool import share
from fastconv.ops import between, repeated
from fastconv.ops.call import check_shape
from fastconv.ops.repeated import Settled
from fastconv.parameters import Ints

EXPONENTIAL = 4
"""How much longer an exponential takes than to load and store an element."""


def softmax(input: npt.ArrayLike, dim: int) -> Array:
    """Return `e^x / sum e^x` along a dimension, as PyTorch's `softmax`.

    Parameters
    ----------
    input : array_like
        Of floats and any shape; half precision is computed in float32 and rounded once.
    dim : int
        The dimension whose elements come to a sum of 1; from the end if negative.

    Returns
    -------
    numpy.ndarray
        Of the shape and dtype of `input`. The largest element of a line is subtracted first, so
        that nothing overflows; a line with NaN or +inf, or of nothing but -inf, is NaN.

    Raises
    ------
    ParameterError, DtypeError
        If the arguments make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.softmax(np.array([[0.0, 0.0], [1000.0, 0.0]]), 1)
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    return _forward(input, dim, False)


def log_softmax(input: npt.ArrayLike, dim: int) -> Array:
    """Return the logarithm of `softmax` along a dimension, as PyTorch's `log_softmax`.

    Parameters
    ----------
    input, dim
        As for `softmax`.

    Returns
    -------
    numpy.ndarray
        Of the shape and dtype of `input`.

    Raises
    ------
    ParameterError, DtypeError
        If the arguments make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.log_softmax(np.array([[1000.0, 0.0]]), -1)
    array([[    0., -1000.]])
    """
    return _forward(input, dim, True)


def softmax_backward(grad_output: npt.ArrayLike, output: npt.ArrayLike, dim: int) -> Array:
    """Return the gradient of `softmax` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    output : array_like
        What `softmax` returned.
    dim : int
        As in the forward call.

    Returns
    -------
    numpy.ndarray
        `output * (grad_output - sum(grad_output * output))`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.softmax_backward(np.array([1.0, 0.0]), np.array([0.5, 0.5]), 0)
    array([ 0.25, -0.25])
    """
    return _backward(grad_output, output, dim, False)


def log_softmax_backward(grad_output: npt.ArrayLike, output: npt.ArrayLike, dim: int) -> Array:
    """Return the gradient of `log_softmax` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    output : array_like
        What `log_softmax` returned.
    dim : int
        As in the forward call.

    Returns
    -------
    numpy.ndarray
        `grad_output - exp(output) * sum(grad_output)`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.log_softmax_backward(np.array([1.0, 0.0]), np.log(np.array([0.5, 0.5])), 0)
    array([ 0.5, -0.5])
    """
    return _backward(grad_output, output, dim, True)


def _forward(input: npt.ArrayLike, dim: int, logarithm: bool) -> Array:
    return repeated.call(_settle_forward, (input,), (dim, logarithm))


def _backward(
    grad_output: npt.ArrayLike, output: npt.ArrayLike, dim: int, logarithm: bool
) -> Array:
    return repeated.call(_settle_backward, (grad_output, output), (dim, logarithm))


def _settle_forward(input: npt.ArrayLike, dim: int, logarithm: bool) -> Settled[Array]:
    (x,) = between.floats(input=input)
    return _solver(between.lines(x.shape, dim), x, logarithm, 1), (x,)


def _settle_backward(
    grad_output: npt.ArrayLike, output: npt.ArrayLike, dim: int, logarithm: bool
) -> Settled[Array]:
    gy, y = between.floats(grad_output=grad_output, output=output)
    shape = between.lines(gy.shape, dim)
    check_shape("output", y.shape, gy.shape, "as grad_output")
    return _solver(shape, gy, logarithm, 2), (gy, y)


def _solver(shape: Ints, like: Array, logarithm: bool, count: int) -> Callable[..., Array]:
    """Return what computes a result from x, or from gy and y."""
    allocate = memory.allocator(like.shape, like.dtype)
    if like.size and between.by_whom(like.dtype) == "compiled":
        fill = _by_kernels(shape, like, logarithm, count)
    else:
        fill = partial(_solve, shape, logarithm)

    def solve(*given: Array) -> Array:
        result = allocate()
        fill(tuple(map(ready, given)), result)
        return result

    return solve


def _solve(shape: Ints, logarithm: bool, given: tuple[Array, ...], result: Array) -> None:
    """Fill the result from x, or from gy and y, as (outer, n, inner), by NumPy or plain loops."""
    dtype, whom = between.working(result.dtype), between.by_whom(result.dtype)
    if not result.size:
        return
    given = tuple(array.reshape(shape) for array in given)
    result = result.reshape(shape)
    for part in between.blocks(shape):
        with between.kept(result[part], dtype) as target, np.errstate(all="ignore"):
            arrays = [array[part].astype(dtype, copy=False) for array in given]
            if whom == "naive":
                _by_loops(arrays, target, logarithm)
            elif len(arrays) == 1:
                _numpy_forward(arrays[0], target, logarithm)
            else:
                _numpy_backward(arrays[0], arrays[1], target, logarithm)


def _by_kernels(
    shape: Ints, like: Array, logarithm: bool, count: int
) -> Callable[[tuple[Array, ...], Array], None]:
    from fastconv.kernels.softmax import BLOCK, softmax_gradient_loops, softmax_loops

    outer, n, inner = shape
    across = inner > 1
    loops = (softmax_loops if count == 1 else softmax_gradient_loops)(
        between.COMPILED[like.dtype], across, logarithm
    )
    items = outer * -(-inner // BLOCK)
    size = like.size

    def fill(given: tuple[Array, ...], result: Array) -> None:
        arrays = [array.reshape(-1) for array in (*given, result)]
        share(loops, (*arrays, (n, inner)), items, between.threads_for(size, EXPONENTIAL))

    return fill


def _by_loops(arrays: list[Array], target: Array, logarithm: bool) -> None:
    from fastconv.kernels import naive_elementwise as naive

    loops = naive.softmax if len(arrays) == 1 else naive.softmax_gradient
    loops(*map(ready, arrays), target, logarithm)


def _numpy_forward(x: Array, y: Array, logarithm: bool) -> None:
    np.subtract(x, x.max(1, keepdims=True), out=y)
    if logarithm:
        y -= np.log(np.exp(y).sum(1, keepdims=True))
    else:
        np.exp(y, out=y)
        y /= y.sum(1, keepdims=True)


def _numpy_backward(gy: Array, y: Array, gx: Array, logarithm: bool) -> None:
    if logarithm:
        np.exp(y, out=gx)
        gx *= -gy.sum(1, keepdims=True)
        gx += gy
    else:
        np.subtract(gy, (gy * y).sum(1, keepdims=True), out=gx)
        gx *= y
