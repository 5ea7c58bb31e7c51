"""The vocabulary of generated code: vectors of one dtype, in LLVM's intermediate representation.

A `Vectors` emits instructions at the builder's place. Pointers are typed by their element; offsets
are in elements. Nothing asks for alignment beyond the element's.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils

INT32, INT64 = ir.IntType(32), ir.IntType(64)
ELEMENTS: dict[str, tuple[ir.Type, str]] = {
    "float32": (ir.FloatType(), "f32"),
    "float64": (ir.DoubleType(), "f64"),
    "bool": (ir.IntType(8), "i8"),
    **{
        f"{u}int{bits}": (ir.IntType(bits), f"i{bits}")
        for u in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}

_FORMATS = {"float32": (32, 127, 23), "float64": (64, 1023, 52)}
"""Bits, bias of the exponent, and digits after the first."""
AVX512_BYTES = 64
"""Of a vector; no other instruction set here has such long ones."""


def constant(value: int) -> ir.Constant:
    """Return a 64-bit integer."""
    return ir.Constant(INT64, value)


class Vectors:
    """Instructions on vectors of `lanes` elements."""

    def __init__(self, builder: ir.IRBuilder, dtype: np.dtype, lanes: int) -> None:
        self.builder = builder
        self.dtype, self.name = dtype, dtype.name
        self.element, suffix = ELEMENTS[dtype.name]
        self.lanes = lanes
        self.type = ir.VectorType(self.element, lanes)
        self.mask_type = ir.VectorType(ir.IntType(1), lanes)
        self.zero = ir.Constant(self.type, None)
        self._align = ir.Constant(INT32, dtype.itemsize)
        self._suffix = f"v{lanes}{suffix}"

    def load(self, pointer: ir.Value) -> ir.Value:
        """Load `lanes` elements."""
        value = self.builder.load(self.builder.bitcast(pointer, self.type.as_pointer()))
        value.align = self._align.constant
        return value

    def store(self, value: ir.Value, pointer: ir.Value) -> None:
        """Store `lanes` elements."""
        kind = self.type.as_pointer()
        self.builder.store(value, self.builder.bitcast(pointer, kind)).align = self._align.constant

    def stream(self, value: ir.Value, pointer: ir.Value) -> None:
        """Store a vector past the caches, to an address that is a multiple of its size."""
        kind = self.type.as_pointer()
        store = self.builder.store(value, self.builder.bitcast(pointer, kind))
        store.align = self.lanes * self._align.constant
        flag = self.builder.module.add_metadata([ir.Constant(INT32, 1)])
        store.set_metadata("nontemporal", flag)

    def masked_load(
        self, pointer: ir.Value, mask: ir.Value, others: ir.Value | None = None
    ) -> ir.Value:
        """Load the lanes of a mask, and 0 or other values without touching their memory."""
        function = self._declare(
            f"llvm.masked.load.{self._suffix}.p0",
            self.type,
            [self.type.as_pointer(), INT32, self.mask_type, self.type],
        )
        pointer = self.builder.bitcast(pointer, self.type.as_pointer())
        return self.builder.call(function, [pointer, self._align, mask, others or self.zero])

    def blended_load(self, pointer: ir.Value, mask: ir.Value) -> ir.Value:
        """Load all lanes, and zero those not in a mask: all must be readable."""
        return self.builder.select(mask, self.load(pointer), self.zero)

    def masked_store(self, value: ir.Value, pointer: ir.Value, mask: ir.Value) -> None:
        """Store the lanes of a mask, and leave the memory of the others alone."""
        function = self._declare(
            f"llvm.masked.store.{self._suffix}.p0",
            ir.VoidType(),
            [self.type, self.type.as_pointer(), INT32, self.mask_type],
        )
        pointer = self.builder.bitcast(pointer, self.type.as_pointer())
        self.builder.call(function, [value, pointer, self._align, mask])

    def broadcast(self, scalar: ir.Value) -> ir.Value:
        """Repeat a scalar in every lane."""
        undefined = ir.Constant(self.type, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(INT32, 0))
        places = ir.Constant(ir.VectorType(INT32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, places)

    def constant(self, number: float) -> ir.Constant:
        """Return a vector of one number."""
        return ir.Constant(self.type, [number] * self.lanes)

    def where_less(self, value: ir.Value, bound: float, yes: ir.Value, no: ir.Value) -> ir.Value:
        """Choose by lane whether a value is less than a number; NaN is not."""
        less = self.builder.fcmp_ordered("<", value, self.constant(bound))
        return self.builder.select(less, yes, no)

    def where_greater(self, value: ir.Value, bound: float, yes: ir.Value, no: ir.Value) -> ir.Value:
        """Choose by lane whether a value is greater than a number; NaN is not."""
        greater = self.builder.fcmp_ordered(">", value, self.constant(bound))
        return self.builder.select(greater, yes, no)

    def absolute(self, value: ir.Value) -> ir.Value:
        """Return sizes without signs."""
        function = self._declare(f"llvm.fabs.{self._suffix}", self.type, [self.type])
        return self.builder.call(function, [value])

    def with_sign(self, size: ir.Value, value: ir.Value) -> ir.Value:
        """Return sizes with the signs of other values."""
        function = self._declare(f"llvm.copysign.{self._suffix}", self.type, [self.type] * 2)
        return self.builder.call(function, [size, value])

    def whole(self, value: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Return the nearest whole numbers, in floating point and as integers.

        Numbers must be small: one so large that its last digit is worth 1 is added, and taken away
        again.
        """
        bits, _, digits = _FORMATS[self.name]
        kind, large = ir.VectorType(ir.IntType(bits), self.lanes), self.constant(1.5 * 2.0**digits)
        total = self.builder.fadd(value, large)
        integer = self.builder.sub(
            self.builder.bitcast(total, kind), self.builder.bitcast(large, kind)
        )
        return self.builder.fsub(total, large), integer

    def power(self, exponent: ir.Value) -> ir.Value:
        """Return 2 to the power of integers, where that is a normal number."""
        bits, bias, digits = _FORMATS[self.name]
        kind = ir.VectorType(ir.IntType(bits), self.lanes)
        biased = self.builder.add(exponent, ir.Constant(kind, [bias] * self.lanes))
        places = ir.Constant(kind, [digits] * self.lanes)
        return self.builder.bitcast(self.builder.shl(biased, places), self.type)

    def scaled(self, value: ir.Value, n: ir.Value, exponent: ir.Value) -> ir.Value:
        """Return values times 2 to the power of what `whole` returned.

        The result may be no normal number: it is then rounded once, by an instruction of AVX-512,
        or by two factors that both are one.
        """
        if self.lanes * self.dtype.itemsize == AVX512_BYTES:
            mask, suffix = ir.IntType(max(8, self.lanes)), {"float32": "ps", "float64": "pd"}
            function = self._declare(
                f"llvm.x86.avx512.mask.scalef.{suffix[self.name]}.512",
                self.type,
                [self.type, self.type, self.type, mask, INT32],
            )
            every, rounding = ir.Constant(mask, -1), ir.Constant(INT32, 4)
            return self.builder.call(function, [value, n, value, every, rounding])
        kind = exponent.type
        half = self.builder.ashr(exponent, ir.Constant(kind, [1] * self.lanes))
        for part in (half, self.builder.sub(exponent, half)):
            value = self.builder.fmul(value, self.power(part))
        return value

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """Return `a * b + c`, rounded once where the CPU can."""
        function = self._declare(f"llvm.fmuladd.{self._suffix}", self.type, [self.type] * 3)
        return self.builder.call(function, [a, b, c])

    def mask(self, bits: ir.Value) -> ir.Value:
        """Turn the low bits of an integer into a mask."""
        narrow = self.builder.trunc(bits, ir.IntType(self.lanes))
        return self.builder.bitcast(narrow, self.mask_type)

    def first_lanes(self, count: ir.Value) -> ir.Value:
        """Return the mask of the first `count` lanes; none if that is negative."""
        kind = ir.VectorType(INT64, self.lanes)
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, count, ir.Constant(INT32, 0))
        places = ir.Constant(ir.VectorType(INT32, self.lanes), [0] * self.lanes)
        counts = self.builder.shuffle_vector(first, undefined, places)
        return self.builder.icmp_signed("<", ir.Constant(kind, list(range(self.lanes))), counts)

    def prefetch(self, pointer: ir.Value) -> None:
        """Ask for the cache line of an address that need not be readable."""
        byte = ir.IntType(8).as_pointer()
        function = cgutils.get_or_insert_function(
            self.builder.module,
            ir.FunctionType(ir.VoidType(), [byte, INT32, INT32, INT32]),
            "llvm.prefetch.p0",
        )
        read, keep, data = (ir.Constant(INT32, value) for value in (0, 3, 1))
        self.builder.call(function, [self.builder.bitcast(pointer, byte), read, keep, data])

    def _declare(self, name: str, result: ir.Type, arguments: list[ir.Type]) -> ir.Function:
        kind = ir.FunctionType(result, arguments)
        return cgutils.get_or_insert_function(self.builder.module, kind, name)


def data_pointer(context, builder, array_type, array, offset):
    """Return a pointer to an element of an array that Numba passed."""
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.gep(data, [offset])
