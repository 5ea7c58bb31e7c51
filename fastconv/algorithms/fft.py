"""Convolution by Fourier transforms: for windows so large that direct sums take longer.

The input under a tile of output positions, and the kernel, are transformed, multiplied, summed over
channels, and transformed back (overlap-save). Everything is computed in float64, whatever is given:
transforms mix large values with small ones, and errors relative to the largest must not show in
results of float32.

What is not finite would reach every output of its tile; samples that hold or give any such number
are computed directly instead.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.algorithms.im2col_gemm import Im2colGemm
from fastconv.algorithms.implicit_gemm import ImplicitGemm
from fastconv.dtypes import Array
from fastconv.kernels.pool import cores, share
from fastconv.lowering.fft_tiles import Tiles, choose, seconds, tile_position
from fastconv.lowering.pad import Region
from fastconv.problem import Problem

GAIN = 0.6
"""Taken where the estimated time is less than this part of the direct algorithms'."""
DIRECT_NS = {"float32": 0.014, "float64": 0.028, "complex64": 0.2, "complex128": 0.4}
"""Time of a multiply-add of the direct algorithms on one thread."""
DEPTHWISE_NS = {"float32": 0.04, "float64": 0.08, "complex64": 4.0, "complex128": 4.0}
"""The same where a channel has its own windows, of which vectors hold fewer."""
DEFAULT_SCRATCH = 2**25
"""Bytes that the estimate is made with."""
SERIAL_SECONDS = 3e-4
"""Estimated time below which handing work over costs more than a second thread saves."""
LEAST_TAPS = 16
"""Taps below which not even the estimate is made."""


class Fft:
    """Transforms of tiles."""

    name = "fft"
    errors = 16.0
    """Of the size of what an element may be before its activation, not of what it is."""
    exact = False
    uses_blas = False

    def rejects(self, problem: Problem) -> str | None:
        """Accept convolutions forward of floating-point numbers that NumPy transforms."""
        if (problem.operation, problem.direction) != ("conv", "forward"):
            return f"solves conv forward, not {problem.operation} {problem.direction}"
        if not problem.native or problem.dtype.name not in DIRECT_NS:
            return (
                f"transforms floating-point numbers summed in their own dtype, not {problem.dtype}"
            )
        return None

    def declines(self, problem: Problem, precision: str) -> str | None:
        """Leave to direct algorithms what they compute faster."""
        if not self.only_slow(problem, precision):
            return "errors are relative to the largest element near by; precision is high"
        if not problem.flops:
            return "there is nothing to compute"
        if problem.conv.taps < LEAST_TAPS:
            return f"windows of {problem.conv.taps} taps are summed faster"
        tiles = _tiles(problem, DEFAULT_SCRATCH)
        part = seconds(problem.conv, tiles) / direct_seconds(problem)
        return None if part < GAIN else f"transforms would take {part:.2g} of the time"

    def only_slow(self, problem: Problem, precision: str) -> bool:
        """Return whether errors are small enough."""
        single = problem.dtype.itemsize <= 4 * (1 + (problem.dtype.kind == "c"))
        return single or precision == "fast"

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count a block of weights, and a tile for each thread."""
        tiles = _tiles(problem, limit)
        needed = tiles.weight_bytes + tiles.tile_bytes * _threads(tiles, problem, limit, cores())
        return max(needed, Im2colGemm().scratch(_of_one(problem), limit))

    def takes_views(self, problem: Problem) -> bool:
        """Tiles are cut from any strides and written to any."""
        return True

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Share the tiles of all samples between threads, for one block of weights at a time."""
        x, w, b = inputs
        (y,) = outputs
        directly = [not _finite(w)] * len(x)
        if _finite(w):
            directly = [not _finite(sample) for sample in x]
            tiles = _tiles(problem, limit)
            samples = [n for n, direct in enumerate(directly) if not direct]
            run = _Run(problem, tiles, x, y, samples)
            for groups, channels in _blocks(problem, tiles):
                block = _Block(run, w, b, groups, channels)
                items = len(samples) * tiles.count
                share(block.tiles, (), items, _threads(tiles, problem, limit, threads))
            for n in samples:  # numbers so large that their transforms are infinite
                directly[n] = not _finite(y[n])
        for n, direct in enumerate(directly):
            if direct:
                sample = slice(n, n + 1)
                _directly(_of_one(problem), (x[sample], w, b), y[sample], limit, threads)


def direct_seconds(problem: Problem) -> float:
    """Estimate the time of the best direct algorithm by one thread."""
    geometry = problem.conv
    each = DEPTHWISE_NS if geometry.channels == geometry.groups else DIRECT_NS
    return geometry.multiply_adds * each[problem.dtype.name] * 1e-9


class _Run:
    """One call: what all its blocks share."""

    def __init__(
        self, problem: Problem, tiles: Tiles, x: Array, y: Array, samples: list[int]
    ) -> None:
        self.problem, self.tiles, self.x, self.y, self.samples = problem, tiles, x, y, samples
        self.axes = tuple(range(-problem.conv.rank, 0))
        self.working = np.dtype(np.complex128 if tiles.parts == 2 else np.float64)
        self.there, self.back = _transforms(tiles.parts)
        self.inputs = tiles.inputs
        self.sizes = tuple(axis.size for axis in tiles.axes)

    def padded(self, array: Array, places: tuple[slice, ...]) -> Array:
        """Return arrays in the corner of others of the transform's size, with zeros behind."""
        whole = np.zeros((*array.shape[: -len(places)], *self.tiles.lengths), self.working)
        corner: tuple[Any, ...] = (..., *places)
        whole[corner] = array
        return whole


