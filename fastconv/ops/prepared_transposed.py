"""`prepare_conv_transpose`: a transposed convolution whose weights are packed once."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv.dtypes import Array
from fastconv.ops.prepared_call import PreparedCall, changed
from fastconv.ops.transposed_problem import spatial_sizes, transposed_problem
from fastconv.parameters import IntOrInts, Ints, PaddingLike
from fastconv.problem import Problem


class PreparedConvTranspose(PreparedCall):
    """What `prepare_conv_transpose` returns: call it with an input.

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
    >>> up = F.prepare_conv_transpose(np.ones((8, 4, 2, 2), np.float32), stride=2)
    >>> up
    PreparedConvTranspose(8x4x2x2 float32, stride=2)
    >>> up(np.ones((2, 8, 9, 9), np.float32)).shape
    (2, 4, 18, 18)
    """

    WEIGHT = "(C_in, C_out // groups, *kernel)"

    def __init__(
        self,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike | None = None,
        stride: IntOrInts = 1,
        padding: PaddingLike = 0,
        output_padding: IntOrInts = 0,
        groups: int = 1,
        dilation: IntOrInts = 1,
        activation: str | None = None,
        layout: str = "channels_first",
        algorithm: str | None = None,
        acc_dtype: npt.DTypeLike | None = None,
    ) -> None:
        self._said = (stride, padding, output_padding, groups, dilation)
        self._output_padding = output_padding
        super().__init__(
            *(weight, bias, stride, padding, dilation, groups),
            *(activation, layout, algorithm, acc_dtype),
        )

    def __call__(
        self,
        input: npt.ArrayLike,
        *,
        output_size: IntOrInts | None = None,
        out: Array | None = None,
    ) -> Array:
        """Convolve an input transposed.

        Parameters
        ----------
        input : array_like
            `(N, C_in, *sizes)` or `(C_in, *sizes)`.
        output_size : int or tuple of int, optional
            Spatial sizes of the output, as `conv_transpose2d` takes them.
        out : numpy.ndarray, optional
            An array for the result, as `conv_transpose2d` takes it.

        Returns
        -------
        numpy.ndarray
            As `conv_transpose2d` with the same parameters.

        Raises
        ------
        ShapeError, DtypeError, ParameterError
            If the input does not fit the weight, `output_size` the input, or `out` the result.
        PlanError
            If the algorithm that the settings ask for refuses.
        """
        size = spatial_sizes(output_size, self._rank, self._layout)
        return self._call(input, size or None, out)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it was made from; what it has packed is packed again."""
        return type(self), (
            *(*self._own, *self._said),
            *(self._activation, self._layout, self._algorithm, self._acc_dtype),
        )

    def _words(self) -> list[str]:
        names = ("stride", "padding", "output_padding", "groups", "dilation")
        return changed(names, self._said, (1, 0, 0, 1, 1))

    def _output_channels(self, weight: Ints) -> int:
        """Return the channels of the output, if an input from which some is left has one."""
        cut = 0
        if not isinstance(self._padding, str):
            cut = max(0, *(sum(pair) for pair in self._padding))
        shape = (1, weight[0], *(1 + cut,) * self._rank)
        if self._layout == "channels_last":
            shape = (1, *shape[2:], weight[0])
        return self._of(shape, weight, np.dtype(np.float32), None).conv.channels

    def _problem(self, shape: Ints, dtype: np.dtype[Any], output_size: Ints | None) -> Problem:
        return self._of(shape, self._own[0].shape, dtype, output_size)

    def _of(
        self, shape: Ints, weight: Ints, dtype: np.dtype[Any], output_size: Ints | None
    ) -> Problem:
        return transposed_problem(
            *("input_gradient", self._rank, shape, weight, self._stride, self._padding),
            *(self._output_padding, self._groups, self._dilation, output_size, dtype),
            activation=self._activation,
            layout=self._layout,
            acc_dtype=self._acc_dtype,
        )


def prepare_conv_transpose(
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    stride: IntOrInts = 1,
    padding: PaddingLike = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
    *,
    activation: str | None = None,
    layout: str = "channels_first",
    acc_dtype: npt.DTypeLike | None = None,
) -> PreparedConvTranspose:
    """Return a transposed convolution by a weight that stays the same, for many inputs.

    The first call packs the weight for the algorithm that is planned; later calls only compute.

    Parameters
    ----------
    weight : array_like
        `(C_in, C_out // groups, *kernel)`, of any dtype; it tells 1-D, 2-D or 3-D. Copied.
    bias : array_like, optional
        `(C_out,)`. Copied.
    stride, padding, output_padding, groups, dilation, activation, layout, acc_dtype
        As for `conv_transpose2d`.

    Returns
    -------
    PreparedConvTranspose
        A callable `(input, *, output_size=None, out=None)`, safe to use from many threads.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        If the arguments do not fit each other or make no sense.

    Notes
    -----
    As a weight is packed only once, Winograd's transforms of it cost nothing more: results may
    differ from those of `conv_transpose2d` by rounding.

    Examples
    --------
    >>> import fastconv as F, numpy as np
    >>> up = F.prepare_conv_transpose(np.array([[[1.0, 10.0, 100.0]]]), stride=2)
    >>> up(np.array([[[1.0, 2.0]]]))
    array([[[  1.,  10., 102.,  20., 200.]]])
    >>> up(np.array([[[1.0, 2.0]]]), output_size=6)
    array([[[  1.,  10., 102.,  20., 200.,   0.]]])
    """
    place = (stride, padding, output_padding, groups, dilation)
    return PreparedConvTranspose(weight, bias, *place, activation, layout, None, acc_dtype)
