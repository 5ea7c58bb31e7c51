"""The gradient of a convolution's input, and so transposed convolution, by forward algorithms.

The gradient of an input is a convolution of the output's gradient with the taps in reverse and
input and output channels exchanged (`lowering.turned`). With strides it is one for each phase of
the input, written to elements a stride apart. No zeros are put in between, so none is multiplied.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from math import prod
from typing import Any

import numpy as np

from fastconv import memory
from fastconv.activations import activate
from fastconv.algorithms.algorithm import Algorithm, Inputs, Outputs, Packed, PackedPhases
from fastconv.algorithms.winograd import WINOGRADS
from fastconv.dtypes import Array, ready
from fastconv.geometry import Axis, ConvGeometry
from fastconv.kernels.pool import share
from fastconv.lowering.turned import PhaseAxis, phase_axes, rows_of
from fastconv.problem import Problem

SERIAL_ELEMENTS = 2**17
"""Results below which handing it over costs more than a second thread saves."""


class TurnedForward:
    """Solve each phase by the first forward algorithm that does not refuse."""

    uses_blas = False
    compiled = True

    def __init__(
        self, forward: tuple[Algorithm, ...], name: str = "turned_forward", exact: bool = True
    ) -> None:
        self._forward = forward
        self.name = name
        self.exact = exact
        self.errors = max(float(getattr(each, "errors", 1)) for each in forward)

    def rejects(self, problem: Problem) -> str | None:
        """Accept what a forward algorithm accepts of every phase."""
        if problem.operation != "conv" or problem.direction != "input_gradient":
            return f"solves conv input_gradient, not {problem.operation} {problem.direction}"
        if problem.not_compiled is not None:
            return problem.not_compiled
        if all(map(_one_window, problem.conv.axes)):
            return "one window is the weight as it lies in memory: there is nothing to turn"
        for phase in _phases(problem):
            if phase.forward is not None and _solver(phase.forward, self._forward) is None:
                reasons = (f"{each.name}: {each.rejects(phase.forward)}" for each in self._forward)
                return f"'{phase.forward}': {'; '.join(reasons)}"
        return None

    def declines(self, problem: Problem, precision: str) -> str | None:
        """Return why an algorithm of a phase would not be taken by itself."""
        for phase in _phases(problem):
            if phase.forward is not None:
                declines = getattr(self._solver(phase.forward), "declines", None)
                reason: str | None = declines and declines(phase.forward, precision)
                if reason is not None:
                    return reason
        return None

    def fuses_activation(self, problem: Problem) -> bool:
        """Return True: forward algorithms do."""
        return True

    def adds_bias(self, problem: Problem) -> bool:
        """Return True: forward algorithms do."""
        return True

    def takes_views(self, problem: Problem) -> bool:
        """Return True: channels-last arrays are given to algorithms for such as they lie."""
        return True

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count the largest phases of one sample or more, and what their algorithms need."""
        needed = 0
        for phases in _together(problem):
            own = self._copied(phases, self._samples(phases, limit))
            rest = max(0, limit - own)
            for phase in phases:
                if phase.forward is not None:
                    inner = self._solver(phase.forward).scratch(phase.forward, rest)
                    needed = max(needed, own + inner)
        return needed

    def pack(self, problem: Problem, weight: Array, bias: Array | None) -> Packed:
        """Return what the phases' algorithms read, to be used by any number of runs."""
        turned = _turned(weight, problem.conv)
        flat = np.zeros(problem.conv.channels, problem.dtype) if bias is None else ready(bias)
        found, keys = [], []
        for phase in _phases(problem):
            packed = None
            if phase.forward is not None:
                solver: Any = self._solver(phase.forward)
                packed = solver.pack(phase.forward, _weight(turned, phase), flat)
                keys.append((tuple(axis.taps for axis in phase.axes), solver.name, packed.key))
            found.append(packed)
        return PackedPhases(weight, flat, flat, (problem.dtype, *keys), tuple(found))

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Solve one phase after the other."""
        w, gy, *rest = inputs
        (gx,) = outputs
        if not problem.conv.batch or w is None or gy is None:
            return
        bias = rest[0] if rest else None
        weights: Callable[[_Phase], Any]
        if isinstance(w, PackedPhases):
            bias, weights = w.bias, dict(zip(_phases(problem), w.phases, strict=True)).__getitem__
        else:
            weights = partial(_weight, _turned(w, problem.conv))
        for phases in _together(problem):
            samples = self._samples(phases, limit)
            left = limit - self._copied(phases, samples)
            for start in range(0, problem.conv.batch, samples):
                part = slice(start, min(start + samples, problem.conv.batch))
                arrays = (gy[part], weights, bias)
                if len(phases) == 1:
                    self._solve(phases[0], arrays, gx[part], left, threads)
                else:
                    self._solve_pair(phases, arrays, gx[part], left, threads)

    def _solve(self, phase: "_Phase", inputs: Inputs, gx: Array, limit: int, threads: int) -> None:
        """Solve a phase into the elements of the gradient that it has."""
        target = gx[(slice(None), slice(None), *phase.elements)]
        if phase.forward is None:
            _fill(target, inputs[2], phase.activation)
            return
        last = _layout(self._solver(phase.forward)) == "channels_last"
        place = _channels_last(target) if last else target
        y = place if place.flags.carray else memory.empty(place.shape, place.dtype)
        self._solve_into(phase, inputs, y, limit, threads)
        if y is not place:
            place[...] = y

    def _solve_pair(
        self, phases: tuple["_Phase", ...], inputs: Inputs, gx: Array, limit: int, threads: int
    ) -> None:
        """Solve both phases of a row, and write them together."""
        from fastconv.kernels.spread import pair_spreader

        found = []
        for phase in phases:
            counts = (axis.count for axis in phase.axes)
            found.append(memory.empty((*gx.shape[:2], *counts), gx.dtype))
            self._solve_into(phase, inputs, found[-1], limit, threads)
        outer, columns = phases[0].axes[:-1], tuple(phase.axes[-1].count for phase in phases)
        sizes = gx.shape[2:]
        rows = np.array(rows_of(sizes, outer), np.int64)
        arrays = (*(y.reshape(-1) for y in found), gx.reshape(-1), prod(sizes), rows, columns)
        threads = threads if gx.size >= SERIAL_ELEMENTS else 1
        share(pair_spreader(gx.dtype.name), arrays, gx.shape[0] * gx.shape[1], threads)

    def _solve_into(
        self, phase: "_Phase", inputs: Inputs, y: Array, limit: int, threads: int
    ) -> None:
        gy, weights, bias = inputs
        if phase.forward is None:
            return
        solver, forward = self._solver(phase.forward), _with_batch(phase.forward, gy.shape[0])
        last = _layout(solver) == "channels_last"
        x = _channels_last(gy) if last else gy
        solver.run(forward, (x, weights(phase), bias), (y,), limit, threads)

    def _samples(self, phases: tuple["_Phase", ...], limit: int) -> int:
        """Return how many samples are solved at a time."""
        one = self._copied(phases, 1)
        return phases[0].batch if not one else max(1, min(phases[0].batch, limit // 2 // one))

    def _copied(self, phases: tuple["_Phase", ...], samples: int) -> int:
        """Return the bytes of what is copied of some samples: phases, and the input transposed."""
        total = 0
        for phase in phases:
            if phase.forward is not None:
                conv = phase.forward.conv
                native = _layout(self._solver(phase.forward)) == phase.forward.layout
                elements = 0 if native else conv.channels * conv.plane
                if not (native and phase.whole):
                    elements += conv.out_channels * conv.positions
                total += elements * phase.forward.dtype.itemsize
        return samples * total

    def solvers(self, problem: Problem) -> tuple[str, ...]:
        """Return the names of the algorithms that solve the phases."""
        return tuple(self._solver(forward).name for forward in forward_phases(problem))

    def _solver(self, forward: Problem) -> Algorithm:
        solver = _solver(forward, self._forward)
        if solver is None:
            raise RuntimeError(f"nothing solves '{forward}'")
        return solver


@dataclass(frozen=True)
class _Phase:
    """Elements of the gradient that are one forward convolution, or none."""

    axes: tuple[PhaseAxis, ...]
    forward: Problem | None
    batch: int
    activation: str | None

    @property
    def elements(self) -> tuple[slice, ...]:
        return tuple(axis.elements for axis in self.axes)

    @property
    def taps(self) -> tuple[slice, ...]:
        return tuple(axis.tap_slice for axis in self.axes)

    @property
    def whole(self) -> bool:
        """Whether there is no other."""
        return all(axis.step == 1 for axis in self.axes)


@lru_cache(maxsize=512)
def _phases(problem: Problem) -> tuple[_Phase, ...]:
    conv, activation = problem.conv, problem.activation
    return tuple(
        _Phase(axes, _forward(problem, axes), conv.batch, activation)
        for axes in itertools.product(*map(phase_axes, conv.axes))
    )


def forward_phases(problem: Problem) -> list[Problem]:
    """Return the forward problems of the phases that have taps."""
    return [phase.forward for phase in _phases(problem) if phase.forward is not None]


@lru_cache(maxsize=512)
def _together(problem: Problem) -> tuple[tuple[_Phase, ...], ...]:
    """Return the phases, both of a row together where they can be written so."""
    phases, last = _phases(problem), problem.conv.axes[-1]
    if problem.layout == "channels_last" or last.stride != 2 or last.size == 1:
        return tuple((phase,) for phase in phases)
    groups: list[tuple[_Phase, ...]] = []
    for pair in zip(phases[::2], phases[1::2], strict=True):
        if any(phase.forward is None for phase in pair):
            groups += [(phase,) for phase in pair]
        else:
            groups.append(pair)
    return tuple(groups)


def _forward(problem: Problem, axes: tuple[PhaseAxis, ...]) -> Problem | None:
    conv = problem.conv
    found = tuple(axis.axis for axis in axes if axis.axis is not None)
    if len(found) < len(axes):
        return None
    geometry = ConvGeometry(
        conv.batch, conv.out_channels, found, out_channels=conv.channels, groups=conv.groups
    )
    return Problem(
        "conv",
        "forward",
        geometry,
        problem.dtype,
        activation=problem.activation,
        layout=problem.layout,
    )


@lru_cache(maxsize=512)
def _with_batch(forward: Problem, batch: int) -> Problem:
    return replace(forward, geometry=replace(forward.conv, batch=batch))


@lru_cache(maxsize=512)
def _solver(forward: Problem, algorithms: tuple[Algorithm, ...]) -> Algorithm | None:
    return next((each for each in algorithms if each.rejects(forward) is None), None)


def _turned(w: Array, conv: ConvGeometry) -> Array:
    """View the weight (C_out, C // g, *kernel) as (g, C // g, C_out // g, *kernel)."""
    return ready(w).reshape(conv.groups, conv.m, *w.shape[1:]).swapaxes(1, 2)


def _weight(turned: Array, phase: _Phase) -> Array:
    """View the taps of a phase."""
    return turned[(slice(None), slice(None), slice(None), *phase.taps)]


def _layout(algorithm: Algorithm) -> str:
    return getattr(algorithm, "layout", "channels_first")


def _one_window(axis: Axis) -> bool:
    return axis.kernel == axis.size and axis.dilation == axis.out == 1 and not axis.padded


def _channels_last(array: Array) -> Array:
    """View (N, C, *sizes) as (N, *sizes, C)."""
    return np.moveaxis(array, 1, -1)


def _fill(target: Array, bias: Array | None, activation: str | None) -> None:
    """Write what a sum without terms is: the bias."""
    channels = target.shape[1]
    value = np.zeros(channels, target.dtype) if bias is None else bias.astype(target.dtype)
    if activation is not None:
        activate(activation, value)
    target[...] = value.reshape(channels, *(1,) * (target.ndim - 2))


TURNED_WINOGRADS = tuple(
    TurnedForward((each,), f"turned_{each.name}", exact=False) for each in WINOGRADS
)
