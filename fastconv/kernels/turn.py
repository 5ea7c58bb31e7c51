"""Turning rows into columns, a square at a time: how weights are packed.

Read row by row and written element by element, a weight takes longer to pack than a layer of small
planes to compute. Here some terms of some rows are loaded as vectors and turned in registers.
"""

import functools

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from fastconv.kernels.jit import intrinsic, kernel
from fastconv.kernels.target import host
from fastconv.kernels.vector import INT32, Vectors, constant, data_pointer

AHEAD_BYTES = 512
"""How far ahead long rows are fetched: they are more than the CPU follows by itself."""
RUNS_TOGETHER = 8
"""Runs that are packed of many rows before the next: each may be on a page of its own."""


@functools.cache
def term_packer(dtype_name: str, rows: int):
    """Return a function that packs some rows of a weight, zeros where there are not so many.

    Its arguments: w, the place of the first row's first term, and how many rows exist; the packed
    weights and the place of the first term there; for every element of the runs its term's place
    after that, in units, or -1; the elements of a unit; the steps of `lowering.weights.Terms`; the
    range of runs.
    """
    dtype = np.dtype(dtype_name)
    lanes = host().lanes(dtype)
    turn, copy = make_turn(dtype, lanes, rows), make_copy(dtype, lanes, rows)

    def pack_terms(w, source, valid, packed, target, units, unit, steps, first, last):
        _, step, _, run_step, length, ahead = steps
        if length == 1 and step == 1:
            for run in range(first, last):
                copy(w, source + run * run_step, valid, packed, target + units[run] * unit, ahead)
        else:
            for run in range(first, last):
                for k in range(0, length, lanes):
                    turn(
                        *(w, source + run * run_step + k, step, valid, length - k, ahead),
                        *(packed, target, units, run * length + k, unit),
                    )

    return kernel(pack_terms, f"{host().name}-{dtype_name}-{rows}", inline=True)


def make_turn(dtype: np.dtype, lanes: int, rows: int):
    """Return an intrinsic that turns `lanes` terms of `rows` rows.

    Its arguments: w, the place of the first term of the first row, and the distance of the rows;
    how many rows exist (the others are zeros), how many terms are left, and how far ahead to fetch;
    the packed weights and a place in them; the table of the terms' places after that, in units, or
    -1 for those left away, the place of the first term there, and the elements of a unit. The rows
    of a term are neighbours.
    """

    @intrinsic
    def turn(typing, w, source, step, valid, left, ahead, packed, target, units, first, unit):
        n = types.intp
        signature = types.void(w, *(n,) * 5, packed, n, units, n, n)

        def emit(context, builder, signature, arguments):
            _, _, step, valid, left, ahead, _, _, _, _, unit = arguments
            w, packed, units = (
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[i + 1])
                for i in (0, 6, 8)
            )
            narrow, array = Vectors(builder, dtype, rows), signature.args[0]
            size = cgutils.create_struct_proxy(array)(context, builder, arguments[0]).nitems
            within = builder.sub(size, arguments[1])
            vectors = Vectors(builder, dtype, lanes)
            loaded = _loaded(vectors, rows, w, within, step, valid, left, ahead)
            turned = interleaved(builder, loaded)
            for term in range(lanes):
                exists = builder.icmp_signed("<", constant(term), left)
                with cgutils.if_likely(builder, exists):
                    place = builder.load(builder.gep(units, [constant(term)]))
                    wanted = builder.icmp_signed(">=", place, constant(0))
                    with cgutils.if_likely(builder, wanted):
                        target = builder.gep(packed, [builder.mul(place, unit)])
                        narrow.store(picked(builder, turned, term, rows), target)
            return context.get_dummy_value()

        return signature, emit

    return turn


def _loaded(vectors, rows, w, within, step, valid, left, ahead):
    """Load whole vectors where all of them are inside the weight: masks take longer."""
    builder, lanes = vectors.builder, vectors.lanes
    rest = (
        constant(lanes)
        if rows == 1
        else builder.add(builder.mul(step, constant(rows - 1)), constant(lanes))
    )
    whole = builder.and_(
        builder.icmp_signed(">=", valid, constant(rows)),
        builder.icmp_signed("<=", rest, within),
    )
    found = []
    with builder.if_else(whole) as (yes, no):
        for branch, masked in ((yes, False), (no, True)):
            with branch:
                some = []
                for row in range(rows):
                    pointer = builder.gep(w, [builder.mul(step, constant(row))])
                    if masked:
                        exists = builder.icmp_signed("<", constant(row), valid)
                        count = builder.select(exists, left, constant(0))
                        some.append(vectors.masked_load(pointer, vectors.first_lanes(count)))
                    else:
                        some.append(vectors.load(pointer))
                    vectors.prefetch(builder.gep(pointer, [ahead]))
                found.append((some, builder.block))
    loaded = []
    for row in range(rows):
        phi = builder.phi(vectors.type)
        for some, block in found:
            phi.add_incoming(some[row], block)
        loaded.append(phi)
    return loaded


