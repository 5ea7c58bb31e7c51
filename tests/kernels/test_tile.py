"""The micro-kernel against NumPy: everything it must not touch holds NaN."""

import functools
import platform

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from fastconv import Problem  # noqa: E402
from fastconv.algorithms import ALGORITHMS, implicit_gemm  # noqa: E402
from fastconv.kernels import gemm, jit, target  # noqa: E402
from fastconv.kernels.sums import ACTIVATION_WORD, ACTIVATIONS  # noqa: E402
from fastconv.kernels.tile import SEGMENT_WORDS, STREAM_WORD, Shape, make_tile  # noqa: E402
from tests.helpers import inputs_of, outputs_of  # noqa: E402
from tests.kernels.assembly import innermost_loops, vector_widths  # noqa: E402

HOST = target.host()
SHAPES = [
    (dtype, tile.rows, vectors)
    for dtype in ("float32", "float64")
    for tile in target.TILES[HOST.name, dtype]
    for vectors in tile.vectors
]
EACH_SHAPE = pytest.mark.parametrize(("dtype", "rows", "vectors"), SHAPES)
UNWRITTEN = -7777.0
CASES = 16
ACTIVATED = {
    0: lambda y: y,
    1: lambda y: np.where(y < 0, 0, y),
    2: lambda y: np.clip(y, 0, 6),
    3: lambda y: np.where(y < 0, y * y.dtype.type(0.01), y),
}
on_x86 = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64") or HOST.name == "portable",
    reason="the instructions are named for AVX2 and AVX-512",
)


@functools.cache
def compiled(dtype, rows, vectors):
    dtype = np.dtype(dtype)
    tile = make_tile(Shape(dtype, rows, vectors, HOST.lanes(dtype), not HOST.masked_loads))

    def call(w, w0, x, x0, bias, b0, y, y0, table, first, last, stores, xs, ys, valid):
        tile(w, w0, x, x0, bias, b0, y, y0, table, first, last, stores, xs, ys, valid)

    array, integer, table = numba.from_dtype(dtype)[::1], numba.intp, numba.int64[::1]
    dispatcher = numba.njit(error_model="numpy")(call)
    dispatcher.compile((*(array, integer) * 4, table, *(integer,) * 6))
    return dispatcher


