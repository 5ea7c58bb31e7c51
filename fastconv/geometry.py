"""All shape arithmetic: pure integers in, frozen records out, or a `ShapeError`.

A window operation is described axis by axis. Output position `o` and tap `t` of an axis read the
input at `o * stride + t * dilation - before`; what falls outside `[0, size)` is padding.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from fastconv.errors import ShapeError
from fastconv.parameters import Ints, Padding

MAX_ELEMENTS = 2**40
"""Shapes with more elements than this are taken for a mistake and refused."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One spatial dimension of a window operation; all in elements."""

    size: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    out: int = 1

    @property
    def extent(self) -> int:
        """Elements from the first tap of a window to its last, inclusive."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def fits(self) -> int:
        """Windows that fit the padded input; a convolution may have fewer of them."""
        return (self.size + self.before + self.after - self.extent) // self.stride + 1

    @property
    def padded(self) -> bool:
        """Whether any window reaches outside the input."""
        return self.before > 0 or self.last > self.size

    @property
    def last(self) -> int:
        """One past the last input element that the last window covers."""
        return (self.out - 1) * self.stride + self.extent - self.before

    def inside(self, tap: int, start: int = 0, stop: int | None = None) -> tuple[int, int]:
        """Return the range of output positions in [start, stop) whose `tap` reads real input."""
        stop = self.out if stop is None else stop
        shift = tap * self.dilation - self.before
        low = max(start, -(shift // self.stride))
        high = min(stop, (self.size - 1 - shift) // self.stride + 1)
        return low, max(low, high)

    def source(self, tap: int, low: int, high: int) -> slice:
        """Return the input elements that `tap` reads at output positions [low, high)."""
        first = low * self.stride + tap * self.dilation - self.before
        return slice(first, first + (high - low - 1) * self.stride + 1, self.stride)

    def span(self, position: int) -> slice:
        """Return the input elements of one window; an empty slice where it holds none."""
        first = position * self.stride - self.before
        low = max(0, -(first // self.dilation))
        high = min(self.kernel, -((first - self.size) // self.dilation))
        if low >= high:
            return slice(0, 0)
        start = first + low * self.dilation
        return slice(start, start + (high - low - 1) * self.dilation + 1, self.dilation)

    def counts(self, include_pad: bool) -> tuple[int, ...]:
        """Return, per output position, how many taps lie in the input (or in its padding too).

        What rounding lets a window overhang beyond the padding never counts; a window of nothing
        else counts 1 where padding counts, so that its average is 0.
        """
        return _counts(self, include_pad)


@lru_cache(maxsize=1024)
def _counts(axis: Axis, include_pad: bool) -> tuple[int, ...]:
    low, high = (-axis.before, axis.size + axis.after) if include_pad else (0, axis.size)
    counts = []
    for start in range(-axis.before, -axis.before + axis.out * axis.stride, axis.stride):
        first = max(0, -((start - low) // axis.dilation))
        stop = min(axis.kernel, -((start - high) // axis.dilation))
        counts.append(max(int(include_pad), stop - first))
    return tuple(counts)


@dataclass(frozen=True)
class WindowGeometry:
    """Windows over an input `(batch, channels, *sizes)`: pooling and columns."""

    batch: int
    channels: int
    axes: tuple[Axis, ...]
    rounding: str = "floor"

    @cached_property
    def rank(self) -> int:
        """Number of spatial dimensions."""
        return len(self.axes)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Spatial sizes of the input."""
        return tuple(axis.size for axis in self.axes)

    @cached_property
    def kernel(self) -> tuple[int, ...]:
        """Taps along each axis."""
        return tuple(axis.kernel for axis in self.axes)

    @cached_property
    def out(self) -> tuple[int, ...]:
        """Spatial sizes of the output."""
        return tuple(axis.out for axis in self.axes)

    @property
    def ceil_mode(self) -> bool:
        """Whether the number of windows is rounded up as PyTorch does."""
        return self.rounding == "ceil"

    @cached_property
    def taps(self) -> int:
        """Elements of the kernel."""
        return math.prod(self.kernel)

    @cached_property
    def positions(self) -> int:
        """Output positions of one plane."""
        return math.prod(self.out)

    @cached_property
    def plane(self) -> int:
        """Elements of one input plane."""
        return math.prod(self.sizes)

    @cached_property
    def padded(self) -> bool:
        """Whether any window reaches outside the input."""
        return any(axis.padded for axis in self.axes)

    @cached_property
    def input_shape(self) -> tuple[int, ...]:
        """`(N, C, *sizes)`."""
        return (self.batch, self.channels, *self.sizes)

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """`(N, C, *out)`."""
        return (self.batch, self.channels, *self.out)

    @cached_property
    def columns_shape(self) -> tuple[int, int, int]:
        """`(N, C * prod(kernel), prod(out))`."""
        return (self.batch, self.channels * self.taps, self.positions)


