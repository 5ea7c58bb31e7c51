"""`prepare_conv`: a convolution whose weights are packed once and used by many calls."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array
from fastconv.geometry import conv_geometry
from fastconv.ops.conv_problem import conv_problem
from fastconv.ops.prepared_call import PreparedCall, changed
from fastconv.parameters import IntOrInts, Ints, PaddingLike
from fastconv.problem import Problem


class PreparedConv(PreparedCall):
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

    WEIGHT = "(C_out, C_in // groups, *kernel)"

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
        self._padding_mode = parameters.padding_mode(padding_mode)
        self._said = (stride, padding, dilation, groups)
        super().__init__(weight, bias, *self._said, activation, layout, algorithm, acc_dtype)

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
        return self._call(input, None, out)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made from; what it has packed is packed again."""
        return type(self), (
            *(*self._own, *self._said),
            *(self._activation, self._layout, self._algorithm),
            *(self._padding_mode, self._acc_dtype),
        )

    def _words(self) -> list[str]:
        names = ("stride", "padding", "dilation", "groups", "padding_mode")
        return changed(names, (*self._said, self._padding_mode), (1, 0, 1, 1, "zeros"))

    def _output_channels(self, weight: Ints) -> int:
        """Return the channels of the output, if the smallest input that the weight fits has one."""
        extents = (
            (kernel - 1) * step + 1 for kernel, step in zip(weight[2:], self._dilation, strict=True)
        )
        smallest = (1, weight[1] * self._groups, *extents)
        place = (self._stride, self._padding, self._dilation, self._groups)
        return conv_geometry(smallest, weight, *place).out_channels

    def _problem(self, shape: Ints, dtype: np.dtype[Any], output_size: Ints | None) -> Problem:
        place = (self._stride, self._padding, self._dilation, self._groups)
        return conv_problem(
            *("forward", self._rank, shape, self._own[0].shape, *place, dtype),
            *(self._activation, self._layout, self._padding_mode, self._acc_dtype),
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
