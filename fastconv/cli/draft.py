"""A problem taken apart: numbers that can be chosen at random, or made smaller one by one."""

from dataclasses import dataclass

from fastconv.dtypes import accumulator, row_of
from fastconv.geometry import (
    ConvGeometry,
    ScatterGeometry,
    WindowGeometry,
    check_padding_mode,
    conv_geometry,
    window_geometry,
)
from fastconv.parameters import Ints
from fastconv.problem import Direction, Geometry, Operation, Problem

Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Draft:
    """The independent numbers of a problem; whether they fit each other shows in `problem`.

    Channels are counted per group, so that any of them may change without breaking the others.
    Scatters have neither kernel nor stride, padding, dilation; only they and convolutions that
    leave positions away have `out`.
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
    ceil_mode: bool = False
    indices: bool = False
    count_include_pad: bool = True
    divisor: int | None = None
    activation: str | None = None
    layout: str = "channels_first"
    padding_mode: str = "zeros"
    dialect: str = "fastconv"
    acc: str | None = None
    dtype: str = "float32"

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
                out=geometry.out,
                layout=problem.layout,
                dtype=problem.dtype.name,
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
            ceil_mode=geometry.ceil_mode,
            indices=problem.indices,
            count_include_pad=problem.count_include_pad,
            divisor=problem.divisor,
            activation=problem.activation,
            layout=problem.layout,
            padding_mode=problem.padding_mode,
            dialect=problem.dialect,
            acc=None if problem.acc is None else problem.acc.name,
            dtype=problem.dtype.name,
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
        )

    def _geometry(self) -> Geometry:
        if self.operation == "scatter":
            return ScatterGeometry(self.batch, self.channels, self.sizes, self.out)
        shape = (self.batch, self.channels * self.groups, *self.sizes)
        if self.operation == "conv":
            weight = (self.outputs * self.groups, self.channels, *self.kernel)
            place = (self.stride, self.padding, self.dilation, self.groups)
            geometry: WindowGeometry = conv_geometry(shape, weight, *place, self.out)
        else:
            geometry = window_geometry(
                shape, self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode
            )
        check_padding_mode(geometry.axes, self.padding_mode)
        return geometry
