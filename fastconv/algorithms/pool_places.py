"""Values moved to and from flat places of planes: gradients of max pools, and their undoing."""

import math

import numpy as np

from fastconv.dtypes import Array
from fastconv.problem import Problem


def scatter(problem: Problem, inputs: list[Array], outputs: list[Array]) -> None:
    """Add values at places."""
    values, indices = inputs
    planes = outputs[0]
    flat, weights = _kept(values, indices, planes)
    if planes.dtype.kind == "f":  # sums in float64, rounded once
        planes[:] = np.bincount(flat, weights, planes.size).reshape(planes.shape)
        return
    sums = np.zeros(planes.size, planes.dtype)
    np.add.at(sums, flat, weights)
    planes[:] = sums.reshape(planes.shape)


def unpool(problem: Problem, inputs: list[Array], outputs: list[Array]) -> None:
    """Put values at places; of several for one place the last stays, as NumPy says of its own."""
    values, indices = inputs
    planes = outputs[0]
    flat, kept = _kept(values, indices, planes)
    filled = np.zeros(planes.size, planes.dtype)
    filled[flat] = kept
    planes[:] = filled.reshape(planes.shape)


def gather(problem: Problem, inputs: list[Array], outputs: list[Array]) -> None:
    """Take values from places; 0 from -1."""
    planes, indices = inputs
    values = outputs[0]
    count = values.shape[0]
    rows = planes.reshape(count, math.prod(planes.shape[1:]))
    places = indices.reshape(count, math.prod(indices.shape[1:]))
    found = np.take_along_axis(rows, np.maximum(places, 0), 1)
    found[places < 0] = 0
    values[:] = found.reshape(values.shape)


def _kept(values: Array, indices: Array, planes: Array) -> tuple[Array, Array]:
    """Return flat places in all planes together, and their values, without those at -1."""
    count, size = planes.shape[0], math.prod(planes.shape[1:])
    flat = indices + np.arange(count).reshape(count, *(1,) * (indices.ndim - 1)) * size
    if (indices < 0).any():
        kept = indices >= 0
        return flat[kept], values[kept]
    return flat.ravel(), values.ravel()
