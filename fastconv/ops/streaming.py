"""Causal convolution of a signal that comes in blocks: `causal_conv1d`.

The blocks may be of any size, and give, bit for bit, what the whole signal gives at once. So every
call uses one algorithm whose sums do not depend on where a position lies or how many there are.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array, promoted
from fastconv.errors import PlanError
from fastconv.ops.call import check_shape, solve
from fastconv.ops.conv import check_bias
from fastconv.ops.conv_problem import conv_problem
from fastconv.parameters import IntOrInts
from fastconv.plan import Settings, current_settings, plan_for, settings
from fastconv.problem import Problem

STEADY = ("implicit_gemm", "tapwise", "naive")
"""Algorithms that add the terms of every position in the same order, the fastest first."""
CHUNK = 2**14
"""Positions solved at a time: there is a plan for each number of them."""
LEAST = 2
"""Positions solved at least; `implicit_gemm` does not take one."""


def causal_conv1d(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    state: npt.ArrayLike | None = None,
    activation: str | None = None,
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> tuple[Array, Array]:
    """Convolve the next block of a signal, each element with what came before it.

    The output at an element is that of `conv1d` with `padding=((reach, 0),)`, where `reach` is
    `dilation * (kernel - 1)`. Blocks of any sizes, also shorter than the reach, give the same bits
    as one call with the whole signal, whatever the batch and the number of threads.

    Parameters
    ----------
    input : array_like
        `(N, C_in, L)` or `(C_in, L)`; `L` may be 0.
    weight : array_like
        `(C_out, C_in // groups, kL)`.
    bias : array_like, optional
        `(C_out,)`.
    dilation : int or tuple of int
        In elements.
    groups : int
        Groups of channels that are convolved apart.
    state : array_like, optional
        What the call before returned, `(N, C_in, reach)` or `(C_in, reach)`: the elements before
        the input. Zeros if it is left out, at the beginning of a signal.
    activation : str, optional
        What is applied to the result, as for `conv1d`.
    layout : str
        "channels_first", or "channels_last" for an input `(N, L, C_in)`, a state and a result of
        that order.
    acc_dtype : dtype, optional
        What sums are kept in, as for `conv1d`.

    Returns
    -------
    tuple of numpy.ndarray
        The output `(N, C_out, L)` or `(C_out, L)`, and the state for the next call.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.
    AccumulatorError
        If sums of integers could exceed their accumulator.
    PlanError
        If the algorithm that the settings ask for does not promise the same bits.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> signal, w = np.arange(6.0).reshape(1, 1, 6), np.array([[[1.0, 10.0, 100.0]]])
    >>> y, state = F.causal_conv1d(signal[:, :, :2], w)
    >>> y, state
    (array([[[  0., 100.]]]), array([[[0., 1.]]]))
    >>> F.causal_conv1d(signal[:, :, 2:], w, state=state)[0]
    array([[[210., 321., 432., 543.]]])
    """
    given = {"input": input, "weight": weight, "bias": bias, "state": state}
    named = {name: value for name, value in given.items() if value is not None or name in _NEEDED}
    arrays = dict(zip(named, promoted(**named), strict=True))
    x, w, b = arrays["input"], arrays["weight"], arrays.get("bias")
    unbatched = x.ndim == 2
    how = (activation, layout, acc_dtype)
    problem = streaming_problem(x.shape, w.shape, dilation, groups, x.dtype, *how)
    if b is not None:
        check_bias(b.shape, problem)
    state = arrays.get("state")
    if layout == "channels_last":
        x, state = np.moveaxis(x, -1, -2), None if state is None else np.moveaxis(state, -1, -2)
    before = _checked_state(state, x, problem)
    whole = np.concatenate([before, x], -1)
    y = _in_chunks(whole[np.newaxis] if unbatched else whole, w, b, problem)
    results = (y[0] if unbatched else y, whole[..., whole.shape[-1] - before.shape[-1] :])
    if layout == "channels_last":
        results = (np.moveaxis(results[0], -2, -1), np.moveaxis(results[1], -2, -1))
    return np.ascontiguousarray(results[0]), results[1].copy()


_NEEDED = ("input", "weight")


def streaming_problem(
    input: tuple[int, ...],
    weight: tuple[int, ...],
    dilation: IntOrInts,
    groups: int,
    dtype: np.dtype[Any],
    activation: str | None = None,
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> Problem:
    """Return the problem of one chunk of a block, behind what comes before it."""
    parameters.layout(layout)
    (jump,) = parameters.integers("dilation", dilation, 1)
    if layout == "channels_last" and len(input) > 1:
        input = (*input[:-2], input[-1], input[-2])
    reach = jump * (max(1, weight[-1]) - 1) if len(weight) == 3 else 0
    length = min(CHUNK, max(LEAST, input[-1] if input else 1))
    shape = (*input[:-1], reach + length) if input else ()
    place = (1, 0, jump, groups)
    return conv_problem("forward", 1, shape, weight, *place, dtype, activation, acc_dtype=acc_dtype)


def steady_algorithm(problem: Problem) -> str:
    """Return the algorithm of all blocks of a signal, however long this one is.

    Raises
    ------
    PlanError
        If the settings ask for one whose bits depend on the block.
    """
    in_force = current_settings()
    if in_force.algorithm is not None:
        if in_force.algorithm not in STEADY:
            raise PlanError(
                f"algorithm {in_force.algorithm!r} does not promise the same bits for blocks of "
                f"every size, as {STEADY} do"
            )
        return in_force.algorithm
    geometry = problem.conv
    longest = conv_problem(
        "forward",
        1,
        (*geometry.input_shape[:2], geometry.axes[0].extent - 1 + CHUNK),
        geometry.weight_shape,
        *(1, 0, geometry.axes[0].dilation, geometry.groups, problem.dtype, problem.activation),
        acc_dtype=problem.acc,
    )
    return _steady(longest, in_force)


@lru_cache(maxsize=1024)
def _steady(longest: Problem, in_force: Settings) -> str:
    for name in STEADY:
        with settings(algorithm=name, max_scratch_bytes=in_force.max_scratch_bytes):
            try:
                return plan_for(longest).algorithm
            except PlanError:
                continue
    raise PlanError(f"none of {STEADY} accepts '{longest}' with this little scratch memory")


def _checked_state(state: Array | None, x: Array, problem: Problem) -> Array:
    reach = problem.conv.axes[0].extent - 1
    expected = (*x.shape[:-1], reach)
    if state is None:
        return np.zeros(expected, x.dtype)
    check_shape("state", state.shape, expected, "for the input, channels before positions")
    return state


def _in_chunks(whole: Array, w: Array, b: Array | None, problem: Problem) -> Array:
    """Return the output (N, C_out, L) of all positions whose windows lie in `whole`."""
    geometry = problem.conv
    reach = geometry.axes[0].extent - 1
    length = whole.shape[-1] - reach
    y = np.empty((*geometry.output_shape[:2], length), problem.result_dtype)
    with settings(algorithm=steady_algorithm(problem)):
        for start in range(0, length, CHUNK):
            stop = min(length, start + CHUNK)
            part = whole[..., start : stop + reach]
            if stop - start < LEAST:
                part = np.concatenate([part, np.zeros_like(part[..., :1])], -1)
            chunk = conv_problem(
                *("forward", 1, part.shape, w.shape, 1, 0, geometry.axes[0].dilation),
                *(geometry.groups, problem.dtype, problem.activation),
                acc_dtype=problem.acc,
            )
            y[..., start:stop] = solve(chunk, (part, w, b))[..., : stop - start]
    return y
