"""The benchmark of training runs, and writes its table into the README."""

import numpy as np

from benchmarks import training


def test_training_is_measured_and_written(monkeypatch):
    for name, value in {"PAUSE": 0, "SLICES": 2, "REFERENCE_SECONDS": 0}.items():
        monkeypatch.setattr(training, name, value)
    found = training.measure(images=96, batch_size=16, threads=1)
    assert set(found["seconds"]) >= {"fastconv", "naive reference"}
    for row in found["seconds"].values():
        assert all(np.isfinite(value) and value > 0 for value in row.values())
    if "PyTorch" in found["losses"]:
        losses = found["losses"]
        np.testing.assert_allclose(losses["fastconv"], losses["PyTorch"], rtol=1e-3)
    with monkeypatch.context() as quickly:
        quickly.setattr(training, "turn", lambda call, _: (1.0, 1e-3) if call() else (1.0, 0.0))
        quickly.setattr(training, "STEP_SECONDS", 0.1)
        found["steps"] = training.measure_steps(16)
    assert {taken for row in found["steps"].values() for taken in row.values()} == {1e-3}
    readme = training.README.read_text(encoding="utf-8")
    text = training.written(readme, found)
    assert "LeNet-5, an epoch of 96 images" in text
    assert "| 2 threads | 1.00 |" in text
    assert text.count("<!-- end of training -->") == 1
    assert training.written(text, found) == text
