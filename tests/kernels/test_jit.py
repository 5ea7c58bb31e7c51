import numpy as np
import pytest

numba = pytest.importorskip("numba")

from fastconv.kernels import jit, naive  # noqa: E402


def add(x, y):
    return x + y


def test_kernels_are_compiled_serially_and_release_the_gil():
    dispatcher = jit.kernel(add)
    assert dispatcher.targetoptions["nogil"] is True
    assert dispatcher.targetoptions["nopython"] is True
    assert not dispatcher.targetoptions.get("parallel", False)
    assert not dispatcher.targetoptions.get("fastmath", False)


def test_division_by_zero_gives_what_numpy_gives():
    @jit.kernel
    def divide(x, y):
        return x / y

    assert np.isnan(divide(0.0, 0.0))
    assert divide(1.0, 0.0) == np.inf


def test_kernels_are_kept_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(jit, "cache_folder", lambda: tmp_path)
    first, second = jit.kernel(add), jit.kernel(add)
    assert (first(1, 2), second(3, 4)) == (3, 7)
    assert sum(first.stats.cache_misses.values()) == 1
    assert sum(second.stats.cache_hits.values()) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_without_a_folder_they_are_compiled_all_the_same(monkeypatch):
    monkeypatch.setattr(jit, "cache_folder", lambda: None)
    assert jit.kernel(add)(1, 2) == 3


def test_every_loop_is_a_kernel():
    loops = [value for value in vars(naive).values() if hasattr(value, "py_func")]
    assert len(loops) > 5
    for loop in loops:
        assert loop.targetoptions["nogil"] is True
        assert loop.py_func.__doc__


@pytest.mark.parametrize("taps", [1, 3])
def test_the_loops_mean_the_same_uncompiled(taps):
    """The definition is Python: what it says does not hang on the compiler."""
    x, w = np.arange(12.0).reshape(1, 2, 1, 1, 6), np.ones((1, 2, 1, 1, taps))
    results = []
    for function in (naive.conv, naive.conv.py_func):
        y = np.full((1, 1, 1, 1, 6), np.nan)
        function(x, w, np.ones(1), y, (1, 1, 1), (0, 0, taps // 2), (1, 1, 1), 1)
        results.append(y)
    np.testing.assert_array_equal(*results)
