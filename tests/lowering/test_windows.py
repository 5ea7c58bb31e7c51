import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastconv import ShapeError
from fastconv.lowering.windows import window_view
from tests.helpers import distinct


def address_range(array):
    return np.lib.array_utils.byte_bounds(array)


@given(
    st.lists(
        st.tuples(st.integers(1, 7), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)),
        min_size=1,
        max_size=3,
    )
)
def test_every_element_is_the_one_its_window_and_tap_say(axes):
    sizes, kernel, stride, dilation = zip(*axes, strict=True)
    x = distinct(2, 2, *sizes)
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if any(extent > size for extent, size in zip(extents, sizes, strict=True)):
        with pytest.raises(ShapeError, match="kernel_size"):
            window_view(x, kernel, stride, dilation)
        return
    view = window_view(x, kernel, stride, dilation)
    rank = len(axes)
    for index in np.ndindex(*view.shape[2:]):
        place = tuple(
            o * s + t * d
            for o, t, s, d in zip(index[:rank], index[rank:], stride, dilation, strict=True)
        )
        assert (view[(..., *index)] == x[(..., *place)]).all()
    for size, extent, step, out in zip(sizes, extents, stride, view.shape[2:], strict=False):
        assert (out - 1) * step + extent <= size < out * step + extent


ODD = {
    "fortran": lambda x: np.asfortranarray(x),
    "reversed": lambda x: x[:, :, ::-1, ::-1],
    "strided": lambda x: np.repeat(x, 2, axis=3)[..., ::2],
    "permuted": lambda x: np.ascontiguousarray(x.transpose(3, 1, 0, 2)).transpose(2, 1, 3, 0),
    "broadcast": lambda x: np.broadcast_to(x[:, :, :1], x.shape),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_the_view_lies_inside_its_array_whatever_the_strides(odd):
    x = odd(distinct(2, 3, 6, 7))
    view = window_view(x, (3, 2), (2, 1), (1, 2))
    low, high = address_range(view)
    first, last = address_range(x)
    assert first <= low
    assert high <= last
    assert np.shares_memory(view, x)
    plain = window_view(np.ascontiguousarray(x), (3, 2), (2, 1), (1, 2))
    np.testing.assert_array_equal(view, plain)


def test_the_view_is_read_only_and_the_array_stays_writable():
    x = np.zeros((1, 1, 4))
    view = window_view(x, (2,), (1,), (1,))
    assert not view.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0, 0, 0] = 1
    assert x.flags.writeable


def test_huge_steps_of_a_single_window_stay_inside():
    x = np.zeros((1, 1, 4))
    view = window_view(x, (1,), (2**40,), (2**40,))
    assert view.shape == (1, 1, 1, 1)
    assert address_range(view)[1] <= address_range(x)[1]
