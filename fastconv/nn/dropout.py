"""Dropout (Srivastava et al. 2014)."""

import numpy as np

from fastconv import parameters
from fastconv.dtypes import Array
from fastconv.errors import ParameterError
from fastconv.nn.layer import Layer, Seed


class Dropout(Layer):
    """In training, elements become 0 by chance, and the others are scaled so that the mean stays.

    Parameters
    ----------
    p : float
        The chance.
    rng : int or numpy.random.Generator, optional
        Draws. Checkpoints keep its state.

    Raises
    ------
    ParameterError
        If `p` is no chance.
    """

    def __init__(self, p: float = 0.5, *, rng: Seed = None) -> None:
        super().__init__()
        self.p = parameters.real("p", p)
        if not 0 <= self.p <= 1:
            raise ParameterError(f"p: expected a number from 0 to 1, got {p}")
        self.rng = np.random.default_rng(rng)

    def forward(self, x: Array) -> Array:
        """Return the input with some elements dropped, or itself in evaluation."""
        if not self.training:
            return x
        kept = self.rng.random(x.shape, np.float32) >= self.p
        scale = 1 / (1 - self.p) if self.p < 1 else 0.0
        self._keep(kept * x.dtype.type(scale))
        return self.backward(x)

    def backward(self, gy: Array) -> Array:
        """Drop the same elements of the gradient."""
        mask: Array = self._recall()
        return gy * mask

    def __repr__(self) -> str:
        return f"Dropout({self.p})"
