import numpy as np
import pytest

from fastconv import MissingDependencyError, ParameterError
from fastconv.cli.photograph import as_input, photograph

Image = pytest.importorskip("PIL.Image")


def saved(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


def test_the_cat():
    pytest.importorskip("skimage")
    pixels = photograph()
    assert pixels.dtype == np.uint8
    assert pixels.shape == (300, 451, 3)


def test_any_mode_becomes_colour(tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    with_alpha = np.full((3, 4, 4), 7, np.uint8)
    for pixels in (grey, with_alpha, np.repeat(grey[..., None], 3, axis=2)):
        assert photograph(saved(tmp_path / "image.png", pixels)).shape == (3, 4, 3)
    np.testing.assert_array_equal(photograph(saved(tmp_path / "grey.png", grey))[..., 1], grey)


def test_more_than_8_bits_are_spread(tmp_path):
    deep = (1000 * np.arange(12, dtype=np.uint16)).reshape(3, 4)
    pixels = photograph(saved(tmp_path / "deep.png", deep))
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_a_missing_file(tmp_path):
    with pytest.raises(ParameterError, match=r"image: cannot read .*gone.png: No such file"):
        photograph(tmp_path / "gone.png")


def test_a_folder(tmp_path):
    with pytest.raises(ParameterError, match="image: cannot read"):
        photograph(tmp_path)


def test_what_is_no_image(tmp_path):
    path = tmp_path / "text.png"
    path.write_text("not an image")
    with pytest.raises(ParameterError, match="cannot identify"):
        photograph(path)


def test_a_damaged_image(picture):
    whole = picture.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:60] + b"\0" * 40 + whole[100:]):
        picture.write_bytes(damaged)
        with pytest.raises(ParameterError, match="image: cannot read"):
            photograph(picture)


def test_without_scikit_image(missing):
    missing("skimage")
    with pytest.raises(MissingDependencyError, match=r"skimage.*fastconv\[demo\]"):
        photograph()


def test_as_input():
    pixels = np.array([[[255, 0, 0], [255, 255, 255]]], np.uint8)
    colour = as_input(pixels, colour=True)
    np.testing.assert_array_equal(colour, [[[[1, 1]], [[0, 1]], [[0, 1]]]])
    grey = as_input(pixels, colour=False)
    np.testing.assert_allclose(grey, [[[[0.299, 1]]]], rtol=1e-6)
    assert colour.dtype == grey.dtype == np.float32
    assert colour.flags.c_contiguous
