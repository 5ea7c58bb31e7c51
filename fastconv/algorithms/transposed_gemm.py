"""Transposed convolution whose kernel is a multiple of its stride, as in U-Net and DCGAN.

Then every element of the result is a sum of equally many taps, and those that a stride holds read
the same positions. So they are computed together, as if they were output channels, by the tiles of
`implicit_gemm`, and put beside each other in registers (`kernels.tile`): the result is written once
and in whole vectors. So it is along the last axis; along the others it is one forward problem for
each phase (`lowering.turned`), which writes rows a stride apart.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from fastconv import memory
from fastconv.activations import activate
from fastconv.algorithms.algorithm import Inputs, Outputs, Packed, PackedPhases
from fastconv.algorithms.channel_vectors import FEWEST_TERMS, issued_columns
from fastconv.algorithms.implicit_gemm import (
    CHUNK_BYTES,
    MOST_AXES,
    STREAM_BYTES,
    Engine,
    engine_of,
    issued_vectors,
    threads_now,
)
from fastconv.algorithms.numba_here import refusal
from fastconv.algorithms.turned_forward import TURNED_WINOGRADS, forward_phases
from fastconv.dtypes import Array, ready
from fastconv.geometry import Axis, ConvGeometry
from fastconv.kernels.pool import share
from fastconv.lowering.taps import Target
from fastconv.lowering.turned import PhaseAxis, phase_axes, rows_of
from fastconv.lowering.weights import terms_of
from fastconv.problem import Problem

STEPS = (2, 4)
"""Strides that rows of a tile are divided by."""
FEWEST_POSITIONS = 8
"""Positions of a plane below which vectors would be all but empty."""
SHORT_ROWS_COST = 1.2
"""Times the vectors of all phases, one by one, up to which to write a row once saves more."""
FUSED = (None, "relu", "relu6", "leaky_relu")


class TransposedGemm:
    """Tiles of output channels and the elements of a stride, by positions."""

    name = "transposed_gemm"
    exact = True
    uses_blas = False
    compiled = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept strides of 2 and 4 along the last axis that the kernel is a multiple of."""
        reason = refusal(problem, MOST_AXES, "input_gradient")
        if reason is not None:
            return reason
        conv, axis = problem.conv, problem.conv.axes[-1]
        if problem.layout != "channels_first":
            return "layout is channels_last"
        if axis.stride not in STEPS:
            return f"stride {axis.stride} of the last axis is none of {STEPS}"
        if axis.dilation != 1 or axis.kernel % axis.stride:
            return f"{axis.kernel} taps, {axis.dilation} apart, at a stride of {axis.stride}"
        if conv.channels == conv.groups:
            return "one channel per group leaves nothing to multiply"
        if problem.activation not in FUSED:
            return f"{problem.activation} is not applied in registers"
        if conv.positions < FEWEST_POSITIONS:
            return f"{conv.positions} positions would leave vectors all but empty"
        return None

    def declines_packed(self, problem: Problem, precision: str) -> str | None:
        """Return which way takes less time where weights are packed already.

        Phases of the last axis that are solved one by one have no position in common beyond a row,
        and may be transformed.
        """
        for algorithm in TURNED_WINOGRADS:
            accepts = algorithm.rejects(problem) is None
            if accepts and algorithm.declines(problem, precision) is None:
                return f"{algorithm.name} takes less time"
        ours = sum(phase.vectors for phase in _phases(problem))
        theirs = sum(map(_one_by_one, forward_phases(problem)))
        if ours > SHORT_ROWS_COST * theirs:
            return f"phase by phase it takes {theirs / ours:.2f} of the time"
        return None

    def fuses_activation(self, problem: Problem) -> bool:
        """Return True: tiles end in it."""
        return True

    def adds_bias(self, problem: Problem) -> bool:
        """Return True: sums start from it."""
        return True

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count the copied gradient of one sample or more, and the weights of a chunk."""
        itemsize = problem.dtype.itemsize
        phases = _phases(problem)
        if not phases:
            return 0
        chunk = math.prod(_chunk(problem)) * max(phase.elements for phase in phases)
        bias = sum(
            problem.conv.groups * phase.engine.panels * phase.engine.rows for phase in phases
        )
        return (_samples(problem, limit) * _copied(phases) + chunk + bias) * itemsize

    def pack(self, problem: Problem, weight: Array, bias: Array | None) -> Packed:
        """Return weight and bias as the tiles read them, to be used by any number of runs."""
        parts = []
        for phase in _phases(problem):
            whole = ((0, problem.conv.groups), (0, phase.engine.panels))
            size = problem.conv.groups * phase.engine.panels * phase.elements
            parts.append(np.empty(size, problem.dtype))
            phase.pack(_turned(weight, problem.conv), *whole, parts[-1], 1)
        panels = np.concatenate(parts) if parts else np.empty(0, problem.dtype)
        flat = np.zeros(problem.conv.channels, problem.dtype) if bias is None else ready(bias)
        biases = tuple(
            Packed(weight, flat, phase.bias(flat, problem), ()) for phase in _phases(problem)
        )
        rows = tuple(phase.engine.rows for phase in _phases(problem))
        return PackedPhases(weight, panels, flat, (problem.dtype, rows), biases)

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Walk chunks of samples, and of each the phases."""
        w, gy, *rest = inputs
        (gx,) = outputs
        conv = problem.conv
        if not conv.batch or w is None or gy is None:
            return
        bias = w.bias if isinstance(w, Packed) else rest[0] if rest else None
        _fill_untouched(problem, gx, bias)
        phases, samples = _phases(problem), _samples(problem, limit)
        if gy.flags.carray and not any(phase.engine.copies for phase in phases):
            samples = conv.batch
        threads = threads_now(problem, threads)
        flat, per_sample = gx.reshape(-1), conv.channels * conv.plane
        if isinstance(w, PackedPhases):
            biases = [packed.bias for packed in w.phases if packed is not None]
        else:
            biases = [phase.bias(bias, problem) for phase in phases]
        # phases whose images are of one size share them
        engines = {phase.engine.image.sizes: phase.engine for phase in phases}
        readers = {sizes: engine.reader(gy, samples, threads) for sizes, engine in engines.items()}
        for start in range(0, conv.batch, samples):
            count = min(samples, conv.batch - start)
            part = gy[start : start + count]
            images = {sizes: read(part) for sizes, read in readers.items()}
            target = flat[start * per_sample : (start + count) * per_sample]
            for groups, panels, number, packed in _weights(problem, w, threads):
                engine = phases[number].engine
                arrays = (images[engine.image.sizes], packed, biases[number], target)
                engine.run(count, groups, panels, arrays, threads)


