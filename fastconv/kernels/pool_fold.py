"""The generated code of pools: rows fold into a line, and windows slide along the line.

A *line* is scratch for one output row. `fold` reduces the input rows under that row to one, column
by column, and writes it, for a column stride of s, as s *phases*: phase p has every s-th column.
So `slide`, which reduces along the line, reads neighbouring elements for neighbouring outputs with
any stride: tap t of output q is at `offset[t] + q`. What lies in the padding of a line is the
reduction's identity, written once, for `fold` writes columns of the input only (and, in the last
vector, the identity after them).

All offsets are in elements. Nothing outside of the rows of `columns` elements is read, and nothing
but `count` elements of a result is written; lines must be readable, and writeable, for a vector
beyond what is used.
"""

from dataclasses import dataclass

from numba import types
from numba.core import cgutils

from fastconv.kernels.jit import intrinsic
from fastconv.kernels.reduction import Reducer, Reduction
from fastconv.kernels.vector import constant, data_pointer

COMMON_ROWS = (2, 3)
"""Rows, and taps, that have code of their own; all other numbers share a loop."""


@dataclass(frozen=True)
class Fold:
    """How rows become a line: `phases` of it, up to 4."""

    reduction: Reduction
    phases: int = 1


@dataclass(frozen=True)
class Slide:
    """How a line becomes results: neighbours, or one of every `step` elements, one by one.

    Means divide by one number each (`shared` is False) or all by the same.
    """

    reduction: Reduction
    step: int = 1
    shared: bool = False


def make_fold(fold: Fold):
    """Return an intrinsic that reduces rows to a line.

    Its arguments: the source and the place of the first row; the number of rows, and the distance
    of one to the next; the columns; the line and its place; the table, and where it has the place
    of the first column of each phase.
    """

    @intrinsic
    def run(typing, x, x0, rows, pitch, columns, line, l0, table, places):
        n = types.intp
        signature = types.void(x, n, n, n, n, line, n, table, n)

        def emit(context, builder, signature, arguments):
            source, line, table = (
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[i + 1])
                for i in (0, 5, 7)
            )
            targets = [
                builder.gep(line, [builder.load(builder.gep(table, [constant(phase)]))])
                for phase in range(fold.phases)
            ]
            rows = _Rows(builder, fold, source, *arguments[2:5])

            def store(vectors, index, _):
                for target, value in zip(targets, rows.reducer.phases(vectors), strict=True):
                    rows.reducer.store(value, builder.gep(target, [index]))

            rows.run(store)
            return context.get_dummy_value()

        return signature, emit

    return run


def make_slide(slide: Slide):
    """Return an intrinsic that reduces the windows along a line.

    Its arguments: the line and the place of the first window; the table, where it has the offsets
    of the taps, and their number; the result and its place; the number of results; divisors, the
    place of the first, and a factor of all of them.
    """

    @intrinsic
    def run(typing, line, l0, table, offsets, taps, y, y0, count, divisors, d0, factor):
        n = types.intp
        signature = types.void(line, n, table, n, n, y, n, n, divisors, n, factor)

        def emit(context, builder, signature, arguments):
            line, table, y, divisors = (
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[i + 1])
                for i in (0, 2, 5, 8)
            )
            reducer = Reducer(builder, slide.reduction, 1 if slide.step > 1 else 0)
            ends = Results(reducer, y, arguments[7], (divisors, arguments[10]), slide.shared)
            _Taps(reducer, slide, line, table, arguments[4]).run(ends)
            return context.get_dummy_value()

        return signature, emit

    return run


class _Rows:
    """Reduces rows, some vectors of columns at a time."""

    def __init__(self, builder, fold, source, rows, pitch, columns):
        self.builder, self.source = builder, source
        self.reducer = Reducer(builder, fold.reduction)
        self.rows, self.pitch, self.columns = rows, pitch, columns
        self.vectors, self.span = fold.phases, fold.phases * self.reducer.lanes

    def run(self, store):
        """Call `store(vectors, index, whole)` for all blocks; `index` is in elements of a phase."""
        builder = self.builder
        with builder.if_else(builder.icmp_signed("==", self.rows, constant(2))) as (two, others):
            with two:
                self._blocks(store, 2)
            with others:
                three = builder.icmp_signed("==", self.rows, constant(3))
                with builder.if_else(three) as (three, others):
                    with three:
                        self._blocks(store, 3)
                    with others:
                        self._blocks(store, None)
        blocks = builder.sdiv(self.columns, constant(self.span))
        done = builder.mul(blocks, constant(self.span))
        left = builder.sub(self.columns, done)
        with builder.if_then(builder.icmp_signed(">", left, constant(0))):
            masks = [
                self.reducer.first(builder.sub(left, constant(index * self.reducer.lanes)))
                for index in range(self.vectors)
            ]
            index = builder.mul(blocks, constant(self.reducer.lanes))
            store(self._looped(done, masks), index, False)

    def _blocks(self, store, rows):
        builder = self.builder
        blocks = builder.sdiv(self.columns, constant(self.span))
        with cgutils.for_range(builder, blocks) as loop:
            column = builder.mul(loop.index, constant(self.span))
            index = builder.mul(loop.index, constant(self.reducer.lanes))
            masks = [None] * self.vectors
            vectors = self._unrolled(column, rows) if rows else self._looped(column, masks)
            store(vectors, index, True)

    def _unrolled(self, column, rows):
        vectors = self._row(self.builder.gep(self.source, [column]), [None] * self.vectors)
        for row in range(1, rows):
            place = self.builder.add(column, self.builder.mul(self.pitch, constant(row)))
            more = self._row(self.builder.gep(self.source, [place]), [None] * self.vectors)
            vectors = list(map(self.reducer.combine, vectors, more))
        return vectors

    def _looped(self, column, masks):
        builder = self.builder
        totals = [cgutils.alloca_once_value(builder, self.reducer.identity) for _ in masks]
        first = builder.gep(self.source, [column])
        with cgutils.for_range(builder, self.rows) as loop:
            pointer = builder.gep(first, [builder.mul(loop.index, self.pitch)])
            for total, value in zip(totals, self._row(pointer, masks), strict=True):
                builder.store(self.reducer.combine(builder.load(total), value), total)
        return [builder.load(total) for total in totals]

    def _row(self, pointer, masks):
        return [
            self.reducer.read(self.builder.gep(pointer, [constant(index * self.reducer.lanes)]), m)
            for index, m in enumerate(masks)
        ]


