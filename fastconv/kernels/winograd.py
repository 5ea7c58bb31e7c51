"""The loops of Winograd's convolution: blocks of tiles that stay in the cache from input to output.

A block is some neighbouring tiles of a plane, or all tiles of some samples. For every point its
transformed tiles are a matrix (tiles, channels), which is multiplied by the transformed weights of
that point (channels, output channels), by the micro-kernel of channels-last arrays:

    LOOP 4  blocks, of all groups and samples       LOOP 3  panels of output channels
    LOOP 2  points                                  LOOP 1  the tile: rows of the block's tiles

Input and output lie with positions side by side, the transforms' vectors hold channels: squares are
turned on the way in and out, in a scratch of one block by the channels of a vector.

What a thread computes is a range of items. *Phases* say what an item is: all of a block; or, where
blocks are few, or the weights come in chunks, first the transformed input of a block for the
channels of a vector, then the results of a block for a panel, with transformed inputs that all
threads share. Neither splits a sum, and the sums are the same.
"""

import functools

import numpy as np

from fastconv.kernels.activate import FIRST_FINISHING, finisher
from fastconv.kernels.jit import kernel
from fastconv.kernels.parts import shared
from fastconv.kernels.row_tile import make_row_tile
from fastconv.kernels.square import make_gather, make_scatter
from fastconv.kernels.target import host
from fastconv.kernels.tile import Shape
from fastconv.kernels.widths import any_width
from fastconv.kernels.winograd_tile import Winograd, make_input, make_output

HEADER = (
    "batch",
    "groups",
    "channels",
    "outputs",
    "height",
    "width",
    "before_height",
    "before_width",
    "out_height",
    "no_activation",
    "out_width",
    "activation",
    "samples",
    "blocks",
    "block_table",
    "panels",
    "panel_table",
    "segments",
    "segments_end",
    "rows_table",
    "channel_pitch",
    "point_pitch",
    "block_elements",
    "widest",
    "scratch_pitch",
    "scratch_elements",
)
"""The first integers of a table, in order; `channels` and `outputs` are of one group. The word
`no_activation`, where the micro-kernel looks for one, is 0.

A block of the table has (first row, first column, rows, columns) of tiles, and is taken of
`samples` at a time. A transformed block has `block_elements`: for every point `point_pitch`, for
every tile `channel_pitch`."""
HEADER_WORDS = len(HEADER)
BLOCK_WORDS, PANEL_WORDS = 4, 3
"""Words of a panel: vectors, first output channel, place in the packed weights per group."""
ALL, INPUTS, RESULTS = 0, 1, 2
"""Phases."""
ALIGNMENT = 64


