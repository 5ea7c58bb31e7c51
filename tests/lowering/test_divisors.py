import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastconv.lowering.divisors import divisors, uniform_divisor
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


@given(AXES, st.booleans(), st.none() | st.sampled_from([-2, 5]))
def test_a_uniform_divisor_is_the_only_one(axes, include_pad, override):
    geometry = geometry_of(axes)
    different = np.unique(divisors(geometry.axes, include_pad, override))
    uniform = uniform_divisor(geometry.axes, include_pad, override)
    assert uniform is None or different.tolist() == [uniform]
    if uniform is None:  # axes may differ and their products not, but not of one axis
        assert len(different) > 1 or len(axes) > 1
