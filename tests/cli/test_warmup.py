import numpy as np
import pytest

from fastconv.algorithms import depthwise, implicit_gemm
from fastconv.cli.warmup import common_set, tile_rows
from fastconv.kernels import target
from fastconv.plan import plan_for
from tests.cli.conftest import one_line
from tests.helpers import python

pytest.importorskip("numba")
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


@DTYPES
def test_every_tile_of_the_host_is_reached(dtype):
    tiles = {target.tile_for(np.dtype(dtype), rows) for rows in tile_rows(dtype)}
    assert tiles == {target.tile_for(np.dtype(dtype), rows) for rows in range(1, 200)}


def test_the_common_set():
    steps = common_set()
    dtypes = {problem.dtype.name for problem, _ in steps}
    assert dtypes == {"float32", "float64"}
    loops = {(p.direction, p.dtype.name) for p, algorithm in steps if algorithm == "naive"}
    assert len(loops) == 6
    planned = {plan_for(problem).algorithm for problem, algorithm in steps if algorithm is None}
    assert planned == {"implicit_gemm", "channel_vectors", "channels_last", "depthwise"}


def test_the_common_set_is_shared_by_threads():
    """Loops that threads share are code of their own."""
    limits = {"depthwise": depthwise.WAKE_FLOPS}
    for problem, algorithm in common_set():
        if algorithm is None:
            limit = limits.get(plan_for(problem).algorithm, implicit_gemm.WAKE_FLOPS)
            assert problem.flops >= limit, str(problem)


def test_it_says_where_the_code_is(command, monkeypatch):
    problem, algorithm = common_set()[-1]
    monkeypatch.setattr("fastconv.cli.warmup.common_set", lambda: [(problem, algorithm)])
    code, out, err = command("warmup")
    assert (code, err) == (0, "")
    assert "kept in " in out
    monkeypatch.setattr("fastconv.kernels.disk_cache.cache_folder", lambda: None)
    assert "not kept, for no folder" in command("warmup")[1]


def test_without_numba(command, monkeypatch):
    monkeypatch.setattr("fastconv.cli.warmup.numba_installed", lambda: False)
    code, out, err = command("warmup")
    assert (code, out) == (2, "")
    assert one_line(err)
    assert "pip install numba" in err


def test_afterwards_nothing_is_compiled(tmp_path):
    """In a folder of its own: warm up one step, then load it in another process."""
    step = """
from fastconv.cli.operands import operands, run_problem
from fastconv.cli.warmup import common_set
problem, algorithm = common_set()[-1]
run_problem(problem, operands(problem), algorithm)
"""
    count = f"""
import pathlib
files = list(pathlib.Path({str(tmp_path)!r}).rglob("*.bin"))
print(len(files), max(f.stat().st_mtime_ns for f in files))
"""
    first = python(step + count, FASTCONV_CACHE_DIR=str(tmp_path))
    assert python(step + count, FASTCONV_CACHE_DIR=str(tmp_path)) == first
