"""The orders in which libraries lay out columns: one row each.

All hold the same elements. An order is written as the result's axes, of letters `n` batch,
`c` channels, `k` taps, `o` positions; a capital stands for as many axes as there are spatial
dimensions, small letters together for one axis, the last of them fastest.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from fastconv.errors import ParameterError, ShapeError
from fastconv.geometry import WindowGeometry
from fastconv.parameters import Ints

ORDERS = {
    "fastconv": "n ck o",  # torch.nn.functional.unfold, Keras, the input of ONNX Col2Im
    "chainer": "n c K O",  # chainer.utils.conv, DeZero without to_matrix
    "dlfs": "no ck",  # Deep Learning from Scratch, DeZero
    "cnnumpy": "ck no",  # CNNumpy, onnx.reference
    "cs231n": "ck on",  # the course's im2col_indices
    "jax": "n ck O",  # jax.lax.conv_general_dilated_patches
}
NAMES = tuple(ORDERS)


@dataclass(frozen=True)
class Dialect:
    """One order of columns."""

    name: str

    @cached_property
    def groups(self) -> list[str]:
        """The result's axes."""
        return ORDERS[self.name].split()

    @cached_property
    def keeps_batch(self) -> bool:
        """Whether the batch is an axis of its own, which an unbatched result goes without."""
        return self.groups[0] == "n"

    def ndim(self, rank: int) -> int:
        """Count the axes of batched columns."""
        return sum(rank if group.isupper() else 1 for group in self.groups)

    def split(self, window: WindowGeometry) -> Ints:
        """Return the shape of columns with an axis for the batch, channels, each tap and out."""
        sizes = self._sizes(window.batch, window.channels, window.kernel, window.out)
        return tuple(size for letter in "".join(self.groups) for size in sizes[letter.lower()])

    def shape(self, window: WindowGeometry) -> Ints:
        """Return the shape of the columns of a batch."""
        sizes = self._sizes(window.batch, window.channels, window.kernel, window.out)
        found: list[int] = []
        for group in self.groups:
            if group.isupper():
                found += sizes[group.lower()]
            else:
                found.append(math.prod(size for letter in group for size in sizes[letter]))
        return tuple(found)

    def order(self, rank: int) -> Ints:
        """Return where the axes of `split` are among those of windows `(n, c, *out, *kernel)`."""
        places = {"n": [0], "c": [1], "o": range(2, 2 + rank), "k": range(2 + rank, 2 + 2 * rank)}
        return tuple(at for letter in "".join(self.groups) for at in places[letter.lower()])

    def outer(self, name: str, shape: Ints, kernel: Ints, out: Ints) -> tuple[int, int]:
        """Read batch and channels from the shape of batched columns.

        Raises
        ------
        ShapeError
            If they are not columns of these windows.
        """
        known = {"k": kernel, "o": out}
        found, axis = {}, 0
        for group in self.groups:
            if group.isupper():
                sizes = known[group.lower()]
                got = shape[axis : axis + len(sizes)]
                axis += len(sizes)
                if got != sizes:
                    what = "kernel_size" if group == "K" else "window positions"
                    raise ShapeError(f"{name}: expected {what} {sizes} in shape {shape}, got {got}")
                continue
            size, axis = shape[axis], axis + 1
            each = math.prod(n for letter in group for n in known.get(letter, ()))
            asked = set(group) & {"n", "c"}
            if not asked and size != each:
                raise ShapeError(
                    f"{name}: output_size has {out} window positions, so {each} columns are "
                    f"expected, got {size} in shape {shape}"
                )
            if size % each:
                what = "taps of kernel_size" if "k" in group else "window positions"
                raise ShapeError(
                    f"{name}: {size} rows, of shape {shape}, are not a multiple of the "
                    f"{each} {what} {kernel if 'k' in group else out}"
                )
            for letter in asked:
                found[letter] = size // each
        if not found["c"]:
            raise ShapeError(f"{name}: 0 rows, of shape {shape}, are no channels")
        return found["n"], found["c"]

    @staticmethod
    def _sizes(batch: int, channels: int, kernel: Ints, out: Ints) -> dict[str, Ints]:
        return {"n": (batch,), "c": (channels,), "k": kernel, "o": out}


BY_NAME = {name: Dialect(name) for name in NAMES}


def dialect(name: object) -> Dialect:
    """Return a dialect by its name, or refuse."""
    if not isinstance(name, str) or name not in BY_NAME:
        raise ParameterError(f"dialect: expected one of {NAMES}, got {name!r}")
    return BY_NAME[name]
