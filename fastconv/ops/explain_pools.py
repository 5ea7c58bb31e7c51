"""How the arguments of pools become problems, from shapes alone."""

from collections.abc import Callable
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
    min_pool,
    pool_call,
    quantile_pool,
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
    flat = global_pool.flat_shape(shape_of(a, "input"), parameters.layout(a["layout"]))
    rank = len(flat) - 2
    sizes = flat[1:-1] if a["layout"] == "channels_last" else flat[2:]
    a = {**a, "input": flat}
    if kind == "lp_pool":
        fixed = dict.fromkeys(PLACE, None) | {"padding": 0, "dilation": 1, "ceil_mode": False}
        fixed |= {"padding_mode": "zeros"}
        return _lp_pool(rank, "forward", {**a, **fixed, "kernel_size": sizes, "rounding": None})
    return _adaptive(rank, f"adaptive_{kind}", {**a, "output_size": 1})


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
        "median_pool{}d": (quantile_pool, lambda a: _pool(rank, "quantile_pool", "forward", a)),
        "quantile_pool{}d": (quantile_pool, lambda a: _pool(rank, "quantile_pool", "forward", a)),
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
    return {
        name.format(rank): (getattr(module, name.format(rank)), build)
        for name, (module, build) in builders.items()
    }


POOLS: dict[str, tuple[Callable[..., Any], Builder]] = {
    "global_avg_pool": (global_pool.global_avg_pool, lambda a: _global("avg_pool", a)),
    "global_max_pool": (global_pool.global_max_pool, lambda a: _global("max_pool", a)),
    "global_lp_pool": (global_pool.global_lp_pool, lambda a: _global("lp_pool", a)),
    **_of_rank(1),
    **_of_rank(2),
    **_of_rank(3),
}
