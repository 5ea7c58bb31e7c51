"""The loops of pools: bands of output rows, each row folded to a line and reduced along it.

What a thread computes is a range of items: a part of the columns of a band of rows of one output
slab. Every row is computed alone, so results do not depend on how items are dealt out.
"""

import functools

import numpy as np

from fastconv.kernels.jit import kernel
from fastconv.kernels.parts import shared
from fastconv.kernels.pool_fold import Fold, Slide, make_block, make_fold, make_slide
from fastconv.kernels.reduction import Reduction
from fastconv.kernels.target import host

HEADER = (
    "depth",
    "height",
    "row",
    "down",
    "deeper",
    "out_depth",
    "out_height",
    "out_row",
    "inner",
    "rows",
    "bands",
    "parts",
    "taps",
    "length",
    "slab",
    "together",
    "step",
    "empty_before",
    "empty_after",
    "zero",
)
"""The first integers of a table, in order.

`row` and `out_row` are elements of a row; rows of a window lie `down` elements apart and its slabs
`deeper`; `inner` are elements of a position. There are `bands` of `rows`, and `parts` of columns. A
line has `length` elements, the scratch for rows that are reduced over the depth `slab`. Of channels
last, `together` positions are reduced at a time, `step` elements of a line from one to the next. So
many columns before and after the others have windows without any element.

After them, for every output slab, its first input slab, and then how many of them; the same for
rows; the parts, `PART` and then a word for each phase; and the offsets of the taps."""
HEADER_WORDS = len(HEADER)
PART = ("first", "count", "column", "columns")
"""The first words of a part: its first output position and their number, the same of columns."""
PART_WORDS = len(PART)
ZERO = HEADER.index("zero")
ALIGNMENT = 64


