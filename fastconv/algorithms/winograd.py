"""Winograd's convolution: fewer multiplications, between transforms of small tiles.

`outputs` x `outputs` results of a tile cost (outputs + kernel - 1)^2 multiplications a channel
instead of (outputs * kernel)^2, and larger rounding errors: see `kernels.winograd_points`. Samples
whose results come out not finite are computed again directly, so that NaN and infinities touch
exactly the outputs whose windows hold them, whatever the transforms make of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fastconv import memory
from fastconv.algorithms.algorithm import Inputs, Outputs, Packed
from fastconv.algorithms.implicit_gemm import ImplicitGemm, threads_now
from fastconv.algorithms.numba_here import refusal
from fastconv.algorithms.winograd_cost import cost, direct_cost, form_of, is_precise
from fastconv.algorithms.winograd_engine import Engine, Part, engine_of
from fastconv.dtypes import Array, ready
from fastconv.kernels.pool import cores, share
from fastconv.lowering.weights import taps_of
from fastconv.problem import Problem

MOST_AXES = 2
DIRECT = ImplicitGemm()
BLOCKS_PER_THREAD = 4
"""Fewer blocks are dealt out in parts."""


class Winograd:
    """Tiles of so many outputs along each axis whose kernel is larger than 1."""

    exact = False
    uses_blas = False
    compiled = True

    def __init__(self, outputs: int, errors: float) -> None:
        self.outputs = outputs
        self.errors = errors
        self.name = f"winograd_{outputs}"

    def rejects(self, problem: Problem) -> str | None:
        """Accept convolutions forward by dense kernels of stride 1 whose points are known."""
        reason = refusal(problem, MOST_AXES)
        if reason is not None:
            return reason
        geometry = problem.conv
        if any(axis.stride > 1 or axis.dilation > 1 for axis in geometry.axes):
            return "transforms are of dense windows, of stride 1"
        form = form_of(problem, self.outputs)
        if form is None:
            kernel = "x".join(map(str, geometry.kernel))
            return f"no points are known for {self.outputs} outputs of a kernel of {kernel}"
        if min(geometry.channels // geometry.groups, geometry.m) < form.lanes:
            return f"fewer than {form.lanes} channels of a group do not fill vectors"
        return DIRECT.rejects(problem)

    def declines(self, problem: Problem, precision: str) -> str | None:
        """Return why it is not taken unasked: the layout, its errors, or another way's time."""
        if problem.layout != "channels_first":
            return "tiles of channels-last arrays are not transformed in place"
        if precision != "fast" and not is_precise(problem, self.outputs):
            return f'its errors are for precision="fast", not for {precision!r}'
        ours, others = cost(problem, self.outputs), {"directly": direct_cost(problem)}
        for other in WINOGRADS:
            allowed = precision == "fast" or is_precise(problem, other.outputs)
            if other is not self and other.rejects(problem) is None and allowed:
                others[f"by {other.name}"] = cost(problem, other.outputs)
        best = min(others, key=others.__getitem__)
        if others[best] <= ours:
            return f"{best} it takes {others[best] / ours:.2f} of the time"
        return None

    def fuses_activation(self, problem: Problem) -> bool:
        """Return True: it is applied to transformed outputs."""
        return True

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count a chunk of weights, transformed inputs, and what every thread has of its own."""
        engine = engine_of(problem, self.outputs)
        own = cores() * max(engine.own_elements + engine.block_elements, engine.own_panel_elements)
        kept = engine.together * engine.block_elements + engine.most_packed
        return (own + kept) * problem.dtype.itemsize + problem.conv.batch

    def pack(self, problem: Problem, weight: Array, bias: Array | None) -> Packed:
        """Return weight and bias as the loops read them, to be used by any number of runs."""
        engine, geometry = engine_of(problem, self.outputs), problem.conv
        panels = memory.empty((geometry.groups * engine.group_size,), problem.dtype)
        engine.pack(weight, panels, engine.part(0, len(engine.widths)), 1)
        key = (self.name, problem.dtype, str(engine.form))
        return Packed(weight, panels, engine.packed_bias(bias), key)

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Walk blocks, and chunks of weights where they are not packed; then what is not finite."""
        engine, geometry = engine_of(problem, self.outputs), problem.conv
        x, w, b = inputs
        (y,) = outputs
        if not geometry.batch:
            return
        threads = threads_now(problem, threads)
        bias = w.bias if isinstance(w, Packed) else engine.packed_bias(b)
        bad = np.zeros(geometry.batch, np.uint8)
        call = _Call(engine, ready(x), w, bias, y.reshape(-1), bad, threads)
        call.solve()
        if bad.any():
            raw = w.weight if isinstance(w, Packed) else w
            again = (x, raw, engine.raw_bias(bias))
            _solve_directly(problem, again, y, np.flatnonzero(bad), limit, threads)


