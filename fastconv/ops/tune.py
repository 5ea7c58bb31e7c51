"""`tune`: the plan of a call, measured; `forget_tuned`."""

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

from fastconv.errors import ParameterError
from fastconv.ops.explain import describe, in_order
from fastconv.plan import Plan, current_settings, forget_plans, tuned_plan


def tune(
    op: str | Callable[..., Any], *shapes: Any, dtype: npt.DTypeLike = "float32", **parameters: Any
) -> Plan:
    """Measure the algorithms that may compute a call, and take the fastest from now on.

    Each runs a few times on made-up data, under the settings in force: with their threads, within
    their memory, and at their precision. The choice holds for calls of this process with the same
    shapes, parameters and settings, and is kept on disk by CPU; other processes take it under
    `settings(plan="tuned")` or `settings(plan="measure")`, which tunes every call that was not.

    Algorithms differ in how they round: a choice that was measured may change the last bits of
    results from one machine to another, and from one measurement to the next.

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
        The call's other arguments.

    Returns
    -------
    Plan
        As `explain` returns it from now on. Its `source` is "measured", or "rule" where there is
        nothing to choose.

    Raises
    ------
    ParameterError, ShapeError, DtypeError, PlanError
        As the call itself would, or if an algorithm is asked for already.

    Examples
    --------
    >>> import fastconv as F
    >>> plan = F.tune("conv2d", (1, 3, 12, 12), (4, 3, 3, 3))
    >>> plan.source, F.explain("conv2d", (1, 3, 12, 12), (4, 3, 3, 3)).source
    ('measured', 'measured')
    >>> F.forget_tuned("conv2d", (1, 3, 12, 12), (4, 3, 3, 3))
    >>> F.explain("conv2d", (1, 3, 12, 12), (4, 3, 3, 3)).source
    'rule'
    """
    described, algorithm = describe(op, shapes, dtype, parameters)
    algorithm = algorithm or current_settings().algorithm
    if algorithm is not None:
        raise ParameterError(f"algorithm: there is nothing to tune, {algorithm!r} is asked for")
    problems = described if isinstance(described, tuple) else (described,)
    return in_order([tuned_plan(problem) for problem in problems])


def forget_tuned(
    op: str | Callable[..., Any] | None = None,
    *shapes: Any,
    dtype: npt.DTypeLike = "float32",
    **parameters: Any,
) -> None:
    """Forget what was measured on this CPU for a call, or all of it, in this process and on disk.

    Parameters
    ----------
    op : function or str, optional
        An operation of fastconv or its name; everything is forgotten without it.
    *shapes, dtype, **parameters
        As for `tune`: they are forgotten under the settings in force.

    Returns
    -------
    None
        Other processes keep what they have read.

    Raises
    ------
    ParameterError, ShapeError, DtypeError
        As the call itself would.

    Examples
    --------
    >>> import fastconv as F
    >>> F.forget_tuned("conv2d", (1, 3, 12, 12), (4, 3, 3, 3))
    """
    if op is None:
        forget_plans(None)
        return
    described, _ = describe(op, shapes, dtype, parameters)
    forget_plans(described if isinstance(described, tuple) else (described,))