class _Taps:
    """Reduces the taps of windows along a line."""

    def __init__(self, reducer, slide, line, table, taps):
        self.builder, self.reducer, self.step = reducer.builder, reducer, slide.step
        self.line, self.table, self.taps = line, table, taps

    def run(self, ends):
        """Store all results."""
        builder = self.builder
        with builder.if_else(builder.icmp_signed("==", self.taps, constant(2))) as (two, others):
            with two:
                ends.each(self._unrolled(2))
            with others:
                three = builder.icmp_signed("==", self.taps, constant(3))
                with builder.if_else(three) as (three, others):
                    with three:
                        ends.each(self._unrolled(3))
                    with others:
                        ends.each(self._looped)

    def _pointer(self, tap):
        offset = self.builder.load(self.builder.gep(self.table, [tap]))
        return self.builder.gep(self.line, [offset])

    def _place(self, index):
        return index if self.step == 1 else self.builder.mul(index, constant(self.step))

    def _unrolled(self, taps):
        pointers = [self._pointer(constant(tap)) for tap in range(taps)]

        def values(index):
            place = self._place(index)
            first, *others = (
                self.reducer.load(self.builder.gep(pointer, [place])) for pointer in pointers
            )
            for other in others:
                first = self.reducer.combine(first, other)
            return first

        return values

    def _looped(self, index):
        builder = self.builder
        total = cgutils.alloca_once_value(builder, self.reducer.identity)
        place = self._place(index)
        with cgutils.for_range(builder, self.taps) as loop:
            value = self.reducer.load(builder.gep(self._pointer(loop.index), [place]))
            builder.store(self.reducer.combine(builder.load(total), value), total)
        return builder.load(total)


class Results:
    """Where results go: means are divided, and nothing is written beyond the last."""

    def __init__(self, reducer, y, count, divisors, shared):
        self.builder, self.reducer = reducer.builder, reducer
        self.y, self.count, self.shared = y, count, shared
        self.divisors, factor = divisors
        self.mean = reducer.reduction.kind == "mean"
        self.factor = reducer.broadcast(factor) if self.mean else None

    def each(self, values):
        """Store `values(index)` for every vector of results."""
        builder, lanes = self.builder, self.reducer.lanes
        blocks = builder.sdiv(self.count, constant(lanes))
        with cgutils.for_range(builder, blocks) as loop:
            index = builder.mul(loop.index, constant(lanes))
            self.store(values(index), index, True)
        if lanes == 1:
            return
        index = builder.mul(blocks, constant(lanes))
        with builder.if_then(builder.icmp_signed("<", index, self.count)):
            self.store(values(index), index, False)

    def store_by(self, value, index, bits):
        """Store one vector, or what is in a mask given as an integer, -1 for all."""
        builder = self.builder
        with builder.if_else(builder.icmp_signed("==", bits, constant(-1))) as (whole, part):
            with whole:
                self._store(value, index, None)
            with part:
                self._store(value, index, self.reducer.mask(bits))

    def store(self, value, index, whole):
        """Store one vector, or as much of it as belongs to the results."""
        left = self.builder.sub(self.count, index)
        self._store(value, index, None if whole else self.reducer.first(left))

    def _store(self, value, index, mask):
        builder, reducer = self.builder, self.reducer
        if self.mean:
            value = reducer.finish(value, self._divisor(index, mask))
        reducer.write(value, builder.gep(self.y, [index]), mask)

    def _divisor(self, index, mask):
        if self.shared:
            return self.factor
        own = self.reducer.read(self.builder.gep(self.divisors, [index]), mask)
        return self.builder.fmul(own, self.factor)
