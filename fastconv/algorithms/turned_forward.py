"""The gradient of a convolution's input, and so transposed convolution, by forward algorithms.

The gradient of an input is a convolution of the output's gradient with the taps in reverse and
input and output channels exchanged (`lowering.turned`). With strides it is one for each phase of
the input, written to elements a stride apart. No zeros are put in between, so none is multiplied.
"""

import itertools
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from fastconv import memory
from fastconv.activations import activate
from fastconv.algorithms.algorithm import Algorithm, Inputs, Outputs
from fastconv.dtypes import Array, ready
from fastconv.geometry import ConvGeometry
from fastconv.lowering.turned import PhaseAxis, phase_axes
from fastconv.problem import Problem


class TurnedForward:
    """Solve each phase by the first forward algorithm that does not refuse."""

    name = "turned_forward"
    exact = True
    uses_blas = False
    compiled = True

    def __init__(self, forward: tuple[Algorithm, ...]) -> None:
        self._forward = forward

    def rejects(self, problem: Problem) -> str | None:
        """Accept what a forward algorithm accepts of every phase."""
        if problem.operation != "conv" or problem.direction != "input_gradient":
            return f"solves conv input_gradient, not {problem.operation} {problem.direction}"
        if problem.not_compiled is not None:
            return problem.not_compiled
        for phase in _phases(problem):
            if phase.forward is not None and _solver(phase.forward, self._forward) is None:
                reasons = (f"{each.name}: {each.rejects(phase.forward)}" for each in self._forward)
                return f"'{phase.forward}': {'; '.join(reasons)}"
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
        """Count the largest phase of one sample or more, and what its algorithm needs."""
        needed = 0
        for phase in _phases(problem):
            if phase.forward is not None:
                solver = self._solver(phase.forward)
                own = _copied(phase, solver, _samples(phase, solver, limit))
                needed = max(needed, own + solver.scratch(phase.forward, max(0, limit - own)))
        return needed

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Solve one phase after the other."""
        w, gy, *rest = inputs
        (gx,) = outputs
        if not problem.conv.batch or w is None or gy is None:
            return
        bias = rest[0] if rest else None
        turned = _turned(w, problem.conv)
        for phase in _phases(problem):
            target = gx[(slice(None), slice(None), *phase.elements)]
            if phase.forward is None:
                _fill(target, bias, problem.activation)
                continue
            solver = self._solver(phase.forward)
            weight = turned[(slice(None), slice(None), slice(None), *phase.taps)]
            samples = _samples(phase, solver, limit)
            rest_limit = limit - _copied(phase, solver, samples)
            for start in range(0, problem.conv.batch, samples):
                part = slice(start, min(start + samples, problem.conv.batch))
                forward = _with_batch(phase.forward, part.stop - start)
                arrays = (gy[part], weight, bias)
                _solve(solver, forward, arrays, target[part], rest_limit, threads)

    def solvers(self, problem: Problem) -> tuple[str, ...]:
        """Return the names of the algorithms that solve the phases."""
        found = (phase.forward for phase in _phases(problem))
        return tuple(self._solver(forward).name for forward in found if forward is not None)

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
    conv = problem.conv
    return tuple(
        _Phase(axes, _forward(problem, axes))
        for axes in itertools.product(*map(phase_axes, conv.axes))
    )


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


def _layout(algorithm: Algorithm) -> str:
    return getattr(algorithm, "layout", "channels_first")


def _copied(phase: _Phase, solver: Algorithm, samples: int) -> int:
    """Return the bytes of what is copied of some samples: a phase, and the input if transposed."""
    if phase.forward is None:
        return 0
    conv, native = phase.forward.conv, _layout(solver) == phase.forward.layout
    elements = 0 if native else conv.channels * conv.plane
    if not (native and phase.whole):
        elements += conv.out_channels * conv.positions
    return samples * elements * phase.forward.dtype.itemsize


def _samples(phase: _Phase, solver: Algorithm, limit: int) -> int:
    """Return how many samples are solved at a time."""
    batch = 1 if phase.forward is None else phase.forward.conv.batch
    one = _copied(phase, solver, 1)
    return batch if not one else max(1, min(batch, limit // 2 // one))


def _solve(
    solver: Algorithm, forward: Problem, inputs: Inputs, target: Array, limit: int, threads: int
) -> None:
    """Solve a phase into a view (N, C, ...) of the gradient."""
    x, w, bias = inputs
    last = _layout(solver) == "channels_last"
    place = _channels_last(target) if last else target
    y = place if place.flags.carray else memory.empty(place.shape, place.dtype)
    solver.run(forward, (_channels_last(x) if last else x, w, bias), (y,), limit, threads)
    if y is not place:
        place[...] = y


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
