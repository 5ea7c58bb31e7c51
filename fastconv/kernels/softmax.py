"""Softmax and its logarithm, forward and gradient, along one dimension of an array.

Arrays are flat, `(outer, n, inner)` of them. Where `inner` is 1, vectors lie along `n` and are
folded into one number; else each lane is a line of its own, and blocks of them are walked row by
row as they lie in memory, with what is known of every line beside it.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import types

from fastconv.kernels.activate import exp
from fastconv.kernels.jit import intrinsic
from fastconv.kernels.parts import shared
from fastconv.kernels.rows import Access, folded, larger, walk
from fastconv.kernels.target import host
from fastconv.kernels.vector import Vectors, constant, data_pointer

BLOCK = 256
"""Lines side by side that are walked together: two numbers of each stay in the nearest cache."""


@functools.cache
def softmax_loops(dtype_name: str, across: bool, logarithm: bool):
    """Return the loops over lines, or over blocks of lines.

    Their arguments: x, the result, (n, inner), and the items.
    """
    loops = _softmax_across if across else _softmax_along
    variant = f"{host().name}-{dtype_name}-{logarithm:d}"
    return shared(loops(np.dtype(dtype_name), logarithm), variant)


@functools.cache
def softmax_gradient_loops(dtype_name: str, across: bool, logarithm: bool):
    """Return the loops over lines; their arguments: gy, y, gx, (n, inner), and the items."""
    loops = _gradient_across if across else _gradient_along
    variant = f"{host().name}-{dtype_name}-{logarithm:d}"
    return shared(loops(np.dtype(dtype_name), logarithm), variant)


def _softmax_along(dtype: np.dtype, logarithm: bool):
    sums, finish = _sums(dtype, logarithm), _finish(dtype, logarithm)

    def softmax_along(x, y, sizes, first, last):
        n, _ = sizes
        kept = np.empty(2, x.dtype)
        for item in range(first, last):
            sums(x, y, item * n, n, kept)
            kept[1] = math.log(kept[1]) if logarithm else 1 / kept[1]
            finish(x, y, item * n, n, kept)

    return softmax_along


def _gradient_along(dtype: np.dtype, logarithm: bool):
    run = _gradient(dtype, logarithm)

    def softmax_gradient_along(gy, y, gx, sizes, first, last):
        n, _ = sizes
        for item in range(first, last):
            run(gy, y, gx, item * n, n)

    return softmax_gradient_along


def _softmax_across(dtype: np.dtype, logarithm: bool):
    compare = _row(dtype, _compare)
    add = _row(dtype, _add_logarithm if logarithm else _add_exponential)
    write = _row(dtype, _write_logarithm if logarithm else _write_share)

    def softmax_across(x, y, sizes, first, last):
        n, inner = sizes
        blocks = (inner + BLOCK - 1) // BLOCK
        kept = np.empty(2 * BLOCK, x.dtype)
        for item in range(first, last):
            column = item % blocks * BLOCK
            place, count = item // blocks * n * inner + column, min(BLOCK, inner - column)
            kept[:BLOCK], kept[BLOCK:] = -math.inf, 0
            for row in range(n):
                compare(x, y, y, place + row * inner, count, kept)
            for row in range(n):
                add(x, y, y, place + row * inner, count, kept)
            for lane in range(BLOCK, BLOCK + count):
                kept[lane] = math.log(kept[lane]) if logarithm else 1 / kept[lane]
            for row in range(n):
                write(x, y, y, place + row * inner, count, kept)

    return softmax_across


def _gradient_across(dtype: np.dtype, logarithm: bool):
    add = _row(dtype, _add_gradient if logarithm else _add_product)
    write = _row(dtype, _write_logarithm_gradient if logarithm else _write_gradient)

    def softmax_gradient_across(gy, y, gx, sizes, first, last):
        n, inner = sizes
        blocks = (inner + BLOCK - 1) // BLOCK
        kept = np.empty(2 * BLOCK, y.dtype)
        for item in range(first, last):
            column = item % blocks * BLOCK
            place, count = item // blocks * n * inner + column, min(BLOCK, inner - column)
            kept[BLOCK:] = 0
            for row in range(n):
                add(gy, y, gx, place + row * inner, count, kept)
            for row in range(n):
                write(gy, y, gx, place + row * inner, count, kept)

    return softmax_gradient_across


Pointers = list[ir.Value]
Step = Callable[[Vectors, Access, Pointers], None]


def _compare(v: Vectors, at: Access, p: Pointers) -> None:
    x, _, _, most, _ = p
    at.store(larger(v, at.load(x), at.load(most)), most)


def _add_logarithm(v: Vectors, at: Access, p: Pointers) -> None:
    x, _, _, most, total = p
    value = exp(v, v.builder.fsub(at.load(x), at.load(most)))
    at.store(v.builder.fadd(at.load(total), value), total)


def _add_exponential(v: Vectors, at: Access, p: Pointers) -> None:
    x, _, y, most, total = p
    value = exp(v, v.builder.fsub(at.load(x), at.load(most)))
    at.store(value, y)
    at.store(v.builder.fadd(at.load(total), value), total)


def _write_share(v: Vectors, at: Access, p: Pointers) -> None:
    _, _, y, _, inverse = p
    at.store(v.builder.fmul(at.load(y), at.load(inverse)), y)


def _write_logarithm(v: Vectors, at: Access, p: Pointers) -> None:
    x, _, y, most, logarithm = p
    below = v.builder.fsub(at.load(x), at.load(most))
    at.store(v.builder.fsub(below, at.load(logarithm)), y)


def _add_product(v: Vectors, at: Access, p: Pointers) -> None:
    gy, y, _, _, total = p
    at.store(v.multiply_add(at.load(gy), at.load(y), at.load(total)), total)


def _add_gradient(v: Vectors, at: Access, p: Pointers) -> None:
    gy, _, _, _, total = p
    at.store(v.builder.fadd(at.load(total), at.load(gy)), total)


def _write_gradient(v: Vectors, at: Access, p: Pointers) -> None:
    gy, y, gx, _, total = p
    rest = v.builder.fsub(at.load(gy), at.load(total))
    at.store(v.builder.fmul(at.load(y), rest), gx)


def _write_logarithm_gradient(v: Vectors, at: Access, p: Pointers) -> None:
    gy, y, gx, _, total = p
    share = v.builder.fmul(exp(v, at.load(y)), at.load(total))
    at.store(v.builder.fsub(at.load(gy), share), gx)


def _row(dtype: np.dtype, step: Step):
    """Return an intrinsic: a step for neighbours of one row, each with its two numbers in `kept`.

    A step is given pointers to three arrays and to the two numbers.
    """

    @intrinsic
    def run(typing, one, two, three, place, count, kept):
        n = types.intp

        def emit(context, builder, signature, arguments):
            v = Vectors(builder, dtype, host().lanes(dtype))
            pointers = [
                data_pointer(context, builder, signature.args[i], arguments[i], offset)
                for i, offset in (
                    *((i, arguments[3]) for i in range(3)),
                    *((5, constant(0)), (5, constant(BLOCK))),
                )
            ]

            def body(at, i, _):
                step(v, at, [builder.gep(pointer, [i]) for pointer in pointers])
                return ()

            walk(v, arguments[4], body)
            return context.get_dummy_value()

        return types.void(one, two, three, n, n, kept), emit

    return run


def _sums(dtype: np.dtype, logarithm: bool):
    """Return an intrinsic: the largest element and the sum of exponentials below it, to `kept`.

    The exponentials are put into y where they are needed.
    """

    @intrinsic
    def run(typing, x, y, place, n, kept):
        integer = types.intp

        def emit(context, builder, signature, arguments):
            v = Vectors(builder, dtype, host().lanes(dtype))
            x, y = (
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[2])
                for i in (0, 1)
            )
            lowest = v.constant(-math.inf)

            def compare(at, i, kept):
                value = at.existing(at.load(builder.gep(x, [i])), lowest)
                return [larger(v, value, kept[0])]

            (most,) = walk(v, arguments[3], compare, [lowest])
            most = folded(v, most, lambda one, other: larger(v, one, other))

            def add(at, i, kept):
                value = exp(v, builder.fsub(at.load(builder.gep(x, [i])), most))
                if not logarithm:
                    at.store(value, builder.gep(y, [i]))
                return [builder.fadd(kept[0], at.existing(value, v.zero))]

            (total,) = walk(v, arguments[3], add, [v.zero])
            total = folded(v, total, builder.fadd)
            for i, value in enumerate((most, total)):
                first = builder.extract_element(value, ir.Constant(ir.IntType(32), 0))
                target = data_pointer(
                    context, builder, signature.args[4], arguments[4], constant(i)
                )
                builder.store(first, target)
            return context.get_dummy_value()

        return types.void(x, y, integer, integer, kept), emit

    return run


def _finish(dtype: np.dtype, logarithm: bool):
    """Return an intrinsic: y over the sum, or x less the largest and the logarithm of the sum."""

    @intrinsic
    def run(typing, x, y, place, n, kept):
        integer = types.intp

        def emit(context, builder, signature, arguments):
            v = Vectors(builder, dtype, host().lanes(dtype))
            x, y = (
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[2])
                for i in (0, 1)
            )
            kind, array = signature.args[4], arguments[4]
            most, last = (
                v.broadcast(builder.load(data_pointer(context, builder, kind, array, constant(i))))
                for i in (0, 1)
            )

            def write(at, i, _):
                if logarithm:
                    value = builder.fsub(at.load(builder.gep(x, [i])), most)
                    value = builder.fsub(value, last)
                else:
                    value = builder.fmul(at.load(builder.gep(y, [i])), last)
                at.store(value, builder.gep(y, [i]))
                return ()

            walk(v, arguments[3], write)
            return context.get_dummy_value()

        return types.void(x, y, integer, integer, kept), emit

    return run


def _gradient(dtype: np.dtype, logarithm: bool):
    """Return an intrinsic: y (gy - sum gy y), or gy - e^y sum gy."""

    @intrinsic
    def run(typing, gy, y, gx, place, n):
        integer = types.intp

        def emit(context, builder, signature, arguments):
            v = Vectors(builder, dtype, host().lanes(dtype))
            gy, y, gx = (
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[3])
                for i in range(3)
            )

            def add(at, i, kept):
                gradient = at.load(builder.gep(gy, [i]))
                if logarithm:
                    return [builder.fadd(kept[0], gradient)]
                return [v.multiply_add(gradient, at.load(builder.gep(y, [i])), kept[0])]

            (total,) = walk(v, arguments[4], add, [v.zero])
            total = folded(v, total, builder.fadd)

            def write(at, i, _):
                gradient, value = (at.load(builder.gep(pointer, [i])) for pointer in (gy, y))
                if logarithm:
                    result = builder.fsub(gradient, builder.fmul(exp(v, value), total))
                else:
                    result = builder.fmul(value, builder.fsub(gradient, total))
                at.store(result, builder.gep(gx, [i]))
                return ()

            walk(v, arguments[4], write)
            return context.get_dummy_value()

        return types.void(gy, y, gx, integer, integer), emit

    return run
