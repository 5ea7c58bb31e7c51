"""What the CPU can do, and the tile sizes that suit it."""

import functools
from dataclasses import dataclass

import numpy as np
from llvmlite import binding
from numba.core import config


@dataclass(frozen=True)
class Tile:
    """The shape of a micro-kernel: `rows` output channels by up to `vectors` vectors of positions.

    A tile keeps `rows * vectors` accumulators, `vectors` columns and one broadcast in registers.
    """

    rows: int
    vectors: tuple[int, ...]
    """The widths that are compiled, widest first; the last positions of a row use a narrower."""


@dataclass(frozen=True)
class Target:
    """An instruction set: the bytes of a vector, and whether loads can leave lanes alone."""

    name: str
    vector_bytes: int
    masked_loads: bool

    @property
    def masked_sizes(self) -> tuple[int, ...]:
        """Bytes of the elements that loads can leave alone in one instruction."""
        if not self.masked_loads:
            return ()
        return (1, 2, 4, 8) if self.vector_bytes == 64 else (4, 8)

    def lanes(self, dtype: np.dtype) -> int:
        """Elements of a vector."""
        return self.vector_bytes // dtype.itemsize


AVX512 = Target("avx512", 64, masked_loads=True)
AVX2 = Target("avx2", 32, masked_loads=True)
PORTABLE = Target("portable", 16, masked_loads=False)

_WIDE = (Tile(8, (3, 2, 1)), Tile(6, (4, 2, 1)), Tile(4, (6, 3, 1)), Tile(1, (8, 2, 1)))
_NARROW = (Tile(4, (3, 1)), Tile(6, (2, 1)), Tile(1, (8, 2, 1)))
_SMALL = (Tile(4, (2, 1)), Tile(1, (4, 1)))
TILES = {
    ("avx512", "float32"): _WIDE,
    ("avx512", "float64"): _WIDE,
    ("avx2", "float32"): _NARROW,
    ("avx2", "float64"): _NARROW,
    ("portable", "float32"): _SMALL,
    ("portable", "float64"): _SMALL,
}
"""Candidates by (instruction set, dtype), preferred first where they waste the same rows."""


ROW_TILES = {
    "avx512": Tile(8, (3, 2, 1)),
    "avx2": Tile(4, (3, 2, 1)),
    "portable": Tile(4, (2, 1)),
}
"""The tiles of channels-last arrays: rows of positions by vectors of channels."""


CHANNEL_TILE_ROWS = {"avx512": (8, 7, 1), "avx2": (4, 1), "portable": (4, 1)}
"""Positions of a tile of `kernels.channel_tile`, preferred first where they take as long."""

MATRIX_TILES = {
    "avx512": (Tile(1, (24, 4, 1)), Tile(4, (6, 2, 1))),
    "avx2": (Tile(1, (12, 4, 1)), Tile(4, (2, 1))),
}
"""The tiles of `kernels.matrix_tile`, for one row and for more: without loads of some lanes only, a
matrix cannot be read where it lies."""

DOT_TILES = {
    "avx512": (Tile(6, (4, 2, 1)), Tile(4, (5, 2, 1)), Tile(1, (9, 5, 1))),
    "avx2": (Tile(3, (4, 2, 1)), Tile(1, (9, 5, 1))),
}
"""The tiles of `kernels.dot_tile`: rows of output channels by vectors, one for each weight."""


@functools.cache
def host() -> Target:
    """Return the instruction set that Numba generates code for."""
    features = _features()
    if {"avx512f", "avx512vl", "avx512bw", "avx512dq"} <= features:
        return AVX512
    if {"avx2", "fma"} <= features:
        return AVX2
    return PORTABLE


def tile_for(dtype: np.dtype, channels: int, step: int = 1) -> Tile:
    """Return the tile that computes the fewest rows for nothing, of `step` rows for a channel."""
    candidates = [tile for tile in TILES[host().name, dtype.name] if tile.rows % step == 0]
    return min(candidates, key=lambda tile: -(-channels // (tile.rows // step)) * _row_cost(tile))


def _row_cost(tile: Tile) -> float:
    """Time of one tile per vector of positions: its rows, and the loads its columns cost."""
    return tile.rows + 1 + tile.rows / tile.vectors[0] / 2


def _features() -> set[str]:
    if config.CPU_FEATURES is not None:
        named = config.CPU_FEATURES.split(",")
        return {feature[1:] for feature in named if feature.startswith("+")}
    if config.CPU_NAME not in (None, "host"):
        return set()
    return {name for name, on in binding.get_host_cpu_features().items() if on}
