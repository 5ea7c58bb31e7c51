"""The micro-kernel of channel vectors: its machine code; its sums are for the agreement tests."""

import platform

import numpy as np
import pytest

pytest.importorskip("numba")

from fastconv import Problem
from fastconv.algorithms import ALGORITHMS, channel_vectors
from fastconv.kernels import channels, jit, target
from tests.helpers import inputs_of, outputs_of
from tests.kernels.assembly import vector_widths
from tests.kernels.test_tile import MOVE, check_loops

on_x86 = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64") or target.host() is target.PORTABLE,
    reason="for x86 with fused multiply-adds",
)


@on_x86
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", target.CHANNEL_TILE_ROWS[target.host().name])
def test_the_inner_loops_keep_their_sums_in_the_widest_registers(dtype, rows, monkeypatch):
    monkeypatch.setattr(jit, "cache_folder", lambda: None)  # what is loaded cannot be read
    monkeypatch.setattr(channel_vectors, "_rows", lambda geometry: rows)
    compiled_now, make_loops = [], channels.channel_loops.__wrapped__

    def recorded(*arguments):
        compiled_now.append(make_loops(*arguments))
        return compiled_now[-1]

    monkeypatch.setattr(channels, "channel_loops", recorded)
    outputs = 6 * target.host().lanes(np.dtype(dtype))
    problem = Problem.parse(f"conv forward x=1x3x9x9 w={outputs}x3x3x3 {dtype}")
    (algorithm,) = (a for a in ALGORITHMS if a.name == "channel_vectors")
    channel_vectors._engine.cache_clear()
    try:
        algorithm.run(problem, inputs_of(problem), outputs_of(problem), 2**25, 1)
    finally:
        channel_vectors._engine.cache_clear()
    (loops,) = compiled_now
    (assembly,) = loops.inspect_asm().values()
    widths = target.ROW_TILES[target.host().name].vectors
    check_loops(assembly, [rows * width for width in widths])
    assert max(vector_widths(assembly)) == MOVE[0]