def make_copy(dtype: np.dtype, lanes: int, rows: int):
    """Return an intrinsic that copies a term of `rows` rows that are neighbours in memory.

    Its arguments: w, the place of the first row, how many rows exist (the others are zeros); the
    packed weights and the place there; how far ahead to fetch.
    """

    @intrinsic
    def copy(typing, w, source, valid, packed, target, ahead):
        n = types.intp

        def emit(context, builder, signature, arguments):
            pointers = (
                data_pointer(context, builder, signature.args[i], arguments[i], arguments[i + 1])
                for i in (0, 3)
            )
            w, packed = pointers
            valid, ahead = arguments[2], arguments[5]
            Vectors(builder, dtype, lanes).prefetch(builder.gep(w, [ahead]))
            for first in range(0, rows, lanes):
                part = min(lanes, rows - first)
                wide, narrow = Vectors(builder, dtype, lanes), Vectors(builder, dtype, part)
                most = ir.Constant(wide.mask_type, [int(lane < part) for lane in range(lanes)])
                mask = wide.first_lanes(builder.sub(valid, constant(first)))
                mask = builder.and_(mask, most)
                loaded = wide.masked_load(builder.gep(w, [constant(first)]), mask)
                lanes_kept = ir.Constant(ir.VectorType(INT32, part), list(range(part)))
                kept = builder.shuffle_vector(loaded, wide.zero, lanes_kept)
                narrow.store(kept, builder.gep(packed, [constant(first)]))
            return context.get_dummy_value()

        return types.void(w, n, n, packed, n, n), emit

    return copy


def interleaved(builder: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """Return vectors that hold the first lane of every row, then the second of every row.

    Rows are repeated until their number is a power of 2.
    """
    rows = rows + rows[-1:] * ((1 << (len(rows) - 1).bit_length()) - len(rows))
    columns = [[row] for row in rows]
    while len(columns) > 1:
        half = len(columns) // 2
        columns = [
            _zipped(builder, one, other)
            for one, other in zip(columns[:half], columns[half:], strict=True)
        ]
    return columns[0]


def _zipped(builder, first, second):
    """Take one lane of each in turn.

    Each result is needed twice: LLVM would rather make every one of the last results from all
    vectors of the beginning, which are more steps.
    """
    results = []
    for one, other in zip(first, second, strict=True):
        size = one.type.count
        kind = ir.VectorType(INT32, size)
        for start in (0, size // 2):
            order = [start + lane + side * size for lane in range(size // 2) for side in (0, 1)]
            value = builder.shuffle_vector(one, other, ir.Constant(kind, order))
            results.append(_settled(builder, value))
    return results


def _settled(builder, value):
    """Keep LLVM from computing a value in another way, on the CPUs whose registers are known."""
    if "x86" not in builder.module.triple:
        return value
    register = "v" if host().name == "avx512" else "x"
    return builder.asm(
        ir.FunctionType(value.type, [value.type]), "", f"={register},0", [value], False
    )


def picked(builder: ir.IRBuilder, turned: list[ir.Value], lane: int, rows: int) -> ir.Value:
    """Return what all rows have in a lane, from what `interleaved` returned."""
    apart, size = 1 << (rows - 1).bit_length(), turned[0].type.count
    first, count = lane * apart // size, max(1, apart // size)
    whole = _joined(builder, turned[first : first + count])
    start = lane * apart % size
    places = ir.Constant(ir.VectorType(INT32, rows), list(range(start, start + rows)))
    return builder.shuffle_vector(whole, ir.Constant(whole.type, ir.Undefined), places)


def _joined(builder, parts):
    """Return vectors, 1, 2, 4 or more, as one."""
    while len(parts) > 1:
        kind = ir.VectorType(INT32, 2 * parts[0].type.count)
        order = ir.Constant(kind, list(range(kind.count)))
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [builder.shuffle_vector(one, other, order) for one, other in pairs]
    return parts[0]
