"""Data for a problem, and its solution by an algorithm of choice.

Three kinds of data. `integer`: integers so small that every sum is exact in the problem's dtype,
whatever its order, so that all algorithms must agree bit for bit. `special`: the same with a few
NaN and infinities, which must reach exactly the outputs whose windows hold them. `normal`: normal
random numbers, on which algorithms agree within `tolerance`.
"""

import math
import zlib
from typing import Literal

import numpy as np

from fastconv.algorithms import Algorithm, Inputs, Outputs
from fastconv.dtypes import Array, highest, row_of
from fastconv.geometry import ConvGeometry
from fastconv.geometry_special import DeformGeometry, LocalGeometry
from fastconv.lowering.divisors import divisors, uneven_divisors
from fastconv.plan import plan_for, settings
from fastconv.planes import INTO_PLANES, PLANES
from fastconv.problem import Problem

Kind = Literal["integer", "special", "normal"]
LARGEST = 8
"""Integers are drawn from [-LARGEST, LARGEST], or from less where long sums need it."""


def operands(problem: Problem, kind: Kind = "integer", seed: int = 0) -> Inputs:
    """Make the inputs of a problem.

    Parameters
    ----------
    problem : Problem
        Any; the same problem, kind and seed always give the same data.
    kind : str
        "integer", "special" or "normal", as this module describes them.
    seed : int
        Other seeds give other data.

    Returns
    -------
    tuple of numpy.ndarray
        As `algorithms.Algorithm` lists them for each operation; convolutions have a bias.
    """
    rng = np.random.default_rng((zlib.crc32(problem.text.encode()), seed))
    shapes = _shapes(problem)
    if kind == "normal":
        arrays = [_normal(rng, shape, problem) for shape in shapes]
    else:
        bound = _bound(problem)
        arrays = [_integers(rng, shape, problem, bound) for shape in shapes]
        if kind == "special":
            _spoil(rng, arrays[_data(problem)])
    if problem.operation == "lp_pool":
        arrays = _norm_operands(problem, arrays, kind)
    if problem.operation.endswith("avg_pool") and problem.direction == "input_gradient":
        # the gradient divides first: multiples of the divisors keep its sums exact
        shares = _divisors(problem)
        if problem.layout == "channels_last":
            shares = shares[..., np.newaxis]
        arrays[0] = _divisible(arrays[0], shares, problem)
    if isinstance(problem.geometry, DeformGeometry):
        if kind != "normal":
            arrays[-2] /= 4  # samples fall between elements, and their shares are exact
        return (*arrays[:-1], arrays[-1] if problem.geometry.masked else None)
    if problem.operation in ("scatter", "unpool", "gather"):
        if kind == "normal":
            return arrays[0], _nearby(rng, problem)
        plane = math.prod(problem.scatter.sizes)
        return arrays[0], rng.integers(-1, plane, problem.y_shape, np.int64)
    if problem.operation == "fractional_max_pool":
        return arrays[0], _starts(rng, problem)
    return tuple(arrays)


