"""`fastconv demo NAME`."""

import re

import numpy as np
import pytest
from typer.testing import CliRunner

from fastconv.cli import tutorials
from fastconv.cli.app import app
from fastconv.cli.demos import DEMOS, digit_nine, feature_maps, pace
from fastconv.dropin import digit_nine as nine
from tests.cli.conftest import one_line

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")


def drawn(path):
    with Image.open(path) as image:
        image.load()
        return image.size


@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.NAME)
def test_help_has_examples(demo):
    shown = CliRunner().invoke(app, ["demo", demo.NAME, "--help"])
    assert shown.exit_code == 0
    assert "Examples" in shown.output
    assert f"fastconv demo {demo.NAME}" in shown.output


def test_help_of_demo_lists_them():
    shown = CliRunner().invoke(app, ["demo", "--help"])
    assert all(demo.NAME in shown.output for demo in DEMOS)


@pytest.mark.parametrize("name", [demo.NAME for demo in DEMOS])
def test_options_before_the_name_are_refused(command, name):
    code, out, err = command("demo", "--seed", "1", name)
    assert (code, out) == (2, "")
    assert one_line(err)
    assert f"seed: options of 'demo {name}' stand after its name" in err


def test_an_unknown_name():
    assert CliRunner().invoke(app, ["demo", "digit-ten"]).exit_code == 2


@pytest.mark.parametrize("colour", [[], ["--rgb"]])
def test_feature_maps(command, picture, tmp_path, colour):
    folder = tmp_path / "maps"
    arguments = ("--image", picture, "--output", folder, *colour)
    code, out, err = command("demo", "feature-maps", *arguments)
    assert (code, err) == (0, "")
    assert "60x70x3 float64" in out if colour else "60x70 float64" in out
    assert "12x15x3" in out  # (H, W, F)
    differences = re.findall(r"(\d\.\de[-+]\d\d) │$", out, re.MULTILINE)
    assert len(differences) == 10
    assert all(float(found) < 1e-12 for found in differences)
    assert drawn(folder / feature_maps.FIGURE)[0] > 1000


def test_the_first_bank_is_of_the_tutorial_s_shape():
    grey, rgb = (feature_maps.layers(channels, 0) for channels in (1, 3))
    assert [pair.bank.shape for pair in grey[::3]] == [(2, 3, 3), (3, 5, 5, 2), (1, 7, 7, 3)]
    assert rgb[0].bank.shape == (2, 3, 3, 3)


def test_feature_maps_of_an_image_that_is_too_small(command, tmp_path):
    Image.new("L", (20, 30)).save(tmp_path / "small.png")
    arguments = ("--image", tmp_path / "small.png", "--output", tmp_path)
    code, _, err = command("demo", "feature-maps", *arguments)
    assert code == 2
    assert one_line(err)
    assert "at least 42x42" in err


def test_digit_nine(command, tmp_path):
    code, out, err = command("demo", "digit-nine", "--output", tmp_path)
    assert (code, err) == (0, "")
    assert out.startswith("░░██████░░\n░░██░░██░░")
    assert "This is a 9." in out
    assert "0.00  1.00  0.00" in out
    assert re.search(r"fastconv .* µs \(.*×\), or .* difference \d", out)
    assert drawn(tmp_path / digit_nine.FIGURE)[0] > 1000


def test_a_disturbed_digit(command, tmp_path):
    code, out, _ = command("demo", "digit-nine", "--digit", 4, "--noise", 2, "--output", tmp_path)
    assert code == 0
    assert re.search(r"This is a \d", out)
    moved = digit_nine.disturbed(nine.DIGITS[4], 2, 0)
    assert np.sum(moved != nine.DIGITS[4]) == 2


def test_a_mistaken_digit_is_admitted(command, tmp_path):
    _, out, _ = command("demo", "digit-nine", "--noise", 12, "--output", tmp_path)
    assert "though it was drawn as a 9" in out


def test_the_loops_of_digit_nine():
    maps, pooled = digit_nine.by_the_loops(nine.NINE)
    assert maps.shape == (3, 5, 3)
    assert pooled.shape == (3, 4, 2)
    np.testing.assert_array_equal(maps[0], np.maximum(tutorials.averaged(nine.NINE, nine.BOX), 0))


@pytest.mark.parametrize("name", ["digit-nine", "feature-maps"])
def test_an_unwritable_folder(command, below_a_file, name):
    code, out, err = command("demo", name, "--output", below_a_file)
    assert (code, out) == (2, "")
    assert one_line(err)
    assert "output: cannot write to" in err


@pytest.mark.parametrize("name", ["digit-nine", "feature-maps"])
def test_without_its_extra(command, missing, tmp_path, name):
    missing("matplotlib")
    code, out, err = command("demo", name, "--output", tmp_path)
    assert (code, out) == (2, "")
    assert one_line(err)
    assert "pip install fastconv[demo]" in err


def test_pace_counts_its_calls():
    calls = []
    seconds, result = pace.pace(lambda: calls.append(1) or len(calls), 3)
    assert (len(calls), result) == (4, 4)
    assert seconds >= 0
    calls.clear()
    pace.pace(lambda: calls.append(1), 1)
    assert len(calls) == 1
