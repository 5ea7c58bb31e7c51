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

from fastconv.kernels.activate import FIRST_FINISHING, finisher
from fastconv.kernels.parts import shared
from fastconv.kernels.target import host
from fastconv.kernels.tile import Shape, make_tile
from fastconv.kernels.turn import RUNS_TOGETHER, term_packer
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
    "stream",
)
"""The first integers of a table, in order; `channels` and `rows` (of output) are of one group;
`activation` is a code of `kernels.tile`.

After them the tiles, as `lowering.taps.tile_table` makes them."""
HEADER_WORDS = len(HEADER)


@functools.cache
def conv_loops(dtype_name: str, rows: int, widths: tuple[int, ...], step: int = 1):
    """Return the compiled loops over tiles of `rows` by any of the widths.

    A position has `step` neighbouring elements in the output, of as many rows of a tile.
    """
    run_tile, finish = _any_width(np.dtype(dtype_name), rows, widths, step), finisher(dtype_name)
    height = rows // step

    def conv(x, w, bias, y, table, shares, first_item, last_item):
        group, groups, panel, panel_end, block, run = shares
        tiles, taps, channels, m = table[0], table[1], table[2], table[3]
        x_origin, x_channel, x_sample = table[4], table[5], table[6]
        y_channel, y_sample, code = table[7], table[8], table[9]
        runs = (tiles + run - 1) // run
        blocks = (panel_end - panel + block - 1) // block
        panel_size = taps * channels * rows
        bias_group = (m + height - 1) // height * rows
        for item in range(first_item, last_item):
            outer, first_tile = item // runs, item % runs * run
            outer, first_panel = outer // blocks, panel + outer % blocks * block
            last_panel = min(panel_end, first_panel + block)
            sample, g = outer // groups, group + outer % groups
            x_start = x_origin + sample * x_sample + g * channels * x_channel
            y_start = sample * y_sample + g * m * y_channel
            packed = (g - group) * (panel_end - panel) - panel
            for tile in range(first_tile, min(tiles, first_tile + run)):
                place = HEADER_WORDS + tile * 6
                x_tile, y_tile = x_start + table[place + 1], y_start + table[place + 2]
                for p in range(first_panel, last_panel):
                    row = p * height
                    run_tile(
                        *(table[place], w, (packed + p) * panel_size, x, x_tile),
                        *(bias, g * bias_group + p * rows, y, y_tile + row * y_channel, table),
                        *(table[place + 3], table[place + 4], table[place + 5]),
                        *(x_channel, y_channel, min(height, m - row)),
                    )
                if code >= FIRST_FINISHING:
                    end = table[place + 8] if tile + 1 < tiles else y_channel
                    for row in range(first_panel * height, min(last_panel * height, m)):
                        first = y_tile + row * y_channel
                        finish(y, first, end - table[place + 2], code)

    return shared(conv, f"{host().name}-{dtype_name}-{rows}x{widths[0]}-{step}")


def _any_width(dtype: np.dtype, rows: int, widths: tuple[int, ...], step: int):
    target = host()
    lanes, blend = target.lanes(dtype), not target.masked_loads
    tiles = [make_tile(Shape(dtype, rows, width, lanes, blend, step)) for width in widths]
    shape = f"{rows}x{widths[0]}-{step}"
    return any_width(tiles, widths, f"positions-{target.name}-{dtype.name}-{shape}")


@functools.cache
def panel_packer(dtype_name: str, rows: int, step: int = 1):
    """Return the function that packs weights for tiles of `rows`.

    It packs a weight of (groups, m, channels, taps), wherever its terms lie, as (groups, panels,
    segments, rows), zeros below m, where segments are (blocks of channels, taps, channels of the
    block) and `depth` are all terms; of the panels in a range, counted from one of a group on. With
    a step, rows are (step, channels), and so `units` are places of as many terms.
    """
    height = rows // step
    pack_terms = term_packer(dtype_name, height)

    def pack_panels(w, packed, units, steps, shares, first, last):
        group, panel, panels, m, depth = shares
        for run in range(0, steps[2], RUNS_TOGETHER):
            runs = run, min(steps[2], run + RUNS_TOGETHER)
            for number in range(first, last):
                g, row = group + number // panels, (panel + number % panels) * height
                place = g * steps[0] + row * steps[1], min(height, m - row)
                pack_terms(w, *place, packed, number * depth * rows, units, height, steps, *runs)

    return shared(pack_panels, f"{host().name}-{dtype_name}-{rows}-{step}")