def _nearby(rng: np.random.Generator, problem: Problem) -> Array:
    """Return places as a pool's are: each in a window of its own; these cover the plane."""
    geometry = problem.scatter
    places = np.zeros(geometry.output_shape, np.int64)
    for axis, (size, out) in enumerate(zip(geometry.sizes, geometry.out, strict=True), 2):
        starts = np.arange(out) * size // out
        along = [1] * places.ndim
        along[axis] = out
        longest = -(-size // out)
        inside = rng.integers(0, longest, geometry.output_shape) + starts.reshape(along)
        places = places * size + np.minimum(inside, size - 1)
    if problem.layout == "channels_last":
        places = np.moveaxis(places, 1, -1)
    return np.ascontiguousarray(places)


def exact_norm(problem: Problem) -> bool:
    """Whether integers give an lp pool nothing to round differently: no powers but squares."""
    if problem.operation != "lp_pool" or problem.norm == math.inf:
        return True
    window = problem.on_padded.window
    counts = divisors(window.axes, True, None)
    return problem.norm in (1, 2) and bool((counts == window.taps).all())


def blank_outputs(problem: Problem) -> Outputs:
    """Allocate the outputs of a problem, filled with what no algorithm may leave there."""
    dtype = problem.result_dtype
    blank = highest(dtype) if dtype.kind in "biu" else np.nan
    outputs: list[Array] = [np.full(problem.result_shape, blank, dtype)]
    if problem.indices:
        outputs.append(np.full(problem.result_shape, np.iinfo(np.int64).min, np.int64))
    return tuple(outputs)


def run_problem(problem: Problem, inputs: Inputs, algorithm: str | None = None) -> Outputs:
    """Solve a problem.

    Parameters
    ----------
    problem : Problem
        Any.
    inputs : tuple of numpy.ndarray
        As `operands` makes them.
    algorithm : str, optional
        The name of the algorithm to force; by default the planner chooses.

    Returns
    -------
    tuple of numpy.ndarray
        The result, and the indices if the problem asks for them.

    Raises
    ------
    PlanError
        If the algorithm refuses the problem.
    """
    outputs = blank_outputs(problem)
    with settings(algorithm=algorithm):
        plan_for(problem).run(inputs, outputs)
    return outputs


def terms(problem: Problem) -> int:
    """Return the most summands that one element of the result has."""
    if isinstance(problem.geometry, LocalGeometry) and problem.direction == "weight_gradient":
        return max(1, problem.geometry.batch)
    if isinstance(problem.geometry, DeformGeometry) and problem.direction != "forward":
        return max(1, problem.geometry.multiply_adds)  # any number of taps may fall on one element
    if isinstance(problem.geometry, ConvGeometry):
        geometry = problem.conv
        if problem.direction == "forward":
            return geometry.k + 1
        if problem.direction == "input_gradient":
            return geometry.m * geometry.taps
        return max(1, geometry.batch * geometry.positions)
    if problem.operation == "scatter":
        return max(1, math.prod(problem.scatter.out))
    if problem.operation == "adaptive_avg_pool":
        return problem.adaptive.terms(problem.direction == "forward")
    if problem.operation in PLANES:
        return 1
    return problem.window.taps


def tolerance(problem: Problem, expected: Array, algorithm: Algorithm | None = None) -> float:
    """Return the largest difference that rounding explains, on `normal` data.

    The error of a sum grows with the square root of its number of terms and with the size of its
    partial sums, which is larger than the sum itself where terms cancel; an algorithm may say that
    its errors are larger.
    """
    root = math.sqrt(terms(problem))
    finite = expected[np.isfinite(expected)]
    largest = float(np.abs(finite).max(initial=0))
    errors = float(getattr(algorithm, "errors", 1))
    return errors * row_of(problem.dtype).tolerance * root * max(root, largest)


def _shapes(problem: Problem) -> list[tuple[int, ...]]:
    if isinstance(problem.geometry, ConvGeometry):
        conv = problem.conv
        bias = (
            (conv.out_channels, *conv.out)
            if problem.operation == "local_conv"
            else (conv.m * conv.groups,)
        )
        if isinstance(conv, DeformGeometry):
            return _deform_shapes(problem)
        return {
            "forward": [problem.x_shape, conv.weight_shape, bias],
            "input_gradient": [conv.weight_shape, problem.y_shape],
            "weight_gradient": [problem.x_shape, problem.y_shape],
        }[problem.direction]
    if problem.operation in INTO_PLANES:
        return [problem.y_shape]
    if (problem.operation, problem.direction) == ("lp_pool", "input_gradient"):
        return [problem.y_shape, problem.x_shape, problem.y_shape]
    if problem.operation == "columns":
        forward = problem.direction == "forward"
        return [problem.window.input_shape, ()] if forward else [problem.columns_shape]
    return [problem.x_shape if problem.direction == "forward" else problem.y_shape]


def _deform_shapes(problem: Problem) -> list[tuple[int, ...]]:
    x, w, y = problem.x_shape, problem.conv.weight_shape, problem.y_shape
    first = {
        "forward": [x, w, (problem.conv.out_channels,)],
        "input_gradient": [w, y],
        "weight_gradient": [x, y],
    }.get(problem.direction, [x, w, y])
    return [*first, problem.offset_shape, problem.mask_shape]


def _divisors(problem: Problem) -> Array:
    if problem.operation == "adaptive_avg_pool":
        return uneven_divisors(problem.adaptive.axes)
    axes = problem.on_padded.window.axes
    return divisors(axes, problem.count_include_pad, problem.divisor)


def _norm_operands(problem: Problem, arrays: list[Array], kind: Kind) -> list[Array]:
    """Take from numbers their signs: sums near 0 have roots of any size, negative ones have none.

    The norms that a gradient divides by are powers of two, or not near 0.
    """
    if kind == "normal" or not exact_norm(problem):
        arrays = [np.abs(array) for array in arrays]
    if problem.direction == "input_gradient":
        gy, x, y = arrays
        y = y + problem.dtype.type(0.5) if kind == "normal" else 2 ** (np.abs(y) % 3)
        return [gy * 16, x, y.astype(problem.dtype)]
    return arrays


def _starts(rng: np.random.Generator, problem: Problem) -> Array:
    """Draw where the windows of a fractional pool begin."""
    geometry = problem.fractional
    shape = (geometry.batch, geometry.channels)
    triples = zip(geometry.sizes, geometry.kernel, geometry.out, strict=True)
    return np.concatenate(
        [
            rng.integers(0, size - kernel, (*shape, out), np.int64, endpoint=True)
            for size, kernel, out in triples
        ],
        axis=2,
    )


def _data(problem: Problem) -> int:
    """Return which input holds the data proper, for the others are weights and the like."""
    convolution = isinstance(problem.geometry, ConvGeometry)
    return int(convolution and problem.direction == "input_gradient")


def _bound(problem: Problem) -> int:
    if problem.operation == "deform_conv":
        return 2  # products of four, with shares of a sixteenth
    limit = row_of(problem.dtype).exact_limit
    parts = 2 if problem.dtype.kind == "c" else 1  # products of each part
    return max(1, min(LARGEST, math.isqrt(limit // (parts * terms(problem)))))


def _integers(
    rng: np.random.Generator, shape: tuple[int, ...], problem: Problem, bound: int
) -> Array:
    kind = problem.dtype.kind
    least, most = (0, 1) if kind == "b" else (0 if kind == "u" else -bound, bound)
    values = np.asarray(rng.integers(least, most, shape, endpoint=True))
    if kind == "c":
        values = values + 1j * rng.integers(least, most, shape, endpoint=True)
    return values.astype(problem.dtype)


def _normal(rng: np.random.Generator, shape: tuple[int, ...], problem: Problem) -> Array:
    kind = problem.dtype.kind
    if kind in "biu":
        return _integers(rng, shape, problem, _bound(problem))
    values = np.asarray(rng.standard_normal(shape))
    if kind == "c":
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(problem.dtype)


def _divisible(array: Array, shares: Array, problem: Problem) -> Array:
    """Multiply by what is divided by, so that quotients are whole; where that rounds, put 0.

    Integers are left alone: their quotients are truncated, and so always whole.
    """
    if problem.dtype.kind in "biu":
        return array
    with np.errstate(invalid="ignore"):  # an infinity over a window without elements
        wide = array.astype(complex if problem.dtype.kind == "c" else float) * shares
        product = wide.astype(problem.dtype)
        rounds = np.isfinite(wide) & (wide == np.rint(wide)) & (product.astype(wide.dtype) != wide)
    return np.where(rounds, np.zeros((), problem.dtype), product)


def _spoil(rng: np.random.Generator, array: Array) -> None:
    """Put a few NaN and infinities among the data, if it can hold them."""
    if not array.size or array.dtype.kind in "biu":
        return
    places = rng.integers(0, array.size, 4)
    array.flat[places] = rng.choice([np.nan, np.nan, np.inf, -np.inf], 4).astype(array.dtype)
