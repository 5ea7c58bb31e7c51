import dataclasses

import numpy as np
import pytest

from tests.helpers import python

pytest.importorskip("numba")

from fastconv.kernels import target
from fastconv.kernels.target import AVX2, AVX512, PORTABLE, TILES, Tile, tile_for

REGISTERS = {"avx512": 32, "avx2": 16, "portable": 16}
TARGETS = {each.name: each for each in (AVX512, AVX2, PORTABLE)}
EVERY_TILE = [(isa, dtype, tile) for (isa, dtype), tiles in TILES.items() for tile in tiles]


def test_every_instruction_set_has_tiles_for_every_dtype():
    assert set(TILES) == {(isa, dtype) for isa in REGISTERS for dtype in ("float32", "float64")}


@pytest.mark.parametrize(("isa", "dtype", "tile"), EVERY_TILE, ids=str)
def test_sums_columns_and_a_broadcast_fit_the_registers(isa, dtype, tile):
    widest = max(tile.vectors)
    columns = widest if tile.rows > 1 else 1  # one row uses each column once, as it comes
    assert tile.rows * widest + columns + 1 <= REGISTERS[isa]


@pytest.mark.parametrize(("isa", "dtype", "tile"), EVERY_TILE, ids=str)
def test_widths_fall_to_one_so_that_any_number_of_vectors_is_covered(isa, dtype, tile):
    assert tile.rows >= 1
    assert list(tile.vectors) == sorted(set(tile.vectors), reverse=True)
    assert tile.vectors[-1] == 1
    assert 2 <= len(tile.vectors) <= 3  # what `gemm` dispatches on


@pytest.mark.parametrize("tiles", TILES.values(), ids=map(str, TILES))
def test_tiles_of_one_instruction_set_differ_in_rows(tiles):
    """Compiled code, and packed weights, are told apart by the number of rows."""
    assert len({tile.rows for tile in tiles}) == len(tiles)
    assert 1 in {tile.rows for tile in tiles}


@pytest.mark.parametrize(
    ("isa", "lanes"), [("avx512", (16, 8)), ("avx2", (8, 4)), ("portable", (4, 2))]
)
def test_lanes(isa, lanes):
    found = tuple(TARGETS[isa].lanes(np.dtype(name)) for name in ("float32", "float64"))
    assert found == lanes


@pytest.mark.parametrize("isa", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6, 8, 12, 16, 64, 100])
def test_the_tile_is_one_of_the_candidates_and_wastes_little(isa, dtype, rows, monkeypatch):
    monkeypatch.setattr(target, "host", lambda: TARGETS[isa])
    tile = tile_for(np.dtype(dtype), rows)
    assert tile in TILES[isa, dtype]
    assert -(-rows // tile.rows) * tile.rows < rows + max(t.rows for t in TILES[isa, dtype])


def test_one_row_never_computes_others(monkeypatch):
    for isa, dtype in TILES:
        monkeypatch.setattr(target, "host", lambda isa=isa: TARGETS[isa])
        assert tile_for(np.dtype(dtype), 1).rows == 1


def test_rows_of_the_candidates_are_not_wasted(monkeypatch):
    monkeypatch.setattr(target, "host", lambda: AVX512)
    assert tile_for(np.dtype("float32"), 64).rows == 8
    assert tile_for(np.dtype("float32"), 6).rows == 6
    assert tile_for(np.dtype("float32"), 4).rows == 4


AVX512_FEATURES = "+avx512f,+avx512vl,+avx512bw,+avx512dq,+avx2,+fma"


@pytest.mark.parametrize(
    ("name", "features", "expected"),
    [
        ("skylake-avx512", AVX512_FEATURES, "avx512"),
        ("skylake-avx512", AVX512_FEATURES.replace("+avx512vl", "-avx512vl"), "avx2"),
        ("haswell", "+avx,+avx2,+fma,+sse4.2", "avx2"),
        ("haswell", "+avx,+avx2,-fma", "portable"),
        ("sandybridge", "+avx,+sse4.2", "portable"),
        ("x86-64", "+sse2", "portable"),
        ("generic", None, "portable"),
    ],
)
def test_the_instruction_set_is_that_of_numbas_settings(name, features, expected):
    """Numba compiles for these, so vectors beyond them would be split or not run at all."""
    code = "from fastconv.kernels.target import host; print(host().name)"
    assert python(code, NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=features) == expected


def test_without_settings_it_is_that_of_the_machine():
    from llvmlite import binding

    found = {name for name, on in binding.get_host_cpu_features().items() if on}
    code = "from fastconv.kernels.target import host; print(host().name)"
    printed = python(code, NUMBA_CPU_NAME=None, NUMBA_CPU_FEATURES=None)
    assert (printed != "portable") == ({"avx2", "fma"} <= found)
    assert (printed == "avx512") == ({f"avx512{part}" for part in ("f", "vl", "bw", "dq")} <= found)


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        AVX512.name = "other"
    assert hash(Tile(8, (3, 2, 1))) == hash(Tile(8, (3, 2, 1)))
