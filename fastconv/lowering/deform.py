"""Where the taps of a deformable convolution read, and reading and adding there.

A tap falls between four elements. `Samples` holds their flat places in the plane, with their
shares in the sample and in its slopes; a share of 0 says not to look.
"""

from dataclasses import dataclass

import numpy as np

from fastconv.dtypes import Array
from fastconv.geometry import Axis


@dataclass(frozen=True, slots=True)
class Samples:
    """The four elements around each tap: arrays `(4, taps, positions)`; `lost` where NaN."""

    places: Array
    shares: Array
    down: Array
    right: Array
    lost: Array | None

    @classmethod
    def of(cls, offset: Array, axes: tuple[Axis, ...], flat: slice) -> "Samples":
        """Place the taps of an offset group: offset `(taps, 2, positions)` at those flat places."""
        height, width = axes
        index = np.arange(flat.start, flat.stop)
        dtype = offset.dtype
        lines, columns = np.divmod(index, width.out)
        taps = np.divmod(np.arange(height.kernel * width.kernel), width.kernel)
        ends = [
            (axis, o * axis.stride + (t * axis.dilation)[:, None] - axis.before)
            for axis, o, t in zip(axes, (lines, columns), taps, strict=True)
        ]
        lost: Array = np.isnan(offset[:, 0]) | np.isnan(offset[:, 1])
        low, part = zip(
            *(
                _split(base + offset[:, k].astype(float), axis.size)
                for k, (axis, base) in enumerate(ends)
            ),
            strict=True,
        )
        shape = (4, *lost.shape)
        places = np.empty(shape, np.intp)
        shares, down, right = (np.empty(shape, dtype) for _ in range(3))
        for corner, (i, j) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
            h, v = low[0] + i, low[1] + j
            inside = (h >= 0) & (h < height.size) & (v >= 0) & (v < width.size) & ~lost
            np.multiply(np.where(inside, h, 0), width.size, places[corner])
            places[corner] += np.where(inside, v, 0)
            row, column = part[0] if i else 1 - part[0], part[1] if j else 1 - part[1]
            shares[corner] = np.where(inside, row * column, 0)
            down[corner] = np.where(inside, column if i else -column, 0)
            right[corner] = np.where(inside, row if j else -row, 0)
        return cls(places, shares, down, right, lost if lost.any() else None)

    def read(self, planes: Array, weights: Array, finite: bool) -> Array:
        """Sum elements of planes `(c, size)` by their weights, as `(c, taps, positions)`."""
        total = _weighted(planes[:, self.places[0]], weights[0], finite)
        for place, weight in zip(self.places[1:], weights[1:], strict=True):
            total += _weighted(planes[:, place], weight, finite)
        if self.lost is not None:
            total[:, self.lost] = np.nan
        return total

    def add(self, values: Array, planes: Array) -> None:
        """Add `(c, taps, positions)` to the elements of planes `(c, size)`, by their shares."""
        channels, size = planes.shape
        first = np.arange(channels)[:, None, None] * size
        finite = bool(np.isfinite(values).all())
        for place, share in zip(self.places, self.shares, strict=True):
            part = _weighted(values.copy(), share, finite)
            sums = np.bincount((first + place).ravel(), part.ravel(), planes.size)
            planes += sums.reshape(planes.shape).astype(planes.dtype)


def _weighted(values: Array, weights: Array, finite: bool) -> Array:
    """Multiply in place; 0 times infinity is 0, for it says not to look."""
    values *= weights
    if not finite:
        values[:, weights == 0] = 0
    return values


def _split(position: Array, size: int) -> tuple[Array, Array]:
    """Return the element before each position, and how far beyond it that is.

    Positions far outside, and NaN, are brought near: they have no share there.
    """
    near = np.clip(np.nan_to_num(position, nan=-2), -2, size + 1)
    low = np.floor(near)
    return low.astype(np.intp), near - low
