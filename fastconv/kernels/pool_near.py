"""Generated code for small windows: one output row in one pass, without a line.

Input rows are folded a block of columns at a time, sorted by phase in registers, and what the
windows of a block need of the one before is still in registers too: tap t of output q is element
`q * stride + t`, and blocks begin at the element that the last taps of the first windows begin at.

Maxima and minima that keep NaN take three instructions a step. So a row is done with one at first,
and all its elements are added up, on other units of the CPU. Where that gives NaN, as it does where
any element is NaN or infinities meet, the row is done again with care.
"""

import functools
from collections import Counter
from dataclasses import dataclass

from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastconv.kernels.jit import intrinsic
from fastconv.kernels.pool_fold import COMMON_ROWS, Results
from fastconv.kernels.reduction import Reducer, Reduction
from fastconv.kernels.vector import INT64, constant, data_pointer

COUNT, COLUMNS, LEAD = 1, 3, 4
"""Words of a part of a row: its outputs, its columns, and how many elements of the first window lie
before those."""
WHOLE = 2
"""Words before the masks of its blocks: the first that needs none, and the end of these."""


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
    """Return an intrinsic that computes output rows; it returns whether there might be NaN.

    Its arguments: the source and the place of the first column under the first row; how many rows
    lie under each, and the distance of one to the next; the output rows, how far apart what is
    under them lies, and they themselves; the table, and where it has the part of the rows; where it
    has the masks of every block; the result and its place; divisors, the place of the first, and a
    factor of all of them.
    """

    @intrinsic
    def run(
        typing,
        x,
        x0,
        under,
        pitch,
        rows,
        step,
        out,
        table,
        part,
        masks,
        y,
        y0,
        divisors,
        d0,
        factor,
    ):
        n = types.intp
        signature = types.int64(x, *(n,) * 6, table, n, n, y, n, divisors, n, factor)

        def emit(context, builder, signature, arguments):
            def pointer(array, place):
                kind, value = signature.args[array], arguments[array]
                return data_pointer(context, builder, kind, value, arguments[place])

            source, part, masks, y, divisors = map(pointer, (0, 7, 7, 10, 12), (1, 8, 9, 11, 13))
            reducer = Reducer(builder, near.reduction, careful=near.careful)
            place = (source, *arguments[2:7], part, masks)
            return _Walk(near, reducer, place, y, (divisors, arguments[14])).run()

        return signature, emit

    return run


