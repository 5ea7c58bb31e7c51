"""im2col and col2im in compiled loops: rows of planes and rows of columns, whole vectors at a time.

Elements are told by their size only when they are copied. Sums are kept in registers, each in the
order of the taps, and an element of the result is written once.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.algorithms.columns import PADDED_BYTES, padded_axes, padding_read
from fastconv.algorithms.numba_here import NOT_INSTALLED, numba_installed
from fastconv.dtypes import Array, Dtype, ready
from fastconv.kernels.pool import share
from fastconv.lowering.blocks import sample_ranges
from fastconv.lowering.column_tables import (
    Axes,
    Steps,
    add_table,
    copy_table,
    masked_table,
    sum_table,
)
from fastconv.lowering.pad import fold_padding
from fastconv.problem import Problem

BY_SIZE = {1: "uint8", 2: "uint16", 4: "uint32", 8: "uint64", 16: "complex128"}
"""What elements are copied as."""
ROWS = ("fastconv", "chainer", "jax", "cnnumpy")
"""Dialects whose rows of positions lie in one piece."""
MOST_TABLE = 2**18
"""Words of a table beyond which it would take long to make."""
FLAT_TABLE = 2**13
"""Words of masks that stay in the nearest cache beside the planes."""
SERIAL_BYTES = 2**20
"""Columns up to which handing them over costs more than a second thread saves."""
MOST_VECTORS = 4
"""Vectors of sums at a time."""
ITEMS = 32
"""Pieces at least that sums are cut into, if there are so many rows."""


class ColumnRows:
    """Rows of columns as vectors."""

    name = "column_rows"
    exact = True
    uses_blas = False
    compiled = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept columns in most orders."""
        if problem.operation != "columns":
            return f"solves columns, not {problem.operation}"
        if not numba_installed():
            return NOT_INSTALLED
        if problem.dialect not in ROWS:
            return f"rows of positions are scattered in columns of {problem.dialect}"
        if problem.direction == "forward":
            if problem.dtype.itemsize not in BY_SIZE:
                return f"elements of {problem.dtype.itemsize} bytes"
        elif problem.accumulator != problem.result_dtype or not _compilable(problem.dtype):
            return f"does not add {problem.dtype} in {problem.accumulator}"
        elif problem.dialect == "cnnumpy" and _wraps(problem):
            return "samples are scattered in columns of cnnumpy"
        if _table_words(problem) > MOST_TABLE:
            return "the table of its rows would be too large"
        return None

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count the table, and padded sums of samples where padding repeats the input."""
        table = _engine(problem).table.nbytes
        largest = next(iter(_parts(problem, limit - table)), slice(0, 0))
        return table + (largest.stop - largest.start) * _padded_bytes(problem)

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Fill columns from the input, or the input from columns."""
        self.settle(problem, limit, threads)(inputs, outputs)

    def settle(
        self, problem: Problem, limit: int, threads: int
    ) -> Callable[[Inputs, Outputs], None]:
        """Return `run` with all settled that does not depend on the data."""
        engine = _engine(problem)
        threads = threads if engine.large else 1
        if problem.direction == "forward":
            return _copying(problem, engine, threads)
        if _wraps(problem):
            limit -= engine.table.nbytes
            return lambda inputs, outputs: _add_folded(
                problem, engine, inputs[0], outputs[0], limit, threads
            )
        return _adding(problem, engine, threads)


def _copying(
    problem: Problem, engine: "_Engine", threads: int
) -> Callable[[Inputs, Outputs], None]:
    """Return what fills columns from the input."""
    loops, table, kind = engine.loops, engine.table, engine.source
    items = engine.items * problem.window.batch
    zero = np.zeros(1, problem.dtype).view(kind)

    def copy(inputs: Inputs, outputs: Outputs) -> None:
        (x, filling), (columns,) = inputs, outputs
        value = zero
        if filling is not None:
            value = np.array(filling, problem.dtype).reshape(1).view(kind)
        source, out = ready(x).reshape(-1).view(kind), columns.reshape(-1).view(kind)
        share(loops, (source, out, value, table), items, threads)

    return copy


