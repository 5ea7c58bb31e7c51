"""Running the command in this process, as a user would in another."""

import sys

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("rich")


@pytest.fixture
def command(monkeypatch, capsys):
    """Run `fastconv ARGUMENTS`; return its exit code, stdout and stderr."""
    from fastconv.cli import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["fastconv", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return run


@pytest.fixture
def missing(monkeypatch):
    """Make modules impossible to import."""

    def hide(*names):
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    return hide


@pytest.fixture
def picture(tmp_path):
    """Write a small photograph and return its path."""
    image = pytest.importorskip("PIL.Image")
    ramp = np.add.outer(np.arange(60), 3 * np.arange(70)) % 256
    pixels = np.stack([ramp, ramp[::-1], 255 - ramp], axis=-1).astype(np.uint8)
    path = tmp_path / "picture.png"
    image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def below_a_file(tmp_path):
    """Return a path that nobody can make, not even root: it lies below a regular file."""
    path = tmp_path / "file"
    path.write_text("not a folder")
    return path / "below"


def one_line(text):
    """Whether a message is a single line, without a traceback or a box."""
    return text.startswith("fastconv: ") and text.count("\n") == 1
