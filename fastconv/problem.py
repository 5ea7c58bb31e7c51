"""A problem: everything a plan depends on, and its one line of text.

The line is the same in tests, benchmarks, logs and `fastconv check`, so any of them reproduces:

>>> problem = Problem.parse("conv forward x=1x64x56x56 w=64x64x3x3 p=1 float32")
>>> problem.geometry.output_shape
(1, 64, 56, 56)
>>> print(problem)
conv forward x=1x64x56x56 w=64x64x3x3 p=1 float32
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np

from fastconv import activations, dialects, parameters
from fastconv.dtypes import UINT64, Dtype, accumulator, row_of
from fastconv.errors import DtypeError, ParameterError
from fastconv.fields import flag, geometry_of, geometry_words, number, reals
from fastconv.geometry import ConvGeometry, WindowGeometry, check_padding_mode
from fastconv.geometry_special import DeformGeometry
from fastconv.planes import (
    INTO_PLANES,
    AdaptiveGeometry,
    FractionalGeometry,
    Geometry,
    ScatterGeometry,
)

Operation = Literal[
    "conv",
    "max_pool",
    "min_pool",
    "avg_pool",
    "lp_pool",
    "quantile_pool",
    "adaptive_max_pool",
    "adaptive_avg_pool",
    "fractional_max_pool",
    "columns",
    "scatter",
    "unpool",
    "gather",
    "local_conv",
    "deform_conv",
]
Direction = Literal[
    "forward", "input_gradient", "weight_gradient", "offset_gradient", "mask_gradient"
]

DIRECTIONS: dict[str, tuple[Direction, ...]] = {
    "conv": ("forward", "input_gradient", "weight_gradient"),
    "max_pool": ("forward",),
    "min_pool": ("forward",),
    "avg_pool": ("forward", "input_gradient"),
    "lp_pool": ("forward", "input_gradient"),
    "quantile_pool": ("forward",),
    "adaptive_max_pool": ("forward",),
    "adaptive_avg_pool": ("forward", "input_gradient"),
    "fractional_max_pool": ("forward",),
    "columns": ("forward", "input_gradient"),
    "scatter": ("forward",),
    "unpool": ("forward",),
    "gather": ("forward",),
    "local_conv": ("forward", "input_gradient", "weight_gradient"),
    "deform_conv": (
        *("forward", "input_gradient", "weight_gradient", "offset_gradient", "mask_gradient"),
    ),
}
"""Operations and their directions. `columns` is im2col, its input gradient col2im; `scatter` adds
values at flat indices into planes, which is the gradient of a max pool; `unpool` puts them there,
and its gradient is `gather`, which takes them from there; `local_conv` has a weight for every
window, `deform_conv` offsets that say where its taps are."""

EVERY = range(16)
IN_LAYOUT: dict[tuple[str, str], tuple[Collection[int], Collection[int]]] = {
    ("conv", "forward"): ((0,), (0,)),
    ("conv", "input_gradient"): ((1,), (0,)),
    ("conv", "weight_gradient"): ((0, 1), ()),
    ("fractional_max_pool", "forward"): ((0,), EVERY),
    ("local_conv", "forward"): ((0,), (0,)),
    ("local_conv", "input_gradient"): ((1,), (0,)),
    ("local_conv", "weight_gradient"): ((0, 1), ()),
    ("deform_conv", "forward"): ((0, 3, 4), (0,)),
    ("deform_conv", "input_gradient"): ((1, 2, 3), (0,)),
    ("deform_conv", "weight_gradient"): (EVERY, ()),
    ("deform_conv", "offset_gradient"): ((0, 2, 3, 4), (0,)),
    ("deform_conv", "mask_gradient"): ((0, 2, 3, 4), (0,)),
}
"""Which inputs and which outputs of a problem are in its layout; of those not listed here, all.

