"""Any convolution as a matrix multiply over columns, a bounded block of them at a time.

Per group, with the weight as `(m, k)` and the columns of a block as `(k, l)`:
forward `y = W columns`, input gradient `columns = W^T gy` added back by col2im, weight gradient
`gW = sum over blocks of gy columns^T`. One buffer holds the columns of every block in turn.

Other dtypes than BLAS knows are converted to one it does as they are copied into columns: float16
to float32, integers to whichever float keeps their sums exact. What is summed is converted back
once, at the end.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from fastconv.algorithms.algorithm import Inputs, Outputs
from fastconv.bounds import working_dtype, working_itemsize
from fastconv.dtypes import Array, Dtype
from fastconv.geometry import ConvGeometry
from fastconv.lowering.blocks import Box, boxes, largest_box, sample_ranges
from fastconv.lowering.col2im import add_columns
from fastconv.lowering.im2col import BoxWindows, columns_order, depth_first_order, fill_columns
from fastconv.problem import Problem

BLOCK_BYTES = 4 * 2**20
"""Columns of one block: they stay in the cache between the copy and the multiply."""
WEIGHTS_PER_BLOCK = 4
"""The multiply reads the weight once for every block, so a block is at least this many weights."""
GROUP_BYTES = 4 * 2**20
"""Columns of one block of groups: their multiplies are thin, so only the copy is left to hide."""


KEPT_BOXES = 64
"""Cuts into more boxes than this are made again each time rather than kept."""


class Im2colGemm:
    """Copy a block of windows into columns, multiply, go on."""

    name = "im2col_gemm"
    exact = True
    uses_blas = True

    def rejects(self, problem: Problem) -> str | None:
        """Accept every convolution."""
        return None if problem.operation == "conv" else f"solves conv, not {problem.operation}"

    def takes_views(self, problem: Problem) -> bool:
        """Blocks are read through window views, and positions stay one axis in any layout."""
        return True

    def scratch(self, problem: Problem, limit: int) -> int:
        """Count one block of columns, the padded input behind it and the product beside it."""
        return _cut(problem, limit).scratch_bytes

    def run(
        self, problem: Problem, inputs: Inputs, outputs: Outputs, limit: int, threads: int
    ) -> None:
        """Walk the blocks: boxes of output positions of some samples and groups."""
        first, second, *rest = inputs
        (out,) = outputs
        if first is None or second is None:
            return
        cut, step = _cut(problem, limit), _STEPS[problem.direction]
        working = working_dtype(problem, first, second)
        buffer = np.empty(cut.column_elements, working)
        if problem.direction != "forward":
            out[:] = 0
        if not problem.native:
            _run_converted(problem, cut, buffer, inputs, out)
            return
        arrays = (first, second, out)
        bias = rest[0] if rest else None
        for part in cut.parts:
            x, y, w = _roles(problem.direction, part, arrays)
            bias_part = None if bias is None else bias[part.outputs]
            for box, windows in cut.boxes or _boxes(problem.conv, cut.positions):
                for samples in cut.samples:
                    step(part.geometry, box, windows, buffer, x[samples], y[samples], w, bias_part)


def _run_converted(
    problem: Problem, cut: "_Cut", buffer: Array, inputs: Inputs, out: Array
) -> None:
    """Walk the blocks, positions innermost; sums over them are kept in the dtype of the buffer."""
    step, working = _STEPS[problem.direction], buffer.dtype
    bias = inputs[2] if len(inputs) > 2 else None
    for part in cut.parts:
        x, y, w = _roles(problem.direction, part, (inputs[0], inputs[1], out))
        b = None if bias is None else bias[part.outputs]
        weight = _like(w, working) if problem.direction == "weight_gradient" else _as(w, working)
        for samples in cut.samples:
            gx = x[samples]
            target = _like(gx, working) if problem.direction == "input_gradient" else gx
            for box, windows in cut.boxes or _boxes(problem.conv, cut.positions):
                step(part.geometry, box, windows, buffer, target, y[samples], weight, b)
            if problem.direction == "input_gradient":
                np.copyto(gx, target, casting="unsafe")
        if problem.direction == "weight_gradient":
            np.copyto(w, weight, casting="unsafe")


def _like(array: Array, dtype: Dtype) -> Array:
    return np.zeros(array.shape, dtype)


def _as(array: Array, dtype: Dtype) -> Array:
    return array.astype(dtype, copy=False)


@dataclass(frozen=True)
class _Part:
    """Some of the groups, and where their channels lie."""

    geometry: ConvGeometry
    inputs: slice
    outputs: slice


@dataclass(frozen=True)
class _Cut:
    """How a problem is cut into parts, samples and positions, and the memory a block needs."""

    parts: tuple[_Part, ...]
    samples: tuple[slice, ...]
    positions: int
    boxes: tuple[tuple[Box, BoxWindows], ...] | None  # None where they are too many to keep
    column_elements: int
    scratch_bytes: int


@lru_cache(maxsize=4096)
def _cut(problem: Problem, limit: int) -> _Cut:
    """Start from the block that suits the cache, and halve it until it fits the limit."""
    geometry, itemsize = problem.conv, working_itemsize(problem)
    column = geometry.k * itemsize  # of one group
    groups = geometry.groups
    target = BLOCK_BYTES
    if groups > 1:
        groups = min(groups, max(1, GROUP_BYTES // (column * geometry.positions)))
        target = GROUP_BYTES
    weight = geometry.m * groups * column
    positions = max(1, max(target, WEIGHTS_PER_BLOCK * weight) // (column * groups))
    while True:
        cut = _measured(problem, groups, positions)
        if cut.scratch_bytes <= limit or positions == groups == 1:
            return cut
        if groups > 1:
            groups //= 2
        else:
            positions //= 2


def _measured(problem: Problem, groups: int, positions: int) -> _Cut:
    whole = problem.conv
    parts = tuple(
        _part(whole, start, min(whole.groups, start + groups))
        for start in range(0, whole.groups, groups)
    )
    samples = tuple(sample_ranges(whole.batch, whole.positions, positions))
    batch = samples[0].stop if samples else 0
    box, largest = largest_box(whole.out, positions), parts[0].geometry
    count = batch * box.positions
    columns = count * largest.channels * largest.taps
    extra = 0
    if problem.direction != "input_gradient" and (largest.padded or not problem.native):
        lengths = BoxWindows.of(whole.axes, box).region.lengths
        extra += batch * largest.channels * int(np.prod(lengths))
    if problem.direction == "weight_gradient":
        extra += largest.out_channels * (count + largest.k)
    if not problem.native:
        weight = largest.out_channels * largest.k
        extra += (
            weight
            + {
                "forward": count * largest.out_channels,
                "input_gradient": batch * largest.channels * largest.plane
                + count * largest.out_channels,
                "weight_gradient": count * largest.out_channels,
            }[problem.direction]
        )
    kept = None
    if whole.positions <= KEPT_BOXES * box.positions:
        kept = tuple(_boxes(whole, positions))
    return _Cut(
        parts, samples, positions, kept, columns, (columns + extra) * working_itemsize(problem)
    )


def _boxes(geometry: ConvGeometry, most: int) -> Iterator[tuple[Box, BoxWindows]]:
    for box in boxes(geometry.out, most):
        yield box, BoxWindows.of(geometry.axes, box)


def _part(whole: ConvGeometry, start: int, stop: int) -> _Part:
    channels = whole.channels // whole.groups
    geometry = replace(
        whole,
        channels=channels * (stop - start),
        out_channels=whole.m * (stop - start),
        groups=stop - start,
    )
    inputs = slice(start * channels, stop * channels)
    return _Part(geometry, inputs, slice(start * whole.m, stop * whole.m))


def _roles(
    direction: str, part: _Part, arrays: tuple[Array, Array, Array]
) -> tuple[Array, Array, Array]:
    """Return the part's x, y and w (or their gradients) from inputs and output in any order."""
    if direction == "forward":
        x, w, y = arrays
    elif direction == "input_gradient":
        w, y, x = arrays
    else:
        x, y, w = arrays
    return x[:, part.inputs], y[:, part.outputs], w[part.outputs]


