"""Batch normalisation (Ioffe & Szegedy 2015) with what follows it, and its gradients."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastconv import activations, memory, parameters
from fastconv.dtypes import Array, ready
from fastconv.errors import DtypeError, ParameterError, ShapeError
from fastconv.kernels.pool import share
from fastconv.ops import between, repeated
from fastconv.ops.affine import solve_affine
from fastconv.ops.call import check_shape
from fastconv.ops.repeated import Settled
from fastconv.parameters import Ints

SOME = 16
"""Elements of a channel that are looked at before all are."""
FAR = 4
"""Square of the distance from a center to the mean, in variances, beyond which the sum of squares
about the center would lose digits, and is taken anew about the mean."""


class BatchNormGradients(NamedTuple):
    """The gradients of `batch_norm`."""

    input: Array
    weight: Array
    bias: Array


@np.errstate(all="ignore")
def batch_norm(
    input: npt.ArrayLike,
    running_mean: npt.ArrayLike | None,
    running_var: npt.ArrayLike | None,
    weight: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    residual: npt.ArrayLike | None = None,
    activation: str | None = None,
    layout: str = "channels_first",
) -> Array:
    """Bring every channel to mean 0 and variance 1, scale and shift it, as PyTorch's `batch_norm`.

    A residual and an activation cost no further pass: the result is
    `activation((input - mean) / sqrt(var + eps) * weight + bias + residual)`.

    Parameters
    ----------
    input : array_like
        `(N, C, ...)`, of floats; half precision is computed in float32 and rounded once.
    running_mean, running_var : array_like or None
        `(C,)`: the statistics to use; in training those to be updated in place, or None.
    weight, bias : array_like, optional
        `(C,)`.
    training : bool
        Whether to use the statistics of this batch.
    momentum : float
        Share of this batch in the running statistics, whose variance is the unbiased one.
    eps : float
        Added to the variance; 0 or more.
    residual : array_like, optional
        Of the shape of `input`.
    activation : str, optional
        "relu", "relu6", "leaky_relu" (slope 0.01), "tanh" or "sigmoid".
    layout : str
        "channels_first", or "channels_last" for `(N, ..., C)`.

    Returns
    -------
    numpy.ndarray
        Of the shape and dtype of `input`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> x = np.array([[1.0, 10.0], [3.0, 30.0]])
    >>> mean, var = np.zeros(2), np.ones(2)
    >>> F.batch_norm(x, mean, var, training=True, momentum=1, eps=0)
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> mean, var
    (array([ 2., 20.]), array([  2., 200.]))
    """
    words = (eps, activation, layout)
    if not parameters.flag("training", training):
        given = (input, running_mean, running_var, weight, bias, residual)
        return repeated.call(_settle, given, words)
    fill, arrays, shape = _prepared(input, weight, bias, residual, *words)
    running = [
        _running(name, value, shape[1])
        for name, value in (("running_mean", running_mean), ("running_var", running_var))
    ]
    share_of_batch = parameters.real("momentum", momentum)
    mean, variance, count = _statistics(shape, arrays[0], "input")
    unbiased = variance * (count / max(1, count - 1))
    for target, found in zip(running, (mean, unbiased), strict=True):
        if target is not None and count:
            target += (share_of_batch * (found - target)).astype(target.dtype)
    return fill(mean, variance, *arrays)


def _settle(
    input: npt.ArrayLike,
    running_mean: npt.ArrayLike | None,
    running_var: npt.ArrayLike | None,
    weight: npt.ArrayLike | None,
    bias: npt.ArrayLike | None,
    residual: npt.ArrayLike | None,
    *words: Any,
) -> Settled[Array]:
    """Settle a normalisation by statistics that are given."""
    fill, (x, w, b, more), shape = _prepared(input, weight, bias, residual, *words)
    mean, variance = _given_statistics(running_mean, running_var, shape[1])

    def solve(
        x: Array, mean: Array, variance: Array, w: Array | None, b: Array | None, more: Array | None
    ) -> Array:
        return fill(mean, variance, ready(x), w, b, None if more is None else ready(more))

    return solve, (x, mean, variance, w, b, more)


def _prepared(
    input: npt.ArrayLike,
    weight: npt.ArrayLike | None,
    bias: npt.ArrayLike | None,
    residual: npt.ArrayLike | None,
    eps: float,
    activation: str | None,
    layout: str,
) -> tuple[Callable[..., Array], tuple[Any, ...], Ints]:
    """Return what normalises by a mean and a variance, its other arrays, and (N, C, L)."""
    x, more = between.floats(input=input, residual=residual)
    shape = between.planes(x.shape, layout)
    if more is not None:
        check_shape("residual", more.shape, x.shape, "as the input")
    name = activations.checked(activation)
    given = {"weight": weight, "bias": bias}
    w, b = (_per_channel(name, value, shape[1]) for name, value in given.items())
    eps, dtype = _checked_eps(eps), between.working(x.dtype)
    allocate, ones = memory.allocator(x.shape, x.dtype), np.ones(shape[1], dtype)

    @np.errstate(all="ignore")
    def fill(
        mean: Array, variance: Array, x: Array, w: Array | None, b: Array | None, more: Array | None
    ) -> Array:
        y = allocate()
        inverse = 1 / np.sqrt(variance.astype(np.float64) + eps)
        scale = inverse if w is None else w.astype(np.float64) * inverse
        shift = (0.0 if b is None else b.astype(np.float64)) - mean.astype(np.float64) * scale
        numbers = (scale.astype(dtype), shift.astype(dtype), ones)
        solve_affine(shape, x, more, y, numbers, name)
        return y

    return fill, (x, w, b, more), shape


@np.errstate(all="ignore")
def batch_norm_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    running_mean: npt.ArrayLike | None,
    running_var: npt.ArrayLike | None,
    weight: npt.ArrayLike | None = None,
    training: bool = False,
    eps: float = 1e-5,
    *,
    layout: str = "channels_first",
) -> BatchNormGradients:
    """Return the gradients of `batch_norm` with respect to its input, weight and bias.

    Where the call had an activation, `grad_output` is what `activation_backward` gives; that is the
    gradient of a residual too.

    Parameters
    ----------
    grad_output : array_like
        Gradient of the output, of its shape.
    input, running_mean, running_var, weight, training, eps, layout
        As in the forward call; in training the statistics of the batch are computed again, and
        running ones not looked at.

    Returns
    -------
    tuple of numpy.ndarray
        The gradients `input`, `weight` and `bias`, by these names too.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> gy, x = np.array([[1.0], [2.0]]), np.array([[3.0], [5.0]])
    >>> F.batch_norm_backward(gy, x, np.array([4.0]), np.array([4.0]), eps=0)
    BatchNormGradients(input=array([[0.5],
           [1. ]]), weight=array([0.5]), bias=array([3.]))
    """
    if not parameters.flag("training", training):
        return gradients_with(grad_output, input, running_mean, running_var, weight, eps, layout)
    gy, x = between.floats(grad_output=grad_output, input=input)
    mean, variance, _ = _statistics(between.planes(x.shape, layout), x, "input")
    return gradients_with(gy, x, mean, variance, weight, eps, layout, through_statistics=True)


@np.errstate(all="ignore")
def gradients_with(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    mean: npt.ArrayLike | None,
    variance: npt.ArrayLike | None,
    weight: npt.ArrayLike | None,
    eps: float,
    layout: str = "channels_first",
    *,
    through_statistics: bool = False,
) -> BatchNormGradients:
    """Return the gradients where the statistics are known, of this batch or not."""
    gy, x = between.floats(grad_output=grad_output, input=input)
    shape = between.planes(x.shape, layout)
    check_shape("grad_output", gy.shape, x.shape, "as the input")
    w, eps = _per_channel("weight", weight, shape[1]), _checked_eps(eps)
    w = None if w is None else w.astype(np.float64)
    given = _given_statistics(mean, variance, shape[1])
    mean, variance = (array.astype(np.float64) for array in given)
    count = max(1, x.size // max(1, shape[1]))
    inverse = 1 / np.sqrt(variance + eps)
    total, products = _moments(shape, gy, x, mean)
    products += total * (mean.astype(between.working(x.dtype)) - mean)  # of the center it took
    dtype = between.working(x.dtype)
    scale = (inverse if w is None else w * inverse).astype(dtype)
    gx = memory.empty(x.shape, x.dtype)
    if through_statistics:
        pull = -scale * inverse * inverse * products / count
        shift = -scale * total / count - pull * mean
        numbers = (scale, shift.astype(dtype), pull.astype(dtype))
        solve_affine(shape, gy, x, gx, numbers)
    else:
        solve_affine(shape, gy, None, gx, (scale, np.zeros_like(scale), scale))
    found = (gx, (products * inverse).astype(x.dtype), total.astype(x.dtype))
    return BatchNormGradients(*found)


@np.errstate(all="ignore")
def batch_statistics(input: npt.ArrayLike, name: str = "input") -> tuple[Array, Array, int]:
    """Return mean and biased variance of every channel, float64, and of how many elements."""
    (x,) = between.floats(**{name: input})
    return _statistics(between.planes(x.shape, "channels_first", name), x, name)


def _checked_eps(value: float) -> float:
    found = parameters.real("eps", value)
    if found < 0:
        raise ParameterError(f"eps: expected 0 or more, got {value!r}")
    return found


def _per_channel(name: str, value: npt.ArrayLike | None, channels: int) -> Array | None:
    """Return floats, one for every channel, or None."""
    if value is None:
        return None
    array: Array
    (array,) = between.floats(**{name: value})
    check_shape(name, array.shape, (channels,), "with one element for every channel")
    return array


def _given_statistics(mean: Any, variance: Any, channels: int) -> tuple[Array, Array]:
    found = [
        _per_channel(name, value, channels)
        for name, value in (("running_mean", mean), ("running_var", variance))
    ]
    if found[0] is None or found[1] is None:
        which = "running_mean" if found[0] is None else "running_var"
        raise ParameterError(f"{which}: expected an array where training is False, got None")
    return found[0], found[1]


def _running(name: str, value: Any, channels: int) -> Array | None:
    """Return an array that can be updated in place, or None."""
    if value is None:
        return None
    if not isinstance(value, np.ndarray) or isinstance(value, (np.ma.MaskedArray, np.matrix)):
        raise DtypeError(f"{name}: expected a numpy.ndarray to update, got {type(value).__name__}")
    if value.dtype.kind not in "fV":
        raise DtypeError(f"{name}: expected floats, got {value.dtype}")
    check_shape(name, value.shape, (channels,), "with one element for every channel")
    if not value.flags.writeable:
        raise ParameterError(f"{name}: the array is read-only")
    return value


def _statistics(shape: Ints, x: Array, name: str) -> tuple[Array, Array, int]:
    """Return mean and variance of every channel, float64, and of how many elements."""
    outer, _, length = shape
    count = outer * length
    if count == 1:
        raise ShapeError(f"{name}: expected more than one element per channel in training")
    if not count:
        zeros = np.zeros(shape[1])
        return zeros, zeros, 0
    center, rest, variance = _around(shape, x, _mean_of_some(shape, x), count)
    if not (rest * rest <= FAR * variance).all():  # nor where there are NaN and infinities
        mean = _moments(shape, None, x, np.zeros(shape[1]))[0] / count
        center, rest, variance = _around(shape, x, mean, count)
    return center + rest, np.maximum(variance, 0), count


def _around(shape: Ints, x: Array, center: Array, count: int) -> tuple[Array, Array, Array]:
    """Return a center as it is subtracted, the mean less it, and the variance."""
    center = center.astype(between.working(x.dtype)).astype(np.float64)
    rest, squares = _moments(shape, None, x, center)
    rest /= count
    return center, rest, squares / count - rest * rest


def _mean_of_some(shape: Ints, x: Array) -> Array:
    """Return the mean of some elements of every channel, which is near that of all as a rule."""
    x = x.reshape(shape)
    some = x[:SOME, :, 0].T if shape[2] == 1 else x[0, :, :SOME]  # (C, some)
    found: Array = some.mean(1, dtype=np.float64)
    return found


def _moments(shape: Ints, g: Array | None, x: Array, centers: Array) -> tuple[Array, Array]:
    """Return the sums over channels of g and of g (x - center), of x - center if g is None."""
    dtype, whom = between.working(x.dtype), between.by_whom(x.dtype)
    centers, sums = centers.astype(dtype), np.zeros((shape[1], 2))
    if not x.size:
        return sums[:, 0], sums[:, 1]
    if whom == "compiled":
        _moments_by_kernels(shape, g, x, centers, sums)
        return sums[:, 0], sums[:, 1]
    x = x.reshape(shape)
    for part in between.blocks(shape):
        values = ready(x[part].astype(dtype, copy=False))
        weights = None if g is None else ready(g.reshape(shape)[part].astype(dtype, copy=False))
        if whom == "naive":
            from fastconv.kernels import naive_elementwise as naive

            naive.moments(
                np.empty((0, 0, 0), dtype) if weights is None else weights, values, centers, sums
            )
            continue
        with np.errstate(all="ignore"):
            values = values - centers[:, np.newaxis]
            weights = values if weights is None else weights
            sums[:, 0] += weights.sum((0, 2), dtype=np.float64)
            sums[:, 1] += (weights * values).sum((0, 2), dtype=np.float64)
    return sums[:, 0], sums[:, 1]


def _moments_by_kernels(
    shape: Ints, g: Array | None, x: Array, centers: Array, sums: Array
) -> None:
    from fastconv.kernels.moments import moment_loops
    from fastconv.kernels.target import host

    across = shape[2] == 1
    loops = moment_loops(between.COMPILED[x.dtype], across, g is not None)
    items = -(-shape[1] // host().lanes(x.dtype)) if across else shape[1]
    weights = np.empty(0, x.dtype) if g is None else g.reshape(-1)
    arguments = (weights, x.reshape(-1), centers, sums, shape)
    share(loops, arguments, items, between.threads_for(x.size))
