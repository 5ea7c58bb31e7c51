"""The loops of pools: bands of output rows, each row folded to a line and reduced along it.

What a thread computes is a range of items: a part of the columns of a band of rows of one output
slab. Every row is computed alone, so results do not depend on how items are dealt out.
"""

import functools

import numpy as np

from fastconv.kernels.jit import kernel
from fastconv.kernels.parts import shared
from fastconv.kernels.pool_fold import Fold, Slide, make_fold, make_slide
from fastconv.kernels.pool_near import Near, make_near
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
    "down_stride",
    "alike_top",
    "alike_end",
)
"""The first integers of a table, in order.

`row` and `out_row` are elements of a row; rows of a window lie `down` elements apart and its slabs
`deeper`; `inner` are elements of a position. There are `bands` of `rows`, and `parts` of columns. A
line has `length` elements, the scratch for rows that are reduced over the depth `slab`. Of channels
last, `together` positions are reduced at a time, `step` elements of a line from one to the next. So
many columns before and after the others have windows without any element. From one output row to
the next are `down_stride` input rows; the output rows from `alike_top` to `alike_end` have all rows
of their windows.

After them, for every output slab, its first input slab, and then how many of them; the same for
rows; the parts, `PART` and then a word for each phase; and the offsets of the taps."""
HEADER_WORDS = len(HEADER)
PART = ("first", "count", "column", "columns", "lead")
"""The first words of a part: its first output position and their number, the same of columns, and
how many elements of the first window lie before those."""
PART_WORDS = len(PART)
ZERO = HEADER.index("zero")
ALIGNMENT = 64


@functools.cache
def pool_loops(reduction: Reduction, phases: int, step: int, how: tuple[str, ...]):
    """Return the compiled loops of a pool.

    `phases` and `step` are those of its lines; `how` may hold "last" (of channels last), "deep"
    (windows have more than one slab), or "near" (windows are small: there is no line, and `phases`
    and `step` are stride and taps).
    """
    variant = "-".join((host().name, reduction.variant, str(phases), str(step), *how))
    deep, skips = "deep" in how, reduction.skip_nan
    make_band = _near if "near" in how else _positions if "last" in how else _along
    do_band = kernel(make_band(reduction, phases, step), variant, inline=True)
    phases = 1 if "near" in how else phases
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
        for item in range(first_item, last_item):
            part = list_parts + item % parts * (PART_WORDS + phases)
            outer, band = item // parts // table[10], item // parts % table[10]
            plane, od = outer // out_depth, outer % out_depth
            top = band * table[9]
            bottom = min(top + table[9], out_height)
            if item == first_item or parts > 1:
                for i in range(length):
                    scratch[np.uint64(origin + i)] = identity
            depth = table[slabs + out_depth + od]
            base = (plane * table[0] + table[slabs + od]) * table[1] * row
            here = (base, outer, od, depth, top, bottom)
            if deep and depth > 1:
                slab = origin + length
                low = fold_depth(x, base, depth, table, scratch, slab, list_rows, top, bottom)
                here = (slab - low * row, outer, od, depth, top, bottom)
                do_band(scratch, here, scratch, origin, table, part, y, divisors)
            else:
                do_band(x, here, scratch, origin, table, part, y, divisors)
            if skips:
                mark_empty(y, here, table, part, list_rows + out_height)

    return shared(rows, variant)


# Functions of a band. Their arguments: the source; the place of its first slab under the band, the
# output slab of all and of its plane, the slabs under it, the first output row and the end; the
# line and its place; the table, and where it has the part; the result; the divisors. Arrays go from
# here to generated code only: to hand them on for each row would cost as much as a short row.


def _near(reduction, stride, taps):
    """Return the function of a band of small windows."""
    fast = make_near(Near(reduction, taps, stride, careful=False))
    careful = make_near(Near(reduction, taps, stride))
    mean, keeps_nan = reduction.kind == "mean", reduction.keeps_nan

    def near(source, here, line, origin, table, part, y, divisors):
        base, outer, od, depth, top, bottom = here
        row, down, out_depth, out_height = table[2], table[3], table[5], table[6]
        rows, masks = HEADER_WORDS + 2 * out_depth, table[part + PART_WORDS]
        own, factor = out_depth + out_height + table[part], divisors[0]
        target = (outer * out_height + top) * table[7] + table[part]
        step, oh = table[20] * row, top
        while oh < bottom:
            count = table[rows + out_height + oh] if depth else 0
            place = base + table[rows + oh] * row + table[part + 2]
            if mean:
                factor = divisors[od] * divisors[out_depth + oh]
            alike = min(bottom, table[22]) - oh if depth and oh >= table[21] else 1
            alike = max(1, alike)
            suspicious = fast(
                *(source, place, count, down, alike, step, table[7], table, part, masks),
                *(y, target, divisors, own, factor),
            )
            if keeps_nan and suspicious:
                careful(
                    *(source, place, count, down, alike, step, table[7], table, part, masks),
                    *(y, target, divisors, own, factor),
                )
            target += alike * table[7]
            oh += alike

    return near


