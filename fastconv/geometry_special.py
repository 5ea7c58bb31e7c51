"""Shapes of convolutions whose weights differ from window to window."""

from dataclasses import dataclass
from functools import cached_property

from fastconv.errors import ShapeError
from fastconv.geometry import ConvGeometry, check_elements, conv_geometry
from fastconv.parameters import Ints, Padding


@dataclass(frozen=True)
class LocalGeometry(ConvGeometry):
    """Windows over an input, each with a weight of its own."""

    @cached_property
    def weight_shape(self) -> tuple[int, ...]:
        """`(C_out, *out, C_in // groups, *kernel)`."""
        return (self.out_channels, *self.out, self.channels // self.groups, *self.kernel)


def local_geometry(
    input_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    groups: int,
) -> LocalGeometry:
    """Place a weight `(C_out, *out, C_in // groups, *kernel)` over `(N, C_in, *sizes)`.

    Raises
    ------
    ShapeError
        If channels, groups, ranks or sizes do not agree.
    """
    rank = len(input_shape) - 2
    if len(weight_shape) != 2 * rank + 2:
        raise ShapeError(
            f"weight: expected {2 * rank + 2} dimensions (C_out, *out, C_in // groups, *kernel), "
            f"got shape {weight_shape}"
        )
    shared = (weight_shape[0], *weight_shape[rank + 1 :])
    whole = conv_geometry(input_shape, shared, stride, padding, dilation, groups)
    geometry = LocalGeometry(
        whole.batch, whole.channels, whole.axes, out_channels=whole.out_channels, groups=groups
    )
    if geometry.weight_shape != weight_shape:
        raise ShapeError(
            f"weight: expected shape {geometry.weight_shape}, with a filter for each of the "
            f"{geometry.out} window positions, got {weight_shape}"
        )
    check_elements("weight", weight_shape)
    return geometry


@dataclass(frozen=True)
class DeformGeometry(ConvGeometry):
    """Windows whose taps are moved by offsets, apart for each group of input channels."""

    offset_groups: int = 1
    masked: bool = False

    @cached_property
    def offset_shape(self) -> tuple[int, ...]:
        """`(N, offset_groups * kh * kw * 2, oh, ow)`: down, then right, in elements."""
        return (self.batch, 2 * self.offset_groups * self.taps, *self.out)

    @cached_property
    def mask_shape(self) -> tuple[int, ...]:
        """`(N, offset_groups * kh * kw, oh, ow)`."""
        return (self.batch, self.offset_groups * self.taps, *self.out)


def deform_geometry(
    input_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    groups: int,
    offset_groups: int,
    masked: bool,
) -> DeformGeometry:
    """Place a weight `(C_out, C_in // groups, kh, kw)` over `(N, C_in, H, W)`.

    Raises
    ------
    ShapeError
        If channels, groups or sizes do not agree.
    """
    whole = conv_geometry(input_shape, weight_shape, stride, padding, dilation, groups)
    if whole.rank != 2:
        raise ShapeError(f"input: expected shape (N, C, H, W), got {input_shape}")
    if whole.channels % offset_groups:
        raise ShapeError(
            f"offset: its {offset_groups} groups must divide the input's {whole.channels} channels"
        )
    geometry = DeformGeometry(
        *(whole.batch, whole.channels, whole.axes),
        out_channels=whole.out_channels,
        groups=groups,
        offset_groups=offset_groups,
        masked=masked,
    )
    check_elements("offset", geometry.offset_shape)
    return geometry


def deform_groups(input: Ints, weight: Ints, offset: Ints) -> tuple[int, int]:
    """Infer groups and offset groups from the shapes of a deformable convolution.

    Raises
    ------
    ShapeError
        If an array has another number of dimensions, or channels that are no multiple.
    """
    for name, shape, meaning in (
        ("input", input, "(N, C_in, H, W)"),
        ("weight", weight, "(C_out, C_in // groups, kh, kw)"),
        ("offset", offset, "(N, 2 * offset_groups * kh * kw, oh, ow)"),
    ):
        if len(shape) != 4:
            raise ShapeError(f"{name}: expected shape {meaning}, got {shape}")
        if 0 in shape[1:]:
            raise ShapeError(
                f"{name}: every dimension but the batch must be at least 1, got {shape}"
            )
    if input[1] % weight[1]:
        raise ShapeError(
            f"weight: shape {weight} has {weight[1]} channels, which do not divide the "
            f"{input[1]} of input shape {input}"
        )
    each = 2 * weight[2] * weight[3]
    if offset[1] % each:
        raise ShapeError(
            f"offset: {offset[1]} channels, of shape {offset}, are not a multiple of the {each} "
            f"that kernel {weight[2:]} needs"
        )
    return input[1] // weight[1], offset[1] // each
