"""Drop-in for `pygad.cnn` (and NumPyCNN's `cnn.py`): the same classes, or its own made fast.

    from fastconv.dropin.pygad_cnn import Input2D, Conv2D, Dense, Model  # before: from pygad.cnn

    from fastconv.dropin import pygad_cnn
    pygad_cnn.install()  # pygad.cnn itself, and what is built on it, now calls fastconv

Samples are `(H, W, C)`, one at a time or, in `Model.predict`, as `(N, H, W, C)`; banks of filters
are `(F, k, k, C)`. Attributes have the original's names and meaning, so that weights can be handed
to and fro.

Kept though it is odd, because sizes and weights of trained models depend on it: pools have a row
and a column of zeros more wherever `(H - pool_size + 1) % stride` is 0; "softmax" divides by the
sum, without exponentials; `Model.train` learns nothing, but shrinks the weights by the error.

Different: sizes above 65535 do not wrap; ReLU leaves its input alone; the sigmoid does not
overflow; what makes no sense raises `ShapeError`, `ParameterError` or `DtypeError`; and where a
sample and the weights are both float32, so is the result.
"""

from fastconv.dropin.pygad_cnn.layers import (
    AveragePooling2D,
    Conv2D,
    Dense,
    Flatten,
    Input2D,
    MaxPooling2D,
    ReLU,
    Sigmoid,
)
from fastconv.dropin.pygad_cnn.model import Model
from fastconv.dropin.pygad_cnn.patch import install, uninstall

__all__ = [
    "AveragePooling2D",
    "Conv2D",
    "Dense",
    "Flatten",
    "Input2D",
    "MaxPooling2D",
    "Model",
    "ReLU",
    "Sigmoid",
    "install",
    "uninstall",
]
