"""Cutting planes of tiles into blocks that are transformed and multiplied together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Blocks:
    """Planes of `tiles` (rows, columns), cut into blocks of up to `block` (rows, columns)."""

    tiles: tuple[int, int]
    block: tuple[int, int]

    @cached_property
    def places(self) -> list[tuple[int, int, int, int]]:
        """First row and column, rows and columns of every block."""
        (rows, columns), (high, wide) = self.tiles, self.block
        return [
            (row, column, min(high, rows - row), min(wide, columns - column))
            for row in range(0, rows, high)
            for column in range(0, columns, wide)
        ]

    def kinds(self) -> Iterator[tuple[int, int, int]]:
        """Yield (how many, rows, columns) of the blocks that have equal sizes."""
        for count_down, high in _kinds(self.tiles[0], self.block[0]):
            for count_along, wide in _kinds(self.tiles[1], self.block[1]):
                yield count_down * count_along, high, wide

    @property
    def most(self) -> int:
        """Tiles of the largest block."""
        return min(self.tiles[0], self.block[0]) * min(self.tiles[1], self.block[1])


def _even_parts(size: int, most: int) -> list[int]:
    """Return the sizes up to a limit that are the least for as many parts as they make."""
    return sorted({-(-size // -(-size // part)) for part in range(1, min(size, most) + 1)})


def _kinds(size: int, part: int) -> Iterator[tuple[int, int]]:
    if size // part:
        yield size // part, part
    if size % part:
        yield 1, size % part


def cheapest_blocks(tiles: tuple[int, int], most: int, cost: Callable[[int, int], float]) -> Blocks:
    """Return the cut that costs least.

    Parameters
    ----------
    tiles : tuple of int
        Rows and columns of tiles of a plane.
    most : int
        Tiles that a block may have, if that is not less than one.
    cost : callable
        Of a block of so many rows and columns of tiles.

    Returns
    -------
    Blocks
        Of those with the least cost the one with the largest blocks.
    """
    best, least = Blocks(tiles, (1, 1)), float("inf")
    for high in _even_parts(tiles[0], most):
        for wide in _even_parts(tiles[1], most // high):
            blocks = Blocks(tiles, (high, wide))
            total = sum(count * cost(rows, columns) for count, rows, columns in blocks.kinds())
            if total <= least:
                best, least = blocks, total
    return best
