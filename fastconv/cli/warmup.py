"""`fastconv warmup`: compile what most programs need, so that their first calls do not wait."""

import time

import fastconv
from fastconv.algorithms.numba_here import numba_installed
from fastconv.cli.console import console, help_text, progress
from fastconv.cli.operands import operands, run_problem
from fastconv.dtypes import FLOATS
from fastconv.errors import MissingDependencyError
from fastconv.problem import Problem

HELP = help_text(
    """Compile the convolutions' loops and tiles for this CPU, and keep them on disk.

The first call of each kind in a process then loads them in milliseconds.""",
    "fastconv warmup",
    "FASTCONV_CACHE_DIR=/var/cache fastconv warmup",
)
MOST_ROWS = 64
"""Output channels up to which the tiles that suit them are looked for."""
FORWARD = (
    "x=1x64x128x130 w={rows}x64x3x3 p=1",
    "x=4x64x128x130 w={rows}x64x3x3 s=2 p=1",
)
"""Large enough that threads share them, for they do so by code of their own."""
CHANNELS = (
    "x=8x64x7x7 w=48x64x3x3 p=1",
    "x=8x64x8x8 w=48x64x3x3 p=1",
    "x=2x64x16x16 w=48x64x3x3 p=1 layout=last",
)
DEPTHWISE = ("x=1x64x64x70 w=64x1x3x3 p=1 g=64", "x=4x64x64x70 w=64x1x3x3 s=2 p=1 g=64")
NAIVE = "conv {direction} x=1x1x3x3 w=1x1x2x2 {dtype}"


def warmup() -> None:
    """Compile the common set and say where it is kept."""
    if not numba_installed():
        raise MissingDependencyError("warmup: Numba is not installed (pip install numba)")
    steps = common_set()
    start = time.perf_counter()
    with progress() as bars:
        task = bars.add_task("", total=len(steps))
        for problem, algorithm in steps:
            bars.update(task, description=f"{problem.direction} {problem.dtype.name}")
            run_problem(problem, operands(problem), algorithm)
            bars.advance(task)
    seconds = time.perf_counter() - start
    folder = fastconv.info()["cache_folder"]
    kept = (
        f"Compiled code is kept in {folder}"
        if folder is not None
        else "Compiled code is not kept, for no folder can be written: every process compiles again"
    )
    out = console()
    out.print(f"Ready after {seconds:.1f} s: {len(steps)} kinds of convolution.")
    out.print(kept, markup=False, soft_wrap=True)


def common_set() -> list[tuple[Problem, str | None]]:
    """Return problems that need every kernel of the set, and the algorithm to force on each."""
    steps: list[tuple[Problem, str | None]] = []
    for dtype in FLOATS:
        for rows in tile_rows(dtype):
            lines = (line.format(rows=rows) for line in FORWARD)
            steps += [(Problem.parse(f"conv forward {line} {dtype}"), None) for line in lines]
        others = (*CHANNELS, *DEPTHWISE)
        steps += [(Problem.parse(f"conv forward {line} {dtype}"), None) for line in others]
        for direction in ("forward", "input_gradient", "weight_gradient"):
            line = NAIVE.format(direction=direction, dtype=dtype)
            steps.append((Problem.parse(line), "naive"))
    return steps


def tile_rows(dtype: str) -> list[int]:
    """Return numbers of output channels, the least for each tile that this CPU uses."""
    import numpy as np

    from fastconv.kernels import target

    least: dict[object, int] = {}
    for rows in range(1, MOST_ROWS + 1):
        least.setdefault(target.tile_for(np.dtype(dtype), rows), rows)
    return list(least.values())
