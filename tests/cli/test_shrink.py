import pytest

from fastconv import Problem
from fastconv.cli.generate import random_problems
from fastconv.cli.problems import edge_problems
from fastconv.cli.shrink import shrink, simpler

LARGE = Problem.parse(
    "conv forward x=3x8x9x14x11 w=12x4x3x2x4 s=2x3x1 p=2:1x3x0:4 d=1x2x2 g=2 float64"
)


def always(problem):
    return True


@pytest.mark.parametrize(
    ("condition", "smallest"),
    [
        (always, "conv forward x=1x1x1 w=1x1x1 float64"),
        (
            lambda problem: any(axis.stride > 1 for axis in problem.window.axes),
            "conv forward x=1x1x1 w=1x1x1 s=2 float64",
        ),
        (
            lambda problem: any(axis.before != axis.after for axis in problem.window.axes),
            "conv forward x=1x1x1 w=1x1x1 p=1:0 float64",
        ),
        (
            lambda problem: problem.conv.groups > 1 and problem.conv.m > 2,
            "conv forward x=1x2x1 w=6x1x1 g=2 float64",
        ),
        (
            lambda problem: problem.geometry.batch > 2 and problem.conv.taps > 5,
            "conv forward x=3x1x6 w=1x1x6 float64",
        ),
    ],
)
def test_what_is_left_is_what_matters(condition, smallest):
    found = shrink(LARGE, condition)
    assert condition(found)
    if "p=1:0" in smallest or "w=1x1x6" in smallest:
        # more than one problem is as small as that
        assert not any(map(condition, simpler(found)))
    else:
        assert str(found) == smallest


def test_options_of_pools_go():
    line = "avg_pool input_gradient x=2x3x9x9 k=3x2 s=2 p=1 ceil=1 pad=0 div=5 float32"
    assert str(shrink(Problem.parse(line), always)) == (
        "avg_pool input_gradient x=1x1x1 k=1 float32"
    )
    pool = Problem.parse("max_pool forward x=2x3x9x9 k=3x2 d=2 indices=1 float32")
    assert str(shrink(pool, lambda problem: problem.indices)) == (
        "max_pool forward x=1x1x1 k=1 indices=1 float32"
    )


def test_scatters_shrink_too():
    line = "scatter forward x=2x3x6x7 o=3x3 float32"
    assert str(shrink(Problem.parse(line), always)) == "scatter forward x=1x1x1 o=1 float32"


def test_an_empty_batch_stays_empty():
    problem = Problem.parse("columns forward x=0x3x6x7 k=3x3 float32")
    assert str(shrink(problem, always)) == "columns forward x=0x1x1 k=1 float32"


def test_what_fails_alone_stays():
    assert shrink(LARGE, lambda problem: problem == LARGE) == LARGE


def test_the_number_of_tries_is_limited():
    asked = []
    shrink(LARGE, lambda problem: bool(asked.append(problem)), most_tries=7)
    assert len(asked) == 7


@pytest.mark.parametrize("problem", edge_problems()[::7], ids=str)
def test_simpler_problems_are_others_and_of_the_same_kind(problem):
    candidates = list(simpler(problem))
    assert problem not in candidates
    kinds = {(other.operation, other.direction, other.dtype) for other in candidates}
    assert kinds <= {(problem.operation, problem.direction, problem.dtype)}


def test_shrinking_ends():
    for problem, _ in zip(random_problems(5), range(40), strict=False):
        smallest = shrink(problem, always)
        assert list(simpler(smallest)) == []
