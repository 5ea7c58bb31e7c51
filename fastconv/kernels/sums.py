"""Sums in registers over the segments of a tile: what all micro-kernels have in common.

A segment is a stretch of the sum that one inner loop adds. Sums start from the bias; where a
segment says so they are put aside on the stack and start again from zero, so that none gets long:
rounding errors grow with the length of a sum. At the end what was put aside is added, the
activation applied, and the tile stored.
"""

from abc import ABC, abstractmethod

from llvmlite import ir

from fastconv.kernels.activate import ACTIVATIONS
from fastconv.kernels.vector import INT64, Vectors, constant

ACTIVATION_WORD = 9
"""Place of the code in the table."""
BIT = ir.IntType(1)


class Sums(ABC):
    """Writes the code of one tile at the builder's place."""

    words: int
    """Words of a segment in the table; the first four of them are the same for all tiles: place of
    its weights, place of its input, length, whether to flush."""

    def __init__(self, builder: ir.IRBuilder, vectors: Vectors, table: ir.Value) -> None:
        self.builder, self.vectors, self.table = builder, vectors, table

    @abstractmethod
    def start(self) -> list[ir.Value]:
        """Return the first values of the sums: the bias."""

    @abstractmethod
    def segment(self, place: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
        """Add the segment at a place of the table."""

    @abstractmethod
    def store(self, totals: list[ir.Value]) -> None:
        """Write the tile."""

    def run(self, first: ir.Value, last: ir.Value) -> None:
        """Start from the bias, walk the segments [first, last) of the table, store."""
        builder = self.builder
        start = self.start()
        kept = self._slots(len(start))
        entry = builder.block
        segments, done = (builder.append_basic_block(name) for name in ("segments", "done"))
        builder.cbranch(builder.icmp_signed("<", first, last), segments, done)

        builder.position_at_end(segments)
        place, flushed = builder.phi(INT64), builder.phi(BIT)
        place.add_incoming(first, entry)
        flushed.add_incoming(BIT(0), entry)
        sums = self.phis(start, entry)
        added = self.segment(place, sums)
        flushed_now, added = self._flush(place, flushed, added, kept)
        following = builder.add(place, constant(self.words))
        end = builder.block
        place.add_incoming(following, end)
        flushed.add_incoming(flushed_now, end)
        close(sums, added, end)
        builder.cbranch(builder.icmp_signed("<", following, last), segments, done)

        builder.position_at_end(done)
        totals, any_flushed = self.phis(start, entry), builder.phi(BIT)
        close(totals, added, end)
        any_flushed.add_incoming(BIT(0), entry)
        any_flushed.add_incoming(flushed_now, end)
        self.store(self.activated(self._total(any_flushed, totals, kept)))

    def _slots(self, count: int) -> list[ir.Value]:
        """Return places on the stack; Numba's own would be filled with zeros for every tile."""
        with self.builder.goto_entry_block():
            return [self.builder.alloca(self.vectors.type) for _ in range(count)]

    def _flush(self, place, flushed, sums, kept):
        """Move the sums to memory where the segment says so; shorter sums round less."""
        builder = self.builder
        before = builder.block
        first, again, after = (
            builder.append_basic_block(name) for name in ("flush", "again", "flushed")
        )
        chosen = builder.append_basic_block("which")
        builder.cbranch(builder.trunc(self.entry(place, 3), BIT), chosen, after)
        builder.position_at_end(chosen)
        builder.cbranch(flushed, again, first)
        for block, add in ((first, False), (again, True)):
            builder.position_at_end(block)
            for pointer, value in zip(kept, sums, strict=True):
                value = builder.fadd(builder.load(pointer), value) if add else value
                builder.store(value, pointer)
            builder.branch(after)
        builder.position_at_end(after)
        left, now = self.phis(sums, before), builder.phi(BIT)
        now.add_incoming(flushed, before)
        for block in (first, again):
            close(left, [self.vectors.zero] * len(left), block)
            now.add_incoming(BIT(1), block)
        return now, left

    def _total(self, flushed, sums, kept):
        """Add what was flushed, if anything was."""
        builder = self.builder
        before = builder.block
        adding, after = (builder.append_basic_block(name) for name in ("adding", "total"))
        builder.cbranch(flushed, adding, after)
        builder.position_at_end(adding)
        added = [
            builder.fadd(builder.load(pointer), value)
            for pointer, value in zip(kept, sums, strict=True)
        ]
        builder.branch(after)
        builder.position_at_end(after)
        totals = self.phis(sums, before)
        close(totals, added, adding)
        return totals

    def activated(self, totals):
        """Apply the activation that the table names."""
        builder = self.builder
        code = builder.load(builder.gep(self.table, [constant(ACTIVATION_WORD)]))
        before, after = builder.block, builder.append_basic_block("activated")
        choice = builder.switch(code, after)
        results = self._phis_in(after, totals, before)
        for number, function in ACTIVATIONS.items():
            block = builder.append_basic_block(f"activation{number}")
            choice.add_case(constant(number), block)
            builder.position_at_end(block)
            close(results, [function(self.vectors, value) for value in totals], block)
            builder.branch(after)
        builder.position_at_end(after)
        return results

    def _phis_in(self, block, values, before):
        with self.builder.goto_block(block):
            return self.phis(values, before)

    def entry(self, place, index):
        """Load an integer of the table."""
        return self.builder.load(
            self.builder.gep(self.table, [self.builder.add(place, constant(index))])
        )

    def phis(self, values, block):
        """Return a phi for each value, with the value coming from a block."""
        phis = [self.builder.phi(self.vectors.type) for _ in values]
        for phi, value in zip(phis, values, strict=True):
            phi.add_incoming(value, block)
        return phis


def close(phis, values, block):
    """Let values come to their phis from one more block."""
    for phi, value in zip(phis, values, strict=True):
        phi.add_incoming(value, block)