class _Walk:
    """Writes the code of output rows."""

    def __init__(self, near, reducer, place, y, divisors):
        self.near, self.reducer, self.builder = near, reducer, reducer.builder
        self.source, self.under, self.pitch, *steps, part, self.masks = place
        self.rows, self.step, self.out = steps
        self.y, self.divisors = y, divisors
        self.count, self.lead, columns = (
            self.builder.load(self.builder.gep(part, [constant(word)]))
            for word in (COUNT, LEAD, COLUMNS)
        )
        self.end = self.builder.add(self.lead, columns)
        self.check = cgutils.alloca_once(self.builder, reducer.type)

    def run(self):
        """Write a loop for each common number of rows, and one for all others."""
        builder = self.builder
        builder.store(self.reducer.zero, self.check)
        common = COMMON_ROWS if self.reducer.fast or not self.reducer.checks else ()
        done = builder.append_basic_block("rows.done")
        for under in common:
            this, other = (builder.append_basic_block(name) for name in ("rows", "other"))
            same = builder.icmp_signed("==", self.under, constant(under))
            builder.cbranch(same, this, other)
            builder.position_at_end(this)
            self._each(under)
            builder.branch(done)
            builder.position_at_end(other)
        self._each(None)
        builder.branch(done)
        builder.position_at_end(done)
        if not self.reducer.fast:
            return constant(0)
        check = builder.load(self.check)
        return builder.zext(self.reducer.any_nan(check), INT64)

    def _each(self, under):
        """Write the loop over output rows."""
        builder = self.builder
        with cgutils.for_range(builder, self.rows) as loop:
            start = builder.sub(builder.mul(loop.index, self.step), self.lead)
            self.origin = builder.gep(self.source, [start])
            y = builder.gep(self.y, [builder.mul(loop.index, self.out)])
            self.ends = Results(self.reducer, y, self.count, self.divisors, shared=False)
            self._blocks(under)

    def _blocks(self, rows):
        """Write the blocks: those in the middle, which need no masks, in a loop of their own."""
        builder, lanes = self.builder, self.reducer.lanes
        before = self._before(rows)
        vectors = [cgutils.alloca_once(builder, self.reducer.type) for _ in range(self.near.stride)]
        blocks = builder.sdiv(builder.add(self.ends.count, constant(lanes - 1)), constant(lanes))
        first, end = (builder.load(builder.gep(self.masks, [constant(i)])) for i in range(WHOLE))
        place = cgutils.alloca_once_value(builder, constant(0))
        loop, body, done = (builder.append_basic_block(f"blocks.{name}") for name in "abc")
        builder.branch(loop)
        builder.position_at_end(loop)
        with builder.if_then(builder.icmp_signed("==", builder.load(place), first)):
            with cgutils.for_range(builder, builder.sub(end, first)) as whole:
                block = builder.add(first, whole.index)
                value = self._block(block, rows, [None] * len(vectors), vectors, before)
                self.ends.store(value, builder.mul(block, constant(lanes)), True)
            builder.store(end, place)
        block = builder.load(place)
        builder.cbranch(builder.icmp_signed("<", block, blocks), body, done)
        builder.position_at_end(body)
        existing, *masks = self._masks_of(block)
        value = self._block(block, rows, masks, vectors, before)
        self.ends.store_by(value, builder.mul(block, constant(lanes)), existing)
        builder.store(builder.add(block, constant(1)), place)
        builder.branch(loop)
        builder.position_at_end(done)

    def _masks_of(self, block):
        """Load which results of a block exist, as bits, and the masks of its columns."""
        builder, words = self.builder, self.near.stride + 1
        start = builder.add(builder.mul(block, constant(words)), constant(WHOLE))
        places = (builder.add(start, constant(word)) for word in range(words))
        existing, *bits = (builder.load(builder.gep(self.masks, [place])) for place in places)
        return existing, *map(self.reducer.mask, bits)

    def _block(self, block, rows, masks, vectors, before):
        """Reduce the windows of a block, and keep what those of the next need of its columns."""
        builder, near = self.builder, self.near
        index = builder.mul(block, constant(self.reducer.lanes))
        first = builder.add(builder.mul(index, constant(near.stride)), constant(near.ahead))
        lost = self._fold(first, rows, masks, vectors)
        phases = self.reducer.phases([builder.load(vector) for vector in vectors])
        value, others = self._windows(phases, before)
        self._look([*lost, *others])
        for phase, vector in before.items():
            builder.store(phases[phase], vector)
        return value

    def _fold(self, first, rows, masks, vectors):
        """Reduce the rows of a block, store its vectors, and return those whose NaN may be lost."""
        builder, reducer = self.builder, self.reducer
        pointer = builder.gep(self.origin, [first])
        if rows is None:
            for vector in vectors:
                builder.store(reducer.identity, vector)
            with cgutils.for_range(builder, self.under) as loop:
                found = self._row(pointer, loop.index, masks)
                for vector, value in zip(vectors, found, strict=True):
                    total = reducer.combine(builder.load(vector), value)
                    builder.store(total, vector)
                self._look(map(self._existing, found, masks))
            return []
        found = [self._row(pointer, constant(row), masks) for row in range(rows)]
        for vector, column in zip(vectors, zip(*found, strict=True), strict=True):
            builder.store(functools.reduce(reducer.combine, column), vector)
        return [self._existing(*pair) for row in found[1:] for pair in zip(row, masks, strict=True)]

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

    def _existing(self, value, mask):
        """Return a vector with 0 where a mask has nothing."""
        if mask is None or not self.reducer.fast:
            return value
        return self.builder.select(mask, value, self.reducer.zero)

    def _look(self, values):
        """Add vectors to what is looked at in the end: to one another first, which waits less."""
        values = list(values)
        if not (self.reducer.fast and values):
            return
        builder = self.builder
        while len(values) > 1:
            values = [builder.fadd(*values[:2]), *values[2:]]
            values.append(values.pop(0))
        builder.store(builder.fadd(builder.load(self.check), values[0]), self.check)

    def _windows(self, phases, before):
        """Reduce the taps: those of lanes before, from the phase as the last block had it.

        Return the result, and of what NaN may be lost.
        """
        reducer, near = self.reducer, self.near
        places, lost = [near.place(tap) for tap in range(near.taps)], []
        if reducer.fast:  # first what is of one window only, for NaN in it stays
            used = Counter(phase for phase, _ in places)
            places.sort(key=lambda place: used[place[0]])
            if used[places[0][0]] == 1:
                del used[places[0][0]]
            lost = [phases[phase] for phase in used]
        values = [self._moved(phases[phase], before.get(phase), back) for phase, back in places]
        return functools.reduce(reducer.combine, values), lost

    def _moved(self, value, before, back):
        """Return the lanes so many before those of a vector, the first from the vector before."""
        if not back:
            return value
        builder, lanes = self.builder, self.reducer.lanes
        kind = ir.VectorType(ir.IntType(8 * self.reducer.dtype.itemsize), lanes)
        # as integers: LLVM moves those by one instruction, and floats by a table
        earlier, value = builder.bitcast(builder.load(before), kind), builder.bitcast(value, kind)
        order = self.reducer.order(range(lanes - back, 2 * lanes - back))
        return builder.bitcast(builder.shuffle_vector(earlier, value, order), self.reducer.type)

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
                self._look(values)
                builder.store(builder.select(mask, total, builder.load(target)), target)
                return
            with cgutils.for_range(builder, self.under) as loop:
                value = self._repeated(pointer, loop.index)
                self._look([value])
                total = reducer.combine(builder.load(target), value)
                builder.store(builder.select(mask, total, builder.load(target)), target)

    def _repeated(self, pointer, row):
        place = self.builder.mul(row, self.pitch)
        return self.reducer.broadcast(self.builder.load(self.builder.gep(pointer, [place])))
