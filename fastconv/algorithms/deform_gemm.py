"""Deformable convolution as a matrix multiply over sampled columns, a bounded block at a time."""

from collections.abc import Callable, Iterator

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.dtypes import Array
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
        geometry, (out,) = problem.deform, outputs
        if any(array is None for array in inputs[:2]):
            return
        if problem.direction != "forward":
            out[:] = 0
        *arrays, offset, mask = inputs
        step = _STEPS[problem.direction]
        cut = list(boxes(geometry.out, _positions(problem, limit)))
        for n in range(geometry.batch):
            parts = [_Part(geometry, offset[n], None if mask is None else mask[n], b) for b in cut]
            for part in parts:
                step(part, n, *arrays, out)


def _each(problem: Problem) -> int:
    """Count the bytes that one position needs."""
    geometry, item = problem.deform, problem.dtype.itemsize
    sampled = geometry.channels * geometry.taps * (4 * item + 16)
    placed = geometry.taps * (4 * (8 + 3 * item) + 10 * item + 64)
    return sampled + placed + 2 * geometry.out_channels * item


def _fixed(problem: Problem) -> int:
    """Count the bytes that do not depend on positions."""
    geometry = problem.deform
    if problem.direction == "input_gradient":
        return geometry.channels * geometry.plane * (8 + problem.dtype.itemsize)
    if problem.direction == "weight_gradient":
        return geometry.out_channels * geometry.k * problem.dtype.itemsize
    return 0


def _positions(problem: Problem, limit: int) -> int:
    """Return how many positions a block has, one at least."""
    most = max(0, min(limit, BLOCK_BYTES + _fixed(problem)) - _fixed(problem)) // _each(problem)
    return max(1, min(problem.deform.positions, most))


class _Part:
    """One block of positions of one sample, with its offsets and masks."""

    def __init__(self, geometry: DeformGeometry, offset: Array, mask: Array | None, box: Box):
        self.geometry, self.box = geometry, box
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
        planes, finite = _planes(x)
        columns = np.empty((geometry.channels, geometry.taps, self.box.positions), x.dtype)
        for q, channels, samples in self.groups():
            part = samples.read(planes[channels], samples.shares, finite)
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


def _planes(x: Array) -> tuple[Array, bool]:
    """View x `(C, H, W)` as planes, and say whether all of it is finite."""
    return x.reshape(x.shape[0], -1), bool(np.isfinite(x).all())


def _forward(part: _Part, n: int, x: Array, w: Array, b: Array | None, y: Array) -> None:
    geometry = part.geometry
    weight = w.reshape(geometry.groups, geometry.m, geometry.k)
    target = part.outputs(y[n])
    np.matmul(weight, part.columns(x[n]), target)
    if b is not None:
        target += b.reshape(geometry.groups, geometry.m, 1)


def _input_gradient(part: _Part, n: int, w: Array, gy: Array, gx: Array) -> None:
    pulled = part.pulled(w, gy[n])
    planes, _ = _planes(gx[n])
    for q, channels, samples in part.groups():
        values = pulled[channels] if part.mask is None else pulled[channels] * part.mask[q]
        samples.add(values, planes[channels])


def _weight_gradient(part: _Part, n: int, x: Array, gy: Array, gw: Array) -> None:
    product = np.matmul(part.outputs(gy[n]), part.columns(x[n]).swapaxes(1, 2))
    gw += product.reshape(gw.shape)


def _offset_gradient(part: _Part, n: int, x: Array, w: Array, gy: Array, goffset: Array) -> None:
    pulled = part.pulled(w, gy[n])
    planes, finite = _planes(x[n])
    flat = goffset[n].reshape(*part.places, 2, part.geometry.positions)[..., part.box.flat]
    for q, channels, samples in part.groups():
        for k, slopes in enumerate((samples.down, samples.right)):
            sums = (pulled[channels] * samples.read(planes[channels], slopes, finite)).sum(0)
            flat[q, :, k] = sums if part.mask is None else sums * part.mask[q]


def _mask_gradient(part: _Part, n: int, x: Array, w: Array, gy: Array, gmask: Array) -> None:
    pulled = part.pulled(w, gy[n])
    planes, finite = _planes(x[n])
    flat = gmask[n].reshape(*part.places, part.geometry.positions)[..., part.box.flat]
    for q, channels, samples in part.groups():
        sampled = samples.read(planes[channels], samples.shares, finite)
        flat[q] = (pulled[channels] * sampled).sum(0)


_STEPS: dict[str, Callable[..., None]] = {
    "forward": _forward,
    "input_gradient": _input_gradient,
    "weight_gradient": _weight_gradient,
    "offset_gradient": _offset_gradient,
    "mask_gradient": _mask_gradient,
}
