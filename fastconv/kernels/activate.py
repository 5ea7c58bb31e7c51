"""Activations of vectors, by the codes of `fastconv.activations`; NaN stays NaN.

Those of an instruction or three are applied in the registers of a tile. The others are too long to
be repeated for each of them: `finisher` applies them to what a tile has just written, which is in
the nearest cache still.

`exp` is the usual reduction: x = n ln 2 + r with |r| <= ln 2 / 2, a Taylor polynomial in r, and n
added to the exponent, in two steps where the result is no normal number. tanh near 0 is a Taylor
polynomial too: (1 - e) / (1 + e) would cancel there.
"""

import functools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from llvmlite import ir
from numba import types

from fastconv.kernels.jit import intrinsic, kernel
from fastconv.kernels.target import host
from fastconv.kernels.vector import INT64, Vectors, constant, data_pointer

LOWEST = {"float32": -104.0, "float64": -745.2}
"""Below this e^x rounds to 0."""
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
    below = builder.fadd(one, e)
    above = v.where_less(x, 0.0, e, one)
    return v.unless_nan(x, builder.fdiv(above, below))


def exp(v: Vectors, x: ir.Value) -> ir.Value:
    """Return e to numbers that are not positive."""
    lowest = LOWEST[v.name]
    inside = v.where_less(x, lowest, v.constant(lowest), x)
    n, one, other = v.whole(v.builder.fmul(inside, v.constant(1 / math.log(2))))
    rest = v.multiply_add(n, v.constant(-LN2_HIGH), inside)
    rest = v.multiply_add(n, v.constant(-LN2_LOW), rest)
    series = [1 / math.factorial(k) for k in range(EXP_TERMS[v.name])]
    result = v.builder.fmul(v.builder.fmul(_polynomial(v, rest, series), one), other)
    return v.where_less(x, lowest, v.zero, result)


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


Write = Callable[[Vectors, ir.Value], ir.Value]
ACTIVATIONS: dict[int, Write] = {1: relu, 2: relu6, 3: leaky_relu}
"""Those that tiles apply."""
FINISHING: dict[int, Write] = {4: tanh, 5: sigmoid}
"""Those that are applied afterwards."""
FIRST_FINISHING = min(FINISHING)


@functools.cache
def finisher(dtype_name: str):
    """Return a function that applies one of `FINISHING` to some neighbours in y.

    Its arguments: y, the place of the first, how many, and the code.
    """
    apply = _make_apply(np.dtype(dtype_name))

    def finish(y, place, count, code):
        apply(y, place, count, code)

    return kernel(finish, f"{host().name}-{dtype_name}")


def _make_apply(dtype: np.dtype):
    @intrinsic
    def apply(typing, y, place, count, code):
        n = types.intp

        def emit(context, builder, signature, arguments):
            y = data_pointer(context, builder, signature.args[0], arguments[0], arguments[1])
            vectors = Vectors(builder, dtype, host().lanes(dtype))
            after = builder.append_basic_block("finished")
            choice = builder.switch(arguments[3], after)
            for number, function in FINISHING.items():
                block = builder.append_basic_block(f"finish{number}")
                choice.add_case(constant(number), block)
                builder.position_at_end(block)
                _walk(vectors, function, y, arguments[2])
                builder.branch(after)
            builder.position_at_end(after)
            return context.get_dummy_value()

        return types.void(y, n, n, n), emit

    return apply


def _walk(v: Vectors, function: Write, y: ir.Value, count: ir.Value) -> None:
    """Replace vector after vector; of the last only what exists."""
    builder = v.builder
    before, loop = builder.block, builder.append_basic_block("walk")
    after = builder.append_basic_block("walked")
    builder.cbranch(builder.icmp_signed("<", constant(0), count), loop, after)
    builder.position_at_end(loop)
    place = builder.phi(INT64)
    place.add_incoming(constant(0), before)
    mask, pointer = v.first_lanes(builder.sub(count, place)), builder.gep(y, [place])
    v.masked_store(function(v, v.masked_load(pointer, mask)), pointer, mask)
    following = builder.add(place, constant(v.lanes))
    place.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
    builder.position_at_end(after)
