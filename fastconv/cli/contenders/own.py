"""fastconv itself through its public names: the engine, and the reference."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

import fastconv
from fastconv import reference
from fastconv.algorithms import Inputs
from fastconv.algorithms.numba_here import numba_installed
from fastconv.algorithms.pointwise import Pointwise
from fastconv.cli.contenders.contender import Call
from fastconv.cli.draft import Draft
from fastconv.cli.operands import operands, run_problem
from fastconv.dtypes import Array, conjugated
from fastconv.plan import current_settings, plan_for
from fastconv.plan.threads import limited_threads
from fastconv.planes import PLANES
from fastconv.problem import Problem

PUBLIC = ("conv", "columns", "scatter", "max_pool", "avg_pool")
"""Operations whose public function is called; others are planned and run, which is all it does."""


class Engine:
    """`import fastconv as F`.

    Its threads are set around a whole run by `own_threads`: to enter settings in every call would
    take longer than the smallest layers.
    """

    name = "engine"

    def available(self) -> bool:
        """Return True: it needs nothing else."""
        return True

    def rejects(self, problem: Problem) -> str | None:
        """Accept what the planner accepts."""
        return None

    def prepare(self, problem: Problem, inputs: Inputs, threads: int = 1) -> Call:
        """Bind the public function."""
        return public_call(fastconv, problem, inputs)


class EnginePrepared:
    """`fastconv.prepare_conv`, which packs the weight once, as ONNX Runtime's sessions do."""

    name = "engine prepared"

    def available(self) -> bool:
        """Return True: it needs nothing else."""
        return True

    def rejects(self, problem: Problem) -> str | None:
        """Accept convolutions forward, which are what can be prepared."""
        if problem.operation == "conv" and problem.direction == "forward":
            if problem.conv.fewer_out or problem.padding:
                return "all positions that fit, over zeros"
            if problem.acc is not None:
                return "no acc_dtype"
            most = problem.conv.rank <= 3
            return None if most else "up to 3 spatial dimensions"
        return "convolutions forward only"

    def prepare(self, problem: Problem, inputs: Inputs, threads: int = 1) -> Call:
        """Prepare the convolution, and call it once, for that is when it packs."""
        x, w, *bias = inputs
        stride, padding, dilation = _steps(problem)
        layer = fastconv.prepare_conv(
            w,
            bias[0] if bias else None,
            stride,
            padding,
            dilation,
            problem.conv.groups,
            activation=problem.activation,
            layout=problem.layout,
        )
        layer(x)
        return partial(layer, x)


class PureNumpy:
    """The engine as it is where Numba is not installed."""

    name = "pure NumPy"

    def available(self) -> bool:
        """Return True: it needs nothing else."""
        return True

    def rejects(self, problem: Problem) -> str | None:
        """Accept convolutions forward and columns; for most of the rest it is the engine anyway."""
        if problem.operation == "columns":
            return None
        if problem.operation != "conv" or problem.direction != "forward":
            return "the engine is pure NumPy here"
        return None

    def prepare(self, problem: Problem, inputs: Inputs, threads: int = 1) -> Call:
        """Plan without the compiled algorithms."""
        choices = ("pointwise", "im2col_gemm") if problem.operation == "conv" else ("columns",)
        one_multiply = problem.operation == "conv" and Pointwise().rejects(problem) is None
        with fastconv.settings(algorithm=choices[0 if one_multiply else -1]):
            plan = plan_for(problem)

        def call() -> Array:
            result: Array = np.empty(plan.output_shape, problem.result_dtype)
            plan.run(inputs, (result,))
            return result

        return call


class Reference:
    """`import fastconv.reference as F`."""

    name = "reference"

    def available(self) -> bool:
        """Whether Numba is installed."""
        return numba_installed()

    def rejects(self, problem: Problem) -> str | None:
        """Accept everything."""
        return None

    def prepare(self, problem: Problem, inputs: Inputs, threads: int = 1) -> Call:
        """Bind the public function, and compile its loop on the smallest problem of the kind."""
        smallest = _smallest(problem)
        public_call(reference, smallest, operands(smallest))()
        return public_call(reference, problem, inputs)


@contextmanager
def own_threads(threads: int) -> Iterator[None]:
    """Let BLAS and fastconv use so many threads inside the block, in the whole process."""
    before = current_settings().threads
    fastconv.configure(threads=threads)
    try:
        # BLAS is limited here too, for contenders that use NumPy alone
        with limited_threads(threads):
            yield
    finally:
        fastconv.configure(threads=before)


