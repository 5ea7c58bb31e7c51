"""y = activation(x scale + shift + more), and an activation's gradient: each in one pass.

Arrays are flat, and walked in *rows* of neighbours that have the same channel, or in which channels
alternate; then scale and shift are repeated along a row. A row is cut into pieces for the threads.
"""

import functools

import numpy as np
from numba import types

from fastconv.kernels.activate import ACTIVATIONS, FIRST_FINISHING, finisher
from fastconv.kernels.jit import intrinsic
from fastconv.kernels.parts import shared
from fastconv.kernels.rows import walk
from fastconv.kernels.target import host
from fastconv.kernels.vector import Vectors, constant, data_pointer


@functools.cache
def affine_loops(dtype_name: str, alternate: bool, more: bool):
    """Return the loops over pieces of rows.

    Their arguments: x, an array added with a factor, the result; scale, shift and that factor;
    (rows, their length, length of a piece, channels); the activation; the pieces.
    """
    run, finish = _affine(np.dtype(dtype_name), alternate, more), finisher(dtype_name)

    def affine(x, added, y, scale, shift, factor, sizes, code, first, last):
        _, length, piece, channels = sizes
        pieces = (length + piece - 1) // piece
        for item in range(first, last):
            row, start = item // pieces, item % pieces * piece
            count = min(piece, length - start)
            place = row * length + start
            channel = 0 if alternate else row % channels
            early = code if code < FIRST_FINISHING else 0
            run(x, added, y, place, count, scale, shift, factor, channel, early)
            if code != early:
                finish(y, place, count, code)

    return shared(affine, f"{host().name}-{dtype_name}-{alternate:d}{more:d}")


def _affine(dtype: np.dtype, alternate: bool, more: bool):
    @intrinsic
    def run(typing, x, added, y, place, count, scale, shift, factor, channel, code):
        n = types.intp

        def emit(context, builder, signature, arguments):
            v = Vectors(builder, dtype, host().lanes(dtype))
            place, count, code = arguments[3], arguments[4], arguments[9]
            x, added, y = (
                data_pointer(context, builder, signature.args[i], arguments[i], place)
                for i in range(3)
            )
            numbers = [
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[8])
                for i in (5, 6, 7)
            ]
            same = None if alternate else [v.broadcast(builder.load(each)) for each in numbers]

            def result(at, i):
                a, b, f = same or [at.load(builder.gep(each, [i])) for each in numbers]
                total = v.multiply_add(at.load(builder.gep(x, [i])), a, b)
                if more:
                    total = v.multiply_add(at.load(builder.gep(added, [i])), f, total)
                return total

            def write(function):
                def body(at, i, _):
                    at.store(function(v, result(at, i)), builder.gep(y, [i]))
                    return ()

                walk(v, count, body)

            by_code(v, code, {0: lambda _, value: value, **ACTIVATIONS}, write)
            return context.get_dummy_value()

        return types.void(x, added, y, n, n, scale, shift, factor, n, n), emit

    return run


def by_code(v: Vectors, code, functions: dict, write) -> None:
    """Emit a loop for each function, of which the one with a code runs."""
    builder = v.builder
    after = builder.append_basic_block("done")
    choice = builder.switch(code, after)
    for number, function in functions.items():
        block = builder.append_basic_block(f"code{number}")
        choice.add_case(constant(number), block)
        builder.position_at_end(block)
        write(function)
        builder.branch(after)
    builder.position_at_end(after)


def _of_relu(v, y):
    return v.where_greater(y, 0.0, v.constant(1.0), v.zero)


def _of_relu6(v, y):
    return v.where_greater(y, 0.0, v.where_less(y, 6.0, v.constant(1.0), v.zero), v.zero)


def _of_leaky_relu(v, y):
    return v.where_greater(y, 0.0, v.constant(1.0), v.constant(0.01))


def _of_tanh(v, y):
    return v.multiply_add(v.builder.fneg(y), y, v.constant(1.0))


def _of_sigmoid(v, y):
    return v.builder.fmul(y, v.builder.fsub(v.constant(1.0), y))


SLOPES = {1: _of_relu, 2: _of_relu6, 3: _of_leaky_relu, 4: _of_tanh, 5: _of_sigmoid}
"""Derivatives, told by the results of activations."""


@functools.cache
def slope_loops(dtype_name: str):
    """Return the loops that multiply gradients by an activation's derivative, a piece an item."""
    run = _slopes(np.dtype(dtype_name))

    def slopes(y, gy, gx, piece, code, first, last):
        for item in range(first, last):
            start = item * piece
            run(y, gy, gx, start, min(piece, y.size - start), code)

    return shared(slopes, f"{host().name}-{dtype_name}")


def _slopes(dtype: np.dtype):
    @intrinsic
    def run(typing, y, gy, gx, place, count, code):
        n = types.intp

        def emit(context, builder, signature, arguments):
            v = Vectors(builder, dtype, host().lanes(dtype))
            y, gy, gx = (
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[3])
                for i in range(3)
            )

            def write(slope):
                def body(at, i, _):
                    value = at.load(builder.gep(y, [i]))
                    product = builder.fmul(slope(v, value), at.load(builder.gep(gy, [i])))
                    at.store(product, builder.gep(gx, [i]))
                    return ()

                walk(v, arguments[4], body)

            by_code(v, arguments[5], SLOPES, write)
            return context.get_dummy_value()

        return types.void(y, gy, gx, n, n, n), emit

    return run
