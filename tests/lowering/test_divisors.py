import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastconv.lowering.divisors import divisors
from tests import oracle
from tests.lowering.test_im2col import AXES, geometry_of


@given(AXES, st.booleans())
def test_divisors_are_the_taps_that_count(axes, include_pad):
    geometry = geometry_of(axes)
    sizes, kernel, stride, pads, dilation = zip(*axes, strict=True)
    expected = np.reshape(
        [
            oracle.avg_divisor(position, sizes, kernel, stride, pads, dilation, include_pad)
            for position in oracle.positions(geometry.out)
        ],
        geometry.out,
    )
    np.testing.assert_array_equal(divisors(geometry.axes, include_pad, None), expected)


@given(AXES, st.sampled_from([-2, 1, 5]))
def test_an_override_is_everywhere(axes, override):
    geometry = geometry_of(axes)
    found = divisors(geometry.axes, True, override)
    assert found.shape == geometry.out
    assert (found == override).all()


def test_they_are_shared_and_so_read_only():
    geometry = geometry_of([(5, 3, 1, (1, 1), 1)])
    found = divisors(geometry.axes, True, None)
    assert found is divisors(geometry.axes, True, None)
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 0