def public_call(module: ModuleType, problem: Problem, inputs: Inputs) -> Call:
    """Return the call of a public function that solves a problem.

    Parameters
    ----------
    module : module
        `fastconv`, or one with the same names.
    problem : Problem
        Any.
    inputs : tuple of numpy.ndarray
        As `operands` makes them.

    Returns
    -------
    callable
        Without parameters; returns the result, of a max pool with indices only the values.
    """
    if not _has_public_call(problem):
        return partial(_planned, "naive" if module is reference else None, problem, inputs)
    if problem.operation == "conv":
        return _conv(module, problem, inputs)
    if problem.operation == "columns":
        return _columns(module, problem, inputs)
    rank = len(problem.geometry.sizes)
    if problem.operation == "scatter":
        function = getattr(module, f"max_pool{rank}d_backward")
        return partial(function, *inputs, problem.scatter.input_shape)
    pool = _max_pool if problem.operation == "max_pool" else _avg_pool
    return pool(module, problem, inputs)


def _has_public_call(problem: Problem) -> bool:
    if problem.padding or (problem.operation == "conv" and problem.conv.fewer_out):
        return False
    if (problem.operation, problem.direction) == ("conv", "forward"):
        return True
    plain = problem.layout == "channels_first" and problem.activation is None
    return problem.operation in PUBLIC and plain


def _planned(algorithm: str | None, problem: Problem, inputs: Inputs) -> Array:
    result: Array = run_problem(problem, inputs, algorithm)[0]
    return result


def _conv(module: ModuleType, problem: Problem, inputs: Inputs) -> Call:
    geometry = problem.conv
    name = f"conv{geometry.rank}d"
    stride, padding, dilation = _steps(problem)
    steps = (stride, padding, dilation, geometry.groups)
    first, second, *rest = inputs
    chosen = {} if problem.acc is None else {"acc_dtype": problem.acc}
    if problem.direction == "forward":
        function = partial(getattr(module, name), first, second, *rest, *steps, **chosen)
        if problem.activation is None and problem.layout == "channels_first":
            return function
        return partial(function, activation=problem.activation, layout=problem.layout)
    first = conjugated(first)  # which the gradient undoes: problems are bilinear
    if problem.direction == "input_gradient":
        function = partial(getattr(module, f"{name}_input"), geometry.input_shape, first)
        return partial(function, second, *steps, **chosen)
    function = partial(getattr(module, f"{name}_weight"), first, geometry.weight_shape)
    return partial(function, second, *steps, **chosen)


def _columns(module: ModuleType, problem: Problem, inputs: Inputs) -> Call:
    window = problem.window
    how: dict[str, Any] = {"padding_mode": problem.padding_mode, "dialect": problem.dialect}
    place = (window.kernel, *_steps(problem))
    if problem.direction == "input_gradient":
        how["acc_dtype"] = problem.acc
        return partial(module.col2im, inputs[0], window.sizes, *place, **how)
    if inputs[1] is not None and inputs[1].any() and problem.padding_mode == "zeros":
        how["pad_value"] = inputs[1][()]
    return partial(module.im2col, inputs[0], *place, **how)


def _max_pool(module: ModuleType, problem: Problem, inputs: Inputs) -> Call:
    window = problem.window
    function = getattr(module, f"max_pool{window.rank}d")
    options = {"rounding": window.rounding, "nan": problem.nan}
    call = partial(function, inputs[0], window.kernel, *_steps(problem), **options)
    if not problem.indices:
        return call

    def values() -> Array:
        y: Array = call(return_indices=True)[0]
        return y

    return values


def _avg_pool(module: ModuleType, problem: Problem, inputs: Inputs) -> Call:
    window = problem.window
    stride, padding, dilation = _steps(problem)
    options: dict[str, Any] = {
        "rounding": window.rounding,
        "dilation": dilation,
        "count_include_pad": problem.count_include_pad,
    }
    if window.rank > 1:
        options["divisor_override"] = problem.divisor
    name = f"avg_pool{window.rank}d"
    place = (window.kernel, stride, padding)
    if problem.direction == "forward":
        return partial(getattr(module, name), inputs[0], *place, **options)
    return partial(
        getattr(module, f"{name}_backward"), inputs[0], window.input_shape, *place, **options
    )


def _steps(problem: Problem) -> tuple[Any, Any, Any]:
    """Return stride, padding and dilation, in the order of im2col, as short as one writes them."""
    axes = problem.window.axes
    padding = tuple((axis.before, axis.after) for axis in axes)
    return (
        _short(tuple(axis.stride for axis in axes)),
        _short(tuple(before if before == after else (before, after) for before, after in padding)),
        _short(tuple(axis.dilation for axis in axes)),
    )


def _short(values: tuple[Any, ...]) -> Any:
    """Return a number that is the same for all dimensions by itself."""
    return values[0] if len(set(values)) == 1 and isinstance(values[0], int) else values


def _smallest(problem: Problem) -> Problem:
    draft = replace(Draft.of(problem), padding_mode="zeros", offset_groups=1)  # all that fit one
    ones = (1,) * len(draft.sizes)
    if problem.operation in PLANES:
        kernel = tuple(1 for _ in draft.kernel)
        return replace(draft, batch=1, channels=1, sizes=ones, out=ones, kernel=kernel).problem()
    return replace(
        draft, batch=1, channels=1, outputs=1, groups=1, sizes=ones, kernel=ones, out=()
    ).problem()
