"""The loops around the micro-kernel: an implicit matrix multiply over the window view.

For every sample and group, `y (m, positions) = w (m, taps * channels) @ windows`, where the windows
are read in place. The five loops, outermost first:

    LOOP 5  samples and groups      LOOP 4  blocks of weight panels that fit the cache
    LOOP 3  tiles of positions      LOOP 2  panels of the block
    LOOP 1  the tile: segments and channels

What a thread computes is a range of items; an item is one block of panels on one run of tiles of
one sample and group. A sum is never split, so results do not depend on how items are dealt out.
"""

import functools

import numpy as np

from fastconv.kernels.jit import kernel
from fastconv.kernels.parts import shared
from fastconv.kernels.target import host
from fastconv.kernels.tile import Shape, make_tile
from fastconv.kernels.widths import any_width

HEADER = (
    "tiles",
    "taps",
    "channels",
    "rows",
    "x_start",
    "x_channel",
    "x_sample",
    "y_channel",
    "y_sample",
    "activation",
)
"""The first integers of a table, in order; `channels` and `rows` (of output) are of one group;
`activation` is a code of `kernels.tile`.

After them the tiles, as `lowering.taps.tile_table` makes them."""
HEADER_WORDS = len(HEADER)


@functools.cache
def conv_loops(dtype_name: str, rows: int, widths: tuple[int, ...]):
    """Return the compiled loops over tiles of `rows` by any of the widths."""
    run_tile = _any_width(np.dtype(dtype_name), rows, widths)

    def conv(x, w, bias, y, table, shares, first_item, last_item):
        group, groups, panel, panel_end, block, run = shares
        tiles, taps, channels, m = table[0], table[1], table[2], table[3]
        x_origin, x_channel, x_sample = table[4], table[5], table[6]
        y_channel, y_sample = table[7], table[8]
        runs = (tiles + run - 1) // run
        blocks = (panel_end - panel + block - 1) // block
        panel_size = taps * channels * rows
        bias_group = (m + rows - 1) // rows * rows
        for item in range(first_item, last_item):
            outer, first_tile = item // runs, item % runs * run
            outer, first_panel = outer // blocks, panel + outer % blocks * block
            sample, g = outer // groups, group + outer % groups
            x_start = x_origin + sample * x_sample + g * channels * x_channel
            y_start = sample * y_sample + g * m * y_channel
            packed = (g - group) * (panel_end - panel) - panel
            for tile in range(first_tile, min(tiles, first_tile + run)):
                place = HEADER_WORDS + tile * 6
                x_tile, y_tile = x_start + table[place + 1], y_start + table[place + 2]
                for p in range(first_panel, min(panel_end, first_panel + block)):
                    row = p * rows
                    run_tile(
                        *(table[place], w, (packed + p) * panel_size, x, x_tile),
                        *(bias, g * bias_group + row, y, y_tile + row * y_channel, table),
                        *(table[place + 3], table[place + 4], table[place + 5]),
                        *(x_channel, y_channel, min(rows, m - row)),
                    )

    return shared(conv, f"{host().name}-{dtype_name}-{rows}x{widths[0]}")


def _any_width(dtype: np.dtype, rows: int, widths: tuple[int, ...]):
    target = host()
    lanes = target.lanes(dtype)
    tiles = [
        make_tile(Shape(dtype, rows, width, lanes, not target.masked_loads)) for width in widths
    ]
    return any_width(tiles, widths, f"positions-{target.name}-{dtype.name}-{rows}x{widths[0]}")


@functools.cache
def panel_packer(rows: int):
    """Return the function that packs weights for tiles of `rows`.

    It packs w (groups, m, channels, taps) as (groups, panels, segments, rows), zeros below m, where
    segments are (blocks of channels, taps, channels of the block); of the groups and panels in two
    ranges. All rows of a panel are read side by side, so that they are written side by side.
    """

    def pack_segment(w, source, packed, target, depth, valid, count, taps):
        step = np.uint64(count * rows)
        for c in range(count):
            place = target + np.uint64(c * rows)
            for _ in range(taps):
                if valid == rows:  # a constant, so that the loop is unrolled
                    for row in range(rows):
                        packed[place + np.uint64(row)] = w[source + np.uint64(row) * depth]
                else:
                    for row in range(rows):
                        inside = row < valid
                        packed[place + np.uint64(row)] = (
                            w[source + np.uint64(row) * depth] if inside else 0
                        )
                source += np.uint64(1)
                place += step

    pack_segment = kernel(pack_segment, str(rows), inline=True)

    def pack_panels(w, packed, group, group_end, panel, panel_end, m, channels, taps, block):
        depth, start = np.uint64(channels * taps), np.uint64(0)
        for g in range(group, group_end):
            for p in range(panel, panel_end):
                source = np.uint64(g * m + p * rows) * depth
                valid = min(rows, m - p * rows)
                for first in range(0, channels, block):
                    done = np.uint64(first * taps)
                    pack_segment(
                        *(w, source + done, packed, start + done * np.uint64(rows)),
                        *(depth, valid, min(block, channels - first), taps),
                    )
                start += np.uint64(taps * channels * rows)

    return kernel(pack_panels, str(rows))
