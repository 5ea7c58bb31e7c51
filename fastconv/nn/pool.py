"""Pools as layers, with the parameters of `torch.nn`."""

from fastconv.dtypes import Array
from fastconv.nn.layer import Layer
from fastconv.ops.adaptive_pool import adaptive_avg_pool2d, adaptive_avg_pool2d_backward
from fastconv.ops.avg_pool import avg_pool2d, avg_pool2d_backward
from fastconv.ops.max_pool import max_pool2d, max_pool2d_backward
from fastconv.parameters import IntOrInts, PaddingLike


class MaxPool2d(Layer):
    """The maximum of every window of `(N, C, H, W)`.

    Parameters
    ----------
    kernel_size, stride, padding, dilation, ceil_mode
        As for `max_pool2d`.
    """

    def __init__(
        self,
        kernel_size: IntOrInts,
        stride: IntOrInts | None = None,
        padding: PaddingLike = 0,
        dilation: IntOrInts = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.place = (kernel_size, stride, padding, dilation, ceil_mode)

    def forward(self, x: Array) -> Array:
        """Return the maxima."""
        if not self.training:
            return max_pool2d(x, *self.place)
        y, indices = max_pool2d(x, *self.place, return_indices=True)
        self._keep((indices, x.shape))
        return y

    def backward(self, gy: Array) -> Array:
        """Give every gradient to where the maximum was."""
        indices, shape = self._recall()
        return max_pool2d_backward(gy, indices, shape)

    def __repr__(self) -> str:
        return f"MaxPool2d({self.place[0]})"


class AvgPool2d(Layer):
    """The mean of every window of `(N, C, H, W)`.

    Parameters
    ----------
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        As for `avg_pool2d`.
    """

    def __init__(
        self,
        kernel_size: IntOrInts,
        stride: IntOrInts | None = None,
        padding: PaddingLike = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.place = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)

    def forward(self, x: Array) -> Array:
        """Return the means."""
        self._keep(x.shape)
        return avg_pool2d(x, *self.place)

    def backward(self, gy: Array) -> Array:
        """Spread every gradient over its window."""
        return avg_pool2d_backward(gy, self._recall(), *self.place)

    def __repr__(self) -> str:
        return f"AvgPool2d({self.place[0]})"


class AdaptiveAvgPool2d(Layer):
    """The means of `(N, C, H, W)` over as many windows as asked for.

    Parameters
    ----------
    output_size : int or tuple
        As for `adaptive_avg_pool2d`; 1 is the mean of each plane.
    """

    def __init__(self, output_size: int | tuple[int | None, ...]) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Array) -> Array:
        """Return the means."""
        self._keep(x.shape)
        return adaptive_avg_pool2d(x, self.output_size)

    def backward(self, gy: Array) -> Array:
        """Spread every gradient over its window."""
        return adaptive_avg_pool2d_backward(gy, self._recall())

    def __repr__(self) -> str:
        return f"AdaptiveAvgPool2d({self.output_size})"
