import pickle

import numpy as np
import pytest
from hypothesis import given

from fastconv import FastconvError, ParameterError, Problem, ShapeError
from fastconv.problem import DIRECTIONS
from tests.helpers import problem_lines
from tests.strategies import problems

LINE = "conv forward x=2x4x7x6 w=6x2x3x2 s=2x1 p=1x0:2 d=1x2 g=2 float64"


@given(problems())
def test_text_is_read_back(problem):
    again = Problem.parse(str(problem))
    assert again == problem
    assert hash(again) == hash(problem)
    assert str(again) == str(problem)
    assert again.geometry == problem.geometry
    assert again.dtype == problem.dtype
    flags = ("operation", "direction", "indices", "count_include_pad", "divisor", "result_shape")
    flags += ("padding_mode", "dialect")
    assert [getattr(again, f) for f in flags] == [getattr(problem, f) for f in flags]


@given(problems(), problems())
def test_equal_exactly_when_the_text_is(first, second):
    assert (first == second) == (str(first) == str(second))


def test_every_field_is_in_the_text():
    assert str(Problem.parse(LINE)) == LINE


def test_listed_problems_are_listed_once():
    lines = [Problem.parse(line) for line in problem_lines("smoke")]
    assert len(set(lines)) == len(lines)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("conv  forward x=1x1x3 w=1x1x1  float32 ", "conv forward x=1x1x3 w=1x1x1 float32"),
        ("conv forward w=1x1x1 x=1x1x3 s=1 p=0:0 d=1 g=1 float32",) * 1
        + ("conv forward x=1x1x3 w=1x1x1 float32",),
        ("max_pool forward x=1x1x4x4 k=2x2 s=2 f8", "max_pool forward x=1x1x4x4 k=2x2 s=2 float64"),
        ("avg_pool forward x=1x1x4 k=2 pad=1 float32", "avg_pool forward x=1x1x4 k=2 float32"),
    ],
)
def test_one_problem_has_one_text(written, canonical):
    assert str(Problem.parse(written)) == canonical
    assert Problem.parse(written) == Problem.parse(canonical)


def test_it_can_be_a_key_and_be_pickled():
    problem = Problem.parse(LINE)
    assert {problem: 1}[Problem.parse(LINE)] == 1
    assert pickle.loads(pickle.dumps(problem)) == problem
    assert problem != LINE


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        ("conv forward x=2x3x8x8 w=4x3x3x3 float32", (2, 4, 6, 6)),
        ("conv input_gradient x=2x3x8x8 w=4x3x3x3 float32", (2, 3, 8, 8)),
        ("conv weight_gradient x=2x3x8x8 w=4x3x3x3 float32", (4, 3, 3, 3)),
        ("max_pool forward x=2x3x8x8 k=2 s=2 float32", (2, 3, 4, 4)),
        ("avg_pool forward x=2x3x8x8 k=2 s=2 float32", (2, 3, 4, 4)),
        ("avg_pool input_gradient x=2x3x8x8 k=2 s=2 float32", (2, 3, 8, 8)),
        ("columns forward x=2x3x8x8 k=3 float32", (2, 27, 36)),
        ("columns forward x=2x3x8x7 k=3x2 dialect=chainer float32", (2, 3, 3, 2, 6, 6)),
        ("columns forward x=2x3x8x7 k=3 dialect=jax float32", (2, 27, 6, 5)),
        ("columns forward x=2x3x8x7 k=3 dialect=dlfs float32", (60, 27)),
        ("columns forward x=2x3x8x7 k=3 dialect=cnnumpy float32", (27, 60)),
        ("columns input_gradient x=2x3x8x7 k=3 dialect=cs231n float32", (2, 3, 8, 7)),
        ("columns input_gradient x=2x3x8x8 k=3 float32", (2, 3, 8, 8)),
        ("scatter forward x=2x3x8x8 o=4x4 float32", (2, 3, 8, 8)),
        ("unpool forward x=2x3x8x8 o=4x4 float32", (2, 3, 8, 8)),
        ("gather forward x=2x3x8x8 o=4x4 float32", (2, 3, 4, 4)),
        ("lp_pool input_gradient x=2x3x8x8 k=2 s=2 norm=2 float32", (2, 3, 8, 8)),
        ("adaptive_avg_pool forward x=2x3x8x8 o=3x9 float32", (2, 3, 3, 9)),
        ("adaptive_avg_pool input_gradient x=2x3x8x8 o=3x9 float32", (2, 3, 8, 8)),
        ("fractional_max_pool forward x=2x3x8x8 o=3x4 k=2 float32", (2, 3, 3, 4)),
        ("max_pool forward x=2x3x8x8 k=1 s=3 round=cover_all float32", (2, 3, 4, 4)),
    ],
)
def test_result_shapes(line, shape):
    assert Problem.parse(line).result_shape == shape