class Case:
    """One random tile: its arrays, its table, and what it has to write."""

    def __init__(self, dtype, rows, vectors, seed, segments=None):
        self.random, self.seed = np.random.default_rng([seed, rows, vectors]), seed
        self.dtype, self.rows, self.vectors = np.dtype(dtype), rows, vectors
        self.lanes = HOST.lanes(self.dtype)
        self.positions = vectors * self.lanes
        self.valid = int(self.random.integers(1, rows, endpoint=True))
        self.segments = int(self.random.integers(1, 6)) if segments is None else segments
        self.reach = self.positions + 40  # no shift is larger, so all stays in the arrays
        self.xs = 2 * self.reach + self.positions
        self.ys = 3 * self.positions + int(self.random.integers(0, 9))
        self.w0, self.b0, gap = (int(self.random.integers(0, 20)) for _ in range(3))
        self.first = STREAM_WORD + 1 + gap
        self.activation = seed % len(ACTIVATED)
        self.y0 = self.positions
        self._fill()

    def integers(self, *shape):
        return self.random.integers(-4, 4, shape, endpoint=True).astype(self.dtype)

    def _fill(self):
        most = 5
        self.x = np.full(2 * most * self.xs, np.nan, self.dtype)
        self.x0 = self.reach
        self.bias = np.full(self.b0 + self.rows + 5, np.nan, self.dtype)
        self.bias[self.b0 : self.b0 + self.valid] = self.integers(self.valid)
        self.w = np.full(self.w0 + 200 * self.rows + 7, np.nan, self.dtype)
        self.sums = np.repeat(
            self.bias[self.b0 : self.b0 + self.valid, None].astype(float), self.positions, 1
        )
        words = []
        for place in self.random.permutation(20)[: self.segments] * 10:
            words += self._segment(int(place), int(self.random.integers(1, most, endpoint=True)))
        stores = self._stores()
        self.last = self.first + len(words)
        written = self.expected != UNWRITTEN
        self.expected = self.expected.astype(self.dtype)
        activated = ACTIVATED[self.activation](self.expected[written])
        self.expected[written] = activated
        table = [-(10**9)] * self.first + words + stores + [-(10**9)]
        self.table = np.array(table, np.int64)
        self.table[ACTIVATION_WORD], self.table[STREAM_WORD] = self.activation, self.seed % 3

    def _segment(self, place, channels):
        shift = int(self.random.integers(-40, 40, endpoint=True))
        mask = self.random.random(self.positions) < self.random.choice([0.1, 0.7, 1.0])
        read = np.flatnonzero(mask)
        for channel in range(channels):
            start = self.w0 + (place + channel) * self.rows
            weights = self.integers(self.valid)
            self.w[start : start + self.valid] = weights
            column = np.zeros(self.positions)
            spots = self.x0 + channel * self.xs + shift + read
            fresh = spots[np.isnan(self.x[spots])]
            self.x[fresh] = self.integers(len(fresh))
            column[read] = self.x[spots]
            self.sums += np.outer(weights, column)
        flush = int(self.random.integers(0, 2))
        return [place, shift, channels, flush, *self._bits(mask)]

    def _stores(self):
        """Deal the lanes of each vector out to up to three stores, or to none."""
        self.expected = np.full(self.y0 + self.rows * self.ys + self.positions, UNWRITTEN)
        words = []
        for vector in range(self.vectors):
            owner = self.random.integers(0, self.random.integers(1, 4, endpoint=True), self.lanes)
            count = int(owner.max()) if self.random.random() < 0.8 else 0
            words.append(count)
            for store in range(count):
                lanes = np.flatnonzero(owner == store)
                shift = vector * self.lanes + int(
                    self.random.choice([-self.lanes, 0, 1, self.positions])
                )
                while (self.expected[self.y0 + shift + lanes] != UNWRITTEN).any():
                    shift += 1
                words += [*self._bits(owner == store), shift]
                for row in range(self.valid):
                    spots = self.y0 + row * self.ys + shift + lanes
                    self.expected[spots] = self.sums[row, vector * self.lanes + lanes]
        return words

    def _bits(self, mask):
        groups = mask.reshape(-1, self.lanes)
        return [sum(1 << int(lane) for lane in np.flatnonzero(group)) for group in groups]

    def run(self):
        y = np.full(self.expected.shape, UNWRITTEN, self.dtype)
        assert SEGMENT_WORDS == 4
        compiled(self.dtype.name, self.rows, self.vectors)(
            *(self.w, self.w0, self.x, self.x0, self.bias, self.b0, y, self.y0, self.table),
            *(self.first, self.last, self.last, self.xs, self.ys, self.valid),
        )
        return y


@EACH_SHAPE
def test_a_tile_is_the_sum_of_its_segments_and_touches_nothing_else(dtype, rows, vectors):
    for seed in range(CASES):
        case = Case(dtype, rows, vectors, seed)
        inputs = [array.copy() for array in (case.x, case.w, case.bias, case.table)]
        np.testing.assert_array_equal(case.run(), case.expected)
        for array, before in zip((case.x, case.w, case.bias, case.table), inputs, strict=True):
            np.testing.assert_array_equal(array, before)


@EACH_SHAPE
def test_without_segments_a_tile_is_its_bias(dtype, rows, vectors):
    case = Case(dtype, rows, vectors, 0, segments=0)
    assert case.first == case.last
    assert case.activation == 0
    written = case.expected[case.expected != UNWRITTEN]
    assert set(written) <= set(case.bias[case.b0 : case.b0 + case.valid])
    np.testing.assert_array_equal(case.run(), case.expected)


def test_every_activation_is_reached():
    assert set(ACTIVATED) == {0, *ACTIVATIONS}
    assert 2 * len(ACTIVATED) <= CASES


@EACH_SHAPE
@pytest.mark.parametrize("activation", ACTIVATED)
def test_nan_passes_every_activation(dtype, rows, vectors, activation):
    case = Case(dtype, rows, vectors, 0)
    case.table[ACTIVATION_WORD] = activation
    case.bias[...] = np.nan
    y = case.run()
    np.testing.assert_array_equal(np.isnan(y), case.expected != UNWRITTEN)


