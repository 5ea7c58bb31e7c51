"""The lines of pools as integers: where the columns of an input row go, and where the taps are.

`kernels.pool_fold` says what a line is. A column is an element or, of channels last, the `inner`
channels of one position.
"""

from dataclasses import dataclass
from functools import cached_property

from fastconv.geometry import Axis

MOST_PHASES = 4
"""Column strides up to which lines have phases."""
SLACK = 64
"""Elements of a line that may be read or written beyond what is used: the longest vector."""
ALIGNMENT = 64


@dataclass(frozen=True)
class Lines:
    """The lines of a pool along its last axis, in parts of `part` outputs.

    Of channels last, `inner` is their number, and lines have no phases: neighbours of an element
    are those of its position.
    """

    axis: Axis
    part: int
    inner: int = 1

    @cached_property
    def phases(self) -> int:
        """Phases of a line; 1, too, for strides with which results are reduced one by one."""
        stride = self.axis.stride
        return 1 if self.inner > 1 or stride > MOST_PHASES else stride

    @property
    def step(self) -> int:
        """Elements of a phase from one result to the next."""
        return 1 if self.inner > 1 else self.axis.stride // self.phases

    @property
    def in_blocks(self) -> bool:
        """Whether every window is what is at one place of all phases."""
        axis = self.axis
        plain = axis.kernel == axis.stride > 1 and axis.dilation == 1 and not axis.before
        return plain and self.phases > 1 and (axis.out - 1) * axis.stride < axis.size

    @cached_property
    def pitch(self) -> int:
        """Elements of a phase."""
        axis = self.axis
        used = (axis.stride * (min(self.part, axis.out) - 1) + axis.extent) * self.inner
        return -(-(used // self.phases + 2 * SLACK) // SLACK) * SLACK

    @property
    def length(self) -> int:
        """Elements of a line."""
        return self.pitch * self.phases

    def parts(self) -> list[tuple[int, ...]]:
        """Return of each part: its first output, their number, its first column, their number.

        And then, for each phase, where in the line the first column goes if it begins there.
        """
        return [self._part(start) for start in range(0, self.axis.out, self.part)]

    def _part(self, start: int) -> tuple[int, ...]:
        axis, count = self.axis, min(self.part, self.axis.out - start)
        first = start * axis.stride - axis.before
        last = min(axis.size, first + axis.stride * (count - 1) + axis.extent)
        low = min(max(0, first), max(0, last))
        columns = max(0, last - low)
        starts = (self._place((low - first) * self.inner + phase) for phase in range(self.phases))
        return start, count, low * self.inner, columns * self.inner, *starts

    def offsets(self) -> list[int]:
        """Return where the taps are that the first window of a part reads."""
        axis = self.axis
        return [self._place(tap * axis.dilation * self.inner) for tap in range(axis.kernel)]

    def _place(self, element: int) -> int:
        """Return where in a line an element is, counted from the first that a window reads."""
        return element % self.phases * self.pitch + element // self.phases
