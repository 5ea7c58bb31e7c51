"""Adding the lanes of vectors, and storing the totals side by side."""

from llvmlite import ir

from fastconv.kernels.vector import INT32, Vectors, constant


def store_totals(vectors: Vectors, sums: list, target, count, adds) -> None:
    """Store the totals of the first `count` sums, or add them to what is there.

    In a fixed order, which does not depend on the other sums; `adds` is 0 or 1.
    """
    builder = vectors.builder
    for first in range(0, len(sums), vectors.lanes):
        part = sums[first : first + vectors.lanes]
        place = builder.gep(target, [constant(first)])
        _store_part(vectors, part, place, builder.sub(count, constant(first)), adds)


def _store_part(vectors: Vectors, sums: list, target, count, adds) -> None:
    """Do so with no more sums than a vector has lanes."""
    builder, width = vectors.builder, 1 << (len(sums) - 1).bit_length()
    narrow = Vectors(builder, vectors.dtype, width)
    before = narrow.masked_load(target, narrow.first_lanes(builder.mul(count, adds)))
    total = builder.fadd(before, _totals(builder, sums, width))
    narrow.masked_store(total, target, narrow.first_lanes(count))


def _totals(builder: ir.IRBuilder, sums: list, width: int):
    """Return a vector with the total of every sum.

    Two are made one that has half of each, until there is one; this is halved until every lane is
    a total.
    """
    sums = sums + sums[-1:] * (width - len(sums))
    while len(sums) > 1:
        half = len(sums) // 2
        pairs = zip(sums[:half], sums[half:], strict=True)
        sums = [_merged(builder, one, other) for one, other in pairs]
    (total,) = sums
    while total.type.count > width:
        half = total.type.count // 2
        low, high = (_picked(builder, total, total, range(s, s + half)) for s in (0, half))
        total = builder.fadd(low, high)
    return total


def _merged(builder: ir.IRBuilder, one, other):
    """Add the halves of two vectors, whose lanes then take turns."""
    lanes = one.type.count
    low, high = (
        _picked(builder, one, other, [lane + side * lanes for lane in part for side in (0, 1)])
        for part in (range(lanes // 2), range(lanes // 2, lanes))
    )
    return builder.fadd(low, high)


def _picked(builder: ir.IRBuilder, one, other, order):
    places = ir.Constant(ir.VectorType(INT32, len(order)), list(order))
    return builder.shuffle_vector(one, other, places)
