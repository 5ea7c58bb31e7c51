"""The loops of depthwise convolution: bands of output rows, each channel on its own.

A band is `rows` neighbouring rows of one output plane; the last band of a plane may overlap the one
before, which gives the same values again. What a thread computes is a range of bands; a sum is
never split, so results do not depend on how bands are dealt out.
"""

import functools

import numpy as np

from fastconv.kernels.depthwise_tile import Dense, Listed, make_copy, make_dense, make_listed
from fastconv.kernels.jit import kernel
from fastconv.kernels.parts import shared
from fastconv.kernels.target import host

HEADER = (
    "channels",
    "multiplier",
    "depth",
    "height",
    "width",
    "out_depth",
    "out_height",
    "out_width",
    "stride_depth",
    "stride_height",
    "stride_width",
    "before_depth",
    "before_height",
    "before_width",
    "dilation_height",
    "dilation_width",
    "taps",
    "groups",
    "lines",
    "row_step",
    "phases",
    "pitch",
    "phase_pitch",
    "reach",
    "segment",
)
"""The first integers of a table, in order; those from `groups` on describe the scratch.

It has `groups` of `lines`, copies of input rows `row_step` apart, `pitch` elements each, in which
`phases` lie `phase_pitch` apart; `reach` is the places from a window's first tap to its last.

After them (depth, row) of every group, the phases, and the place of every tap for every row."""
HEADER_WORDS = len(HEADER)
ALIGNMENT = 64


