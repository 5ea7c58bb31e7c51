"""Products of a constant matrix and vectors, as code without loops.

Zeros cost nothing, ones no multiplication, and what rows or columns have in common is computed
once: Winograd's points come in pairs of both signs, so their rows differ in the sign of every other
entry, or their columns in the sign of every other row.
"""

from fractions import Fraction

from llvmlite import ir

from fastconv.kernels.vector import Vectors

Terms = tuple[tuple[Fraction, ir.Value], ...]
Matrix = tuple[tuple[Fraction, ...], ...]


def by_rows(v: Vectors, matrix: Matrix, values: list[ir.Value]) -> list[ir.Value]:
    """Return `matrix @ values`; rows share the sums of their even, and of their odd, entries."""
    known: dict[tuple[Fraction, ...], ir.Value] = {}
    results = []
    for row in matrix:
        halves = []
        for parity in (0, 1):
            half = tuple(c if k % 2 == parity else Fraction(0) for k, c in enumerate(row))
            if any(half):
                halves.append(_shared(v, half, values, known))
        results.append(_signed_sum(v, halves))
    return results


def by_columns(v: Vectors, matrix: Matrix, values: list[ir.Value]) -> list[ir.Value]:
    """Return `matrix @ values`; of columns that differ in signs, sum and difference are shared."""
    columns = list(zip(*matrix, strict=True))
    partners = _pairs(columns)
    known: dict[tuple[int, bool], ir.Value] = {}
    results = []
    for row in matrix:
        terms = []
        for place, entry in enumerate(row):
            if place in partners.values() or not entry:
                continue
            value = values[place]
            if place in partners:
                other = partners[place]
                same = entry == row[other]
                if (place, same) not in known:
                    join = v.builder.fadd if same else v.builder.fsub
                    known[place, same] = join(value, values[other])
                value = known[place, same]
            terms.append((entry, value))
        results.append(_sum(v, tuple(terms)))
    return results


def _pairs(columns: list[tuple[Fraction, ...]]) -> dict[int, int]:
    """Return for the first of two columns of equal sizes the place of the second."""
    partners: dict[int, int] = {}
    for place, column in enumerate(columns):
        if place in partners.values():
            continue
        for other in range(place + 1, len(columns)):
            sizes = zip(column, columns[other], strict=True)
            if other not in partners.values() and all(abs(a) == abs(b) for a, b in sizes):
                partners[place] = other
                break
    return partners


def _shared(
    v: Vectors,
    half: tuple[Fraction, ...],
    values: list[ir.Value],
    known: dict[tuple[Fraction, ...], ir.Value],
) -> tuple[int, ir.Value]:
    """Return a sign and the sum that is to have it; the last coefficient of the sum is positive."""
    sign = 1 if [c for c in half if c][-1] > 0 else -1
    key = tuple(sign * c for c in half)
    if key not in known:
        known[key] = _sum(v, tuple((c, x) for c, x in zip(key, values, strict=True) if c))
    return sign, known[key]


def _signed_sum(v: Vectors, halves: list[tuple[int, ir.Value]]) -> ir.Value:
    builder = v.builder
    if len(halves) == 1:
        ((sign, value),) = halves
        return value if sign > 0 else builder.fneg(value)
    (sign, first), (other, second) = halves
    if sign == other:
        total = builder.fadd(first, second)
        return total if sign > 0 else builder.fneg(total)
    return builder.fsub(first, second) if sign > 0 else builder.fsub(second, first)


def _sum(v: Vectors, terms: Terms) -> ir.Value:
    """Add multiples, starting with one that needs no multiplication, if there is one."""
    builder = v.builder
    ordered = sorted(terms, key=lambda term: term[0] != 1)
    coefficient, total = ordered[0]
    if coefficient != 1:
        total = builder.fmul(total, v.constant(float(coefficient)))
    for coefficient, value in ordered[1:]:
        if coefficient == 1:
            total = builder.fadd(total, value)
        elif coefficient == -1:
            total = builder.fsub(total, value)
        else:
            total = v.multiply_add(value, v.constant(float(coefficient)), total)
    return total
