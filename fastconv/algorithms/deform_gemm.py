"""Deformable convolution as a matrix multiply over sampled columns, a bounded block at a time.

Half precision is converted a sample at a time, computed in the accumulator, and rounded once.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.dtypes import Array, Dtype
from fastconv.geometry_special import DeformGeometry
from fastconv.lowering.blocks import Box, boxes, largest_box
from fastconv.lowering.deform import Samples
from fastconv.problem import Problem

BLOCK_BYTES = 4 * 2**20
"""What one block of positions of a sample needs in all."""


class DeformGemm:
    """Sample a block of columns, multiply, go on; back by adding to where samples came from."""

    name = "deform_gemm"
    exact = True
    uses_blas = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept every deformable convolution."""
        if problem.operation == "deform_conv":
            return None
        return f"solves deform_conv, not {problem.operation}"

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count one block: columns, what they are sampled with, the product."""
        box = largest_box(problem.conv.out, _positions(problem, limit))
        return _fixed(problem) + box.positions * _each(problem)

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Walk the samples and blocks of positions."""
        (out,), kept = outputs, problem.accumulator
        if any(array is None for array in inputs[:2]):
            return
        inputs = tuple(
            array if array is None or place in problem.in_layout[0] else _like(array, kept)
            for place, array in enumerate(inputs)
        )
        cut = list(boxes(problem.deform.out, _positions(problem, limit)))
        if problem.direction == "weight_gradient":  # the one that all samples add to
            with _summed(out, kept) as sums:
                for n in range(problem.deform.batch):
                    _solve(problem, _sample(problem, inputs, n), sums, cut)
            return
        for n in range(problem.deform.batch):
            with _summed(out[n], kept) as sums:
                _solve(problem, _sample(problem, inputs, n), sums, cut)


def _sample(problem: Problem, inputs: Inputs, n: int) -> list[Array | None]:
    """Return a sample of each array that has samples, as it is multiplied; weights as they are."""
    samples = problem.in_layout[0]  # what has a layout has samples
    return [
        array if array is None or place not in samples else _like(array[n], problem.accumulator)
        for place, array in enumerate(inputs)
    ]


def _like(array: Array, dtype: Dtype) -> Array:
    return np.ascontiguousarray(array, dtype)


@contextmanager
def _summed(out: Array, kept: Dtype) -> Iterator[Array]:
    """Lend zeros to be added to, and round them into `out` if they are not that itself."""
    sums = out if out.dtype == kept else np.empty(out.shape, kept)
    sums[...] = 0
    yield sums
    if sums is not out:
        np.copyto(out, sums, casting="unsafe")


def _solve(problem: Problem, arrays: list[Any], out: Array, cut: list[Box]) -> None:
    """Solve a sample, block by block."""
    *arrays, offset, mask = arrays
    finite = problem.direction == "input_gradient" or bool(np.isfinite(arrays[0]).all())
    for box in cut:
        part = _Part(problem.deform, offset, mask, box, finite)
        _STEPS[problem.direction](part, *arrays, out)


def _each(problem: Problem) -> int:
    """Count the bytes that one position needs."""
    geometry, item = problem.deform, problem.accumulator.itemsize
    sampled = geometry.channels * geometry.taps * (4 * item + 16)
    placed = geometry.taps * (4 * (8 + 3 * item) + 10 * item + 64)
    return sampled + placed + 2 * geometry.out_channels * item


def _fixed(problem: Problem) -> int:
    """Count the bytes that do not depend on positions."""
    geometry, item = problem.deform, problem.accumulator.itemsize
    plane, weight = geometry.channels * geometry.plane, geometry.out_channels * geometry.k
    fixed = 0
    if problem.direction == "input_gradient":
        fixed += plane * (8 + item)
    if problem.direction == "weight_gradient":
        fixed += weight * item
    if not problem.native or problem.layout != "channels_first":  # a sample of all arrays
        moved = 3 * geometry.offset_groups * geometry.taps + geometry.out_channels
        fixed += (plane + moved * geometry.positions) * item
    return fixed if problem.native else fixed + weight * item


def _positions(problem: Problem, limit: int) -> int:
    """Return how many positions a block has, one at least."""
    most = max(0, min(limit, BLOCK_BYTES + _fixed(problem)) - _fixed(problem)) // _each(problem)
    return max(1, min(problem.deform.positions, most))


