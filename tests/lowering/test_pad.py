import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastconv.lowering.pad import Region
from tests.helpers import distinct, same


def read(x, starts, lengths, value=0):
    return Region.of(x.shape[2:], starts, lengths).read(x, value)


REGION = st.tuples(st.integers(1, 5), st.integers(-9, 9), st.integers(1, 9))


@given(st.lists(REGION, min_size=1, max_size=3), st.sampled_from([0.0, -7.0, float("nan")]))
def test_each_place_holds_the_input_or_the_value(axes, value):
    sizes, starts, lengths = zip(*axes, strict=True)
    x = distinct(1, 2, *sizes)
    region = read(x, starts, lengths, value)
    expected = np.full((1, 2, *lengths), value)
    for index in np.ndindex(*lengths):
        place = tuple(start + i for start, i in zip(starts, index, strict=True))
        if all(0 <= i < size for i, size in zip(place, sizes, strict=True)):
            expected[(..., *index)] = x[(..., *place)]
    same(region, expected)


def test_a_region_inside_the_input_is_a_view():
    x = distinct(2, 3, 6, 7)
    region = read(x, (1, 0), (4, 7))
    assert np.shares_memory(region, x)
    same(region, x[:, :, 1:5, :])


@pytest.mark.parametrize("starts", [(-1, 0), (0, 1)])
def test_a_region_that_reaches_outside_is_a_copy(starts):
    x = distinct(1, 1, 3, 3)
    assert not np.shares_memory(read(x, starts, (3, 3)), x)


def test_the_dtype_is_kept():
    assert read(np.zeros((1, 1, 2), np.float32), (-1,), (4,), 2.5).dtype == np.float32
