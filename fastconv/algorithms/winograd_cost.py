"""What Winograd's convolution costs, in vectors multiplied, and the cut that costs least."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from fastconv.algorithms.implicit_gemm import issued_vectors
from fastconv.lowering.taps import cheapest_widths
from fastconv.lowering.tile_blocks import Blocks, cheapest_blocks
from fastconv.problem import Problem

NEAR_BYTES = 3 * 2**18
"""Transformed inputs of a block, or weights, up to which they stay in the second cache."""
MOST_BYTES = 6 * 2**20
"""Transformed inputs of a block where weights are larger: each block reads all of them."""
FEWEST_BLOCKS = 8
"""Blocks that a plane is cut into where weights are near, so that threads can share them."""
TURN_COST = 18.0
"""Of a vector of positions that is turned into one of channels, or back. This and the next two were
fitted to the times of 3x3 layers of 64 to 512 channels, which they give within a tenth."""
POINT_COST = 1.2
"""Of a point of a tile that is transformed, there or back: loaded, added, stored."""
NEAR_COST = 0.1
FAR_COST = 2.7
"""Of a vector of weights or of transformed inputs that comes from the second cache, or beyond."""
PACK_COST = 6.0
"""Of a vector of weights that is transformed: part of it, as many calls find them transformed."""
CALL_COST = 60_000.0
"""Of a call that has anything to transform."""
LARGE_ERRORS_COST = {6: 1.1}
"""Times the cost, by outputs: errors five times as large must pay."""
FEWEST_TILES = 8
PRECISE = {1: 1, 2: 4, 3: 3, 5: 2}
"""Outputs by taps up to which errors stay within what precision high promises."""


def form_of(problem: Problem, outputs: int) -> Any:
    """Return what the transforms are generated for, or None if no points are known."""
    from fastconv.kernels import target
    from fastconv.kernels.winograd_points import POINTS
    from fastconv.kernels.winograd_tile import Winograd

    geometry = problem.conv
    taps = (1,) * (2 - geometry.rank) + tuple(axis.kernel for axis in geometry.axes)
    sizes = tuple(1 if kernel == 1 else outputs for kernel in taps)
    if set(taps) == {1} or any(pair not in POINTS for pair in zip(sizes, taps, strict=True)):
        return None
    lanes = target.host().lanes(problem.dtype)
    return Winograd(problem.dtype, lanes, (sizes[0], sizes[1]), (taps[0], taps[1]))


def is_precise(problem: Problem, outputs: int) -> bool:
    """Whether errors stay within what precision high promises."""
    return all(axis.kernel == 1 or outputs <= PRECISE[axis.kernel] for axis in problem.conv.axes)


@lru_cache(maxsize=4096)
def blocks_of(problem: Problem, outputs: int) -> Blocks:
    """Return how planes of tiles are cut."""
    form = form_of(problem, outputs)
    return cheapest_blocks(_tiles(problem, form), _most(problem, form), _block_cost(problem, form))


@lru_cache(maxsize=4096)
def cost(problem: Problem, outputs: int) -> float:
    """Return the vectors multiplied for a group of one sample, and what else costs as much."""
    form = form_of(problem, outputs)
    block = _block_cost(problem, form)
    kinds = blocks_of(problem, outputs).kinds()
    blocks = sum(count * block(rows, columns) for count, rows, columns in kinds)
    geometry = problem.conv
    weights = geometry.channels // geometry.groups * -(-geometry.m // form.lanes) * form.points
    total = blocks + weights * PACK_COST + CALL_COST / geometry.groups
    return float(total * LARGE_ERRORS_COST.get(outputs, 1.0))


def direct_cost(problem: Problem) -> float:
    """Return the same for the direct algorithm."""
    return issued_vectors(problem) * problem.conv.k


def _tiles(problem: Problem, form: Any) -> tuple[int, int]:
    out = (1,) * (2 - problem.conv.rank) + problem.conv.out
    return -(-out[0] // form.outputs[0]), -(-out[1] // form.outputs[1])


def _most(problem: Problem, form: Any) -> int:
    """Return how many tiles a block may have."""
    channels = problem.conv.channels // problem.conv.groups
    size = form.points * (channels + form.lanes) * problem.dtype.itemsize
    if channels * problem.conv.m * form.points * problem.dtype.itemsize > NEAR_BYTES:
        return int(max(FEWEST_TILES, MOST_BYTES // size))
    shared = math.prod(_tiles(problem, form)) // FEWEST_BLOCKS
    return int(max(FEWEST_TILES, min(shared, NEAR_BYTES // size)))


def _block_cost(problem: Problem, form: Any) -> Callable[[int, int], float]:
    """Return the cost of a block of so many rows and columns of tiles."""
    from fastconv.kernels import target

    geometry, lanes = problem.conv, form.lanes
    tile = target.ROW_TILES[target.host().name]
    channels = geometry.channels // geometry.groups
    widths = cheapest_widths(-(-geometry.m // lanes), tile.vectors)
    inward, outward = -(-channels // lanes), sum(widths)
    per_tile_row = sum((tile.rows + 0.5) * width + 0.5 for width in widths)
    vector = form.points * lanes * problem.dtype.itemsize
    weights = form.points * channels * outward
    weights *= FAR_COST if channels * outward * vector > NEAR_BYTES else NEAR_COST

    def cost(rows: int, columns: int) -> float:
        tiles = rows * columns
        multiplied = form.points * channels * -(-tiles // tile.rows) * per_tile_row
        high, wide = rows * form.outputs[0], columns * form.outputs[1]
        loaded = (high + form.taps[0] - 1) * -(-(wide + form.taps[1] - 1) // lanes) * lanes
        written = high * -(-wide // lanes) * lanes
        turned = (loaded * inward + written * outward) * TURN_COST
        transformed = tiles * form.points * (inward + outward) * POINT_COST
        read_again = tiles * form.points * inward * len(widths)
        read_again *= FAR_COST if tiles * inward * vector > NEAR_BYTES else NEAR_COST
        return float(multiplied + turned + transformed + weights + read_again)

    return cost
