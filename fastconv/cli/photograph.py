"""Reading a photograph as the demo's input."""

from pathlib import Path

import numpy as np

from fastconv.cli.extras import require
from fastconv.dtypes import Array
from fastconv.errors import ParameterError

GREY = np.array([0.299, 0.587, 0.114], np.float32)
"""How much red, green and blue add to the brightness the eye sees."""


def photograph(path: Path | None = None) -> Array:
    """Read a photograph.

    Parameters
    ----------
    path : Path, optional
        Any image file that pillow reads; by default the cat of `skimage.data`.

    Returns
    -------
    numpy.ndarray
        `(H, W, 3)`, uint8.

    Raises
    ------
    ParameterError
        If the file is missing or no image.
    MissingDependencyError
        If pillow or scikit-image is not installed.
    """
    if path is not None:
        return _read(path)
    require("demo", "skimage")
    from skimage import data

    return np.asarray(data.cat())


def as_input(pixels: Array, colour: bool) -> Array:
    """Turn `(H, W, 3)` bytes into float32 in [0, 1], `(1, 3, H, W)`; grey is `(1, 1, H, W)`."""
    values = pixels.astype(np.float32) / 255
    planes = values if colour else (values @ GREY)[..., np.newaxis]
    return np.ascontiguousarray(planes.transpose(2, 0, 1)[np.newaxis])  # (1, C, H, W)


def _read(path: Path) -> Array:
    require("demo", "PIL")
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode[0] in "IF":
                return _stretched(np.asarray(upright, float))
            return np.asarray(upright.convert("RGB"))
    # pillow reports damage in any of these ways, depending on the format
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ParameterError(f"image: cannot read {path}: {why}") from None


def _stretched(values: Array) -> Array:
    """Spread values of more than 8 bits from black to white."""
    low, high = float(values.min()), float(values.max())
    grey = (values - low) * (255 / max(high - low, 1e-30))
    return np.repeat(grey.astype(np.uint8)[..., np.newaxis], 3, axis=2)
