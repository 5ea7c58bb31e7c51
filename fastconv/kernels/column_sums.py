"""The loops of col2im: all that columns add to one row of the result, then the next row.

Every element of the result is written once, and its sum stays in a register, in the order of the
taps: results depend neither on threads nor on the batch. What a thread does is a range of items; an
item is some rows of one plane.
"""

import functools
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types

from fastconv.kernels.jit import intrinsic
from fastconv.kernels.parts import shared
from fastconv.kernels.target import host
from fastconv.kernels.vector import INT32, INT64, Vectors, constant, data_pointer

HEADER = (
    "channels",
    "rows",
    "width",
    "sample_step",
    "channel_step",
    "run",
    "chunks",
    "taps",
    "odd_taps",
    "lists",
    "entries",
    "tap_step",
    "stride",
)
"""The first integers of a table, in order. `taps` are those of a row; at stride 2 the `odd_taps`
after them reach the odd columns.

At the place `lists` there are for `sum_loops` where in its row of columns each tap finds what falls
on the first column of the plane; for the vectors of a row the places of their masks; and the masks,
one for each tap. For `add_loops`, three for each tap: the positions [low, high) of a row that fall
into the plane, and where the first of them falls. At the place `entries` there is where those of
each row of the plane begin, and the end; then the entries themselves: where the rows of columns
begin that are added to it, in the order of the taps."""
HEADER_WORDS = len(HEADER)


@functools.cache
def sum_loops(dtype_name: str, stride: int, vectors: int):
    """Return the compiled loops over rows of planes, for strides of 1 and 2 of the last axis.

    Their arguments: the columns, flat; the planes, flat; the table; the items [first, last).
    """
    dtype = np.dtype(dtype_name)
    lanes = host().lanes(dtype)
    sum_vectors, reach = make_sum(dtype, lanes, stride, vectors), vectors * lanes

    def sums(columns, y, table, first, last):
        channels, rows, width = table[0], table[1], table[2]
        sample_step, channel_step, run, chunks = table[3], table[4], table[5], table[6]
        taps, odd_taps, lists, starts = table[7], table[8], table[9], table[10]
        runs = (rows + run - 1) // run
        for item in range(first, last):
            plane, row = item // runs, item % runs * run
            base = plane // channels * sample_step + plane % channels * channel_step
            for r in range(row, min(rows, row + run)):
                target, left = (plane * rows + r) * width, width
                begin, end = table[starts + r], table[starts + r + 1]
                for chunk in range(chunks):
                    masks = table[lists + taps + odd_taps + chunk]
                    place = base + chunk * reach
                    sum_vectors(
                        *(columns, place, y, target, left, table, begin, end),
                        *(lists, taps, odd_taps, masks),
                    )
                    target += reach * stride
                    left -= reach * stride

    return shared(sums, f"{host().name}-{dtype_name}-{stride}-{vectors}")


@functools.cache
def add_loops(dtype_name: str, sums_name: str, stride: int):
    """Return the compiled loops over rows of planes for any dtype and any stride, given as 0.

    The arguments are those of `sum_loops`.
    """
    number = np.dtype(sums_name).type  # two kinds of integers would be added as floating point

    def add(columns, y, table, first, last):
        channels, rows, width = table[0], table[1], table[2]
        sample_step, channel_step, run = table[3], table[4], table[5]
        taps, lists, starts, step = table[7], table[9], table[10], table[12]
        runs = (rows + run - 1) // run
        for item in range(first, last):
            plane, row = item // runs, item % runs * run
            base = plane // channels * sample_step + plane % channels * channel_step
            for r in range(row, min(rows, row + run)):
                target = (plane * rows + r) * width
                for i in range(width):
                    y[np.uint64(target + i)] = 0
                for entry in range(table[starts + r], table[starts + r + 1]):
                    source = base + table[entry]
                    for tap in range(lists, lists + 3 * taps, 3):
                        low, high = table[tap], table[tap + 1]
                        place = np.uint64(target + table[tap + 2])
                        begin = np.uint64(source + low)
                        source += table[11]
                        if stride == 1:
                            for i in range(high - low):
                                y[place + np.uint64(i)] += number(columns[begin + np.uint64(i)])
                        else:
                            for i in range(high - low):
                                at = place + np.uint64(step) * np.uint64(i)
                                y[at] += number(columns[begin + np.uint64(i)])

    return shared(add, f"{host().name}-{dtype_name}-{sums_name}-{stride}")


