"""Norms whose powers and roots are rounded: within a few roundings of the oracle."""

import numpy as np
import pytest

from fastconv import Problem
from fastconv.cli.operands import operands
from fastconv.dtypes import row_of
from tests.helpers import accepting, expected, inexact_lines, solved

CASES = [(line, name) for line in inexact_lines() for name in accepting(Problem.parse(line))]


@pytest.mark.parametrize(("line", "name"), CASES)
def test_near_the_oracle(line, name):
    problem = Problem.parse(line)
    inputs = operands(problem)  # no negative sums, which have no roots
    (truth,) = expected(problem, inputs)
    (result,) = solved(problem, inputs, name)
    bound = 8 * row_of(problem.dtype).tolerance
    largest = np.abs(truth[np.isfinite(truth)]).max()
    np.testing.assert_allclose(result, truth, rtol=bound, atol=bound * largest)


def test_the_list_holds_each_kind():
    assert {line.split()[1] for line, _ in CASES} == {"forward", "input_gradient"}
    assert {name for _, name in CASES} == {"pooling", "naive"}
