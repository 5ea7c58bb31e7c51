import numpy as np
import pytest

import fastconv as F
from fastconv import ParameterError
from fastconv.cli.stack import SMALLEST, check_size, measure, ready_reference, three_layers


@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_agreement(channels):
    x = np.random.default_rng(0).random((1, channels, 60, 70)).astype(np.float32)
    rows = list(measure(three_layers(channels), x, repetitions=1))
    assert [row.maps.shape[1:] for row in rows] == [
        (2, 58, 68),
        (2, 58, 68),
        (2, 29, 34),
        (3, 25, 30),
        (3, 25, 30),
        (3, 12, 15),
        (1, 6, 9),
        (1, 6, 9),
        (1, 3, 4),
    ]
    assert all(row.maps.dtype == np.float32 for row in rows)
    assert max(row.difference for row in rows) < 1e-5
    assert min(row.reference for row in rows) > 0
    assert min(row.engine for row in rows) > 0


@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_bank_finds_edges(channels):
    stage = three_layers(channels)[0]
    assert stage.bank.shape == (2, channels, 3, 3)
    x = np.zeros((1, channels, 5, 6), np.float32)
    x[..., 3:] = 1  # brighter to the right
    vertical, horizontal = stage.step(F, x)[0]
    np.testing.assert_allclose(vertical, [[0, 3, 3, 0]] * 3, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(horizontal, 0, atol=1e-6)


def test_random_filters_see_no_brightness_and_follow_the_seed():
    banks = [stage.bank for stage in three_layers(1) if stage.bank is not None]
    assert [bank.shape for bank in banks] == [(2, 1, 3, 3), (3, 2, 5, 5), (1, 3, 7, 7)]
    for bank in banks:
        np.testing.assert_allclose(bank.sum(axis=(2, 3)), 0, atol=1e-6)
    same, other = three_layers(1)[3].bank, three_layers(1, seed=1)[3].bank
    assert (banks[1] == same).all()
    assert (banks[1] != other).any()


def test_the_smallest_image():
    check_size((1, 1, SMALLEST, SMALLEST))
    x = np.zeros((1, 1, SMALLEST, SMALLEST), np.float32)
    *_, last = measure(three_layers(1), x, repetitions=1)
    assert last.maps.shape == (1, 1, 1, 1)
    with pytest.raises(ParameterError, match="at least 42x42 pixels, got 41x99"):
        check_size((1, 1, SMALLEST - 1, 99))


def test_the_reference_gets_ready():
    assert ready_reference() > 0
