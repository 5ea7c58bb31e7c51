"""im2col and col2im as strided NumPy copies and additions."""

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.lowering.blocks import largest_box
from fastconv.lowering.col2im import add_columns
from fastconv.lowering.im2col import BoxWindows, columns_order, fill_columns
from fastconv.problem import Problem


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
        """Count one padded sample, if there is padding."""
        window = problem.window
        if problem.direction != "forward" or not window.padded:
            return 0
        sizes = [(axis.out - 1) * axis.stride + axis.extent for axis in window.axes]
        return int(np.prod(sizes)) * window.channels * problem.dtype.itemsize

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Fill columns from the input, or the input from columns."""
        window = problem.window
        source, *rest = inputs
        (out,) = outputs
        if source is None:
            return
        box = largest_box(window.out, window.positions)
        split = (window.batch, window.channels, *window.kernel, *window.out)
        if problem.direction == "input_gradient":
            out[:] = 0
            add_columns(source.reshape(split), out, window.axes, box)
            return
        pad_value = 0 if rest[0] is None else rest[0]
        windows = BoxWindows.of(window.axes, box)
        columns, order = out.reshape(split), columns_order(window.rank)
        for sample in range(window.batch):
            part = slice(sample, sample + 1)
            fill_columns(windows.view(source[part], pad_value), columns[part], order)
