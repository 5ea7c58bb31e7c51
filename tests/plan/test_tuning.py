"""Plans that are measured: what is chosen, where it is kept, and who takes it."""

import json
import time

import numpy as np
import pytest

import fastconv as F
from fastconv import ParameterError, Problem, settings
from fastconv.algorithms import ALGORITHMS
from fastconv.plan import plan_for, planner, tuning, wisdom
from tests.helpers import all_lines, inputs_of, python, same, solved

SHAPES = ((1, 3, 12, 12), (4, 3, 3, 3))
LINE = "conv forward x=1x3x12x12 w=4x3x3x3 float32"
CONV = Problem.parse(LINE)
SLOW = {"im2col_gemm": 0.0, "tapwise": 0.001}
"""Seconds that algorithms are made to take; all others take longer."""


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    """An empty file of choices, for one test."""
    path = tmp_path / "plans.json"
    monkeypatch.setattr(wisdom, "path", lambda: path)
    monkeypatch.setattr(wisdom, "_asked", {})
    monkeypatch.setattr(wisdom, "_kept", None)
    planner._forget()
    planner._not_measured.clear()
    yield path
    planner._forget()
    planner._not_measured.clear()


@pytest.fixture
def clock(monkeypatch):
    """Algorithms take the time that `SLOW` says; how often each was timed."""
    runs = []
    forced = {}
    run = F.Plan.run

    def noted(plan, inputs, outputs):
        forced["name"] = plan.algorithm
        run(plan, inputs, outputs)

    def timed(call):
        call()
        runs.append(forced["name"])
        return SLOW.get(forced["name"], 0.002) + 0.001

    monkeypatch.setattr(F.Plan, "run", noted)
    monkeypatch.setattr(tuning, "_timed", timed)
    return runs


def another_process(monkeypatch):
    """Forget what this process knows, but for the file."""
    monkeypatch.setattr(wisdom, "_asked", {})
    monkeypatch.setattr(wisdom, "_kept", None)
    planner._forget()


def test_the_fastest_is_taken_and_explained(clock):
    by_rule = F.explain("conv2d", *SHAPES)
    assert by_rule.source == "rule"
    assert "chosen     by rule" in str(by_rule)
    plan = F.tune("conv2d", *SHAPES)
    assert set(clock) == set(by_rule.candidates) - {"naive"} | {"fft"}
    assert (plan.algorithm, plan.source) == ("im2col_gemm", "measured")
    assert plan.candidates[0] == "im2col_gemm"
    assert set(plan.candidates) == set(by_rule.candidates)
    assert "chosen     as measured" in str(plan)
    assert F.explain(F.conv2d, *SHAPES) is plan
    assert F.explain("conv2d", *SHAPES, padding=1).source == "rule"


def test_calls_take_it(clock, plans):
    F.tune("conv2d", *SHAPES)
    x, w, _ = inputs_of(CONV)
    plans.clear()
    found = F.conv2d(x, w)
    assert [plan.algorithm for plan in plans] == ["im2col_gemm"]
    same(found, solved(CONV, (x, w, None), "naive")[0])


def test_what_is_asked_for_is_not_tuned(clock):
    F.tune("conv2d", *SHAPES)
    with settings(algorithm="tapwise"):
        plan = F.explain("conv2d", *SHAPES)
        assert (plan.algorithm, plan.source) == ("tapwise", "asked")
        with pytest.raises(ParameterError, match="'tapwise' is asked for"):
            F.tune("conv2d", *SHAPES)
    with pytest.raises(ParameterError, match="nothing to tune"):
        F.tune("conv2d", *SHAPES, algorithm="naive")


def test_other_settings_are_other_choices(clock):
    F.tune("conv2d", *SHAPES)
    for other in ({"threads": 1}, {"precision": "fast"}, {"max_scratch_bytes": 2**20}):
        with settings(**other):
            same_threads = other.get("threads") == wisdom.cores()
            assert F.explain("conv2d", *SHAPES).source == ("measured" if same_threads else "rule")


