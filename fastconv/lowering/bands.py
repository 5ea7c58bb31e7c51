"""Bands of output rows as integers: which input rows a band reads, and where its scratch has them.

A band is `rows` neighbouring output rows of one plane, cut into segments of columns. The input rows
under it are copied into scratch once: only rows that some tap reads, each as its `stride` phases
side by side, padding as zeros. Then every tap of every output row is one fixed place in the
scratch, and neighbouring outputs are neighbours there.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

from fastconv.geometry import Axis

SEGMENT = 128
"""Columns of a segment at most: the rows under a band of them stay in the nearest cache."""


@dataclass(frozen=True)
class Bands:
    """How the scratch of a band is laid out; `axes` are depth, row and column."""

    axes: tuple[Axis, Axis, Axis]
    rows: int
    lanes: int
    vectors: int

    @cached_property
    def segment(self) -> int:
        """Columns of a segment, whole steps of the kernel: as equal as the output allows."""
        out, step = self.axes[2].out, self.lanes * self.vectors
        equal = -(-out // -(-out // SEGMENT))
        return -(-equal // step) * step

    @cached_property
    def source(self) -> tuple[tuple[int, int], ...]:
        """(depth, row) of the input rows under a band, from its first, in scratch order."""
        depth, height, _ = self.axes
        rows = {
            row * height.stride + tap * height.dilation
            for row in range(self.rows)
            for tap in range(height.kernel)
        }
        return tuple(
            (tap * depth.dilation, row) for tap in range(depth.kernel) for row in sorted(rows)
        )

    @cached_property
    def _rows_apart(self) -> int:
        """Input rows from one line to the next, or 0 where they differ."""
        first, *others = [row for depth, row in self.source if depth == 0]
        apart = {b - a for a, b in itertools.pairwise([first, *others])} or {1}
        return apart.pop() if len(apart) == 1 else 0

    @property
    def _lines(self) -> int:
        """Lines of a group, which are equally far apart."""
        return len(self.source) // self.axes[0].kernel if self._rows_apart else 1

    @cached_property
    def phases(self) -> tuple[int, ...]:
        """The phases of the column stride that the scratch holds: of 2 both, else those read."""
        width = self.axes[2]
        if width.stride == 2:
            return 0, 1
        return tuple(sorted({tap * width.dilation % width.stride for tap in range(width.kernel)}))

    @property
    def reach(self) -> int:
        """Places from the first tap of a window to its last, in a phase."""
        return (self.axes[2].extent - 1) // self.axes[2].stride

    @property
    def phase_pitch(self) -> int:
        """Elements from one phase of a row to the next: whole vectors of the longest segment."""
        return -(-(SEGMENT + self.reach) // self.lanes) * self.lanes

    @property
    def pitch(self) -> int:
        """Elements from one row of the scratch to the next."""
        return self.phase_pitch * len(self.phases)

    @property
    def elements(self) -> int:
        """Elements of the scratch."""
        return len(self.source) * self.pitch

    @cached_property
    def places(self) -> tuple[tuple[int, ...], ...]:
        """For each tap in C order, where each output row of a band reads its first column."""
        depth, height, width = self.axes
        found = {row: index for index, row in enumerate(self.source)}
        places = []
        for d in range(depth.kernel):
            for h in range(height.kernel):
                for w in range(width.kernel):
                    step, phase = divmod(w * width.dilation, width.stride)
                    column = self.phases.index(phase) * self.phase_pitch + step
                    lines = (
                        found[d * depth.dilation, row * height.stride + h * height.dilation]
                        for row in range(self.rows)
                    )
                    places.append(tuple(line * self.pitch + column for line in lines))
        return tuple(places)

    @property
    def count(self) -> int:
        """Bands of a plane; the last may overlap the one before, which gives the same values."""
        return self.axes[0].out * -(-self.axes[1].out // self.rows)

    def numbers(self) -> dict[str, int]:
        """Return what the loops need to know, by name."""
        depth, height, width = self.axes
        return {
            "depth": depth.size,
            "height": height.size,
            "width": width.size,
            "out_depth": depth.out,
            "out_height": height.out,
            "out_width": width.out,
            "stride_depth": depth.stride,
            "stride_height": height.stride,
            "stride_width": width.stride,
            "before_depth": depth.before,
            "before_height": height.before,
            "before_width": width.before,
            "dilation_height": height.dilation,
            "dilation_width": width.dilation,
            "taps": math.prod(axis.kernel for axis in self.axes),
            "groups": len(self.source) // self._lines,
            "lines": self._lines,
            "row_step": self._rows_apart or 1,
            "phases": len(self.phases),
            "pitch": self.pitch,
            "phase_pitch": self.phase_pitch,
            "reach": self.reach,
            "segment": self.segment,
        }

    def lists(self) -> list[int]:
        """List the source rows, the phases and the places, as they follow the numbers."""
        words = [number for group in self.source[:: self._lines] for number in group]
        words += self.phases
        return words + [place for row in self.places for place in row]