WINOGRADS = (Winograd(2, 3), Winograd(3, 4), Winograd(4, 16), Winograd(6, 80))
"""Errors are times those of PyTorch's direct convolution, by `benchmarks/winograd_error.py`: of 3x3
kernels never as much; of 5x5 by two outputs 4."""


def _solve_directly(
    problem: Problem, inputs: Inputs, y: Array, samples: Array, limit: int, threads: int
) -> None:
    x, w, b = inputs
    one = replace(problem, geometry=replace(problem.conv, batch=1))
    for sample in samples:
        part = slice(sample, sample + 1)
        DIRECT.run(one, (x[part], w, b), (y[part],), limit, threads)


@dataclass(frozen=True)
class _Call:
    """The arrays of one call."""

    engine: Engine
    x: Array
    w: Array | Packed
    bias: Array
    y: Array
    bad: Array
    threads: int

    def solve(self) -> None:
        """Walk all blocks at once, or so many at a time as can be kept, by chunks of weights."""
        from fastconv.kernels.winograd import ALL, INPUTS, RESULTS

        engine, none = self.engine, np.empty(0, self.x.dtype)
        whole = isinstance(self.w, Packed) or engine.chunk == len(engine.widths)
        # blocks so large that few can be kept may leave threads without any
        few = engine.together * len(engine.widths) < self.threads <= engine.parts
        many = engine.parts >= BLOCKS_PER_THREAD * self.threads
        fused = self.threads == 1 or many or few
        if whole and fused:
            for part, panels in self._weights():
                self._share(engine.parts, panels, none, (ALL, 0, *part))
            return
        kept = memory.empty((engine.together * engine.block_elements,), self.x.dtype)
        for first in range(0, engine.parts, engine.together):
            count = min(engine.together, engine.parts - first)
            inputs = (INPUTS, first, 0, 0, 0, 0)
            self._share(count * engine.vectors, none, kept, inputs)
            if engine.by_panels and not isinstance(self.w, Packed):
                self._share_panels(self.w, first, count, kept)
                continue
            for part, panels in self._weights():
                self._share(count * part[1], panels, kept, (RESULTS, first, *part))

    def _share_panels(self, w: Array, first: int, count: int, transformed: Array) -> None:
        """Let threads take panels, and transform their weights for themselves."""
        engine, geometry = self.engine, self.engine.geometry
        flat, steps = taps_of(w, geometry.groups, geometry.rank)
        arrays = (flat, self.bias, self.y, transformed, self.bad, engine.table, steps)
        share(engine.panel_loops, (*arrays, (first, count)), len(engine.widths), self.threads)

    def _share(
        self, items: int, panels: Array, transformed: Array, shares: tuple[int, ...]
    ) -> None:
        arrays = (self.x.reshape(-1), panels, self.bias, self.y, transformed, self.bad)
        share(self.engine.loops, (*arrays, self.engine.table, shares), items, self.threads)

    def _weights(self) -> Iterator[tuple[Part, Array]]:
        """Yield chunks of panels and their packed weights."""
        engine, count = self.engine, len(self.engine.widths)
        if isinstance(self.w, Packed):
            yield engine.part(0, count), self.w.panels
            return
        buffer = memory.empty((engine.most_packed,), self.x.dtype)
        for first in range(0, count, engine.chunk):
            part = engine.part(first, min(engine.chunk, count - first))
            engine.pack(self.w, buffer, part, self.threads)
            yield part, buffer
