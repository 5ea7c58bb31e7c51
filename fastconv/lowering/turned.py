"""The gradient of an input as forward convolutions of the output's gradient, without zeros between.

Element `i` of an axis has a term of every tap `t` and position `o` with
`o * stride + t * dilation - before = i`. Elements that are a stride apart, a *phase*, see the same
taps: every `stride / g`-th, where `g` is the greatest common divisor of stride and dilation. So a
phase is a forward convolution at stride 1 with those taps in reverse, `dilation / g` apart.
"""

import math
from dataclasses import dataclass

from fastconv.geometry import Axis


@dataclass(frozen=True, slots=True)
class PhaseAxis:
    """One phase of an axis: elements `first`, `first + step`, ... and what they are sums of.

    `axis` is that of the forward convolution, over positions; its padding may be negative, which
    leaves positions away. `taps` picks its taps out of all, in its order. No tap, no axis.
    """

    first: int
    step: int
    count: int
    taps: range = range(0)
    axis: Axis | None = None

    @property
    def elements(self) -> slice:
        """The elements of the phase."""
        return slice(self.first, None, self.step)

    @property
    def tap_slice(self) -> slice:
        """The taps of the phase; there is one at least."""
        stop = self.taps.stop
        return slice(self.taps.start, stop if stop >= 0 else None, self.taps.step)


def phase_axes(axis: Axis) -> tuple[PhaseAxis, ...]:
    """Return the phases of an axis that have elements."""
    return tuple(_phase(axis, first) for first in range(min(axis.stride, axis.size)))


def _phase(axis: Axis, first: int) -> PhaseAxis:
    stride, dilation = axis.stride, axis.dilation
    count = -(-(axis.size - first) // stride)
    common = math.gcd(stride, dilation)
    apart, place = stride // common, first + axis.before
    some = (tap for tap in range(min(apart, axis.kernel)) if (place - tap * dilation) % stride == 0)
    lowest = next(some, None)
    if lowest is None:
        return PhaseAxis(first, stride, count)
    taps = len(range(lowest, axis.kernel, apart))
    last = lowest + (taps - 1) * apart
    # position that the first element has its last tap at
    start = (place - last * dilation) // stride
    step = dilation // common
    after = count - 1 + (taps - 1) * step + 1 + start - axis.out
    forward = Axis(axis.out, taps, 1, step, -start, after, count)
    return PhaseAxis(first, stride, count, range(last, lowest - apart, -apart), forward)


def rows_of(sizes: tuple[int, ...], outer: tuple[PhaseAxis, ...]) -> tuple[int, ...]:
    """Return where in a plane the rows of a phase of all axes but the last begin."""
    places: tuple[int, ...] = (0,)
    for index, phase in enumerate(outer):
        apart = math.prod(sizes[index + 1 :])
        steps = range(phase.first, phase.first + phase.step * phase.count, phase.step)
        places = tuple(place + step * apart for place in places for step in steps)
    return places
