import tracemalloc

import numpy as np
import pytest

import fastconv as F
from fastconv import PlanError, Problem, settings
from fastconv.kernels import pool
from fastconv.plan import Settings, plan_for
from fastconv.planes import PLANES
from tests.helpers import (
    FAST_NAMES,
    NAMES,
    NUMPY_NAMES,
    accepting,
    all_lines,
    inputs_of,
    outputs_of,
)

CONV = Problem.parse("conv forward x=2x4x11x11 w=6x4x3x3 float32")
POINTWISE = Problem.parse("conv forward x=2x4x9x9 w=6x4x1x1 float32")
POOL = Problem.parse("max_pool forward x=2x4x9x9 k=3 s=2 float32")
KIB, MIB = 2**10, 2**20
SLACK = 64 * KIB
"""What a call may use beside its scratch memory: small vectors, slices and such."""


def test_naive_is_last():
    assert NAMES[-1] == "naive"


@pytest.mark.parametrize("line", all_lines())
def test_the_first_that_accepts_is_chosen_and_the_others_say_why_not(line):
    problem = Problem.parse(line)
    plan = plan_for(problem)
    assert plan.problem == problem
    assert plan.algorithm == plan.candidates[0]
    assert sorted((*plan.candidates, *plan.refusals)) == sorted(NAMES)
    assert [name for name in NAMES if name in plan.candidates] == list(plan.candidates)
    assert all(reason for reason in plan.refusals.values())
    assert plan.output_shape == problem.result_shape
    assert plan.flops == problem.flops
    assert 0 <= plan.scratch_bytes <= plan.max_scratch_bytes == Settings().max_scratch_bytes


def test_the_naive_loops_are_never_preferred():
    for line in all_lines():
        assert plan_for(Problem.parse(line)).algorithm != "naive", line


def test_one_tap_is_pointwise_and_needs_no_columns():
    plan = plan_for(POINTWISE)
    assert "pointwise" in plan.candidates
    assert plan.candidates.index("pointwise") < plan.candidates.index("im2col_gemm")
    with settings(algorithm="pointwise"):
        assert plan_for(POINTWISE).scratch_bytes == 0
    assert "tap" in plan_for(CONV).refusals["pointwise"]


def test_compiled_tiles_are_preferred_forward_and_refuse_gradients():
    assert plan_for(CONV).algorithm == "implicit_gemm"
    for direction in ("input_gradient", "weight_gradient"):
        plan = plan_for(Problem.parse(str(CONV).replace("forward", direction)))
        assert direction in plan.refusals["implicit_gemm"]


def test_the_gradient_of_the_input_is_a_forward_convolution():
    plan = plan_for(Problem.parse(str(CONV).replace("forward", "input_gradient")))
    assert plan.algorithm == "turned_forward"
    assert plan.candidates[-2:] == ("im2col_gemm", "naive")


@pytest.mark.parametrize("name", [None, "im2col_gemm", "naive"])
def test_printing_shows_everything(name):
    with settings(algorithm=name, threads=3):
        plan = plan_for(CONV)
    text = str(plan)
    assert f"problem    {CONV}" in text
    assert f"algorithm  {name or 'implicit_gemm'}\n" in text
    assert "output     (2, 6, 9, 9)" in text
    assert f"scratch    {plan.scratch_bytes / MIB:.2f} MiB of" in text
    assert "work       0.1 Mflop" in text
    assert f"threads    3{', of BLAS' if name == 'im2col_gemm' else ''}\n" in text
    assert "exact      yes" in text
    assert f"accepted   {', '.join(plan.candidates)}\n" in f"{text}\n"
    for refused, reason in plan.refusals.items():
        assert f"refused    {refused}: {reason}" in text
    assert set(plan.refusals) | set(plan.candidates) == set(NAMES)
    assert f"of {Settings().max_scratch_bytes / MIB:.2f} MiB" in text


def test_plans_are_cached_by_problem_and_settings():
    again = Problem.parse(str(CONV))
    assert plan_for(CONV) is plan_for(again)
    with settings(algorithm="naive"):
        forced = plan_for(CONV)
        assert forced is not plan_for(POOL)
        assert forced.algorithm == "naive"
    assert plan_for(CONV).algorithm == "implicit_gemm"


@pytest.mark.parametrize("name", NAMES)
def test_a_forced_algorithm_is_the_only_candidate(name):
    problem = next(
        p
        for p in map(Problem.parse, all_lines())
        if p.geometry.batch and name in accepting(p, NAMES)
    )
    with settings(algorithm=name):
        plan = plan_for(problem)
    assert plan.candidates == (name,)
    assert plan.algorithm == name
    assert set(plan.refusals) == set(NAMES) - {name}
    assert all(name in reason for reason in plan.refusals.values())


