"""Fractional max pooling: windows at random steps, about as many as are asked for."""

from __future__ import annotations  # `numpy.random` is not imported before it is used

from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, plain_array, promoted
from fastconv.errors import DtypeError, ParameterError
from fastconv.geometry import batched_shape
from fastconv.ops.call import check_shape, with_batch
from fastconv.ops.pool_call import scatter_back, solve_extremes
from fastconv.ops.pool_problem import channels_second
from fastconv.parameters import IntOrInts, Ints, RatioLike, SizeLike
from fastconv.planes import fractional_geometry
from fastconv.problem import Problem


@overload
def fractional_max_pool2d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    output_size: SizeLike = ...,
    output_ratio: RatioLike = ...,
    return_indices: Literal[False] = ...,
    _random_samples: npt.ArrayLike | None = ...,
    *,
    generator: np.random.Generator | None = ...,
    nan: str = ...,
    layout: str = ...,
) -> Array: ...
@overload
def fractional_max_pool2d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    output_size: SizeLike = ...,
    output_ratio: RatioLike = ...,
    *,
    return_indices: Literal[True],
    _random_samples: npt.ArrayLike | None = ...,
    generator: np.random.Generator | None = ...,
    nan: str = ...,
    layout: str = ...,
) -> tuple[Array, Array]: ...
def fractional_max_pool2d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    output_size: SizeLike = None,
    output_ratio: RatioLike = None,
    return_indices: bool = False,
    _random_samples: npt.ArrayLike | None = None,
    *,
    generator: np.random.Generator | None = None,
    nan: str = "propagate",
    layout: str = "channels_first",
) -> Array | tuple[Array, Array]:
    """Take the maxima of windows at random steps, as PyTorch's `fractional_max_pool2d`.

    Parameters
    ----------
    input : array_like
        `(N, C, H, W)` or `(C, H, W)`, of real numbers.
    kernel_size : int or tuple of int
        Size of the windows.
    output_size : int or tuple of int, optional
        Windows along each dimension.
    output_ratio : float or tuple of float, optional
        The same as a part of the input's size, if `output_size` is not given.
    return_indices : bool
        Also return where each maximum was.
    _random_samples : array_like, optional
        `(N, C, 2)` numbers from 0 to 1 that say where the windows begin; drawn if not given.
    generator : numpy.random.Generator, optional
        Where they are drawn from.
    nan : str
        "propagate" for NaN wherever a window holds one; "ignore" for the maximum of the others.
    layout : str
        "channels_first", or "channels_last" for `(N, H, W, C)`.

    Returns
    -------
    numpy.ndarray, or two of them
        `(N, C, *output_size)`, and if asked for the int64 indices, flat in each plane: of the first
        maximum, or of the last NaN.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.arange(25.0).reshape(1, 1, 5, 5)
    >>> samples = np.full((1, 1, 2), 0.5)
    >>> F.fractional_max_pool2d(x, 2, 2, _random_samples=samples).ravel()
    array([ 6.,  9., 21., 24.])
    """
    size = (kernel_size, output_size, output_ratio)
    samples = (_random_samples, generator)
    return _max_pool(2, input, *size, return_indices, *samples, nan, layout)


