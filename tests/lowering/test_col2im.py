import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastconv.lowering.blocks import boxes
from fastconv.lowering.col2im import add_columns
from tests import oracle
from tests.helpers import ints
from tests.lowering.test_im2col import AXES, geometry_of


@given(AXES, st.integers(1, 60))
def test_boxes_of_columns_add_up_to_the_input(axes, most):
    geometry = geometry_of(axes)
    columns = ints(*geometry.columns_shape)
    split = columns.reshape(2, 2, *geometry.kernel, *geometry.out)
    x = np.ones(geometry.input_shape)
    for box in boxes(geometry.out, most):
        place = (..., *(slice(*r) for r in box.ranges))
        add_columns(split[place], x, geometry.axes, box)
    sizes, kernel, stride, pads, dilation = zip(*axes, strict=True)
    np.testing.assert_array_equal(
        x - 1, oracle.col2im(columns, sizes, kernel, stride, pads, dilation)
    )
