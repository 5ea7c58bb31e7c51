"""A padded copy of an input, split into the phases of its stride: what no mask is needed to read.

Phase by phase, each the same size for every plane, so that neighbouring positions read neighbouring
elements. Where there is neither padding nor stride, the copy is the input itself.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastconv.dtypes import Array
from fastconv.geometry import Axis


@dataclass(frozen=True)
class Phased:
    """The copy of `planes` planes with some axes."""

    axes: tuple[Axis, ...]
    planes: int

    @cached_property
    def is_input(self) -> bool:
        """Whether the input can be read in place."""
        return all(axis.stride == 1 and not axis.padded for axis in self.axes)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Elements of one phase along each axis."""
        if self.is_input:
            return tuple(axis.size for axis in self.axes)
        return tuple(
            -(-max(axis.before + axis.size, axis.before + axis.last) // axis.stride)
            for axis in self.axes
        )

    @cached_property
    def plane(self) -> int:
        """Elements of one phase of a plane."""
        return math.prod(self.sizes)

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """Distances between neighbouring positions along each axis."""
        return tuple(math.prod(self.sizes[index + 1 :]) for index in range(len(self.sizes)))

    @cached_property
    def _phases(self) -> tuple[tuple[int, ...], ...]:
        """The phases of the padded input along each axis that any tap reads."""
        return tuple(
            tuple(sorted({tap * axis.dilation % axis.stride for tap in range(axis.kernel)}))
            for axis in self.axes
        )

    @property
    def elements(self) -> int:
        """Elements of the whole copy."""
        return math.prod(map(len, self._phases)) * self.planes * self.plane

    @cached_property
    def taps(self) -> Array:
        """Where each tap of the kernel reads for the first position."""
        places = []
        for taps in itertools.product(*(range(axis.kernel) for axis in self.axes)):
            phase, place = 0, 0
            for axis, step, phases, tap in zip(
                self.axes, self.steps, self._phases, taps, strict=True
            ):
                along, remainder = divmod(tap * axis.dilation, axis.stride)
                phase = phase * len(phases) + phases.index(remainder)
                place += along * step
            places.append(phase * self.planes * self.plane + place)
        return np.array(places, np.int64)

    @cached_property
    def copies(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """For each phase: where its first element of input goes, and which that is."""
        found = []
        for number, phases in enumerate(itertools.product(*self._phases)):
            place = number * self.planes * self.plane
            first = []
            for axis, step, phase in zip(self.axes, self.steps, phases, strict=True):
                start = (phase - axis.before) % axis.stride
                first.append(start)
                place += (start + axis.before) // axis.stride * step
            found.append((place, tuple(first)))
        return tuple(found)
