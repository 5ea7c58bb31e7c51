"""Samples and targets, batch by batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastconv.dtypes import Array
from fastconv.errors import ParameterError, ShapeError

Data = tuple[npt.ArrayLike, npt.ArrayLike]
Transform = Callable[[Array, np.random.Generator], Array]


def pair(name: str, data: Any) -> tuple[Array, Array]:
    """Return inputs and targets as arrays of the same length.

    Raises
    ------
    ParameterError
        If there are not two of them.
    ShapeError
        If they have different lengths, or none.
    """
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise ParameterError(f"{name}: expected (inputs, targets), got {type(data).__name__}")
    x, target = np.asarray(data[0]), np.asarray(data[1])
    if not x.ndim or not target.ndim or len(x) != len(target) or not len(x):
        raise ShapeError(
            f"{name}: expected as many targets as inputs, one at least, "
            f"got shapes {x.shape} and {target.shape}"
        )
    return x, target


@dataclass
class Batches:
    """How an epoch is cut: into batches of some samples, in an order that is drawn or given."""

    samples: int
    size: int
    shuffle: bool
    drop_last: bool

    @property
    def count(self) -> int:
        """Batches of an epoch."""
        return self.samples // self.size if self.drop_last else -(-self.samples // self.size)

    def order(self, rng: np.random.Generator) -> Array:
        """Return the order of an epoch; draws from the generator if it is shuffled."""
        return rng.permutation(self.samples) if self.shuffle else np.arange(self.samples)

    def places(self, order: Array, first: int = 0) -> Iterator[Array]:
        """Yield which samples are in each batch, from a batch on."""
        for number in range(first, self.count):
            yield order[number * self.size : (number + 1) * self.size]
