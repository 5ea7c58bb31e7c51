"""Generated code for small windows: one output row in one pass, without a line.

Input rows are folded a block of columns at a time, sorted by phase in registers, and what the
windows of a block need of the one before is still in registers too: tap t of output q is element
`q * stride + t`, and blocks begin at the element that the last taps of the first windows begin at.

Maxima and minima that keep NaN take three instructions a step. So a row is done with one at first,
and all its elements are added up, on other units of the CPU. Where that gives NaN, as it does where
any element is NaN or infinities meet, the row is done again with care.
"""

import functools
from dataclasses import dataclass

from numba import types
from numba.core import cgutils

from fastconv.kernels.jit import intrinsic
from fastconv.kernels.pool_fold import COMMON_ROWS, Results
from fastconv.kernels.reduction import Reducer, Reduction
from fastconv.kernels.vector import INT64, constant, data_pointer

COUNT, COLUMNS, LEAD = 1, 3, 4
"""Words of a part of a row: its outputs, its columns, and how many elements of the first window lie
before those."""


@dataclass(frozen=True)
class Near:
    """A window of `taps` neighbouring columns, not less than the stride.

    Unless `careful`, NaN may be lost, and whether there might be any is found out.
    """

    reduction: Reduction
    taps: int
    stride: int
    careful: bool = True

    @property
    def ahead(self) -> int:
        """Elements between the first tap of a window and the block in which it ends."""
        return self.taps - self.stride

    def place(self, tap: int) -> tuple[int, int]:
        """Return the phase that has a tap, and how many lanes before its output's."""
        steps, phase = divmod(tap - self.ahead, self.stride)
        return phase, -steps


def make_near(near: Near):
    """Return an intrinsic that computes one output row; it returns whether there might be NaN.

    Its arguments: the source and the place of its first column under the row; the number of rows,
    and the distance of one to the next; the table, and where it has the part of the row; where it
    has the masks of every block; the result and its place; divisors, the place of the first, and a
    factor of all of them.
    """

    @intrinsic
    def run(typing, x, x0, rows, pitch, table, part, masks, y, y0, divisors, d0, factor):
        n = types.intp
        signature = types.int64(x, n, n, n, table, n, n, y, n, divisors, n, factor)

        def emit(context, builder, signature, arguments):
            def pointer(array, place):
                kind, value = signature.args[array], arguments[array]
                return data_pointer(context, builder, kind, value, arguments[place])

            source, part, masks, y, divisors = map(pointer, (0, 4, 4, 7, 9), (1, 5, 6, 8, 10))
            reducer = Reducer(builder, near.reduction, careful=near.careful)
            count = builder.load(builder.gep(part, [constant(COUNT)]))
            ends = Results(reducer, y, count, (divisors, arguments[11]), shared=False)
            return _Walk(near, reducer, source, (*arguments[2:4], part, masks), ends).run()

        return signature, emit

    return run


