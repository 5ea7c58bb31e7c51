"""Drop-in for CNNumpy, LeNet-5 from scratch, in its im2col ("fast") and its naive ("slow") form.

    from fastconv.dropin.cnnumpy import *  # before: from layers import *; from model import *

Images are `(N, C, H, W)`, filters `(F, C, f, f)`, columns `(C * f * f, N * oh * ow)` with samples
outermost; weights and gradients are dictionaries `{'val', 'grad'}`. Initial weights are drawn from
`numpy.random` in the order of the fast form, so that `numpy.random.seed` gives the same.

Where the original is wrong and this is not:

- `col2im` with padding there cuts batch and channels instead of rows and columns, and its result is
  float64 whatever the columns are.
- The slow `Conv` fails with padding, and its weight gradient adds up from call to call.
- `TanH.backward` there lacks the factor `alpha`.
- `Softmax` there subtracts one maximum for all samples, so that a sample far below it underflows.
- `CrossEntropyLoss` there sums over the batch, or divides by the number of classes; here it is the
  mean over the batch, and finite where a probability is 0.
- `LeNet5.backward` there mixes means over the batch (`Fc`) with sums (`Conv`); here all gradients
  are those of the mean loss. The layers themselves are as they were: `Fc` gives means, `Conv` sums.

Kept: `AdamGD` has no bias correction unless asked for.
"""

from fastconv.dropin.cnnumpy.columns import col2im, get_indices, im2col
from fastconv.dropin.cnnumpy.layers import AvgPool, Conv, Fc, Softmax, TanH
from fastconv.dropin.cnnumpy.lenet import LeNet5
from fastconv.dropin.cnnumpy.training import SGD, AdamGD, CrossEntropyLoss

__all__ = [
    "SGD",
    "AdamGD",
    "AvgPool",
    "Conv",
    "CrossEntropyLoss",
    "Fc",
    "LeNet5",
    "Softmax",
    "TanH",
    "col2im",
    "get_indices",
    "im2col",
]
