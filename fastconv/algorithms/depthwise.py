"""Few channels per group: scale and add shifted planes, tap by tap.

A matrix multiply with one row reads its columns once for one multiply-add each, so copying them
costs more than the arithmetic. Here a tap is a strided slice of the input, a scalar per channel
and an addition, on as many planes at a time as the cache holds.
"""

import itertools

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.dtypes import Array
from fastconv.geometry import ConvGeometry
from fastconv.problem import Problem

BLOCK_BYTES = 256 * 2**10
"""Output and product of one block of planes."""


class Depthwise:
    """One input channel per group: the sum over taps of slices times scalars."""

    name = "depthwise"
    exact = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept groups of one input and one output channel."""
        if problem.operation != "conv":
            return f"solves conv, not {problem.operation}"
        geometry = problem.conv
        if geometry.groups == 1 or geometry.m != 1 or geometry.channels != geometry.groups:
            return f"{geometry.channels} channels in {geometry.groups} groups is not one per group"
        return None

    def scratch(self, problem: Problem, limit: int) -> int:
        """The product of one tap for a block of planes."""
        geometry = problem.conv
        return _planes(geometry, problem, limit) * geometry.positions * problem.dtype.itemsize

    def run(self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int) -> None:
        """Walk blocks of channels of each sample."""
        geometry = problem.conv
        first, second, *rest = inputs
        (out,) = outputs
        if first is None or second is None:
            return
        if problem.direction != "forward":
            out[:] = 0
        step = _planes(geometry, problem, limit)
        for sample in range(geometry.batch):
            for start in range(0, geometry.channels, step):
                part = slice(start, start + step)
                if problem.direction == "forward":
                    bias = None if rest[0] is None else rest[0][part]
                    _forward(geometry, first[sample, part], second[part], bias, out[sample, part])
                elif problem.direction == "input_gradient":
                    _input_gradient(geometry, out[sample, part], first[part], second[sample, part])
                else:
                    _weight_gradient(geometry, first[sample, part], out[part], second[sample, part])


def _planes(geometry: ConvGeometry, problem: Problem, limit: int) -> int:
    plane = geometry.positions * problem.dtype.itemsize
    return min(geometry.channels, max(1, min(BLOCK_BYTES, limit) // plane))


def _taps(
    geometry: ConvGeometry,
) -> list[tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]]:
    """List (tap, its slice of the input, its slice of the output) for taps that meet the input."""
    found = []
    for tap in itertools.product(*(range(size) for size in geometry.kernel)):
        ranges = [axis.inside(index) for axis, index in zip(geometry.axes, tap, strict=True)]
        if all(low < high for low, high in ranges):
            sources = tuple(
                axis.source(index, *bounds)
                for axis, index, bounds in zip(geometry.axes, tap, ranges, strict=True)
            )
            found.append((tap, sources, tuple(slice(low, high) for low, high in ranges)))
    return found


def _forward(geometry: ConvGeometry, x: Array, w: Array, b: Array | None, y: Array) -> None:
    scalar = (-1, *(1,) * geometry.rank)
    y[:] = 0 if b is None else b.reshape(scalar)
    product = np.empty_like(y)
    for tap, source, place in _taps(geometry):
        part = product[(slice(None), *place)]
        np.multiply(x[(slice(None), *source)], w[(slice(None), 0, *tap)].reshape(scalar), out=part)
        y[(slice(None), *place)] += part


def _input_gradient(geometry: ConvGeometry, gx: Array, w: Array, gy: Array) -> None:
    scalar = (-1, *(1,) * geometry.rank)
    product = np.empty_like(gy)
    for tap, source, place in _taps(geometry):
        part = product[(slice(None), *place)]
        np.multiply(gy[(slice(None), *place)], w[(slice(None), 0, *tap)].reshape(scalar), out=part)
        gx[(slice(None), *source)] += part


def _weight_gradient(geometry: ConvGeometry, x: Array, gw: Array, gy: Array) -> None:
    product = np.empty_like(gy)
    spatial = tuple(range(1, gy.ndim))
    for tap, source, place in _taps(geometry):
        part = product[(slice(None), *place)]
        np.multiply(x[(slice(None), *source)], gy[(slice(None), *place)], out=part)
        gw[(slice(None), 0, *tap)] += part.sum(axis=spatial)
