"""fastconv: convolution and pooling on NumPy arrays, as matrix multiplies over windows.

`import fastconv as F` has the names and parameters of `torch.nn.functional`;
`import fastconv.reference as F` computes the same by plain loops. `F.explain` says how a call is
solved. The package's rooms, in the order data passes through them:

nn          layers, losses, optimisers
dropin      the interfaces of other libraries and of tutorials
ops         the public functions
geometry    shapes in, output shapes and padding out, or an error
problem     everything a plan depends on, as one line of text
plan        settings and the choice of an algorithm
algorithms  the ways to solve a problem, one file each
lowering    moving values between inputs, windows and columns
kernels     compiled loops
"""

from fastconv.about import info
from fastconv.errors import (
    AccumulatorError,
    DtypeError,
    FastconvError,
    MissingDependencyError,
    ParameterError,
    PlanError,
    ShapeError,
    StateError,
)
from fastconv.ops.adaptive_pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool1d_backward,
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    adaptive_avg_pool3d,
    adaptive_avg_pool3d_backward,
    adaptive_max_pool1d,
    adaptive_max_pool1d_backward,
    adaptive_max_pool2d,
    adaptive_max_pool2d_backward,
    adaptive_max_pool3d,
    adaptive_max_pool3d_backward,
)
from fastconv.ops.affine import activation_backward, affine
from fastconv.ops.avg_pool import (
    avg_pool1d,
    avg_pool1d_backward,
    avg_pool2d,
    avg_pool2d_backward,
    avg_pool3d,
    avg_pool3d_backward,
)
from fastconv.ops.batch_norm import batch_norm, batch_norm_backward
from fastconv.ops.bias_gradient import conv1d_bias, conv2d_bias, conv3d_bias
from fastconv.ops.columns import col2im, fold, im2col, sliding_windows, unfold
from fastconv.ops.conv import conv1d, conv2d, conv3d
from fastconv.ops.conv_gradients import (
    conv1d_input,
    conv1d_weight,
    conv2d_input,
    conv2d_weight,
    conv3d_input,
    conv3d_weight,
)
from fastconv.ops.deform import deform_conv2d, deform_conv2d_backward
from fastconv.ops.explain import explain
from fastconv.ops.fractional_pool import (
    fractional_max_pool2d,
    fractional_max_pool2d_backward,
    fractional_max_pool3d,
    fractional_max_pool3d_backward,
)
from fastconv.ops.global_pool import (
    global_avg_pool,
    global_avg_pool_backward,
    global_lp_pool,
    global_lp_pool_backward,
    global_max_pool,
    global_max_pool_backward,
)
from fastconv.ops.local import (
    local_conv1d,
    local_conv1d_input,
    local_conv1d_weight,
    local_conv2d,
    local_conv2d_input,
    local_conv2d_weight,
    local_conv3d,
    local_conv3d_input,
    local_conv3d_weight,
)
from fastconv.ops.lp_pool import (
    lp_pool1d,
    lp_pool1d_backward,
    lp_pool2d,
    lp_pool2d_backward,
    lp_pool3d,
    lp_pool3d_backward,
)
from fastconv.ops.max_pool import (
    max_pool1d,
    max_pool1d_backward,
    max_pool2d,
    max_pool2d_backward,
    max_pool3d,
    max_pool3d_backward,
)
from fastconv.ops.max_unpool import (
    max_unpool1d,
    max_unpool1d_backward,
    max_unpool2d,
    max_unpool2d_backward,
    max_unpool3d,
    max_unpool3d_backward,
)
from fastconv.ops.median_pool import (
    median_pool1d,
    median_pool1d_backward,
    median_pool2d,
    median_pool2d_backward,
    median_pool3d,
    median_pool3d_backward,
)
from fastconv.ops.min_pool import (
    min_pool1d,
    min_pool1d_backward,
    min_pool2d,
    min_pool2d_backward,
    min_pool3d,
    min_pool3d_backward,
)
from fastconv.ops.prepared import PreparedConv, prepare_conv
from fastconv.ops.prepared_transposed import PreparedConvTranspose, prepare_conv_transpose
from fastconv.ops.quantile_pool import (
    quantile_pool1d,
    quantile_pool1d_backward,
    quantile_pool2d,
    quantile_pool2d_backward,
    quantile_pool3d,
    quantile_pool3d_backward,
)
from fastconv.ops.separable import separable_conv1d, separable_conv2d, separable_conv3d
from fastconv.ops.softmax import (
    log_softmax,
    log_softmax_backward,
    softmax,
    softmax_backward,
)
from fastconv.ops.streaming import causal_conv1d
from fastconv.ops.time_first import conv_tbc
from fastconv.ops.transposed import (
    conv_transpose1d,
    conv_transpose1d_input,
    conv_transpose1d_weight,
    conv_transpose2d,
    conv_transpose2d_input,
    conv_transpose2d_weight,
    conv_transpose3d,
    conv_transpose3d_input,
    conv_transpose3d_weight,
)
from fastconv.ops.tune import forget_tuned, tune
from fastconv.ops.with_indices import (
    adaptive_max_pool1d_with_indices,
    adaptive_max_pool2d_with_indices,
    adaptive_max_pool3d_with_indices,
    fractional_max_pool2d_with_indices,
    fractional_max_pool3d_with_indices,
    max_pool1d_with_indices,
    max_pool2d_with_indices,
    max_pool3d_with_indices,
)
from fastconv.plan import Plan, configure, settings
from fastconv.problem import Problem