@dataclass(frozen=True)
class _Phase:
    """The phase of all axes but the last."""

    engine: Engine
    taps: tuple[slice, ...]
    forward: Problem

    @property
    def elements(self) -> int:
        """Elements of the packed weights of a panel."""
        return self.engine.panel_elements

    @property
    def vectors(self) -> float:
        """Vectors multiplied for a group of one sample."""
        return issued_vectors(self.forward, self.engine.step) * self.engine.geometry.k

    @property
    def sample(self) -> int:
        """Elements of a sample's copy, if it is copied."""
        engine = self.engine
        return engine.geometry.channels * engine.image.elements if engine.copies else 0

    @cached_property
    def units(self) -> Array:
        """Where the taps of each channel go, the last axis in the weight's order."""
        step, kernel = self.engine.step, self.engine.geometry.kernel[-1]
        units = self.engine.units.reshape(-1, kernel)[:, ::-1, np.newaxis] * step
        return (units + np.arange(step)).reshape(-1)  # (channels * outer taps * kernel * step,)

    def pack(
        self,
        turned: Array,
        groups: tuple[int, int],
        panels: tuple[int, int],
        packed: Array,
        threads: int,
    ) -> None:
        """Pack some panels of some groups of a weight (g, C // g, C_out // g, *kernel)."""
        geometry = self.engine.geometry
        part = turned[(slice(None), slice(None), slice(None), *self.taps)]
        terms = terms_of(part, geometry.groups, geometry.rank)
        count = panels[1] - panels[0]
        place = (groups[0], panels[0], count, geometry.m, geometry.k)
        arrays = (terms.flat, packed, terms.places(self.units), terms.steps, place)
        share(self.engine.pack_panels, arrays, (groups[1] - groups[0]) * count, threads)

    def bias(self, bias: Array | None, problem: Problem) -> Array:
        """Return the bias as (groups, panels, step, channels of a panel), zeros at the end."""
        engine, conv = self.engine, problem.conv
        m, height = conv.channels // conv.groups, engine.rows // engine.step
        padded = np.zeros((conv.groups, engine.panels * height), problem.dtype)
        if bias is not None:
            padded[:, :m] = bias.reshape(conv.groups, m)
        shape = (conv.groups, engine.panels, 1, height)
        return np.repeat(padded.reshape(shape), engine.step, axis=2).reshape(-1)


@lru_cache(maxsize=512)
def _phases(problem: Problem) -> tuple[_Phase, ...]:
    """Return the phases that have taps."""
    outer = itertools.product(*map(phase_axes, problem.conv.axes[:-1]))
    return tuple(_phase(problem, axes) for axes in outer if all(axis.axis for axis in axes))


