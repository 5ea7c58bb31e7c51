"""What prepared calls have in common: weights packed once, and all settled but the data."""

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import activations, memory, parameters
from fastconv.algorithms import Packed
from fastconv.dtypes import Array, accumulator, plain_array, promoted
from fastconv.errors import ShapeError
from fastconv.ops.call import check_shape, like_input
from fastconv.ops.out import write_out
from fastconv.parameters import IntOrInts, Ints, PaddingLike
from fastconv.plan import current_settings, plan_for, settings
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
    input_shape: Ints
    output_shape: Ints
    dtype: np.dtype[Any]
    batched: bool


class PreparedCall(ABC):
    """Own copies of a weight and a bias, what was packed of them, and calls that are ready."""

    WEIGHT: str
    """The shape of a weight, as errors spell it."""

    def __init__(
        self,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None,
        stride: IntOrInts,
        padding: PaddingLike,
        dilation: IntOrInts,
        groups: int,
        activation: str | None,
        layout: str,
        algorithm: str | None,
        acc_dtype: npt.DTypeLike | None,
    ) -> None:
        w = plain_array("weight", weight)
        self._rank = rank = w.ndim - 2
        if not 1 <= rank <= MOST_AXES:
            raise ShapeError(
                f"weight: expected {self.WEIGHT} with 1 to 3 kernel sizes, got shape {w.shape}"
            )
        self._stride = parameters.integers("stride", stride, rank)
        self._padding = parameters.padding_form("padding", padding, rank)
        self._dilation = parameters.integers("dilation", dilation, rank)
        self._groups = parameters.integer("groups", groups)
        self._activation = activations.checked(activation)
        self._layout = parameters.layout(layout)
        self._algorithm = algorithm
        self._acc_dtype = acc_dtype
        given = {"weight": w} if bias is None else {"weight": w, "bias": bias}
        arrays = promoted(**given)
        self._check(arrays[0], arrays[1] if len(arrays) > 1 else None)
        # copies, so that what the caller changes later does not matter
        own = [np.array(array, order="C") for array in arrays]
        self._own = (own[0], own[1] if len(own) > 1 else None)
        self._packed: dict[tuple[Any, ...], Packed] = {}
        self._ready: dict[tuple[Any, ...], _Ready] = {}
        self.weight = _read_only(own[0])
        self.bias = None if self._own[1] is None else _read_only(self._own[1])

    @abstractmethod
    def _output_channels(self, weight: Ints) -> int:
        """Return the channels of the output; raise what a call would on any input."""

    @abstractmethod
    def _problem(self, shape: Ints, dtype: np.dtype[Any], output_size: Ints | None) -> Problem:
        """Return the problem of a call, of an input of a shape in the order of the layout."""

    @abstractmethod
    def _words(self) -> list[str]:
        """Return the parameters that are not the defaults, as calls spell them."""

    def __repr__(self) -> str:
        words = self._words()
        if self.bias is not None:
            words.insert(0, "bias")
        if self._activation is not None:
            words.append(f"activation={self._activation!r}")
        if self._layout != "channels_first":
            words.append(f"layout={self._layout!r}")
        if self._acc_dtype is not None:
            words.append(f"acc_dtype={np.dtype(self._acc_dtype).name!r}")
        if self._algorithm is not None:
            words.append(f"algorithm={self._algorithm!r}")
        shape = "x".join(map(str, self.weight.shape))
        return f"{type(self).__name__}({', '.join([f'{shape} {self.weight.dtype}', *words])})"

    def _check(self, weight: Array, bias: Array | None) -> None:
        """Raise what a call would, whatever its input."""
        channels = self._output_channels(weight.shape)
        if self._activation is not None:
            activations.check_dtype(self._activation, weight.dtype)
        if self._acc_dtype is not None:
            accumulator(weight.dtype, self._acc_dtype)
        if bias is not None:
            why = "to match the weight's output channels"
            check_shape("bias", bias.shape, (channels,), why)

    def _call(self, input: npt.ArrayLike, output_size: Ints | None, out: Array | None) -> Array:
        """Compute an input's result."""
        x: Any = input
        ready = None
        if type(x) is np.ndarray:
            ready = self._ready.get((x.shape, x.dtype, output_size, current_settings()))
        if ready is None:
            x, ready = self._made_ready(input, output_size)
        if out is not None:
            return self._into(out, ready, x)
        y = memory.empty(ready.output_shape, ready.dtype)
        if ready.batched:
            ready.solve(x, y)
            return y
        ready.solve(x.reshape(ready.input_shape), y)
        return like_input(y, x.shape, self._rank)

    def _made_ready(self, input: npt.ArrayLike, output_size: Ints | None) -> tuple[Array, _Ready]:
        """Return the input as a plain array of the right dtype, and the call that takes it."""
        x, _ = promoted(input=input, weight=self._own[0])
        key = (x.shape, x.dtype, output_size, current_settings())
        ready = self._ready.get(key)
        if ready is not None:
            return x, ready
        problem = self._problem(x.shape, x.dtype, output_size)
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
            plan = plan_for(problem, packed=True)
        else:
            with settings(algorithm=self._algorithm):
                plan = plan_for(problem, packed=True)
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
        forward = problem.direction == "forward"
        shape = problem.x_shape if forward else problem.y_shape
        return _Ready(solve, shape, plan.output_shape, problem.result_dtype, batched)

    def _into(self, out: Array, ready: _Ready, x: Array) -> Array:
        batch = x.reshape(ready.input_shape)
        return write_out(
            *(out, ready.output_shape, ready.dtype, lambda y: ready.solve(batch, y)), input=x
        )


def changed(
    names: tuple[str, ...], values: tuple[Any, ...], defaults: tuple[Any, ...]
) -> list[str]:
    """Return the parameters that are not the defaults, as calls spell them."""
    triples = zip(names, values, defaults, strict=True)
    return [f"{name}={value!r}" for name, value, default in triples if value != default]


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
