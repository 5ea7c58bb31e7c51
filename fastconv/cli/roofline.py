"""What the micro-kernel reaches when all it reads stays in the nearest cache: the roof of a layer.

The same compiled loops as in a convolution run over one tile again and again: 64 channels of the
tile's own positions, read at three taps, and the weights of its rows are some 20 KiB. No other
limit than the arithmetic is left, so a layer's share of it says what packing, memory and the
borders of tiles cost.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from fastconv.algorithms.numba_here import numba_installed
from fastconv.errors import MissingDependencyError
from fastconv.problem import Problem

CHANNELS, TAPS, ROWS = 64, 3, 8
"""With one tap, sums would be so short that to begin and end them counts: a tenth."""
CALL_FLOPS = 2e8
"""Work of one timed call: some milliseconds, in which handing over arguments does not count."""
SECONDS = 0.05


def peak(dtype: np.dtype[Any], threads: int = 1) -> float:
    """Measure the micro-kernel from the nearest cache.

    Parameters
    ----------
    dtype : numpy.dtype
        float32 or float64.
    threads : int
        Threads that run it at the same time, each on its own data.

    Returns
    -------
    float
        Floating-point operations a second, the sum of the threads' best.

    Raises
    ------
    MissingDependencyError
        If Numba is not installed.
    """
    if not numba_installed():
        raise MissingDependencyError("roofline: Numba is not installed (pip install numba)")
    works = [_work(dtype) for _ in range(threads)]
    for run, _ in works:
        run()  # compiled here, in turn
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(lambda work: _best_rate(*work), works))


def _best_rate(run: Callable[[], None], flops: float) -> float:
    best, end = np.inf, time.perf_counter() + SECONDS
    while True:
        start = time.perf_counter()
        run()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return flops / best


def _work(dtype: np.dtype[Any]) -> tuple[Callable[[], None], float]:
    """Return a call of the loops on one tile many times, and its operations."""
    # the engine's own tables and calling convention, whatever they become
    from fastconv.algorithms.implicit_gemm import ImplicitGemm, _engine
    from fastconv.kernels import gemm, target

    positions = target.tile_for(dtype, ROWS).vectors[0] * target.host().lanes(dtype)
    sizes = f"x=1x{CHANNELS}x1x{positions + TAPS - 1} w={ROWS}x{CHANNELS}x1x{TAPS}"
    problem = Problem.parse(f"conv forward {sizes} {dtype.name}")
    engine = _engine(problem)
    table = engine.table.copy()
    for name in ("x_sample", "y_sample"):  # all samples are one sample
        table[gemm.HEADER.index(name)] = 0
    engine = replace(engine, table=table)
    packed = ImplicitGemm().pack(problem, np.ones(problem.conv.weight_shape, dtype), None)
    x = np.ones(problem.conv.input_shape, dtype)
    x = engine.reader(x, 1, 1)(x)
    y = np.empty(problem.result_shape, dtype).reshape(-1)
    samples = int(CALL_FLOPS / problem.flops)
    place = (samples, (0, 1), (0, engine.panels), (x, packed.panels, packed.bias, y), 1)
    return (lambda: engine.run(*place)), float(problem.flops) * samples