def fractional_max_pool2d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `fractional_max_pool2d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    indices : array_like of int
        What `return_indices` gave, of the same shape.
    input_size : sequence of int
        Shape of the input, `(N, C, H, W)` or `(C, H, W)`.
    layout : str
        "channels_first", or "channels_last" for `(N, H, W, C)`.

    Returns
    -------
    numpy.ndarray
        Of shape `input_size`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other, or an index lies outside its plane.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.arange(2.0).reshape(1, 1, 1, 2)
    >>> y, indices = F.fractional_max_pool2d(x, 1, (1, 2), return_indices=True)
    >>> F.fractional_max_pool2d_backward(y, indices, x.shape).ravel()
    array([0., 1.])
    """
    return scatter_back(2, grad_output, indices, input_size, layout, "all")


@overload
def fractional_max_pool3d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    output_size: SizeLike = ...,
    output_ratio: RatioLike = ...,
    return_indices: Literal[False] = ...,
    _random_samples: npt.ArrayLike | None = ...,
    *,
    generator: np.random.Generator | None = ...,
    nan: str = ...,
    layout: str = ...,
) -> Array: ...
@overload
def fractional_max_pool3d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    output_size: SizeLike = ...,
    output_ratio: RatioLike = ...,
    *,
    return_indices: Literal[True],
    _random_samples: npt.ArrayLike | None = ...,
    generator: np.random.Generator | None = ...,
    nan: str = ...,
    layout: str = ...,
) -> tuple[Array, Array]: ...
def fractional_max_pool3d(
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    output_size: SizeLike = None,
    output_ratio: RatioLike = None,
    return_indices: bool = False,
    _random_samples: npt.ArrayLike | None = None,
    *,
    generator: np.random.Generator | None = None,
    nan: str = "propagate",
    layout: str = "channels_first",
) -> Array | tuple[Array, Array]:
    """Take the maxima of windows at random steps, as PyTorch's `fractional_max_pool3d`.

    Parameters
    ----------
    input : array_like
        `(N, C, D, H, W)` or `(C, D, H, W)`, of real numbers.
    kernel_size : int or tuple of int
        Size of the windows.
    output_size : int or tuple of int, optional
        Windows along each dimension.
    output_ratio : float or tuple of float, optional
        The same as a part of the input's size, if `output_size` is not given.
    return_indices : bool
        Also return where each maximum was.
    _random_samples : array_like, optional
        `(N, C, 3)` numbers from 0 to 1 that say where the windows begin; drawn if not given.
    generator : numpy.random.Generator, optional
        Where they are drawn from.
    nan : str
        "propagate" for NaN wherever a window holds one; "ignore" for the maximum of the others.
    layout : str
        "channels_first", or "channels_last" for `(N, D, H, W, C)`.

    Returns
    -------
    numpy.ndarray, or two of them
        `(N, C, *output_size)`, and if asked for the int64 indices, flat in each plane: of the first
        maximum, or of the last NaN.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.arange(125.0).reshape(1, 1, 5, 5, 5)
    >>> samples = np.full((1, 1, 3), 0.5)
    >>> F.fractional_max_pool3d(x, 2, 2, _random_samples=samples).ravel()
    array([ 31.,  34.,  46.,  49., 106., 109., 121., 124.])
    """
    size = (kernel_size, output_size, output_ratio)
    samples = (_random_samples, generator)
    return _max_pool(3, input, *size, return_indices, *samples, nan, layout)


def fractional_max_pool3d_backward(
    grad_output: npt.ArrayLike,
    indices: npt.ArrayLike,
    input_size: Sequence[int],
    *,
    layout: str = "channels_first",
) -> Array:
    """Return the gradient of `fractional_max_pool3d` with respect to its input.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    indices : array_like of int
        What `return_indices` gave, of the same shape.
    input_size : sequence of int
        Shape of the input, `(N, C, D, H, W)` or `(C, D, H, W)`.
    layout : str
        "channels_first", or "channels_last" for `(N, D, H, W, C)`.

    Returns
    -------
    numpy.ndarray
        Of shape `input_size`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other, or an index lies outside its plane.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.arange(2.0).reshape(1, 1, 1, 1, 2)
    >>> y, indices = F.fractional_max_pool3d(x, 1, (1, 1, 2), return_indices=True)
    >>> F.fractional_max_pool3d_backward(y, indices, x.shape).ravel()
    array([0., 1.])
    """
    return scatter_back(3, grad_output, indices, input_size, layout, "all")


def fractional_problem(
    rank: int,
    input: Ints,
    kernel_size: IntOrInts,
    output_size: SizeLike,
    output_ratio: RatioLike,
    dtype: np.dtype[Any],
    layout: str,
    **options: Any,
) -> Problem:
    """Return the problem of a fractional max pool on an input's shape."""
    full = batched_shape("input", channels_second(input, rank, layout), rank, "first")
    kernel = parameters.integers("kernel_size", kernel_size, rank)
    if output_size is not None:
        out = parameters.integers("output_size", output_size, rank, 0)
    elif output_ratio is not None:
        ratios = parameters.ratios("output_ratio", output_ratio, rank)
        parts = tuple(int(size * ratio) for size, ratio in zip(full[2:], ratios, strict=True))
        out = parameters.integers("output_ratio", parts, rank, 0)
    else:
        raise ParameterError("output_size: neither it nor output_ratio is given")
    geometry = fractional_geometry(full, kernel, out)
    return Problem("fractional_max_pool", "forward", geometry, dtype, layout=layout, **options)


def _max_pool(
    rank: int,
    input: npt.ArrayLike,
    kernel_size: IntOrInts,
    output_size: SizeLike,
    output_ratio: RatioLike,
    return_indices: bool,
    samples: npt.ArrayLike | None,
    generator: np.random.Generator | None,
    nan: str,
    layout: str,
) -> Array | tuple[Array, Array]:
    (x,) = promoted(input=input)
    size = (kernel_size, output_size, output_ratio)
    options: dict[str, Any] = {
        "indices": parameters.flag("return_indices", return_indices),
        "nan": parameters.nan(nan),
    }
    problem = fractional_problem(rank, x.shape, *size, x.dtype, layout, **options)
    real = x.dtype if x.dtype == np.float32 else np.dtype(np.float64)
    starts = _starts(problem, _samples(problem, samples, generator, real))
    return solve_extremes(problem, (with_batch(x, rank), starts), x.shape, rank)


def _samples(
    problem: Problem,
    given: npt.ArrayLike | None,
    generator: np.random.Generator | None,
    dtype: np.dtype[Any],
) -> Array:
    """Return the numbers from 0 to 1 of every plane, (N, C, rank)."""
    geometry = problem.fractional
    shape = (geometry.batch, geometry.channels, len(geometry.out))
    if given is None:
        if generator is None:
            generator = np.random.default_rng()
        if not isinstance(generator, np.random.Generator):
            raise ParameterError(
                f"generator: expected a numpy.random.Generator, got {type(generator).__name__}"
            )
        return generator.random(shape).astype(dtype)
    samples = plain_array("_random_samples", given)
    if samples.dtype.kind not in "biuf":
        raise DtypeError(f"_random_samples: expected real numbers, got dtype {samples.dtype}")
    if samples.shape == shape[1:] and geometry.batch == 1:
        samples = samples[np.newaxis]
    check_shape("_random_samples", samples.shape, shape, "(N, C, dimensions)")
    if samples.size and not (samples.min() >= 0 and samples.max() <= 1):
        raise ParameterError("_random_samples: expected numbers from 0 to 1")
    return samples.astype(dtype, copy=False)


def _starts(problem: Problem, samples: Array) -> Array:
    """Return where the windows of every plane begin, (N, C, sum of out), as PyTorch counts.

    Two dimensions take their samples in the opposite order.
    """
    geometry = problem.fractional
    order = (1, 0) if len(geometry.out) == 2 else (0, 1, 2)
    starts = []
    triples = zip(geometry.sizes, geometry.kernel, geometry.out, strict=True)
    for place, (size, kernel, out) in zip(order, triples, strict=True):
        sample = samples[:, :, place, np.newaxis]
        room = size - kernel
        last = np.full(sample.shape, room, np.int64)
        if out > 1:
            step = samples.dtype.type(room) / samples.dtype.type(out - 1)
            steps = ((np.arange(out - 1, dtype=samples.dtype) + sample) * step).astype(np.int64)
            starts.append(steps - (sample * step).astype(np.int64))
        starts.append(last)
    return np.concatenate(starts, axis=2)
