import numpy as np

from fastconv.algorithms import ALGORITHMS


def test_it_shows_what_is_there(command):
    code, out, err = command("info")
    assert (code, err) == (0, "")
    assert f"numpy {np.__version__}" in out
    assert all(algorithm.name in out for algorithm in ALGORITHMS)
    for word in ("CPU features", "BLAS", "threads = None", "compiled code", "kept in", "platform"):
        assert word in out


def test_without_numba_and_threadpoolctl(command, missing, monkeypatch):
    missing("threadpoolctl")
    monkeypatch.setattr("fastconv.about.numba_installed", lambda: False)
    code, out, _ = command("info")
    assert code == 0
    assert "threadpoolctl tells it" in out
    assert "Numba tells them" in out
    assert "kept in" not in out


def test_where_compiled_code_is_kept_is_said_once(command, monkeypatch):
    assert command("info")[1].count("kept in") == 1
    monkeypatch.setattr("fastconv.kernels.disk_cache.cache_folder", lambda: None)
    out = command("info")[1]
    assert out.count("not kept: no folder can be written") == 1