def _phase(problem: Problem, outer: tuple[PhaseAxis, ...]) -> _Phase:
    conv, last = problem.conv, problem.conv.axes[-1]
    step, taps = last.stride, last.kernel // last.stride
    lowest = last.before // step
    count = (last.size - 1 + last.before) // step - lowest + 1
    before = taps - 1 - lowest
    after = count - 1 + taps - before - last.out
    axis = Axis(last.out, taps, 1, 1, before, after, count)
    axes = (*(phase.axis for phase in outer if phase.axis is not None), axis)
    geometry = ConvGeometry(
        conv.batch, conv.out_channels, axes, out_channels=conv.channels, groups=conv.groups
    )
    forward = Problem("conv", "forward", geometry, problem.dtype, activation=problem.activation)
    target = Target(last.size, step, lowest * step - last.before, rows_of(conv.sizes, outer))
    slices = (*(phase.tap_slice for phase in outer), slice(None))
    streams = conv.batch * conv.channels * conv.plane * problem.dtype.itemsize >= STREAM_BYTES
    return _Phase(engine_of(forward, target, conv.plane, streams), slices, forward)


def _one_by_one(phase: Problem) -> float:
    """Return the vectors multiplied for a group of one sample of a phase that is solved alone."""
    issued = issued_vectors(phase)
    if phase.conv.k >= FEWEST_TERMS:
        issued = min(issued, issued_columns(phase))
    return issued * phase.conv.k


def _fill_untouched(problem: Problem, gx: Array, bias: Array | None) -> None:
    """Write what a sum without terms is, the bias, to phases without taps."""
    for elements in _untouched(problem):
        ones = (1,) * problem.conv.rank
        value = np.zeros(problem.conv.channels, gx.dtype) if bias is None else bias.copy()
        if problem.activation is not None:
            activate(problem.activation, value)
        gx[(slice(None), slice(None), *elements)] = value.reshape(-1, *ones)


@lru_cache(maxsize=512)
def _untouched(problem: Problem) -> tuple[tuple[slice, ...], ...]:
    """Return the elements, along all axes but the last, of the phases without taps."""
    outer = itertools.product(*map(phase_axes, problem.conv.axes[:-1]))
    return tuple(
        tuple(axis.elements for axis in axes)
        for axes in outer
        if not all(axis.axis for axis in axes)
    )


def _chunk(problem: Problem) -> tuple[int, int]:
    """Return the groups, and the panels of each, that are packed at a time."""
    phases = _phases(problem)
    largest = max(phase.elements for phase in phases) * problem.dtype.itemsize
    panels, most = phases[0].engine.panels, CHUNK_BYTES // largest
    return max(1, min(problem.conv.groups, most // panels)), max(1, min(panels, most))


def _weights(
    problem: Problem, w: Array | Packed, threads: int
) -> Iterator[tuple[tuple[int, int], tuple[int, int], int, Array]]:
    """Yield ranges of groups and panels, the number of a phase, and its packed weights.

    The phases follow each other for every range: what one leaves of the weight's cache lines is in
    the cache for the next.
    """
    phases, groups = _phases(problem), problem.conv.groups
    if isinstance(w, Packed):
        first = 0
        for number, phase in enumerate(phases):
            yield (0, groups), (0, phase.engine.panels), number, w.panels[first:]
            first += groups * phase.engine.panels * phase.elements
        return
    if not phases:
        return
    turned, (most_groups, most) = _turned(w, problem.conv), _chunk(problem)
    largest = max(phase.elements for phase in phases)
    buffer = memory.empty((most_groups * most * largest,), w.dtype)
    for group in range(0, groups, most_groups):
        some = (group, min(groups, group + most_groups))
        for panel in range(0, phases[0].engine.panels, most):
            part = (panel, min(phases[0].engine.panels, panel + most))
            for number, phase in enumerate(phases):
                phase.pack(turned, some, part, buffer, threads)
                yield some, part, number, buffer


def _samples(problem: Problem, limit: int) -> int:
    """Return how many samples are copied at a time."""
    room = (limit - CHUNK_BYTES) // max(1, _copied(_phases(problem)) * problem.dtype.itemsize)
    return max(1, min(problem.conv.batch, room))


def _copied(phases: tuple[_Phase, ...]) -> int:
    """Return the elements of a sample's copies."""
    return sum({phase.engine.image.sizes: phase.sample for phase in phases}.values())


def _turned(w: Array, conv: ConvGeometry) -> Array:
    """View the weight (C_out, C // g, *kernel) as (g, C // g, C_out // g, *kernel)."""
    return ready(w).reshape(conv.groups, conv.m, *w.shape[1:]).swapaxes(1, 2)
