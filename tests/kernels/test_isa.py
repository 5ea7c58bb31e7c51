"""The narrower instruction sets, on this machine: Numba compiles for what its settings name."""

import json
import platform

import pytest

from tests.helpers import python

pytest.importorskip("numba")
pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="for x86"
)

SETTINGS = {
    "avx2": ("haswell", "+avx,+avx2,+fma,+bmi,+bmi2,+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2"),
    "portable": ("x86-64", "+sse,+sse2"),
}
LINES = [
    "conv forward x=1x1x1 w=1x1x1 float32",
    "conv forward x=2x3x37 w=5x3x3 p=1 float32",
    "conv forward x=2x3x18 w=4x3x5 p=2:1 d=2 float32",
    "conv forward x=2x4x23 w=6x2x4 s=3 p=2:1 g=2 float32",
    "conv forward x=1x2x10 w=1x2x3 p=6 d=4 float32",
    "conv forward x=2x3x9x11 w=4x3x3x3 p=1 float32",
    "conv forward x=1x5x7x8 w=6x5x3x3 float32",
    "conv forward x=1x5x7x9 w=12x5x3x3 p=1 float32",
    "conv forward x=2x9x9x11 w=18x9x3x3 p=1 float32",
    "conv forward x=2x6x11x10 w=10x3x3x3 s=2 p=1 g=2 float32",
    "conv forward x=1x2x13x14 w=3x2x3x3 s=2x3 p=2 d=2 float32",
    "conv forward x=1x2x9x9 w=7x2x1x1 s=2 float32",
    "conv forward x=2x8x6x19 w=17x8x1x1 float32",
    "conv forward x=2x30x1x1 w=17x30x1x1 float32",
    "conv forward x=2x8x5x5 w=8x2x1x1 g=4 float32",
    "conv forward x=2x5x6x7 w=5x1x3x3 p=1 g=5 float32",
    "conv forward x=1x4x9x9 w=4x1x3x3 s=2 p=1:0 g=4 float32",
    "conv forward x=1x2x4x3 w=3x2x2x2 p=5 float32",
    "conv forward x=1x2x3x3 w=8x2x1x1 p=2 float32",
    "conv forward x=1x1x3x3 w=1x1x2x2 s=5 float32",
    "conv forward x=1x70x4x5 w=4x70x3x3 p=1 float32",
    "conv forward x=2x3x5x6x7 w=8x3x3x3x3 p=1 float32",
    "conv forward x=1x2x6x5x9 w=4x1x2x3x2 s=1x2x3 p=1:0x0x2 d=2x1x1 g=2 float32",
    "conv forward x=2x5x9x11 w=7x5x3x3 p=1 float64",
    "conv forward x=2x3x37 w=8x3x5 p=2:1 d=2 float64",
    "conv forward x=1x4x11x10 w=12x4x3x3 s=2 p=1 float64",
    "conv forward x=1x2x7x6 w=4x1x3x2 s=2x1 p=1x0 g=2 float64",
    "conv forward x=1x2x4x5x4 w=4x2x2x3x2 p=1 float64",
    "conv weight_gradient x=2x3x9x11 w=20x3x3x3 p=1 float32",
    "conv weight_gradient x=3x40x4x4 w=9x40x1x1 float32",
    "conv weight_gradient x=2x1x20x21 w=6x1x5x5 float32",
    "conv weight_gradient x=2x3x9x20 w=3x1x3x3 s=2 p=1 g=3 float32",
    "conv weight_gradient x=1x4x11x10 w=12x4x3x3 s=2 p=1 float64",
    "conv input_gradient x=2x9x9x11 w=4x9x3x3 p=1 float32",
    "conv input_gradient x=1x7x8x12 w=5x7x4x4 s=2 p=1 float32",
    "conv input_gradient x=1x40x5x5 w=7x40x3x3 p=1 float32",
    "conv input_gradient x=1x13x5x7 w=7x13x1x1 float32",
    "conv input_gradient x=1x3x5x7 w=9x3x5x7 float32",
    "conv input_gradient x=1x2x11x37 w=2x1x3x3 s=2 p=1 g=2 float32",
    "conv input_gradient x=1x5x9x13 w=6x5x3x3 s=3x2 p=1 float64",
    "conv input_gradient x=1x5x3x49 w=6x5x3x4 s=3x4 p=1 float32",
    "conv input_gradient x=1x3x3x49 w=6x3x2x2 s=2 float64",
]
INEXACT = {
    "conv forward x=2x9x9x11 w=18x9x3x3 p=1 float32": ["winograd_4"],
    "conv forward x=2x5x9x11 w=7x5x3x3 p=1 float64": ["winograd_2"],
}
"""What is solved by algorithms that are not exact, too."""
PROGRAM = """
import json
import numpy as np
from fastconv import Problem
from fastconv.algorithms import ALGORITHMS, implicit_gemm
from fastconv.kernels import gemm, target
from tests.helpers import accepting, expected, inputs_of, solved
from tests.kernels.assembly import innermost_loops, vector_widths

LOOPS, make_loops = [], gemm.conv_loops


def recorded(*arguments):
    LOOPS.append(make_loops(*arguments))
    return LOOPS[-1]


gemm.conv_loops = recorded
implicit_gemm.SERIAL_FLOPS = implicit_gemm.WAKE_FLOPS = 0
compiled = [a.name for a in ALGORITHMS if getattr(a, "compiled", False) and a.exact]
wrong, solutions = {line: [] for line in LINES}, dict.fromkeys(LINES, 0)
for line in LINES:
    problem = Problem.parse(line)
    inputs = inputs_of(problem)
    (wanted,) = expected(problem, inputs)
    for name in accepting(problem, [*compiled, *INEXACT.get(line, ())]):
        for threads in (1, 3):
            (found,) = solved(problem, inputs, name, threads=threads)
            solutions[line] += 1
            allowed = 2.0**-20 * np.abs(wanted).max() if line in INEXACT else 0
            if not (np.abs(found - wanted) <= allowed).all():
                wrong[line].append(f"{name}, {threads} threads")
widths, fused, tiles = set(), set(), set(LOOPS)
for loops in tiles:
    for assembly in loops.inspect_asm().values():
        widths |= vector_widths(assembly)
        for loop in innermost_loops(assembly):
            fused |= {r for r in ("xmm", "ymm", "zmm") if loop.count("vfmadd", r)}
print(json.dumps({
    "name": target.host().name,
    "wrong": wrong,
    "solutions": solutions,
    "tiles": len(tiles),
    "widths": sorted(widths),
    "fused": sorted(fused),
}))
"""


@pytest.fixture(scope="module", params=SETTINGS)
def report(request, tmp_path_factory):
    """What one program found out, compiled for an instruction set."""
    name, features = SETTINGS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    printed = python(
        f"LINES, INEXACT = {LINES!r}, {INEXACT!r}\n{PROGRAM}",
        timeout=400,  # a minute of compiling, on a machine that has nothing else to do
        NUMBA_CPU_NAME=name,
        NUMBA_CPU_FEATURES=features,
        FASTCONV_CACHE_DIR=str(folder),
    )
    return {"wanted": request.param, **json.loads(printed.splitlines()[-1])}


def test_the_instruction_set_is_found(report):
    assert report["name"] == report["wanted"]


@pytest.mark.parametrize("line", LINES)
def test_results_are_exact(report, line):
    assert report["wrong"][line] == []
    assert report["solutions"][line] >= 2


def test_code_keeps_to_the_instruction_set(report):
    assert report["tiles"] > 2
    if report["wanted"] == "avx2":
        assert report["widths"] == ["x", "y"]
        assert report["fused"] == ["ymm"]
    else:
        assert report["widths"] == ["x"]
        assert report["fused"] == []
