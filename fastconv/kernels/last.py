"""The loops around the micro-kernel of channels-last arrays.

    LOOP 5  samples and groups    LOOP 4  blocks of weight panels that fit the cache
    LOOP 3  rows of positions     LOOP 2  panels of the block
    LOOP 1  the tile: segments and channels

As in `kernels.gemm`, threads share items, and a sum is never split.
"""

import functools

import numpy as np

from fastconv.kernels.activate import FIRST_FINISHING, finisher
from fastconv.kernels.jit import kernel
from fastconv.kernels.parts import shared
from fastconv.kernels.row_tile import make_row_tile
from fastconv.kernels.target import host
from fastconv.kernels.tile import Shape
from fastconv.kernels.widths import any_width

PANEL_WORDS = 4
"""Words of a panel: vectors, first output channel, place in the packed weights, columns."""


def _row_places(rows: int):
    """Return the function that finds where the rows of a tile read."""

    def place_rows(places, first, position, geometry):
        """Find where rows from a flat output position on read each tap."""
        sizes, out, kernel_size, stride, before, dilation, channels = geometry
        taps = kernel_size[0] * kernel_size[1] * kernel_size[2]
        for row in range(rows):
            here = position + row
            od, oh, ow = here // (out[1] * out[2]), here // out[2] % out[1], here % out[2]
            d0 = od * stride[0] - before[0]
            h0, w0 = oh * stride[1] - before[1], ow * stride[2] - before[2]
            tap = 0
            for td in range(kernel_size[0]):
                d = d0 + td * dilation[0]
                for th in range(kernel_size[1]):
                    h = h0 + th * dilation[1]
                    for tw in range(kernel_size[2]):
                        v = w0 + tw * dilation[2]
                        inside = 0 <= d < sizes[0] and 0 <= h < sizes[1] and 0 <= v < sizes[2]
                        place = first + ((d * sizes[1] + h) * sizes[2] + v) * channels
                        places[tap * rows + row] = place if inside and od < out[0] else -1
                        tap += 1
        return taps

    return kernel(place_rows, f"{rows}")


@functools.cache
def last_loops(dtype_name: str, rows: int, widths: tuple[int, ...]):
    """Return the compiled loops over tiles of `rows` positions by any of the widths."""
    run_tile, finish = _any_width(np.dtype(dtype_name), rows, widths), finisher(dtype_name)

    place_rows = _row_places(rows)

    def conv(x, w, bias, y, table, zeros, geometry, shares, first_item, last_item):
        group_channels, outputs, x_sample, y_sample, positions = shares[:5]
        groups, panels, block, run, panel_table, segments, segments_end, group_size = shares[5:]
        out_channels = groups * outputs
        tiles = (positions + rows - 1) // rows
        runs, blocks = (tiles + run - 1) // run, (panels + block - 1) // block
        kernel_size = geometry[2]
        places = np.empty(kernel_size[0] * kernel_size[1] * kernel_size[2] * rows, np.int64)
        for item in range(first_item, last_item):
            outer, first_tile = item // runs, item % runs * run
            outer, first_panel = outer // blocks, outer % blocks * block
            last_panel = min(panels, first_panel + block)
            sample, g = outer // groups, outer % groups
            for tile in range(first_tile, min(tiles, first_tile + run)):
                position = tile * rows
                place_rows(places, sample * x_sample + g * group_channels, position, geometry)
                y_tile = sample * y_sample + position * out_channels + g * outputs
                for p in range(first_panel, last_panel):
                    panel = panel_table + p * PANEL_WORDS
                    first = table[panel + 1]
                    run_tile(
                        *(table[panel], w, g * group_size + table[panel + 2], x, zeros, places, 0),
                        *(bias, g * (outputs + 64) + first, y, y_tile + first, table),
                        *(segments, segments_end, out_channels, min(rows, positions - position)),
                        table[panel + 3],
                    )
                if table[9] >= FIRST_FINISHING:
                    first = table[panel_table + first_panel * PANEL_WORDS + 1]
                    last = panel_table + (last_panel - 1) * PANEL_WORDS
                    count = table[last + 1] + table[last + 3] - first
                    for row in range(min(rows, positions - position)):
                        finish(y, y_tile + row * out_channels + first, count, table[9])

    return shared(conv, f"{host().name}-{dtype_name}-{rows}x{widths[0]}")


def _any_width(dtype: np.dtype, rows: int, widths: tuple[int, ...]):
    target = host()
    lanes = target.lanes(dtype)
    tiles = [make_row_tile(Shape(dtype, rows, width, lanes, False)) for width in widths]
    return any_width(tiles, widths, f"rows-{target.name}-{dtype.name}-{rows}x{widths[0]}")
