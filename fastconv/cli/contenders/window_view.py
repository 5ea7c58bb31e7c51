"""What one writes without this package: NumPy's window view, multiplied or reduced."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fastconv.algorithms import Inputs
from fastconv.cli.contenders.contender import Call
from fastconv.dtypes import Array
from fastconv.geometry import WindowGeometry
from fastconv.problem import Problem


class WindowView:
    """`sliding_window_view`, a contiguous copy, `matmul`; for pools a reduction over the view."""

    name = "window view"

    def available(self) -> bool:
        """Return True: it needs nothing else."""
        return True

    def rejects(self, problem: Problem) -> str | None:
        """Accept the plain cases: the point of it is that it is short."""
        if problem.layout != "channels_first":
            return "channels first only"
        if problem.padding or (problem.operation == "conv" and problem.conv.fewer_out):
            return "all positions that fit, over zeros"
        if problem.not_compiled is not None:
            return "float32 and float64 only"
        if problem.operation == "conv":
            plain = problem.direction == "forward" and problem.activation is None
            return None if plain else "forward only, no activation"
        if problem.operation not in ("max_pool", "avg_pool") or problem.direction != "forward":
            return "convolutions and pools only"
        if problem.window.rounding != "floor" or problem.indices or problem.divisor is not None:
            return "no rounding up, indices or divisor"
        return None if problem.count_include_pad else "padding counts"

    def prepare(self, problem: Problem, inputs: Inputs, threads: int = 1) -> Call:
        """Take the arrays as they are."""
        x, *rest = (array for array in inputs if array is not None)
        if problem.operation == "conv":
            return lambda: _conv(problem, x, *rest)
        return lambda: _pool(problem, x)


def _windows(window: WindowGeometry, x: Array, value: float) -> Array:
    """View the windows of a padded copy: (N, C, *out, *kernel)."""
    axes = window.axes
    pads = [(axis.before, axis.after) for axis in axes]
    if any(map(any, pads)):
        x = np.pad(x, [(0, 0), (0, 0), *pads], constant_values=value)
    extents = tuple(axis.extent for axis in axes)
    view = sliding_window_view(x, extents, tuple(range(2, x.ndim)))
    strides = (slice(None, None, axis.stride) for axis in axes)
    dilations = (slice(None, None, axis.dilation) for axis in axes)
    return view[(slice(None), slice(None), *strides, *dilations)]


def _conv(problem: Problem, x: Array, w: Array, b: Array | None = None) -> Array:
    geometry = problem.conv
    n, g, m, k, rank = geometry.batch, geometry.groups, geometry.m, geometry.k, geometry.rank
    order = (0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
    windows = _windows(geometry, x, 0).transpose(order)  # (n, C, *kernel, *out)
    columns = windows.reshape(n, g, k, geometry.positions)  # the copy
    y: Array = np.matmul(w.reshape(g, m, k), columns).reshape(geometry.output_shape)
    return y if b is None else y + b.reshape(-1, *(1,) * rank)


def _pool(problem: Problem, x: Array) -> Array:
    window = problem.window
    taps = tuple(range(-window.rank, 0))
    if problem.operation == "max_pool":
        peak: Array = _windows(window, x, -np.inf).max(axis=taps)
        return peak
    mean: Array = _windows(window, x, 0).mean(axis=taps)
    return mean
