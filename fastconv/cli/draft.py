"""A problem taken apart: numbers that can be chosen at random, or made smaller one by one."""

from dataclasses import dataclass

from fastconv.dtypes import accumulator, row_of
from fastconv.errors import ParameterError
from fastconv.geometry import (
    ConvGeometry,
    WindowGeometry,
    check_padding_mode,
    conv_geometry,
    window_geometry,
)
from fastconv.geometry_special import DeformGeometry, LocalGeometry, deform_geometry, local_geometry
from fastconv.parameters import Ints
from fastconv.planes import (
    PLANES,
    FractionalGeometry,
    Geometry,
    ScatterGeometry,
    adaptive_geometry,
    fractional_geometry,
)
from fastconv.problem import Direction, Operation, Problem

Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Draft:
    """The independent numbers of a problem; whether they fit each other shows in `problem`.

    Channels are counted per group, so that any of them may change without breaking the others.
    Scatters, adaptive and fractional pools have no stride, padding, dilation; only they and
    convolutions that leave positions away have `out`.
    """

    operation: Operation
    direction: Direction
    batch: int
    channels: int
    sizes: Ints
    kernel: Ints = ()
    stride: Ints = ()
    padding: Pads = ()
    dilation: Ints = ()
    out: Ints = ()
    outputs: int = 1
    groups: int = 1
    rounding: str = "floor"
    indices: bool = False
    count_include_pad: bool = True
    divisor: int | None = None
    activation: str | None = None
    layout: str = "channels_first"
    offset_groups: int = 1
    masked: bool = False
    padding_mode: str = "zeros"
    dialect: str = "fastconv"
    acc: str | None = None
    dtype: str = "float32"
    nan: str = "propagate"
    norm: float | None = None
    quantile: float | None = None

    @classmethod
    def of(cls, problem: Problem) -> "Draft":
        """Take a problem apart."""
        geometry = problem.geometry
        if isinstance(geometry, ScatterGeometry):
            return cls(
                problem.operation,
                problem.direction,
                geometry.batch,
                geometry.channels,
                geometry.sizes,
                geometry.kernel if isinstance(geometry, FractionalGeometry) else (),
                out=geometry.out,
                indices=problem.indices,
                layout=problem.layout,
                dtype=problem.dtype.name,
                nan=problem.nan,
            )
        groups = geometry.groups if isinstance(geometry, ConvGeometry) else 1
        return cls(
            problem.operation,
            problem.direction,
            geometry.batch,
            geometry.channels // groups,
            geometry.sizes,
            geometry.kernel,
            tuple(axis.stride for axis in geometry.axes),
            tuple((axis.before, axis.after) for axis in geometry.axes),
            tuple(axis.dilation for axis in geometry.axes),
            outputs=geometry.m if isinstance(geometry, ConvGeometry) else 1,
            out=geometry.fewer_out if isinstance(geometry, ConvGeometry) else (),
            groups=groups,
            rounding=geometry.rounding,
            indices=problem.indices,
            count_include_pad=problem.count_include_pad,
            divisor=problem.divisor,
            activation=problem.activation,
            layout=problem.layout,
            offset_groups=getattr(geometry, "offset_groups", 1),
            masked=getattr(geometry, "masked", False),
            padding_mode=problem.padding_mode,
            dialect=problem.dialect,
            acc=None if problem.acc is None else problem.acc.name,
            dtype=problem.dtype.name,
            nan=problem.nan,
            norm=problem.norm,
            quantile=problem.quantile,
        )

    def problem(self) -> Problem:
        """Put the problem together.

        Raises
        ------
        ShapeError
            If a window does not fit.
        """
        dtype = row_of(self.dtype).dtype
        return Problem(
            self.operation,
            self.direction,
            self._geometry(),
            dtype,
            self.indices,
            self.count_include_pad,
            self.divisor,
            self.activation,
            self.layout,
            padding_mode=self.padding_mode,
            dialect=self.dialect,
            acc=accumulator(dtype, self.acc),
            nan=self.nan,
            norm=self.norm,
            quantile=self.quantile,
        )

    def _geometry(self) -> Geometry:
        if self.operation in PLANES:
            return self._planes()
        shape = (self.batch, self.channels * self.groups, *self.sizes)
        geometry: WindowGeometry
        if self.operation == "local_conv":
            geometry = self._local(shape)
        elif self.operation == "deform_conv":
            geometry = self._deform(shape)
        elif self.operation == "conv":
            weight = (self.outputs * self.groups, self.channels, *self.kernel)
            steps = (self.stride, self.padding, self.dilation, self.groups)
            geometry = conv_geometry(shape, weight, *steps, self.out)
        else:
            place = (self.stride, self.padding, self.dilation, self.rounding)
            repeats = self.padding_mode != "zeros"
            geometry = window_geometry(shape, self.kernel, *place, repeats=repeats)
        check_padding_mode(geometry.axes, self.padding_mode)
        return geometry

    def _planes(self) -> Geometry:
        shape = (self.batch, self.channels, *self.sizes)
        if self.operation == "fractional_max_pool":
            return fractional_geometry(shape, self.kernel, self.out)
        if self.operation.startswith("adaptive"):
            return adaptive_geometry(shape, self.out)
        return ScatterGeometry(self.batch, self.channels, self.sizes, self.out)

    def _deform(self, shape: Ints) -> DeformGeometry:
        if self.direction == "mask_gradient" and not self.masked:
            raise ParameterError("no mask, so no gradient of it")
        weight = (self.outputs * self.groups, self.channels, *self.kernel)
        place = (self.stride, self.padding, self.dilation)
        how = (self.groups, self.offset_groups, self.masked)
        return deform_geometry(shape, weight, *place, *how)

    def _local(self, shape: Ints) -> LocalGeometry:
        place = (self.stride, self.padding, self.dilation)
        out = window_geometry(shape, self.kernel, *place).out
        weight = (self.outputs * self.groups, *out, self.channels, *self.kernel)
        return local_geometry(shape, weight, *place, self.groups)