def _along(reduction, phases, step):
    """Return the function of a band of channels first."""
    fold, slide = make_fold(Fold(reduction, phases)), make_slide(Slide(reduction, step))
    mean = reduction.kind == "mean"

    def along(source, here, line, origin, table, part, y, divisors):
        base, outer, od, depth, top, bottom = here
        row, down, out_depth, out_height = table[2], table[3], table[5], table[6]
        rows, taps, outputs, columns = (
            HEADER_WORDS + 2 * out_depth,
            table[12],
            table[part + 1],
            table[part + 3],
        )
        offsets = rows + 2 * out_height + table[11] * (PART_WORDS + phases)
        own, factor = out_depth + out_height + table[part], divisors[0]
        target = (outer * out_height + top) * table[7] + table[part]
        for oh in range(top, bottom):
            count = table[rows + out_height + oh] if depth else 0
            place = base + table[rows + oh] * row + table[part + 2]
            fold(source, place, count, down, columns, line, origin, table, part + PART_WORDS)
            if mean:
                factor = divisors[od] * divisors[out_depth + oh]
            slide(line, origin, table, offsets, taps, y, target, outputs, divisors, own, factor)
            target += table[7]

    return along


def _positions(reduction, phases, step):
    """Return the function of a band of channels last: all channels of a position at a time."""
    fold, slide = make_fold(Fold(reduction)), make_slide(Slide(reduction, shared=True))
    mean = reduction.kind == "mean"

    def positions(source, here, line, origin, table, part, y, divisors):
        base, outer, od, depth, top, bottom = here
        row, down, out_depth, out_height = table[2], table[3], table[5], table[6]
        inner, taps, outputs, columns = table[8], table[12], table[part + 1], table[part + 3]
        rows, together = HEADER_WORDS + 2 * out_depth, table[15]
        offsets = rows + 2 * out_height + table[11] * (PART_WORDS + phases)
        own, factor = out_depth + out_height + table[part], divisors[0]
        target = (outer * out_height + top) * table[7] + table[part] * inner
        for oh in range(top, bottom):
            count = table[rows + out_height + oh] if depth else 0
            place = base + table[rows + oh] * row + table[part + 2]
            fold(source, place, count, down, columns, line, origin, table, part + PART_WORDS)
            for i in range(0, outputs, together):
                if mean:
                    factor = divisors[od] * divisors[out_depth + oh] * divisors[own + i]
                left, results = origin + i * table[16], min(together, outputs - i) * inner
                first = target + i * inner
                slide(line, left, table, offsets, taps, y, first, results, divisors, 0, factor)
            target += table[7]

    return positions


def _fold_depth(reduction):
    """Return a function that reduces the rows under a band over the depth.

    Its arguments: the input and the place of the first slab; the slabs; the table; the scratch and
    the place of the result; where the table has the rows; the first output row, and the end. It
    returns the first input row that it reduced.
    """
    fold = make_fold(Fold(reduction))

    def fold_depth(x, base, slabs, table, scratch, slab, list_rows, top, bottom):
        row, down, out_height = table[2], table[3], table[6]
        low, high = table[1], 0
        for oh in range(top, bottom):
            count, first = table[list_rows + out_height + oh], table[list_rows + oh]
            if count:
                low = min(low, first)
                high = max(high, first + (count - 1) * down // row + 1)
        columns = max(0, high - low) * row
        fold(x, base + low * row, slabs, table[4], columns, scratch, slab, table, ZERO)
        return low

    return fold_depth


def _mark_empty(reduction):
    """Return a function that sets what windows without any element give, in one band."""
    nothing = reduction.nothing

    def mark_empty(y, here, table, part, counts):
        _, outer, _, depth, top, bottom = here
        inner, first = table[8], table[part]
        before, after = table[17], table[7] // inner - table[18]
        for oh in range(top, bottom):
            target = (outer * table[6] + oh) * table[7]
            empty = depth == 0 or table[counts + oh] == 0
            for q in range(first, first + table[part + 1]):
                if empty or q < before or q >= after:
                    for i in range(q * inner, (q + 1) * inner):
                        y[target + i] = nothing

    return mark_empty