@pytest.mark.parametrize(
    ("name", "problem", "why"),
    [
        ("pointwise", CONV, "kernel"),
        ("pointwise", POOL, "conv"),
        ("im2col_gemm", POOL, "conv"),
        ("pooling", CONV, "pool"),
        ("columns", CONV, "columns"),
        (
            "pointwise",
            Problem.parse("conv forward x=1x1x9 w=1x1x1 s=2 float32"),
            "stride",
        ),
        (
            "pointwise",
            Problem.parse("conv forward x=1x1x9 w=1x1x1 p=1 float32"),
            "padding",
        ),
        (
            "naive",
            Problem.parse("conv forward x=1x1x2x2x2x2 w=1x1x1x1x1x1 float32"),
            "3 spatial dimensions",
        ),
    ],
    ids=str,
)
def test_a_forced_algorithm_that_refuses_says_why(name, problem, why):
    with settings(algorithm=name), pytest.raises(PlanError) as caught:
        plan_for(problem)
    for words in (repr(name), f"'{problem}'", why):
        assert words in str(caught.value)


def test_the_public_call_says_why_as_well():
    with (
        settings(algorithm="pooling"),
        pytest.raises(PlanError, match="'pooling' refuses 'conv forward x=1x1x4 w=1x1x2 float64'"),
    ):
        F.conv1d(np.ones((1, 1, 4)), np.ones((1, 1, 2)))


def test_too_little_scratch_memory_is_a_reason():
    with settings(max_scratch_bytes=16):
        plan = plan_for(CONV)
        assert plan.algorithm == "naive"
        assert "max_scratch_bytes is 16" in plan.refusals["im2col_gemm"]
    with (
        settings(max_scratch_bytes=16, algorithm="im2col_gemm"),
        pytest.raises(PlanError, match="bytes of scratch memory; max_scratch_bytes is 16"),
    ):
        plan_for(CONV)


def test_when_all_refuse_every_reason_is_given():
    problem = Problem.parse("conv forward x=1x2x3x3x3x3 w=1x2x2x2x2x2 float32")
    with settings(max_scratch_bytes=1), pytest.raises(PlanError) as caught:
        plan_for(problem)
    for name in NAMES:
        assert f"{name}: " in str(caught.value)


LARGE = [
    "conv forward x=2x16x40x40 w=16x16x3x3 p=1 float32",
    "conv forward x=1x16x64x64 w=8x16x5x5 s=2 p=2 float64",
    "conv forward x=1x32x40x40 w=32x1x3x3 p=1 g=32 float32",
    "conv forward x=2x32x40x40 w=32x8x3x3 p=1 g=4 float32",
    "conv forward x=8x16x40x40 w=32x16x1x1 float32",
    "conv forward x=2x4x4000 w=8x4x9 s=3 p=4 d=5 float32",
    "conv forward x=1x3x96x96 w=8x3x3x3 s=5 p=1 float32",
    "conv input_gradient x=2x16x40x40 w=16x16x3x3 p=1 float32",
    "conv input_gradient x=1x32x40x40 w=32x1x3x3 p=1 g=32 float32",
    "conv input_gradient x=4x16x40x40 w=32x16x1x1 float32",
    "conv weight_gradient x=2x16x40x40 w=16x16x3x3 p=1 float32",
    "conv weight_gradient x=1x32x40x40 w=32x1x3x3 p=1 g=32 float32",
    "conv weight_gradient x=4x64x40x40 w=64x64x1x1 float32",
    "conv forward x=1x8x12x14x16 w=8x8x3x3x3 p=1 float32",
    "max_pool forward x=2x32x64x64 k=3 s=2 p=1 float32",
    "max_pool forward x=2x32x64x64 k=3 s=2 p=1 indices=1 float32",
    "max_pool forward x=2x8x64x64 k=5 s=1 p=2 indices=1 float64",
    "max_pool forward x=1x2x300x300 k=2 s=1 indices=1 float32",
    "max_pool forward x=1x4x12x24x24 k=3 s=1 p=1 indices=1 float32",
    "avg_pool forward x=2x32x64x64 k=3 s=2 p=1 float32",
    "avg_pool forward x=2x32x64x64 k=3 s=1 p=1 pad=0 float64",
    "avg_pool forward x=1x2x300x300 k=2 s=1 p=1 pad=0 float32",
    "avg_pool input_gradient x=2x32x64x64 k=3 s=2 p=1 pad=0 float32",
    "avg_pool input_gradient x=2x8x64x64 k=5 s=1 p=2 float64",
    "scatter forward x=2x32x64x64 o=32x32 float32",
    "scatter forward x=1x2x300x300 o=150x150 float64",
    "max_pool forward x=1x16x64x64 k=3 s=1 p=1 nan=ignore indices=1 float32",
    "min_pool forward x=1x16x64x64 k=3 s=2 p=1 float64",
    "avg_pool forward x=2x16x64x64 k=3 s=1 d=2 round=cover_all float32",
    "lp_pool forward x=2x16x64x64 k=3 s=1 norm=2 float32",
    "lp_pool input_gradient x=2x16x64x64 k=3 s=1 norm=3 float32",
    "lp_pool input_gradient x=2x16x64x64 k=3 s=2 norm=inf float32",
    "quantile_pool forward x=2x16x64x64 k=3 s=2 q=0.5 float32",
    "quantile_pool forward x=2x16x20x20 k=3x5 p=1 q=0.5 float64",
    "adaptive_max_pool forward x=2x16x60x63 o=7x9 float32",
    "adaptive_max_pool forward x=2x16x60x63 o=50x60 indices=1 float32",
    "adaptive_max_pool forward x=1x8x20x20 o=70x71 indices=1 float64",
    "adaptive_avg_pool forward x=2x16x60x63 o=50x60 float32",
    "adaptive_avg_pool forward x=2x16x60x63 o=1x1 float32",
    "adaptive_avg_pool input_gradient x=2x16x60x63 o=50x60 float32",
    "adaptive_avg_pool input_gradient x=2x16x60x63 o=7x9 float64",
    "fractional_max_pool forward x=2x16x60x63 o=30x40 k=2x3 indices=1 float32",
    "fractional_max_pool forward x=2x16x60x63 o=30x40 k=2x3 float64",
    "unpool forward x=2x32x64x64 o=32x32 float32",
    "gather forward x=2x32x64x64 o=32x32 float32",
    "columns forward x=2x8x64x64 k=3 p=1 float32",
    "columns forward x=2x8x64x64 k=3 s=2 float32",
    "columns input_gradient x=2x8x64x64 k=3 p=1 float32",
]


