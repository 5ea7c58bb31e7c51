"""Every operation again, computed by the naive Numba loops: `import fastconv.reference as F`.

Same names, same parameters, same results; slow, and short enough to be read as the definition
(`fastconv/kernels/naive.py`).

>>> import fastconv.reference as F, numpy as np
>>> F.conv1d(np.array([[[1.0, 2.0, 4.0]]]), np.array([[[1.0, -1.0]]]))
array([[[-1., -2.]]])
"""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from fastconv.dtypes import Array
from fastconv.ops import (
    adaptive_pool,
    avg_pool,
    bias_gradient,
    columns,
    conv,
    conv_gradients,
    deform,
    fractional_pool,
    global_pool,
    local,
    lp_pool,
    max_pool,
    max_unpool,
    median_pool,
    min_pool,
    quantile_pool,
    separable,
    streaming,
    time_first,
    transposed,
    with_indices,
)
from fastconv.ops import affine as of_channels
from fastconv.ops import batch_norm as of_batches
from fastconv.ops import softmax as of_lines
from fastconv.ops.prepared import PreparedConv
from fastconv.ops.prepared_transposed import PreparedConvTranspose
from fastconv.parameters import IntOrInts, PaddingLike
from fastconv.plan import settings

P = ParamSpec("P")
R = TypeVar("R")


