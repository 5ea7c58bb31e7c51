import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastconv import ShapeError
from fastconv.planes import (
    UnevenAxis,
    adaptive_geometry,
    fractional_geometry,
    unpooled_sizes,
)

UNEVEN = st.builds(UnevenAxis, st.integers(1, 40), st.integers(1, 60))


@given(UNEVEN)
def test_windows_cover_the_axis_in_order(axis):
    spans = [axis.span(position) for position in range(axis.out)]
    assert spans[0].start == 0
    assert spans[-1].stop == axis.size
    for before, after in itertools.pairwise(spans):
        assert before.start <= after.start <= before.stop <= after.stop
    lengths = [span.stop - span.start for span in spans]
    assert min(lengths) >= 1
    assert max(lengths) == axis.kernel


@given(UNEVEN)
def test_windows_that_hold_an_element_are_those_of_the_exchanged_axis(axis):
    exchanged = UnevenAxis(axis.out, axis.size)
    for element in range(axis.size):
        spans = map(axis.span, range(axis.out))
        holding = [o for o, span in enumerate(spans) if span.start <= element < span.stop]
        span = exchanged.span(element)
        assert holding == list(range(span.start, span.stop))


def test_adaptive_work_and_terms():
    geometry = adaptive_geometry((2, 3, 8, 5), (4, 3))
    assert geometry.terms(True) == 2 * 3
    assert geometry.terms(False) == 1 * 2
    assert geometry.work == 2 * 3 * 4 * 3 * 6
    huge = adaptive_geometry((1, 1, 2**20), (2**19 - 1,))
    assert huge.work == 4 * (2**19 - 1)  # without a walk over its windows


def test_fractional_windows_need_room_to_begin_apart():
    assert fractional_geometry((1, 1, 5, 6), (2, 3), (4, 4)).work == 16 * 6
    with pytest.raises(ShapeError, match=r"output_size: 5 windows of 3 .* dimension 1, got 6"):
        fractional_geometry((1, 1, 5, 6), (2, 3), (4, 5))


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2))
def test_unpooled_sizes_are_those_that_pool_to_the_given_one(out, kernel, stride, padding):
    pads = ((padding, padding),)
    default = (out - 1) * stride + kernel - 2 * padding
    for size in range(max(1, default - stride - 2), default + stride + 3):
        try:
            assert unpooled_sizes((out,), (kernel,), (stride,), pads, (size,)) == (size,)
        except ShapeError:
            assert abs(size - default) >= stride
        else:
            pooled = (size + 2 * padding - kernel) / stride + 1
            assert out in (math.floor(pooled), math.ceil(pooled))
