import math

import pytest

from fastconv.cli import console


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.00312, "0.0031"),
        (0.5, "0.500"),
        (1.234, "1.23"),
        (98.76, "98.8"),
        (999.9, "1000"),
        (12345.6, "12346"),
        (math.inf, "inf"),
    ],
)
def test_significant(number, text):
    assert console.significant(number) == text


def test_milliseconds_and_times():
    assert console.milliseconds(0.00123) == "1.23"
    assert console.times(12.34) == "12.3×"
    assert console.milliseconds(None) == console.times(None) == "–"


def test_geometric_mean():
    assert console.geometric_mean([1, 4, 16]) == pytest.approx(4)
    assert console.geometric_mean([]) is None


def test_shape():
    assert console.shape((2, 149, 224)) == "2x149x224"


def test_tables_are_not_cut_in_pipes(capsys):
    shown = console.table("title", ["name"], [f"a long number {n}" for n in range(8)])
    shown.add_row("row", *map(str, range(8)))
    console.show(shown)
    assert capsys.readouterr().out.count("long number 7") == 1


def test_tables_are_not_cut_in_narrow_terminals(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    shown = console.table("title", ["name"], ["one", "two"])
    shown.add_row("a name that is long", "123456789", "987654321")
    console.show(shown)
    row = next(line for line in capsys.readouterr().out.splitlines() if "123456789" in line)
    assert "a name that is long" in row
    assert "987654321" in row


def test_help_text_joins_lines_and_keeps_examples_apart():
    text = console.help_text("One\nline.\n\nAnother.", "first", "second")
    assert text.startswith("One line.\n\nAnother.\n\n")
    assert text.endswith("\n  first\n  second")
