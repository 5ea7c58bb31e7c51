"""The loops around the micro-kernel of a matrix that is read where it lies.

    LOOP 3  columns, by vectors      LOOP 2  rows of x, by tiles
    LOOP 1  the tile: segments and terms

Threads share items, which are tiles of columns: a sum is never split between them.
"""

import functools

import numpy as np

from fastconv.kernels.activate import FIRST_FINISHING, finisher
from fastconv.kernels.matrix_tile import make_matrix_tile
from fastconv.kernels.parts import shared
from fastconv.kernels.target import host
from fastconv.kernels.tile import Shape
from fastconv.kernels.widths import any_width

HEADER = (
    *("samples", "terms", "columns", "segments", "segments_end", "panels"),
    *("", "", "", "activation"),
)
"""The first integers of a table, in order; where the segments and the panels stand in it. The code
of the activation stands where `kernels.sums` reads it."""
HEADER_WORDS = len(HEADER)
PANEL_WORDS = 2
"""Words of a panel: vectors, first column."""


@functools.cache
def matrix_loops(dtype_name: str, rows: int, widths: tuple[int, ...]):
    """Return the compiled loops over tiles of `rows` rows of x by any of the widths."""
    dtype, target = np.dtype(dtype_name), host()
    lanes, name = target.lanes(dtype), f"{target.name}-{dtype_name}-{rows}x{widths[0]}"
    tiles = [make_matrix_tile(Shape(dtype, rows, width, lanes, False)) for width in widths]
    run_tile, finish = any_width(tiles, widths, f"matrix-{name}"), finisher(dtype_name)

    def product(x, w, bias, y, table, first_item, last_item):
        samples, terms, columns = table[0], table[1], table[2]
        for item in range(first_item, last_item):
            panel = table[5] + item * PANEL_WORDS
            vectors, column = table[panel], table[panel + 1]
            count = min(vectors * lanes, columns - column)
            for sample in range(0, samples, rows):
                valid = min(rows, samples - sample)
                run_tile(
                    *(vectors, w, column, x, sample * terms, bias, column),
                    *(y, sample * columns + column, table, table[3], table[4]),
                    *(terms, columns, valid, count),
                )
                if table[9] >= FIRST_FINISHING:
                    for row in range(sample, sample + valid):
                        finish(y, row * columns + column, count, table[9])

    return shared(product, name)
