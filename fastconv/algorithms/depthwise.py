"""Depthwise convolution by generated machine code: no matrix, a band of rows at a time.

Each output channel reads one input channel only, so there is nothing to multiply by a matrix, and
memory decides: input and output pass through the core once, and all sums of a band of output rows
stay in registers. Common windows are read in place by tiles made for them; for all others the rows
under a band are copied into a small scratch that stays in the cache (`lowering.bands`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from fastconv.activations import code_of
from fastconv.algorithms.algorithm import Inputs, Outputs, Packed
from fastconv.algorithms.numba_here import NOT_INSTALLED, numba_installed
from fastconv.dtypes import Array, ready
from fastconv.geometry import Axis
from fastconv.kernels.pool import cores, hands, share
from fastconv.lowering.bands import Bands
from fastconv.problem import Problem

Axes = tuple[Axis, Axis, Axis]
"""Depth, row and column."""
MOST_AXES = 3
MOST_SCRATCH = 2**19
"""Bytes of one thread's band beyond which it would not stay in the cache."""
MOST_TAPS = 2**14
"""Taps beyond which the table of their places would take long to make."""
SERIAL_FLOPS = 2**19
"""Work below which handing it over costs more than a second thread saves."""
WAKE_FLOPS = 2**22
"""Work below which that is so for threads that have to be woken."""
COMMON_KERNELS = ((3, 3), (5, 5), (7, 7))
COMMON_STRIDES = (1, 2)
"""Windows that have code of their own, dilated ones at stride 1 too; all others share one loop."""
ROWS = {"avx512": (8, 7, 4), "avx2": (4,)}
"""Output rows of a tile of a common window, by the registers a CPU has for them."""
LONGEST_ROW = 2**14
"""Elements of an input row beyond which a band of whole rows would not stay in the cache."""
ANY_ROWS = 4
"""Sums of a tile of any other window: rows, or vectors where there are fewer rows."""


