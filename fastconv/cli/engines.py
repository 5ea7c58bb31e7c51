"""The three ways to compute that training can be run on."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import fastconv


class Engine(StrEnum):
    """Who computes."""

    REFERENCE = "reference"
    NUMPY = "numpy"
    COMPILED = "compiled"


SETTINGS: dict[Engine, dict[str, Any]] = {
    Engine.REFERENCE: {"algorithm": "naive"},
    Engine.NUMPY: {"compiled": False},
    Engine.COMPILED: {},
}


@contextmanager
def on(engine: Engine) -> Iterator[None]:
    """Compute on an engine inside the block: plain loops, NumPy alone, or all there is."""
    with fastconv.settings(**SETTINGS[engine]):
        yield
