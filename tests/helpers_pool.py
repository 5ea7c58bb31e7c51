"""Inputs of pool problems, and their results by the oracle; `helpers` hands both on."""

import math
from dataclasses import replace

import numpy as np

from tests import oracle, oracle_padded, oracle_pool
from tests.oracle_columns import NUMPY_MODES


def place_of(problem):
    """Stride, padding, dilation and rounding of a pool, as the oracle takes them."""
    axes = problem.window.axes
    return (
        tuple(axis.stride for axis in axes),
        tuple((axis.before, axis.after) for axis in axes),
        tuple(axis.dilation for axis in axes),
        problem.window.rounding,
    )


def _indices(problem, seed):
    plane = math.prod(problem.scatter.sizes)
    return np.random.default_rng(seed).integers(-1, plane, problem.y_shape)


def _unpool(problem, array, seed):
    return array(*problem.y_shape), _indices(problem, seed)


def _gather(problem, array, seed):
    return array(*problem.x_shape), _indices(problem, seed)


def _fractional(problem, array, seed):
    geometry, generator = problem.fractional, np.random.default_rng(seed)
    outer = problem.geometry.input_shape[:2]
    starts = [
        generator.integers(0, size - kernel, (*outer, out), endpoint=True)
        for size, kernel, out in zip(geometry.sizes, geometry.kernel, geometry.out, strict=True)
    ]
    return array(*problem.x_shape), np.concatenate(starts, axis=2)


def _lp_gradient(problem, array, seed):
    """Norms that are powers of two, so that quotients by them are exact."""
    exponents = np.abs(array(*problem.y_shape)) % 3
    y = np.where(array(*problem.y_shape) == 0, 0, 2**exponents).astype(problem.dtype)
    return array(*problem.y_shape) * 16, array(*problem.x_shape), y


def _adaptive_gradient(problem, array, seed):
    """Multiples of every window's number of elements."""
    counts = (
        {axis.span(o).stop - axis.span(o).start for o in range(axis.out)}
        for axis in problem.adaptive.axes
    )
    gy, dtype = array(*problem.y_shape), problem.dtype
    if dtype.kind in "biu":
        return (gy,)
    if dtype.itemsize == 2:  # few digits
        gy = np.sign(gy.astype(float))
    return ((gy * math.prod(math.lcm(*each) for each in counts)).astype(dtype),)


INPUTS = {
    ("unpool", "forward"): _unpool,
    ("gather", "forward"): _gather,
    ("fractional_max_pool", "forward"): _fractional,
    ("lp_pool", "input_gradient"): _lp_gradient,
    ("adaptive_avg_pool", "input_gradient"): _adaptive_gradient,
}


def _with_indices(problem, both):
    return both if problem.indices else both[:1]


def _extreme_pool(problem, inputs):
    way = (problem.operation == "min_pool", problem.nan == "ignore")
    place = (problem.window.kernel, *place_of(problem))
    return _with_indices(problem, oracle_pool.extreme_pool(inputs[0], *place, *way))


def _adaptive_max_pool(problem, inputs):
    ignore = problem.nan == "ignore"
    result = oracle_pool.adaptive_max_pool(inputs[0], problem.adaptive.out, ignore)
    return _with_indices(problem, result)


def _fractional_max_pool(problem, inputs):
    geometry = problem.fractional
    result = oracle_pool.fractional_max_pool(
        *inputs, geometry.kernel, geometry.out, problem.nan == "ignore"
    )
    return _with_indices(problem, result)


def _adaptive_avg_pool(problem, inputs):
    truncate = problem.dtype.kind in "biu"
    if problem.direction == "forward":
        return (oracle_pool.adaptive_avg_pool(inputs[0], problem.adaptive.out, truncate),)
    return (oracle_pool.adaptive_avg_pool_gradient(inputs[0], problem.adaptive.sizes, truncate),)


def _lp_pool(problem, inputs):
    place = (problem.norm, problem.window.kernel, *place_of(problem))
    if problem.direction == "forward":
        return (oracle_pool.lp_pool(inputs[0], *place),)
    with np.errstate(divide="ignore"):  # 0 to a negative power
        return (oracle_pool.lp_pool_gradient(*inputs, *place),)


def _quantile_pool(problem, inputs):
    place = (problem.quantile, problem.window.kernel, *place_of(problem))
    return _with_indices(problem, oracle_pool.quantile_pool(inputs[0], *place))


def _avg_pool(problem, inputs):
    window, (*place, rounding) = problem.window, place_of(problem)
    rule = (problem.count_include_pad, problem.divisor, problem.dtype.kind in "biu")
    if problem.direction == "forward":
        return (oracle.avg_pool(inputs[0], window.kernel, *place, rounding, *rule),)
    return (oracle.avg_pool_gradient(inputs[0], window.input_shape, window.kernel, *place, *rule),)


def _over_borders(pool):
    """The oracle of a pool for padding that repeats the input: padded by NumPy, then pooled."""

    def by_oracle(problem, inputs):
        if problem.padding_mode == "zeros":
            return pool(problem, inputs)
        window, pads = problem.window, place_of(problem)[1]
        whole = Unpadded(problem, pads)
        if problem.direction == "input_gradient":
            gy, *rest = inputs
            if rest:
                rest[0] = bordered(rest[0], pads, problem.padding_mode)
            (gradient,) = pool(whole, (gy, *rest))
            return (oracle_padded.folded(gradient, window.sizes, pads, problem.padding_mode),)
        outputs = pool(whole, (bordered(inputs[0], pads, problem.padding_mode),))
        sources = bordered(np.arange(window.plane).reshape(1, 1, *window.sizes), pads, whole.mode)
        return outputs[0], *(
            np.where(places < 0, -1, sources.ravel()[places]) for places in outputs[1:]
        )

    return by_oracle


def bordered(x, pads, mode):
    """A copy of (N, C, *sizes), padded by NumPy; whose `take` knows every dtype, unlike its pad."""
    for axis, (size, pair) in enumerate(zip(x.shape[2:], pads, strict=True), 2):
        x = x.take(np.pad(np.arange(size), pair, NUMPY_MODES[mode]), axis)
    return x


class Unpadded:
    """A problem as its oracle sees it once the input is padded, and what it asks of windows."""

    def __init__(self, problem, pads):
        self.problem, self.window, self.mode = problem, self, problem.padding_mode
        sizes = problem.window.sizes
        self.sizes = tuple(size + sum(pair) for size, pair in zip(sizes, pads, strict=True))
        self.input_shape = (*problem.window.input_shape[:2], *self.sizes)
        self.kernel, self.rounding = problem.window.kernel, problem.window.rounding
        self.axes = tuple(replace(axis, before=0, after=0) for axis in problem.window.axes)

    def __getattr__(self, name):
        return getattr(self.problem, name)


BY_ORACLE = {
    "max_pool": _over_borders(_extreme_pool),
    "min_pool": _over_borders(_extreme_pool),
    "avg_pool": _over_borders(_avg_pool),
    "lp_pool": _over_borders(_lp_pool),
    "quantile_pool": _over_borders(_quantile_pool),
    "adaptive_max_pool": _adaptive_max_pool,
    "adaptive_avg_pool": _adaptive_avg_pool,
    "fractional_max_pool": _fractional_max_pool,
    "unpool": lambda problem, inputs: (oracle_pool.unpool(*inputs, problem.scatter.sizes),),
    "gather": lambda problem, inputs: (oracle_pool.gather(*inputs),),
}
