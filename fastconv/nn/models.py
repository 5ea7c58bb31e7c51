"""Small models, ready to be trained."""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fastconv.errors import ParameterError
from fastconv.nn.activation import ReLU
from fastconv.nn.container import Residual, Sequential
from fastconv.nn.conv import Conv2d
from fastconv.nn.initialisers import kaiming_normal
from fastconv.nn.layer import Layer, Seed
from fastconv.nn.linear import Flatten, Linear
from fastconv.nn.norm import BatchNorm2d
from fastconv.nn.pool import AdaptiveAvgPool2d, AvgPool2d


class LeNet5(Sequential):
    """LeNet-5 (LeCun et al. 1998) for images `(N, channels, 32, 32)`, with tanh and mean pools.

    Convolutions to 6, 16 and 120 channels of 5x5, linear layers to 84 and to the classes.

    Parameters
    ----------
    classes : int
        Outputs.
    channels : int
        Of the images.
    dtype : dtype
        Of the parameters.
    rng : int or numpy.random.Generator, optional
        Draws them.

    Examples
    --------
    >>> from fastconv import nn
    >>> nn.LeNet5()(np.zeros((2, 1, 32, 32), np.float32)).shape
    (2, 10)
    """

    def __init__(
        self,
        classes: int = 10,
        channels: int = 1,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        rng = np.random.default_rng(rng)
        super().__init__(
            {
                "conv1": Conv2d(channels, 6, 5, activation="tanh", dtype=dtype, rng=rng),
                "pool1": AvgPool2d(2),
                "conv2": Conv2d(6, 16, 5, activation="tanh", dtype=dtype, rng=rng),
                "pool2": AvgPool2d(2),
                "conv3": Conv2d(16, 120, 5, activation="tanh", dtype=dtype, rng=rng),
                "flatten": Flatten(),
                "fc1": Linear(120, 84, activation="tanh", dtype=dtype, rng=rng),
                "fc2": Linear(84, classes, dtype=dtype, rng=rng),
            }
        )


class SmallResNet(Sequential):
    """A residual network (He et al. 2015) for small images: a stem, stages of blocks, a mean.

    Parameters
    ----------
    classes : int
        Outputs.
    channels : int
        Of the images.
    widths : sequence of int
        Channels of each stage; all but the first halve height and width.
    blocks : int
        Blocks of two 3x3 convolutions in each stage.
    dtype : dtype
        Of the parameters.
    rng : int or numpy.random.Generator, optional
        Draws them.

    Examples
    --------
    >>> from fastconv import nn
    >>> nn.SmallResNet()(np.zeros((2, 3, 16, 16), np.float32)).shape
    (2, 10)
    """

    def __init__(
        self,
        classes: int = 10,
        channels: int = 3,
        widths: Sequence[int] = (16, 32, 64),
        blocks: int = 1,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        rng = np.random.default_rng(rng)
        stages: dict[str, Layer] = {"stem": _conv_norm(channels, widths[0], 3, 1, dtype, rng, True)}
        before = widths[0]
        for stage, width in enumerate(widths, 1):
            for block in range(blocks):
                stride = 2 if stage > 1 and block == 0 else 1
                stages[f"stage{stage}_{block}"] = _block(before, width, stride, dtype, rng)
                before = width
        stages |= {"pool": AdaptiveAvgPool2d(1), "flatten": Flatten()}
        stages["fc"] = Linear(before, classes, dtype=dtype, rng=rng)
        super().__init__(stages)


class MLP(Sequential):
    """Linear layers, one after the other, over flattened input.

    Parameters
    ----------
    sizes : sequence of int
        Elements of an input, of every hidden layer, and of the output.
    activation : str
        After all layers but the last.
    dtype : dtype
        Of the parameters.
    rng : int or numpy.random.Generator, optional
        Draws them.

    Raises
    ------
    ParameterError
        If there are fewer than two sizes.

    Examples
    --------
    >>> from fastconv import nn
    >>> nn.MLP([64, 32, 10])(np.zeros((2, 1, 8, 8), np.float32)).shape
    (2, 10)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "relu",
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: Seed = None,
    ) -> None:
        if len(sizes) < 2:
            raise ParameterError(f"sizes: expected two or more, got {list(sizes)}")
        rng = np.random.default_rng(rng)
        layers: dict[str, Layer] = {"flatten": Flatten()}
        for number, (before, after) in enumerate(itertools.pairwise(sizes), 1):
            last = number == len(sizes) - 1
            layers[f"fc{number}"] = Linear(
                before, after, activation=None if last else activation, dtype=dtype, rng=rng
            )
        super().__init__(layers)


def _conv_norm(
    before: int,
    width: int,
    kernel: int,
    stride: int,
    dtype: npt.DTypeLike,
    rng: np.random.Generator,
    relu: bool = False,
) -> Sequential:
    conv = Conv2d(
        *(before, width, kernel, stride, kernel // 2),
        bias=False,
        dtype=dtype,
        rng=rng,
        initialiser=kaiming_normal,
    )
    layers: dict[str, Layer] = {"conv": conv, "norm": BatchNorm2d(width, dtype=dtype)}
    if relu:
        layers["relu"] = ReLU()
    return Sequential(layers)


def _block(
    before: int, width: int, stride: int, dtype: npt.DTypeLike, rng: np.random.Generator
) -> Residual:
    body = Sequential(
        _conv_norm(before, width, 3, stride, dtype, rng, True),
        _conv_norm(width, width, 3, 1, dtype, rng),
    )
    shortcut = None
    if stride > 1 or before != width:
        shortcut = _conv_norm(before, width, 1, stride, dtype, rng)
    return Residual(body, shortcut, activation="relu")
