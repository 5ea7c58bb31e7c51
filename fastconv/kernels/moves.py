"""Moving runs of elements by their bytes: whole vectors, and for the rest ever narrower ones.

Elements are not interpreted, only their size matters. Nothing is masked: the last vector of a run
overlaps the one before it, so that a run of any length takes few instructions on every CPU and no
byte outside it is touched.
"""

import functools
from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastconv.kernels.jit import intrinsic, kernel
from fastconv.kernels.target import host
from fastconv.kernels.vector import INT32, constant, data_pointer

WIDEST_UNIT = 8
"""Bytes of a lane; longer elements are several."""
LONG = 16
"""Elements from which a fill takes vectors."""


@functools.cache
def copier(itemsize: int, stride: int) -> Callable:
    """Return the compiled function that copies every `stride`-th element of an array.

    Its arguments: the array and the place of the first element; the array to copy them to and the
    first place there; how many elements, none if negative; the stride, which is looked at if that
    given here is 0, for any above 2.
    """
    if stride == 0:
        return _one_by_one(itemsize)
    lanes = host().vector_bytes // itemsize
    return _halving(itemsize, lanes, stride, _make_move, "copy")


@functools.cache
def filler(itemsize: int) -> Callable:
    """Return the compiled function that repeats an element.

    Its arguments: an array whose first element that is, and a 0; the array to fill and the first
    place there; how many elements, none if negative; a 1.
    """
    put = _make_fill(itemsize, 1)
    fill_long = _halving(itemsize, host().vector_bytes // itemsize, 1, _make_fill, "fill")

    def fill(value, source, y, target, count, stride):
        if count >= LONG:
            fill_long(value, source, y, target, count, stride)
        else:
            for i in range(count):
                put(value, source, y, target + i)

    return kernel(fill, f"{host().name}-{itemsize}", inline=True)


def _halving(itemsize: int, lanes: int, stride: int, make: Callable, name: str) -> Callable:
    """Return the function for runs of any length, whose widest steps are of `lanes` elements."""
    step = make(itemsize, lanes, stride)
    if lanes == 1:

        def run(x, source, y, target, count, stride_there):
            if count > 0:
                step(x, source, y, target)

    else:
        shorter, advance = _halving(itemsize, lanes // 2, stride, make, name), lanes * stride
        if make is _make_fill:
            advance = 0

        def run(x, source, y, target, count, stride_there):
            if count < lanes:
                shorter(x, source, y, target, count, stride_there)
                return
            last = count - lanes
            end = target + last
            last_source = source + last * (advance // lanes)
            while target < end:
                step(x, source, y, target)
                source += advance
                target += lanes
            step(x, last_source, y, end)

    return kernel(run, f"{name}-{host().name}-{itemsize}-{lanes}-{stride}", inline=True)


def _one_by_one(itemsize: int) -> Callable:
    move = _make_move(itemsize, 1, 1)

    def copy(x, source, y, target, count, stride):
        for i in range(count):
            move(x, source, y, target + i)
            source += stride

    return kernel(copy, f"each-{host().name}-{itemsize}", inline=True)


def _units(itemsize: int, lanes: int) -> tuple[ir.VectorType, int]:
    """Return the vector of so many elements, and how many of its lanes are one."""
    unit = min(itemsize, WIDEST_UNIT)
    each = itemsize // unit
    return ir.VectorType(ir.IntType(8 * unit), lanes * each), each


def _load(builder: ir.IRBuilder, pointer: ir.Value, kind: ir.VectorType) -> ir.Value:
    value = builder.load(builder.bitcast(pointer, kind.as_pointer()))
    value.align = kind.element.width // 8
    return value


def _store(builder: ir.IRBuilder, value: ir.Value, pointer: ir.Value) -> None:
    store = builder.store(value, builder.bitcast(pointer, value.type.as_pointer()))
    store.align = value.type.element.width // 8


def _make_move(itemsize: int, lanes: int, stride: int) -> Callable:
    """Return an intrinsic that copies `lanes` elements, `stride` (1 or 2) apart.

    Its arguments: x and the place of the first; y and the place of the first.
    """
    kind, each = _units(itemsize, lanes)

    def emit(builder, x, y):
        value = _load(builder, x, kind)
        if stride == 2 and lanes > 1:
            # up to the last element that is wanted, not to the one after it
            rest = _load(builder, builder.gep(x, [constant(lanes - 1)]), kind)
            value = builder.shuffle_vector(value, rest, _every_second(lanes, each))
        _store(builder, value, y)

    return _from_place_to_place(emit)


def _every_second(lanes: int, each: int) -> ir.Constant:
    """Return the lanes of two vectors that are every second element of the elements under both."""
    elements = [2 * lane if 2 * lane < lanes else 2 * lane + 1 for lane in range(lanes)]
    order = [element * each + unit for element in elements for unit in range(each)]
    return ir.Constant(ir.VectorType(INT32, len(order)), order)


def _make_fill(itemsize: int, lanes: int, stride: int = 1) -> Callable:
    """Return an intrinsic that writes an element `lanes` times.

    Its arguments: x and the place of the element; y and the place of the first.
    """
    one, each = _units(itemsize, 1)
    order = ir.Constant(ir.VectorType(INT32, lanes * each), list(range(each)) * lanes)

    def emit(builder, x, y):
        value = _load(builder, x, one)
        _store(builder, builder.shuffle_vector(value, value, order), y)

    return _from_place_to_place(emit)


MASKS = {1: 1, 2: 3}
"""Words of masks that one vector takes, by stride: of what is written, and of what is read for it
where that is not the same."""


def make_masked_move(itemsize: int, lanes: int, stride: int) -> Callable:
    """Return an intrinsic that copies the elements of a mask, and writes a value for the others.

    Its arguments: x and the place of the first; y and the place of the first; an array that begins
    with the value; a table and the place of the masks in it, a bit for each element; how many to
    write, at most `lanes`.
    """
    kind, _ = _units(itemsize, lanes)

    @intrinsic
    def move(typing, x, source, y, target, value, table, place, count):
        n = types.intp
        signature = types.void(x, n, y, n, value, table, n, n)

        def generate(context, builder, signature, arguments):
            places = ((0, arguments[1]), (2, arguments[3]), (4, constant(0)), (5, arguments[6]))
            x, y, value, masks = (
                data_pointer(context, builder, signature.args[i], arguments[i], place)
                for i, place in places
            )
            masked = Masked(builder, kind)
            first = _load(builder, value, _units(itemsize, 1)[0])
            zeros = ir.Constant(ir.VectorType(INT32, lanes), [0] * lanes)
            others = builder.shuffle_vector(first, first, zeros)
            words = [
                masked.mask(builder.load(builder.gep(masks, [constant(word)])))
                for word in range(MASKS[stride])
            ]
            if stride == 1:
                found = masked.load(x, words[0], others)
            else:
                rest = builder.gep(x, [constant(lanes - 1)])
                zero = ir.Constant(kind, [0] * lanes)
                pair = masked.load(x, words[1], zero), masked.load(rest, words[2], zero)
                found = builder.shuffle_vector(*pair, _every_second(lanes, 1))
                found = builder.select(words[0], found, others)
            whole = builder.icmp_signed(">=", arguments[7], constant(lanes))
            with builder.if_else(whole) as (all_of_it, a_part):
                with all_of_it:
                    _store(builder, found, y)
                with a_part:
                    masked.store(found, y, masked.first(arguments[7]))
            return context.get_dummy_value()

        return signature, generate

    return move


class Masked:
    """Loads and stores of some lanes of a vector of integers."""

    def __init__(self, builder: ir.IRBuilder, kind: ir.VectorType) -> None:
        self._builder, self._kind = builder, kind
        self._mask = ir.VectorType(ir.IntType(1), kind.count)
        self._align = ir.Constant(INT32, kind.element.width // 8)
        self._suffix = f"v{kind.count}i{kind.element.width}.p0"

    def mask(self, bits: ir.Value) -> ir.Value:
        """Turn the low bits of an integer into a mask."""
        if self._kind.count < bits.type.width:
            bits = self._builder.trunc(bits, ir.IntType(self._kind.count))
        return self._builder.bitcast(bits, self._mask)

    def first(self, count: ir.Value) -> ir.Value:
        """Return the mask of the first `count` lanes, 1 to 64."""
        shift = self._builder.sub(constant(64), count)
        return self.mask(self._builder.lshr(constant(-1), shift))

    def load(self, pointer: ir.Value, mask: ir.Value, others: ir.Value) -> ir.Value:
        """Load the lanes of a mask, and leave the memory of the others alone."""
        whole = self._kind.as_pointer()
        load = self._declare("load", self._kind, [whole, INT32, self._mask, self._kind])
        pointer = self._builder.bitcast(pointer, whole)
        return self._builder.call(load, [pointer, self._align, mask, others])

    def store(self, value: ir.Value, pointer: ir.Value, mask: ir.Value) -> None:
        """Store the lanes of a mask, and leave the memory of the others alone."""
        whole = self._kind.as_pointer()
        store = self._declare("store", ir.VoidType(), [self._kind, whole, INT32, self._mask])
        pointer = self._builder.bitcast(pointer, whole)
        self._builder.call(store, [value, pointer, self._align, mask])

    def _declare(self, name: str, result: ir.Type, arguments: list[ir.Type]) -> ir.Function:
        kind = ir.FunctionType(result, arguments)
        name = f"llvm.masked.{name}.{self._suffix}"
        return cgutils.get_or_insert_function(self._builder.module, kind, name)


def _from_place_to_place(emit: Callable) -> Callable:
    @intrinsic
    def move(typing, x, source, y, target):
        def generate(context, builder, signature, arguments):
            pointers = (
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[i + 1])
                for i in (0, 2)
            )
            emit(builder, *pointers)
            return context.get_dummy_value()

        return types.void(x, types.intp, y, types.intp), generate

    return move
