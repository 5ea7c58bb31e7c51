"""Pools by generated machine code: rows fold into a line, and windows slide along it.

Each output row needs its input rows once, column by column, and what comes of them again along the
row: `kh + kw` steps for `kh * kw` taps, on whole vectors of neighbouring elements with any stride.
Where the input is and what it means is decided here, once for each problem.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.algorithms.numba_here import NOT_INSTALLED, numba_installed
from fastconv.algorithms.regular_pool import ADAPTIVE, regular
from fastconv.dtypes import Array, ready
from fastconv.geometry import Axis
from fastconv.kernels.pool import cores, hands, share
from fastconv.lowering.lines import Lines
from fastconv.lowering.pool_table import AnyAxis, PoolTable, spans, three
from fastconv.problem import Problem

MOST_AXES = 3
KINDS = {"max_pool": "max", "min_pool": "min", "avg_pool": "mean"}
WORTH_BYTES = 2**18
"""Input and output that are worth waking a thread for."""
ITEM_BYTES = 2**16
"""Input under the rows of one item, about."""
LINE_BYTES = 2**13
"""Bytes of a line, about: it and the rows above it stay in the nearest cache."""
MOST_SCRATCH = 2**21
"""Bytes of one thread's scratch beyond which it would not stay in the cache."""


