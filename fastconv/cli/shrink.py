"""Making a failing problem as small as it will go."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from fastconv.cli.draft import Draft
from fastconv.errors import FastconvError
from fastconv.problem import Problem

MOST_TRIES = 2000
"""Problems tried before the smallest found so far has to do."""
COUNTS = ("batch", "channels", "outputs", "groups", "offset_groups")
PER_AXIS = {"sizes": 1, "kernel": 1, "stride": 1, "dilation": 1, "out": 1}
AXES = ("sizes", "kernel", "stride", "padding", "dilation", "out")
PLAINEST = {
    "rounding": "floor",
    "indices": False,
    "count_include_pad": True,
    "divisor": None,
    "activation": None,
    "layout": "channels_first",
    "masked": False,
    "padding_mode": "zeros",
    "dialect": "fastconv",
    "acc": None,
    "nan": "propagate",
}


def shrink(
    problem: Problem, fails: Callable[[Problem], bool], most_tries: int = MOST_TRIES
) -> Problem:
    """Replace a problem by a simpler one that fails too, until none of its simpler ones does.

    Parameters
    ----------
    problem : Problem
        One that fails.
    fails : callable
        Tells whether a problem fails.
    most_tries : int
        How often `fails` may be asked.

    Returns
    -------
    Problem
        Fails, and no single step of `simpler` from it does (if the tries sufficed).
    """
    tries = 0
    found = True
    while found:
        found = False
        for candidate in simpler(problem):
            if tries == most_tries:
                return problem
            tries += 1
            if fails(candidate):
                problem, found = candidate, True
                break
    return problem


def simpler(problem: Problem) -> Iterator[Problem]:
    """Yield the problems one step simpler, the boldest steps first; none that is impossible."""
    for draft in _drafts(Draft.of(problem)):
        try:
            yield draft.problem()
        except FastconvError:
            continue


def _drafts(draft: Draft) -> Iterator[Draft]:
    for axis in range(len(draft.sizes) if len(draft.sizes) > 1 else 0):
        yield _changed(draft, {name: _without(getattr(draft, name), axis) for name in AXES})
    for name, plain in PLAINEST.items():
        if getattr(draft, name) != plain:
            yield _changed(draft, {name: plain})
    if draft.operation == "conv" and draft.out:
        yield replace(draft, out=())
    for name in COUNTS:
        for value in _less(getattr(draft, name), 1):
            yield _changed(draft, {name: value})
    for axis, pair in enumerate(draft.padding):
        for end in (0, 1):
            for value in _less(pair[end], 0):
                shorter = (value, pair[1]) if end == 0 else (pair[0], value)
                yield replace(draft, padding=_with(draft.padding, axis, shorter))
    for name, least in PER_AXIS.items():
        values = getattr(draft, name)
        for axis, value in enumerate(values):
            for smaller in _less(value, least):
                yield _changed(draft, {name: _with(values, axis, smaller)})


def _less(value: int, least: int) -> list[int]:
    """Return the least value, half, and one less, where they are smaller."""
    return [
        smaller
        for smaller in dict.fromkeys((least, value // 2, value - 1))
        if smaller < value and smaller >= least
    ]


def _without(values: tuple[Any, ...], axis: int) -> tuple[Any, ...]:
    return values[:axis] + values[axis + 1 :]


def _with(values: tuple[Any, ...], axis: int, value: Any) -> tuple[Any, ...]:
    return (*values[:axis], value, *values[axis + 1 :])


def _changed(draft: Draft, changes: dict[str, Any]) -> Draft:
    return replace(draft, **changes)
