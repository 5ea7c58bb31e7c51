"""The loops around the micro-kernel of small planes, and the packing of its weights.

    LOOP 4  samples and groups      LOOP 3  panels of output channels
    LOOP 2  tiles of positions      LOOP 1  the tile: segments and terms

As in `kernels.gemm`, threads share items, and a sum is never split. A panel stays in the cache
while all tiles of an item use it.
"""

import functools

import numpy as np

from fastconv.kernels.activate import FIRST_FINISHING, finisher
from fastconv.kernels.channel_tile import make_channel_tile
from fastconv.kernels.parts import shared
from fastconv.kernels.target import host
from fastconv.kernels.tile import Shape
from fastconv.kernels.turn import RUNS_TOGETHER, make_copy, term_packer
from fastconv.kernels.widths import any_width

HEADER = (
    "tiles",
    "places",
    "rows",
    "groups",
    "segments",
    "segments_end",
    "x_group",
    "x_sample",
    "positions",
    "activation",
    "group_size",
)
"""The first integers of a table, in order. `rows` are output channels of a group. The places of a
tile's rows stand at `places`, those of the next tile after.

Besides, loops take *shares*: how many panels, the place of the first in the table, what is added to
places in the packed weights, of which there may be some panels only, and the tiles of an item."""
HEADER_WORDS = len(HEADER)
PANEL_WORDS = 4
"""Words of a panel: vectors, first output channel, place in the packed weights, columns."""
MOST_TOGETHER = 8
"""Rows of a weight that are packed together: more do not stay in registers."""
AHEAD = 8
"""How many terms ahead to fetch, where a term of all rows lies in one piece."""


@functools.cache
def channel_loops(dtype_name: str, rows: int, widths: tuple[int, ...]):
    """Return the compiled loops over tiles of `rows` positions by any of the widths."""
    dtype, target = np.dtype(dtype_name), host()
    name = f"{target.name}-{dtype_name}-{rows}x{widths[0]}"
    lanes = target.lanes(dtype)
    tiles = [make_channel_tile(Shape(dtype, rows, width, lanes, False)) for width in widths]
    run_tile = any_width(tiles, widths, f"channels-{name}")
    finish = finisher(dtype_name)

    def conv(x, w, bias, y, table, shares, first_item, last_item):
        tiles, places = table[0], table[1]
        panels, panel_table, w_first, run = shares
        positions, m, groups, group_size = table[8], table[2], table[3], table[10]
        runs = (tiles + run - 1) // run
        for item in range(first_item, last_item):
            outer, first_tile = item // runs, item % runs * run
            outer, p = outer // panels, outer % panels
            sample, g = outer // groups, outer % groups
            panel = panel_table + p * PANEL_WORDS
            channel = g * m + table[panel + 1]
            x_start = sample * table[7] + g * table[6]
            w_start = w_first + g * group_size
            y_start = (sample * groups * m + channel) * positions
            last_tile = min(tiles, first_tile + run)
            for tile in range(first_tile, last_tile):
                position = tile * rows
                run_tile(
                    *(table[panel], w, w_start + table[panel + 2], x, x_start),
                    *(bias, channel, y, y_start + position, table, table[4], table[5]),
                    *(places + position, positions, min(rows, positions - position)),
                    table[panel + 3],
                )
            if table[9] >= FIRST_FINISHING:
                first = y_start + first_tile * rows
                count = min(last_tile * rows, positions) - first_tile * rows
                for column in range(table[panel + 3]):
                    finish(y, first + column * positions, count, table[9])

    return shared(conv, name)


@functools.cache
def column_packer(dtype_name: str):
    """Return the function that packs weights for tiles of channels.

    It packs a weight of (groups, m, k), wherever its terms lie, as (groups, panels, k, columns),
    zeros beyond m, of the panels in a range, counted over all groups; `units` says where each goes.
    """
    dtype, lanes = np.dtype(dtype_name), host().lanes(np.dtype(dtype_name))
    together = min(lanes, MOST_TOGETHER)
    pack_terms, copy = term_packer(dtype_name, together), make_copy(dtype, lanes, lanes)

    def pack_columns(w, packed, units, steps, table, shares, first, last):
        panels, panel_table, w_first, _ = shares
        group_size = table[10]
        for number in range(first, last):
            g, p = number // panels, number % panels
            panel = panel_table + p * PANEL_WORDS
            columns, valid = table[panel] * lanes, table[panel + 3]
            source = g * steps[0] + table[panel + 1] * steps[1]
            target = w_first + g * group_size + table[panel + 2]
            if steps[1] == 1 and steps[4] == 1:  # rows of a term are neighbours
                for run in range(steps[2]):
                    place = source + run * steps[3], target + units[run] * columns
                    for c in range(0, columns, lanes):
                        copy(w, place[0] + c, valid - c, packed, place[1] + c, AHEAD * steps[3])
                continue
            for run in range(0, steps[2], RUNS_TOGETHER):
                runs = run, min(steps[2], run + RUNS_TOGETHER)
                for c in range(0, columns, together):
                    place = source + c * steps[1], valid - c
                    pack_terms(w, *place, packed, target + c, units, columns, steps, *runs)

    return shared(pack_columns, f"{host().name}-{dtype_name}")