def make_sum(dtype: np.dtype, lanes: int, stride: int, vectors: int) -> Callable:
    """Return an intrinsic that sums what falls on `stride * vectors` vectors of a row.

    Its arguments: the columns, and where those of this sample and channel begin, plus the vectors
    before these; y, a place in it and how many elements of the row are left; the table, the entries
    [begin, end), the place of its lists, the taps, the odd taps, and the place of the masks.
    """

    @intrinsic
    def sum_vectors(
        typing, columns, place, y, target, left, table, begin, end, lists, taps, odd_taps, masks
    ):
        n = types.intp
        signature = types.void(columns, n, y, n, n, table, n, n, n, n, n, n)

        def generate(context, builder, signature, arguments):
            zero = constant(0)
            columns, y, table = (
                data_pointer(context, builder, signature.args[i], arguments[i], at)
                for i, at in ((0, arguments[1]), (2, arguments[3]), (5, zero))
            )
            left, begin, end, lists, taps, odd_taps, masks = (
                arguments[i] for i in (4, 6, 7, 8, 9, 10, 11)
            )
            row = _Row(builder, Vectors(builder, dtype, lanes), vectors, columns, table)
            phases = [row.sum(begin, end, lists, masks, taps)]
            if stride == 2:
                lists, masks = builder.add(lists, taps), builder.add(masks, taps)
                phases.append(row.sum(begin, end, lists, masks, odd_taps))
            row.store(y, left, row.woven(phases))
            return context.get_dummy_value()

        return signature, generate

    return sum_vectors


class _Row:
    """Emits the sums of some vectors of a row."""

    def __init__(self, builder, vectors, count, columns, table):
        self.builder, self.vectors, self.count = builder, vectors, count
        self.columns, self.table = columns, table

    def sum(self, begin, end, lists, masks, taps):
        """Return the vectors of sums over entries [begin, end) and taps."""
        zeros = [self.vectors.zero] * self.count

        def add_entry(entry, totals):
            row = self._pointer(self.columns, entry)

            def add_tap(tap, totals):
                pointer = self._pointer(row, self.builder.add(lists, tap))
                return self._added(pointer, self._word(self.builder.add(masks, tap)), totals)

            return _loop(self.builder, constant(0), taps, totals, add_tap)

        return _loop(self.builder, begin, end, zeros, add_entry)

    def woven(self, phases):
        """Return vectors of neighbours: elements of all phases in turn."""
        if len(phases) == 1:
            return phases[0]
        lanes, found = self.vectors.lanes, []
        for even, odd in zip(*phases, strict=True):
            for half in range(2):
                order = [half * lanes // 2 + i // 2 + i % 2 * lanes for i in range(lanes)]
                places = ir.Constant(ir.VectorType(INT32, lanes), order)
                found.append(self.builder.shuffle_vector(even, odd, places))
        return found

    def store(self, y, left, found):
        """Store as much of the vectors as is left of the row."""
        for i, value in enumerate(found):
            here = constant(i * self.vectors.lanes)
            mask = self.vectors.first_lanes(self.builder.sub(left, here))
            self.vectors.masked_store(value, self.builder.gep(y, [here]), mask)

    def _added(self, pointer, bits, totals):
        lanes, added = self.vectors.lanes, []
        for i, total in enumerate(totals):
            here = self.builder.lshr(bits, constant(i * lanes)) if i else bits
            at = self.builder.gep(pointer, [constant(i * lanes)])
            value = self.vectors.masked_load(at, self.vectors.mask(here))
            added.append(self.builder.fadd(total, value))
        return added

    def _word(self, place):
        return self.builder.load(self.builder.gep(self.table, [place]))

    def _pointer(self, pointer, place):
        return self.builder.gep(pointer, [self._word(place)])


def _loop(builder, first, last, carried, body):
    """Emit a loop over [first, last) that hands values on; return them after the last round."""
    entry = builder.block
    head, inside, after = (builder.append_basic_block(name) for name in ("head", "inside", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(INT64)
    values = [builder.phi(value.type) for value in carried]
    builder.cbranch(builder.icmp_signed("<", index, last), inside, after)
    builder.position_at_end(inside)
    results = body(index, values)
    for phi, start, result in (
        (index, first, builder.add(index, constant(1))),
        *zip(values, carried, results, strict=True),
    ):
        phi.add_incoming(start, entry)
        phi.add_incoming(result, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return values
