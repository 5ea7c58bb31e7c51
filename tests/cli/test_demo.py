import re

import pytest

from tests.cli.conftest import one_line

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")


@pytest.mark.parametrize("colour", [[], ["--rgb"]])
def test_table_and_figure(command, picture, tmp_path, colour):
    folder = tmp_path / "maps"
    code, out, err = command("demo", "--image", picture, "--output", folder, *colour)
    assert (code, err) == (0, "")
    for number in (1, 2, 3):
        assert f"convolution {number}" in out
        assert f"max pool {number}" in out
    assert "1x3x12x15" in out
    assert re.search(r"total .*×", out)
    figure = folder / "feature-maps.png"
    assert str(figure) in out
    with Image.open(figure) as drawn:
        assert drawn.size[0] > 1000
        drawn.load()


def test_a_missing_image(command, tmp_path):
    code, out, err = command("demo", "--image", tmp_path / "gone.png", "--output", tmp_path)
    assert (code, out) == (2, "")
    assert one_line(err)
    assert "gone.png: No such file" in err


def test_an_unreadable_image(command, tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    code, _, err = command("demo", "--image", tmp_path / "text.png", "--output", tmp_path)
    assert code == 2
    assert one_line(err)
    assert "cannot identify" in err


def test_an_image_that_is_too_small(command, tmp_path):
    Image.new("L", (20, 30)).save(tmp_path / "small.png")
    code, _, err = command("demo", "--image", tmp_path / "small.png", "--output", tmp_path)
    assert code == 2
    assert one_line(err)
    assert "at least 42x42" in err


def test_an_unwritable_folder_is_found_out_first(command, below_a_file, monkeypatch):
    monkeypatch.setattr("fastconv.cli.demo.photograph", lambda path: pytest.fail("too late"))
    code, out, err = command("demo", "--output", below_a_file)
    assert (code, out) == (2, "")
    assert one_line(err)
    assert "output: cannot write to" in err


@pytest.mark.parametrize("name", ["matplotlib", "skimage", "PIL"])
def test_without_its_extra(command, missing, tmp_path, name):
    missing(name)
    code, out, err = command("demo", "--output", tmp_path)
    assert (code, out) == (2, "")
    assert one_line(err)
    assert name in err
    assert "pip install fastconv[demo]" in err
