"""The README's table of what other libraries have names what exists."""

import pytest

from benchmarks import coverage

COLUMNS = list(coverage.SYSTEMS)


def test_every_name_of_fastconv_exists_with_its_parameters():
    assert coverage.mistakes(len(COLUMNS) + 1, coverage.of_fastconv) == []


@pytest.mark.parametrize("system", COLUMNS)
def test_names_of_others_exist_where_they_are_installed(system):
    if not coverage.installed(system):
        pytest.skip("not installed")
    look_up = coverage.of_onnx if system == "ONNX" else coverage.of_package
    assert coverage.mistakes(COLUMNS.index(system) + 1, look_up) == []


def test_the_readme_is_up_to_date():
    text = coverage.README.read_text(encoding="utf-8")
    assert "| convolution |" in text
    assert coverage.written(text) == text


def test_versions_are_forgotten_when_the_table_changes(monkeypatch):
    monkeypatch.setattr(coverage, "installed", lambda system: system == "SciPy")
    monkeypatch.setattr(coverage.importlib.metadata, "version", lambda package: "2.1.0rc1")
    text = "a\n<!-- looked up -->\nfound in JAX 0.1.2, SciPy 1.0.\n<!-- end of looked up -->\nb"
    assert "found in JAX 0.1.2, SciPy 2.1.0.\n" in coverage.looked_up(text, keep=True)
    assert "found in SciPy 2.1.0.\n" in coverage.looked_up(text, keep=False)


def test_every_public_operation_is_in_the_table():
    import inspect

    import fastconv

    named = {name for row in coverage.ROWS for name, _ in coverage.entries(row[-1])}
    operations = {n for n in fastconv.__all__ if inspect.isfunction(getattr(fastconv, n))}
    assert operations - named == {"configure", "info", "tune", "forget_tuned"}


def test_what_does_not_exist_is_found(monkeypatch):
    row = ("no such thing", *["–"] * len(COLUMNS), "conv{1,2}d: strides; conv4d")
    monkeypatch.setattr(coverage, "ROWS", (row,))
    wrong = coverage.mistakes(len(COLUMNS) + 1, coverage.of_fastconv)
    assert len(wrong) == 3
    assert "conv4d" in wrong[-1]


def test_a_cell_names_every_rank():
    cell = "conv{1,2,3}d: stride, padding; fold, unfold"
    assert list(coverage.entries(cell)) == [
        ("conv1d", ["stride", "padding"]),
        ("conv2d", ["stride", "padding"]),
        ("conv3d", ["stride", "padding"]),
        ("fold", []),
        ("unfold", []),
    ]