@pytest.mark.parametrize("limit", [256 * KIB, 1 * MIB, 32 * MIB], ids=lambda n: f"{n // KIB}KiB")
@pytest.mark.parametrize(
    ("line", "name"),
    [(line, name) for line in LARGE for name in accepting(Problem.parse(line), FAST_NAMES)],
)
def test_scratch_memory_is_what_the_plan_says(line, name, limit, monkeypatch):
    problem = Problem.parse(line)
    with settings(algorithm=name, max_scratch_bytes=limit):
        try:
            plan = plan_for(problem)
        except PlanError:
            assert limit < 32 * MIB
            return
    assert plan.scratch_bytes <= limit == plan.max_scratch_bytes
    inputs, outputs = inputs_of_zeros(problem), outputs_of(problem)
    if plan.algorithm not in NUMPY_NAMES:
        # compiles, what threads share too: small calls do when they come in quick succession
        for last in (-np.inf, np.inf):
            monkeypatch.setattr(pool, "_last_small", last)
            plan.run(inputs, outputs)
    tracemalloc.start()
    try:
        plan.run(inputs, outputs)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    numpy_buffers = 3 * np.getbufsize() * problem.dtype.itemsize  # one for each operand of a ufunc
    assert peak <= plan.scratch_bytes + numpy_buffers + SLACK


def inputs_of_zeros(problem):
    """Inputs of the right shapes, made quickly: integers below 3, and valid indices."""
    if problem.operation in (*PLANES, "lp_pool"):
        return inputs_of(problem)
    g, dtype = problem.geometry, problem.dtype

    def array(*shape):
        return (np.arange(np.prod(shape)) % 3).reshape(shape).astype(dtype)

    inputs = {
        ("conv", "forward"): lambda: (
            array(*g.input_shape),
            array(*g.weight_shape),
            array(g.out_channels),
        ),
        ("conv", "input_gradient"): lambda: (array(*g.weight_shape), array(*g.output_shape)),
        ("conv", "weight_gradient"): lambda: (array(*g.input_shape), array(*g.output_shape)),
        ("columns", "forward"): lambda: (array(*g.input_shape), np.zeros((), dtype)),
        ("columns", "input_gradient"): lambda: (array(*g.columns_shape),),
    }
    direct = inputs.get((problem.operation, problem.direction))
    if direct is not None:
        return direct()
    return (array(*(g.input_shape if problem.direction == "forward" else g.output_shape)),)


@pytest.mark.parametrize("line", [line for line in LARGE if "300x300" not in line])
def test_some_numpy_algorithm_manages_with_a_mebibyte_if_a_plane_is_small(line):
    with settings(max_scratch_bytes=MIB):
        plan = plan_for(Problem.parse(line))
    assert plan.algorithm in FAST_NAMES
    assert set(plan.candidates) & set(NUMPY_NAMES)
