"""How the elements of a window become one, in generated code: maxima, minima, sums, means."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from llvmlite import ir

from fastconv.kernels.vector import INT32, Vectors, constant

EXTREMES = ("max", "min")


@dataclass(frozen=True)
class Reduction:
    """What is reduced, and by what.

    `kind` is "max", "min", "sum", or "mean": a sum that is divided in the end, or multiplied by the
    reciprocal, where all divisors are powers of 2, as both are then the same (`reciprocal`).
    """

    kind: str
    dtype: np.dtype
    lanes: int
    skip_nan: bool = False
    reciprocal: bool = False

    @property
    def variant(self) -> str:
        """Tells its code apart from all other."""
        words = [self.kind, self.dtype.name, str(self.lanes)]
        words += ["skip"] if self.skip_nan else []
        return "-".join(words + (["reciprocal"] if self.reciprocal else []))

    @property
    def keeps_nan(self) -> bool:
        """Whether NaN has to be looked for in what is compared."""
        return self.kind in EXTREMES and self.dtype.kind == "f" and not self.skip_nan

    @property
    def identity(self):
        """What changes no other element, as a number; an ignored NaN never does."""
        if self.kind not in EXTREMES:
            return self.dtype.type(0)
        if self.skip_nan and self.dtype.kind == "f":
            return self.dtype.type(np.nan)
        return self.nothing

    @property
    def nothing(self):
        """What a window without any element gives."""
        if self.kind not in EXTREMES:
            return self.dtype.type(0)
        lowest = self.kind == "max"
        if self.dtype.kind == "f":
            return self.dtype.type(-np.inf if lowest else np.inf)
        if self.dtype.kind == "b":
            return self.dtype.type(not lowest)
        limits = np.iinfo(self.dtype)
        return self.dtype.type(limits.min if lowest else limits.max)


class Reducer(Vectors):
    """The vocabulary of one reduction.

    Unless it is `careful`, maxima and minima that keep NaN are `fast`, and may lose it.
    """

    def __init__(
        self, builder: ir.IRBuilder, reduction: Reduction, lanes: int = 0, careful: bool = True
    ) -> None:
        super().__init__(builder, reduction.dtype, lanes or reduction.lanes)
        self.checks = reduction.keeps_nan
        self.fast = self.checks and not careful
        self.reduction = reduction
        number = reduction.identity.item()
        self.identity = self.constant(number if isinstance(number, float) else int(number))

    def combine(self, first: ir.Value, second: ir.Value) -> ir.Value:
        """Reduce two vectors to one; of equal elements the first stays."""
        builder, reduction = self.builder, self.reduction
        if reduction.kind not in EXTREMES:
            return builder.fadd(first, second)
        word = ">" if reduction.kind == "max" else "<"
        if reduction.dtype.kind == "f":
            better = builder.fcmp_ordered(word, second, first)
        elif reduction.dtype.kind == "i":
            better = builder.icmp_signed(word, second, first)
        else:
            better = builder.icmp_unsigned(word, second, first)
        best = builder.select(better, second, first)
        if reduction.dtype.kind != "f" or self.fast:
            return best
        tested = first if reduction.skip_nan else second
        return builder.select(builder.fcmp_unordered("uno", tested, tested), second, best)

    def finish(self, value: ir.Value, divisor: ir.Value | None) -> ir.Value:
        """Turn a sum into a mean."""
        if self.reduction.kind != "mean":
            return value
        if self.reduction.reciprocal:
            return self.builder.fmul(value, divisor)
        return self.builder.fdiv(value, divisor)

    def first(self, count: ir.Value) -> ir.Value:
        """Return the mask of the first `count` lanes: none if it is negative, else up to all."""
        builder, kind = self.builder, ir.IntType(self.lanes)
        all_set = ir.Constant(kind, -1)
        width = builder.trunc(count, kind) if self.lanes < 64 else count
        some = builder.not_(builder.shl(all_set, width))
        whole = builder.icmp_signed(">=", count, constant(self.lanes))
        none = builder.icmp_signed("<=", count, constant(0))
        bits = builder.select(whole, all_set, builder.select(none, ir.Constant(kind, 0), some))
        return builder.bitcast(bits, self.mask_type)

    def read(self, pointer: ir.Value, mask: ir.Value | None) -> ir.Value:
        """Load a vector, or the lanes of a mask and what changes nothing in the others."""
        if mask is None:
            return self.load(pointer)
        return self.masked_load(pointer, mask, self.identity)

    def write(self, value: ir.Value, pointer: ir.Value, mask: ir.Value | None) -> None:
        """Store a vector, or the lanes of a mask."""
        if mask is None:
            self.store(value, pointer)
        else:
            self.masked_store(value, pointer, mask)

    def only(self, lane: int) -> ir.Constant:
        """Return the mask of one lane."""
        return ir.Constant(self.mask_type, [number == lane for number in range(self.lanes)])

    def any_nan(self, value: ir.Value) -> ir.Value:
        """Return whether a vector holds NaN."""
        bits = self.builder.fcmp_unordered("uno", value, value)
        kind = ir.IntType(self.lanes)
        return self.builder.icmp_unsigned("!=", self.builder.bitcast(bits, kind), kind(0))

    def order(self, lanes: Iterable[int]) -> ir.Constant:
        """Return what a shuffle takes which lanes by."""
        return ir.Constant(ir.VectorType(INT32, self.lanes), list(lanes))

    def phases(self, vectors: list[ir.Value]) -> list[ir.Value]:
        """Sort neighbouring vectors: every so many elements that many vectors are."""
        count, lanes = len(vectors), self.lanes
        sorted_by_phase = []
        for phase in range(count):
            wanted = [phase + count * lane for lane in range(lanes)]
            value = vectors[0]
            for number, vector in enumerate(vectors[1:], 1):
                # what was found in the vectors before stays at the lanes it has
                order = [
                    lane if place < number * lanes else lanes + place % lanes
                    for lane, place in enumerate(wanted)
                ]
                if number == 1:
                    order = [min(place, 2 * lanes - 1) for place in wanted]
                value = self.builder.shuffle_vector(value, vector, self.order(order))
            sorted_by_phase.append(value)
        return sorted_by_phase