def test_other_processes_take_it_when_they_are_told_to(clock, monkeypatch):
    F.tune("conv2d", *SHAPES)
    another_process(monkeypatch)
    assert plan_for(CONV).source == "rule"
    for plan in ("tuned", "measure"):
        with settings(plan=plan):
            assert (plan_for(CONV).algorithm, plan_for(CONV).source) == ("im2col_gemm", "measured")


def test_tuned_measures_nothing(clock):
    with settings(plan="tuned"):
        assert plan_for(CONV).source == "rule"
    assert clock == []


def test_measure_measures_once(clock, monkeypatch):
    with settings(plan="measure"):
        assert plan_for(CONV).source == "measured"
        count = len(clock)
        assert count > 0
        plan_for(CONV)
        another_process(monkeypatch)
        assert plan_for(CONV).source == "measured"
        assert len(clock) == count
    assert plan_for(CONV).source == "rule"


def test_it_is_forgotten(clock, file):
    F.tune("conv2d", *SHAPES)
    F.tune("conv2d", *SHAPES, padding=1)
    F.forget_tuned("conv2d", *SHAPES)
    assert F.explain("conv2d", *SHAPES).source == "rule"
    assert F.explain("conv2d", *SHAPES, padding=1).source == "measured"
    assert len(json.loads(file.read_text())["plans"]) == 1
    F.forget_tuned()
    assert not file.exists()
    with settings(plan="tuned"):
        assert F.explain("conv2d", *SHAPES, padding=1).source == "rule"


def test_what_other_processes_added_is_kept(clock, file):
    F.tune("conv2d", *SHAPES)
    content = json.loads(file.read_text())
    content["plans"]["another problem"] = "naive"
    file.write_text(json.dumps(content))
    F.tune("conv2d", *SHAPES, padding=1)
    assert len(json.loads(file.read_text())["plans"]) == 3


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"format": 1}', '{"format": 1, "plans": []}', '{"format": 9}', "\xff"],
)
def test_a_spoilt_file_counts_as_empty(text, clock, file):
    file.write_bytes(text.encode("latin-1"))
    with settings(plan="tuned"):
        assert plan_for(CONV).source == "rule"
    F.tune("conv2d", *SHAPES)
    assert list(json.loads(file.read_text())["plans"].values()) == ["im2col_gemm"]


@pytest.mark.parametrize("name", ["no_such_algorithm", "depthwise", "naive", 5])
def test_a_choice_that_makes_no_sense_is_left_alone(name, file, monkeypatch):
    key = wisdom.key(CONV, planner.current_settings())
    file.write_text(json.dumps({"format": wisdom.FORMAT, "plans": {key: name}}))
    with settings(plan="tuned"):
        plan = plan_for(CONV)
    accepted = name == "naive"
    assert plan.source == ("measured" if accepted else "rule")


def test_without_a_folder_it_lasts_as_long_as_the_process(clock, monkeypatch):
    monkeypatch.setattr(wisdom, "path", lambda: None)
    assert F.tune("conv2d", *SHAPES).source == "measured"
    assert F.explain("conv2d", *SHAPES).source == "measured"
    F.forget_tuned()
    assert F.explain("conv2d", *SHAPES).source == "rule"


def test_a_folder_that_cannot_be_written_is_no_error(clock, monkeypatch, tmp_path):
    monkeypatch.setattr(wisdom, "path", lambda: tmp_path / "gone" / "plans.json")
    assert F.tune("conv2d", *SHAPES).source == "measured"


def test_precision_is_respected(clock, monkeypatch):
    """Transforms are not measured where their errors are too large."""
    monkeypatch.setitem(SLOW, "fft", -0.001)
    shapes = ((1, 1, 40, 40), (1, 1, 9, 9))
    assert F.tune("conv2d", *shapes).algorithm == "fft"
    assert F.tune("conv2d", *shapes, dtype="float64").algorithm != "fft"
    with settings(precision="fast"):
        assert F.tune("conv2d", *shapes, dtype="float64").algorithm == "fft"