Weights and biases never are; offsets and masks, which networks compute from images, are.
"""
WITHOUT_LAYOUT = ("columns",)
"""Operations that have channels first only. The order of columns is a dialect's, and an input is
read in place whatever its strides: a view with the channels second costs nothing there."""
PADDED_POOLS = ("max_pool", "min_pool", "avg_pool", "lp_pool", "quantile_pool")
"""Pools over windows with padding."""
CONVOLUTIONS = ("conv", "local_conv", "deform_conv")
"""Operations that multiply windows by weights."""
WITH_PADDING_MODE = (*CONVOLUTIONS, "columns", *PADDED_POOLS)
"""Operations whose padding may hold elements of the input."""
ORDERED = ("max_pool", "min_pool", "quantile_pool", "adaptive_max_pool", "fractional_max_pool")
"""Operations that compare values."""
KEEPING = {(operation, "forward") for operation in (*ORDERED, "columns", "unpool", "gather")}
"""What picks or moves values: results keep their dtype, whatever it is."""
WITH_ACTIVATION = (("conv", "forward"), ("conv", "input_gradient"))
"""Problems that may end in an activation; the second are transposed convolutions."""


@dataclass(frozen=True, eq=False)
class Problem:
    """One operation on one geometry in one dtype; equal and hashed by its line of text."""

    operation: Operation
    direction: Direction
    geometry: Geometry
    dtype: np.dtype[Any]
    indices: bool = False
    count_include_pad: bool = True
    divisor: int | None = None
    activation: str | None = None
    layout: str = "channels_first"
    padding_mode: str = "zeros"
    dialect: str = "fastconv"
    acc: Dtype | None = None
    nan: str = "propagate"
    norm: float | None = None
    quantile: float | None = None

    def __post_init__(self) -> None:
        """Raise a `DtypeError` for what the dtype does not allow."""
        kind = self.dtype.kind
        if self.operation in ORDERED and kind == "c":
            raise DtypeError(f"input: {self.dtype} numbers have no order, so no maximum")
        if self.operation == "lp_pool" and kind in "biuc":
            raise DtypeError(f"input: norms are of floating dtypes, not of {self.dtype}")
        if self.activation is not None:
            activations.check_dtype(self.activation, self.dtype)
        if self.acc is not None and not self._chooses_accumulator:
            raise ParameterError(f"problem: no acc for {self.operation} {self.direction}")
        if self.operation == "deform_conv" and kind in "biuc":
            raise DtypeError(f"input: samples between elements are floats, not {self.dtype}")
        if self._chooses_accumulator and self.acc is None and self.dtype == UINT64:
            raise DtypeError(
                "acc_dtype: nothing is wider than uint64, so sums of it need an acc_dtype, "
                "such as 'uint64'; it is refused where they could exceed it"
            )

    @property
    def _chooses_accumulator(self) -> bool:
        """Whether callers may choose what sums are kept in."""
        return self.operation in CONVOLUTIONS or (
            self.operation == "columns" and self.direction == "input_gradient"
        )

    @cached_property
    def text(self) -> str:
        """The line that `parse` reads back."""
        return " ".join(word for word in _words(self) if word)

    @cached_property
    def empty(self) -> bool:
        """Whether there is nothing to compute: no elements on one side, not only for no samples."""
        geometry = self.geometry
        return 0 in geometry.input_shape[1:] or 0 in geometry.output_shape[1:]

    @cached_property
    def conv(self) -> ConvGeometry:
        """The geometry of a convolution."""
        return cast(ConvGeometry, self.geometry)

    @cached_property
    def window(self) -> WindowGeometry:
        """The geometry of a pool, of columns, or of a convolution's windows."""
        return cast(WindowGeometry, self.geometry)

    @cached_property
    def scatter(self) -> ScatterGeometry:
        """The geometry of a scatter."""
        return cast(ScatterGeometry, self.geometry)

    @cached_property
    def adaptive(self) -> AdaptiveGeometry:
        """The geometry of an adaptive pool."""
        return cast(AdaptiveGeometry, self.geometry)

    @cached_property
    def fractional(self) -> FractionalGeometry:
        """The geometry of a fractional pool."""
        return cast(FractionalGeometry, self.geometry)

    @cached_property
    def deform(self) -> DeformGeometry:
        """The geometry of a deformable convolution."""
        return cast(DeformGeometry, self.geometry)

    @cached_property
    def x_shape(self) -> tuple[int, ...]:
        """The shape of the input, in the problem's layout."""
        return self._in_layout(self.geometry.input_shape)

    @cached_property
    def y_shape(self) -> tuple[int, ...]:
        """The shape of the forward output, in the problem's layout."""
        return self._in_layout(self.geometry.output_shape)

    @cached_property
    def offset_shape(self) -> tuple[int, ...]:
        """The shape of the offsets of a deformable convolution, in the problem's layout."""
        return self._in_layout(self.deform.offset_shape)

    @cached_property
    def mask_shape(self) -> tuple[int, ...]:
        """The shape of the mask of a deformable convolution, in the problem's layout."""
        return self._in_layout(self.deform.mask_shape)

    @property
    def in_layout(self) -> tuple[Collection[int], Collection[int]]:
        """The places of the inputs, and of the outputs, that are in the problem's layout."""
        return IN_LAYOUT.get((self.operation, self.direction), (EVERY, EVERY))

    def _in_layout(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.layout == "channels_last":
            return (shape[0], *shape[2:], shape[1])
        return shape

    @cached_property
    def result_shape(self) -> tuple[int, ...]:
        """The shape of what the problem computes."""
        if self.direction == "weight_gradient":
            return self.conv.weight_shape
        if self.direction == "offset_gradient":
            return self.offset_shape
        if self.direction == "mask_gradient":
            return self.mask_shape
        if self.direction == "input_gradient" or self.operation in INTO_PLANES:
            return self.x_shape
        if self.operation == "columns":
            return self.columns_shape
        return self.y_shape

    @cached_property
    def columns_shape(self) -> tuple[int, ...]:
        """The shape of columns, in the problem's dialect."""
        return dialects.BY_NAME[self.dialect].shape(self.window)

    @property
    def result_dtype(self) -> np.dtype[Any]:
        """The dtype of what the problem computes."""
        if (self.operation, self.direction) in KEEPING:
            return self.dtype
        if self.operation.endswith("avg_pool") and self.direction == "forward":
            return np.dtype(np.int8) if self.dtype.kind == "b" else self.dtype
        sums = row_of(self.dtype).sums
        return sums if self.acc is None or self.dtype.kind in "fcV" else self.acc

    @cached_property
    def accumulator(self) -> Dtype:
        """The dtype sums are kept in; averages of integers divide there."""
        if self.operation.endswith("avg_pool") and self.dtype.kind in "biu":
            return self.dtype if self.dtype == UINT64 else np.dtype(np.int64)
        return row_of(self.dtype).accumulator if self.acc is None else self.acc

    @cached_property
    def native(self) -> bool:
        """Whether floating-point arrays are multiplied and added in the dtype they have."""
        return self.dtype.kind in "fc" and self.accumulator == self.dtype

    @property
    def not_compiled(self) -> str | None:
        """Why generated kernels cannot take this dtype, or None."""
        if self.native and self.dtype.kind == "f":
            return None
        kept = "" if self.acc is None else f" summed in {self.acc}"
        return f"computes float32 and float64 in themselves, not {self.dtype}{kept}"

    @cached_property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """Before and after each axis of the array `x`, what windows read that is not zeros."""
        if self.padding_mode == "zeros" or self.operation == "columns" or not self.window.padded:
            return ()
        axes = self.window.axes
        if self.operation == "deform_conv":  # whose taps may be moved anywhere
            pairs = tuple((a.before, a.after) for a in axes)
        else:
            pairs = tuple((a.before, min(a.after, max(0, a.last - a.size))) for a in axes)
        if not any(map(any, pairs)):  # what rounding lets windows overhang is not padding
            return ()
        return (*pairs, (0, 0)) if self.layout == "channels_last" else pairs

    @cached_property
    def on_padded(self) -> "Problem":
        """The problem that is left when a copy of the input is padded first; often itself."""
        if not self.padding:
            return self
        axes = tuple(
            replace(axis, size=before + axis.size + after, before=0, after=0)
            for axis, (before, after) in zip(self.window.axes, self.padding, strict=False)
        )
        return replace(self, geometry=replace(self.window, axes=axes), padding_mode="zeros")

    @property
    def padded_bytes(self) -> int:
        """Bytes of the padded copy and its places, or of its gradient and what that folds into."""
        if not self.padding:
            return 0
        elements = math.prod(self.on_padded.x_shape)
        if self.direction == "input_gradient":
            read = self.dtype.itemsize if self.operation == "lp_pool" else 0
            return elements * (2 * self.accumulator.itemsize + read)
        places = self.on_padded.window.plane + math.prod(self.y_shape) if self.indices else 0
        return elements * self.dtype.itemsize + places * 8

    @cached_property
    def flops(self) -> int:
        """Operations of the direct algorithm: 2 per multiply-add, 1 per reduction."""
        if self.empty:
            return 0
        if isinstance(self.geometry, ConvGeometry):
            return 2 * self.geometry.multiply_adds
        if isinstance(self.geometry, ScatterGeometry):
            return self.geometry.work
        if self.operation == "columns" and self.direction == "forward":
            return 0
        window = self.window
        return window.batch * window.channels * window.positions * window.taps

    def __str__(self) -> str:
        return self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and self.text == other.text

    @classmethod
    def parse(cls, line: str) -> "Problem":
        """Read a problem from its line.

        Parameters
        ----------
        line : str
            `OPERATION DIRECTION x=SHAPE [key=value ...] DTYPE`. Keys: `w` weight shape, `k` kernel
            size, `s` stride, `p` padding (`BEFORE:AFTER` where they differ), `d` dilation,
            `g` groups, `ceil`, `round` ("cover_all"), `indices`, `pad` (whether an average counts
            padding), `div` divisor override, `act` activation after a convolution, `layout` of the
            arrays ("last" for channels last; `x` names channels second all the same), `mode` what
            the padding holds, `dialect` their order, `o` output sizes of a scatter, an
            adaptive or a fractional pool, or of a convolution that leaves away positions at the
            end, `nan` ("ignore"), `norm` of an lp pool, `q` quantile,
            `acc` what sums are kept in where callers chose it, `og` groups of offsets and `mask`
            whether taps are weighed, of a deformable convolution.

        Returns
        -------
        Problem
            Such that `Problem.parse(str(problem)) == problem`.

        Raises
        ------
        ParameterError, ShapeError, DtypeError
            If the line is malformed or describes an impossible problem.
        """
        try:
            operation, direction, *words, dtype = line.split()
        except ValueError:
            raise ParameterError(
                f"problem: expected 'OPERATION DIRECTION ... DTYPE', got {line!r}"
            ) from None
        if direction not in DIRECTIONS.get(operation, ()):
            raise ParameterError(f"problem: unknown operation or direction in {line!r}")
        fields = dict(word.partition("=")[::2] for word in words)
        unknown = set(fields) - set(_KEYS)
        if unknown or "x" not in fields:
            raise ParameterError(
                f"problem: unknown or missing keys {sorted(unknown) or ['x']} in {line!r}"
            )
        if "act" in fields and (operation, direction) not in WITH_ACTIVATION:
            raise ParameterError(f"problem: {operation} {direction} has no activation, in {line!r}")
        if "layout" in fields and operation in WITHOUT_LAYOUT:
            raise ParameterError(f"problem: {operation} has no layout, in {line!r}")
        if "mode" in fields and operation not in WITH_PADDING_MODE:
            raise ParameterError(f"problem: {operation} has no padding mode, in {line!r}")
        if "dialect" in fields and operation != "columns":
            raise ParameterError(f"problem: only columns have a dialect, not {line!r}")
        if {"og", "mask"} & set(fields) and operation != "deform_conv":
            raise ParameterError(f"problem: only deform_conv has offsets and masks, not {line!r}")
        if direction == "mask_gradient" and not flag(fields.get("mask", "0")):
            raise ParameterError(f"problem: no mask, so no gradient of it, in {line!r}")
        geometry, mode = geometry_of(operation, fields), fields.get("mode", "zeros")
        if isinstance(geometry, WindowGeometry):
            check_padding_mode(geometry.axes, parameters.padding_mode(mode))
        return cls(
            cast(Operation, operation),
            direction,
            geometry,
            row_of(dtype).dtype,
            indices=flag(fields.get("indices", "0")),
            count_include_pad=flag(fields.get("pad", "1")),
            divisor=parameters.divisor("div", number(fields["div"])) if "div" in fields else None,
            activation=activations.checked(fields.get("act")),
            layout=parameters.layout(f"channels_{fields.get('layout', 'first')}"),
            padding_mode=mode,
            dialect=dialects.dialect(fields.get("dialect", "fastconv")).name,
            acc=accumulator(row_of(dtype).dtype, fields.get("acc")),
            nan=parameters.nan(fields.get("nan", "propagate")),
            **reals(operation, fields),
        )


_KEYS = (
    *("x", "w", "k", "s", "p", "d", "g", "o", "ceil", "round", "indices", "pad", "div"),
    *("act", "layout", "mode", "dialect", "acc", "nan", "norm", "q", "og", "mask"),
)


def _words(problem: Problem) -> list[str]:
    words = [problem.operation, problem.direction, *geometry_words(problem.geometry)]
    words.append("indices=1" if problem.indices else "")
    words.append("" if problem.count_include_pad else "pad=0")
    words.append("" if problem.divisor is None else f"div={problem.divisor}")
    words.append("" if problem.activation is None else f"act={problem.activation}")
    words.append("" if problem.layout == "channels_first" else "layout=last")
    words.append("" if problem.padding_mode == "zeros" else f"mode={problem.padding_mode}")
    words.append("" if problem.dialect == "fastconv" else f"dialect={problem.dialect}")
    words.append("" if problem.acc is None else f"acc={problem.acc.name}")
    words.append("" if problem.nan == "propagate" else f"nan={problem.nan}")
    words.append("" if problem.norm is None else f"norm={problem.norm:.17g}")
    words.append("" if problem.quantile is None else f"q={problem.quantile:.17g}")
    return [*words, problem.dtype.name]
