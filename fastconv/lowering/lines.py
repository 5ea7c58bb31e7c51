"""The lines of pools as integers: where the columns of an input row go, and where the taps are.

`kernels.pool_fold` says what a line is. A column is an element or, of channels last, the `inner`
channels of one position.
"""

from dataclasses import dataclass
from functools import cached_property

from fastconv.geometry import Axis

MOST_PHASES = 4
"""Column strides up to which lines have phases."""
MOST_NEAR = 3
"""Taps of small windows."""
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
        return 1 if self.inner > 1 or self.near or stride > MOST_PHASES else stride

    @property
    def step(self) -> int:
        """Elements of a phase from one result to the next."""
        return 1 if self.inner > 1 or self.near else self.axis.stride // self.phases

    @property
    def near(self) -> bool:
        """Whether windows are small: they have code of their own, without a line."""
        axis = self.axis
        small = axis.dilation == 1 and 1 < axis.kernel <= MOST_NEAR and self.inner == 1
        return small and axis.stride <= axis.kernel

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

        How many elements of the first window lie before those, and then, for each phase, where in
        the line the first column goes if it begins there.
        """
        return [self._part(start) for start in range(0, self.axis.out, self.part)]

    def _part(self, start: int) -> tuple[int, ...]:
        axis, count = self.axis, min(self.part, self.axis.out - start)
        first = start * axis.stride - axis.before
        last = min(axis.size, first + axis.stride * (count - 1) + axis.extent)
        low = min(max(0, first), max(0, last))
        columns = max(0, last - low)
        starts = (self._place((low - first) * self.inner + phase) for phase in range(self.phases))
        lead = (low - first) * self.inner
        return start, count, low * self.inner, columns * self.inner, lead, *starts

    def masks(self, part: tuple[int, ...], lanes: int) -> tuple[int, ...]:
        """Return the masks of a near part, as `kernels.pool_near` reads them.

        First which vectors of results need none. Then for every vector, as bits: those there are,
        and for each of the vectors of columns under them, those that lie in the input; -1 for all.
        """
        _, count, _, columns, lead = part[:5]
        stride = self.axis.stride
        words: list[int] = []
        whole = []
        for result in range(0, count, lanes):
            words.append(_bits(-result, count - result, lanes))
            first = result * stride + self.axis.kernel - stride - lead
            starts = (first + number * lanes for number in range(stride))
            words += [_bits(-start, columns - start, lanes) for start in starts]
            if set(words[-stride - 1 :]) == {-1}:
                whole.append(result // lanes)
        return (*((whole[0], whole[-1] + 1) if whole else (-1, -1)), *words)

    def offsets(self) -> list[int]:
        """Return where the taps are that the first window of a part reads."""
        axis = self.axis
        return [self._place(tap * axis.dilation * self.inner) for tap in range(axis.kernel)]

    def _place(self, element: int) -> int:
        """Return where in a line an element is, counted from the first that a window reads."""
        return element % self.phases * self.pitch + element // self.phases


def _bits(low: int, high: int, lanes: int) -> int:
    """Return an integer of 64 bits, of which those from `low` to `high` are set; -1 for all."""
    low, high = max(0, low), min(high, lanes)
    if (low, high) == (0, lanes):
        return -1
    bits = max(0, (1 << max(high, 0)) - (1 << low))
    return bits - (1 << 64) if bits >> 63 else bits
