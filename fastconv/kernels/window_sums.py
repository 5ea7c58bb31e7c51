"""The loops around the micro-kernel of depthwise weight gradients.

    LOOP 4  output channels      LOOP 3  samples
    LOOP 2  blocks of rows       LOOP 1  vectors of columns, each a tile

Threads share output channels: a sum is never split between them.
"""

import functools

from fastconv.kernels.parts import shared
from fastconv.kernels.target import host
from fastconv.kernels.window_tile import Window, make_window_tile


@functools.cache
def window_loops(window: Window):
    """Return the compiled loops over tiles of a window.

    Their arguments: x (samples, channels, height, width), gy (samples, output channels, rows,
    columns) and gw (output channels, taps), flat; the sizes: samples, channels, height, width,
    output channels, rows, columns, then padding before rows and columns, the rows of a block, and
    whether to add; the output channels [first, last).
    """
    run_tile = make_window_tile(window)
    taps, lanes = window.taps, window.lanes

    def windows(x, gy, gw, sizes, first_item, last_item):
        samples, channels, height, width, outputs, rows, columns, down, right, block, adds = sizes
        multiplier = outputs // channels
        for item in range(first_item, last_item):
            add = adds
            for sample in range(samples):
                source = (sample * channels + item // multiplier) * height * width
                target = (sample * outputs + item) * rows * columns
                for row in range(0, rows, block):
                    for column in range(0, columns, lanes):
                        run_tile(
                            *(gy, target, columns, column, row, min(rows, row + block)),
                            *(x, source, height, width, -down, -right),
                            *(gw, item * taps, add),
                        )
                        add = 1

    name = f"{window.dtype.name}-{window.kernel[0]}x{window.kernel[1]}-{window.stride}"
    return shared(windows, f"{host().name}-{name}")