def _naive(operation: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(operation)
    def on_naive_loops(*args: P.args, **kwargs: P.kwargs) -> R:
        chosen = kwargs.pop("algorithm", None)  # of another's name only the spelling is checked
        with settings(algorithm=chosen), settings(algorithm="naive"):
            return operation(*args, **kwargs)

    return on_naive_loops


im2col = _naive(columns.im2col)
col2im = _naive(columns.col2im)
unfold = _naive(columns.unfold)
fold = _naive(columns.fold)
conv1d = _naive(conv.conv1d)
conv2d = _naive(conv.conv2d)
conv3d = _naive(conv.conv3d)
conv1d_input = _naive(conv_gradients.conv1d_input)
conv2d_input = _naive(conv_gradients.conv2d_input)
conv3d_input = _naive(conv_gradients.conv3d_input)
conv1d_weight = _naive(conv_gradients.conv1d_weight)
conv2d_weight = _naive(conv_gradients.conv2d_weight)
conv3d_weight = _naive(conv_gradients.conv3d_weight)
conv1d_bias = _naive(bias_gradient.conv1d_bias)
conv2d_bias = _naive(bias_gradient.conv2d_bias)
conv3d_bias = _naive(bias_gradient.conv3d_bias)
separable_conv1d = _naive(separable.separable_conv1d)
separable_conv2d = _naive(separable.separable_conv2d)
separable_conv3d = _naive(separable.separable_conv3d)
causal_conv1d = _naive(streaming.causal_conv1d)
conv_tbc = _naive(time_first.conv_tbc)
conv_transpose1d = _naive(transposed.conv_transpose1d)
conv_transpose2d = _naive(transposed.conv_transpose2d)
conv_transpose3d = _naive(transposed.conv_transpose3d)
conv_transpose1d_input = _naive(transposed.conv_transpose1d_input)
conv_transpose2d_input = _naive(transposed.conv_transpose2d_input)
conv_transpose3d_input = _naive(transposed.conv_transpose3d_input)
conv_transpose1d_weight = _naive(transposed.conv_transpose1d_weight)
conv_transpose2d_weight = _naive(transposed.conv_transpose2d_weight)
conv_transpose3d_weight = _naive(transposed.conv_transpose3d_weight)
max_pool1d = _naive(max_pool.max_pool1d)
max_pool2d = _naive(max_pool.max_pool2d)
max_pool3d = _naive(max_pool.max_pool3d)
max_pool1d_backward = _naive(max_pool.max_pool1d_backward)
max_pool2d_backward = _naive(max_pool.max_pool2d_backward)
max_pool3d_backward = _naive(max_pool.max_pool3d_backward)
avg_pool1d = _naive(avg_pool.avg_pool1d)
avg_pool2d = _naive(avg_pool.avg_pool2d)
avg_pool3d = _naive(avg_pool.avg_pool3d)
avg_pool1d_backward = _naive(avg_pool.avg_pool1d_backward)
avg_pool2d_backward = _naive(avg_pool.avg_pool2d_backward)
avg_pool3d_backward = _naive(avg_pool.avg_pool3d_backward)
deform_conv2d = _naive(deform.deform_conv2d)
deform_conv2d_backward = _naive(deform.deform_conv2d_backward)
local_conv1d = _naive(local.local_conv1d)
local_conv1d_input = _naive(local.local_conv1d_input)
local_conv1d_weight = _naive(local.local_conv1d_weight)
local_conv2d = _naive(local.local_conv2d)
local_conv2d_input = _naive(local.local_conv2d_input)
local_conv2d_weight = _naive(local.local_conv2d_weight)
local_conv3d = _naive(local.local_conv3d)
local_conv3d_input = _naive(local.local_conv3d_input)
local_conv3d_weight = _naive(local.local_conv3d_weight)

adaptive_avg_pool1d = _naive(adaptive_pool.adaptive_avg_pool1d)
adaptive_avg_pool1d_backward = _naive(adaptive_pool.adaptive_avg_pool1d_backward)
adaptive_avg_pool2d = _naive(adaptive_pool.adaptive_avg_pool2d)
adaptive_avg_pool2d_backward = _naive(adaptive_pool.adaptive_avg_pool2d_backward)
adaptive_avg_pool3d = _naive(adaptive_pool.adaptive_avg_pool3d)
adaptive_avg_pool3d_backward = _naive(adaptive_pool.adaptive_avg_pool3d_backward)
adaptive_max_pool1d = _naive(adaptive_pool.adaptive_max_pool1d)
adaptive_max_pool1d_backward = _naive(adaptive_pool.adaptive_max_pool1d_backward)
adaptive_max_pool2d = _naive(adaptive_pool.adaptive_max_pool2d)
adaptive_max_pool2d_backward = _naive(adaptive_pool.adaptive_max_pool2d_backward)
adaptive_max_pool3d = _naive(adaptive_pool.adaptive_max_pool3d)
adaptive_max_pool3d_backward = _naive(adaptive_pool.adaptive_max_pool3d_backward)
fractional_max_pool2d = _naive(fractional_pool.fractional_max_pool2d)
fractional_max_pool2d_backward = _naive(fractional_pool.fractional_max_pool2d_backward)
fractional_max_pool3d = _naive(fractional_pool.fractional_max_pool3d)
fractional_max_pool3d_backward = _naive(fractional_pool.fractional_max_pool3d_backward)
global_avg_pool = _naive(global_pool.global_avg_pool)
global_avg_pool_backward = _naive(global_pool.global_avg_pool_backward)
global_lp_pool = _naive(global_pool.global_lp_pool)
global_lp_pool_backward = _naive(global_pool.global_lp_pool_backward)
global_max_pool = _naive(global_pool.global_max_pool)
global_max_pool_backward = _naive(global_pool.global_max_pool_backward)
lp_pool1d = _naive(lp_pool.lp_pool1d)
lp_pool1d_backward = _naive(lp_pool.lp_pool1d_backward)
lp_pool2d = _naive(lp_pool.lp_pool2d)
lp_pool2d_backward = _naive(lp_pool.lp_pool2d_backward)
lp_pool3d = _naive(lp_pool.lp_pool3d)
lp_pool3d_backward = _naive(lp_pool.lp_pool3d_backward)
max_unpool1d = _naive(max_unpool.max_unpool1d)
max_unpool1d_backward = _naive(max_unpool.max_unpool1d_backward)
max_unpool2d = _naive(max_unpool.max_unpool2d)
max_unpool2d_backward = _naive(max_unpool.max_unpool2d_backward)
max_unpool3d = _naive(max_unpool.max_unpool3d)
max_unpool3d_backward = _naive(max_unpool.max_unpool3d_backward)
min_pool1d = _naive(min_pool.min_pool1d)
min_pool1d_backward = _naive(min_pool.min_pool1d_backward)
min_pool2d = _naive(min_pool.min_pool2d)
min_pool2d_backward = _naive(min_pool.min_pool2d_backward)
min_pool3d = _naive(min_pool.min_pool3d)
min_pool3d_backward = _naive(min_pool.min_pool3d_backward)
median_pool1d = _naive(median_pool.median_pool1d)
median_pool1d_backward = _naive(median_pool.median_pool1d_backward)
median_pool2d = _naive(median_pool.median_pool2d)
median_pool2d_backward = _naive(median_pool.median_pool2d_backward)
median_pool3d = _naive(median_pool.median_pool3d)
median_pool3d_backward = _naive(median_pool.median_pool3d_backward)
quantile_pool1d = _naive(quantile_pool.quantile_pool1d)
quantile_pool1d_backward = _naive(quantile_pool.quantile_pool1d_backward)
quantile_pool2d = _naive(quantile_pool.quantile_pool2d)
quantile_pool2d_backward = _naive(quantile_pool.quantile_pool2d_backward)
quantile_pool3d = _naive(quantile_pool.quantile_pool3d)
quantile_pool3d_backward = _naive(quantile_pool.quantile_pool3d_backward)
max_pool1d_with_indices = _naive(with_indices.max_pool1d_with_indices)
max_pool2d_with_indices = _naive(with_indices.max_pool2d_with_indices)
max_pool3d_with_indices = _naive(with_indices.max_pool3d_with_indices)
adaptive_max_pool1d_with_indices = _naive(with_indices.adaptive_max_pool1d_with_indices)
adaptive_max_pool2d_with_indices = _naive(with_indices.adaptive_max_pool2d_with_indices)
adaptive_max_pool3d_with_indices = _naive(with_indices.adaptive_max_pool3d_with_indices)
fractional_max_pool2d_with_indices = _naive(with_indices.fractional_max_pool2d_with_indices)
fractional_max_pool3d_with_indices = _naive(with_indices.fractional_max_pool3d_with_indices)
activation_backward = _naive(of_channels.activation_backward)
affine = _naive(of_channels.affine)
batch_norm = _naive(of_batches.batch_norm)
batch_norm_backward = _naive(of_batches.batch_norm_backward)
log_softmax = _naive(of_lines.log_softmax)
log_softmax_backward = _naive(of_lines.log_softmax_backward)
softmax = _naive(of_lines.softmax)
softmax_backward = _naive(of_lines.softmax_backward)


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
    """Return a convolution that calls the loops with the same weight each time.

    Parameters
    ----------
    weight, bias, stride, padding, dilation, groups, activation, layout, padding_mode, acc_dtype
        As for `fastconv.prepare_conv`.

    Returns
    -------
    PreparedConv
        A callable `(input, *, out=None)`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        As `fastconv.prepare_conv`.

    Examples
    --------
    >>> import fastconv.reference as F, numpy as np
    >>> F.prepare_conv(np.array([[[1.0, -1.0]]]))(np.array([[[1.0, 2.0, 4.0]]]))
    array([[[-1., -2.]]])
    """
    place = (stride, padding, dilation, groups)
    return PreparedConv(weight, bias, *place, activation, layout, "naive", padding_mode, acc_dtype)


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
    """Return a transposed convolution that calls the loops with the same weight each time.

    Parameters
    ----------
    weight, bias, stride, padding, output_padding, groups, dilation, activation, layout, acc_dtype
        As for `fastconv.prepare_conv_transpose`.

    Returns
    -------
    PreparedConvTranspose
        A callable `(input, *, output_size=None, out=None)`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        As `fastconv.prepare_conv_transpose`.

    Examples
    --------
    >>> import fastconv.reference as F, numpy as np
    >>> F.prepare_conv_transpose(np.array([[[1.0, -1.0]]]))(np.array([[[1.0, 2.0]]]))
    array([[[ 1.,  1., -2.]]])
    """
    place = (stride, padding, output_padding, groups, dilation)
    return PreparedConvTranspose(weight, bias, *place, activation, layout, "naive", acc_dtype)


def sliding_windows(
    input: npt.ArrayLike, kernel_size: IntOrInts, stride: IntOrInts = 1, dilation: IntOrInts = 1
) -> Array:
    """Copy every window by the loops of `im2col`, in the shape of `fastconv.sliding_windows`.

    Parameters
    ----------
    input, kernel_size, stride, dilation
        As for `fastconv.sliding_windows`; of any dtype of numbers.

    Returns
    -------
    numpy.ndarray
        Read-only copy `(N, C, *out, *kernel_size)`, or `(C, *out, *kernel_size)`.

    Raises
    ------
    ShapeError, ParameterError, DtypeError
        As `fastconv.sliding_windows`.

    Examples
    --------
    >>> import fastconv.reference as F, numpy as np
    >>> F.sliding_windows(np.zeros((1, 1, 5, 5)), 3, stride=2).shape
    (1, 1, 2, 2, 3, 3)
    """
    view = columns.sliding_windows(input, kernel_size, stride, dilation)
    given = np.asarray(input)
    flat = im2col(given, kernel_size, stride, 0, dilation)
    rank = view.ndim - given.ndim
    lead = view.ndim - 2 * rank
    out, kernel = view.shape[lead : lead + rank], view.shape[lead + rank :]
    split = flat.reshape(*view.shape[:lead], *kernel, *out)  # (N, C, *kernel, *out)
    order = (*range(lead), *range(lead + rank, lead + 2 * rank), *range(lead, lead + rank))
    windows = split.transpose(order)
    windows.flags.writeable = False
    return windows
