"""Activations of vectors, by the codes of `fastconv.activations`; NaN stays NaN.

Those of an instruction or three are applied in the registers of a tile. The others are too long to
be repeated for each of them: `finisher` applies them to what a tile has just written, which is in
the nearest cache still.

`exp` is the usual reduction: x = n ln 2 + r with |r| <= ln 2 / 2, a Taylor polynomial in r, and n
added to the exponent.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types

from fastconv.kernels.jit import intrinsic, kernel
from fastconv.kernels.rows import walk
from fastconv.kernels.target import host
from fastconv.kernels.vector import Vectors, constant, data_pointer

LOWEST = {"float32": -104.0, "float64": -745.2}
"""Here and below e^x rounds to 0."""
TANH_LOWEST = {"float32": -20.0, "float64": -40.0}
"""Where e^x is lost beside 1."""
EXP_TERMS = {"float32": 8, "float64": 14}
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
    """Return -f / (f + 2) with f = exp(-2 |x|) - 1, with the sign of x.

    f is (2^n - 1) + 2^n (e^r - 1), which is exact to the last digits where n is 0 and f is small.
    """
    builder = v.builder
    _, exponent, rest = _reduced(v, builder.fmul(v.absolute(x), v.constant(-2.0)), TANH_LOWEST)
    power = v.power(exponent)
    series = [1 / math.factorial(k + 1) for k in range(EXP_TERMS[v.name] - 1)]
    above = builder.fmul(rest, _polynomial(v, rest, series))
    f = v.multiply_add(power, above, builder.fsub(power, v.constant(1.0)))
    size = builder.fdiv(f, builder.fadd(f, v.constant(2.0)))
    return v.with_sign(size, x)


def sigmoid(v: Vectors, x: ir.Value) -> ir.Value:
    """Return 1 / (1 + e), or e / (1 + e) where x is negative, with e = exp(-|x|)."""
    builder, one = v.builder, v.constant(1.0)
    e = exp(v, builder.fneg(v.absolute(x)))
    below = builder.fadd(one, e)
    return builder.fdiv(v.where_less(x, 0.0, e, one), below)


def exp(v: Vectors, x: ir.Value) -> ir.Value:
    """Return e to numbers that are not positive; NaN of NaN."""
    n, exponent, rest = _reduced(v, x, LOWEST)
    series = [1 / math.factorial(k) for k in range(EXP_TERMS[v.name])]
    return v.scaled(_polynomial(v, rest, series), n, exponent)


def _reduced(v: Vectors, x: ir.Value, lowest: dict[str, float]) -> tuple[ir.Value, ...]:
    """Return n, also as an integer, and r with x = n ln 2 + r; x is raised to the lowest."""
    least = lowest[v.name]
    inside = v.where_less(x, least, v.constant(least), x)
    n, exponent = v.whole(v.builder.fmul(inside, v.constant(1 / math.log(2))))
    rest = v.multiply_add(n, v.constant(-LN2_HIGH), inside)
    return n, exponent, v.multiply_add(n, v.constant(-LN2_LOW), rest)


def _polynomial(v: Vectors, x: ir.Value, series: list[float]) -> ir.Value:
    total = v.constant(series[-1])
    for term in reversed(series[:-1]):
        total = v.multiply_add(total, x, v.constant(term))
    return total


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

                def body(at, i, _, function=function):
                    pointer = builder.gep(y, [i])
                    at.store(function(vectors, at.load(pointer)), pointer)
                    return ()

                walk(vectors, arguments[2], body)
                builder.branch(after)
            builder.position_at_end(after)
            return context.get_dummy_value()

        return types.void(y, n, n, n), emit

    return apply
