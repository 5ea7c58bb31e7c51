"""Every exact algorithm, forced by name, on all problems it accepts: bit for bit the oracle's."""

import pytest
from hypothesis import given

from fastconv import PlanError, Problem, settings
from fastconv.plan import plan_for
from tests.helpers import (
    EXACT_NAMES,
    accepting,
    all_lines,
    expected,
    fenced,
    inputs_of,
    same,
    solved,
)
from tests.strategies import KINDS, problems

LINES = all_lines()
CASES = [(line, name) for line in LINES for name in accepting(Problem.parse(line))]


@pytest.fixture(scope="module")
def by_oracle():
    known = {}

    def result(line):
        if line not in known:
            problem = Problem.parse(line)
            inputs = tuple(None if a is None else fenced(a) for a in inputs_of(problem))
            known[line] = problem, inputs, expected(problem, inputs)
        return known[line]

    return result


def check(results, expectations):
    for result, expectation in zip(results, expectations, strict=True):
        same(result, expectation)


@pytest.mark.parametrize(("line", "name"), CASES)
def test_agrees_with_the_oracle(line, name, by_oracle):
    problem, inputs, expectation = by_oracle(line)
    check(solved(problem, inputs, name), expectation)


@pytest.mark.parametrize(("line", "name"), CASES)
def test_agrees_with_the_oracle_in_the_smallest_blocks(line, name, by_oracle):
    problem, inputs, expectation = by_oracle(line)
    for limit in (4096, 512, 96):
        with settings(algorithm=name, max_scratch_bytes=limit):
            try:
                plan_for(problem)
            except PlanError:
                break
        check(solved(problem, inputs, name, max_scratch_bytes=limit), expectation)


def test_the_list_reaches_every_algorithm():
    assert {name for _, name in CASES} == set(EXACT_NAMES)


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
def test_the_list_compares_the_loops_with_another_algorithm(kind):
    names = {name for line, name in CASES if line.split()[:2] == list(kind)}
    assert "naive" in names
    assert len(names) > 1


@given(problems())
def test_agree_with_each_other_on_any_problem(problem):
    names = accepting(problem)
    assert names
    inputs = inputs_of(problem)
    expectation = expected(problem, inputs)
    for name in names:
        check(solved(problem, inputs, name), expectation)


@pytest.mark.parametrize(("line", "name"), [c for c in CASES if c[0].startswith("conv forward")])
def test_without_bias(line, name, by_oracle):
    problem, (x, w, b), (with_bias,) = by_oracle(line)
    channels_last = problem.layout == "channels_last"
    b = b.astype(with_bias.dtype)
    without = with_bias - b.reshape(-1, *(1,) * (0 if channels_last else problem.conv.rank))
    check(solved(problem, (x, w, None), name), (without,))
