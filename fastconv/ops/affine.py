"""Scale, shift, residual and activation in one pass: `affine`, and the activation's gradient."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import activations, memory
from fastconv.activations import ACTIVATIONS, LEAKY_SLOPE
from fastconv.dtypes import Array, ready
from fastconv.errors import ParameterError
from fastconv.kernels.pool import share
from fastconv.ops import between, repeated
from fastconv.ops.call import check_shape
from fastconv.ops.out import write_out
from fastconv.ops.repeated import Settled
from fastconv.parameters import Ints

REPEATED = 2**10
"""Elements along which scales and shifts are repeated where channels alternate."""

FINISHING_WORK = 2
"""How much longer a tanh or a sigmoid takes than to load and store an element."""


def affine(
    input: npt.ArrayLike,
    scale: npt.ArrayLike | None = None,
    shift: npt.ArrayLike | None = None,
    residual: npt.ArrayLike | None = None,
    *,
    activation: str | None = None,
    layout: str = "channels_first",
    out: Array | None = None,
) -> Array:
    """Return `activation(input * scale + shift + residual)`, in one pass over memory.

    A bias and its activation, a normalisation with known statistics, the sum at the end of a
    residual block: what NumPy needs a pass and an array for each of.

    Parameters
    ----------
    input : array_like
        `(N, C, ...)`, of floats; half precision is computed in float32 and rounded once.
    scale, shift : array_like, optional
        `(C,)`.
    residual : array_like, optional
        Of the shape of `input`.
    activation : str, optional
        "relu", "relu6", "leaky_relu" (slope 0.01), "tanh" or "sigmoid".
    layout : str
        "channels_first", or "channels_last" for `(N, ..., C)`.
    out : numpy.ndarray, optional
        An array for the result, of its shape and dtype. It may be `input` or `residual` itself,
        and shares no memory with them otherwise.

    Returns
    -------
    numpy.ndarray
        Of the shape of `input`, in the promoted dtype of the arrays; it is `out` if that is given.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense; `out` is then as it was.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.array([[[1.0, -2.0], [3.0, 4.0]]])
    >>> F.affine(x, shift=np.array([0.5, -3.5]), activation="relu")
    array([[[1.5, 0. ],
            [0. , 0.5]]])
    """
    arrays = (input, scale, shift, residual)
    if out is None:
        return repeated.call(_settle_affine, arrays, (activation, layout))
    fill, (x, a, b, more) = _affine_filler(*arrays, activation, layout)
    # what is read and written place by place may be the same array
    first, last = (None if array is out else array for array in (x, more))
    read = {"input": first, "residual": last, "scale": a, "shift": b}
    return write_out(out, x.shape, x.dtype, lambda y: fill(y, x, a, b, more), **read)


def _settle_affine(
    input: npt.ArrayLike,
    scale: npt.ArrayLike | None,
    shift: npt.ArrayLike | None,
    residual: npt.ArrayLike | None,
    activation: str | None,
    layout: str,
) -> Settled[Array]:
    fill, arrays = _affine_filler(input, scale, shift, residual, activation, layout)
    allocate = memory.allocator(arrays[0].shape, arrays[0].dtype)

    def solve(*arrays: Array | None) -> Array:
        y = allocate()
        fill(y, *(None if array is None else ready(array) for array in arrays))
        return y

    return solve, arrays


def _affine_filler(
    input: npt.ArrayLike,
    scale: npt.ArrayLike | None,
    shift: npt.ArrayLike | None,
    residual: npt.ArrayLike | None,
    activation: str | None,
    layout: str,
) -> tuple[Callable[..., None], tuple[Any, ...]]:
    """Return what fills a result from contiguous arrays, and these: input, scale, shift, more."""
    x, a, b, more = between.floats(input=input, scale=scale, shift=shift, residual=residual)
    name = activations.checked(activation)
    shape = between.planes(x.shape, layout)
    for what, array in (("scale", a), ("shift", b)):
        if array is not None:
            check_shape(what, array.shape, shape[1:2], "with one element for every channel")
    if more is not None:
        check_shape("residual", more.shape, x.shape, "as the input")
    ones, zeros = np.ones(shape[1], x.dtype), np.zeros(shape[1], x.dtype)

    def fill(y: Array, x: Array, a: Array | None, b: Array | None, more: Array | None) -> None:
        numbers = (ones if a is None else a, zeros if b is None else b, ones)
        solve_affine(shape, x, more, y, numbers, name)

    return fill, (x, a, b, more)


def activation_backward(
    grad_output: npt.ArrayLike, output: npt.ArrayLike, activation: str, *, out: Array | None = None
) -> Array:
    """Return the gradient of what an activation was given, from what it returned.

    That is also the gradient of the `residual` of `affine`; of its `shift` it is `conv2d_bias`.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of floats.
    output : array_like
        What the activation returned, of the same shape.
    activation : str
        "relu", "relu6", "leaky_relu" (slope 0.01), "tanh" or "sigmoid".
    out : numpy.ndarray, optional
        An array for the result, of its shape and dtype. It may be `grad_output` or `output`
        itself, and shares no memory with them otherwise.

    Returns
    -------
    numpy.ndarray
        Of the shape of `grad_output`; 0 where a "relu" or "relu6" is at its end.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense; `out` is then as it was.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> F.activation_backward(np.array([5.0, 7.0]), np.array([0.0, 3.0]), "relu")
    array([0., 7.])
    """
    if out is None:
        return repeated.call(_settle_slopes, (grad_output, output), (activation,))
    gy, y = _checked_slopes(grad_output, output, activation)
    first, last = (None if array is out else array for array in (gy, y))
    read = {"grad_output": first, "output": last}
    return write_out(
        out, gy.shape, gy.dtype, lambda gx: _solve_slopes(y, gy, gx, activation), **read
    )


def _settle_slopes(
    grad_output: npt.ArrayLike, output: npt.ArrayLike, activation: str
) -> Settled[Array]:
    gy, y = _checked_slopes(grad_output, output, activation)
    allocate = memory.allocator(gy.shape, gy.dtype)

    def solve(gy: Array, y: Array) -> Array:
        gx = allocate()
        _solve_slopes(ready(y), ready(gy), gx, activation)
        return gx

    return solve, (gy, y)


def _checked_slopes(
    grad_output: npt.ArrayLike, output: npt.ArrayLike, activation: str
) -> tuple[Array, Array]:
    gy, y = between.floats(grad_output=grad_output, output=output)
    if activations.checked(activation) is None:
        raise ParameterError(f"activation: expected one of {tuple(ACTIVATIONS)}, got None")
    check_shape("output", y.shape, gy.shape, "as grad_output")
    return gy, y


def solve_affine(
    shape: Ints,
    x: Array,
    more: Array | None,
    y: Array,
    numbers: tuple[Array, Array, Array],
    activation: str | None = None,
) -> None:
    """Put `activation(x * scale + shift + more * factor)` into y, of planes (N, C, L).

    `y` may be x or more.
    """
    dtype, whom = between.working(x.dtype), between.by_whom(x.dtype)
    if not x.size:
        return
    if whom == "compiled":
        _affine_by_kernels(shape, x, more, y, numbers, activations.code_of(activation))
        return
    x, y = x.reshape(shape), y.reshape(shape)
    more = None if more is None else more.reshape(shape)
    scale, shift, factor = (each.astype(dtype, copy=False) for each in numbers)
    solve = _affine_by_loops if whom == "naive" else _affine_by_numpy
    for part in between.blocks(shape):
        with between.kept(y[part], dtype) as sums, np.errstate(all="ignore"):
            added = (
                np.empty((0, 0, 0), dtype) if more is None else more[part].astype(dtype, copy=False)
            )
            solve(x[part].astype(dtype, copy=False), added, sums, scale, shift, factor)
            if activation is not None:
                activations.activate(activation, sums)


def _affine_by_kernels(
    shape: Ints,
    x: Array,
    more: Array | None,
    y: Array,
    numbers: tuple[Array, Array, Array],
    code: int,
) -> None:
    from fastconv.kernels.activate import FIRST_FINISHING
    from fastconv.kernels.affine import affine_loops

    work = 1 if code < FIRST_FINISHING else FINISHING_WORK
    outer, channels, length = shape
    alternate, piece = length == 1, between.PIECE
    scale, shift, factor = numbers
    if alternate:
        repeats = max(1, min(outer, REPEATED // channels))
        scale, shift, factor = (np.tile(each, repeats) for each in numbers)
        outer, length, piece = 1, x.size, repeats * channels
    loops = affine_loops(between.COMPILED[x.dtype], alternate, more is not None)
    added = np.empty(0, x.dtype) if more is None else more.reshape(-1)
    items = outer * (1 if alternate else channels) * -(-length // piece)
    sizes = (outer, length, piece, channels)
    arrays = (x.reshape(-1), added, y.reshape(-1), scale, shift, factor)
    share(loops, (*arrays, sizes, code), items, between.threads_for(x.size, work))


def _affine_by_numpy(
    x: Array, added: Array, y: Array, scale: Array, shift: Array, factor: Array
) -> None:
    scale, shift, factor = (each[:, np.newaxis] for each in (scale, shift, factor))  # (C, 1)
    more = added * factor if added.size else None
    np.multiply(x, scale, out=y)
    y += shift
    if more is not None:
        y += more


def _affine_by_loops(*arrays: Array) -> None:
    from fastconv.kernels import naive_elementwise

    naive_elementwise.affine(*map(ready, arrays[:2]), arrays[2], *arrays[3:])


def _solve_slopes(y: Array, gy: Array, gx: Array, activation: str) -> None:
    """Multiply gradients by an activation's derivative."""
    y, gy, gx = y.reshape(-1), gy.reshape(-1), gx.reshape(-1)
    dtype, whom = between.working(y.dtype), between.by_whom(y.dtype)
    if not y.size:
        return
    code = activations.code_of(activation)
    if whom == "compiled":
        from fastconv.kernels.affine import slope_loops

        items, threads = -(-y.size // between.PIECE), between.threads_for(y.size)
        arguments = (y, gy, gx, between.PIECE, code)
        share(slope_loops(between.COMPILED[y.dtype]), arguments, items, threads)
        return
    for part in between.blocks(y.shape):
        with between.kept(gx[part], dtype) as result, np.errstate(all="ignore"):
            value, gradient = (each[part].astype(dtype, copy=False) for each in (y, gy))
            if whom == "naive":
                from fastconv.kernels import naive_elementwise

                slope = dtype.type(LEAKY_SLOPE)
                naive_elementwise.slopes(ready(value), ready(gradient), result, code, slope)
            else:
                np.multiply(ACTIVATIONS[activation].slope(value), gradient, out=result)
