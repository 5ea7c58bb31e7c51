"""`prepare_conv`: a convolution whose weights are packed once and used by many calls."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import activations, memory, parameters
from fastconv.algorithms import Packed
from fastconv.dtypes import Array, accumulator, plain_array, promoted
from fastconv.errors import ShapeError
from fastconv.geometry import conv_geometry
from fastconv.ops.call import check_shape, like_input
from fastconv.ops.conv_problem import conv_problem
from fastconv.ops.out import write_out
from fastconv.parameters import IntOrInts, PaddingLike
from fastconv.plan import Settings, current_settings, plan_for, settings
from fastconv.problem import Problem

MOST_AXES = 3
MOST_SHAPES = 64
"""Calls that are kept ready, one for each shape, dtype and settings; the oldest goes first."""

_packing = threading.Lock()
"""Held while weights are packed. One for all, so that it can be renewed after a fork, when the
thread that held it may be gone."""


def _renew_lock() -> None:
    global _packing
    _packing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@dataclass(frozen=True)
class _Ready:
    """A call on inputs of one shape and dtype: everything but the data is settled."""

    solve: Callable[[Array, Array], None]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    batched: bool


class PreparedConv:
    """What `prepare_conv` returns: call it with an input.

    Safe to call from many threads. It keeps its own copy of weight and bias.

    Attributes
    ----------
    weight : numpy.ndarray
        Read-only copy of the weight.
    bias : numpy.ndarray or None
        Read-only copy of the bias.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> layer = F.prepare_conv(np.ones((4, 3, 5, 5), np.float32), padding=2, activation="relu")
    >>> layer
    PreparedConv(4x3x5x5 float32, padding=2, activation='relu')
    >>> layer(np.ones((2, 3, 9, 9), np.float32)).shape
    (2, 4, 9, 9)
    """

    def __init__(
        self,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        stride: IntOrInts = 1,
        padding: PaddingLike = 0,
        dilation: IntOrInts = 1,
        groups: int = 1,
        activation: str | None = None,
        layout: str = "channels_first",
        algorithm: str | None = None,
        padding_mode: str = "zeros",
        acc_dtype: npt.DTypeLike | None = None,
    ) -> None:
        w = plain_array("weight", weight)
        self._rank = rank = w.ndim - 2
        if not 1 <= rank <= MOST_AXES:
            raise ShapeError(
                "weight: expected (C_out, C_in // groups, *kernel) with 1 to 3 kernel sizes, "
                f"got shape {w.shape}"
            )
        self._place = (
            parameters.integers("stride", stride, rank),
            parameters.padding_form("padding", padding, rank),
            parameters.integers("dilation", dilation, rank),
            parameters.integer("groups", groups),
        )
        self._activation = activations.checked(activation)
        self._layout = parameters.layout(layout)
        self._algorithm = algorithm
        self._padding_mode = parameters.padding_mode(padding_mode)
        self._acc_dtype = acc_dtype
        given = {"weight": w} if bias is None else {"weight": w, "bias": bias}
        arrays = list(promoted(**given))
        self._check(arrays)
        # copies, so that what the caller changes later does not matter
        own = [np.array(array, order="C") for array in arrays]
        self._own = (own[0], own[1] if len(own) > 1 else None)
        self._packed: dict[tuple[Any, ...], Packed] = {}
        self._ready: dict[tuple[tuple[int, ...], np.dtype[Any], Settings], _Ready] = {}
        self._said = (stride, padding, dilation, groups)
        self.weight = _read_only(own[0])
        self.bias = None if self._own[1] is None else _read_only(self._own[1])

    def __call__(self, input: npt.ArrayLike, *, out: Array | None = None) -> Array:
        """Convolve an input.

        Parameters
        ----------
        input : array_like
            `(N, C_in, *sizes)` or `(C_in, *sizes)`.
        out : numpy.ndarray, optional
            An array for the result, as `conv2d` takes it.

        Returns
        -------
        numpy.ndarray
            As `conv2d` with the same parameters.

        Raises
        ------
        ShapeError, DtypeError, ParameterError
            If the input does not fit the weight, or `out` the result.
        PlanError
            If the algorithm that the settings ask for refuses.
        """
        x: Any = input
        ready = None
        if type(x) is np.ndarray:
            ready = self._ready.get((x.shape, x.dtype, current_settings()))
        if ready is None:
            x, ready = self._made_ready(input)
        if out is not None:
            return self._into(out, ready, x)
        y = memory.empty(ready.output_shape, ready.dtype)
        if ready.batched:
            ready.solve(x, y)
            return y
        ready.solve(x.reshape(ready.input_shape), y)
        return like_input(y, x.shape, self._rank)

    def __repr__(self) -> str:
        names = ("stride", "padding", "dilation", "groups")
        words = [
            f"{name}={value!r}"
            for name, value, default in zip(names, self._said, (1, 0, 1, 1), strict=True)
            if value != default
        ]
        if self.bias is not None:
            words.insert(0, "bias")
        if self._activation is not None:
            words.append(f"activation={self._activation!r}")
        if self._layout != "channels_first":
            words.append(f"layout={self._layout!r}")
        if self._padding_mode != "zeros":
            words.append(f"padding_mode={self._padding_mode!r}")
        if self._acc_dtype is not None:
            words.append(f"acc_dtype={np.dtype(self._acc_dtype).name!r}")
        if self._algorithm is not None:
            words.append(f"algorithm={self._algorithm!r}")
        shape = "x".join(map(str, self.weight.shape))
        return f"PreparedConv({', '.join([f'{shape} {self.weight.dtype}', *words])})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made from; what it has packed is packed again."""
        return type(self), (
            *(*self._own, *self._said),
            *(self._activation, self._layout, self._algorithm),
            *(self._padding_mode, self._acc_dtype),
        )

    def _check(self, own: list[Array]) -> None:
        """Raise what a call would, on the smallest input that the weight fits."""
        weight = own[0].shape
        stride, padding, dilation, groups = self._place
        extents = (
            (kernel - 1) * step + 1 for kernel, step in zip(weight[2:], dilation, strict=True)
        )
        smallest = (1, weight[1] * groups, *extents)
        geometry = conv_geometry(smallest, weight, stride, padding, dilation, groups)
        if self._activation is not None:
            activations.check_dtype(self._activation, own[0].dtype)
        if self._acc_dtype is not None:
            accumulator(own[0].dtype, self._acc_dtype)
        if len(own) > 1:
            channels = (geometry.out_channels,)
            check_shape("bias", own[1].shape, channels, "to match the weight's output channels")

    def _made_ready(self, input: npt.ArrayLike) -> tuple[Array, _Ready]:
        """Return the input as a plain array of the right dtype, and the call that takes it."""
        x, _ = promoted(input=input, weight=self._own[0])
        key = (x.shape, x.dtype, current_settings())
        ready = self._ready.get(key)
        if ready is not None:
            return x, ready
        problem = conv_problem(
            *("forward", self._rank, x.shape, self._own[0].shape, *self._place),
            *(x.dtype, self._activation, self._layout, self._padding_mode, self._acc_dtype),
        )
        with _packing:
            ready = self._ready.get(key)
            if ready is None:
                ready = self._new(problem, batched=x.ndim == self._rank + 2)
                if len(self._ready) == MOST_SHAPES:
                    del self._ready[next(iter(self._ready))]
                self._ready[key] = ready
        return x, ready

    def _new(self, problem: Problem, batched: bool) -> _Ready:
        if self._algorithm is None:
            plan = plan_for(problem)
        else:
            with settings(algorithm=self._algorithm):
                plan = plan_for(problem)
        w, b = (
            None if array is None else array.astype(problem.dtype, copy=False)
            for array in self._own
        )
        weight: Any = w
        pack = getattr(plan.chosen, "pack", None)
        if pack is not None:
            packed = pack(problem.on_padded, w, b)
            # one for all problems that read the same packing
            weight = self._packed.setdefault((plan.algorithm, *packed.key), packed)
        solve = plan.bind(weight, b)
        return _Ready(solve, problem.x_shape, plan.output_shape, problem.result_dtype, batched)

    def _into(self, out: Array, ready: _Ready, x: Array) -> Array:
        batch = x.reshape(ready.input_shape)
        return write_out(
            *(out, ready.output_shape, ready.dtype, lambda y: ready.solve(batch, y)), input=x
        )


def prepare_conv(
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    activation: str | None = None,
    layout: str = "channels_first",
    padding_mode: str = "zeros",
    acc_dtype: npt.DTypeLike | None = None,
) -> PreparedConv:
    """Return a convolution by a weight that stays the same, to be called with many inputs.

    The first call packs the weight for the algorithm that is planned; later calls only compute.

    Parameters
    ----------
    weight : array_like
        `(C_out, C_in // groups, *kernel)`, of any dtype; it tells 1-D, 2-D or 3-D. Copied.
    bias : array_like, optional
        `(C_out,)`. Copied.
    stride, padding, dilation, groups, activation, layout, padding_mode, acc_dtype
        As for `conv2d`.

    Returns
    -------
    PreparedConv
        A callable `(input, *, out=None)`, safe to use from many threads.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> layer = F.prepare_conv(np.ones((1, 1, 3)), np.array([0.5]), padding="same")
    >>> layer(np.array([[[1.0, 2.0, 4.0]]]))
    array([[[3.5, 7.5, 6.5]]])
    """
    place = (stride, padding, dilation, groups)
    return PreparedConv(weight, bias, *place, activation, layout, None, padding_mode, acc_dtype)


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