@functools.cache
def pool_loops(reduction: Reduction, phases: int, step: int, how: tuple[str, ...]):
    """Return the compiled loops of a pool.

    `phases` and `step` are those of its lines; `how` may hold "blocks" (there is no line), "last"
    (of channels last), "deep" (windows have more than one slab).
    """
    variant = "-".join((host().name, reduction.variant, str(phases), str(step), *how))
    mean, deep, skips = reduction.kind == "mean", "deep" in how, reduction.skip_nan
    make_row = _in_blocks if "blocks" in how else _positions if "last" in how else _along
    do_row = kernel(make_row(reduction, phases, step), variant, inline=True)
    fold_depth = kernel(_fold_depth(reduction), variant, inline=True)
    mark_empty = kernel(_mark_empty(reduction), variant, inline=True)
    identity, itemsize = reduction.identity, reduction.dtype.itemsize

    def rows(x, y, divisors, table, first_item, last_item):
        row, out_depth, out_height, parts = table[2], table[5], table[6], table[11]
        length = table[13]
        slabs = HEADER_WORDS
        list_rows = slabs + 2 * out_depth
        list_parts = list_rows + 2 * out_height
        scratch = np.empty(length + table[14] + ALIGNMENT // itemsize, x.dtype)
        origin = -np.intp(scratch.ctypes.data) % ALIGNMENT // itemsize
        line, slab = scratch[origin:], scratch[origin + length :]
        factor = divisors[0]
        for item in range(first_item, last_item):
            part = list_parts + item % parts * (PART_WORDS + phases)
            outer, band = item // parts // table[10], item // parts % table[10]
            plane, od = outer // out_depth, outer % out_depth
            top = band * table[9]
            bottom = min(top + table[9], out_height)
            if item == first_item or parts > 1:
                for i in range(length):
                    line[np.uint64(i)] = identity
            source, depth = x, table[slabs + out_depth + od]
            base = (plane * table[0] + table[slabs + od]) * table[1] * row
            if deep and depth > 1:
                low = fold_depth(x, base, depth, table, slab, list_rows, top, bottom)
                source, base = slab, -low * row
            for oh in range(top, bottom):
                count = table[list_rows + out_height + oh] if depth else 0
                place = base + table[list_rows + oh] * row + table[part + 2]
                target = (outer * out_height + oh) * table[7] + table[part] * table[8]
                own = out_depth + out_height + table[part]
                if mean:
                    factor = divisors[od] * divisors[out_depth + oh]
                do_row(source, place, count, line, table, part, y, target, divisors, own, factor)
                if skips:
                    mark_empty(y, target, count, table, part)

    return shared(rows, variant)


def _in_blocks(reduction, phases, step):
    """Return the function of one row whose windows are what is at one place of all phases.

    Its arguments: the source and the place of the first column of the first row under it; how many
    rows are under it; the line; the table, and where it has the part of the row; the result and the
    place of the first; divisors, the place of the first column's, and a factor of all.
    """
    block = make_block(Fold(reduction, phases))

    def in_blocks(source, place, count, line, table, part, y, target, divisors, own, factor):
        block(
            *(source, place, count, table[3], table[part + 3]),
            *(y, target, table[part + 1], divisors, own, factor),
        )

    return in_blocks


def _along(reduction, phases, step):
    """Return the function of one row of channels first."""
    fold, slide = make_fold(Fold(reduction, phases)), make_slide(Slide(reduction, step))

    def along(source, place, count, line, table, part, y, target, divisors, own, factor):
        fold(source, place, count, table[3], table[part + 3], line, 0, table, part + PART_WORDS)
        slide(
            *(line, 0, table, _offsets(table, phases), table[12]),
            *(y, target, table[part + 1], divisors, own, factor),
        )

    return along


def _positions(reduction, phases, step):
    """Return the function of one row of channels last: all channels of a position at a time."""
    fold, slide = make_fold(Fold(reduction)), make_slide(Slide(reduction, shared=True))
    mean = reduction.kind == "mean"

    def positions(source, place, count, line, table, part, y, target, divisors, own, factor):
        fold(source, place, count, table[3], table[part + 3], line, 0, table, part + PART_WORDS)
        inner, together, outputs = table[8], table[15], table[part + 1]
        for i in range(0, outputs, together):
            divisor = factor * divisors[own + i] if mean else factor
            slide(
                *(line, i * table[16], table, _offsets(table, phases), table[12]),
                *(y, target + i * inner, min(together, outputs - i) * inner),
                *(divisors, 0, divisor),
            )

    return positions


def _offset_place(table, phases):
    lists = 2 * (table[5] + table[6])
    return HEADER_WORDS + lists + table[11] * (PART_WORDS + phases)


_offsets = kernel(_offset_place, inline=True)


def _fold_depth(reduction):
    """Return a function that reduces the rows under a band over the depth.

    Its arguments: the input and the place of the first slab; the slabs; the table; the scratch;
    where the table has the rows; the first output row, and the end. It returns the first input row
    that it reduced.
    """
    fold = make_fold(Fold(reduction))

    def fold_depth(x, base, slabs, table, scratch, list_rows, top, bottom):
        row, down, out_height = table[2], table[3], table[6]
        low, high = table[1], 0
        for oh in range(top, bottom):
            count, first = table[list_rows + out_height + oh], table[list_rows + oh]
            if count:
                low = min(low, first)
                high = max(high, first + (count - 1) * down // row + 1)
        columns = max(0, high - low) * row
        fold(x, base + low * row, slabs, table[4], columns, scratch, 0, table, ZERO)
        return low

    return fold_depth


def _mark_empty(reduction):
    """Return a function that sets what windows without any element give, in one row."""
    nothing = reduction.nothing

    def mark_empty(y, target, count, table, part):
        inner, first = table[8], table[part]
        before, after = table[17], table[7] // inner - table[18]
        for q in range(first, first + table[part + 1]):
            if count == 0 or q < before or q >= after:
                for i in range((q - first) * inner, (q - first + 1) * inner):
                    y[target + i] = nothing

    return mark_empty
