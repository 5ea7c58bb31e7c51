"""The table that the loops over small planes read, and the masks of their vectors."""

from collections.abc import Iterator
from dataclasses import dataclass

from fastconv.geometry import Axis

SLACK = 256
"""Elements of a sheet that are read beyond what is used: the longest vectors of three phases."""


@dataclass(frozen=True)
class PoolSheet:
    """The windows of planes of rows of columns, and how many elements vectors have.

    With a stride of 1 a sheet is as wide as the input, and holds all its rows between those of the
    padding; else it holds a row of the input for every row of the output.
    """

    height: Axis
    width: Axis
    lanes: int

    @property
    def rows(self) -> int:
        """Rows of a sheet."""
        height = self.height
        if self.width.stride > 1:
            return height.out
        return max(height.before + height.size, height.out - 1 + height.kernel)

    @property
    def length(self) -> int:
        """Elements of a sheet."""
        return self.rows * self.width.size + SLACK

    def words(self) -> list[int]:
        """Return the table, as `kernels.pool_planes` describes it."""
        height, width = self.height, self.width
        return [
            height.size * width.size,
            height.out * width.out,
            self.length,
            height.before * width.size,
            width.size,
            height.out,
            height.stride * width.size,
            *(self._masks() if width.stride == 1 else ()),
        ]

    def _masks(self) -> Iterator[int]:
        """Yield for every vector of a plane, and every tap, which lanes have it, as bits."""
        width = self.width.size
        for first in range(0, self.height.size * width, self.lanes):
            places = range(first, min(first + self.lanes, self.height.size * width))
            for tap in range(self.width.kernel):
                columns = (place % width + tap - self.width.before for place in places)
                bits = sum((0 <= column < width) << lane for lane, column in enumerate(columns))
                yield bits - (1 << 64) if bits >> 63 else bits
