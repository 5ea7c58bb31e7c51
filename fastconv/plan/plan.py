"""A plan: which algorithm solves a problem, and why not another."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from fastconv.activations import activate
from fastconv.algorithms import Algorithm, Inputs, Outputs, Packed
from fastconv.bounds import check_sums, sums_integers
from fastconv.dtypes import Array, Dtype
from fastconv.lowering.pad import fold_padding, pad
from fastconv.plan.settings import Settings
from fastconv.plan.threads import limited_threads
from fastconv.problem import Problem


def is_native(algorithm: Algorithm, problem: Problem) -> bool:
    """Whether an algorithm takes arrays in the problem's layout, or they must be transposed."""
    return bool(getattr(algorithm, "layout", "channels_first") == problem.layout)


def left_for_algorithm(problem: Problem, limit: int) -> int:
    """Return the scratch memory that is left beside a padded copy.

    Beside the default limit one such copy is always allowed, however large the input is.
    """
    return limit if limit == Settings.max_scratch_bytes else limit - problem.padded_bytes


def takes_views(algorithm: Algorithm, problem: Problem) -> bool:
    """Whether an algorithm reads and fills views of arrays in another layout as they lie."""
    takes = getattr(algorithm, "takes_views", None)
    return takes is not None and bool(takes(problem))


def along_channels(bias: Array, problem: Problem) -> Array:
    """View a bias (C,) so that it is added to every channel of a result (N, C, *sizes)."""
    if problem.layout == "channels_last":
        return bias
    return bias.reshape(-1, *(1,) * problem.conv.rank)


def channels_second(array: Array) -> Array:
    """View a channels-last array (N, *sizes, C) as (N, C, *sizes)."""
    return array.transpose(0, array.ndim - 1, *range(1, array.ndim - 1))


