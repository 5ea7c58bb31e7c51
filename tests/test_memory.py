"""Memory used again: never while anybody has it, and not without limit."""

import sys
import threading

import numpy as np
import pytest

from fastconv import memory
from tests.helpers import python

FLOAT = np.dtype(np.float32)
pytestmark = pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="counts references")


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch):
    monkeypatch.setattr(memory, "_kept", type(memory._kept)())


def test_shape_dtype_and_alignment():
    for dtype in ("float32", "float64", "complex128", "int8"):
        array = memory.empty((7, 300, 1000), np.dtype(dtype))
        assert array.shape == (7, 300, 1000)
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.ctypes.data % memory.ALIGNMENT == 0


def test_what_nobody_has_is_used_again():
    first = memory.empty((1000, 1000), FLOAT)
    place = first.ctypes.data
    del first
    assert memory.empty((500, 2000), FLOAT).ctypes.data == place


@pytest.mark.parametrize(
    "hold", [lambda a: a, lambda a: a[3:5], lambda a: a.T, memoryview, lambda a: a.view(np.int32)]
)
def test_what_somebody_has_is_not(hold):
    first = memory.empty((1000, 1000), FLOAT)
    first[...] = 7
    held = hold(first)
    del first
    memory.empty((1000, 1000), FLOAT)[...] = 8
    assert np.asarray(held).ravel()[0] != 8


def test_small_and_huge_arrays_are_not_kept():
    memory.empty((10, 10), FLOAT)
    memory.empty((memory.MOST_KEPT // 4 + 1,), FLOAT)
    assert not memory._kept


def test_a_much_larger_array_is_not_taken_for_a_small_one():
    place = memory.empty((4000, 1000), FLOAT).ctypes.data
    small = memory.empty((1000, 1000), FLOAT)
    assert small.ctypes.data != place


def test_what_is_kept_is_limited():
    arrays = [memory.empty((1000, 1000 + i), FLOAT) for i in range(40)]
    assert sum(each.nbytes for each, _ in memory._kept) <= memory.MOST_KEPT + memory.ALIGNMENT
    for number, array in enumerate(arrays):
        array[...] = number
    assert all((array == number).all() for number, array in enumerate(arrays))


def test_threads_never_get_the_same():
    together, wrong = threading.Barrier(4), []

    def work(mark):
        together.wait()
        for _ in range(200):
            array = memory.empty((600, 300), FLOAT)
            array[...] = mark
            if not (array == mark).all():
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_result_survives_the_next_call():
    code = """
import numpy as np, fastconv as F
x = np.ones((1, 4, 300, 300), np.float32)
w = np.ones((4, 4, 3, 3), np.float32)
first = F.conv2d(x, w)
kept = first.copy()
second = F.conv2d(x * 2, w)
print((first == kept).all(), (second == 2 * kept).all())
"""
    assert python(code) == "True True"
