from importlib.resources import files

from fastconv.cli.problems import edge_problems
from fastconv.dtypes import with_bfloat16
from fastconv.problem import DIRECTIONS

PROBLEMS = edge_problems()
TEXT = files("fastconv.cli").joinpath("data", "edges.txt").read_text(encoding="utf-8")


def has(condition):
    return any(map(condition, PROBLEMS))


def windowed(condition):
    return has(lambda problem: problem.operation != "scatter" and condition(problem.window))


def test_lines_are_written_as_problems_print_themselves():
    lines = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
    assert lines == [str(problem) for problem in PROBLEMS]


def test_no_line_is_there_twice():
    assert len(PROBLEMS) == len(set(PROBLEMS)) >= 80


def test_every_operation_direction_and_dtype():
    found = {(problem.operation, problem.direction) for problem in PROBLEMS}
    assert found == {(name, way) for name, ways in DIRECTIONS.items() for way in ways}
    assert {problem.dtype.name for problem in PROBLEMS} == set(with_bfloat16())
    assert has(lambda problem: problem.acc is not None)


def test_every_rank():
    ranks = {(problem.operation, len(problem.geometry.sizes)) for problem in PROBLEMS}
    every = {(name, rank) for name in DIRECTIONS for rank in (1, 2, 3)}
    assert ranks >= every - {("deform_conv", 1), ("deform_conv", 3)}
    assert ("columns", 4) in ranks


def test_the_hard_cases_are_among_them():
    assert has(lambda problem: problem.geometry.batch == 0)
    assert has(lambda problem: problem.divisor is not None)
    assert has(lambda problem: not problem.count_include_pad)
    assert has(lambda problem: problem.indices)
    assert windowed(lambda window: window.ceil_mode)
    assert windowed(lambda window: any(a.stride > a.kernel for a in window.axes))
    assert windowed(lambda window: any(a.before != a.after for a in window.axes))
    assert windowed(lambda window: any(a.before > a.extent for a in window.axes))
    assert windowed(lambda window: any(a.dilation > 1 for a in window.axes))
    assert windowed(lambda window: getattr(window, "groups", 1) == window.channels > 1)
    assert windowed(lambda window: getattr(window, "groups", 1) > 1 and window.m > 1)
