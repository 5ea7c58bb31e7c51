"""How the arguments of pools become problems, from shapes alone."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

from fastconv import parameters
from fastconv.ops import (
    adaptive_pool,
    avg_pool,
    fractional_pool,
    global_pool,
    lp_pool,
    max_pool,
    max_unpool,
    median_pool,
    min_pool,
    pool_call,
    quantile_pool,
    with_indices,
)
from fastconv.ops.call import check_grad_output, check_shape
from fastconv.ops.pool_problem import pool_problem
from fastconv.problem import Problem

Arguments = dict[str, Any]
Builder = Callable[[Arguments], Problem]
PLACE = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")


def shape_of(arguments: Arguments, name: str) -> tuple[int, ...]:
    """Return the shape that stands for an array."""
    value = arguments[name]
    return parameters.shape(name, getattr(value, "shape", value))


def _pool(rank: int, operation: Any, direction: Any, a: Arguments) -> Problem:
    shape = shape_of(a, "input" if direction == "forward" else "input_size")
    problem = pool_problem(
        *(operation, rank, shape, *(a[name] for name in PLACE), a["dtype"]),
        direction=direction,
        indices=parameters.flag("return_indices", a.get("return_indices", False)),
        count_include_pad=parameters.flag("count_include_pad", a.get("count_include_pad", True)),
        divisor=a.get("divisor_override"),
        rounding=a["rounding"],
        nan=a.get("nan", "propagate"),
        quantile=a.get("q", 0.5) if operation == "quantile_pool" else None,
        padding_mode=a["padding_mode"],
        layout=a["layout"],
    )
    if direction != "forward":
        check_grad_output(problem, shape_of(a, "grad_output"), len(shape) == rank + 1)
    return problem


def _lp_pool(rank: int, direction: Any, a: Arguments) -> Problem:
    shape = shape_of(a, "input")
    place = [a[name] for name in (*PLACE, "rounding", "padding_mode", "layout", "dtype")]
    build: Callable[..., Problem] = lp_pool.norm_problem
    problem = build(rank, shape, a["norm_type"], *place, direction)
    if direction != "forward":
        gy = shape_of(a, "grad_output")
        check_grad_output(problem, gy, len(shape) == rank + 1)
        check_shape("output", shape_of(a, "output"), gy, "as grad_output")
    return problem


def _adaptive(rank: int, operation: Any, a: Arguments) -> Problem:
    options: dict[str, Any] = {}
    if operation == "adaptive_max_pool":
        options = {
            "indices": parameters.flag("return_indices", a["return_indices"]),
            "nan": parameters.nan(a["nan"]),
        }
    place = (shape_of(a, "input"), a["output_size"], a["dtype"], a["layout"])
    return adaptive_pool.adaptive_problem(operation, rank, *place, **options)


def _adaptive_gradient(rank: int, a: Arguments) -> Problem:
    shapes = shape_of(a, "grad_output"), shape_of(a, "input_size")
    return adaptive_pool.adaptive_gradient_problem(rank, *shapes, a["dtype"], a["layout"])


def _fractional(rank: int, a: Arguments) -> Problem:
    indices, nan = parameters.flag("return_indices", a["return_indices"]), parameters.nan(a["nan"])
    size = (a["kernel_size"], a["output_size"], a["output_ratio"])
    place = (shape_of(a, "input"), *size, a["dtype"], a["layout"])
    return fractional_pool.fractional_problem(rank, *place, indices=indices, nan=nan)


def _scatter(rank: int, a: Arguments, empty: str = "batch") -> Problem:
    shape = shape_of(a, "grad_output")
    check_shape("indices", shape_of(a, "indices"), shape, "as grad_output")
    place = (shape, shape_of(a, "input_size"), a["dtype"], parameters.layout(a["layout"]))
    return pool_call.scatter_problem(rank, *place, empty)


def _unpool(rank: int, a: Arguments) -> Problem:
    shape = shape_of(a, "input")
    check_shape("indices", shape_of(a, "indices"), shape, "as input")
    place = (a["kernel_size"], a["stride"], a["padding"], a["output_size"])
    return max_unpool.unpool_problem(rank, shape, *place, a["dtype"], a["layout"])


def _gather(rank: int, a: Arguments) -> Problem:
    shape = shape_of(a, "input_size")
    check_shape("indices", shape_of(a, "indices"), shape, "as input_size")
    place = (shape_of(a, "grad_output"), shape, a["dtype"], a["layout"])
    return max_unpool.gather_problem(rank, *place)


def _global(kind: str, a: Arguments) -> Problem:
    layout = parameters.layout(a["layout"])
    name = "input" if "input" in a else "input_size"
    flat, ones = global_pool.flat_shape(name, shape_of(a, name), layout)
    for other in ("grad_output", "indices", "output"):
        if other in a:
            check_shape(other, shape_of(a, other), ones, "with one element for every plane")
            a = {**a, other: global_pool.flat_shape(other, ones, layout)[0]}
    rank = len(flat) - 2
    a = {**a, name: flat}
    if kind == "lp_pool":
        fixed = dict.fromkeys(PLACE, None) | {"padding": 0, "dilation": 1, "ceil_mode": False}
        fixed |= {"padding_mode": "zeros", "kernel_size": global_pool.spatial(flat, layout)}
        direction = "input_gradient" if "grad_output" in a else "forward"
        return _lp_pool(rank, direction, {**a, **fixed, "rounding": None})
    if "grad_output" not in a:
        return _adaptive(rank, f"adaptive_{kind}", {**a, "output_size": 1})
    return _adaptive_gradient(rank, a) if kind == "avg_pool" else _scatter(rank, a, "first")


def _with_indices(build: Builder, a: Arguments) -> Problem:
    parameters.flag("return_indices", a["return_indices"])
    return build({**a, "return_indices": True})


def _of_rank(rank: int) -> dict[str, tuple[Callable[..., Any], Builder]]:
    """Every pool of a rank: its function's file and how its arguments become a problem."""

    def scatter(a: Arguments) -> Problem:
        return _scatter(rank, a)

    builders: dict[str, tuple[Any, Builder]] = {
        "max_pool{}d": (max_pool, lambda a: _pool(rank, "max_pool", "forward", a)),
        "max_pool{}d_backward": (max_pool, scatter),
        "min_pool{}d": (min_pool, lambda a: _pool(rank, "min_pool", "forward", a)),
        "min_pool{}d_backward": (min_pool, scatter),
        "avg_pool{}d": (avg_pool, lambda a: _pool(rank, "avg_pool", "forward", a)),
        "avg_pool{}d_backward": (
            avg_pool,
            lambda a: _pool(rank, "avg_pool", "input_gradient", a),
        ),
        "lp_pool{}d": (lp_pool, lambda a: _lp_pool(rank, "forward", a)),
        "lp_pool{}d_backward": (lp_pool, lambda a: _lp_pool(rank, "input_gradient", a)),
        "median_pool{}d": (median_pool, lambda a: _pool(rank, "quantile_pool", "forward", a)),
        "median_pool{}d_backward": (median_pool, scatter),
        "quantile_pool{}d": (quantile_pool, lambda a: _pool(rank, "quantile_pool", "forward", a)),
        "quantile_pool{}d_backward": (quantile_pool, scatter),
        "adaptive_max_pool{}d": (
            adaptive_pool,
            lambda a: _adaptive(rank, "adaptive_max_pool", a),
        ),
        "adaptive_max_pool{}d_backward": (adaptive_pool, lambda a: _scatter(rank, a, "first")),
        "adaptive_avg_pool{}d": (
            adaptive_pool,
            lambda a: _adaptive(rank, "adaptive_avg_pool", a),
        ),
        "adaptive_avg_pool{}d_backward": (adaptive_pool, lambda a: _adaptive_gradient(rank, a)),
        "max_unpool{}d": (max_unpool, lambda a: _unpool(rank, a)),
        "max_unpool{}d_backward": (max_unpool, lambda a: _gather(rank, a)),
    }
    if rank > 1:
        builders["fractional_max_pool{}d"] = (fractional_pool, lambda a: _fractional(rank, a))
        builders["fractional_max_pool{}d_backward"] = (
            fractional_pool,
            lambda a: _scatter(rank, a, "all"),
        )
    for name in ("max_pool{}d", "adaptive_max_pool{}d", "fractional_max_pool{}d"):
        if name in builders:
            always = functools.partial(_with_indices, builders[name][1])
            builders[f"{name}_with_indices"] = (with_indices, always)
    return {
        name.format(rank): (getattr(module, name.format(rank)), build)
        for name, (module, build) in builders.items()
    }


def _global_pools() -> Iterator[tuple[str, tuple[Callable[..., Any], Builder]]]:
    for kind in ("avg_pool", "max_pool", "lp_pool"):
        for name in (f"global_{kind}", f"global_{kind}_backward"):
            yield name, (getattr(global_pool, name), functools.partial(_global, kind))


POOLS: dict[str, tuple[Callable[..., Any], Builder]] = {
    **dict(_global_pools()),
    **_of_rank(1),
    **_of_rank(2),
    **_of_rank(3),
}
