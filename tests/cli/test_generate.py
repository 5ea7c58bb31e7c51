from itertools import islice

import numpy as np

from fastconv import Problem
from fastconv.cli.generate import MOST_WORK, PAIRS, random_draft, random_problems, work
from fastconv.dtypes import with_bfloat16

MANY = list(islice(random_problems(3), 1500))


def test_the_same_seed_draws_the_same():
    assert list(islice(random_problems(3), 20)) == MANY[:20]
    assert list(islice(random_problems(4), 20)) != MANY[:20]


def test_lines_repeat_problems():
    assert all(Problem.parse(str(problem)) == problem for problem in MANY)


def test_everything_comes_up():
    assert {(problem.operation, problem.direction) for problem in MANY} == set(PAIRS)
    ranks = {(problem.operation, len(problem.geometry.sizes)) for problem in MANY}
    expected = {(operation, rank) for operation, _ in PAIRS for rank in (1, 2, 3)}
    expected -= {("deform_conv", 1), ("deform_conv", 3)}
    assert ranks == expected | {("columns", 4)}
    assert {problem.dtype.name for problem in MANY} == set(with_bfloat16())
    assert {problem.geometry.batch for problem in MANY} == {0, 1, 2, 3, 5}
    for field in (
        "indices",
        "count_include_pad",
        "divisor",
        "activation",
        "padding_mode",
        "dialect",
        "acc",
    ):
        assert len({getattr(problem, field) for problem in MANY}) > 1


def test_none_is_too_much_for_the_loops():
    assert max(map(work, MANY)) <= MOST_WORK


def test_most_drafts_fit():
    rng = np.random.default_rng(0)
    drafts = [random_draft(rng) for _ in range(50)]
    assert {draft.dtype for draft in drafts} >= {"float32", "float64"}