@dataclass(frozen=True)
class Plan:
    """What `explain` returns and prints.

    Attributes
    ----------
    problem : Problem
        What is solved; `str` of it is its one line of text.
    candidates : tuple of str
        All algorithms that accept, in order of preference.
    refusals : dict of str to str
        Why each of the others does not.
    scratch_bytes : int
        Scratch memory of the chosen algorithm.
    max_scratch_bytes : int
        What it was allowed.
    threads : int
        Threads allowed: fastconv's own, or those of NumPy's BLAS where the algorithm uses that.
    limits_blas : bool
        Whether the threads were set, so that BLAS is held to them while the call runs.
    before : Plan or None
        The plan of the step before this one, where a call takes several; only `explain` says so.
    source : str
        Where the choice came from: "rule", the first that accepts; "measured", the fastest when
        that was measured; "asked", the settings or the call.
    """

    problem: Problem
    candidates: tuple[str, ...]
    refusals: dict[str, str]
    scratch_bytes: int
    max_scratch_bytes: int
    threads: int
    limits_blas: bool
    chosen: Algorithm = field(repr=False)
    before: "Plan | None" = None
    source: str = "rule"

    @property
    def algorithm(self) -> str:
        """Name of the chosen algorithm."""
        return self.chosen.name

    @property
    def exact(self) -> bool:
        """Whether sums of small integers come out exact."""
        return self.chosen.exact

    @cached_property
    def result_dtype(self) -> Dtype:
        """The dtype of the result."""
        return self.problem.result_dtype

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the result, batched."""
        return self.problem.result_shape

    @property
    def flops(self) -> int:
        """Floating-point operations of the direct algorithm."""
        return self.problem.flops

    def run(self, inputs: Inputs, outputs: Outputs) -> None:
        """Solve the problem into `outputs`; floating-point warnings are left to the values.

        Raises
        ------
        AccumulatorError
            If sums of integers could leave their accumulator; `outputs` are then as they were.
        """
        self._solver(inputs, outputs)

    @cached_property
    def _solver(self) -> Callable[[Inputs, Outputs], None]:
        """What `run` calls: where nothing is to be done around the algorithm, that alone."""
        if not self._quiet:
            return self._run_guarded
        chosen, native = self.chosen, is_native(self.chosen, self.problem)
        if self.problem.padding or self._adds_bias or not native:
            return self._run
        limit = left_for_algorithm(self.problem, self.max_scratch_bytes)
        settle = getattr(chosen, "settle", None)
        if settle is not None:
            settled: Callable[[Inputs, Outputs], None] = settle(self.problem, limit, self.threads)
            return settled
        problem, threads = self.problem, self.threads
        return lambda inputs, outputs: chosen.run(problem, inputs, outputs, limit, threads)

    def _run_guarded(self, inputs: Inputs, outputs: Outputs) -> None:
        """Solve what may have nothing to compute, overflow, warn, or use BLAS."""
        if self.problem.empty:
            for output in outputs:
                output.fill(0)
            return
        check_sums(self.problem, inputs)
        with np.errstate(all="ignore"):
            if self.limits_blas:
                with limited_threads(self.threads):
                    self._run(inputs, outputs)
            else:
                self._run(inputs, outputs)

    def bind(self, weight: Array | Packed, bias: Array | None) -> Callable[[Array, Array], None]:
        """Return `solve(x, y)`: a convolution by a weight that stays the same, or a transposed one.

        Of a transposed one, whose problem is an input gradient, `x` is the gradient of the output.
        """
        if self._is_input_gradient:
            return lambda x, y: self.run((weight, x, bias), (y,))
        bind = getattr(self.chosen, "bind", None)
        native = is_native(self.chosen, self.problem)
        if (
            bind is None
            or not native
            or self.problem.padding
            or not self._quiet
            or not isinstance(weight, Packed)
        ):
            return lambda x, y: self.run((x, weight, bias), (y,))
        solve: Callable[[Array, Array], None] = bind(
            self.problem, weight, self.max_scratch_bytes, self.threads
        )
        return solve

    def _run(self, inputs: Inputs, outputs: Outputs) -> None:
        bias = None
        if self._adds_bias and len(inputs) > 2:
            *inputs, bias = inputs  # type: ignore[assignment]
        solve = self._solve_padded if self.problem.padding else self._solve_in_layout
        if bias is None:
            solve(tuple(inputs), outputs)
        else:
            self._solve_with_bias(solve, tuple(inputs), bias, outputs[0])
        if self._activation is not None:
            activate(self._activation, outputs[0])

    def _solve_with_bias(
        self, solve: Callable[[Inputs, Outputs], None], inputs: Inputs, bias: Array, y: Array
    ) -> None:
        """Add the bias to the result; where that is rounded, the algorithm has done so before."""
        solve(inputs, (y,))
        with np.errstate(all="ignore"):
            y += along_channels(bias, self.problem)

    def _solve_padded(self, inputs: Inputs, outputs: Outputs) -> None:
        """Pad a copy of the input, or fold the padding of its gradient back."""
        padding, mode = self.problem.padding, self.problem.padding_mode
        if self.problem.direction != "input_gradient":
            self._solve_in_layout((pad(inputs[0], padding, mode), *inputs[1:]), outputs)
            for indices in outputs[1:]:
                indices[...] = self._places_of_padded[indices]
            return
        (gx,) = outputs
        if self.problem.operation == "lp_pool":
            gy, x, y = inputs
            inputs = (gy, pad(x, padding, mode), y)
        padded = np.empty(self.problem.on_padded.x_shape, self.problem.accumulator)
        self._solve_in_layout(inputs, (padded,))
        np.copyto(gx, fold_padding(padded, padding, mode), casting="unsafe")

    def _solve_in_layout(self, inputs: Inputs, outputs: Outputs) -> None:
        if is_native(self.chosen, self.problem):
            self._solve(inputs, outputs)
        else:
            self._solve_channels_second(inputs, outputs)

    def _solve(self, inputs: Inputs, outputs: Outputs) -> None:
        limit = left_for_algorithm(self.problem, self.max_scratch_bytes)
        self.chosen.run(self.problem.on_padded, inputs, outputs, limit, self.threads)

    def _solve_channels_second(self, inputs: Inputs, outputs: Outputs) -> None:
        """Hand over views with the channels second; fill arrays of that order where needed."""
        moved_inputs, moved_outputs = self.problem.in_layout
        inputs = tuple(
            array if array is None or place not in moved_inputs else channels_second(array)
            for place, array in enumerate(inputs)
        )
        views = tuple(
            channels_second(array) if place in moved_outputs else array
            for place, array in enumerate(outputs)
        )
        if takes_views(self.chosen, self.problem.on_padded):
            self._solve(inputs, views)
            return
        arrays = tuple(
            np.empty(view.shape, view.dtype) if place in moved_outputs else view
            for place, view in enumerate(views)
        )
        self._solve(inputs, arrays)
        for place, (view, array) in enumerate(zip(views, arrays, strict=True)):
            if place in moved_outputs:
                view[...] = array

    @property
    def _places_of_padded(self) -> Array:
        """For each place of a padded plane that of the element there; the last is for none."""
        window = self.problem.window
        places = np.arange(window.plane).reshape(window.sizes)
        padded = pad(places, self.problem.padding[: window.rank], self.problem.padding_mode)
        return np.append(padded, -1)

    @cached_property
    def _adds_bias(self) -> bool:
        """Whether it may have a bias that the plan adds: a transposed convolution's.

        Where results are rounded or converted, the algorithm adds it, before that.
        """
        adds = getattr(self.chosen, "adds_bias", None)
        done = adds is not None and adds(self.problem)
        return self._is_input_gradient and self.problem.native and not done

    @cached_property
    def _is_input_gradient(self) -> bool:
        """Whether it is a transposed convolution, or the gradient of one that is not."""
        return (self.problem.operation, self.problem.direction) == ("conv", "input_gradient")

    @cached_property
    def _activation(self) -> str | None:
        """What is left to do after the algorithm."""
        fuses = getattr(self.chosen, "fuses_activation", None)
        fused = fuses is not None and fuses(self.problem)
        return None if fused else self.problem.activation

    @cached_property
    def _quiet(self) -> bool:
        """Whether nothing can warn, nor use BLAS: to set either takes longer than some kernels."""
        if self.problem.empty:
            return False
        compiled = getattr(self.chosen, "compiled", False)
        if sums_integers(self.problem):
            return False
        return compiled and not self.limits_blas and self._activation is None

    def __str__(self) -> str:
        lines = [
            f"problem    {self.problem}",
            f"algorithm  {self.algorithm}",
            f"chosen     {_SOURCES[self.source]}",
            f"output     {self.output_shape}",
            f"scratch    {_mebibytes(self.scratch_bytes)} of {_mebibytes(self.max_scratch_bytes)}",
            f"work       {self.flops / 1e6:.1f} Mflop",
            f"threads    {self.threads}{', of BLAS' if self.chosen.uses_blas else ''}",
            f"exact      {'yes' if self.exact else 'no'}",
            f"accepted   {', '.join(self.candidates)}",
        ]
        lines += [f"refused    {name}: {reason}" for name, reason in self.refusals.items()]
        if self.before is not None:
            lines = [*str(self.before).splitlines(), "and then", *lines]
        return "\n".join(lines)


_SOURCES = {"rule": "by rule", "measured": "as measured", "asked": "as asked"}


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.2f} MiB"
