"""Values moved to places of planes: in windows side by side or anywhere, and outside of planes."""

import numpy as np
import pytest

import fastconv as F
from fastconv import Problem, reference
from fastconv.errors import ParameterError
from tests.helpers import ints, solved

pytest.importorskip("numba")


def places_of_windows(problem, rng):
    """A place in the window of every value, where windows lie side by side."""
    sizes, out = problem.scatter.sizes, problem.scatter.out
    places = np.zeros(problem.scatter.output_shape, np.int64)
    for size, count, indices in zip(sizes, out, np.indices(out), strict=True):
        step = size // count
        places = places * size + indices * step + rng.integers(0, step, places.shape)
    return places


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("foreign", ["none", "in one plane", "none at all"])
@pytest.mark.parametrize(
    "line",
    [
        "scatter forward x=2x5x6x38 o=3x19 float32",
        "scatter forward x=1x3x4x70 o=2x35 float64",
        "scatter forward x=2x3x8x33 o=4x33 float32",
        "scatter forward x=1x2x3x40 o=3x20 float32",
    ],
)
def test_windows_side_by_side(line, foreign, threads):
    problem, rng = Problem.parse(line), np.random.default_rng(len(line))
    values = ints(*problem.scatter.output_shape, dtype=problem.dtype)
    values.flat[::7] = -0.0
    places = places_of_windows(problem, rng)
    if foreign == "in one plane":
        places[-1, 1, -1, -1] = 0
    if foreign == "none at all":
        places[0, 1, 0, 0] = -1
    (got,) = solved(problem, (values, places), "plane_places", threads=threads)
    (expected,) = solved(problem, (values, places), "naive")
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(expected))


@pytest.mark.parametrize("bad", [-2, 48, 2**32 + 1, -(2**63)])
@pytest.mark.parametrize("module", [F, reference], ids=["fastconv", "reference"])
def test_places_outside_of_planes_are_refused(module, bad):
    x, places = np.ones((1, 2, 3, 4)), np.zeros((1, 2, 3, 4), np.int64)
    places[0, 1, 2, 3] = bad
    calls = (
        lambda: module.max_pool2d_backward(x, places, (1, 2, 6, 8)),
        lambda: module.max_unpool2d(x, places, 2),
        lambda: module.max_unpool2d_backward(np.ones((1, 2, 6, 8)), places, (1, 2, 3, 4)),
    )
    for call in calls:
        with pytest.raises(ParameterError, match=rf"in \[0, 48\).*got {bad}"):
            call()
