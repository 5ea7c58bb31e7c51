"""Gradients are adjoints: the inner products agree, exactly, on integers.

Nothing here knows what a convolution is; a gradient that fits a wrong forward pass fails elsewhere.
"""

import numpy as np
import pytest
from hypothesis import assume, given

from fastconv import Problem, ShapeError
from tests.helpers import EXACT_NAMES, accepting, all_lines, ints, solved
from tests.strategies import problems


def inner(first, second):
    """The sum of products, of Python's numbers: problems are bilinear, so nothing is conjugated."""
    return (exact(first) * exact(second)).sum() if first.size else 0


def exact(array):
    kind = array.dtype.kind
    whole = array if kind in "biu" else array.astype(complex if kind == "c" else float)
    return whole.astype(object)


def small(problem, shape, seed):
    """Integers; of bfloat16, which has 8 bits, even smaller ones."""
    largest = 1 if problem.dtype.kind == "V" else 4
    return ints(*shape, dtype=problem.dtype, seed=seed, low=-largest, high=largest)


def other(problem, direction):
    """Another direction of a problem."""
    line = str(problem).replace("forward", direction)
    if line.endswith(" uint64") and "acc=" not in line and not line.startswith("avg_pool"):
        line = line.replace(" uint64", " acc=uint64 uint64")
    return Problem.parse(line)


def part(problem, inputs, name):
    """The first output by an algorithm, or by whichever is planned if it refuses the direction."""
    return solved(problem, inputs, name if name in accepting(problem) else None)[0]


def forward_lines(operation):
    return [
        (line, name)
        for line in all_lines()
        if line.startswith(f"{operation} forward")
        for name in accepting(Problem.parse(line))
    ]


def only_weights(operation):
    """Lines, and what computes gradients of their weights only."""
    return [
        (line, name)
        for line in all_lines()
        if line.startswith(f"{operation} forward") and "act=" not in line
        for name in accepting(other(Problem.parse(line), "weight_gradient"))
        if name not in accepting(Problem.parse(line))
    ]


def check_conv(problem, name):
    x = small(problem, problem.x_shape, 1)
    w = small(problem, problem.conv.weight_shape, 2)
    gy = small(problem, problem.y_shape, 3)
    y = part(problem, (x, w, None), name)
    gx = part(other(problem, "input_gradient"), (w, gy), name)
    gw = part(other(problem, "weight_gradient"), (x, gy), name)
    assert inner(y, gy) == inner(x, gx) == inner(w, gw)


def check_columns(problem, name):
    window = problem.window
    x = small(problem, window.input_shape, 1)
    c = small(problem, problem.columns_shape, 2)
    (columns,) = solved(problem, (x, np.zeros((), problem.dtype)), name)
    back = part(other(problem, "input_gradient"), (c,), name)
    assert inner(columns, c) == inner(x, back)


@pytest.mark.parametrize(
    ("line", "name"),
    forward_lines("conv") + only_weights("conv") + forward_lines("local_conv"),
)
def test_convolution(line, name):
    check_conv(Problem.parse(line), name)


@pytest.mark.parametrize(("line", "name"), forward_lines("columns"))
def test_columns(line, name):
    check_columns(Problem.parse(line), name)


@given(problems(kinds=(("conv", "forward"), ("local_conv", "forward"))))
def test_any_convolution(problem):
    for name in accepting(problem):
        check_conv(problem, name)


@given(problems(kinds=(("columns", "forward"),)))
def test_any_columns(problem):
    for name in accepting(problem):
        check_columns(problem, name)


@pytest.mark.parametrize("name", ["pooling", "naive"])
@pytest.mark.parametrize(
    "line",
    [
        "avg_pool forward x=2x3x9 k=4 s=2 p=1:2 float32",
        "avg_pool forward x=1x2x7x8 k=2x4 s=1x3 p=1x2 float64",
        "avg_pool forward x=1x2x9x9 k=4 s=4 float32",
        "avg_pool forward x=1x2x6x6 k=3 s=2 p=1 ceil=1 div=8 float32",
        "avg_pool forward x=1x2x5x6x4 k=2x4x2 s=1x2x2 p=1x0x1 float64",
    ],
)
def test_average_over_a_power_of_two(line, name):
    problem = Problem.parse(line)
    scale = 2.0**6  # no quotient has more fractional bits
    x = ints(*problem.window.input_shape, dtype=problem.dtype, seed=1) * scale
    gy = ints(*problem.window.output_shape, dtype=problem.dtype, seed=2) * scale
    (y,) = solved(problem, (x,), name)
    (gx,) = solved(other(problem, "input_gradient"), (gy,), name)
    assert (y == np.round(y)).all()
    assert inner(y, gy) == inner(x, gx)


@pytest.mark.parametrize("name", ["pooling", "naive"])
@given(problem=problems(kinds=(("max_pool", "forward"),)))
def test_maximum_with_its_places_frozen(name, problem):
    """With the places fixed, a max pool is linear: it picks elements, its adjoint puts back."""
    window = problem.window
    line = str(problem).replace(" indices=1", "").rsplit(" ", 1)
    problem = Problem.parse(f"{line[0]} indices=1 {line[1]}")
    x = ints(*problem.x_shape, dtype=problem.dtype, seed=1)
    gy = ints(*problem.y_shape, dtype=problem.dtype, seed=2)
    y, indices = solved(problem, (x,), name)
    try:
        back = Problem.parse(
            f"scatter forward x={'x'.join(map(str, window.input_shape))} "
            f"o={'x'.join(map(str, window.out))} "
            f"{'layout=last ' * (problem.layout == 'channels_last')}{problem.dtype.name}"
        )
    except ShapeError:
        assume(False)
    (gx,) = solved(back, (gy, indices), name)
    picked = np.where(indices >= 0, y, 0)
    assert inner(picked, gy) == inner(x, gx)


def test_every_algorithm_is_reached():
    operations = ("conv", "columns", "local_conv")
    reached = {name for operation in operations for _, name in forward_lines(operation)}
    reached |= {name for _, name in only_weights("conv")}
    others = {
        "pooling",
        "window_rows",
        "window_planes",
        "window_places",
        "window_spread",
        "plane_places",
    }
    others |= {"deform_gemm", "turned_forward", "transposed_gemm", "depthwise_pairs"}
    assert reached | others == set(EXACT_NAMES)
