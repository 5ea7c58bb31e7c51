"""Geometry by the inequalities that define it, and by brute force; never by its own formula."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fastconv import ShapeError
from fastconv.geometry import (
    MAX_ELEMENTS,
    Axis,
    batched_shape,
    conv_geometry,
    window_geometry,
)
from fastconv.planes import ScatterGeometry
from tests import oracle
from tests.strategies import axis_arguments


def axis_of(size, kernel, stride, padding, dilation, ceil_mode=False):
    geometry = window_geometry(
        *((1, 1, size), (kernel,), (stride,), (padding,), (dilation,)),
        "ceil" if ceil_mode else "floor",
    )
    return geometry.axes[0]


def fitting(arguments, ceil_mode=False):
    try:
        return axis_of(*arguments, ceil_mode)
    except ShapeError:
        assume(False)


def reads(axis, position, tap):
    return position * axis.stride + tap * axis.dilation - axis.before


@given(axis_arguments())
def test_output_size_is_the_largest_whose_last_window_fits(arguments):
    axis = fitting(arguments)
    end = axis.size + axis.after
    assert reads(axis, axis.out - 1, axis.kernel - 1) < end
    assert reads(axis, axis.out, axis.kernel - 1) >= end


@given(axis_arguments(), st.booleans())
def test_output_size_is_what_walking_counts(arguments, ceil_mode):
    count = oracle.output_size(*arguments, ceil_mode=ceil_mode)
    if count < 1:
        with pytest.raises(ShapeError, match="kernel_size"):
            axis_of(*arguments, ceil_mode)
    else:
        assert axis_of(*arguments, ceil_mode).out == count


@given(axis_arguments())
def test_ceil_mode_adds_at_most_one_window_that_starts_before_the_end_padding(arguments):
    size, kernel, _, (before, after), dilation = arguments
    assume(max(before, after) <= (dilation * (kernel - 1) + 1) // 2)  # as PyTorch demands
    floor, ceil = fitting(arguments), fitting(arguments, ceil_mode=True)
    assert floor.out <= ceil.out <= floor.out + 1
    assert reads(ceil, ceil.out - 1, 0) < size
    reaches_end = reads(ceil, ceil.out - 1, kernel - 1) >= size + after - 1
    assert reaches_end or reads(ceil, ceil.out, 0) >= size


@given(axis_arguments(), st.booleans())
def test_inside_is_exactly_the_positions_that_read_the_input(arguments, ceil_mode):
    axis = fitting(arguments, ceil_mode)
    for tap in range(axis.kernel):
        real = [o for o in range(axis.out) if 0 <= reads(axis, o, tap) < axis.size]
        assert list(range(*axis.inside(tap))) == real


@given(axis_arguments(), st.data())
def test_inside_of_a_part_is_the_part_of_inside(arguments, data):
    axis = fitting(arguments)
    start = data.draw(st.integers(0, axis.out - 1))
    stop = data.draw(st.integers(start, axis.out))
    for tap in range(axis.kernel):
        low, high = axis.inside(tap, start, stop)
        assert low <= high
        real = [o for o in range(start, stop) if 0 <= reads(axis, o, tap) < axis.size]
        assert list(range(low, high)) == real


@given(axis_arguments(), st.booleans())
def test_source_is_the_elements_read(arguments, ceil_mode):
    axis = fitting(arguments, ceil_mode)
    for tap in range(axis.kernel):
        low, high = axis.inside(tap)
        if low < high:
            expected = [reads(axis, o, tap) for o in range(low, high)]
            assert list(range(axis.size))[axis.source(tap, low, high)] == expected


@given(axis_arguments(), st.booleans(), st.booleans())
def test_counts_are_the_taps_that_count(arguments, ceil_mode, include_pad):
    axis = fitting(arguments, ceil_mode)
    low, high = (-axis.before, axis.size + axis.after) if include_pad else (0, axis.size)
    expected = [
        sum(low <= reads(axis, o, tap) < high for tap in range(axis.kernel))
        for o in range(axis.out)
    ]
    assert list(axis.counts(include_pad)) == expected


@given(axis_arguments(), st.booleans())
def test_padded_says_whether_a_tap_reads_padding(arguments, ceil_mode):
    axis = fitting(arguments, ceil_mode)
    places = [reads(axis, o, tap) for o in range(axis.out) for tap in range(axis.kernel)]
    if not axis.padded:
        assert all(0 <= place < axis.size for place in places)
    elif not axis.before:
        assert any(place >= axis.size for place in places)
    assert axis.last == max(places) + 1
    assert axis.extent == places[axis.kernel - 1] - places[0] + 1


@given(
    st.integers(1, 20),
    st.integers(1, 7),
    st.integers(1, 5),
    st.integers(1, 3),
    st.sampled_from(["same", "same_lower"]),
)
def test_same_is_the_least_padding_for_one_window_per_stride(size, kernel, stride, dilation, form):
    geometry = window_geometry((1, 1, size), (kernel,), (stride,), form, (dilation,))
    axis = geometry.axes[0]
    assert axis.out == len(range(0, size, stride))
    pair = oracle.same_padding(size, kernel, stride, dilation, form == "same_lower")
    assert (axis.before, axis.after) == pair


def test_valid_is_no_padding():
    geometry = window_geometry((1, 1, 9, 9), (3, 3), (2, 2), "valid", (1, 1))
    assert [(axis.before, axis.after) for axis in geometry.axes] == [(0, 0), (0, 0)]


def test_window_geometry_properties():
    geometry = window_geometry((2, 3, 8, 9), (3, 2), (2, 1), ((1, 1), (0, 0)), (1, 2))
    assert geometry.input_shape == (2, 3, 8, 9)
    assert geometry.output_shape == (2, 3, 4, 7)
    assert geometry.columns_shape == (2, 3 * 6, 4 * 7)
    assert (geometry.rank, geometry.taps, geometry.positions, geometry.plane) == (2, 6, 28, 72)
    assert geometry.padded


def test_conv_geometry_properties():
    geometry = conv_geometry((2, 6, 8), (4, 3, 3), (1,), ((0, 0),), (1,), 2)
    assert geometry.weight_shape == (4, 3, 3)
    assert geometry.output_shape == (2, 4, 6)
    assert (geometry.m, geometry.k) == (2, 9)
    assert geometry.multiply_adds == 2 * 4 * 6 * 9


def test_scatter_geometry_properties():
    geometry = ScatterGeometry(2, 3, (4, 5), (2, 2))
    assert geometry.input_shape == (2, 3, 4, 5)
    assert geometry.output_shape == (2, 3, 2, 2)


@pytest.mark.parametrize(("shape", "rank"), [((2, 3, 4), 1), ((2, 3, 4, 5), 2), ((0, 3, 4), 1)])
def test_batched_shapes_stay(shape, rank):
    assert batched_shape("input", shape, rank) == shape


def test_unbatched_shapes_get_a_batch_of_one():
    assert batched_shape("input", (3, 4, 5), 2) == (1, 3, 4, 5)


@pytest.mark.parametrize(
    ("shape", "rank", "words"),
    [
        ((), 1, r"input: expected shape \(N, C, W\) or \(C, W\), got \(\)"),
        ((3,), 1, r"\(C, W\), got \(3,\)"),
        ((1, 2, 3, 4), 1, r"got \(1, 2, 3, 4\)"),
        ((3, 4), 2, r"\(N, C, H, W\) or \(C, H, W\)"),
        ((1, 2, 3), 3, r"\(C, D, H, W\)"),
        ((1, 0, 3), 1, "at least 1"),
        ((1, 2, 0), 1, "at least 1"),
        ((0, 3), 1, "at least 1"),
    ],
)
def test_shapes_of_the_wrong_rank_or_with_zeros(shape, rank, words):
    with pytest.raises(ShapeError, match=words):
        batched_shape("input", shape, rank)


ONE = ((1, 1), ((0, 0), (0, 0)), (1, 1))


@pytest.mark.parametrize(
    ("input_shape", "weight_shape", "groups", "words"),
    [
        ((1, 3, 5, 5), (2, 4, 3, 3), 1, "weight: .*4 channels.*1, 3, 5, 5"),
        ((1, 4, 5, 5), (2, 4, 3, 3), 2, "weight: .*groups=2 expects .*8 channels"),
        ((1, 3, 5, 5), (2, 1, 3, 3), 2, "groups: 2 must divide .*3 channels.*2 output"),
        ((1, 4, 5, 5), (3, 2, 3, 3), 2, "groups: 2 must divide .*3 output"),
        ((1, 3, 5, 5), (2, 3, 3), 1, "weight: expected 4 dimensions"),
        ((1, 3, 5, 5), (2, 3, 0, 3), 1, "weight: .*at least 1"),
        ((1, 3, 5, 5), (0, 3, 3, 3), 1, "weight: .*at least 1"),
        ((1, 3, 5, 5), (2, 3, 3, 6), 1, "kernel_size: .*6 elements.*dimension 1 of 5"),
    ],
)
def test_convolutions_that_do_not_fit(input_shape, weight_shape, groups, words):
    with pytest.raises(ShapeError, match=words):
        conv_geometry(input_shape, weight_shape, *ONE, groups)


@pytest.mark.parametrize("excess", [1, MAX_ELEMENTS])
def test_absurd_sizes_are_refused(excess):
    with pytest.raises(ShapeError, match="more than"):
        window_geometry((1, 1, 8), (1,), (1,), ((0, MAX_ELEMENTS - 8 + excess),), (1,))


def test_axes_are_hashable_and_frozen():
    axis = Axis(5, 3)
    assert hash(axis) == hash(Axis(5, 3))
    with pytest.raises(AttributeError):
        axis.size = 6


@given(axis_arguments(), st.booleans())
def test_a_span_is_what_the_taps_of_a_window_read(arguments, ceil_mode):
    axis = fitting(arguments, ceil_mode)
    for position in range(axis.out):
        first = position * axis.stride - axis.before
        read = [first + tap * axis.dilation for tap in range(axis.kernel)]
        held = [element for element in read if 0 <= element < axis.size]
        assert list(range(axis.size))[axis.span(position)] == held


@pytest.mark.parametrize(("stride", "windows"), [(1, 7), (2, 4), (3, 3), (4, 3), (9, 2)])
def test_rounding_to_cover_all_reaches_every_element(stride, windows):
    geometry = window_geometry((1, 1, 7), (1,), (stride,), ((0, 0),), (1,), "cover_all")
    assert geometry.out == (windows,)
    assert (windows - 1) * stride >= 6
