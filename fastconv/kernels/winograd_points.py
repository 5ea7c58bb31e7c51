"""Winograd's convolution of one axis, from the points that its polynomials are taken at.

`outputs` results of a filter of `taps` are the coefficients of a product of polynomials (Toom and
Cook's multiplication, transposed). Taken at `outputs + taps - 1` points, infinity the last, it
needs that many multiplications:

    y = output @ ((weight @ w) * (input @ x))

`weight` evaluates the filter at the points, over what the interpolation divides by; `input` has the
polynomials that are zero at all points but one, made monic; `output` has powers of the points. All
are exact rationals (Lavin and Gray, "Fast algorithms for convolutional neural networks", 2015).

Which points are taken decides how far rounding errors are amplified. Those of `POINTS` were found
by `benchmarks/winograd_error.py`, which tries all of few binary digits: pairs of both signs halve
the additions, and with few digits the entries of `input` and `output` are exact. The textbook's
0, 1, -1, 2, -2 of F(4, 3) give errors more than twice as large.
"""

import functools
from dataclasses import dataclass
from fractions import Fraction

Matrix = tuple[tuple[Fraction, ...], ...]

POINTS: dict[tuple[int, int], str] = {
    (1, 1): "",
    (2, 2): "0 1",
    (3, 2): "0 1 -1",
    (4, 2): "3/8 -3/8 5/4 -5/4",
    (2, 3): "0 1 -1",
    (3, 3): "3/8 -3/8 5/4 -5/4",
    (4, 3): "0 3/4 -3/4 11/8 -11/8",
    (6, 3): "0 1/2 -1/2 1 -1 2 -2",
    (2, 5): "0 5/8 -5/8 13/8 -13/8",
    (4, 5): "0 1/2 -1/2 1 -1 2 -2",
}
"""By outputs and taps, without infinity."""


@dataclass(frozen=True)
class Transform:
    """The three matrices of one axis."""

    outputs: int
    taps: int
    input: Matrix
    weight: Matrix
    output: Matrix

    @property
    def size(self) -> int:
        """Inputs of a tile, which is also the number of points."""
        return self.outputs + self.taps - 1


@functools.cache
def transform(outputs: int, taps: int) -> Transform:
    """Return the matrices over the points that are known to serve."""
    points = tuple(Fraction(word) for word in POINTS[outputs, taps].split())
    return transform_over(points, taps)


def transform_over(points: tuple[Fraction, ...], taps: int) -> Transform:
    """Return the matrices over some points and infinity."""
    size = len(points) + 1
    outputs = size - taps + 1
    inputs, weights = [], []
    for point in points:
        others = [other for other in points if other != point]
        inputs.append((*_product(others), Fraction(0)))
        scale = Fraction(1)
        for other in others:
            scale *= point - other
        weights.append(tuple(point**tap / scale for tap in range(taps)))
    inputs.append(_product(points))
    weights.append(tuple(Fraction(int(tap == taps - 1)) for tap in range(taps)))
    powers = [
        (*(point**row for point in points), Fraction(int(row == outputs - 1)))
        for row in range(outputs)
    ]
    return Transform(outputs, taps, tuple(inputs), tuple(weights), tuple(powers))


def _product(roots: tuple[Fraction, ...] | list[Fraction]) -> tuple[Fraction, ...]:
    """Return the coefficients of the monic polynomial with some roots, of 1 first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        for power, coefficient in enumerate(coefficients):
            shifted[power] -= root * coefficient
        coefficients = shifted
    return tuple(coefficients)
