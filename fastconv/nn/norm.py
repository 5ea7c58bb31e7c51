"""Batch normalisation (Ioffe & Szegedy 2015), as in `torch.nn`."""

import numpy as np
import numpy.typing as npt

from fastconv import parameters
from fastconv.dtypes import Array
from fastconv.errors import ShapeError
from fastconv.nn.layer import Layer
from fastconv.ops.batch_norm import batch_norm, batch_statistics, gradients_with


class BatchNorm2d(Layer):
    """Every channel of `(N, C, ...)` is brought to mean 0 and variance 1, then scaled and shifted.

    In training with the statistics of the batch; in evaluation, or frozen, with running ones.

    Parameters
    ----------
    num_features : int
        Channels.
    eps : float
        Added to the variance.
    momentum : float or None
        Share of a batch in the running statistics; None for the mean of all batches.
    affine : bool
        Whether channels are scaled and shifted.
    dtype : dtype
        Of the parameters.

    Attributes
    ----------
    weight, bias : numpy.ndarray or None
        Scale and shift, `(C,)`.
    running_mean, running_var : numpy.ndarray
        `(C,)`; the variance is the unbiased one.
    num_batches_tracked : numpy.ndarray
        Batches seen, int64, without dimensions.
    """

    parameter_names = ("weight", "bias")
    buffer_names = ("running_mean", "running_var", "num_batches_tracked")

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        *,
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        channels = parameters.integer("num_features", num_features)
        self.eps = parameters.real("eps", eps)
        self.momentum = None if momentum is None else parameters.real("momentum", momentum)
        self.weight: Array | None = np.ones(channels, dtype) if affine else None
        self.bias: Array | None = np.zeros(channels, dtype) if affine else None
        self.running_mean: Array = np.zeros(channels, dtype)
        self.running_var: Array = np.ones(channels, dtype)
        self.num_batches_tracked: Array = np.zeros((), np.int64)

    def draw(self, rng: np.random.Generator) -> None:
        """Start again: scale 1, shift 0, nothing seen."""
        if self.weight is not None and self.bias is not None:
            self.weight[...], self.bias[...] = 1, 0
        self.running_mean[...], self.running_var[...] = 0, 1
        self.num_batches_tracked[...] = 0

    def forward(self, x: Array) -> Array:
        """Return the normalised input."""
        channels = self.running_mean.size
        if x.ndim < 2 or x.shape[1] != channels:
            raise ShapeError(f"x: expected (N, {channels}, ...), got shape {x.shape}")
        mean, variance = self.running_mean, self.running_var
        if self.training and not self.frozen:
            mean, variance = self._of_batch(x)
        self._keep((x, mean, variance))
        return batch_norm(x, mean, variance, self.weight, self.bias, eps=self.eps)

    def backward(self, gy: Array) -> Array:
        """Return the gradient of the input, through mean and variance too."""
        x, mean, variance = self._recall()
        found = gradients_with(
            *(gy, x, mean, variance, self.weight, self.eps), through_statistics=not self.frozen
        )
        if self.weight is not None and not self.frozen:
            self.gradients = {"weight": found.weight, "bias": found.bias}
        return found.input

    def _of_batch(self, x: Array) -> tuple[Array, Array]:
        """Return mean and variance, and let the running ones follow."""
        count = x.size // x.shape[1]
        if count < 2:
            raise ShapeError(
                f"x: expected more than one value per channel in training, got {count}"
            )
        mean, variance, _ = batch_statistics(x, "x")
        self.num_batches_tracked += 1
        share = self.momentum
        if share is None:
            share = 1 / int(self.num_batches_tracked)
        unbiased = variance * (count / (count - 1))
        for running, found in ((self.running_mean, mean), (self.running_var, unbiased)):
            running += (share * (found - running)).astype(running.dtype)
        return mean, variance

    def __repr__(self) -> str:
        return f"BatchNorm2d({self.running_mean.size})"
