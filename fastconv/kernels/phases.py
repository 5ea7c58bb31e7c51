"""Splitting an input into the phases of a stride, which a tile then reads without gaps."""

import functools

import numpy as np
from llvmlite import ir
from numba import types

from fastconv.kernels.jit import intrinsic, kernel
from fastconv.kernels.parts import shared
from fastconv.kernels.target import host
from fastconv.kernels.vector import INT32, INT64, Vectors, constant, data_pointer


@functools.cache
def phase_splitter(dtype_name: str):
    """Return the function that copies an input's phases.

    Its arguments: x (planes, D, H, W) and image (planes, phases, ID, IH, IW), both flat; the sizes
    of x and of a phase of the image; stride; phases (P, 3), the first element of each along the
    axes; the planes [first, last) to copy. Places of the image beyond the input stay as they are.
    """
    every_second = _every_second(np.dtype(dtype_name)) if host().masked_loads else None
    vectorised = every_second is not None

    def copy_row(x, source, image, target, left, step):
        count = (left + step - 1) // step
        if step == 1:
            for i in range(count):
                image[target + np.uint64(i)] = x[source + np.uint64(i)]
        elif step == 2 and vectorised:
            every_second(x, np.intp(source), image, np.intp(target), left)
        else:
            for i in range(count):
                image[target + np.uint64(i)] = x[source + np.uint64(step) * np.uint64(i)]

    copy_row = kernel(copy_row, dtype_name, inline=True)

    def split_phases(x, image, sizes, inner, stride, phases, first, last):
        _, height, width = sizes
        phase_size = inner[0] * inner[1] * inner[2]
        for plane in range(first, last):
            for number in range(phases.shape[0]):
                pd, ph, pw = phases[number, 0], phases[number, 1], phases[number, 2]
                start = (plane * phases.shape[0] + number) * phase_size
                for d in range(pd, sizes[0], stride[0]):
                    source = np.uint64(((plane * sizes[0] + d) * height + ph) * width + pw)
                    target = np.uint64(start)
                    for _ in range(ph, height, stride[1]):
                        copy_row(x, source, image, target, width - pw, stride[2])
                        source += np.uint64(stride[1] * width)
                        target += np.uint64(inner[2])
                    start += inner[1] * inner[2]

    return shared(split_phases, f"{host().name}-{dtype_name}")


def _every_second(dtype: np.dtype):
    """Return an intrinsic: copy elements 0, 2, ... of `left` ones, two vectors at a time."""
    lanes = host().lanes(dtype)

    @intrinsic
    def every_second(typing, x, source, y, target, left):
        signature = types.void(x, types.intp, y, types.intp, types.intp)

        def emit(context, builder, signature, arguments):
            vectors = Vectors(builder, dtype, lanes)
            x = data_pointer(context, builder, signature.args[0], arguments[0], arguments[1])
            y = data_pointer(context, builder, signature.args[2], arguments[2], arguments[3])
            _copy_even(builder, vectors, x, y, arguments[4])
            return context.get_dummy_value()

        return signature, emit

    return every_second


def _copy_even(builder: ir.IRBuilder, vectors: Vectors, x, y, left) -> None:
    lanes = vectors.lanes
    even = ir.Constant(ir.VectorType(INT32, lanes), [2 * lane for lane in range(lanes)])
    entry, loop, done = builder.block, *(builder.append_basic_block(n) for n in ("even", "done"))
    builder.cbranch(builder.icmp_signed(">", left, constant(0)), loop, done)
    builder.position_at_end(loop)
    place = builder.phi(INT64)
    place.add_incoming(constant(0), entry)
    remaining = builder.sub(left, builder.mul(place, constant(2)))
    halves = []
    for half in range(2):
        mask = vectors.first_lanes(builder.sub(remaining, constant(half * lanes)))
        start = builder.add(builder.mul(place, constant(2)), constant(half * lanes))
        halves.append(vectors.masked_load(builder.gep(x, [start]), mask))
    count = builder.lshr(builder.add(remaining, constant(1)), constant(1))
    chosen = builder.shuffle_vector(*halves, even)
    vectors.masked_store(chosen, builder.gep(y, [place]), vectors.first_lanes(count))
    following = builder.add(place, constant(lanes))
    place.add_incoming(following, loop)
    more = builder.icmp_signed("<", builder.mul(following, constant(2)), left)
    builder.cbranch(more, loop, done)
    builder.position_at_end(done)
