"""Files of MNIST and its likes: IDX, plain or compressed by gzip.

The format: two zero bytes, the code of the dtype, the number of dimensions, their sizes as
big-endian 32-bit integers, then the values.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from fastconv.dtypes import Array
from fastconv.errors import ParameterError

UNSIGNED_BYTE = 0x08
MOST_DIMENSIONS = 3
STEMS = {
    "training images": "train-images",
    "training labels": "train-labels",
    "test images": "t10k-images",
    "test labels": "t10k-labels",
}
CLASSES = 10


def read_idx(path: Path) -> Array:
    """Return the array of an IDX file of unsigned bytes.

    Parameters
    ----------
    path : Path
        Plain, or compressed by gzip, whatever its name ends in.

    Returns
    -------
    numpy.ndarray
        uint8.

    Raises
    ------
    ParameterError
        If the file cannot be read, or header and size do not fit each other.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ParameterError(f"data: cannot read {path}: {error}") from None
    if len(content) < 4 or content[:2] != b"\0\0":
        raise ParameterError(f"data: {path} is no IDX file: it begins with {content[:4].hex(' ')}")
    if content[2] != UNSIGNED_BYTE:
        raise ParameterError(f"data: {path} holds dtype {content[2]:#04x}, expected bytes (0x08)")
    dimensions = content[3]
    header = 4 + 4 * dimensions
    if not 1 <= dimensions <= MOST_DIMENSIONS or len(content) < header:
        raise ParameterError(f"data: {path} has a header of {dimensions} dimensions, expected 1-3")
    shape = tuple(np.frombuffer(content, ">u4", dimensions, 4).tolist())
    if len(content) - header != math.prod(shape):
        raise ParameterError(
            f"data: {path} should hold {shape}, so {math.prod(shape)} bytes, "
            f"but has {len(content) - header}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_folder(folder: Path) -> tuple[Array, Array, Array, Array]:
    """Return training images and labels, test images and labels, of MNIST or Fashion-MNIST.

    Parameters
    ----------
    folder : Path
        With the four files by their usual names: `train-images-idx3-ubyte`, `.gz` or not.

    Returns
    -------
    tuple of numpy.ndarray
        uint8: images `(N, H, W)`, labels `(N,)`; twice.

    Raises
    ------
    ParameterError
        If a file is missing, damaged, or does not fit the others.
    """
    arrays = {name: read_idx(_find(folder, stem)) for name, stem in STEMS.items()}
    for part in ("training", "test"):
        images, labels = arrays[f"{part} images"], arrays[f"{part} labels"]
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or not len(images):
            raise ParameterError(
                f"data: expected {part} images (N, H, W) and as many labels in {folder}, "
                f"got shapes {images.shape} and {labels.shape}"
            )
        if labels.max() >= CLASSES:
            raise ParameterError(f"data: {part} labels go up to {labels.max()}, expected 0 to 9")
    if arrays["training images"].shape[1:] != arrays["test images"].shape[1:]:
        raise ParameterError(f"data: training and test images in {folder} differ in size")
    first, second, third, fourth = (arrays[name] for name in STEMS)
    return first, second, third, fourth


def _find(folder: Path, stem: str) -> Path:
    """Return the file of a stem; downloads are named with a dash or a dot, compressed or not."""
    if not folder.is_dir():
        raise ParameterError(f"data: {folder} is no folder")
    kind = "idx3" if "images" in stem else "idx1"
    names = [f"{stem}{dot}{kind}-ubyte{end}" for dot in ("-", ".") for end in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ParameterError(f"data: {folder} has none of {', '.join(names)}")
