"""Activations of vectors in registers, by the codes of `fastconv.activations`; NaN stays NaN.

`exp` is the usual reduction: x = n ln 2 + r with |r| <= ln 2 / 2, a Taylor polynomial in r, and n
added to the exponent. tanh near 0 is a Taylor polynomial too: (1 - e) / (1 + e) would cancel there.
"""

import math
from collections.abc import Callable
from fractions import Fraction

from llvmlite import ir

from fastconv.kernels.vector import Vectors

LOWEST = {"float32": -87.0, "float64": -708.0}
"""Below this e^x counts as e to this: what is smaller is no normal number."""
EXP_TERMS = {"float32": 8, "float64": 14}
TANH_TERMS = {"float32": 6, "float64": 13}
SMALL = 0.25
"""Where |tanh| goes over from one formula to the other."""
LN2_HIGH, LN2_LOW = 0.693145751953125, 1.4286068203094172e-06
"""ln 2 in two parts; the first has few digits, so that n times it is exact."""


def relu(v: Vectors, x: ir.Value) -> ir.Value:
    """Return x, or 0 where it is negative."""
    return v.where_less(x, 0.0, v.zero, x)


def relu6(v: Vectors, x: ir.Value) -> ir.Value:
    """Return x between 0 and 6."""
    return relu(v, v.where_greater(x, 6.0, v.constant(6.0), x))


def leaky_relu(v: Vectors, x: ir.Value) -> ir.Value:
    """Return x, or a hundredth of it where it is negative."""
    return v.where_less(x, 0.0, v.builder.fmul(x, v.constant(0.01)), x)


def tanh(v: Vectors, x: ir.Value) -> ir.Value:
    """Return (1 - e) / (1 + e) with e = exp(-2 |x|), with the sign of x."""
    builder, one = v.builder, v.constant(1.0)
    size = v.absolute(x)
    e = exp(v, builder.fmul(size, v.constant(-2.0)))
    large = builder.fdiv(builder.fsub(one, e), builder.fadd(one, e))
    large = v.where_less(x, 0.0, builder.fneg(large), large)
    square = builder.fmul(x, x)
    small = builder.fmul(x, _polynomial(v, square, _tanh_series(TANH_TERMS[v.name])))
    return v.unless_nan(x, v.where_less(size, SMALL, small, large))


def sigmoid(v: Vectors, x: ir.Value) -> ir.Value:
    """Return 1 / (1 + e), or e / (1 + e) where x is negative, with e = exp(-|x|)."""
    builder, one = v.builder, v.constant(1.0)
    e = exp(v, builder.fneg(v.absolute(x)))
    share = builder.fdiv(one, builder.fadd(one, e))
    return v.unless_nan(x, v.where_less(x, 0.0, builder.fmul(e, share), share))


def exp(v: Vectors, x: ir.Value) -> ir.Value:
    """Return e to numbers that are not positive."""
    lowest = LOWEST[v.name]
    x = v.where_less(x, lowest, v.constant(lowest), x)
    n = v.rounded(v.builder.fmul(x, v.constant(1 / math.log(2))))
    rest = v.multiply_add(n, v.constant(-LN2_HIGH), x)
    rest = v.multiply_add(n, v.constant(-LN2_LOW), rest)
    series = [1 / math.factorial(k) for k in range(EXP_TERMS[v.name])]
    return v.builder.fmul(_polynomial(v, rest, series), v.power_of_two(n))


def _polynomial(v: Vectors, x: ir.Value, series: list[float]) -> ir.Value:
    total = v.constant(series[-1])
    for term in reversed(series[:-1]):
        total = v.multiply_add(total, x, v.constant(term))
    return total


def _tanh_series(terms: int) -> list[float]:
    """Return the coefficients of tanh(x) / x in x squared, from y' = 1 - y^2."""
    y = [Fraction(0), Fraction(1)]
    for n in range(1, 2 * terms - 1):
        y.append(-sum(y[i] * y[n - i] for i in range(n + 1)) / (n + 1))
    return [float(term) for term in y[1::2]]


ACTIVATIONS: dict[int, Callable[[Vectors, ir.Value], ir.Value]] = {
    1: relu,
    2: relu6,
    3: leaky_relu,
    4: tanh,
    5: sigmoid,
}
SHORT = (1, 2, 3)
"""Those of an instruction or three, which are worth repeating for every register."""