class _Part:
    """One block of positions of one sample, with its offsets and masks."""

    def __init__(
        self, geometry: DeformGeometry, offset: Array, mask: Array | None, box: Box, finite: bool
    ):
        self.geometry, self.box, self.finite = geometry, box, finite
        self.places = (geometry.offset_groups, geometry.taps)
        flat = offset.reshape(*self.places, 2, geometry.positions)
        self.offset = flat[..., box.flat]
        self.mask = None
        if mask is not None:
            self.mask = mask.reshape(*self.places, geometry.positions)[..., box.flat]

    def groups(self) -> Iterator[tuple[int, slice, Samples]]:
        """Yield offset groups: their number, their channels and where they sample."""
        apart = self.geometry.channels // self.geometry.offset_groups
        for q, offset in enumerate(self.offset):
            samples = Samples.of(offset, self.geometry.axes, self.box.flat)
            yield q, slice(q * apart, (q + 1) * apart), samples

    def columns(self, x: Array) -> Array:
        """Sample a block of columns `(g, k, l)` from x `(C, H, W)`."""
        geometry = self.geometry
        planes = _planes(x)
        columns = np.empty((geometry.channels, geometry.taps, self.box.positions), x.dtype)
        for q, channels, samples in self.groups():
            part = samples.read(planes[channels], samples.shares, self.finite)
            columns[channels] = part if self.mask is None else part * self.mask[q]
        return columns.reshape(geometry.groups, geometry.k, -1)

    def outputs(self, y: Array) -> Array:
        """View the block of y `(C_out, oh, ow)` as `(g, m, l)`."""
        flat = y.reshape(self.geometry.groups, self.geometry.m, self.geometry.positions)
        part: Array = flat[..., self.box.flat]
        return part

    def pulled(self, w: Array, gy: Array) -> Array:
        """Return the gradient of the columns, `(C, taps, l)`."""
        geometry = self.geometry
        flat = w.reshape(geometry.groups, geometry.m, geometry.k)
        gradient = np.matmul(flat.swapaxes(1, 2), self.outputs(gy))
        pulled: Array = gradient.reshape(geometry.channels, geometry.taps, self.box.positions)
        return pulled


def _planes(x: Array) -> Array:
    """View x `(C, H, W)` as planes `(C, H * W)`."""
    return x.reshape(x.shape[0], -1)


def _forward(part: _Part, x: Array, w: Array, b: Array | None, y: Array) -> None:
    geometry = part.geometry
    weight = w.reshape(geometry.groups, geometry.m, geometry.k)
    target = part.outputs(y)
    np.matmul(weight, part.columns(x), target)
    if b is not None:
        target += b.reshape(geometry.groups, geometry.m, 1)


def _input_gradient(part: _Part, w: Array, gy: Array, gx: Array) -> None:
    pulled = part.pulled(w, gy)
    planes = _planes(gx)
    for q, channels, samples in part.groups():
        values = pulled[channels] if part.mask is None else pulled[channels] * part.mask[q]
        samples.add(values, planes[channels])


def _weight_gradient(part: _Part, x: Array, gy: Array, gw: Array) -> None:
    product = np.matmul(part.outputs(gy), part.columns(x).swapaxes(1, 2))
    gw += product.reshape(gw.shape)


def _offset_gradient(part: _Part, x: Array, w: Array, gy: Array, goffset: Array) -> None:
    pulled = part.pulled(w, gy)
    planes = _planes(x)
    flat = goffset.reshape(*part.places, 2, part.geometry.positions)[..., part.box.flat]
    for q, channels, samples in part.groups():
        for k, slopes in enumerate((samples.down, samples.right)):
            sums = (pulled[channels] * samples.read(planes[channels], slopes, part.finite)).sum(0)
            flat[q, :, k] = sums if part.mask is None else sums * part.mask[q]


def _mask_gradient(part: _Part, x: Array, w: Array, gy: Array, gmask: Array) -> None:
    pulled = part.pulled(w, gy)
    planes = _planes(x)
    flat = gmask.reshape(*part.places, part.geometry.positions)[..., part.box.flat]
    for q, channels, samples in part.groups():
        sampled = samples.read(planes[channels], samples.shares, part.finite)
        flat[q] = (pulled[channels] * sampled).sum(0)


_STEPS: dict[str, Callable[..., None]] = {
    "forward": _forward,
    "input_gradient": _input_gradient,
    "weight_gradient": _weight_gradient,
    "offset_gradient": _offset_gradient,
    "mask_gradient": _mask_gradient,
}
