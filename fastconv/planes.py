"""Planes and what belongs to places in them: geometries whose output sizes are given.

Scatters and gathers move values to and from flat places of planes, adaptive pools cut planes into
windows that cover them, and fractional pools place windows of one size anywhere.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from fastconv.dtypes import Array
from fastconv.errors import ParameterError, ShapeError
from fastconv.geometry import ConvGeometry, WindowGeometry, check_elements
from fastconv.parameters import Ints

INTO_PLANES = ("scatter", "unpool")
"""Operations whose result is the planes themselves."""
PLANES = (*INTO_PLANES, "gather", "adaptive_max_pool", "adaptive_avg_pool", "fractional_max_pool")
"""Operations without stride, padding and dilation."""


def check_places(places: Array, plane: int) -> None:
    """Raise a `ParameterError` unless all flat places are in a plane of so many elements, or -1."""
    if not places.size:
        return
    low, high = int(places.min()), int(places.max())
    if low < -1 or high >= plane:
        raise ParameterError(
            f"indices: expected places in [0, {plane}) of a plane, or -1; "
            f"got {low if low < -1 else high}"
        )


@dataclass(frozen=True, slots=True)
class UnevenAxis:
    """One spatial dimension cut into `out` windows, as equal as may be, that cover it.

    Window `o` holds the elements `[floor(o * size / out), ceil((o + 1) * size / out))`. Element `i`
    is in the windows of the same formula with size and out exchanged.
    """

    size: int
    out: int

    @property
    def kernel(self) -> int:
        """Elements of the longest window."""
        # what flooring the start adds is a multiple of the gcd over out, and less than 1
        return 1 + -(-(self.size - math.gcd(self.size, self.out)) // self.out)

    def span(self, position: int) -> slice:
        """Return the input elements of one window."""
        start = position * self.size // self.out
        return slice(start, -(-(position + 1) * self.size // self.out))


@dataclass(frozen=True)
class ScatterGeometry:
    """Values at `(N, C, *out)` that go to flat places in planes of `(N, C, *sizes)`."""

    batch: int
    channels: int
    sizes: tuple[int, ...]
    out: tuple[int, ...]

    @cached_property
    def input_shape(self) -> tuple[int, ...]:
        """`(N, C, *sizes)`: the shape scattered into."""
        return (self.batch, self.channels, *self.sizes)

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """`(N, C, *out)`: the shape of values and indices."""
        return (self.batch, self.channels, *self.out)

    @cached_property
    def work(self) -> int:
        """Values that are moved."""
        return math.prod(self.output_shape)


@dataclass(frozen=True)
class AdaptiveGeometry(ScatterGeometry):
    """Planes of `(N, C, *sizes)` cut into `(N, C, *out)` windows that cover them."""

    @cached_property
    def axes(self) -> tuple[UnevenAxis, ...]:
        """How each spatial dimension is cut."""
        return tuple(map(UnevenAxis, self.sizes, self.out))

    @cached_property
    def work(self) -> int:
        """Elements that the windows hold, those of the longest for all."""
        return math.prod(self.output_shape) * self.terms(True)

    def terms(self, forward: bool) -> int:
        """Return the elements of the largest window, or the most windows that hold an element."""
        axes = self.axes if forward else tuple(map(UnevenAxis, self.out, self.sizes))
        return math.prod(axis.kernel for axis in axes)


@dataclass(frozen=True)
class FractionalGeometry(ScatterGeometry):
    """Windows of `kernel` elements at any `(N, C, *out)` places of planes `(N, C, *sizes)`."""

    kernel: tuple[int, ...]

    @cached_property
    def work(self) -> int:
        """Elements that the windows hold."""
        return math.prod(self.output_shape) * math.prod(self.kernel)


Geometry = ConvGeometry | WindowGeometry | ScatterGeometry
"""Whatever a problem may be placed on."""


def scatter_geometry(input_shape: tuple[int, ...], out: tuple[int, ...]) -> ScatterGeometry:
    """Place values of `(N, C, *out)` in planes of `(N, C, *sizes)`, both of at least 1 element."""
    check_elements("input_size", input_shape)
    return ScatterGeometry(input_shape[0], input_shape[1], input_shape[2:], out)


def adaptive_geometry(input_shape: tuple[int, ...], out: tuple[int, ...]) -> AdaptiveGeometry:
    """Cut planes of `(N, C, *sizes)` into `out` windows along each axis."""
    geometry = AdaptiveGeometry(input_shape[0], input_shape[1], input_shape[2:], out)
    check_elements("input_size", geometry.input_shape)
    check_elements("output_size", geometry.output_shape)
    return geometry


def fractional_geometry(
    input_shape: tuple[int, ...], kernel: tuple[int, ...], out: tuple[int, ...]
) -> FractionalGeometry:
    """Place `out` windows of `kernel` elements along each axis of `(N, C, *sizes)`.

    Raises
    ------
    ShapeError
        If so many windows cannot begin at different elements.
    """
    for index, (size, taps, count) in enumerate(zip(input_shape[2:], kernel, out, strict=True)):
        if count + taps - 1 > size:
            raise ShapeError(
                f"output_size: {count} windows of {taps} elements need {count + taps - 1} "
                f"elements in spatial dimension {index}, got {size}"
            )
    return FractionalGeometry(input_shape[0], input_shape[1], input_shape[2:], out, kernel)


def unpooled_sizes(
    out: Ints, kernel: Ints, stride: Ints, padding: tuple[tuple[int, int], ...], given: Ints | None
) -> tuple[int, ...]:
    """Return the sizes of what was pooled: given ones, if pooling them could have given `out`.

    Raises
    ------
    ShapeError
        If they are a stride or more away from those that leave nothing over, or those are none.
    """
    places = zip(out, kernel, stride, padding, strict=True)
    least = [(n - 1) * s + k - before - after for n, k, s, (before, after) in places]
    if given is None:
        if min(least) < 1:
            raise ShapeError(f"padding: {padding} leaves no elements, sizes would be {least}")
        return tuple(least)
    for index, (size, default, step) in enumerate(zip(given, least, stride, strict=True)):
        if not default - step < size < default + step:
            raise ShapeError(
                f"output_size: expected between {default - step} and {default + step}, both "
                f"excluded, in spatial dimension {index}, got {size}"
            )
    return given