def _adding(problem: Problem, engine: "_Engine", threads: int) -> Callable[[Inputs, Outputs], None]:
    """Return what fills the input from columns."""
    loops, table, kind, sums_kind = engine.loops, engine.table, engine.source, engine.sums
    items = engine.items * problem.window.batch

    def add(inputs: Inputs, outputs: Outputs) -> None:
        source, sums = ready(inputs[0]).reshape(-1), outputs[0].reshape(-1)
        if source.dtype is not kind:
            source = source.view(kind)
        if sums.dtype is not sums_kind:
            sums = sums.view(sums_kind)
        share(loops, (source, sums, table), items, threads)

    return add


def _add_folded(
    problem: Problem, engine: "_Engine", columns: Array, out: Array, limit: int, threads: int
) -> None:
    """Add columns to padded samples, some at a time, and fold the padding of these back."""
    source = ready(columns).reshape(-1).view(engine.source)
    axes, each = problem.window.axes, source.size // max(1, problem.window.batch)
    sizes = [axis.size for axis in padded_axes(axes)]
    for part in _parts(problem, limit):
        samples = part.stop - part.start
        padded = np.empty((samples, problem.window.channels, *sizes), problem.accumulator)
        some = source[part.start * each : part.stop * each]
        sums = padded.reshape(-1).view(engine.sums)
        share(engine.loops, (some, sums, engine.table), engine.items * samples, threads)
        out[part] = fold_padding(padded, padding_read(axes), problem.padding_mode)


@dataclass(frozen=True)
class _Engine:
    """What depends on the problem only."""

    loops: Any
    table: Array
    items: int
    """Of one sample."""
    large: bool
    source: Any
    """The dtype that the loops take the source for."""
    sums: Any = None
    """The dtype that they take sums for."""


@lru_cache(maxsize=64)
def _engine(problem: Problem) -> _Engine:
    return _copies(problem) if problem.direction == "forward" else _sums(problem)


def _copies(problem: Problem) -> _Engine:
    """Return the loops of im2col: under masks where the CPU has them for such elements."""
    from fastconv.kernels import columns, target

    window, itemsize = problem.window, problem.dtype.itemsize
    axes, stride = window.axes, window.axes[-1].stride
    about = (axes, window.channels, _steps(problem))
    if _wraps(problem) or stride > 2 or itemsize not in target.host().masked_sizes:
        loops = columns.copy_loops(itemsize, stride if stride <= 2 else 0)
        table = copy_table(*about, problem.padding_mode)
    else:
        lanes = target.host().lanes(problem.dtype)
        loops = columns.masked_loops(itemsize, stride)
        table = masked_table(*about, lanes, _is_flat(axes, lanes))
    items = window.channels * window.taps
    return _Engine(loops, table, items, _is_large(problem), np.dtype(BY_SIZE[itemsize]))


