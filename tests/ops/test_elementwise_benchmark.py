"""The benchmark of what works element by element runs, and writes its table into the README."""

import pytest

from benchmarks import elementwise


def test_calls_are_raced_and_written(monkeypatch):
    monkeypatch.setattr(elementwise, "TURNS", 1)
    monkeypatch.setattr(elementwise, "settle", lambda: None)
    monkeypatch.setattr(
        elementwise, "turn", lambda call, _: (1.0, 2e-3) if call() is not None else 0
    )
    found = elementwise.measure(r"softmax.*\(128, 10\)|batch_norm.*\(8, 64")
    assert len(found["rows"]) == 7
    for row in found["rows"]:
        assert {taken for seconds in row["seconds"].values() for taken in seconds.values()} == {
            2e-3
        }
    readme = elementwise.README.read_text(encoding="utf-8")
    text = elementwise.written(readme, found)
    assert "| `softmax` along 1 | 128x10 | 2 |" in text
    assert elementwise.written(text, found) == text


def test_wrong_results_are_not_timed():
    pytest.importorskip("torch")
    case = next(c for c in elementwise.cases() if c.name == "`softmax` along 1")
    wrong = elementwise.Case(case.name, case.shape, lambda: case.own() * 2, case.torch)
    with pytest.raises(SystemExit, match="PyTorch differs by"):
        elementwise._raced(wrong, 1)