@pytest.mark.parametrize(
    ("line", "flops"),
    [
        ("conv forward x=2x3x8x8 w=4x3x3x3 float32", 2 * 2 * 4 * 36 * 27),
        ("conv weight_gradient x=2x4x8x8 w=4x2x3x3 g=2 float32", 2 * 2 * 4 * 36 * 18),
        ("max_pool forward x=2x3x8x8 k=2 s=2 float32", 2 * 3 * 16 * 4),
        ("columns forward x=2x3x8x8 k=3 float32", 0),
        ("columns input_gradient x=2x3x8x8 k=3 float32", 2 * 3 * 36 * 9),
        ("scatter forward x=2x3x8x8 o=4x4 float32", 2 * 3 * 16),
        ("adaptive_max_pool forward x=2x3x8x8 o=4x3 float32", 2 * 3 * 12 * 2 * 4),
        ("fractional_max_pool forward x=2x3x8x8 o=4x4 k=2x3 float32", 2 * 3 * 16 * 6),
    ],
)
def test_flops(line, flops):
    assert Problem.parse(line).flops == flops


MALFORMED = [
    "",
    "conv",
    "conv forward",
    "conv forward float32",
    "conv backward x=1x1x3 w=1x1x1 float32",
    "pool forward x=1x1x3 k=1 float32",
    "max_pool input_gradient x=1x1x3 k=1 float32",
    "conv forward x=1x1x3 float32",
    "conv forward w=1x1x1 float32",
    "conv forward x=1x1x3 w=1x1x1",
    "conv forward x=1x1x3 w=1x1x1 longdouble",
    "conv forward x=1x1x3 w=1x1x1 uint64",
    "conv forward x=1x1x3 w=1x1x1 acc=float32 float64",
    "conv forward x=1x1x3 w=1x1x1 acc=int32 float32",
    "conv forward x=1x1x3 w=1x1x1 acc=float64 int32",
    "conv forward x=1x1x3 w=1x1x1 acc=wide int32",
    "conv forward x=1x1x3 w=1x1x1 act=tanh int32",
    "conv forward x=1x1x3 w=1x1x1 act=relu complex64",
    "max_pool forward x=1x1x3 k=1 complex64",
    "max_pool forward x=1x1x3 k=1 acc=int64 int8",
    "columns forward x=1x1x3 k=1 acc=int64 int8",
    "conv forward x=1x1x3 w=1x1x1 z=3 float32",
    "conv forward x=1x1x3 w=1x1x1 s float32",
    "conv forward x=1x1x3 w=1x1x1 s= float32",
    "conv forward x=1x1x3 w=1x1x1 s=0 float32",
    "conv forward x=1x1x3 w=1x1x1 s=1x1 float32",
    "conv forward x=1x1x3 w=1x1x1 s=1.5 float32",
    "conv forward x=1x1x3 w=1x1x1 p=1:2:3 float32",
    "conv forward x=1x1x3 w=1x1x1 p=-1 float32",
    "conv forward x=1x1x3 w=1x1x1 d=0 float32",
    "conv forward x=1x1x3 w=1x1x1 g=0 float32",
    "conv forward x=1x1x3 w=1x1x1 g=2 float32",
    "conv forward x=1x1x3 w=1x1x4 float32",
    "conv forward x=1x2x3 w=1x1x1 float32",
    "conv forward x=1xx3 w=1x1x1 float32",
    "conv forward x= w=1x1x1 float32",
    "conv forward x=1x1x3 w=1x1 float32",
    "max_pool forward x=1x1x3 float32",
    "max_pool forward x=1x1x3 k=4 float32",
    "max_pool forward x=1x1x3 k=1x1 float32",
    "max_pool forward x=1x1x3 k=1 ceil=2 float32",
    "max_pool forward x=1x1x3 k=1 indices=yes float32",
    "avg_pool forward x=1x1x3 k=1 div=a float32",
    "conv forward x=1x1x3 w=1x1x1 act float32",
    "conv forward x=1x1x3 w=1x1x1 act=None float32",
    "conv forward x=1x1x3 w=1x1x1 act=Relu float32",
    "conv weight_gradient x=1x1x3 w=1x1x1 act=relu float32",
    "conv forward x=1x1x3 w=1x1x1 o=4 float32",
    "conv forward x=1x1x3 w=1x1x1 o=0 float32",
    "conv forward x=1x1x3 w=1x1x1 o=1x1 float32",
    "max_pool forward x=1x1x3 k=1 act=relu float32",
    "scatter forward x=1x1x3 float32",
    "adaptive_max_pool forward x=1x1x3 o=1 mode=reflect float32",
    "max_pool forward x=1x1x3 k=1 dialect=jax float32",
    "columns forward x=1x1x3 k=1 dialect=torch float32",
    "columns forward x=1x1x3 k=1 mode=edge float32",
    "max_pool forward x=1x1x3 k=1 round=up float32",
    "max_pool forward x=1x1x3 k=1 ceil=1 round=floor float32",
    "max_pool forward x=1x1x3 k=1 nan=skip float32",
    "max_pool forward x=1x1x3 k=1 norm=2 float32",
    "lp_pool forward x=1x1x3 k=1 float32",
    "lp_pool forward x=1x1x3 k=1 norm=0 float32",
    "lp_pool forward x=1x1x3 k=1 norm=nan float32",
    "lp_pool forward x=1x1x3 k=1 norm=two float32",
    "quantile_pool forward x=1x1x3 k=1 float32",
    "quantile_pool forward x=1x1x3 k=1 q=1.5 float32",
    "adaptive_max_pool forward x=1x1x3 float32",
    "fractional_max_pool forward x=1x1x3 o=1 float32",
]
IMPOSSIBLE = [
    "conv forward x=3 w=1 float32",
    "conv forward x=1x1 w=1x1 float32",
    "max_pool forward x=1x0x3 k=1 float32",
    "conv forward x=1x-1x3 w=1x-1x1 float32",
    "conv forward x=-1x1x3 w=1x1x1 float32",
    "conv forward x=1x1x3 w=-1x1x1 float32",
    "max_pool forward x=3 k=1 float32",
    "max_pool forward x=1x1 k=1 float32",
    "max_pool forward x=1x1x0 k=1 p=1 float32",
    "avg_pool forward x=1x1x3 k=1 div=0 float32",
    "columns forward x=3 k=1 float32",
    "deform_conv forward x=1x1x3 w=1x1x1 float32",
    "deform_conv forward x=1x2x3x3 w=1x2x1x1 og=3 float32",
    "deform_conv mask_gradient x=1x1x3x3 w=1x1x1x1 float32",
    "conv forward x=1x1x3 w=1x1x1 mask=1 float32",
    "local_conv forward x=1x1x3 w=1x1x1 float32",
    "local_conv forward x=1x1x3 w=1x2x1x1 float32",
    "columns forward x=1x1x3 k=1 p=3 mode=reflect float32",
    "columns forward x=1x1x3 k=1 p=4:0 mode=circular float32",
    "scatter forward x=3 o=1 float32",
    "scatter forward x=1x1x3 o=1x1 float32",
    "scatter forward x=1x1x0 o=1 float32",
    "scatter forward x=1x1x3 o=-1 float32",
    "scatter forward x=1x1x3 o=-1 float32",
    "adaptive_max_pool forward x=1x1x3 o=-1 float32",
    "fractional_max_pool forward x=1x1x3 o=3 k=2 float32",
    "unpool forward x=1x1x0 o=1 float32",
]


@pytest.mark.parametrize("line", MALFORMED + IMPOSSIBLE)
def test_lines_that_describe_no_problem_are_refused(line):
    with pytest.raises(FastconvError):
        Problem.parse(line)


def test_the_message_quotes_the_line_and_the_key():
    with pytest.raises(ParameterError, match=r"unknown or missing keys \['z'\] in 'conv forward"):
        Problem.parse("conv forward x=1x1x3 w=1x1x1 z=3 float32")
    with pytest.raises(ShapeError, match="kernel_size"):
        Problem.parse("max_pool forward x=1x1x3 k=4 float32")


def test_directions_name_every_operation():
    pools = {f"{kind}_pool" for kind in ("max", "min", "avg", "lp", "quantile")}
    pools |= {"adaptive_max_pool", "adaptive_avg_pool", "fractional_max_pool"}
    others = {"conv", "local_conv", "deform_conv", "columns", "scatter", "unpool", "gather"}
    assert set(DIRECTIONS) == others | pools
    assert Problem.parse(LINE).dtype == np.float64