class Depthwise:
    """Bands of output rows, each channel on its own."""

    name = "depthwise"
    exact = True
    uses_blas = False
    compiled = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept convolutions forward with one input channel per group."""
        if problem.operation != "conv" or problem.direction != "forward":
            return f"solves conv forward, not {problem.operation} {problem.direction}"
        if problem.not_compiled is not None:
            return problem.not_compiled
        if problem.conv.channels != problem.conv.groups:
            return (
                f"needs one input channel per group, got {problem.conv.channels} channels "
                f"in {problem.conv.groups} groups"
            )
        if not numba_installed():
            return NOT_INSTALLED
        if problem.conv.rank > MOST_AXES:
            return f"written for up to {MOST_AXES} spatial dimensions"
        if problem.conv.taps > MOST_TAPS:
            return f"{problem.conv.taps} taps, more than {MOST_TAPS}"
        needed = _engine(problem).band
        if needed > MOST_SCRATCH:
            return f"the rows under one band take {needed} bytes, more than {MOST_SCRATCH}"
        return None

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count the band of every thread that may be used."""
        engine = _engine(problem)
        return engine.zeros.nbytes + engine.band * engine.threads(limit)

    def fuses_activation(self, problem: Problem) -> bool:
        """Return True: tiles end in it, or what they have written is finished in the cache."""
        return True

    def pack(self, problem: Problem, weight: Array, bias: Array | None) -> Packed:
        """Return weight and bias as the loops read them: flat."""
        return Packed(weight, _flat(weight), _bias(problem, bias), key=(problem.dtype,))

    def bind(
        self, problem: Problem, weight: Packed, limit: int, threads: int
    ) -> Callable[[Array, Array], None]:
        """Return `solve(x, y)` with all settled that does not depend on the data."""
        engine = _engine(problem)
        if not problem.conv.batch:
            return lambda x, y: None
        loops, zeros = engine.loops, engine.zeros
        table, items, flops = engine.table, engine.items, problem.flops
        threads = engine.threads(limit, threads)

        def solve(x: Array, y: Array) -> None:
            arrays = (_flat(x), zeros, weight.panels, weight.bias, y.reshape(-1), table)
            share(loops, arrays, items, hands(flops, WAKE_FLOPS, threads))

        return solve

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Share the bands of all planes between threads."""
        x, w, b = inputs
        (y,) = outputs
        if not problem.conv.batch:
            return
        engine = _engine(problem)
        weight = w.panels if isinstance(w, Packed) else _flat(w)
        bias = w.bias if isinstance(w, Packed) else _bias(problem, b)
        arrays = (_flat(x), engine.zeros, weight, bias, y.reshape(-1), engine.table)
        threads = hands(problem.flops, WAKE_FLOPS, engine.threads(limit, threads))
        share(engine.loops, arrays, engine.items, threads)


def _flat(array: Array) -> Array:
    return ready(array).reshape(-1)


def _bias(problem: Problem, bias: Array | None) -> Array:
    return np.zeros(problem.conv.out_channels, problem.dtype) if bias is None else _flat(bias)


@dataclass(frozen=True)
class _Engine:
    """What depends on the problem only."""

    loops: Any
    table: Array
    items: int
    zeros: Array
    """A row of zeros, which all threads read."""
    band: int
    """Bytes of scratch of each thread."""
    small: bool

    def threads(self, limit: int, wanted: int | None = None) -> int:
        """Return how many threads may work at a time."""
        most = 1 if self.small else min(self.items, cores(), limit // max(1, self.band))
        return max(1, most if wanted is None else min(most, wanted))


@lru_cache(maxsize=512)
def _engine(problem: Problem) -> _Engine:
    from fastconv.kernels import target

    axes = _three(problem.conv.axes)
    dense = _is_common(axes) and target.host().masked_loads
    return _dense(problem, axes) if dense else _listed(problem, axes)


def _dense(problem: Problem, axes: Axes) -> _Engine:
    """Return the engine that reads the input in place."""
    from fastconv.kernels import depthwise, depthwise_tile, target

    _, height, width = axes
    dtype, host, apart = problem.dtype, target.host(), height.dilation
    rows = _rows(height.out // apart, ROWS[host.name])
    tile = depthwise_tile.Dense(
        dtype,
        host.lanes(dtype),
        rows,
        (height.kernel, width.kernel),
        width.stride,
        dilated=height.dilation > 1 or width.dilation > 1,
        activation=code_of(problem.activation),
    )
    if tile.shifts and -(-width.out // tile.lanes) % 2 == 0:
        tile = replace(tile, vectors=2)
    longest = -(-height.out // apart)
    bands = apart * -(-longest // rows)
    return _Engine(
        depthwise.dense_loops(tile),
        _table(problem, Bands(axes, rows, tile.lanes, 1)),
        problem.conv.batch * problem.conv.channels * bands,
        zeros=np.zeros(width.size, dtype),
        band=0,
        small=problem.flops < SERIAL_FLOPS,
    )


def _listed(problem: Problem, axes: Axes) -> _Engine:
    """Return the engine that copies the rows under a band."""
    from fastconv.kernels import depthwise, depthwise_tile, target

    _, height, width = axes
    dtype, lanes = problem.dtype, target.host().lanes(problem.dtype)
    rows = ANY_ROWS if height.out >= ANY_ROWS else 1
    vectors = ANY_ROWS // rows
    bands = Bands(axes, rows, lanes, vectors)
    stride = width.stride if width.stride in COMMON_STRIDES else 0
    tile = depthwise_tile.Listed(dtype, lanes, rows, vectors, code_of(problem.activation))
    return _Engine(
        depthwise.listed_loops(tile, stride),
        _table(problem, bands),
        problem.conv.batch * problem.conv.channels * bands.count,
        zeros=np.zeros(0, dtype),
        band=bands.elements * dtype.itemsize + depthwise.ALIGNMENT,
        small=problem.flops < SERIAL_FLOPS,
    )


def _table(problem: Problem, bands: Bands) -> Array:
    from fastconv.kernels.depthwise import HEADER

    geometry = problem.conv
    numbers = {**bands.numbers(), "channels": geometry.channels, "multiplier": geometry.m}
    return np.array([numbers[name] for name in HEADER] + bands.lists(), np.int64)


def _three(axes: tuple[Axis, ...]) -> Axes:
    """Return depth, row and column; those added are of one element."""
    depth, height, width = (*(Axis(1, 1),) * (MOST_AXES - len(axes)), *axes)
    return depth, height, width


def _is_common(axes: Axes) -> bool:
    """Return whether a window has code of its own, and rows of zeros to read would be short."""
    depth, height, width = axes
    return (
        depth == Axis(1, 1)
        and (height.kernel, width.kernel) in COMMON_KERNELS
        and height.stride == width.stride
        and width.stride in COMMON_STRIDES
        and (width.stride == 1 or height.dilation == width.dilation == 1)
        and height.out // height.dilation >= ANY_ROWS
        and width.size <= LONGEST_ROW
    )


def _rows(out: int, choices: tuple[int, ...]) -> int:
    """Return the rows of a tile that computes the fewest rows twice."""
    return min((rows for rows in choices if rows <= out), key=lambda rows: -(-out // rows) * rows)
