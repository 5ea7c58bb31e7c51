"""The loops around the micro-kernel of weight gradients with few channels.

    LOOP 4  groups, rows of tiles      LOOP 3  strips of positions
    LOOP 2  tiles along a row          LOOP 1  the tile: vectors of positions

Threads share items, which are rows of tiles or runs of these; a sum is never split between them.
"""

import functools

import numpy as np

from fastconv.kernels.dot_tile import make_dot_tile
from fastconv.kernels.parts import shared
from fastconv.kernels.target import host
from fastconv.kernels.tile import Shape
from fastconv.kernels.widths import any_width

HEADER = ("groups", "outputs", "weights", "gy_channel", "x_group", "x_start", "places", "tiles")
"""The first integers of a table, in order: groups; output channels and weights of a kernel of one;
distance of output channels in gy, and of groups in x; where the first position reads its first tap;
where the places of weights stand; tiles along a row. After them the tiles.

Besides, loops take *shares*: where the strips stand and how many they are, the tiles of an item,
whether to add."""
HEADER_WORDS = len(HEADER)
TILE_WORDS = 2
"""Words of a tile: vectors, and the first weight."""
STRIP_WORDS = 4
"""Words of a strip: its place in gy and in x, its first vector of positions and the end of them."""


@functools.cache
def dot_loops(dtype_name: str, rows: int, widths: tuple[int, ...]):
    """Return the compiled loops over tiles of `rows` output channels by any of the widths."""
    dtype, target = np.dtype(dtype_name), host()
    name = f"{target.name}-{dtype_name}-{rows}x{widths[0]}"
    tiles = [
        make_dot_tile(Shape(dtype, rows, width, target.lanes(dtype), False)) for width in widths
    ]
    run_tile = any_width(tiles, widths, f"dots-{name}")

    def dots(x, gy, gw, table, shares, first_item, last_item):
        outputs, weights, gy_channel, x_group = table[1], table[2], table[3], table[4]
        x_start, places, tiles = table[5], table[6], table[7]
        strips, count, run, adds = shares
        runs, blocks = (tiles + run - 1) // run, (outputs + rows - 1) // rows
        for item in range(first_item, last_item):
            outer, first_tile = item // runs, item % runs * run
            g, row = outer // blocks, outer % blocks * rows
            channel = g * outputs + row
            for strip in range(count):
                place = strips + strip * STRIP_WORDS
                for tile in range(first_tile, min(tiles, first_tile + run)):
                    vectors = table[HEADER_WORDS + tile * TILE_WORDS]
                    weight = table[HEADER_WORDS + tile * TILE_WORDS + 1]
                    run_tile(
                        *(vectors, gy, table[place] + channel * gy_channel, gy_channel),
                        *(x, x_start + table[place + 1] + g * x_group),
                        *(gw, channel * weights + weight, weights, table, places + weight),
                        *(table[place + 2], table[place + 3], min(rows, outputs - row)),
                        *(min(vectors, weights - weight), max(adds, min(1, strip))),
                    )

    return shared(dots, name)
