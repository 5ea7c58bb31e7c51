"""One function for tiles of several widths."""

from collections.abc import Callable

from fastconv.kernels.jit import kernel


def any_width(tiles: list, widths: tuple[int, ...], variant: str) -> Callable:
    """Return a function that runs the tile of the width that its first argument says.

    Numba cannot loop over functions: there are two or three, and the second may be the last.
    `variant` must name all that the tiles were generated for.
    """
    wide, middle, narrow = tiles[0], tiles[1], tiles[-1]
    first, second = widths[0], widths[1]

    def run_tile(vectors, *place):
        if vectors == first:
            wide(*place)
        elif vectors == second:
            middle(*place)
        else:
            narrow(*place)

    return kernel(run_tile, variant, inline=True)
