"""Quantiles of windows: all their elements side by side, sorted."""

import numpy as np

from fastconv.algorithms.pool_extremes import extreme_of_nothing, holds_nan
from fastconv.algorithms.pool_passes import Place, reduced
from fastconv.dtypes import Array
from fastconv.lowering.divisors import divisors
from fastconv.problem import Problem


def quantiles(problem: Problem, inputs: list[Array], outputs: list[Array]) -> None:
    """Solve quantile_pool: NaN, if any, else the element at the rank; padding is sorted last."""
    x, y = inputs[0], outputs[0]
    axes, quantile = problem.window.axes, problem.quantile or 0.0
    columns = x[np.newaxis]
    for dimension, axis in enumerate(axes, 2):
        filled = np.empty((axis.kernel, *reduced(columns, dimension, axis)), x.dtype)
        filled[:] = extreme_of_nothing(x.dtype, True)
        for tap in range(axis.kernel):
            low, high = axis.inside(tap)
            if low < high:
                before: Place = (slice(None),) * dimension
                source = (*before, axis.source(tap, low, high))
                filled[(tap, *before, slice(low, high))] = columns[source]
        columns = filled.reshape(-1, *filled.shape[2:])
    columns.sort(axis=0)
    counts = divisors(axes, False, None)
    ranks = np.floor(quantile * np.maximum(counts - 1, 0)).astype(np.int64)
    found = np.take_along_axis(columns, ranks[np.newaxis, np.newaxis], 0)[0]
    y[:] = np.where(counts == 0, extreme_of_nothing(x.dtype, False), found)
    if holds_nan(x):
        y[np.isnan(columns).any(0)] = np.nan