def _by_group(y: Array, geometry: ConvGeometry, box: Box) -> Array:
    """View the box of `(n, g * m, *out)` as `(n, g, m, l)`."""
    flat = y.reshape(y.shape[0], geometry.groups, geometry.m, geometry.positions)
    return flat[..., box.flat]


def _forward(
    geometry: ConvGeometry,
    box: Box,
    windows: BoxWindows,
    buffer: Array,
    x: Array,
    y: Array,
    w: Array,
    b: Array | None,
) -> None:
    groups, m, k, n = geometry.groups, geometry.m, geometry.k, x.shape[0]
    columns = buffer[: n * groups * k * box.positions]
    split = columns.reshape(n, geometry.channels, *geometry.kernel, *box.out)
    fill_columns(windows.view(x, 0, buffer.dtype), split, columns_order(geometry.rank))
    target = _by_group(y, geometry, box)
    if target.dtype == w.dtype:
        np.matmul(w.reshape(groups, m, k), columns.reshape(n, groups, k, box.positions), target)
    else:
        product = np.matmul(w.reshape(groups, m, k), columns.reshape(n, groups, k, box.positions))
        if b is not None and target.dtype.kind not in "iu":
            product += b.reshape(groups, m, 1).astype(product.dtype)
            b = None  # what is rounded once has its bias before that
        np.copyto(target, product, casting="unsafe")
    if b is not None:
        target += _as(b.reshape(groups, m, 1), target.dtype)


def _input_gradient(
    geometry: ConvGeometry,
    box: Box,
    windows: BoxWindows,
    buffer: Array,
    gx: Array,
    gy: Array,
    w: Array,
    _: None,
) -> None:
    groups, m, k, n = geometry.groups, geometry.m, geometry.k, gx.shape[0]
    columns = buffer[: n * groups * k * box.positions].reshape(n, groups, k, box.positions)
    values = _as(_by_group(gy, geometry, box), w.dtype)
    np.matmul(w.reshape(groups, m, k).swapaxes(1, 2), values, columns)
    split = columns.reshape(n, geometry.channels, *geometry.kernel, *box.out)
    add_columns(split, gx, geometry.axes, box)


def _weight_gradient(
    geometry: ConvGeometry,
    box: Box,
    windows: BoxWindows,
    buffer: Array,
    x: Array,
    gy: Array,
    gw: Array,
    _: None,
) -> None:
    groups, m, k, n = geometry.groups, geometry.m, geometry.k, x.shape[0]
    count = n * box.positions
    columns = buffer[: groups * k * count]
    split = columns.reshape(geometry.channels, *geometry.kernel, n, *box.out)
    fill_columns(windows.view(x, 0, buffer.dtype), split, depth_first_order(geometry.rank))
    values = _as(_by_group(gy, geometry, box), gw.dtype)
    values = values.transpose(1, 2, 0, 3).reshape(groups, m, count)
    product = np.matmul(values, columns.reshape(groups, k, count).swapaxes(1, 2))
    gw += product.reshape(gw.shape)


_STEPS: dict[str, Callable[..., None]] = {
    "forward": _forward,
    "input_gradient": _input_gradient,
    "weight_gradient": _weight_gradient,
}
