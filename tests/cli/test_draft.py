from dataclasses import replace

import pytest

from fastconv import Problem, ShapeError
from fastconv.cli.draft import Draft
from fastconv.cli.problems import edge_problems


@pytest.mark.parametrize("problem", edge_problems(), ids=str)
def test_taken_apart_and_put_together(problem):
    assert Draft.of(problem).problem() == problem


def test_channels_are_counted_per_group():
    draft = Draft.of(Problem.parse("conv forward x=1x6x5 w=4x3x2 g=2 float32"))
    assert (draft.channels, draft.outputs, draft.groups) == (3, 2, 2)
    other = replace(draft, groups=3).problem()
    assert str(other) == "conv forward x=1x9x5 w=6x3x2 g=3 float32"


def test_what_does_not_fit_shows():
    draft = Draft.of(Problem.parse("conv forward x=1x1x5 w=1x1x5 float32"))
    with pytest.raises(ShapeError):
        replace(draft, sizes=(4,)).problem()
