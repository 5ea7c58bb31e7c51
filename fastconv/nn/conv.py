"""Convolutions as layers, with the parameters of `torch.nn`."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array
from fastconv.errors import ParameterError
from fastconv.nn.initialisers import Initialiser
from fastconv.nn.layer import Seed
from fastconv.nn.weighted import Weighted
from fastconv.ops import bias_gradient, conv, conv_gradients, transposed
from fastconv.parameters import IntOrInts, PaddingLike

FORWARD = {1: conv.conv1d, 2: conv.conv2d, 3: conv.conv3d}
INPUT = {
    1: conv_gradients.conv1d_input,
    2: conv_gradients.conv2d_input,
    3: conv_gradients.conv3d_input,
}
WEIGHT = {
    1: conv_gradients.conv1d_weight,
    2: conv_gradients.conv2d_weight,
    3: conv_gradients.conv3d_weight,
}
BIAS = {
    1: bias_gradient.conv1d_bias,
    2: bias_gradient.conv2d_bias,
    3: bias_gradient.conv3d_bias,
}
TRANSPOSED = {
    1: transposed.conv_transpose1d,
    2: transposed.conv_transpose2d,
    3: transposed.conv_transpose3d,
}
TRANSPOSED_INPUT = {
    1: transposed.conv_transpose1d_input,
    2: transposed.conv_transpose2d_input,
    3: transposed.conv_transpose3d_input,
}
TRANSPOSED_WEIGHT = {
    1: transposed.conv_transpose1d_weight,
    2: transposed.conv_transpose2d_weight,
    3: transposed.conv_transpose3d_weight,
}


class _Conv(Weighted):
    """A convolution over `rank` spatial dimensions."""

    rank: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrInts,
        stride: IntOrInts = 1,
        padding: PaddingLike = 0,
        dilation: IntOrInts = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        activation: str | None = None,
        dtype: npt.DTypeLike = np.float32,
        rng: Seed = None,
        initialiser: Initialiser | None = None,
    ) -> None:
        kernel = parameters.integers("kernel_size", kernel_size, self.rank)
        self.stride = parameters.integers("stride", stride, self.rank)
        self.padding = parameters.padding_form("padding", padding, self.rank)
        self.dilation = parameters.integers("dilation", dilation, self.rank)
        self.groups = parameters.integer("groups", groups)
        self.padding_mode = parameters.padding_mode(padding_mode)
        ic, oc = _channels(in_channels, out_channels, self.groups)
        shape = (oc, ic // self.groups, *kernel)
        super().__init__(shape, oc, bias, activation, dtype, rng, initialiser)

    @property
    def _place(self) -> tuple[Any, ...]:
        return self.stride, self.padding, self.dilation, self.groups

    def _product(self, x: Array) -> Array:
        return FORWARD[self.rank](
            *(x, self.weight, self.bias, *self._place),
            activation=self.activation,
            padding_mode=self.padding_mode,
        )

    def _input_gradient(self, shape: tuple[int, ...], gy: Array) -> Array:
        return INPUT[self.rank](
            shape, self.weight, gy, *self._place, padding_mode=self.padding_mode
        )

    def _weight_gradient(self, x: Array, gy: Array) -> Array:
        return WEIGHT[self.rank](
            x, self.weight.shape, gy, *self._place, padding_mode=self.padding_mode
        )

    def _bias_gradient(self, gy: Array) -> Array:
        return BIAS[self.rank](gy)

    def _words(self) -> dict[str, Any]:
        one, none = (1,) * self.rank, ((0, 0),) * self.rank
        usual = {"stride": one, "padding": none, "dilation": one, "groups": 1}
        usual["padding_mode"] = "zeros"
        own = {name: getattr(self, name) for name in usual}
        return {k: v for k, v in own.items() if v != usual[k]} | super()._words()


class Conv1d(_Conv):
    """A convolution of `(N, C, L)`, with the parameters of `Conv2d`."""

    rank = 1


class Conv2d(_Conv):
    """A convolution of `(N, C, H, W)`.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the input `(N, in_channels, *sizes)` and of the output.
    kernel_size, stride, dilation : int or tuple of int
        In elements.
    padding : int, tuple or str
        As `conv2d` takes it.
    groups : int
        Groups of channels that are convolved apart.
    bias : bool
        Whether a number is added to every output channel.
    padding_mode : str
        "zeros", "reflect", "replicate" or "circular".
    activation : str, optional
        What is applied to the result, in the same pass: "relu", "relu6", "leaky_relu", "tanh" or
        "sigmoid".
    dtype : dtype
        Of weight and bias.
    rng : int or numpy.random.Generator, optional
        Draws them.
    initialiser : callable, optional
        `(shape, rng, dtype)` to the first weight; the bias is then 0. By default both are as
        PyTorch's.

    Attributes
    ----------
    weight : numpy.ndarray
        `(out_channels, in_channels // groups, *kernel)`.
    bias : numpy.ndarray or None
        `(out_channels,)`.

    Raises
    ------
    ParameterError
        If the parameters make no sense.
    """

    rank = 2


class Conv3d(_Conv):
    """A convolution of `(N, C, D, H, W)`, with the parameters of `Conv2d`."""

    rank = 3


class _ConvTranspose(Weighted):
    """A transposed convolution over `rank` spatial dimensions."""

    rank: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrInts,
        stride: IntOrInts = 1,
        padding: PaddingLike = 0,
        output_padding: IntOrInts = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: IntOrInts = 1,
        *,
        activation: str | None = None,
        dtype: npt.DTypeLike = np.float32,
        rng: Seed = None,
        initialiser: Initialiser | None = None,
    ) -> None:
        kernel = parameters.integers("kernel_size", kernel_size, self.rank)
        self.stride = parameters.integers("stride", stride, self.rank)
        self.padding = parameters.padding_form("padding", padding, self.rank)
        self.output_padding = parameters.integers("output_padding", output_padding, self.rank, 0)
        self.dilation = parameters.integers("dilation", dilation, self.rank)
        self.groups = parameters.integer("groups", groups)
        ic, oc = _channels(in_channels, out_channels, self.groups)
        shape = (ic, oc // self.groups, *kernel)
        super().__init__(shape, oc, bias, activation, dtype, rng, initialiser)

    @property
    def _place(self) -> tuple[Any, ...]:
        return self.stride, self.padding, self.output_padding, self.groups, self.dilation

    def _product(self, x: Array) -> Array:
        function = TRANSPOSED[self.rank]
        return function(x, self.weight, self.bias, *self._place, activation=self.activation)

    def _input_gradient(self, shape: tuple[int, ...], gy: Array) -> Array:
        return TRANSPOSED_INPUT[self.rank](shape, self.weight, gy, *self._place)

    def _weight_gradient(self, x: Array, gy: Array) -> Array:
        return TRANSPOSED_WEIGHT[self.rank](x, self.weight.shape, gy, *self._place)

    def _bias_gradient(self, gy: Array) -> Array:
        return BIAS[self.rank](gy)


class ConvTranspose1d(_ConvTranspose):
    """A transposed convolution of `(N, C, L)`, with the parameters of `ConvTranspose2d`."""

    rank = 1


class ConvTranspose2d(_ConvTranspose):
    """A transposed convolution of `(N, C, H, W)`.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the input `(N, in_channels, *sizes)` and of the output.
    kernel_size, stride, dilation : int or tuple of int
        In elements of the output.
    padding : int, tuple or str
        What is cut off the output, as `conv_transpose2d` takes it.
    output_padding : int or tuple of int
        Elements more at the end of the output.
    groups : int
        Groups of channels that are convolved apart.
    bias : bool
        Whether a number is added to every output channel.
    activation, dtype, rng, initialiser
        As for `Conv2d`.

    Attributes
    ----------
    weight : numpy.ndarray
        `(in_channels, out_channels // groups, *kernel)`.
    bias : numpy.ndarray or None
        `(out_channels,)`.

    Raises
    ------
    ParameterError
        If the parameters make no sense.
    """

    rank = 2


class ConvTranspose3d(_ConvTranspose):
    """A transposed convolution of `(N, C, D, H, W)`, with the parameters of `ConvTranspose2d`."""

    rank = 3


def _channels(in_channels: Any, out_channels: Any, groups: int) -> tuple[int, int]:
    """Return both numbers of channels, or refuse those that groups do not divide."""
    counts = []
    for name, value in (("in_channels", in_channels), ("out_channels", out_channels)):
        count = parameters.integer(name, value)
        if count % groups:
            raise ParameterError(f"{name}: expected a multiple of groups={groups}, got {count}")
        counts.append(count)
    return counts[0], counts[1]
