import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from fastconv import ShapeError
from fastconv.geometry import window_geometry
from fastconv.lowering.blocks import boxes
from fastconv.lowering.im2col import (
    BoxWindows,
    columns_order,
    depth_first_order,
    fill_columns,
)
from tests import oracle
from tests.helpers import distinct
from tests.strategies import axis_arguments

AXES = st.lists(axis_arguments(6), min_size=1, max_size=3)


def geometry_of(axes, batch=2, channels=2):
    sizes, kernel, stride, pads, dilation = zip(*axes, strict=True)
    try:
        return window_geometry((batch, channels, *sizes), kernel, stride, pads, dilation)
    except ShapeError:
        assume(False)


@given(AXES, st.integers(1, 60), st.sampled_from([0.0, -7.0]))
def test_boxes_of_windows_make_up_the_columns(axes, most, pad_value):
    geometry = geometry_of(axes)
    x = distinct(*geometry.input_shape)
    _, kernel, stride, pads, dilation = zip(*axes, strict=True)
    columns = np.full((2, 2, *geometry.kernel, *geometry.out), np.nan)
    for box in boxes(geometry.out, most):
        windows = BoxWindows.of(geometry.axes, box).view(x, pad_value)
        assert windows.shape == (2, 2, *box.out, *geometry.kernel)
        place = (..., *(slice(*r) for r in box.ranges))
        fill_columns(windows, columns[place], columns_order(geometry.rank))
    expected = oracle.im2col(x, kernel, stride, pads, dilation, pad_value)
    np.testing.assert_array_equal(columns.reshape(expected.shape), expected)


def test_orders_name_the_axes():
    for rank in range(1, 5):
        n, c = 7, 5
        out, kernel = tuple(range(11, 11 + rank)), tuple(range(21, 21 + rank))
        windows = np.broadcast_to(0.0, (n, c, *out, *kernel))
        assert windows.transpose(columns_order(rank)).shape == (n, c, *kernel, *out)
        assert windows.transpose(depth_first_order(rank)).shape == (c, *kernel, n, *out)


def test_windows_without_padding_are_a_view_of_the_input():
    x = distinct(2, 3, 6, 6)
    geometry = window_geometry(x.shape, (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1))
    for box in boxes(geometry.out, 8):
        assert np.shares_memory(BoxWindows.of(geometry.axes, box).view(x), x)
