"""The micro-kernel of depthwise weight gradients: all taps of a window, a strip of columns.

    gw[t, u] = sum over rows o and the columns of a vector of gy[o, c] * x[o * stride + t, ... + u]

It walks down the rows of gy. What is loaded of a row of x serves every tap that reads it, with the
last rows of gy, which stay in registers as the sums do. Nothing is copied: columns in the padding
are masked, rows in the padding are not read.

Contract. The tile adds rows `first` to `last` of gy, and the columns of one vector, to what is
stored if `adds` is 1; only elements of both planes are read. Distances are in elements.
"""

from dataclasses import dataclass

import numpy as np
from llvmlite import ir
from numba import types

from fastconv.kernels.depthwise_tile import Parts
from fastconv.kernels.jit import intrinsic
from fastconv.kernels.sums import close
from fastconv.kernels.totals import store_totals
from fastconv.kernels.vector import INT64, constant, data_pointer


@dataclass(frozen=True)
class Window:
    """What a tile is generated for: a kernel, and a stride of 1 or 2 along both axes."""

    dtype: np.dtype
    lanes: int
    kernel: tuple[int, int]
    stride: int

    @property
    def taps(self) -> int:
        """Sums of the tile."""
        return self.kernel[0] * self.kernel[1]

    @property
    def kept(self) -> int:
        """Rows of gy that a row of x is multiplied with."""
        return -(-self.kernel[0] // self.stride)


def make_window_tile(window: Window):
    """Return an intrinsic that runs one tile.

    Its arguments: gy, the place of its plane, its columns, and the first one to add; the first row
    and the end of the rows to add; x, the place of its plane, height and width; the first row and
    column that the first position reads, negative in the padding; gw and its place; `adds`.
    """

    @intrinsic
    def window_tile(
        typing,
        gy,
        gy0,
        columns,
        column,
        first,
        last,
        x,
        x0,
        height,
        width,
        down,
        right,
        gw,
        gw0,
        adds,
    ):
        n = types.intp
        signature = types.void(gy, *(n,) * 5, x, *(n,) * 5, gw, n, n)

        def emit(context, builder, signature, arguments):
            def pointer(index):
                kind, place = signature.args[index], arguments[index + 1]
                return data_pointer(context, builder, kind, arguments[index], place)

            tile = _WindowTile(window, builder, (pointer(0), pointer(6)), arguments)
            store_totals(tile.parts, tile.sums(), pointer(12), constant(window.taps), arguments[14])
            return context.get_dummy_value()

        return signature, emit

    return window_tile


class _WindowTile:
    """Writes the code of one tile at the builder's place."""

    def __init__(self, window, builder, planes, arguments):
        self.window, self.builder = window, builder
        self.parts = Parts(builder, window.dtype, window.lanes)
        (self.gy, self.x), (self.columns, column, self.first, self.last) = planes, arguments[2:6]
        self.height, self.width, self.down, right = arguments[8:12]
        left = builder.sub(self.columns, column)
        self.mask = self.parts.inside(constant(0), left)
        self.gy = builder.gep(self.gy, [column])
        start = builder.add(builder.mul(column, constant(window.stride)), right)
        self._find_columns(start, builder.mul(left, constant(window.stride)))
        self.empty = ir.Constant(self.parts.mask_type, [0] * window.lanes)

    def _find_columns(self, start, count):
        """Find the masks of all vectors that are loaded of a row of x."""
        builder, stride = self.builder, self.window.stride
        self.starts, self.masks = [], []
        for step in range(0, self.window.kernel[1], stride):
            at = builder.add(start, constant(step))
            end = builder.add(at, count)
            end = builder.select(builder.icmp_signed("<", end, self.width), end, self.width)
            self.starts.append(at)
            self.masks.append(self.parts.masks(at, end, stride))

    def sums(self):
        """Walk down the rows of gy, and as many more as the window reaches beyond."""
        builder, window = self.builder, self.window
        zero = self.parts.zero
        end = builder.add(self.last, constant(window.kept - 1))
        before, loop = builder.block, builder.append_basic_block("rows")
        builder.branch(loop)

        builder.position_at_end(loop)
        row = builder.phi(INT64)
        row.add_incoming(self.first, before)
        values = [builder.phi(self.parts.type) for _ in range(window.taps + window.kept - 1)]
        close(values, [zero] * len(values), before)
        sums, kept = values[: window.taps], values[window.taps :]
        added = self._either(
            self._inner(row),
            lambda whole: self._row(row, list(sums), list(kept), whole),
        )
        following = builder.add(row, constant(1))
        row.add_incoming(following, builder.block)
        close(values, added, builder.block)
        after = builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", following, end), loop, after)
        builder.position_at_end(after)
        return added[: window.taps]

    def _inner(self, row):
        """Return whether all rows of gy and of x exist that meet at a row."""
        builder, window = self.builder, self.window
        top = self._top(row)
        lowest = builder.add(self.first, constant(window.kept - 1))
        conditions = (
            builder.icmp_signed(">=", row, lowest),
            builder.icmp_signed("<", row, self.last),
            builder.icmp_signed(">=", top, constant(0)),
            builder.icmp_signed("<=", builder.add(top, constant(window.stride)), self.height),
        )
        result = conditions[0]
        for condition in conditions[1:]:
            result = builder.and_(result, condition)
        return result

    def _top(self, row):
        """Return the row of x that the first tap reads."""
        builder = self.builder
        return builder.add(builder.mul(row, constant(self.window.stride)), self.down)

    def _row(self, row, sums, kept, whole):
        """Add the rows of x from one row of gy to the next; return sums, and rows of gy to keep."""
        builder, window, parts = self.builder, self.window, self.parts
        height, width = window.kernel
        exists = None if whole else builder.icmp_signed("<", row, self.last)
        place = builder.gep(self.gy, [builder.mul(row, self.columns)])
        newest = parts.masked_load(place, self._where(exists, self.mask))
        meeting = [newest, *kept]
        for line in range(window.stride):
            values = self._line(builder.add(self._top(row), constant(line)), whole)
            for back, tap in enumerate(range(line, height, window.stride)):
                for column, value in enumerate(values[:width]):
                    index = tap * width + column
                    added = parts.multiply_add(meeting[back], value, sums[index])
                    if not whole:
                        there = self._there(builder.sub(row, constant(back)))
                        added = builder.select(there, added, sums[index])
                    sums[index] = added
        return [*sums, *meeting[:-1]]

    def _line(self, row, whole):
        """Load a row of x for every column of the window; zeros if it does not exist."""
        builder, parts = self.builder, self.parts
        exists = None if whole else builder.icmp_unsigned("<", row, self.height)
        line, values = builder.gep(self.x, [builder.mul(row, self.width)]), []
        for at, masks in zip(self.starts, self.masks, strict=True):
            chosen = [self._where(exists, mask) for mask in masks]
            values += parts.phases(builder.gep(line, [at]), chosen)
        return values

    def _there(self, row):
        """Return whether a row of gy is one to add."""
        builder = self.builder
        return builder.and_(
            builder.icmp_signed(">=", row, self.first), builder.icmp_signed("<", row, self.last)
        )

    def _where(self, exists, mask):
        return mask if exists is None else self.builder.select(exists, mask, self.empty)

    def _either(self, condition, write):
        """Return the values that `write(True)` or `write(False)` emits, by a condition."""
        builder, results = self.builder, []
        blocks = [builder.append_basic_block(name) for name in ("inner", "outer", "both")]
        builder.cbranch(condition, *blocks[:2])
        for block, choice in zip(blocks[:2], (True, False), strict=True):
            builder.position_at_end(block)
            results.append((write(choice), builder.block))
            builder.branch(blocks[2])
        builder.position_at_end(blocks[2])
        phis = [builder.phi(self.parts.type) for _ in results[0][0]]
        for values, block in results:
            close(phis, values, block)
        return phis
