"""The loops of im2col: one tap of a plane after the other, as copies of rows.

What a thread does is a range of items; an item is one tap of one plane, so all rows of its columns
lie behind one another. Neighbouring items read the same plane, which stays in the cache.
"""

import functools

from fastconv.kernels.jit import kernel
from fastconv.kernels.moves import MASKS, copier, filler, make_masked_move
from fastconv.kernels.parts import shared
from fastconv.kernels.target import host

HEADER = (
    "channels",
    "outer_taps",
    "inner_taps",
    "out_width",
    "plane",
    "sample_step",
    "channel_step",
    "tap_step",
    "stride",
    "dilation",
    "repeats",
)
"""The first integers of a table, in order.

After them three for every inner tap: the positions [low, high) of a row that read the input, and
the column that position 0 reads; then where the runs of every outer tap begin, and the end of the
last; where the columns under padding are, if that repeats the input; two for every run: rows, and
where the first of them begins in the plane, or -1 for rows in the padding."""
HEADER_WORDS = len(HEADER)


@functools.cache
def copy_loops(itemsize: int, stride: int):
    """Return the compiled loops over taps of planes; a stride of 0 is any above 2.

    Their arguments: x, flat; the columns, flat; an array that begins with the value of padding; the
    table; the items [first, last).
    """
    copy, fill, copy_one = copier(itemsize, stride), filler(itemsize), copier(itemsize, 1)
    name = f"{host().name}-{itemsize}-{stride}"

    def fill_ends(x, source, y, target, value, table, tap, low, high):
        """Fill what one row has in the padding."""
        width, step, repeats = table[3], table[8], table[10]
        if not repeats:
            fill(value, 0, y, target, low, 1)
            fill(value, 0, y, target + high, width - high, 1)
            return
        place = HEADER_WORDS + 3 * table[2] + table[1] + 1 + tap * table[9]
        for o in range(width):
            if o < low or o >= high:
                copy_one(x, source + table[place + o * step], y, target + o, 1, 1)

    fill_ends = kernel(fill_ends, name, inline=True)

    def copies(x, y, value, table, first, last):
        channels, outer_taps, inner_taps, width, plane = (
            table[0],
            table[1],
            table[2],
            table[3],
            table[4],
        )
        sample_step, channel_step, tap_step, step = table[5], table[6], table[7], table[8]
        taps = outer_taps * inner_taps
        starts = HEADER_WORDS + 3 * inner_taps
        for item in range(first, last):
            outer, tap = item // taps, item % taps
            target = outer // channels * sample_step + outer % channels * channel_step
            target += tap * tap_step
            row_tap, tap = tap // inner_taps, tap % inner_taps
            about = HEADER_WORDS + 3 * tap
            low, high, shift = table[about], table[about + 1], table[about + 2]
            inside = low < high
            whole = low == 0 and high == width
            for place in range(table[starts + row_tap], table[starts + row_tap + 1], 2):
                rows, source = table[place], outer * plane + table[place + 1]
                if table[place + 1] < 0:
                    fill(value, 0, y, target, rows * width, 1)
                    target += rows * width
                    continue
                if inside:
                    count = (rows - 1) * width + high - low
                    copy(x, source + shift + low * step, y, target + low, count, step)
                if whole:
                    target += rows * width
                    continue
                for _ in range(rows):
                    fill_ends(x, source, y, target, value, table, tap, low, high)
                    target += width
                    source += width

    return shared(copies, name)


MASKED_HEADER = (
    "channels",
    "outer_taps",
    "inner_taps",
    "rows",
    "width",
    "plane",
    "sample_step",
    "channel_step",
    "tap_step",
)
"""The first integers of the table of `masked_loops`, in order.

After them where in a row of the plane position 0 reads each inner tap; the masks of every vector
of a row, for each inner tap; and for each outer tap where in the plane its rows begin, or -1."""


@functools.cache
def masked_loops(itemsize: int, stride: int):
    """Return the compiled loops over taps of planes that read vectors of positions under masks.

    For strides of 1 and 2. The arguments are those of `copy_loops`.
    """
    lanes, words = host().vector_bytes // itemsize, len(MASKED_HEADER)
    each = MASKS[stride]
    move, fill = make_masked_move(itemsize, lanes, stride), filler(itemsize)

    def masked(x, y, value, table, first, last):
        channels, outer_taps, inner_taps, rows = table[0], table[1], table[2], table[3]
        width, plane, sample_step, channel_step = table[4], table[5], table[6], table[7]
        taps, chunks = outer_taps * inner_taps, (width + lanes - 1) // lanes
        sources = words + inner_taps * (1 + chunks * each)
        for item in range(first, last):
            outer, tap = item // taps, item % taps
            target = outer // channels * sample_step + outer % channels * channel_step
            target += tap * table[8]
            row, tap = sources + tap // inner_taps * rows, tap % inner_taps
            begin = outer * plane + table[words + tap]
            masks = words + inner_taps + tap * chunks * each
            for r in range(row, row + rows):
                if table[r] < 0:
                    fill(value, 0, y, target, width, 1)
                else:
                    source, mask = begin + table[r], masks
                    for done in range(0, width, lanes):
                        move(x, source, y, target + done, value, table, mask, width - done)
                        source += lanes * stride
                        mask += each
                target += width

    return shared(masked, f"{host().name}-{itemsize}-{stride}")
