"""Walking over neighbours in vectors: whole ones first, then one with what is left.

What is done at each step is a function `body(at, place, carried)`; `at` loads and stores there,
`carried` are the vectors that go from one step to the next, such as sums.
"""

from collections.abc import Callable, Sequence

from llvmlite import ir

from fastconv.kernels.vector import INT32, INT64, Vectors, constant

Body = Callable[["Access", ir.Value, list[ir.Value]], Sequence[ir.Value]]


class Access:
    """Loads and stores of a vector, or of its lanes that exist."""

    def __init__(self, vectors: Vectors, mask: ir.Value | None = None) -> None:
        self._vectors, self._mask = vectors, mask

    def load(self, pointer: ir.Value) -> ir.Value:
        """Load a vector; lanes that do not exist are 0."""
        if self._mask is None:
            return self._vectors.load(pointer)
        return self._vectors.masked_load(pointer, self._mask)

    def store(self, value: ir.Value, pointer: ir.Value) -> None:
        """Store the lanes that exist."""
        if self._mask is None:
            self._vectors.store(value, pointer)
        else:
            self._vectors.masked_store(value, pointer, self._mask)

    def existing(self, value: ir.Value, otherwise: ir.Value) -> ir.Value:
        """Return a vector with the lanes that do not exist replaced."""
        if self._mask is None:
            return value
        return self._vectors.builder.select(self._mask, value, otherwise)


def walk(v: Vectors, count: ir.Value, body: Body, carried: Sequence[ir.Value] = ()) -> list:
    """Emit the steps over `count` neighbours, and return what was carried to the end."""
    builder = v.builder
    whole = builder.and_(count, constant(-v.lanes))
    carried = steps(builder, whole, v.lanes, lambda i, kept: body(Access(v), i, kept), carried)
    before = builder.block
    rest, after = builder.append_basic_block("rest"), builder.append_basic_block("walked")
    builder.cbranch(builder.icmp_signed("<", whole, count), rest, after)
    builder.position_at_end(rest)
    mask = v.first_lanes(builder.sub(count, whole))
    last = body(Access(v, mask), whole, list(carried))
    end = builder.block
    builder.branch(after)
    builder.position_at_end(after)
    pairs = zip(carried, last, strict=True)
    return [joined(builder, [(one, before), (other, end)]) for one, other in pairs]


def steps(
    builder: ir.IRBuilder,
    count: ir.Value,
    step: int,
    body: Callable[[ir.Value, list[ir.Value]], Sequence[ir.Value]],
    carried: Sequence[ir.Value] = (),
) -> list:
    """Emit `body(place, carried)` for places 0, step, ... below a count."""
    before = builder.block
    loop, after = builder.append_basic_block("loop"), builder.append_basic_block("looped")
    builder.cbranch(builder.icmp_signed("<", constant(0), count), loop, after)
    builder.position_at_end(loop)
    place = builder.phi(INT64)
    place.add_incoming(constant(0), before)
    kept = [builder.phi(value.type) for value in carried]
    for phi, value in zip(kept, carried, strict=True):
        phi.add_incoming(value, before)
    results = list(body(place, kept))
    following, end = builder.add(place, constant(step)), builder.block
    place.add_incoming(following, end)
    for phi, value in zip(kept, results, strict=True):
        phi.add_incoming(value, end)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
    builder.position_at_end(after)
    pairs = zip(carried, results, strict=True)
    return [joined(builder, [(one, before), (other, end)]) for one, other in pairs]


def joined(builder: ir.IRBuilder, values: list[tuple[ir.Value, ir.Block]]) -> ir.Value:
    """Return a value by the block that control came from."""
    phi = builder.phi(values[0][0].type)
    for value, block in values:
        phi.add_incoming(value, block)
    return phi


class Line:
    """The steps along a line of `n`, or along `width` lines side by side, `inner` apart.

    Across lines a vector has an element of each; else it has neighbours of one.
    """

    def __init__(self, v: Vectors, across: bool, n, inner, width) -> None:
        self._v, self._across = v, across
        self._n, self._inner, self._width = n, inner, width

    def each(self, body, carried=()):
        """Emit `body(at, place, carried)` for every element."""
        v = self._v
        if not self._across:
            return walk(v, self._n, body, carried)
        at, inner = Access(v, v.first_lanes(self._width)), self._inner

        def step(i, kept):
            return body(at, v.builder.mul(i, inner), kept)

        return steps(v.builder, self._n, 1, step, carried)

    def folded(self, value, combine):
        """Return what all lanes come to, if they are one line."""
        return value if self._across else folded(self._v, value, combine)


def folded(v: Vectors, value: ir.Value, combine: Callable) -> ir.Value:
    """Combine all lanes of a vector, halves first, and return the result in every lane."""
    width = v.lanes
    while width > 1:
        width //= 2
        places = [(lane + width) % v.lanes for lane in range(v.lanes)]
        moved = shuffled(v, value, places)
        value = combine(value, moved)
    return shuffled(v, value, [0] * v.lanes)


def shuffled(v: Vectors, value: ir.Value, places: list[int]) -> ir.Value:
    """Return the lanes of a vector in another order."""
    order = ir.Constant(ir.VectorType(INT32, v.lanes), places)
    return v.builder.shuffle_vector(value, ir.Constant(v.type, ir.Undefined), order)


def larger(v: Vectors, one: ir.Value, other: ir.Value) -> ir.Value:
    """Return the larger of two by lane; the second where one is NaN."""
    return v.builder.select(v.builder.fcmp_ordered(">", one, other), one, other)
