"""im2col and col2im as strided NumPy copies and additions."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.dialects import BY_NAME
from fastconv.dtypes import Array
from fastconv.geometry import Axis
from fastconv.lowering.blocks import largest_box, sample_ranges
from fastconv.lowering.col2im import add_columns
from fastconv.lowering.im2col import BoxWindows, columns_order, copy_windows
from fastconv.lowering.pad import fold_padding, pad
from fastconv.problem import Problem

PADDED_BYTES = 2**20
"""Padded samples, or sums, made at a time: they stay in the cache until they are copied."""


class Columns:
    """Copy every window at once through the window view; add back tap by tap."""

    name = "columns"
    exact = True
    uses_blas = False

    def rejects(self, problem: Problem) -> str | None:
        """Accept columns in both directions."""
        return (
            None if problem.operation == "columns" else f"solves columns, not {problem.operation}"
        )

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count the padded samples, if there is padding that is not left out."""
        largest = next(iter(_parts(problem, limit)), slice(0, 0))
        return (largest.stop - largest.start) * _scratch_bytes(problem)

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Fill columns from the input, or the input from columns."""
        source, *rest = inputs
        (out,) = outputs
        if source is None:
            return
        forward = problem.direction == "forward"
        columns = _with_all_axes(out if forward else source, problem)
        if not forward and not _wraps(problem) and _sums_in_place(problem):
            out[:] = 0
            _add(columns, out, problem.window.axes)
            return
        value = rest[0] if forward and rest[0] is not None else 0
        for part in _parts(problem, limit):
            if forward:
                _gather(source[part], columns[part], value, problem)
            else:
                _add_folded(columns[part], out[part], problem)


def _gather(x: Array, columns: Array, value: Array | float, problem: Problem) -> None:
    """Copy the windows of some samples into columns `(n, c, *kernel, *out)`."""
    axes = problem.window.axes
    if _wraps(problem):
        x, axes = pad(x, padding_read(axes), problem.padding_mode), padded_axes(axes)
    box = largest_box(problem.window.out, problem.window.positions)
    copy_windows(BoxWindows.of(axes, box).view(x, value), columns)


def _add(columns: Array, x: Array, axes: tuple[Axis, ...]) -> None:
    """Add columns `(n, c, *kernel, *out)` to some samples, but what lies in the padding."""
    out = tuple(axis.out for axis in axes)
    add_columns(columns, x, axes, largest_box(out, max(1, int(np.prod(out)))))


def _add_folded(columns: Array, x: Array, problem: Problem) -> None:
    """Add columns to padded samples, and their padding to the samples it was copied from."""
    axes = problem.window.axes
    if not _wraps(problem):
        sums = np.zeros(x.shape, problem.accumulator)
        _add(columns, sums, axes)
        x[...] = sums
        return
    sizes = (axis.size for axis in padded_axes(axes))
    padded = np.zeros((*x.shape[:2], *sizes), problem.accumulator)
    _add(columns, padded, padded_axes(axes))
    x[...] = fold_padding(padded, padding_read(axes), problem.padding_mode)


def _with_all_axes(columns: Array, problem: Problem) -> Array:
    """View columns of any dialect as `(n, c, *kernel, *out)`."""
    window, dialect = problem.window, BY_NAME[problem.dialect]
    found = dialect.order(window.rank)
    order = [found.index(axis) for axis in columns_order(window.rank)]
    return columns.reshape(dialect.split(window)).transpose(order)


def _sums_in_place(problem: Problem) -> bool:
    """Whether the result is in the dtype that its sums are kept in."""
    return problem.accumulator == problem.result_dtype


def _wraps(problem: Problem) -> bool:
    """Whether the padding that windows read holds elements of the input."""
    return problem.padding_mode != "zeros" and problem.window.padded


def padding_read(axes: tuple[Axis, ...]) -> tuple[tuple[int, int], ...]:
    """Return the padding that some window reads."""
    return tuple((axis.before, max(0, axis.last - axis.size)) for axis in axes)


def padded_axes(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """Return the axes of the padded input, which need no padding."""
    return tuple(
        replace(axis, size=before + axis.size + after, before=0, after=0)
        for axis, (before, after) in zip(axes, padding_read(axes), strict=True)
    )


def _scratch_bytes(problem: Problem) -> int:
    """Count the bytes that one sample needs: it is padded, and folded into a copy."""
    window, forward = problem.window, problem.direction == "forward"
    if not forward and not _wraps(problem):
        plane = 0 if _sums_in_place(problem) else problem.accumulator.itemsize
        return plane * window.plane * window.channels
    if not window.padded:
        return 0
    sizes = [axis.size for axis in padded_axes(window.axes)]
    elements = int(np.prod(sizes)) * window.channels
    return elements * (problem.dtype.itemsize if forward else 2 * problem.accumulator.itemsize)


@lru_cache(maxsize=1024)
def _parts(problem: Problem, limit: int) -> tuple[slice, ...]:
    """Cut the batch into samples whose padded copies fit the cache and the limit, one at least."""
    each = _scratch_bytes(problem)
    if not each:
        return (slice(0, problem.window.batch),)
    return tuple(sample_ranges(problem.window.batch, each, min(limit, PADDED_BYTES)))