def _sums(problem: Problem) -> _Engine:
    """Return the loops of col2im: by vectors for floating point and strides 1 and 2."""
    from fastconv.kernels import column_sums, target

    window, dtype, steps = problem.window, problem.dtype, _steps(problem)
    axes = padded_axes(window.axes) if _wraps(problem) else window.axes
    inner = axes[-1]
    vectors = dtype.kind in "fc" and target.host().masked_loads and inner.stride <= 2
    if not vectors or (dtype.kind == "c" and inner.stride > 1):
        source = np.dtype(np.uint8) if dtype.kind == "b" else dtype
        rows, run, items = _runs(problem, math.prod(axis.size for axis in axes[:-1]))
        loops = column_sums.add_loops(
            source.name, problem.accumulator.name, inner.stride if inner.stride == 1 else 0
        )
        table = add_table(axes, window.channels, steps, run)
        return _Engine(loops, table, items, _is_large(problem), source, problem.accumulator)
    if dtype.kind == "c":  # two elements each, and so are dilation and padding
        dtype, axes, steps = _as_pairs(dtype, axes, steps)
    lanes = target.host().lanes(dtype)
    flat = _is_flat(axes, lanes)
    width = math.prod(axis.size for axis in axes) if flat else axes[-1].size
    rows = 1 if flat else math.prod(axis.size for axis in axes[:-1])
    count = min(MOST_VECTORS, -(-width // (lanes * inner.stride)))
    _, run, items = _runs(problem, rows)
    table = sum_table(axes, window.channels, steps, lanes * count, run, flat)
    loops = column_sums.sum_loops(dtype.name, inner.stride, count)
    return _Engine(loops, table, items, _is_large(problem), dtype, dtype)


def _as_pairs(dtype: Dtype, axes: Axes, steps: Steps) -> tuple[Dtype, Axes, Steps]:
    """Return what complex columns of stride 1 are as numbers, two for each."""
    *outer, inner = axes
    names = ("size", "dilation", "before", "after", "out")
    inner = replace(inner, **{name: 2 * getattr(inner, name) for name in names})
    parts = np.dtype(np.float32 if dtype.itemsize == 8 else np.float64)
    return parts, (*outer, inner), Steps(2 * steps.sample, 2 * steps.channel, 2 * steps.tap)


def _runs(problem: Problem, rows: int) -> tuple[int, int, int]:
    """Return the rows, how many of them are an item, and the items of one sample."""
    planes = problem.window.batch * problem.window.channels
    run = -(-rows // max(1, min(rows, ITEMS // max(1, planes))))
    return rows, run, problem.window.channels * -(-rows // run)


def _steps(problem: Problem) -> Steps:
    window = problem.window
    taps, positions, batch = window.taps, window.positions, window.batch
    if problem.dialect == "cnnumpy":
        return Steps(positions, taps * batch * positions, batch * positions)
    return Steps(window.channels * taps * positions, taps * positions, positions)


def _is_flat(axes: Axes, lanes: int) -> bool:
    """Return whether every tap is one shift of a whole plane, under masks that are few."""
    if any(axis.stride > 1 or axis.out != axis.size for axis in axes):
        return False
    taps = math.prod(axis.kernel for axis in axes)
    plane = math.prod(axis.size for axis in axes)
    return taps * (plane // lanes + 1) <= FLAT_TABLE


def _table_words(problem: Problem) -> int:
    """Bound the words of a table."""
    axes = padded_axes(problem.window.axes) if _wraps(problem) else problem.window.axes
    rows = math.prod(axis.kernel * max(axis.out, axis.size) for axis in axes[:-1])
    return 2 * rows + 4 * axes[-1].kernel * max(axes[-1].out, axes[-1].size)


def _is_large(problem: Problem) -> bool:
    elements = math.prod(problem.window.columns_shape)
    return elements * problem.dtype.itemsize >= SERIAL_BYTES


def _compilable(dtype: Dtype) -> bool:
    """Return whether loops can add numbers of a dtype."""
    longest = 16 if dtype.kind == "c" else 8
    return dtype.kind in "biufc" and dtype.itemsize <= longest and dtype != np.float16


def _wraps(problem: Problem) -> bool:
    """Return whether the padding that windows read holds elements of the input."""
    return problem.padding_mode != "zeros" and problem.window.padded


def _padded_bytes(problem: Problem) -> int:
    """Count the bytes of one sample's padded sums and of what they are folded into."""
    if problem.direction == "forward" or not _wraps(problem):
        return 0
    sizes = (axis.size for axis in padded_axes(problem.window.axes))
    return 2 * math.prod(sizes) * problem.window.channels * problem.accumulator.itemsize


def _parts(problem: Problem, limit: int) -> Iterator[slice]:
    """Cut the batch into samples whose padded sums fit the cache and the limit, one at least."""
    each = _padded_bytes(problem)
    if not each:
        return iter([slice(0, problem.window.batch)])
    return iter(sample_ranges(problem.window.batch, each, min(limit, PADDED_BYTES)))
