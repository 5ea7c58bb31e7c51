"""The script that measures the planner's thresholds still finds them, and measures."""

import importlib

import pytest

pytest.importorskip("numba")
pytest.importorskip("rich")

from benchmarks import thresholds


@pytest.mark.parametrize("threshold", thresholds.THRESHOLDS, ids=lambda each: each.name)
def test_each_is_a_constant(threshold):
    module = importlib.import_module(f"fastconv.algorithms.{threshold.module}")
    assert isinstance(getattr(module, threshold.name), int | float)


def test_the_value_in_the_code_is_measured_beside_others(monkeypatch):
    monkeypatch.setattr(thresholds, "SECONDS", 0.0)
    lines = ("conv forward x=1x2x9x9 w=4x2x3x3 float32",)
    threshold = thresholds.Threshold("implicit_gemm", "SERIAL_FLOPS", (1,), "", lines=lines)
    current = importlib.import_module("fastconv.algorithms.implicit_gemm").SERIAL_FLOPS
    name, in_the_code, shown = thresholds._row(threshold)
    assert (name, in_the_code) == ("implicit_gemm.SERIAL_FLOPS", str(current))
    assert shown.startswith("1: ")
    assert shown.endswith(f"{current}: 1.00")
