import math

import numpy as np
import pytest

from fastconv import PlanError, Problem
from fastconv.algorithms import ALGORITHMS
from fastconv.cli.operands import blank_outputs, operands, run_problem, terms, tolerance
from fastconv.cli.problems import edge_problems
from fastconv.dtypes import row_of

PROBLEMS = edge_problems()
SHAPES = {
    "conv forward x=2x4x5x6 w=6x2x3x3 p=1 g=2 float32": [(2, 4, 5, 6), (6, 2, 3, 3), (6,)],
    "conv input_gradient x=2x4x5 w=6x4x3 float64": [(6, 4, 3), (2, 6, 3)],
    "conv weight_gradient x=2x4x5 w=6x4x3 float64": [(2, 4, 5), (2, 6, 3)],
    "max_pool forward x=2x4x5 k=3 indices=1 float32": [(2, 4, 5)],
    "avg_pool forward x=2x4x5 k=3 float32": [(2, 4, 5)],
    "avg_pool input_gradient x=2x4x5 k=3 float32": [(2, 4, 3)],
    "columns forward x=2x4x5 k=3 float32": [(2, 4, 5), ()],
    "columns input_gradient x=2x4x5 k=3 float32": [(2, 12, 3)],
    "scatter forward x=2x4x5 o=3 float32": [(2, 4, 3), (2, 4, 3)],
    "unpool forward x=2x4x5 o=3 float32": [(2, 4, 3), (2, 4, 3)],
    "gather forward x=2x4x5 o=3 float32": [(2, 4, 5), (2, 4, 3)],
    "lp_pool input_gradient x=2x4x5 k=3 norm=2 float32": [(2, 4, 3), (2, 4, 5), (2, 4, 3)],
    "adaptive_avg_pool input_gradient x=2x4x5 o=3 float32": [(2, 4, 3)],
    "fractional_max_pool forward x=2x4x5x6 o=3x2 k=1 float32": [(2, 4, 5, 6), (2, 4, 5)],
}


@pytest.mark.parametrize(("line", "shapes"), SHAPES.items())
def test_shapes_and_dtypes(line, shapes):
    problem = Problem.parse(line)
    arrays = operands(problem)
    assert [array.shape for array in arrays] == shapes
    kinds = [problem.dtype] * len(arrays)
    if problem.operation in ("scatter", "unpool", "gather", "fractional_max_pool"):
        kinds[1] = np.dtype(np.int64)
    assert [array.dtype for array in arrays] == kinds


def test_the_same_again_or_other_data():
    first, second = (Problem.parse(f"avg_pool forward x=1x2x{n} k=2 float32") for n in (9, 10))
    np.testing.assert_array_equal(operands(first)[0], operands(first)[0])
    assert (operands(first)[0] != operands(first, seed=1)[0]).any()
    assert (operands(first)[0] != operands(second)[0][..., :9]).any()


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_sums_of_integers_are_exact(problem):
    arrays = operands(problem)
    limit = row_of(problem.dtype).exact_limit
    arrays = [array for array in arrays if array is not None]
    for array in arrays:
        array = array.astype(complex)
        whole = array * 4 if problem.operation == "deform_conv" else array  # offsets are quarters
        assert (whole == np.rint(whole)).all()
    largest = [max(map(float, np.abs(array).ravel()), default=0) for array in arrays]
    product = math.prod(largest[:2]) if problem.operation == "conv" else largest[0]
    assert product * terms(problem) <= limit


def test_long_sums_get_smaller_integers():
    short = Problem.parse("conv weight_gradient x=1x1x9 w=1x1x2 float32")
    long = Problem.parse("conv weight_gradient x=1x1x4000000 w=1x1x2 float32")
    assert np.abs(operands(short)[0]).max() > np.abs(operands(long)[0]).max() == 2


def test_gradients_of_averages_are_divided_without_remainder():
    problem = Problem.parse("avg_pool input_gradient x=1x2x7x6 k=3 s=2 p=1 ceil=1 pad=0 float32")
    (gx,) = run_problem(problem, operands(problem))
    assert (gx == np.rint(gx)).all()


def test_indices_of_a_scatter_lie_in_the_plane():
    problem = Problem.parse("scatter forward x=2x3x2x2 o=9x9 float32")
    indices = operands(problem)[1]
    assert set(np.unique(indices)) == {-1, 0, 1, 2, 3}


def test_special_data_spoils_the_data_and_not_the_weights():
    for direction, place in (("forward", 0), ("input_gradient", 1), ("weight_gradient", 0)):
        problem = Problem.parse(f"conv {direction} x=1x2x9 w=3x2x2 float32")
        spoiled = [bool((~np.isfinite(array)).any()) for array in operands(problem, "special")]
        assert [index for index, spoilt in enumerate(spoiled) if spoilt] == [place]


def test_blank_outputs_show_what_was_not_written():
    y, indices = blank_outputs(Problem.parse("max_pool forward x=1x1x4 k=2 indices=1 float64"))
    assert np.isnan(y).all()
    assert (indices < -1).all()


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_every_element_is_written(problem):
    inputs = operands(problem)
    hole = problem.operation == "avg_pool" and not problem.count_include_pad  # a mean of nothing
    for output in run_problem(problem, inputs):
        assert hole or not np.isnan(output).any()


def test_an_algorithm_is_forced_by_name(plans):
    problem = Problem.parse("conv forward x=1x2x5 w=2x2x1 float32")
    for algorithm in ALGORITHMS:
        try:
            run_problem(problem, operands(problem), algorithm.name)
        except PlanError:
            continue
        assert plans[-1].algorithm == algorithm.name
    with pytest.raises(PlanError, match="refuses"):
        run_problem(problem, operands(problem), "pooling")


def test_the_tolerance_grows_with_the_sum_and_its_size():
    short = Problem.parse("conv forward x=1x1x9 w=1x1x2 float32")
    long = Problem.parse("conv forward x=1x90x9 w=1x90x2 float32")
    ones = np.ones(3, np.float32)
    assert tolerance(short, ones) < tolerance(long, ones) < tolerance(long, 100 * ones)
    assert tolerance(short, np.array([1, np.nan, np.inf])) == tolerance(short, ones)
