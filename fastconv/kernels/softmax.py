"""Softmax and its logarithm, forward and gradient, along one dimension of an array.

Arrays are flat, `(outer, n, inner)` of them. Where `inner` is 1, vectors lie along `n` and are
folded into one number; else they lie across it, and each lane is a line of its own.
"""

import functools
import math

import numpy as np
from llvmlite import ir
from numba import types

from fastconv.kernels.activate import exp
from fastconv.kernels.jit import intrinsic
from fastconv.kernels.parts import shared
from fastconv.kernels.rows import Line, larger
from fastconv.kernels.target import host
from fastconv.kernels.vector import Vectors, data_pointer


@functools.cache
def softmax_loops(dtype_name: str, across: bool, logarithm: bool):
    """Return the loops over lines, or over vectors of lines.

    Their arguments: x, the result, (n, inner), and the items.
    """
    dtype = np.dtype(dtype_name)
    lanes = host().lanes(dtype)
    sums, finish = _sums(dtype, across, logarithm), _finish(dtype, across, logarithm)

    def softmax(x, y, sizes, first, last):
        n, inner = sizes
        blocks = (inner + lanes - 1) // lanes if across else 1
        kept = np.empty(2 * lanes, x.dtype)
        for item in range(first, last):
            column = item % blocks * lanes
            place, width = item // blocks * n * inner + column, min(lanes, inner - column)
            sums(x, y, place, n, inner, width, kept)
            if logarithm:
                for lane in range(lanes if across else 1):
                    kept[lanes + lane] = math.log(kept[lanes + lane])
                if not across:
                    kept[lanes:] = kept[lanes]
            finish(x, y, place, n, inner, width, kept)

    return shared(softmax, f"{host().name}-{dtype_name}-{across:d}{logarithm:d}")


@functools.cache
def softmax_gradient_loops(dtype_name: str, across: bool, logarithm: bool):
    """Return the loops over lines; their arguments: gy, y, gx, (n, inner), and the items."""
    dtype = np.dtype(dtype_name)
    lanes = host().lanes(dtype)
    run = _gradient(dtype, across, logarithm)

    def softmax_gradient(gy, y, gx, sizes, first, last):
        n, inner = sizes
        blocks = (inner + lanes - 1) // lanes if across else 1
        for item in range(first, last):
            column = item % blocks * lanes
            place = item // blocks * n * inner + column
            run(gy, y, gx, place, n, inner, min(lanes, inner - column))

    return shared(softmax_gradient, f"{host().name}-{dtype_name}-{across:d}{logarithm:d}")


def _exponential(v: Vectors, value: ir.Value) -> ir.Value:
    return v.unless_nan(value, exp(v, value))


def _sums(dtype: np.dtype, across: bool, logarithm: bool):
    """Return an intrinsic: the largest element and the sum of exponentials below it, to `kept`.

    The exponentials are put into y where they are needed.
    """

    @intrinsic
    def run(typing, x, y, place, n, inner, width, kept):
        integer = types.intp

        def emit(context, builder, signature, arguments):
            v = Vectors(builder, dtype, host().lanes(dtype))
            pointers = [
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[2])
                for i in (0, 1)
            ]
            line = Line(v, across, *arguments[3:6])
            lowest = v.constant(-math.inf)

            def compare(at, i, kept):
                value = at.existing(at.load(builder.gep(pointers[0], [i])), lowest)
                return [larger(v, value, kept[0])]

            (most,) = line.each(compare, [lowest])
            most = line.folded(most, lambda one, other: larger(v, one, other))

            def add(at, i, kept):
                value = at.load(builder.gep(pointers[0], [i]))
                value = _exponential(v, builder.fsub(value, most))
                if not logarithm:
                    at.store(value, builder.gep(pointers[1], [i]))
                return [builder.fadd(kept[0], at.existing(value, v.zero))]

            (total,) = line.each(add, [v.zero])
            total = line.folded(total, builder.fadd)
            for value, start in ((most, 0), (total, v.lanes)):
                target = ir.Constant(ir.IntType(64), start)
                kind, array = signature.args[6], arguments[6]
                v.store(value, data_pointer(context, builder, kind, array, target))
            return context.get_dummy_value()

        return types.void(x, y, integer, integer, integer, integer, kept), emit

    return run


def _finish(dtype: np.dtype, across: bool, logarithm: bool):
    """Return an intrinsic: y over the sum, or x less the largest and the logarithm of the sum."""

    @intrinsic
    def run(typing, x, y, place, n, inner, width, kept):
        integer = types.intp

        def emit(context, builder, signature, arguments):
            v = Vectors(builder, dtype, host().lanes(dtype))
            x, y = (
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[2])
                for i in (0, 1)
            )
            most, total = (
                v.load(
                    data_pointer(
                        *(context, builder, signature.args[6], arguments[6]),
                        ir.Constant(ir.IntType(64), start),
                    )
                )
                for start in (0, v.lanes)
            )

            def write(at, i, _):
                if logarithm:
                    value = builder.fsub(at.load(builder.gep(x, [i])), most)
                    value = builder.fsub(value, total)
                else:
                    value = builder.fdiv(at.load(builder.gep(y, [i])), total)
                at.store(value, builder.gep(y, [i]))
                return ()

            Line(v, across, *arguments[3:6]).each(write)
            return context.get_dummy_value()

        return types.void(x, y, integer, integer, integer, integer, kept), emit

    return run


def _gradient(dtype: np.dtype, across: bool, logarithm: bool):
    """Return an intrinsic: y (gy - sum gy y), or gy - e^y sum gy."""

    @intrinsic
    def run(typing, gy, y, gx, place, n, inner, width):
        integer = types.intp

        def emit(context, builder, signature, arguments):
            v = Vectors(builder, dtype, host().lanes(dtype))
            gy, y, gx = (
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[3])
                for i in range(3)
            )
            line = Line(v, across, *arguments[4:7])

            def loaded(at, i):
                return (at.load(builder.gep(pointer, [i])) for pointer in (gy, y))

            def add(at, i, kept):
                gradient, value = loaded(at, i)
                if logarithm:
                    return [builder.fadd(kept[0], gradient)]
                return [v.multiply_add(gradient, value, kept[0])]

            (total,) = line.each(add, [v.zero])
            total = line.folded(total, builder.fadd)

            def write(at, i, _):
                gradient, value = loaded(at, i)
                if logarithm:
                    share = builder.fmul(_exponential(v, value), total)
                    result = builder.fsub(gradient, share)
                else:
                    result = builder.fmul(value, builder.fsub(gradient, total))
                at.store(result, builder.gep(gx, [i]))
                return ()

            line.each(write)
            return context.get_dummy_value()

        return types.void(gy, y, gx, integer, integer, integer, integer), emit

    return run
