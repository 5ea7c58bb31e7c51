"""The loops around the micro-kernel of weight gradients, and the packing of output gradients.

    LOOP 3  panels of columns, of all groups      LOOP 2  tiles of rows
    LOOP 1  the tile: segments and positions

Threads share items, which are panels and runs of tiles: a sum is never split between them.
"""

import functools

import numpy as np

from fastconv.kernels.parts import shared
from fastconv.kernels.target import host
from fastconv.kernels.tile import Shape
from fastconv.kernels.turn import AHEAD_BYTES, make_turn
from fastconv.kernels.weight_tile import make_weight_tile
from fastconv.kernels.widths import any_width

HEADER = ("rows", "columns", "panels", "panel_elements", "x_group", "places", "channels", "turned")
"""The first integers of a table, in order: rows, columns and panels of a group, where rows are what
is read in place; elements kept for a packed panel; distance of the groups in what is read in place,
and where the places of its rows stand; columns of all groups; whether the rows of the result are
rows of tiles. After them the panels.

Besides, loops take *shares*: the place in x of the first position, the first segment and the end of
the segments, the first panel counted over all groups, the tiles of an item, whether to add."""
HEADER_WORDS = len(HEADER)
PANEL_WORDS = 3
"""Words of a panel: vectors, first column, columns."""
MOST_TOGETHER = 8
"""Channels that are packed together: more do not stay in registers."""


@functools.cache
def weight_loops(dtype_name: str, rows: int, widths: tuple[int, ...]):
    """Return the compiled loops over tiles of `rows` weights by any of the widths."""
    dtype, target = np.dtype(dtype_name), host()
    name = f"{target.name}-{dtype_name}-{rows}x{widths[0]}"
    lanes = target.lanes(dtype)
    tiles = [make_weight_tile(Shape(dtype, rows, width, lanes, False)) for width in widths]
    run_tile = any_width(tiles, widths, f"weights-{name}")

    def sums(x, packed, result, table, shares, first_item, last_item):
        height, width, panels, panel_elements = table[0], table[1], table[2], table[3]
        x_group, places, turned = table[4], table[5], table[7]
        x_start, segment, last_segment, first_panel, run, adds = shares
        tiles = (height + rows - 1) // rows
        runs = (tiles + run - 1) // run
        for item in range(first_item, last_item):
            number, first_tile = item // runs, item % runs * run
            g, p = (first_panel + number) // panels, (first_panel + number) % panels
            panel = HEADER_WORDS + p * PANEL_WORDS
            for tile in range(first_tile, min(tiles, first_tile + run)):
                row, column = tile * rows, table[panel + 1]
                if turned:
                    target, step = (g * height + row) * width + column, width
                else:
                    target, step = (g * width + column) * height + row, height
                run_tile(
                    *(table[panel], packed, number * panel_elements, x, x_start + g * x_group),
                    *(result, target, table, segment, last_segment, places + row),
                    *(step, min(rows, height - row), table[panel + 2], adds, turned),
                )

    return shared(sums, name)


@functools.cache
def gradient_packer(dtype_name: str):
    """Return the function that packs gradients of planes, a vector of positions at a time.

    It packs gy (samples, channels, positions) as (panels, some samples, some positions, columns),
    zeros beyond a panel's channels. `place`: the first sample, and samples; the first position, how
    many, and how many a plane has; the first panel; the pieces of each panel, which are items.
    `terms` are the numbers from 0 on.
    """
    lanes = host().lanes(np.dtype(dtype_name))
    together, ahead = min(lanes, MOST_TOGETHER), AHEAD_BYTES // np.dtype(dtype_name).itemsize
    turn = make_turn(np.dtype(dtype_name), lanes, together)

    def pack_planes(gy, packed, terms, table, place, first, last):
        sample, samples, position, count, plane, first_panel, pieces = place
        units = samples if samples > 1 else (count + lanes - 1) // lanes
        for item in range(first, last):
            number, piece = item // pieces, item % pieces
            low, high = units * piece // pieces, units * (piece + 1) // pieces
            start, stop = 0, count
            if samples == 1:
                start, stop, low, high = low * lanes, min(count, high * lanes), 0, 1
            g, p = (first_panel + number) // table[2], (first_panel + number) % table[2]
            panel = HEADER_WORDS + p * PANEL_WORDS
            columns, valid = table[panel] * lanes, table[panel + 2]
            channel, target = g * table[1] + table[panel + 1], number * table[3]
            for s in range(low, high):
                source = ((sample + s) * table[6] + channel) * plane + position
                for c in range(0, columns, together):
                    for k in range(start, stop, lanes):
                        turn(
                            *(gy, source + c * plane + k, plane, valid - c, count - k, ahead),
                            *(packed, target + c, terms, s * count + k, columns),
                        )

    return shared(pack_planes, f"{host().name}-{dtype_name}")


@functools.cache
def row_packer(dtype_name: str):
    """Return the function that packs gradients whose channels are neighbours.

    It packs gy (positions, channels) as (panels, some positions, columns), zeros beyond a panel's
    channels. `place`: the first position, and how many; the first panel; the pieces of each panel,
    which are items.
    """
    lanes = host().lanes(np.dtype(dtype_name))

    def pack_rows(gy, packed, table, place, first, last):
        position, count, first_panel, pieces = place
        for item in range(first, last):
            number, piece = item // pieces, item % pieces
            g, p = (first_panel + number) // table[2], (first_panel + number) % table[2]
            panel = HEADER_WORDS + p * PANEL_WORDS
            columns, valid = np.uint64(table[panel] * lanes), np.uint64(table[panel + 2])
            channel = g * table[1] + table[panel + 1]
            for t in range(count * piece // pieces, count * (piece + 1) // pieces):
                source = np.uint64((position + t) * table[6] + channel)
                target = np.uint64(number * table[3]) + np.uint64(t) * columns
                for c in range(valid):
                    packed[target + c] = gy[source + c]
                for c in range(valid, columns):
                    packed[target + c] = 0

    return shared(pack_rows, f"{host().name}-{dtype_name}")