class _Block:
    """The weights of some groups, or of some output channels of one, transformed."""

    def __init__(
        self, run: _Run, w: Array, bias: Array | None, groups: slice, channels: slice
    ) -> None:
        geometry, self._run = run.problem.conv, run
        self._inputs = slice(groups.start * run.inputs, groups.stop * run.inputs)
        m = geometry.m
        by_group = w.reshape(geometry.groups, m, run.inputs, *geometry.kernel)
        self._outputs = slice(
            groups.start * m + channels.start, (groups.stop - 1) * m + channels.stop
        )
        self._bias = None if bias is None else bias[self._outputs]
        taps = tuple(slice(0, axis.extent, axis.dilation) for axis in geometry.axes)
        chosen = by_group[groups, channels]
        shape = (*chosen.shape[:3], *run.tiles.spectrum)
        self._weight = np.empty(shape, np.complex128)  # (groups, m, ic, *frequencies)
        for weight, transformed in zip(chosen, self._weight, strict=True):
            whole = run.padded(weight.conj(), taps)
            np.conj(run.there(whole, axes=run.axes), out=transformed)

    def tiles(self, first: int, last: int) -> None:
        """Compute some tiles of the samples."""
        run, count = self._run, self._run.tiles.count
        for item in range(first, last):
            sample, ranges = run.samples[item // count], tile_position(run.tiles, item % count)
            x = self._transformed(run.x[sample : sample + 1, self._inputs], ranges)
            total = self._products(x)
            values = run.back(total, s=run.tiles.lengths, axes=run.axes)
            strides = zip(ranges, run.tiles.axes, strict=True)
            kept = [slice(0, (b - a) * axis.stride, axis.stride) for (a, b), axis in strides]
            whole: tuple[Any, ...] = (slice(None), *kept)
            values = values.reshape(-1, *run.tiles.lengths)[whole]  # (gm, *out)
            if self._bias is not None:
                values = values + self._bias.reshape(-1, *(1,) * len(kept))
            place: tuple[Any, ...] = (sample, self._outputs, *(slice(*each) for each in ranges))
            run.y[place] = values

    def _transformed(self, x: Array, ranges: tuple[tuple[int, int], ...]) -> Array:
        """Return the transform of what a tile reads: (groups, ic, *frequencies)."""
        run = self._run
        starts, lengths = [], []
        for axis, (start, stop) in zip(run.tiles.axes, ranges, strict=True):
            starts.append(start * axis.stride - axis.before)
            lengths.append((stop - start - 1) * axis.stride + axis.extent)
        region = Region.of(run.sizes, tuple(starts), tuple(lengths))
        source = x[0][(slice(None), *region.inside)]
        whole = run.there(run.padded(source, region.places), axes=run.axes)
        return whole.reshape(-1, run.inputs, *whole.shape[1:])

    def _products(self, x: Array) -> Array:
        """Return the sums over channels, one after the other: (groups, m, *frequencies)."""
        total: Array = x[:, :1] * self._weight[:, :, 0]
        product = np.empty_like(total)
        for c in range(1, self._run.inputs):
            np.multiply(x[:, c : c + 1], self._weight[:, :, c], out=product)
            total += product
        return total


def _blocks(problem: Problem, tiles: Tiles) -> list[tuple[slice, slice]]:
    """Return the groups and the output channels of each block."""
    geometry = problem.conv
    return [
        (
            slice(g, min(geometry.groups, g + tiles.groups)),
            slice(m, min(geometry.m, m + tiles.outputs)),
        )
        for g in range(0, geometry.groups, tiles.groups)
        for m in range(0, geometry.m, tiles.outputs)
    ]


def _directly(problem: Problem, inputs: Inputs, y: Array, limit: int, threads: int) -> None:
    """Compute a sample that transforms would spoil."""
    direct = ImplicitGemm()
    arrays = y.flags.c_contiguous and direct.rejects(problem) is None
    if arrays and direct.scratch(problem, limit) <= limit:
        direct.run(problem, inputs, (y,), limit, threads)
    else:
        Im2colGemm().run(problem, inputs, (y,), limit, threads)


def _of_one(problem: Problem) -> Problem:
    """Return the problem of one sample, without what is done after it."""
    geometry = replace(problem.conv, batch=1)
    return replace(problem, geometry=geometry, activation=None, layout="channels_first")


def _finite(array: Array) -> bool:
    """Return whether there is no infinity and no NaN; nothing is copied for it."""
    if not array.size:
        return True
    parts = (array.real, array.imag) if array.dtype.kind == "c" else (array,)
    return all(bool(np.isfinite(part.min()) and np.isfinite(part.max())) for part in parts)


@lru_cache(maxsize=512)
def _tiles(problem: Problem, limit: int) -> Tiles:
    return choose(problem.conv, 2 if problem.dtype.kind == "c" else 1, limit)


def _threads(tiles: Tiles, problem: Problem, limit: int, wanted: int) -> int:
    """Return how many threads have a tile at a time."""
    if seconds(problem.conv, tiles) < SERIAL_SECONDS:
        return 1
    room = (limit - tiles.weight_bytes) // tiles.tile_bytes
    return max(1, min(wanted, tiles.count * problem.conv.batch, room))


@cache
def _transforms(parts: int) -> tuple[Callable[..., Array], Callable[..., Array]]:
    """Return the transforms there and back, of complex numbers or of real ones."""
    names = ("fftn", "ifftn") if parts == 2 else ("rfftn", "irfftn")
    if importlib.util.find_spec("scipy") is None:
        return getattr(np.fft, names[0]), getattr(np.fft, names[1])
    import scipy.fft

    there, back = (partial(getattr(scipy.fft, name), workers=1) for name in names)
    return there, back
