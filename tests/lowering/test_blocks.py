import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastconv.lowering.blocks import boxes, largest_box, sample_ranges

OUT = st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple)
MOST = st.integers(0, 400)


@given(OUT, MOST)
def test_every_position_is_in_exactly_one_box(out, most):
    visits = np.zeros(out, int)
    for box in boxes(out, most):
        visits[tuple(slice(*r) for r in box.ranges)] += 1
    assert (visits == 1).all()


@given(OUT, MOST)
def test_a_box_has_at_most_the_positions_allowed_and_at_least_one(out, most):
    assert all(1 <= box.positions <= max(1, most) for box in boxes(out, most))


@given(OUT, MOST)
def test_a_box_is_contiguous_when_flattened(out, most):
    flat = np.arange(math.prod(out)).reshape(out)
    for box in boxes(out, most):
        inside = flat[tuple(slice(*r) for r in box.ranges)]
        assert inside.shape == box.out
        assert inside.size == box.positions
        assert inside.ravel().tolist() == flat.ravel()[box.flat].tolist()


@given(OUT, MOST)
def test_no_box_is_larger_than_the_largest(out, most):
    assert largest_box(out, most).positions == max(box.positions for box in boxes(out, most))


@given(st.integers(1, 300), st.integers(1, 400))
def test_there_are_no_more_boxes_than_the_limit_demands(size, most):
    assert len(list(boxes((size,), most))) == -(-size // most)


@given(st.integers(0, 40), st.integers(1, 50), MOST)
def test_every_sample_is_in_exactly_one_range(batch, positions, most):
    visits = np.zeros(batch, int)
    for part in sample_ranges(batch, positions, most):
        visits[part] += 1
        count = part.stop - part.start
        assert count == 1 or count * positions <= most
    assert (visits == 1).all()


def test_no_samples_no_ranges():
    assert list(sample_ranges(0, 4, 10)) == []