@functools.cache
def winograd_loops(form: Winograd, rows: int, widths: tuple[int, ...]):
    """Return the compiled loops over blocks; the micro-kernel has `rows` by any of the widths."""
    transform_block = _input_loop(form)
    multiply, finish_block = multiply_loop(form, rows, widths), output_loop(form)
    lanes, points, itemsize = form.lanes, form.points, form.dtype.itemsize

    def winograd(x, w, bias, y, transformed, bad, table, shares, first_item, last_item):
        phase, first_block, first_panel, panels, w_first, group_size = shares
        channels, blocks, samples = table[2], table[13], table[12]
        vectors = (channels + lanes - 1) // lanes
        products = table[21] // table[20] * table[23] * lanes
        size = table[25] + points * (products + lanes) + ALIGNMENT // itemsize
        if phase == ALL:
            size += table[22]
        own = np.empty(size, x.dtype)
        own = own[-np.intp(own.ctypes.data) % ALIGNMENT // itemsize :]
        scratch, product = own[: table[25]], own[table[25] :]
        if phase == ALL:
            transformed = product[points * (products + lanes) :]
        for item in range(first_item, last_item):
            part, panel, panel_end = item, first_panel, first_panel + panels
            vector, vector_end, v0 = 0, vectors, 0
            if phase == INPUTS:
                part, vector = item // vectors, item % vectors
                vector_end = vector + 1
            elif phase == RESULTS:
                part, panel = item // panels, first_panel + item % panels
                panel_end = panel + 1
            if phase != ALL:
                v0 = part * table[22]
            part += first_block
            place = table[14] + part % blocks * BLOCK_WORDS
            outer = part // blocks
            chunks = (table[0] + samples - 1) // samples
            g, first = outer // chunks, outer % chunks * samples
            last = min(table[0], first + samples)
            tiles = (last - first) * table[place + 2] * table[place + 3]
            if phase != RESULTS:
                for c in range(vector, vector_end):
                    transform_block(
                        *(x, g, first, last, c * lanes, scratch, transformed, v0, table, place)
                    )
            if phase != INPUTS:
                for p in range(panel, panel_end):
                    words = table[16] + p * PANEL_WORDS
                    width = table[words]
                    w0 = w_first + g * group_size + table[words + 2]
                    multiply(
                        *(width, w, w0, channels, transformed, v0, bias, product, 0, product),
                        *(table, table[17], table[18], tiles),
                    )
                    for j in range(width):
                        oc = table[words + 1] + j * lanes
                        if oc < table[3]:
                            finish_block(
                                *(product, j * lanes, width, bias, g, oc, scratch),
                                *(y, first, last, bad, table, place),
                            )

    return shared(winograd, f"{host().name}-{form}-{rows}x{widths[0]}")


def _input_loop(form: Winograd):
    """Return the function that transforms the tiles of a block for the channels of a vector."""
    gather, transform = make_gather(form.dtype, form.lanes), make_input(form)
    (down, along), lanes = form.outputs, form.lanes
    more_rows, more_columns = form.taps[0] - 1, form.taps[1] - 1

    def transform_block(x, g, first, last, channel, scratch, transformed, v0, table, place):
        channels, height, width = table[2], table[4], table[5]
        rows, columns, pitch = table[place + 2], table[place + 3], table[24]
        top = table[place] * down - table[6]
        left = table[place + 1] * along - table[7]
        valid, plane = min(lanes, channels - channel), height * width
        target = v0 + channel
        for sample in range(first, last):
            start = ((sample * table[1] + g) * channels + channel) * plane
            for row in range(rows * down + more_rows):
                line, exist = row * pitch, 0
                if 0 <= top + row < height:
                    exist = valid
                for column in range(0, columns * along + more_columns, lanes):
                    low, high = -(left + column), width - (left + column)
                    gather(
                        *(x, start + (top + row) * width + left + column, plane),
                        *(exist, max(0, low), min(lanes, high)),
                        *(scratch, line + column * lanes, width),
                    )
            for i in range(rows):
                for j in range(columns):
                    source = i * down * pitch + j * along * lanes
                    transform(scratch, source, pitch, transformed, target, table[21])
                    target += table[20]

    return kernel(transform_block, f"{host().name}-{form}")


@functools.cache
def multiply_loop(form: Winograd, rows: int, widths: tuple[int, ...]):
    """Return the function that multiplies the transformed tiles of a block by a panel.

    Its arguments: the panel's vectors, weights, their place and for how many channels they are;
    transformed tiles and their place; zeros; products and their place; a scratch for the products
    of a point; the table, in it some segments [first, last) of the sum, and the tiles. The products
    of segments but the first are added.
    """
    lanes, points = form.lanes, form.points
    tiles = [make_row_tile(Shape(form.dtype, rows, width, lanes, False)) for width in widths]
    name = f"rows-{host().name}-{form.dtype.name}-{rows}x{widths[0]}"
    run_tile = any_width(tiles, widths, name)

    def multiply(
        width,
        w,
        w0,
        channels,
        transformed,
        v0,
        zeros,
        product,
        p0,
        added,
        table,
        first,
        last,
        tiles,
    ):
        pitch, columns = table[20], width * lanes
        apart = table[21] // pitch * columns + lanes
        # segments say where their weights are among those of all channels
        w0 -= table[first] * columns
        for point in range(points):
            source, target = v0 + point * table[21], p0 + point * apart
            sums, s0 = (product, target) if first == table[17] else (added, 0)
            for row in range(0, tiles, rows):
                run_tile(
                    *(width, w, w0 + point * (channels + 1) * columns),
                    *(transformed[source + row * pitch :], zeros, table, table[19], zeros, 0),
                    *(sums, s0 + row * columns, table, first, last),
                    *(columns, min(rows, tiles - row), columns),
                )
            if first > table[17]:
                for k in range(np.uint64(tiles * columns)):
                    product[np.uint64(target) + k] += added[k]

    return kernel(multiply, f"{host().name}-{form}-{rows}x{widths[0]}")


@functools.cache
def output_loop(form: Winograd):
    """Return the function that writes the results of a block for the channels of a vector."""
    scatter, transform = make_scatter(form.dtype, form.lanes), make_output(form)
    finish, lanes = finisher(form.dtype.name), form.lanes
    down, along = form.outputs

    def finish_block(product, p0, width, bias, g, oc, scratch, y, first, last, bad, table, place):
        outputs, height, out_width = table[3], table[8], table[10]
        rows, columns, pitch = table[place + 2], table[place + 3], table[24]
        top, left = table[place] * down, table[place + 1] * along
        apart = table[21] // table[20] * width * lanes + lanes
        valid, plane = min(lanes, outputs - oc), height * out_width
        b0 = table[23] * lanes + g * (outputs + lanes) + oc
        source = p0
        for sample in range(first, last):
            for i in range(rows):
                for j in range(columns):
                    target = i * down * pitch + j * along * lanes
                    if transform(
                        product, source, apart, bias, b0, scratch, target, pitch, table[11]
                    ):
                        bad[sample] = 1
                    source += width * lanes
            if table[11] >= FIRST_FINISHING:
                finish(scratch, 0, rows * down * pitch, table[11])
            start = ((sample * table[1] + g) * outputs + oc) * plane
            for row in range(min(rows * down, height - top)):
                end = min(columns * along, out_width - left)
                for column in range(0, end, lanes):
                    scatter(
                        *(scratch, row * pitch + column * lanes),
                        *(y, start + (top + row) * out_width + left + column, plane),
                        *(valid, min(lanes, end - column)),
                    )

    return kernel(finish_block, f"{host().name}-{form}")
