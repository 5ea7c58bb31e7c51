"""A plan moves axes for algorithms that know channels first only, and counts what it copies."""

import math

import numpy as np
import pytest

from fastconv import ParameterError, Problem, settings
from fastconv.algorithms import ALGORITHMS
from fastconv.plan import plan_for
from fastconv.plan.plan import takes_views
from fastconv.problem import DIRECTIONS, WITHOUT_LAYOUT
from tests.helpers import inputs_of

NAMES = {algorithm.name: algorithm for algorithm in ALGORITHMS}


def both(line):
    words, dtype = line.rsplit(" ", 1)
    return Problem.parse(line), Problem.parse(f"{words} layout=last {dtype}")


@pytest.mark.parametrize("direction", DIRECTIONS["conv"])
def test_columns_need_no_more_memory_in_either_layout(direction):
    first, last = both(f"conv {direction} x=1x3x600x700 w=64x3x3x3 p=1 float32")
    with settings(algorithm="im2col_gemm"):
        assert plan_for(last).scratch_bytes == plan_for(first).scratch_bytes
    assert plan_for(last).algorithm  # its arrays are larger than the memory that copies may take


@pytest.mark.parametrize(
    ("line", "copied"),
    [
        ("max_pool forward x=1x3x9x8 k=2 s=2 float32", 4 * (3 * 72 + 3 * 16)),
        ("max_pool forward x=1x3x9x8 k=2 s=2 indices=1 float64", 8 * (3 * 72 + 2 * 3 * 16)),
        ("avg_pool input_gradient x=2x3x9 k=3 s=3 float32", 4 * (6 * 9 + 6 * 3)),
        ("scatter forward x=1x2x9 o=4 float32", 4 * (2 * 9 + 2 * 4) + 8 * 2 * 4),
    ],
)
def test_copies_are_counted(line, copied):
    first, last = both(line)
    with settings(algorithm="pooling"):
        more = plan_for(last).scratch_bytes - plan_for(first).scratch_bytes
    assert more == (0 if takes_views(NAMES["pooling"], last) else copied)


def test_the_loops_never_refuse_for_want_of_memory():
    _, last = both("max_pool forward x=1x3x9x8 k=2 s=2 float32")
    with settings(algorithm="naive", max_scratch_bytes=0):
        assert plan_for(last).scratch_bytes == 0


def test_a_weight_gradient_is_in_no_layout():
    first, last = both("conv weight_gradient x=2x3x9x8 w=4x3x3x3 float32")
    assert first.result_shape == last.result_shape == (4, 3, 3, 3)
    assert (last.x_shape, last.y_shape) == ((2, 9, 8, 3), (2, 7, 6, 4))


@pytest.mark.parametrize("operation", WITHOUT_LAYOUT)
def test_an_operation_without_a_layout_says_so(operation):
    with pytest.raises(ParameterError, match=f"{operation} has no layout"):
        Problem.parse(f"{operation} forward x=1x1x4 k=2 layout=last float32")


@pytest.mark.parametrize("name", ["im2col_gemm", "pointwise"])
def test_views_are_filled_in_place(name, monkeypatch):
    """What takes views is handed the caller's memory, not a copy of it."""
    _, last = both("conv input_gradient x=2x3x5x4 w=6x3x1x1 float64")
    seen = []
    run = type(NAMES[name]).run

    def recorded(self, problem, inputs, outputs, *rest):
        seen.extend(outputs)
        return run(self, problem, inputs, outputs, *rest)

    monkeypatch.setattr(type(NAMES[name]), "run", recorded)
    out = np.empty(last.result_shape)
    with settings(algorithm=name):
        plan_for(last).run(inputs_of(last), (out,))
    assert seen[0].base is out
    assert seen[0].shape == (2, 3, 5, 4)
    assert math.prod(seen[0].shape) == out.size