class WindowRows:
    """Bands of output rows, each plane on its own."""

    name = "window_rows"
    exact = True
    uses_blas = False
    compiled = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept pools of numbers that a vector holds."""
        refusal = unreduced(problem)
        if refusal is not None:
            return refusal
        problem = regular(problem) or problem
        if problem.window.rank > MOST_AXES:
            return f"written for up to {MOST_AXES} spatial dimensions"
        window = problem.window.axes[-1].extent * problem.dtype.itemsize
        needed = window if window > MOST_SCRATCH else _engine(problem).scratch
        if needed > MOST_SCRATCH:
            return f"a line and the rows under it take {needed} bytes, more than {MOST_SCRATCH}"
        return None

    def takes_views(self, problem: Problem) -> bool:
        """Accept channels last: their memory is read as it lies."""
        return True

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count the line of every thread that may be used."""
        engine = _engine_of(problem)
        return engine.scratch * engine.threads(limit)

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Share the bands of all planes between threads."""
        self.settle(problem, limit, threads)(inputs, outputs)

    def settle(
        self, problem: Problem, limit: int, threads: int
    ) -> Callable[[Inputs, Outputs], None]:
        """Return `run` with all settled that does not depend on the data."""
        if not problem.geometry.batch:
            return lambda inputs, outputs: None
        engine = _engine_of(problem)
        loops, divisors, table, items = engine.loops, engine.divisors, engine.table, engine.items
        threads = engine.threads(limit, threads)

        def solve(inputs: Inputs, outputs: Outputs) -> None:
            arrays = (_flat(problem, inputs[0]), _flat(problem, outputs[0]))
            most = hands(engine.bytes, WORTH_BYTES, threads)
            share(loops, (*arrays, divisors, table), items, most)

        return solve


def unreduced(problem: Problem) -> str | None:
    """Return why generated code that reduces windows cannot solve a problem, or None."""
    if problem.operation not in (*KINDS, *ADAPTIVE):
        return f"solves {', '.join(KINDS)}, not {problem.operation} {problem.direction}"
    found = regular(problem)
    if found is None:
        return "windows differ, or overlap where gradients are summed"
    kept = found.operation != "avg_pool" and found.dtype.kind in "biu"
    if found.not_compiled is not None and not kept:
        return f"reduces no {found.dtype} here"
    if found.indices:
        return "finds no indices"
    return None if numba_installed() else NOT_INSTALLED


def _flat(problem: Problem, array: Array) -> Array:
    """View an array in the order of its memory: of channels last, a view has them second."""
    if problem.layout == "channels_last":
        array = array.transpose(0, *range(2, array.ndim), 1)  # (N, *sizes, C)
    return ready(array).reshape(-1)


@dataclass(frozen=True)
class _Engine:
    """What depends on the problem only."""

    items: int
    table: Array
    divisors: Array
    scratch: int
    """Bytes of each thread."""
    bytes: int
    """Of input and output."""
    variant: tuple[Any, ...]

    @property
    def loops(self) -> Any:
        """The compiled loops."""
        return _loops(*self.variant)

    def threads(self, limit: int, wanted: int | None = None) -> int:
        """Return how many threads may work at a time."""
        most = max(1, min(self.items, cores(), limit // max(1, self.scratch)))
        return most if wanted is None else min(most, wanted)


@lru_cache(maxsize=512)
def _loops(
    kind: str,
    dtype: Any,
    skips: bool,
    reciprocal: bool,
    phases: int,
    step: int,
    how: tuple[str, ...],
) -> Any:
    from fastconv.kernels import target
    from fastconv.kernels.pool_rows import pool_loops
    from fastconv.kernels.reduction import Reduction

    reduction = Reduction(kind, dtype, target.host().lanes(dtype), skips, reciprocal)
    return pool_loops(reduction, phases, step, how)


@lru_cache(maxsize=512)
def _engine_of(problem: Problem) -> _Engine:
    """Return the engine of a problem that is, or comes down to, regular windows."""
    return _engine(regular(problem) or problem)


@lru_cache(maxsize=512)
def _engine(problem: Problem) -> _Engine:
    from fastconv.kernels import target
    from fastconv.kernels.pool_rows import ALIGNMENT, HEADER

    window, item = problem.window, problem.dtype.itemsize
    axes = three(window.axes)
    depth, height, width = axes
    last = problem.layout == "channels_last" and window.channels > 1
    inner = window.channels if last else 1
    planes = window.batch * (1 if last else window.channels)
    rows = _rows(height, width.size * inner * item)
    lines = Lines(width, _part(width, inner * item), inner)
    factors, reciprocal = divisors_of(problem, axes)
    divisors = np.concatenate(factors)
    uniform = len(set(divisors[depth.out + height.out :].tolist())) == 1
    lanes = target.host().lanes(problem.dtype)
    table = PoolTable(axes, lines, rows, uniform, lanes)
    along = (width.stride, width.kernel) if lines.near else (lines.phases, lines.step)
    skips = problem.nan == "ignore" and problem.dtype.kind == "f"
    numbers = table.numbers()
    moved = math.prod(window.input_shape) + math.prod(window.output_shape)
    return _Engine(
        planes * depth.out * numbers["bands"] * numbers["parts"],
        np.array([numbers[name] for name in HEADER] + table.lists(), np.int64),
        divisors,
        (numbers["length"] + numbers["slab"]) * item + ALIGNMENT,
        bytes=moved * item,
        variant=(
            *(KINDS[problem.operation], problem.dtype, skips, reciprocal),
            *along,
            table.how,
        ),
    )


def _part(width: Axis, position: int) -> int:
    """Return the outputs of one part of a row: as equal as they can be, few for large windows."""
    outputs = max(LINE_BYTES // position // width.stride, 4 * width.extent // width.stride, 1)
    parts = -(-width.out // outputs)
    return -(-width.out // parts)


def _rows(height: Axis, row: int) -> int:
    """Return the output rows of one band."""
    return max(1, min(height.out, ITEM_BYTES // max(1, row * height.stride)))


def divisors_of(problem: Problem, axes: Sequence[AnyAxis]) -> tuple[list[Array], bool]:
    """Return factors of what each average is divided by, and whether they are reciprocals.

    Of every output slab, row, and column.
    """
    if problem.operation != "avg_pool":
        return [np.zeros(axis.out, problem.dtype) for axis in axes], False
    divisors = factors_of(problem, axes)
    mantissas = np.frexp(np.concatenate(divisors))[0]
    reciprocal = bool((np.abs(mantissas) == 0.5).all())
    factors = (1 / factor if reciprocal else factor for factor in divisors)
    return [factor.astype(problem.dtype) for factor in factors], reciprocal


def factors_of(problem: Problem, axes: Sequence[AnyAxis]) -> list[Array]:
    """Return what each average is divided by: factors of every output slab, row, and column."""
    if problem.divisor is not None:
        ones = [np.ones(axis.out) for axis in axes]
        return [*ones[:-1], ones[-1] * problem.divisor]
    return [
        np.array(
            axis.counts(problem.count_include_pad) if isinstance(axis, Axis) else spans(axis)[1],
            float,
        )
        for axis in axes
    ]
