"""Wherever a weight lies, its packer finds every term once, and nothing else."""

import numpy as np
import pytest

from fastconv.lowering.weights import taps_of, terms_of

GROUPS, ROWS, CHANNELS, KERNEL = 2, 3, 4, (5, 6)


def found(terms):
    """The terms of every row as packers find them: (groups, rows, channels * taps)."""
    group_step, row_step, runs, run_step, length, _ = terms.steps
    count = CHANNELS * np.prod(SHAPE[3:])
    places = terms.places(np.arange(count))
    rows = np.full((GROUPS, ROWS, count), np.nan)
    for group in range(GROUPS):
        for row in range(ROWS):
            for number, place in enumerate(places):
                run, element = divmod(number, length)
                assert run < runs
                if place >= 0:
                    assert np.isnan(rows[group, row, place])
                    at = group * group_step + row * row_step + run * run_step + element
                    rows[group, row, place] = terms.flat[at]
    return rows


SHAPE = (GROUPS, ROWS, CHANNELS, *KERNEL)
VIEWS = {
    "plain": lambda w: w,
    "exchanged": lambda w: w.swapaxes(1, 2).copy().swapaxes(1, 2),
    "turned": lambda w: w.swapaxes(1, 2)[..., ::-1, ::-1].copy().swapaxes(1, 2)[..., ::-1, ::-1],
    "some taps": lambda w: np.repeat(np.repeat(w, 2, -1), 3, -2)[..., ::3, ::2],
    "fortran": np.asfortranarray,
    "rows in reverse": lambda w: w[:, ::-1].copy()[:, ::-1],
    "broadcast": lambda w: np.broadcast_to(w[:, :1], w.shape),
    "read only": lambda w: np.frombuffer(w.tobytes(), w.dtype).reshape(w.shape),
    "unaligned": lambda w: np.frombuffer(b"x" + w.tobytes(), w.dtype, -1, 1).reshape(w.shape),
    "between": lambda w: np.pad(w, ((0, 0), (0, 0), (0, 0), (0, 0), (1, 2)))[..., 1:-2],
}
IN_PLACE = {"exchanged", "turned", "some taps", "between", "fortran"}


@pytest.mark.parametrize("form", VIEWS)
def test_every_term_is_found_once(form):
    w = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    view = VIEWS[form](w)
    terms = terms_of(view, GROUPS, len(KERNEL))
    np.testing.assert_array_equal(found(terms), view.reshape(GROUPS, ROWS, -1))
    assert np.shares_memory(terms.flat, view) == (form in {"plain", *IN_PLACE})


def test_the_usual_weight_is_one_run():
    w = np.arange(np.prod(SHAPE), dtype=np.float64).reshape(SHAPE)
    for array in (w, w.reshape(GROUPS * ROWS, *SHAPE[2:])):
        terms = terms_of(array, GROUPS, len(KERNEL))
        assert terms.numbers is None
        assert np.shares_memory(terms.flat, w)
        np.testing.assert_array_equal(found(terms), w.reshape(GROUPS, ROWS, -1))


def test_terms_too_far_apart_are_copied():
    w = np.zeros((1, 2, 3, 500, 2), np.float32)
    far = w.swapaxes(3, 4)[..., :, ::400]
    assert np.shares_memory(terms_of(far, 1, 2).flat, w) is False
    assert terms_of(far[..., :1], 1, 2).numbers is not None


@pytest.mark.parametrize("form", VIEWS)
def test_taps_are_found_by_steps(form):
    w = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    view, taps = VIEWS[form](w), np.prod(KERNEL)
    flat, (group, row, channel, tap) = taps_of(view, GROUPS, len(KERNEL))
    steps = (step * flat.itemsize for step in (group, row, channel, tap))
    shape = (GROUPS, ROWS, CHANNELS, taps)
    first = flat if tap > 0 else flat[taps - 1 :]
    found = np.lib.stride_tricks.as_strided(first, shape, tuple(steps))
    np.testing.assert_array_equal(found.reshape(view.shape), view)
    assert np.shares_memory(flat, view) == (form in {"plain", "exchanged", "turned"})


def test_taps_of_a_weight_without_groups():
    w = np.arange(np.prod(SHAPE), dtype=np.float64).reshape(GROUPS * ROWS, *SHAPE[2:])
    flat, steps = taps_of(w, GROUPS, len(KERNEL))
    assert np.shares_memory(flat, w)
    assert steps == (ROWS * CHANNELS * 30, CHANNELS * 30, 30, 1)
