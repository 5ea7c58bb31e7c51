"""Phases of an axis against the definition: which taps and positions every element is a sum of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastconv.geometry import Axis
from fastconv.lowering.turned import phase_axes


def by_definition(axis):
    """Which (tap, position) every element has a term of."""
    return [
        {
            (tap, position)
            for tap in range(axis.kernel)
            for position in range(axis.out)
            if position * axis.stride + tap * axis.dilation - axis.before == element
        }
        for element in range(axis.size)
    ]


def by_phases(axis):
    """The same by the forward convolutions; an element in two phases or none is an error."""
    found = [None] * axis.size
    for phase in phase_axes(axis):
        elements = list(range(axis.size))[phase.elements]
        assert len(elements) == phase.count
        taps = list(range(axis.kernel))[phase.tap_slice] if phase.axis else []
        for number, element in enumerate(elements):
            assert found[element] is None
            found[element] = set()
            for place, tap in enumerate(taps):
                assert phase.axis.stride == 1
                position = number + place * phase.axis.dilation - phase.axis.before
                if 0 <= position < axis.out:
                    found[element].add((tap, position))
    return found


@st.composite
def axes(draw):
    size, kernel = draw(st.integers(1, 20)), draw(st.integers(1, 6))
    stride, dilation = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    before, after = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    axis = Axis(size, kernel, stride, dilation, before, after)
    out = max(1, axis.fits) - draw(st.integers(0, 2))
    return Axis(size, kernel, stride, dilation, before, after, max(1, out))


@given(axes())
def test_every_element_has_its_terms(axis):
    assert by_phases(axis) == by_definition(axis)


@given(axes())
def test_axes_are_of_the_positions_that_fit(axis):
    for phase in phase_axes(axis):
        if phase.axis is not None:
            assert phase.axis.size == axis.out
            assert phase.axis.kernel == len(phase.taps)
            assert phase.axis.fits == phase.axis.out == phase.count


@pytest.mark.parametrize(
    ("axis", "taps"),
    [
        (Axis(8, 3, 1, 1, 1, 1, 8), [[2, 1, 0]]),
        (Axis(8, 4, 2, 1, 1, 1, 4), [[3, 1], [2, 0]]),
        (Axis(8, 3, 2, 1, 1, 1, 4), [[1], [2, 0]]),
        (Axis(8, 1, 2, 1, 0, 0, 4), [[0], []]),
        (Axis(9, 3, 2, 2, 2, 2, 5), [[2, 1, 0], []]),
        (Axis(9, 3, 3, 2, 0, 0, 2), [[0], [2], [1]]),
        (Axis(1, 2, 3, 1, 0, 1, 1), [[0]]),
    ],
)
def test_taps_of_each_phase(axis, taps):
    assert [list(phase.taps) for phase in phase_axes(axis)] == taps
