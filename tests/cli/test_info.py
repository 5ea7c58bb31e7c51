import numpy as np

from fastconv.algorithms import ALGORITHMS


def test_it_shows_what_is_there(command):
    code, out, err = command("info")
    assert (code, err) == (0, "")
    assert f"numpy {np.__version__}" in out
    assert ", ".join(algorithm.name for algorithm in ALGORITHMS) in out
    for word in ("CPU features", "BLAS", "threads = None", "compiled loops", "platform"):
        assert word in out


def test_without_numba_and_threadpoolctl(command, missing, monkeypatch):
    missing("threadpoolctl")
    monkeypatch.setattr("fastconv.about.numba_installed", lambda: False)
    code, out, _ = command("info")
    assert code == 0
    assert "threadpoolctl tells it" in out
    assert "Numba tells them" in out
