"""Random values: every algorithm within the dtype's stated tolerance of float64 arithmetic."""

import math

import numpy as np
import pytest

from fastconv import Problem
from fastconv.algorithms import ALGORITHMS
from fastconv.dtypes import row_of, with_bfloat16
from tests.helpers import NAMES, ROOT, accepting, expected, inputs_of, solved

LINES = [
    "conv forward x=2x16x9x9 w=8x16x3x3 p=1",
    "conv forward x=2x64x5x5 w=8x64x1x1",
    "conv forward x=1x8x9x9 w=8x1x3x3 p=1 g=8",
    "conv forward x=1x8x9x9 w=8x4x3x3 s=2 p=1 g=2",
    "conv input_gradient x=2x8x9x9 w=16x8x3x3 p=1",
    "conv input_gradient x=1x8x9x9 w=8x1x3x3 p=1 g=8",
    "conv weight_gradient x=2x8x12x12 w=6x8x3x3 p=1",
    "conv weight_gradient x=2x16x6x6 w=6x16x1x1",
    "avg_pool forward x=1x2x12x12 k=7 s=2 p=3",
    "avg_pool input_gradient x=1x2x12x12 k=5 s=1 p=2",
    "columns input_gradient x=1x2x9x9 k=4",
    "scatter forward x=1x2x2x3 o=9x9",
]


BY_NAME = {algorithm.name: algorithm for algorithm in ALGORITHMS}


def random(array, seed):
    if array.dtype.kind in "biu":
        return array
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(array.shape)
    if array.dtype.kind == "c":
        values = values + 1j * rng.standard_normal(array.shape)
    return values.astype(array.dtype)


FLOATING = [row_of(name) for name in with_bfloat16() if row_of(name).dtype.kind not in "biu"]


@pytest.mark.parametrize("row", FLOATING, ids=lambda row: row.dtype.name)
@pytest.mark.parametrize("line", LINES)
def test_within_the_stated_tolerance(line, row):
    problem = Problem.parse(f"{line} {row.dtype.name}")
    inputs = [random(array, seed) for seed, array in enumerate(inputs_of(problem))]
    wide = np.dtype(complex if row.dtype.kind == "c" else float)
    precise = Problem.parse(f"{line} {wide}")
    (truth,) = expected(precise, [a if a.dtype.kind == "i" else a.astype(wide) for a in inputs])
    terms = max(1, problem.flops / truth.size)
    bound = row.tolerance * math.sqrt(terms) * np.abs(truth).max()
    for name in accepting(problem, NAMES):
        (result,) = solved(problem, inputs, name)
        errors = getattr(BY_NAME[name], "errors", 1)
        assert np.abs(result - truth).max() <= errors * bound, name


def test_the_readme_has_every_dtype():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.partition("<!-- accuracy: ")[2].partition("<!-- end of accuracy -->")[0]
    rows = [line.split("|")[1].strip() for line in block.splitlines() if line.startswith("|")]
    assert set(rows[2:]) == set(with_bfloat16()) | {"bfloat16"}


@pytest.mark.parametrize("row", FLOATING, ids=lambda row: row.dtype.name)
def test_the_readmes_errors_are_within_the_tolerance(row):
    """A few roundings of the result, times the square root of the number of terms."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith(f"| {row.dtype.name} | "))
    errors = [float(cell) for cell in line.split("|")[5:9]]
    assert len(errors) == 4
    assert max(errors) <= row.tolerance * math.sqrt(2 * 28 * 28)