def test_a_step_after_the_other(clock):
    plan = F.tune("separable_conv2d", (1, 3, 9, 9), (3, 1, 3, 3), (5, 3, 1, 1))
    assert plan.source == plan.before.source == "measured"


@pytest.mark.parametrize("direction", ["forward", "input_gradient", "weight_gradient"])
@pytest.mark.parametrize("dtype", ["int8", "float16", "complex64", "bool", "uint16"])
def test_every_dtype(clock, direction, dtype):
    problem = Problem.parse(LINE.replace("forward", direction).replace("float32", dtype))
    assert planner.tuned_plan(problem).source == "measured"


def test_what_has_nothing_to_choose_goes_by_rule(clock):
    planes = F.tune("max_unpool2d", (1, 2, 3, 3), (1, 2, 3, 3), 2)
    assert planes.source == "rule"
    assert F.tune("conv2d", (1, 0, 5, 5), (3, 0, 1, 1)).source == "rule"
    with settings(plan="measure"):
        assert F.explain("max_unpool2d", (1, 2, 3, 3), (1, 2, 3, 3), 2).source == "rule"
    assert clock == []


@pytest.mark.parametrize("line", all_lines()[::12])
def test_data_is_made_up_for_every_problem(line, monkeypatch):
    monkeypatch.setattr(tuning, "SECONDS", 0)
    problem = Problem.parse(line)
    plan = planner.tuned_plan(problem)
    assert plan.source == ("measured" if problem.operation in tuning.SAMPLED else "rule")
    assert plan_for(problem) is plan


def test_clocks_are_real():
    """Without the made up one: what is chosen is among the fastest."""
    problem = Problem.parse("conv forward x=1x16x40x40 w=16x16x3x3 p=1 float32")
    plan = planner.tuned_plan(problem)
    assert plan.algorithm in {algorithm.name for algorithm in ALGORITHMS} - {"naive"}
    start = time.perf_counter()
    assert planner.tuned_plan(problem).source == "measured"
    assert time.perf_counter() - start < 60


def test_parameters():
    with pytest.raises(ParameterError, match=r"^plan: expected one of"), settings(plan="fast"):
        pass
    with pytest.raises(ParameterError, match="op: nothing to plan"):
        F.tune("sort", (1, 2))
    with pytest.raises(ParameterError, match="'conv2d'"):
        F.tune("conv2d", *SHAPES, no_such=1)


TWO_RUNS = """
import fastconv as F
shapes = ((1, 3, 12, 12), (4, 3, 3, 3))
{}
with F.settings(plan="tuned"):
    print(F.explain("conv2d", *shapes).source, F.info()["tuned_plans"])
"""


def test_from_one_process_to_the_next(tmp_path):
    folder = {"FASTCONV_CACHE_DIR": str(tmp_path)}
    first = python(TWO_RUNS.format('F.tune("conv2d", *shapes)'), **folder)
    second = python(TWO_RUNS.format(""), **folder)
    assert first == second
    source, path = second.split(" ", 1)
    assert source == "measured"
    assert path.startswith(str(tmp_path))
    python(TWO_RUNS.format("F.forget_tuned()"), **folder)
    assert python(TWO_RUNS.format(""), **folder).startswith("rule ")


def test_many_threads_tune_at_once(monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr(tuning, "SECONDS", 0.001)
    x, w = np.ones(SHAPES[0], np.float32), np.ones(SHAPES[1], np.float32)

    def call(_):
        with settings(plan="measure"):
            return F.conv2d(x, w)

    with ThreadPoolExecutor(4) as pool:
        for y in pool.map(call, range(12)):
            same(y, np.full((1, 4, 10, 10), 27, np.float32))