@dataclass(frozen=True)
class ConvGeometry(WindowGeometry):
    """Windows over an input, and the weight `(out_channels, channels // groups, *kernel)`."""

    out_channels: int = 1
    groups: int = 1

    @cached_property
    def weight_shape(self) -> tuple[int, ...]:
        """`(C_out, C_in // groups, *kernel)`."""
        return (self.out_channels, self.channels // self.groups, *self.kernel)

    @cached_property
    def output_shape(self) -> tuple[int, ...]:
        """`(N, C_out, *out)`; as in PyTorch, no channels come of none."""
        return (self.batch, self.out_channels if self.channels else 0, *self.out)

    @cached_property
    def m(self) -> int:
        """Rows of one group's matrix multiply: output channels per group."""
        return self.out_channels // self.groups

    @cached_property
    def k(self) -> int:
        """Depth of one group's matrix multiply: input channels per group times taps."""
        return self.channels // self.groups * self.taps

    @cached_property
    def fewer_out(self) -> tuple[int, ...]:
        """Spatial sizes of the output where they are less than what fits, else nothing."""
        return self.out if any(axis.out != max(1, axis.fits) for axis in self.axes) else ()

    @cached_property
    def multiply_adds(self) -> int:
        """Multiply-adds of the direct algorithm, padding included."""
        return self.batch * self.out_channels * self.positions * self.k


MOST_AXES = 31
"""A window view has two axes for each spatial one, and NumPy has 64."""


def batched_shape(
    name: str, shape: tuple[int, ...], rank: int, empty: str = "batch"
) -> tuple[int, ...]:
    """Return `(N, C, *sizes)` for a batched or unbatched shape; refuse other ranks and zeros.

    What may be 0 is as in PyTorch, by `empty`: the "batch"; the "first" dimension, be it batch or
    channels; batch and "channels"; for "sums" also sizes where one of these is; or "all".
    """
    if len(shape) not in (rank + 1, rank + 2):
        dims = ", ".join("DHW"[3 - rank :]) if rank <= 3 else f"{rank} sizes"
        raise ShapeError(f"{name}: expected shape (N, C, {dims}) or (C, {dims}), got {shape}")
    if rank > MOST_AXES:
        raise ShapeError(f"{name}: at most {MOST_AXES} spatial dimensions, got shape {shape}")
    full = shape if len(shape) == rank + 2 else (1, *shape)
    needed = {
        "batch": full[1:],
        "first": shape[1:],
        "channels": full[2:],
        "sums": () if 0 in full[:2] else full[2:],
        "all": (),
    }
    if 0 in needed[empty]:
        which = {"batch": "the batch", "first": "the first"}.get(empty, "batch and channels")
        raise ShapeError(f"{name}: every dimension but {which} must be at least 1, got {shape}")
    return full


def window_geometry(
    input_shape: tuple[int, ...],
    kernel: Ints,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    rounding: str = "floor",
    repeats: bool = False,
) -> WindowGeometry:
    """Place windows over `(N, C, *sizes)`; padding that repeats the input is as good as input.

    Raises
    ------
    ShapeError
        If a window does not fit the padded input or a result would be absurdly large.
    """
    axes = _axes(input_shape, kernel, stride, padding, dilation, rounding, repeats)
    geometry = WindowGeometry(input_shape[0], input_shape[1], axes, rounding)
    check_elements("columns", geometry.columns_shape)
    return geometry


def conv_geometry(
    input_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    groups: int,
    out: Ints = (),
) -> ConvGeometry:
    """Place a weight `(C_out, C_in // groups, *kernel)` over `(N, C_in, *sizes)`.

    Of the positions that fit, `out` may leave some away at the end; all if there is no sample.

    Raises
    ------
    ShapeError
        If channels, groups, ranks or sizes do not agree.
    """
    _check_weight(weight_shape, len(input_shape), "(C_out, C_in // groups, *kernel)", least=0)
    channels, out_channels = input_shape[1], weight_shape[0]
    if channels % groups or out_channels % groups:
        raise ShapeError(
            f"groups: {groups} must divide both the input's {channels} channels "
            f"and the weight's {out_channels} output channels"
        )
    if weight_shape[1] * groups != channels:
        raise ShapeError(
            f"weight: shape {weight_shape} with groups={groups} expects an input of "
            f"{weight_shape[1] * groups} channels, got input shape {input_shape}"
        )
    least = 0 if out and input_shape[0] == 0 else 1
    axes = _axes(input_shape, weight_shape[2:], stride, padding, dilation, "floor", least=least)
    if out:
        axes = tuple(_with_out(axis, size, least) for axis, size in zip(axes, out, strict=True))
    geometry = ConvGeometry(
        input_shape[0], channels, axes, out_channels=out_channels, groups=groups
    )
    check_elements("input", geometry.input_shape)
    check_elements("output", geometry.output_shape)
    return geometry


def transposed_geometry(
    input_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Ints,
    padding: Padding,
    output_padding: Ints,
    dilation: Ints,
    groups: int,
    output_size: Ints = (),
) -> ConvGeometry:
    """Return the convolution whose transpose takes `(N, C_in, *sizes)` to its own input's shape.

    Its weight `(C_in, C_out // groups, *kernel)` is that of the transposed convolution, its
    positions are the input's elements. Without an output size, padding by name gives
    `size * stride`, other padding the least that has all windows, and `output_padding` more.

    Raises
    ------
    ShapeError
        If channels, groups, ranks or sizes do not agree.
    """
    _check_weight(weight_shape, len(input_shape), "(C_in, C_out // groups, *kernel)")
    channels, sizes = weight_shape[1] * groups, input_shape[2:]
    if weight_shape[0] != input_shape[1]:
        raise ShapeError(
            f"weight: shape {weight_shape} expects an input of {weight_shape[0]} channels, "
            f"got input shape {input_shape}"
        )
    if input_shape[1] % groups:
        raise ShapeError(f"groups: {groups} must divide the input's {input_shape[1]} channels")
    pairs, out = [], []
    for index, size in enumerate(sizes):
        extent = dilation[index] * (weight_shape[2 + index] - 1) + 1
        form = padding if isinstance(padding, str) else padding[index]
        asked = output_size[index] if output_size else None
        more = (output_padding[index], max(stride[index], dilation[index]))
        pair, length = _transposed_axis(index, size, extent, stride[index], form, more, asked)
        pairs.append(pair)
        out.append(length)
    check_elements("output", (input_shape[0], channels, *out))
    whole = (input_shape[0], channels, *out)
    return conv_geometry(whole, weight_shape, stride, tuple(pairs), dilation, groups, sizes)


def _check_weight(shape: tuple[int, ...], dimensions: int, named: str, least: int = 1) -> None:
    """Raise a `ShapeError` for other dimensions, or less than `least` channels in the second."""
    if len(shape) != dimensions:
        raise ShapeError(f"weight: expected {dimensions} dimensions {named}, got shape {shape}")
    if 0 in (shape[0], *shape[2:]) or shape[1] < least:
        raise ShapeError(f"weight: every dimension must be at least 1, got shape {shape}")


def _with_out(axis: Axis, out: int, least: int) -> Axis:
    if not least <= out <= axis.out:
        raise ShapeError(f"output: expected {least} to {axis.out} positions, got {out}")
    return replace(axis, out=out)


def _transposed_axis(
    index: int,
    size: int,
    extent: int,
    stride: int,
    padding: str | tuple[int, int],
    more: tuple[int, int],
    asked: int | None,
) -> tuple[tuple[int, int], int]:
    """Return the padding and the output size of one dimension of a transposed convolution.

    `more` is the output padding, and what it must be less than.
    """
    output_padding, limit = more
    if isinstance(padding, str) and padding != "valid":
        low, high = (size - 1) * stride + 1, size * stride
        out = high if asked is None else asked
        pair = _same(out, extent, stride, padding)
    else:
        pair = (0, 0) if isinstance(padding, str) else padding
        low = (size - 1) * stride + extent - sum(pair)
        high = low + limit - 1
        out = low + output_padding if asked is None else asked
    if out < 0 and asked is None:
        raise ShapeError(
            f"padding: {pair} leaves an output of {out} elements in spatial dimension {index}, "
            f"whose input has {size}"
        )
    if not max(0, low) <= out <= high:
        raise ShapeError(
            f"output_size: expected {max(0, low)} to {high} elements in spatial dimension {index}, "
            f"whose input has {size}, got {out}"
        )
    return pair, out


def check_padding_mode(axes: tuple[Axis, ...], mode: str) -> None:
    """Raise a `ShapeError` where an axis is too short to be padded by its own elements.

    As in PyTorch: less than its size is reflected, at most its size wrapped around.
    """
    least = {"reflect": 1, "circular": 0}.get(mode)
    if least is None:
        return
    for index, axis in enumerate(axes):
        if max(axis.before, axis.after) + least > axis.size:
            raise ShapeError(
                f"padding: ({axis.before}, {axis.after}) with padding_mode={mode!r} must be "
                f"{'less than' if least else 'at most'} the {axis.size} elements of spatial "
                f"dimension {index}"
            )


def _axes(
    input_shape: tuple[int, ...],
    kernel: Ints,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    rounding: str,
    repeats: bool = False,
    least: int = 1,
) -> tuple[Axis, ...]:
    axes = []
    for index, size in enumerate(input_shape[2:]):
        form = padding if isinstance(padding, str) else padding[index]
        place = (kernel[index], stride[index], dilation[index], form)
        axes.append(_axis(index, size, *place, rounding, repeats, least))
    return tuple(axes)


def _axis(
    index: int,
    size: int,
    kernel: int,
    stride: int,
    dilation: int,
    padding: str | tuple[int, int],
    rounding: str,
    repeats: bool,
    least: int,
) -> Axis:
    extent = dilation * (kernel - 1) + 1
    before, after = _same(size, extent, stride, padding) if isinstance(padding, str) else padding
    room = size + before + after - extent
    out = (room + (0 if rounding == "floor" else stride - 1)) // stride + 1
    if rounding == "ceil" and (out - 1) * stride >= size + before + (after if repeats else 0):
        out -= 1  # a window may not start beyond the input
    if out < least:
        raise ShapeError(
            f"kernel_size: a window of {extent} elements (kernel {kernel}, dilation {dilation}) "
            f"does not fit spatial dimension {index} of {size} elements, "
            f"{size + before + after} with padding ({before}, {after})"
        )
    return Axis(size, kernel, stride, dilation, before, after, out)


def _same(size: int, extent: int, stride: int, form: str) -> tuple[int, int]:
    """Return padding for ceil(size / stride) outputs, by the rule of ONNX and TensorFlow."""
    if form == "valid":
        return 0, 0
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    small, large = total // 2, total - total // 2
    return (large, small) if form == "same_lower" else (small, large)


def check_elements(name: str, shape: tuple[int, ...]) -> None:
    """Raise a `ShapeError` for a shape that is taken for a mistake."""
    if math.prod(shape) > MAX_ELEMENTS:
        raise ShapeError(f"{name}: shape {shape} has more than {MAX_ELEMENTS} elements")
