"""The integers that the loops of `kernels.columns` and `kernels.column_sums` read.

All axes but the last are flattened to rows, so the loops serve any number of axes: im2col copies
rows of planes, and col2im adds rows of columns to one row of a plane after the other. Planes as
large as their columns need no rows: every tap is one shift of the whole plane.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fastconv.dtypes import Array
from fastconv.geometry import Axis
from fastconv.lowering.pad import pad

OUTSIDE = -1
Axes = tuple[Axis, ...]


@dataclass(frozen=True)
class Steps:
    """Elements of columns from one sample, one channel and one tap to the next."""

    sample: int
    channel: int
    tap: int


def copy_table(axes: Axes, channels: int, steps: Steps, mode: str) -> Array:
    """Return the table of `kernels.columns.copy_loops`."""
    from fastconv.kernels.columns import HEADER

    inner = axes[-1]
    taps: list[int] = []
    for tap in range(inner.kernel):
        low, high = inner.inside(tap)
        inside = (low, high) if low < high else (0, 0)
        taps += [*inside, tap * inner.dilation - inner.before]
    merged = inner.stride == 1 and inner.out == inner.size
    runs = [_runs(rows, inner.size, merged) for rows in _row_places(axes, mode).tolist()]
    repeats = mode != "zeros"
    numbers = {
        **_counts(axes, channels, steps),
        "outer_taps": len(runs),
        "inner_taps": inner.kernel,
        "repeats": int(repeats),
    }
    places = _padded_places(inner, mode).tolist() if repeats else []
    begin = len(HEADER) + len(taps) + len(runs) + 1 + len(places)
    starts = [begin + 2 * sum(map(len, runs[:tap])) for tap in range(len(runs) + 1)]
    words = [word for run in itertools.chain(*runs) for word in run]
    return _words(HEADER, numbers, taps, starts, places, words)


def masked_table(axes: Axes, channels: int, steps: Steps, lanes: int, flat: bool) -> Array:
    """Return the table of `kernels.columns.masked_loops`."""
    from fastconv.kernels.columns import MASKED_HEADER

    rows = np.zeros((1, 1), np.int64) if flat else _row_places(axes, "zeros")
    row_axes = axes if flat else axes[-1:]
    inside = _input_places(row_axes, "zeros") >= 0
    numbers = {
        **_counts(axes, channels, steps),
        "outer_taps": len(rows),
        "inner_taps": len(inside),
        "rows": rows.shape[1],
        "width": inside.shape[1],
    }
    masks = _masks(inside, lanes, 1 if flat else axes[-1].stride)
    return _words(MASKED_HEADER, numbers, _shifts(row_axes), masks, rows)


def sum_table(axes: Axes, channels: int, steps: Steps, lanes: int, run: int, flat: bool) -> Array:
    """Return the table of `kernels.column_sums.sum_loops`, for `lanes` positions at a time."""
    row_axes = axes if flat else axes[-1:]
    stride = 1 if flat else axes[-1].stride
    inside, shifts = output_places(row_axes) >= 0, _shifts(row_axes)
    phases = [[t for t, shift in enumerate(shifts) if shift % stride == p] for p in range(stride)]
    places = [
        tap * steps.tap + (phase - shifts[tap]) // stride
        for phase, taps in enumerate(phases)
        for tap in taps
    ]
    chunks = -(-inside.shape[1] // (stride * lanes))
    masks = np.zeros((len(shifts), chunks), np.int64)
    start = 0
    for phase, taps in enumerate(phases):
        found = _bits(inside[taps, phase::stride], lanes)
        masks[start : start + len(taps), : found.shape[1]] = found
        start += len(taps)
    kinds, which = np.unique(masks.T, axis=0, return_inverse=True)
    numbers = {
        **_counts(axes, channels, steps),
        "run": run,
        "rows": 1 if flat else math.prod(axis.size for axis in axes[:-1]),
        "width": inside.shape[1],
        "chunks": chunks,
        "taps": len(phases[0]),
        "odd_taps": len(shifts) - len(phases[0]),
    }
    entries = [[0]] if flat else _entries(axes, steps)
    return _sums(numbers, places, which.reshape(-1) * len(shifts), kinds, entries)


def add_table(axes: Axes, channels: int, steps: Steps, run: int) -> Array:
    """Return the table of `kernels.column_sums.add_loops`."""
    inner = axes[-1]
    lists: list[int] = []
    for tap in range(inner.kernel):
        low, high = inner.inside(tap)
        lists += [low, high, inner.source(tap, low, high).start]
    numbers = {
        **_counts(axes, channels, steps),
        "run": run,
        "rows": math.prod(axis.size for axis in axes[:-1]),
        "width": inner.size,
        "taps": inner.kernel,
    }
    return _sums(
        numbers, lists, np.zeros(0, np.int64), np.zeros(0, np.int64), _entries(axes, steps)
    )


def output_places(axes: Axes) -> Array:
    """Return (taps, elements): the position that reads an element with a tap, or -1 for none."""
    found = np.zeros((1, 1), np.int64)
    for axis in axes:
        first = np.arange(axis.size) + axis.before
        steps = first - np.arange(axis.kernel)[:, np.newaxis] * axis.dilation
        reads = (steps >= 0) & (steps < axis.out * axis.stride) & (steps % axis.stride == 0)
        found = _both(found, np.where(reads, steps // axis.stride, OUTSIDE), axis.out)
    return found


def _input_places(axes: Axes, mode: str) -> Array:
    """Return (taps, positions): the element that a tap reads at a position, or -1 for none."""
    found = np.zeros((1, 1), np.int64)
    for axis in axes:
        first = np.arange(axis.out) * axis.stride
        steps = first + np.arange(axis.kernel)[:, np.newaxis] * axis.dilation
        found = _both(found, _padded_places(axis, mode)[steps], axis.size)
    return found


def _both(outer: Array, inner: Array, size: int) -> Array:
    """Join places (taps, n) along axes with those along one more, which has `size` of them."""
    outer, inner = outer[:, np.newaxis, :, np.newaxis], inner[np.newaxis, :, np.newaxis, :]
    both = np.where((outer < 0) | (inner < 0), OUTSIDE, outer * size + inner)
    return both.reshape(both.shape[0] * both.shape[1], -1)  # (taps, n)


def _padded_places(axis: Axis, mode: str) -> Array:
    """Return for every element of a padded axis which one of the input it is, or -1 for none."""
    after = max(0, axis.last - axis.size)
    return pad(np.arange(axis.size), ((axis.before, after),), mode, np.array(OUTSIDE))


def _row_places(axes: Axes, mode: str) -> Array:
    """Return (outer taps, rows): where in a plane the row begins that a row of columns reads."""
    rows = _input_places(axes[:-1], mode)
    return np.where(rows < 0, OUTSIDE, rows * axes[-1].size)


def _runs(rows: list[int], distance: int, merged: bool) -> list[tuple[int, int]]:
    """Join rows in the padding, and if `merged` rows that are neighbours."""
    runs: list[tuple[int, int]] = []
    for source in rows:
        if runs:
            count, first = runs[-1]
            follows = merged and first >= 0 and source == first + count * distance
            if follows or (source < 0 and first < 0):
                runs[-1] = (count + 1, first)
                continue
        runs.append((1, source))
    return runs


def _entries(axes: Axes, steps: Steps) -> list[list[int]]:
    """Return for every row of a plane where the rows of columns begin that are added to it."""
    inner, places = axes[-1], output_places(axes[:-1])
    begins = np.arange(len(places))[:, np.newaxis] * inner.kernel * steps.tap + places * inner.out
    return [row[reads].tolist() for row, reads in zip(begins.T, places.T >= 0, strict=True)]


def _shifts(axes: Axes) -> list[int]:
    """Return for every tap which element, flat, position 0 reads."""
    by_axis, distance = [], 1
    for axis in reversed(axes):
        taps = range(axis.kernel)
        by_axis.append([(tap * axis.dilation - axis.before) * distance for tap in taps])
        distance *= axis.size
    return [sum(choice) for choice in itertools.product(*reversed(by_axis))]


def _bits(inside: Array, lanes: int) -> Array:
    """Return integers (rows, vectors) whose bits are the elements of rows of booleans."""
    rows, length = inside.shape
    vectors = -(-length // lanes)
    padded = np.zeros((rows, vectors * lanes), bool)
    padded[:, :length] = inside
    bits = np.uint64(1) << np.arange(lanes, dtype=np.uint64)
    words: Array = padded.reshape(rows, vectors, lanes) @ bits
    return words.view(np.int64)


def _masks(inside: Array, lanes: int, stride: int) -> Array:
    """Return the masks (taps, vectors, words) of what is written and what is read for it."""
    written = _bits(inside, lanes)
    if stride == 1:
        return written
    taps, length = inside.shape
    padded = np.zeros((taps, written.shape[1], lanes), bool)
    padded.reshape(taps, -1)[:, :length] = inside
    # position l reads element 2 l: lane 2 l of the first vector, or 2 l - (lanes - 1) of the second
    first, second = np.zeros((2, *padded.shape), bool)
    first[..., ::2] = padded[..., : lanes // 2]
    second[..., 1::2] = padded[..., lanes // 2 :]
    read = (_bits(part.reshape(taps, -1), lanes) for part in (first, second))
    return np.stack([written, *read], axis=-1)


def _counts(axes: Axes, channels: int, steps: Steps) -> dict[str, int]:
    return {
        "channels": channels,
        "plane": math.prod(axis.size for axis in axes),
        "out_width": axes[-1].out,
        "stride": axes[-1].stride,
        "dilation": axes[-1].dilation,
        "sample_step": steps.sample,
        "channel_step": steps.channel,
        "tap_step": steps.tap,
    }


def _sums(
    numbers: dict[str, int], lists: list[int], which: Array, masks: Array, entries: list[list[int]]
) -> Array:
    """Lay out a table of `kernels.column_sums`; `which` counts from the first mask."""
    from fastconv.kernels.column_sums import HEADER

    first_mask = len(HEADER) + len(lists) + which.size
    starts = first_mask + masks.size
    begin = starts + len(entries) + 1
    ends = np.cumsum([0, *map(len, entries)]) + begin
    places = {"lists": len(HEADER), "entries": starts}
    flat = list(itertools.chain(*entries))
    return _words(HEADER, {**numbers, **places}, lists, which + first_mask, masks, ends, flat)


def _words(header: tuple[str, ...], numbers: Mapping[str, int], *parts: Array | list[int]) -> Array:
    """Return the numbers of a header, in its order, and what follows them."""
    first = np.array([numbers.get(name, 0) for name in header], np.int64)
    return np.concatenate([first, *(np.asarray(part, np.int64).reshape(-1) for part in parts)])
