import gzip
import struct

import numpy as np
import pytest

from fastconv.cli import digits, idx
from fastconv.errors import ParameterError
from tests.helpers import same


def content_of(array, code=8):
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def images_of(count, side=28, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """The four files; two of them compressed, one with a dot in its name."""
    rng = np.random.default_rng(0)
    files = {
        "train-images-idx3-ubyte": content_of(images_of(20)),
        "train-labels-idx1-ubyte.gz": gzip.compress(content_of(rng.integers(0, 10, 20))),
        "t10k-images.idx3-ubyte": content_of(images_of(6, seed=1)),
        "t10k-labels-idx1-ubyte.gz": gzip.compress(content_of(np.arange(6))),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_four_files_are_read(folder):
    images, _, test_images, test_labels = idx.read_folder(folder)
    same(images, images_of(20))
    same(test_images, images_of(6, seed=1))
    same(test_labels, np.arange(6, dtype=np.uint8))
    found = digits.load(folder)
    assert found.side == 28
    assert found.images.dtype == np.float32
    np.testing.assert_allclose(found.images * 255, images, atol=1e-4)
    same(found.test_labels, np.arange(6))
    large = digits.enlarged(found.images)
    same(large[:, 2:30, 2:30], found.images)
    assert large.sum() == pytest.approx(found.images.sum(), rel=1e-5)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no IDX file"),
        (b"\x89PNG and so on", "no IDX file: it begins with 89 50 4e 47"),
        (content_of(np.zeros(3), code=13), "dtype 0x0d, expected bytes"),
        (b"\0\0\x08\x04" + bytes(40), "header of 4 dimensions"),
        (b"\0\0\x08\x03\0\0\0\x01", "header of 3 dimensions"),
        (content_of(np.zeros((2, 3, 3)))[:-1], r"\(2, 3, 3\), so 18 bytes, but has 17"),
        (content_of(np.zeros((2, 3, 3))) + b"x", "but has 19"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "but has 0"),
        (gzip.compress(content_of(np.zeros(9)))[:-9], "cannot read"),
        (b"\x1f\x8bno gzip", "cannot read"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, words):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ParameterError, match=f"data: .*{words}"):
        idx.read_idx(path)


def test_files_that_do_not_fit_are_refused(folder):
    with pytest.raises(ParameterError, match="is no folder"):
        idx.read_folder(folder / "none")
    labels = folder / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(content_of(np.zeros(19)))
    with pytest.raises(ParameterError, match=r"as many labels .* \(20, 28, 28\) and \(19,\)"):
        idx.read_folder(folder)
    labels.write_bytes(content_of(np.full(20, 10)))
    with pytest.raises(ParameterError, match="labels go up to 10"):
        idx.read_folder(folder)
    labels.write_bytes(content_of(np.zeros(20)))
    test_images = folder / "t10k-images.idx3-ubyte"
    test_images.write_bytes(content_of(images_of(6, 27)))
    with pytest.raises(ParameterError, match="differ in size"):
        idx.read_folder(folder)
    test_images.unlink()
    with pytest.raises(ParameterError, match="has none of t10k-images-idx3-ubyte, "):
        idx.read_folder(folder)


def test_images_that_are_too_large_are_refused(folder):
    for name in ("train-images-idx3-ubyte", "t10k-images.idx3-ubyte"):
        count = 20 if "train" in name else 6
        (folder / name).write_bytes(content_of(images_of(count, 40)))
    with pytest.raises(ParameterError, match="up to 32 pixels"):
        digits.load(folder)
