import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastconv.cli import tutorials
from fastconv.dropin import numpycnn
from tests.dropin.cases import NO_ARRAYS, refused
from tests.helpers import ints, same


@pytest.mark.parametrize("channels", [None, 1, 2, 3])
@pytest.mark.parametrize("size", [1, 3, 4, 7])
def test_conv(channels, size):
    tail = () if channels is None else (channels,)
    image, bank = ints(9, 11, *tail), ints(2, size, size, *tail, seed=1)
    same(numpycnn.conv(image, bank), tutorials.bank_maps(image, bank))


def test_one_channel_may_be_written_either_way():
    image, bank = ints(6, 7), ints(2, 3, 3)
    expected = numpycnn.conv(image, bank)
    same(numpycnn.conv(image[:, :, None], bank), expected)
    same(numpycnn.conv(image, bank[..., None]), expected)


def test_filters_need_not_be_square():
    image, bank = ints(6, 7), ints(2, 2, 5)
    same(numpycnn.conv(image, bank), tutorials.bank_maps(image, bank))


def test_conv_of_one_map():
    image, kernel = ints(6, 7), ints(3, 3)
    same(numpycnn.conv_(image, kernel), tutorials.one_map(image, kernel))


def test_relu():
    maps = ints(4, 5, 3)
    same(numpycnn.relu(maps), tutorials.rectified(maps))
    assert maps.min() < 0  # left alone
    assert np.isnan(numpycnn.relu(np.array([np.nan]))).all()


@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)
)
@settings(max_examples=60, deadline=None)
def test_pooling_with_and_without_the_edge(height, width, filters, size, stride):
    maps = ints(height, width, filters)
    if size > min(height, width):
        refused(lambda: numpycnn.pooling(maps, size, stride))
        return
    same(numpycnn.pooling(maps, size, stride), tutorials.pooled_maps(maps, size, stride))
    edged = numpycnn.pooling(maps, size, stride, zero_edge=True)
    same(edged, tutorials.pooled_maps(maps, size, stride, edge=True))


def test_the_edge_is_where_features_say():
    maps = np.ones((5, 6, 1))
    assert numpycnn.pooling(maps).shape == (2, 3, 1)
    edged = numpycnn.pooling(maps, 2, 2, zero_edge=True)
    assert edged.shape == (3, 3, 1)
    assert not edged[2].any()
    assert numpycnn.pooling(maps, 2, 1, zero_edge=True).shape == (5, 6, 1)


def test_sizes_do_not_wrap():
    long = np.zeros((70_000, 2, 1), np.float32)
    assert numpycnn.pooling(long, 2, 1).shape == (69_999, 1, 1)
    assert numpycnn.conv(long, np.ones((1, 1, 1, 1))).shape == (70_000, 2, 1)


def test_the_three_layers():
    rng = np.random.default_rng(3)
    image = rng.random((60, 75))
    banks = [rng.standard_normal(s) for s in ((2, 3, 3), (3, 5, 5, 2), (1, 7, 7, 3))]
    fast = slow = image
    for bank in banks:
        fast = numpycnn.pooling(numpycnn.relu(numpycnn.conv(fast, bank)), 2, 2)
        slow = tutorials.pooled_maps(tutorials.rectified(tutorials.bank_maps(slow, bank)), 2, 2)
        assert fast.shape == slow.shape
        np.testing.assert_allclose(fast, slow, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("image", "bank", "result"),
    [
        ("uint8", "float64", "float64"),
        ("uint8", "int8", "float64"),
        ("bool", "bool", "float64"),
        ("float32", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("uint8", "float32", "float32"),
    ],
)
def test_dtypes(image, bank, result):
    maps = numpycnn.conv(np.ones((4, 4), image), np.ones((2, 3, 3), bank))
    same(maps, np.full((2, 2, 2), 9, result))
    for function in (numpycnn.relu, numpycnn.pooling):
        assert function(np.ones((4, 4, 2), image)).dtype == np.result_type(
            image, "float32" if "float32" in image else "float64"
        )


def test_lists():
    same(numpycnn.conv([[1, 2], [3, 4]], [[[1, 1], [1, 1]]]), np.array([[[10.0]]]))
    same(numpycnn.pooling([[[1], [2]], [[3], [4]]]), np.array([[[4.0]]]))


@pytest.mark.parametrize("value", NO_ARRAYS)
def test_what_is_no_array(value):
    refused(lambda: numpycnn.conv(value, np.ones((1, 1, 1))), "img")
    refused(lambda: numpycnn.conv(np.ones((3, 3)), value), "conv_filter")
    refused(lambda: numpycnn.relu(value), "feature_map")
    refused(lambda: numpycnn.pooling(value), "feature_map")


def test_bad_shapes_name_the_parameter():
    image, bank = np.ones((5, 5, 3)), np.ones((2, 3, 3, 3))
    refused(lambda: numpycnn.conv(image[0, 0], bank), "img", "(3,)")
    refused(lambda: numpycnn.conv(image, bank[0, 0]), "conv_filter", "(3, 3)")
    refused(lambda: numpycnn.conv(image, bank[0]), "conv_filter", "3 channels")
    refused(lambda: numpycnn.conv(image[:2], bank), "conv_filter: a window of 3", "2 elements")
    refused(lambda: numpycnn.conv_(image, bank[0, 0]), "img")
    refused(lambda: numpycnn.pooling(image[0]), "feature_map", "(5, 3)")
    refused(lambda: numpycnn.pooling(image, 6), "size: a window of 6")
    for bad in (0, -1, 1.5, None, "2"):
        refused(lambda: numpycnn.pooling(image, bad), "size")  # noqa: B023
        refused(lambda: numpycnn.pooling(image, 2, bad), "stride")  # noqa: B023
