"""The transformed weights of Winograd's convolution: all at once, or by those who multiply by them.

Transformed weights are up to seven times as large as weights. A call that finds them transformed
reads them from memory; one that does not would write them first, and read them back. Here a thread
transforms the weights of a panel of output channels for the channels of a segment, multiplies by
them while they are in its cache, and goes on to the next segment, whose products it adds. The sums
are those of `kernels.winograd`, which puts them aside after every segment.

Weights are read where they lie: `steps` are elements from group to group, from one output channel
to the next, from one channel to the next, and from tap to tap, which is 1 or, in reverse, -1.
"""

import functools

import numpy as np

from fastconv.kernels.jit import kernel
from fastconv.kernels.parts import shared
from fastconv.kernels.row_tile import SEGMENT_WORDS
from fastconv.kernels.square import make_gather
from fastconv.kernels.target import host
from fastconv.kernels.turn import AHEAD_BYTES
from fastconv.kernels.winograd import (
    ALIGNMENT,
    BLOCK_WORDS,
    PANEL_WORDS,
    multiply_loop,
    output_loop,
)
from fastconv.kernels.winograd_tile import Winograd, make_weight

CHANNELS_AHEAD = 2
"""How far ahead to fetch the taps of channels that are not neighbours."""


@functools.cache
def weight_packer(form: Winograd):
    """Return the function that transforms and packs weights.

    It packs w as (groups, panels, points, channels, columns), zeros beyond the last output channel;
    an item is a panel for as many channels as a vector has lanes.
    """
    transform_weights, lanes = _weight_loop(form), form.lanes
    taps = form.taps[0] * form.taps[1]

    def pack(w, packed, table, steps, shares, first_item, last_item):
        _, _, first_panel, panels, w_first, group_size = shares
        channels = table[2]
        chunks = (channels + lanes - 1) // lanes
        scratch = np.empty(lanes * lanes * taps, w.dtype)
        for item in range(first_item, last_item):
            outer, channel = item // chunks, item % chunks * lanes
            g, p = outer // panels, first_panel + outer % panels
            words = table[16] + p * PANEL_WORDS
            columns = table[words] * lanes
            target = w_first + g * group_size + table[words + 2] + channel * columns
            transform_weights(
                *(w, g, p, channel, min(lanes, channels - channel), table, steps, scratch),
                *(packed, target, (channels + 1) * columns),
            )

    return shared(pack, f"{host().name}-{form}")


@functools.cache
def panel_loops(form: Winograd, rows: int, widths: tuple[int, ...]):
    """Return the compiled loops over panels, for tiles that are transformed already.

    Its arguments are those of `winograd_loops`, but for the weights, which are not transformed, and
    their steps. `shares`: the first block and how many, all of one group.
    """
    transform_weights, finish_block = _weight_loop(form), output_loop(form)
    multiply = multiply_loop(form, rows, widths)
    lanes, points, itemsize = form.lanes, form.points, form.dtype.itemsize
    taps = form.taps[0] * form.taps[1]

    def panels(w, bias, y, transformed, bad, table, steps, shares, first_panel, last_panel):
        first_block, count = shares
        most, widest = table[21] // table[20], table[23] * lanes
        longest = table[table[17] + 2] + 1
        apart = most * widest + lanes
        sizes = table[25], lanes * lanes * taps, points * longest * widest, apart
        own = np.empty(sum(sizes) + points * count * apart + ALIGNMENT // itemsize, w.dtype)
        own = own[-np.intp(own.ctypes.data) % ALIGNMENT // itemsize :]
        weights, own = own[: sizes[2]], own[sizes[2] :]
        scratch, own = own[: sizes[0]], own[sizes[0] :]
        gathered, own = own[: sizes[1]], own[sizes[1] :]
        added, product = own[:apart], own[apart:]
        for p in range(first_panel, last_panel):
            words = table[16] + p * PANEL_WORDS
            width = table[words]
            columns = width * lanes
            apart = most * columns + lanes
            for segment in range(table[17], table[18], SEGMENT_WORDS):
                channel, channels = table[segment + 1], table[segment + 2]
                transform_weights(
                    *(w, 0, p, channel, channels, table, steps, gathered),
                    *(weights, 0, (channels + 1) * columns),
                )
                for i in range(count):
                    place = table[14] + (first_block + i) % table[13] * BLOCK_WORDS
                    tiles = _samples(table, first_block + i) * table[place + 2] * table[place + 3]
                    multiply(
                        *(width, weights, 0, channels, transformed, i * table[22], bias),
                        *(product, i * points * apart, added),
                        *(table, segment, segment + SEGMENT_WORDS, tiles),
                    )
            for i in range(count):
                block = first_block + i
                place = table[14] + block % table[13] * BLOCK_WORDS
                first = block // table[13] * table[12]
                last = first + _samples(table, block)
                for j in range(width):
                    oc = table[words + 1] + j * lanes
                    if oc < table[3]:
                        finish_block(
                            *(product, i * points * apart + j * lanes, width, bias, 0, oc),
                            *(scratch, y, first, last, bad, table, place),
                        )

    return shared(panels, f"{host().name}-{form}-{rows}x{widths[0]}")


def _samples_of(table, block):
    """Return how many samples a block has; there is one group."""
    return min(table[12], table[0] - block // table[13] * table[12])


_samples = kernel(_samples_of, inline=True)


@functools.cache
def _weight_loop(form: Winograd):
    """Return the function that transforms a panel's weights for some channels.

    Its arguments: w, the group and the panel; the first channel, and how many; the table and the
    weights' steps; a scratch for the taps of as many channels as a vector has lanes; where to write
    to, and how far points are apart there.
    """
    gather, transform = make_gather(form.dtype, form.lanes), make_weight(form)
    lanes, taps = form.lanes, form.taps[0] * form.taps[1]
    near_ahead = AHEAD_BYTES // form.dtype.itemsize

    def transform_weights(w, g, p, channel, count, table, steps, scratch, packed, target, apart):
        words = table[16] + p * PANEL_WORDS
        width, oc, outputs = table[words], table[words + 1], table[3]
        from_group, row, from_channel, step = steps
        start = g * from_group + oc * row + channel * from_channel
        first_tap = 0 if step > 0 else (taps - 1) * lanes
        # Taps of one channel after the other are read by whole vectors where they are neighbours.
        together = lanes if from_channel == taps else 1
        ahead = near_ahead if from_channel == taps else CHANNELS_AHEAD * from_channel
        for c in range(0, count, together):
            some = min(together, count - c)
            for j in range(width):
                source = start + c * from_channel + j * lanes * row
                for term in range(0, some * taps, lanes):
                    gather(
                        *(w, source + term, row, max(0, outputs - oc - j * lanes), 0),
                        *(min(lanes, some * taps - term), scratch, term * lanes, ahead),
                    )
                for k in range(some):
                    place = target + ((c + k) * width + j) * lanes
                    transform(
                        *(scratch, k * taps * lanes + first_tap, step * lanes),
                        *(packed, place, apart),
                    )

    return kernel(transform_weights, f"{host().name}-{form}")
