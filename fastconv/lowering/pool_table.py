"""The table that the loops of pools read: their windows as integers.

Of depth and height they need no more than the rows of each window: the first, and how many.
"""

from dataclasses import dataclass
from typing import overload

from fastconv.geometry import Axis
from fastconv.lowering.lines import SLACK, Lines
from fastconv.planes import UnevenAxis

AnyAxis = Axis | UnevenAxis


def spans(axis: AnyAxis) -> tuple[list[int], list[int]]:
    """Return the first element and the number of elements of every window of one axis."""
    found = [axis.span(position) for position in range(axis.out)]
    counts = [-(-(span.stop - span.start) // (span.step or 1)) for span in found]
    return [span.start for span in found], counts


@overload
def three(axes: tuple[Axis, ...]) -> tuple[Axis, Axis, Axis]: ...
@overload
def three(axes: tuple[AnyAxis, ...]) -> tuple[AnyAxis, AnyAxis, AnyAxis]: ...
def three(axes: tuple[AnyAxis, ...]) -> tuple[AnyAxis, AnyAxis, AnyAxis]:
    """Return depth, row and column; those added are of one element."""
    added: tuple[AnyAxis, ...] = (Axis(1, 1),) * (3 - len(axes))
    depth, height, width = added + axes
    return depth, height, width


@dataclass(frozen=True)
class PoolTable:
    """What is asked for over depth, height and width, whose rows are taken as lines.

    In bands of `rows`; `uniform` says whether all columns are averaged with one divisor, `lanes`
    how many elements vectors have.
    """

    axes: tuple[Axis, Axis, Axis]
    lines: Lines
    rows: int
    uniform: bool
    lanes: int

    @property
    def how(self) -> tuple[str, ...]:
        """The words that say which loops take it."""
        found = {
            "near": self.lines.near,
            "last": self.lines.inner > 1,
            "deep": self.axes[0].kernel > 1,
        }
        return tuple(word for word, wanted in found.items() if wanted)

    def numbers(self) -> dict[str, int]:
        """Return the numbers by their names in `kernels.pool_rows.HEADER`."""
        depth, height, width = self.axes
        inner = self.lines.inner
        row = width.size * inner
        before, after = self._empty()
        counts = spans(height)[1]
        whole = [oh for oh, count in enumerate(counts) if count == height.kernel] or [0]
        top, end = whole[0], whole[-1] + 1
        under = min(height.size, (self.rows - 1) * height.stride + height.extent)
        return {
            "depth": depth.size,
            "height": height.size,
            "row": row,
            "down": row * height.dilation,
            "deeper": row * height.size * depth.dilation,
            "out_depth": depth.out,
            "out_height": height.out,
            "out_row": width.out * inner,
            "inner": inner,
            "rows": self.rows,
            "bands": -(-height.out // self.rows),
            "parts": len(self.lines.parts()),
            "taps": width.kernel,
            "length": 0 if "near" in self.how else self.lines.length,
            "slab": under * row + SLACK if "deep" in self.how else 0,
            "together": width.out if width.stride == 1 and self.uniform else 1,
            "step": width.stride * inner,
            "empty_before": before,
            "empty_after": after,
            "zero": 0,
            "down_stride": height.stride,
            "alike_top": top,
            "alike_end": end,
        }

    def lists(self) -> list[int]:
        """Return what follows the numbers."""
        words: list[int] = []
        for axis in self.axes[:2]:
            starts, counts = spans(axis)
            words += [*starts, *counts]
        parts, offsets = self.lines.parts(), self.lines.offsets()
        masks: dict[tuple[int, ...], tuple[int, tuple[int, ...]]] = {}
        after = len(self.numbers()) + len(words) + sum(map(len, parts)) + len(offsets)
        for part in parts:
            if self.lines.near:
                alike = (part[1], *part[3:5])  # outputs, columns and lead: most parts are
                if alike not in masks:
                    masks[alike] = after, self.lines.masks(part, self.lanes)
                    after += len(masks[alike][1])
                part = (*part[:-1], masks[alike][0])
            words += part
        return [*words, *offsets, *(word for _, found in masks.values() for word in found)]

    def _empty(self) -> tuple[int, int]:
        """Return how many windows of a row before and after the others hold no element."""
        width = self.axes[2]

        def filled(position: int) -> bool:
            span = width.span(position)
            return bool(span.start < span.stop)

        before = next((q for q in range(width.out) if filled(q)), width.out)
        if before == width.out:
            return before, 0
        return before, next(q for q in range(width.out) if filled(width.out - 1 - q))