__version__ = "0.1.0"

__all__ = [
    "AccumulatorError",
    "DtypeError",
    "FastconvError",
    "MissingDependencyError",
    "ParameterError",
    "Plan",
    "PlanError",
    "PreparedConv",
    "PreparedConvTranspose",
    "Problem",
    "ShapeError",
    "StateError",
    "activation_backward",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool1d_backward",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool3d",
    "adaptive_avg_pool3d_backward",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_backward",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_backward",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_backward",
    "adaptive_max_pool3d_with_indices",
    "affine",
    "avg_pool1d",
    "avg_pool1d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "avg_pool3d",
    "avg_pool3d_backward",
    "batch_norm",
    "batch_norm_backward",
    "causal_conv1d",
    "col2im",
    "configure",
    "conv1d",
    "conv1d_bias",
    "conv1d_input",
    "conv1d_weight",
    "conv2d",
    "conv2d_bias",
    "conv2d_input",
    "conv2d_weight",
    "conv3d",
    "conv3d_bias",
    "conv3d_input",
    "conv3d_weight",
    "conv_tbc",
    "conv_transpose1d",
    "conv_transpose1d_input",
    "conv_transpose1d_weight",
    "conv_transpose2d",
    "conv_transpose2d_input",
    "conv_transpose2d_weight",
    "conv_transpose3d",
    "conv_transpose3d_input",
    "conv_transpose3d_weight",
    "deform_conv2d",
    "deform_conv2d_backward",
    "explain",
    "fold",
    "forget_tuned",
    "fractional_max_pool2d",
    "fractional_max_pool2d_backward",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_backward",
    "fractional_max_pool3d_with_indices",
    "global_avg_pool",
    "global_avg_pool_backward",
    "global_lp_pool",
    "global_lp_pool_backward",
    "global_max_pool",
    "global_max_pool_backward",
    "im2col",
    "info",
    "local_conv1d",
    "local_conv1d_input",
    "local_conv1d_weight",
    "local_conv2d",
    "local_conv2d_input",
    "local_conv2d_weight",
    "local_conv3d",
    "local_conv3d_input",
    "local_conv3d_weight",
    "log_softmax",
    "log_softmax_backward",
    "lp_pool1d",
    "lp_pool1d_backward",
    "lp_pool2d",
    "lp_pool2d_backward",
    "lp_pool3d",
    "lp_pool3d_backward",
    "max_pool1d",
    "max_pool1d_backward",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_backward",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool1d_backward",
    "max_unpool2d",
    "max_unpool2d_backward",
    "max_unpool3d",
    "max_unpool3d_backward",
    "median_pool1d",
    "median_pool1d_backward",
    "median_pool2d",
    "median_pool2d_backward",
    "median_pool3d",
    "median_pool3d_backward",
    "min_pool1d",
    "min_pool1d_backward",
    "min_pool2d",
    "min_pool2d_backward",
    "min_pool3d",
    "min_pool3d_backward",
    "prepare_conv",
    "prepare_conv_transpose",
    "quantile_pool1d",
    "quantile_pool1d_backward",
    "quantile_pool2d",
    "quantile_pool2d_backward",
    "quantile_pool3d",
    "quantile_pool3d_backward",
    "separable_conv1d",
    "separable_conv2d",
    "separable_conv3d",
    "settings",
    "sliding_windows",
    "softmax",
    "softmax_backward",
    "tune",
    "unfold",
]