@functools.cache
def dense_loops(tile: Dense):
    """Return the compiled loops over bands of a 2-D problem that read the input in place."""
    run_tile, rows = make_dense(tile), tile.rows

    def bands(x, zeros, w, bias, y, table, first_band, last_band):
        channels, multiplier, height, width = table[0], table[1], table[3], table[4]
        out_height, out_width = table[6], table[7]
        # Rows as far apart as the taps share lines as neighbours do where taps are neighbours.
        apart = table[14]
        fewest, longer = out_height // apart, out_height % apart
        per_phase = ((out_height + apart - 1) // apart + rows - 1) // rows
        per_plane = per_phase * apart
        plane, phase = first_band // per_plane, first_band % per_plane // per_phase
        band, channel = first_band % per_phase, plane % channels
        for _ in range(first_band, last_band):
            phase_rows = fewest + 1 if phase < longer else fewest
            top = min(band * rows, phase_rows - rows) * apart + phase
            for j in range(multiplier):
                oc = channel * multiplier + j
                row = (plane * multiplier + j) * out_height + top
                run_tile(
                    *(x, plane * height * width, height, width),
                    *(top * table[9] - table[12], -table[13], apart, table[15], zeros),
                    *(w, oc * table[16], bias, oc),
                    *(y, row * out_width, out_width, out_width * apart),
                )
            # Divisions would cost as much as a small plane.
            band += 1
            if band == per_phase:
                band, phase = 0, phase + 1
            if phase == apart:
                phase, plane, channel = 0, plane + 1, channel + 1
            if channel == channels:
                channel = 0

    taps = "x".join(map(str, tile.kernel))
    kind = f"{tile.stride}{'-dilated' if tile.dilated else ''}-{tile.activation}"
    return shared(bands, f"{host().name}-{tile.dtype.name}-{rows}x{tile.vectors}-{taps}-{kind}")


@functools.cache
def listed_loops(tile: Listed, column_stride: int):
    """Return the compiled loops over bands of any problem; a column stride of 0 is any above 2."""
    copy_band, run_tile = _copy_band(tile, column_stride), make_listed(tile)
    rows, itemsize = tile.rows, tile.dtype.itemsize

    def bands(x, zeros, w, bias, y, table, first_band, last_band):
        channels, multiplier, taps = table[0], table[1], table[16]
        out_depth, out_height, out_width, segment = table[5], table[6], table[7], table[24]
        per_slice = (out_height + rows - 1) // rows
        scratch = np.empty(table[17] * table[18] * table[21] + ALIGNMENT // itemsize, x.dtype)
        origin = -np.intp(scratch.ctypes.data) % ALIGNMENT // itemsize
        places = HEADER_WORDS + 2 * table[17] + table[20]
        for band in range(first_band, last_band):
            outer, top = band // per_slice, min(band % per_slice * rows, out_height - rows)
            plane, z = outer // out_depth, outer % out_depth
            for left in range(0, out_width, segment):
                columns = min(segment, out_width - left)
                copy_band(x, plane, z, top, left, columns, scratch, origin, table)
                for j in range(multiplier):
                    oc = plane % channels * multiplier + j
                    row = ((plane * multiplier + j) * out_depth + z) * out_height + top
                    run_tile(
                        *(scratch, origin, table, places, taps, w, oc * taps, bias, oc),
                        *(y, row * out_width + left, columns, out_width),
                    )

    shape = f"{rows}x{tile.vectors}-{tile.activation}"
    return shared(bands, f"any-{host().name}-{tile.dtype.name}-{shape}-{column_stride}")


def _copy_band(tile: Listed, column_stride: int):
    """Return a function that copies the input under a segment into the scratch, with its padding.

    Its arguments: x, the plane, the first output depth, row and column; the columns; the scratch
    and its origin; the table.
    """
    copy_line = _copy_line(tile, column_stride) if column_stride else _copy_phases(tile)
    lanes, zero = tile.lanes, tile.dtype.type(0)

    def copy_band(x, plane, z, top, left, columns, scratch, origin, table):
        depth, height, width = table[2], table[3], table[4]
        groups, lines, step, pitch = table[17], table[18], table[19], table[21]
        start = left * table[10] - table[13]
        vectors = (columns + table[23] + lanes - 1) // lanes
        place = origin
        for group in range(groups):
            iz = z * table[8] - table[11] + table[HEADER_WORDS + 2 * group]
            iy = top * table[9] - table[12] + table[HEADER_WORDS + 2 * group + 1]
            for _ in range(lines):
                if 0 <= iz < depth and 0 <= iy < height:
                    source = ((plane * depth + iz) * height + iy) * width
                    copy_line(x, source, start, width, scratch, place, vectors, table)
                else:
                    for i in range(pitch):
                        scratch[np.uint64(place + i)] = zero
                place += pitch
                iy += step

    name = f"{host().name}-{tile.dtype.name}-{column_stride}"
    return kernel(copy_band, name, inline=True)


def _copy_line(tile: Listed, column_stride: int):
    """Return a function that copies an input row into a line, for a column stride of 1 or 2.

    Its arguments: x, the place of the row, the column to begin at (negative in the padding), the
    width; the scratch, the place of the line, the vectors to write of each phase; the table.
    """
    copy_whole, copy_part = (
        make_copy(tile.dtype, tile.lanes, column_stride, part=part) for part in (False, True)
    )
    lanes, span = tile.lanes, tile.lanes * column_stride

    def copy_line(x, source, start, width, scratch, place, vectors, table):
        distance = table[22]
        for _ in range(vectors):
            if start >= 0 and start + span <= width:
                copy_whole(x, source, start, width, scratch, place, distance)
            else:
                copy_part(x, source, start, width, scratch, place, distance)
            start += span
            place += lanes

    name = f"{host().name}-{tile.dtype.name}-{column_stride}"
    return kernel(copy_line, name, inline=True)


def _copy_phases(tile: Listed):
    """Return `copy_line` for wider strides: element by element."""
    lanes, zero = tile.lanes, tile.dtype.type(0)

    def copy_line(x, source, start, width, scratch, place, vectors, table):
        stride = table[10]
        for phase in range(table[20]):
            column = start + table[HEADER_WORDS + 2 * table[17] + phase]
            target = np.uint64(place + phase * table[22])
            for _ in range(vectors * lanes):
                inside = 0 <= column < width
                scratch[target] = x[np.uint64(source + column)] if inside else zero
                target += np.uint64(1)
                column += stride

    return kernel(copy_line, f"{host().name}-{tile.dtype.name}-0", inline=True)