def test_the_cases_reach_edges():
    """Otherwise the test above could pass by doing little."""
    cases = [Case(*shape, seed) for shape in SHAPES for seed in range(CASES)]
    assert {case.valid for case in cases if case.rows == 4} == {1, 2, 3, 4}
    assert any(case.valid < case.rows for case in cases)
    flushes = {
        sum(case.table[place + 3] for place in range(case.first, case.last, 4 + case.vectors))
        for case in cases
    }
    assert {0, 1, 2} <= flushes
    stored = [len(case.expected[case.expected != UNWRITTEN]) for case in cases]
    assert np.mean(np.array(stored) > 0) > 0.7


FUSED, MOVE = "vfmadd", {"avx512": "zmm", "avx2": "ymm"}.get(HOST.name, "")


def check_loops(assembly, needed):
    """The multiply-add loops of a module: fused, on the widest registers, nothing on the stack.

    `needed` are the numbers of multiply-adds that a loop must have, or a multiple where unrolled.
    """
    loops = [loop for loop in innermost_loops(assembly) if loop.count(FUSED, MOVE)]
    loops = [loop for loop in loops if not loop.count("vdivp", "")]  # those of an activation
    for number in needed:
        assert any(loop.count(FUSED, MOVE) % number == 0 for loop in loops), number
    for loop in loops:
        assert not loop.spills
        assert not loop.count("vmulp", "")
        assert loop.count(FUSED, "") == loop.count(FUSED, MOVE)


@on_x86
@EACH_SHAPE
def test_the_inner_loop_keeps_its_sums_in_the_widest_registers(dtype, rows, vectors):
    dispatcher = compiled(dtype, rows, vectors)
    for assembly in dispatcher.inspect_asm().values():
        check_loops(assembly, [rows * vectors])


@on_x86
@pytest.mark.parametrize(
    ("dtype", "tile"),
    [
        *(("float32", tile) for tile in target.TILES[HOST.name, "float32"]),
        ("float64", target.TILES[HOST.name, "float64"][0]),
    ],
    ids=str,
)
def test_so_do_the_compiled_loops(dtype, tile, monkeypatch):
    monkeypatch.setattr(jit, "cache_folder", lambda: None)  # what is loaded cannot be read
    monkeypatch.setattr(target, "tile_for", lambda *_: tile)
    compiled_now, make_loops = [], gemm.conv_loops.__wrapped__

    def recorded(*arguments):
        compiled_now.append(make_loops(*arguments))
        return compiled_now[-1]

    monkeypatch.setattr(gemm, "conv_loops", recorded)
    problem = Problem.parse(f"conv forward x=1x3x9x9 w={tile.rows}x3x3x3 {dtype}")
    (algorithm,) = (a for a in ALGORITHMS if a.name == "implicit_gemm")
    implicit_gemm._engine.cache_clear()
    try:
        algorithm.run(problem, inputs_of(problem), outputs_of(problem), 2**25, 1)
    finally:
        implicit_gemm._engine.cache_clear()
    (loops,) = compiled_now
    (assembly,) = loops.inspect_asm().values()
    check_loops(assembly, [tile.rows * width for width in tile.vectors])
    assert max(vector_widths(assembly)) == MOVE[0]


def test_a_loop_with_a_spill_would_be_seen():
    text = """
.LBB0_1:
    vmovups (%rax), %zmm1
.LBB0_2:
    vmovaps 64(%rsp), %zmm3
    vfmadd231ps (%rdi), %zmm0, %zmm3
    vbroadcastss (%rbp), %zmm0
    jne .LBB0_2
    jne .LBB0_1
    ret
"""
    (loop,) = innermost_loops(text)
    assert loop.count("vfmadd", "zmm") == 1
    assert loop.count("vfmadd", "ymm") == 0
    assert loop.spills == ["vmovaps 64(%rsp), %zmm3"]
    (framed,) = innermost_loops("    movq %rsp, %rbp\n" + text)
    assert len(framed.spills) == 2
