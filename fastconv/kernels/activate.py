"""Activations of vectors in registers, by the codes of `fastconv.activations`; NaN stays NaN.

Those of an instruction or three. The others are applied afterwards, as NumPy has them.
"""

from collections.abc import Callable

from llvmlite import ir

from fastconv.kernels.vector import Vectors


def relu(v: Vectors, x: ir.Value) -> ir.Value:
    """Return x, or 0 where it is negative."""
    return v.where_less(x, 0.0, v.zero, x)


def relu6(v: Vectors, x: ir.Value) -> ir.Value:
    """Return x between 0 and 6."""
    return relu(v, v.where_greater(x, 6.0, v.constant(6.0), x))


def leaky_relu(v: Vectors, x: ir.Value) -> ir.Value:
    """Return x, or a hundredth of it where it is negative."""
    return v.where_less(x, 0.0, v.builder.fmul(x, v.constant(0.01)), x)


ACTIVATIONS: dict[int, Callable[[Vectors, ir.Value], ir.Value]] = {
    1: relu,
    2: relu6,
    3: leaky_relu,
}
