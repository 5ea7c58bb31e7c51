"""`explain`: the plan of a call, from shapes alone."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from fastconv import dialects, parameters
from fastconv.dtypes import row_of
from fastconv.errors import ParameterError
from fastconv.geometry import batched_shape
from fastconv.ops import (
    bias_gradient,
    columns,
    conv,
    conv_gradients,
    deform,
    local,
    separable,
    streaming,
    time_first,
    transposed,
)
from fastconv.ops.call import check_grad_output
from fastconv.ops.conv_problem import conv_problem
from fastconv.ops.explain_pools import POOLS, shape_of
from fastconv.ops.transposed_problem import transposed_problem
from fastconv.plan import Plan, plan_for, settings
from fastconv.problem import Problem

Arguments = dict[str, Any]
Described = Problem | tuple[Problem, ...]
"""The problem of a call, or those of its steps, in order."""


def explain(
    op: str | Callable[..., Any], *shapes: Any, dtype: npt.DTypeLike = "float32", **parameters: Any
) -> Plan:
    """Return the plan of a call: which algorithm, why not the others, how much memory and work.

    Parameters
    ----------
    op : function or str
        An operation of fastconv or its name.
    *shapes
        The call's positional arguments, with shapes in the place of arrays (an array stands for
        its shape).
    dtype : dtype
        Dtype of the arrays.
    **parameters
        The call's other arguments; `out` is not looked at, for nothing is computed.

    Returns
    -------
    Plan
        Printable; nothing is computed.

    Raises
    ------
    ParameterError, ShapeError, DtypeError, PlanError
        As the call itself would.

    Examples
    --------
    >>> import fastconv as F
    >>> plan = F.explain("conv2d", (1, 64, 56, 56), (64, 64, 1, 1), algorithm="pointwise")
    >>> plan.algorithm, plan.scratch_bytes
    ('pointwise', 0)
    >>> F.explain(F.max_pool2d, (1, 64, 112, 112), 3, stride=2, padding=1).output_shape
    (1, 64, 56, 56)
    """
    described, algorithm = describe(op, shapes, dtype, parameters)
    if isinstance(described, tuple):
        return in_order([plan_for(problem) for problem in described])
    if algorithm is None:
        return plan_for(described)
    with settings(algorithm=algorithm):
        return plan_for(described)


def in_order(plans: list[Plan]) -> Plan:
    """Return the plan of the last of some steps, which knows those before it."""
    first, *steps = plans
    plan = functools.reduce(lambda before, plan: replace(plan, before=before), steps, first)
    if not steps or first.problem.operation == "deform_conv":
        return plan
    between = separable.bytes_between(first.problem)
    return replace(plan, scratch_bytes=plan.scratch_bytes + between)


def describe(
    op: str | Callable[..., Any],
    shapes: tuple[Any, ...],
    dtype: npt.DTypeLike,
    parameters: Arguments,
) -> tuple[Described, str | None]:
    """Return the problem of a call, or those of its steps, and the algorithm that it asks for.

    Raises
    ------
    ParameterError, ShapeError, DtypeError
        As the call itself would.
    """
    name = op if isinstance(op, str) else getattr(op, "__name__", repr(op))
    if name not in EXPLAINED:
        raise ParameterError(
            f"op: nothing to plan for {name!r}; expected one of {sorted(EXPLAINED)}"
        )
    function, problem = EXPLAINED[name]
    try:
        bound = inspect.signature(function).bind(*shapes, **parameters)
    except TypeError as error:
        raise ParameterError(f"explain({name!r}): {error}") from None
    bound.apply_defaults()
    described = problem({"dtype": row_of(dtype).dtype, **bound.arguments})
    if function is streaming.causal_conv1d and not isinstance(described, tuple):
        return described, streaming.steady_algorithm(described)
    return described, bound.arguments.get("algorithm")


def _conv(rank: int, direction: Any, arguments: Arguments) -> Problem:
    first = "input_size" if direction == "input_gradient" else "input"
    second = "weight_size" if direction == "weight_gradient" else "weight"
    problem = conv_problem(
        direction,
        rank,
        shape_of(arguments, first),
        shape_of(arguments, second),
        arguments["stride"],
        arguments["padding"],
        arguments["dilation"],
        arguments["groups"],
        arguments["dtype"],
        arguments.get("activation"),
        layout=arguments.get("layout", "channels_first"),
        padding_mode=arguments.get("padding_mode", "zeros"),
        acc_dtype=arguments.get("acc_dtype"),
    )
    if arguments.get("bias") is not None:
        conv.check_bias(shape_of(arguments, "bias"), problem)
    if direction != "forward":
        unbatched = len(shape_of(arguments, first)) == rank + 1
        check_grad_output(problem, shape_of(arguments, "grad_output"), unbatched)
    return problem


def _bias(rank: int, arguments: Arguments) -> Problem:
    shape = shape_of(arguments, "grad_output")
    how = (arguments["dtype"], arguments["layout"], arguments["acc_dtype"])
    return bias_gradient.bias_problem(rank, shape, *how)


def _separable(rank: int, arguments: Arguments) -> tuple[Problem, Problem]:
    place = ("stride", "padding", "dilation", "dtype", "activation", "padding_mode", "layout")
    problems = separable.separable_problems(
        rank,
        shape_of(arguments, "input"),
        shape_of(arguments, "depthwise_weight"),
        shape_of(arguments, "pointwise_weight"),
        *(arguments[name] for name in (*place, "acc_dtype")),
    )
    if arguments.get("bias") is not None:
        conv.check_bias(shape_of(arguments, "bias"), problems[1])
    return problems


def _conv_tbc(arguments: Arguments) -> Problem:
    shapes = shape_of(arguments, "input"), shape_of(arguments, "weight")
    pad = parameters.padding_form("pad", arguments["pad"], 1)
    how = {"layout": "channels_last", "acc_dtype": arguments["acc_dtype"]}
    shapes = time_first.tbc_shapes(*shapes)
    problem = conv_problem("forward", 1, *shapes, 1, pad, 1, 1, arguments["dtype"], **how)
    if arguments["bias"] is not None:
        conv.check_bias(shape_of(arguments, "bias"), problem)
    return problem


def _causal(arguments: Arguments) -> Problem:
    names = ("dilation", "groups", "dtype", "activation", "layout", "acc_dtype")
    problem = streaming.streaming_problem(
        shape_of(arguments, "input"),
        shape_of(arguments, "weight"),
        *(arguments[name] for name in names),
    )
    if arguments.get("bias") is not None:
        conv.check_bias(shape_of(arguments, "bias"), problem)
    return problem


def _transposed(rank: int, direction: Any, arguments: Arguments) -> Problem:
    first = "input_size" if direction == "forward" else "input"
    second = "weight_size" if direction == "weight_gradient" else "weight"
    names = ("stride", "padding", "output_padding", "groups", "dilation", "output_size", "dtype")
    place = [arguments[name] for name in names]
    problem = transposed_problem(
        direction,
        rank,
        shape_of(arguments, first),
        shape_of(arguments, second),
        *place,
        activation=arguments.get("activation"),
        layout=arguments["layout"],
        acc_dtype=arguments["acc_dtype"],
    )
    if arguments.get("bias") is not None:
        transposed.check_transposed_bias(shape_of(arguments, "bias"), problem)
    if direction != "input_gradient":
        unbatched = len(shape_of(arguments, first)) == rank + 1
        shape = shape_of(arguments, "grad_output")
        transposed.check_transposed_gradient(problem, shape, unbatched)
    return problem


def _local(rank: int, direction: Any, arguments: Arguments) -> Problem:
    first = "input_size" if direction == "input_gradient" else "input"
    second = "weight_size" if direction == "weight_gradient" else "weight"
    shape = shape_of(arguments, first)
    names = ("stride", "padding", "dilation", "groups", "padding_mode", "layout", "acc_dtype")
    place = [arguments[name] for name in (*names, "dtype")]
    problem = local.local_problem(direction, rank, shape, shape_of(arguments, second), *place)
    if arguments.get("bias") is not None:
        local.bias_shape(shape_of(arguments, "bias"), problem)
    if direction != "forward":
        check_grad_output(problem, shape_of(arguments, "grad_output"), len(shape) == rank + 1)
    return problem


def _deform(arguments: Arguments) -> Described:
    x, w, offset = (shape_of(arguments, name) for name in ("input", "weight", "offset"))
    masked = arguments["mask"] is not None
    mask = shape_of(arguments, "mask") if masked else None
    names = ("stride", "padding", "dilation", "padding_mode", "layout", "acc_dtype", "dtype")

    def problem(direction: Any) -> Problem:
        how = (arguments[name] for name in names)
        return deform.deform_problem(direction, x, w, offset, mask, *how)

    forward = problem("forward")
    if arguments.get("bias") is not None:
        conv.check_bias(shape_of(arguments, "bias"), forward)
    if "grad_output" not in arguments:
        return forward
    check_grad_output(forward, shape_of(arguments, "grad_output"), False)
    return tuple(map(problem, deform.GRADIENTS[: None if masked else -1]))


def _im2col(otherwise: Callable[[int], int], arguments: Arguments) -> Problem:
    shape = shape_of(arguments, "input")
    named = parameters.rank_of(arguments["kernel_size"])
    rank = otherwise(len(shape)) if named is None else named
    mode = parameters.padding_mode(arguments.get("padding_mode", "zeros"))
    columns.pad_value_array(arguments.get("pad_value", 0), arguments["dtype"], mode)
    return columns.columns_problem(
        batched_shape("input", shape, rank),
        *(arguments[name] for name in ("kernel_size", "stride", "padding", "dilation")),
        padding_mode=mode,
        dialect=arguments.get("dialect", "fastconv"),
        dtype=arguments["dtype"],
    )


def _col2im(name: str, otherwise: int, arguments: Arguments) -> Problem:
    sizes = (arguments["output_size"], arguments["kernel_size"])
    shape = shape_of(arguments, name)
    dialect = dialects.dialect(arguments.get("dialect", "fastconv")).name
    if otherwise == 1:
        otherwise = columns.rank_of_columns(len(shape), dialect)
    rank = parameters.rank_of(sizes[0]) or parameters.rank_of(sizes[1]) or otherwise
    return columns.fold_problem(
        name,
        shape,
        *sizes,
        arguments["stride"],
        arguments["padding"],
        arguments["dilation"],
        rank,
        padding_mode=arguments.get("padding_mode", "zeros"),
        dialect=dialect,
        dtype=arguments["dtype"],
        acc_dtype=arguments["acc_dtype"],
    )


def _table() -> dict[str, tuple[Callable[..., Any], Callable[[Arguments], Described]]]:
    """Every operation that has a plan, and how its arguments become a problem."""
    table: dict[str, tuple[Callable[..., Any], Callable[[Arguments], Described]]] = {
        "im2col": (columns.im2col, lambda a: _im2col(lambda ndim: ndim - 2, a)),
        "causal_conv1d": (streaming.causal_conv1d, _causal),
        "conv_tbc": (time_first.conv_tbc, _conv_tbc),
        "unfold": (columns.unfold, lambda a: _im2col(lambda ndim: 3 if ndim == 5 else 2, a)),
        "col2im": (columns.col2im, lambda a: _col2im("columns", 1, a)),
        "fold": (columns.fold, lambda a: _col2im("input", 2, a)),
        "deform_conv2d": (deform.deform_conv2d, _deform),
        "deform_conv2d_backward": (deform.deform_conv2d_backward, _deform),
    }
    for rank in (1, 2, 3):
        for name, module, build in (
            ("conv{}d", conv, lambda a, r=rank: _conv(r, "forward", a)),
            ("conv{}d_bias", bias_gradient, lambda a, r=rank: _bias(r, a)),
            ("separable_conv{}d", separable, lambda a, r=rank: _separable(r, a)),
            ("conv{}d_input", conv_gradients, lambda a, r=rank: _conv(r, "input_gradient", a)),
            ("conv{}d_weight", conv_gradients, lambda a, r=rank: _conv(r, "weight_gradient", a)),
            (
                "conv_transpose{}d",
                transposed,
                lambda a, r=rank: _transposed(r, "input_gradient", a),
            ),
            (
                "conv_transpose{}d_input",
                transposed,
                lambda a, r=rank: _transposed(r, "forward", a),
            ),
            (
                "conv_transpose{}d_weight",
                transposed,
                lambda a, r=rank: _transposed(r, "weight_gradient", a),
            ),
            ("local_conv{}d", local, lambda a, r=rank: _local(r, "forward", a)),
            ("local_conv{}d_input", local, lambda a, r=rank: _local(r, "input_gradient", a)),
            ("local_conv{}d_weight", local, lambda a, r=rank: _local(r, "weight_gradient", a)),
        ):
            full = name.format(rank)
            table[full] = (getattr(module, full), build)
    return table | POOLS


EXPLAINED = _table()