class _Walk:
    """Writes the code of one row."""

    def __init__(self, near, reducer, source, place, ends):
        self.near, self.reducer, self.builder = near, reducer, reducer.builder
        self.rows, self.pitch, part, self.masks = place
        self.ends = ends
        self.lead, columns = (
            self.builder.load(self.builder.gep(part, [constant(word)])) for word in (LEAD, COLUMNS)
        )
        self.end = self.builder.add(self.lead, columns)
        self.origin = self.builder.gep(source, [self.builder.neg(self.lead)])
        self.check = cgutils.alloca_once(self.builder, reducer.type)

    def run(self):
        """Write a loop for each common number of rows, and one for all others."""
        builder = self.builder
        builder.store(self.reducer.zero, self.check)
        common = COMMON_ROWS if self.reducer.fast or not self.reducer.checks else ()
        done = builder.append_basic_block("row.done")
        for rows in common:
            this, other = (builder.append_basic_block(name) for name in ("rows", "other"))
            same = builder.icmp_signed("==", self.rows, constant(rows))
            builder.cbranch(same, this, other)
            builder.position_at_end(this)
            self._blocks(rows)
            builder.branch(done)
            builder.position_at_end(other)
        self._blocks(None)
        builder.branch(done)
        builder.position_at_end(done)
        if not self.reducer.fast:
            return constant(0)
        check = builder.load(self.check)
        return builder.zext(self.reducer.any_nan(check), INT64)

    def _blocks(self, rows):
        builder, reducer, near = self.builder, self.reducer, self.near
        lanes, words = reducer.lanes, near.stride + 1
        before = self._before(rows)
        vectors = [cgutils.alloca_once(builder, reducer.type) for _ in range(near.stride)]
        blocks = builder.sdiv(builder.add(self.ends.count, constant(lanes - 1)), constant(lanes))
        with cgutils.for_range(builder, blocks) as loop:
            index = builder.mul(loop.index, constant(lanes))
            first = builder.add(builder.mul(index, constant(near.stride)), constant(near.ahead))
            place = builder.gep(self.masks, [builder.mul(loop.index, constant(words))])
            bits = [builder.load(builder.gep(place, [constant(word)])) for word in range(words)]
            every = functools.reduce(builder.and_, bits[1:])
            whole = builder.icmp_signed("==", every, constant(-1))
            with builder.if_else(whole) as (whole, part):
                with whole:
                    self._fold(first, rows, [None] * near.stride, vectors)
                with part:
                    self._fold(first, rows, [reducer.mask(word) for word in bits[1:]], vectors)
            phases = reducer.phases([builder.load(vector) for vector in vectors])
            value = self._windows(phases, before)
            for phase, vector in before.items():
                builder.store(phases[phase], vector)
            self.ends.store_by(value, index, bits[0])

    def _fold(self, first, rows, masks, vectors):
        """Reduce the rows of a block, and store its vectors."""
        builder, reducer = self.builder, self.reducer
        pointer = builder.gep(self.origin, [first])
        if rows is None:
            for vector in vectors:
                builder.store(reducer.identity, vector)
            with cgutils.for_range(builder, self.rows) as loop:
                found = self._row(pointer, loop.index, masks)
                for vector, value in zip(vectors, found, strict=True):
                    total = reducer.combine(builder.load(vector), value)
                    builder.store(total, vector)
                self._look(found, masks)
            return
        found = [self._row(pointer, constant(row), masks) for row in range(rows)]
        for vector, column in zip(vectors, zip(*found, strict=True), strict=True):
            builder.store(functools.reduce(reducer.combine, column), vector)
        for mask, column in zip(masks, zip(*found, strict=True), strict=True):
            self._look(column, [mask])

    def _row(self, pointer, row, masks):
        """Load the vectors of one row."""
        builder, reducer = self.builder, self.reducer
        start = builder.mul(row, self.pitch)
        places = (
            builder.add(start, constant(number * reducer.lanes)) for number in range(len(masks))
        )
        return [
            reducer.read(builder.gep(pointer, [place]), mask)
            for place, mask in zip(places, masks, strict=True)
        ]

    def _look(self, values, masks):
        """Add vectors to what is looked at in the end: of one mask, or each of its own."""
        if not self.reducer.fast:
            return
        builder = self.builder
        check = builder.load(self.check)
        if len(masks) == 1:
            values = [functools.reduce(builder.fadd, values)]
        for value, mask in zip(values, masks, strict=True):
            total = builder.fadd(check, value)
            check = total if mask is None else builder.select(mask, total, check)
        builder.store(check, self.check)

    def _windows(self, phases, before):
        """Reduce the taps: those of lanes before, from the phase as the last block had it."""
        builder, reducer, near = self.builder, self.reducer, self.near
        total = None
        for tap in range(near.taps):
            phase, back = near.place(tap)
            value = phases[phase]
            if back:
                order = range(reducer.lanes - back, 2 * reducer.lanes - back)
                earlier = builder.load(before[phase])
                value = builder.shuffle_vector(earlier, value, reducer.order(order))
            total = value if total is None else reducer.combine(total, value)
        return total

    def _before(self, rows):
        """Return what is before the first block, by phase: the lanes that its windows reach."""
        builder, reducer, near = self.builder, self.reducer, self.near
        needed = {}
        for tap in range(near.taps):
            phase, back = near.place(tap)
            needed[phase] = max(back, needed.get(phase, 0))
        found = {}
        for phase, most in needed.items():
            if not most:
                continue
            found[phase] = cgutils.alloca_once(builder, reducer.type)
            builder.store(reducer.identity, found[phase])
            for back in range(1, most + 1):
                self._single(found[phase], near.ahead - back * near.stride + phase, -back, rows)
        return found

    def _single(self, target, element, lane, rows):
        """Reduce the rows of one column to a lane, if there is that column."""
        builder, reducer = self.builder, self.reducer
        if element < 0:
            return
        inside = builder.and_(
            builder.icmp_signed("<=", self.lead, constant(element)),
            builder.icmp_signed("<", constant(element), self.end),
        )
        with builder.if_then(inside):
            pointer = builder.gep(self.origin, [constant(element)])
            mask = reducer.only(lane % reducer.lanes)
            if rows is not None:
                values = [self._repeated(pointer, constant(row)) for row in range(rows)]
                total = functools.reduce(reducer.combine, values)
                self._look(values, [None])
                builder.store(builder.select(mask, total, builder.load(target)), target)
                return
            with cgutils.for_range(builder, self.rows) as loop:
                value = self._repeated(pointer, loop.index)
                self._look([value], [None])
                total = reducer.combine(builder.load(target), value)
                builder.store(builder.select(mask, total, builder.load(target)), target)

    def _repeated(self, pointer, row):
        place = self.builder.mul(row, self.pitch)
        return self.reducer.broadcast(self.builder.load(self.builder.gep(pointer, [place])))
