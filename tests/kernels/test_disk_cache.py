"""The cache of compiled kernels, from fresh interpreters over a copy of the package."""

import os
import pickle
import shutil
import subprocess
import sys

import pytest

from tests.helpers import PACKAGE, python

pytest.importorskip("numba")

from fastconv.kernels import disk_cache, folder, jit

USE = """
import fastconv, numpy as np
from fastconv.kernels import naive
from fastconv.kernels.disk_cache import cache_folder
x = np.arange(4.0).reshape(1, 1, 4)
with fastconv.settings(algorithm="naive"):
    print(fastconv.im2col(x, 2).ravel().tolist())
print(sum(naive.im2col.stats.cache_hits.values()))
print(cache_folder())
"""
COLUMNS = "[0.0, 1.0, 2.0, 1.0, 2.0, 3.0]"
NOWHERE = {
    "FASTCONV_CACHE_DIR": None,
    "NUMBA_CACHE_DIR": None,
    "HOME": None,
    "XDG_CACHE_HOME": None,
    "TMPDIR": None,
}


@pytest.fixture
def package(tmp_path):
    """A copy of the package, to be edited; the folder that holds it."""
    place = tmp_path / "copy"
    shutil.copytree(PACKAGE, place / "fastconv", ignore=shutil.ignore_patterns("__pycache__"))
    return place


def used(package, cache, **environment):
    """What `USE` printed: the columns, whether they came from the cache, and its folder."""
    environment = {**NOWHERE, "FASTCONV_CACHE_DIR": str(cache), **environment}
    columns, hits, folder = python(USE, path=package, **environment).splitlines()
    return columns, int(hits), folder


def test_an_edited_kernel_is_compiled_again_and_an_unchanged_one_loaded(package, tmp_path):
    assert used(package, tmp_path) == (COLUMNS, 0, str(tmp_path / "fastconv"))
    path = package / "fastconv" / "kernels" / "naive.py"
    source = path.read_text()
    assert source.count("    return flat\n") == 1
    path.write_text(source.replace("    return flat\n", "    return flat * 0\n"))
    assert used(package, tmp_path)[:2] == ("[0.0, 0.0, 0.0, 0.0, 0.0, 0.0]", 0)
    path.write_text(source)
    assert used(package, tmp_path)[:2] == (COLUMNS, 1)


def test_an_edited_helper_in_another_file_is_compiled_again(package, tmp_path):
    kernels = package / "fastconv" / "kernels"
    helper = kernels / "helper.py"
    kernel = "from fastconv.kernels.jit import kernel\n"
    helper.write_text(f"{kernel}@kernel\ndef scale(x):\n    return x * 2\n")
    (kernels / "user.py").write_text(
        f"{kernel}from fastconv.kernels.helper import scale\n"
        "@kernel\ndef scaled(x):\n    return scale(x) + 1\n"
    )
    call = """
from fastconv.kernels.user import scaled
print(scaled(10), sum(scaled.stats.cache_hits.values()))
"""
    environment = {**NOWHERE, "FASTCONV_CACHE_DIR": str(tmp_path)}
    assert python(call, path=package, **environment) == "21 0"
    helper.write_text(helper.read_text().replace("x * 2", "x * 3"))
    assert python(call, path=package, **environment) == "31 0"
    assert python(call, path=package, **environment) == "31 1"
    (kernels / "unrelated.py").write_text("")  # any file may have been a helper
    assert python(call, path=package, **environment) == "31 0"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Kernels compiled in this process are kept in an empty folder."""
    monkeypatch.setattr(jit, "cache_folder", lambda: tmp_path)
    return tmp_path


def add(x, y):
    return x + y


def subtract(x, y):
    return x - y


def called(function, *args):
    """The result of a new dispatcher, and whether its code came from the cache."""
    dispatcher = jit.kernel(function)
    return dispatcher(*args), sum(dispatcher.stats.cache_hits.values())


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"not a pickle",
        lambda data: pickle.dumps(("another identity", b"")),
        lambda data: pickle.dumps(7),
    ],
    ids=["empty", "half", "last-byte", "garbage", "foreign", "number"],
)
def test_damaged_entries_are_ignored_and_replaced(here, damage):
    assert called(add, 1, 2) == (3, 0)
    assert called(add, 1, 2) == (3, 1)
    (entry,) = here.iterdir()
    entry.write_bytes(damage(entry.read_bytes()))
    assert called(add, 1, 2) == (3, 0)
    assert called(add, 1, 2) == (3, 1)


def test_an_entry_of_other_types_is_not_taken_for_this_one(here):
    called(add, 1, 2)
    (whole,) = here.iterdir()
    assert called(add, 1.5, 2.5) == (4.0, 0)
    (real,) = set(here.iterdir()) - {whole}
    shutil.copy(whole, real)
    assert called(add, 1.5, 2.5) == (4.0, 0)


def test_an_entry_of_other_source_is_not_taken_for_this_one(here, monkeypatch):
    called(add, 1, 2)
    monkeypatch.setattr(disk_cache, "source_hash", lambda: "edited")
    assert called(add, 1, 2) == (3, 0)
    assert len(list(here.iterdir())) == 2


def test_flush_forgets_one_kernel_only(here):
    called(add, 1, 2)
    called(add, 1.5, 2.5)
    called(subtract, 1, 2)
    jit.kernel(add)._cache.flush()
    (left,) = here.iterdir()
    assert "subtract" in left.name
    assert called(add, 1, 2) == (3, 0)
    assert called(subtract, 1, 2) == (-1, 1)


def test_a_folder_that_vanishes_is_no_error(here):
    dispatcher = jit.kernel(add)
    here.rmdir()
    assert dispatcher(1, 2) == 3
    assert not here.exists()
    here.mkdir()


def test_a_full_disk_is_no_error_and_leaves_nothing(here, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert called(add, 1, 2) == (3, 0)
    assert list(here.iterdir()) == []


def test_a_file_in_the_place_of_every_folder_means_no_cache(package, tmp_path):
    """Permission bits do not bind root; a regular file in the way stops everybody."""
    blocked = tmp_path / "file"
    blocked.touch()
    kernels = package / "fastconv" / "kernels"
    shutil.rmtree(kernels / "__pycache__", ignore_errors=True)
    (kernels / "__pycache__").touch()
    environment = {
        "FASTCONV_CACHE_DIR": str(blocked / "a"),
        "NUMBA_CACHE_DIR": str(blocked / "b"),
        "XDG_CACHE_HOME": str(blocked / "c"),
        "HOME": str(blocked / "d"),
    }
    code = f"import tempfile; tempfile.tempdir = {str(blocked)!r}" + USE
    columns, hits, folder = python(code, path=package, **environment).splitlines()
    assert (columns, hits, folder) == (COLUMNS, "0", "None")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"FASTCONV_CACHE_DIR": "a", "NUMBA_CACHE_DIR": "b"}, "a/fastconv"),
        ({"NUMBA_CACHE_DIR": "b", "XDG_CACHE_HOME": "c"}, "b/fastconv"),
        ({"XDG_CACHE_HOME": "c"}, "copy/fastconv/kernels/__pycache__/kernels"),
        ({"FASTCONV_CACHE_DIR": "blocked/a", "NUMBA_CACHE_DIR": "b"}, "b/fastconv"),
    ],
    ids=["own-variable", "numba-variable", "beside-the-source", "next-if-unusable"],
)
def test_the_first_usable_folder_is_taken(package, tmp_path, changes, expected):
    (tmp_path / "blocked").touch()
    environment = {name: str(tmp_path / value) for name, value in changes.items()}
    code = "from fastconv.kernels.disk_cache import cache_folder; print(cache_folder())"
    found = python(code, path=package, **{**NOWHERE, **environment})
    assert found == str(tmp_path / expected)


def test_a_read_only_package_uses_the_users_cache(package, tmp_path):
    (package / "fastconv" / "kernels" / "__pycache__").touch()
    environment = {**NOWHERE, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    code = "from fastconv.kernels.disk_cache import cache_folder; print(cache_folder())"
    assert python(code, path=package, **environment) == str(tmp_path / "cache" / "fastconv")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="users have no numbers here")
def test_a_folder_of_somebody_else_is_never_used(tmp_path, monkeypatch):
    assert folder._usable(tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    assert not folder._usable(tmp_path)


def test_no_home_is_no_error(package, tmp_path):
    (package / "fastconv" / "kernels" / "__pycache__").touch()
    code = (
        "import os, pathlib, tempfile\n"
        "def missing(self): raise RuntimeError('Could not determine home directory.')\n"
        "pathlib.Path.expanduser = missing\n"
        f"tempfile.tempdir = {str(tmp_path)!r}" + USE
    )
    columns, _, folder = python(code, path=package, **NOWHERE).splitlines()
    assert columns == COLUMNS
    assert folder.startswith(str(tmp_path / "fastconv-"))


def test_two_processes_warm_the_same_empty_folder_at_once(package, tmp_path):
    environment = {**os.environ, "FASTCONV_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(package)}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", USE], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in both:
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        assert printed.splitlines()[0] == COLUMNS
    assert used(package, tmp_path)[:2] == (COLUMNS, 1)
    assert not [path for path in (tmp_path / "fastconv").iterdir() if path.suffix != ".bin"]


def test_variants_from_different_processes_are_not_mixed_up(package, tmp_path):
    """Each process numbers its symbols from the start, and a third loads the code of both."""
    (package / "fastconv" / "kernels" / "steps.py").write_text("""
from fastconv.kernels.jit import kernel

def make(step):
    def inner(x):  # calls itself, so that it is not inlined
        return step if x == 0 else inner(x - 1) + (inner(x - 2) if x > 1 else 0)
    inner = kernel(inner, str(step))
    def outer(x):
        return inner(x)
    return kernel(outer, str(step))
""")
    environment = {**NOWHERE, "FASTCONV_CACHE_DIR": str(tmp_path)}
    call = "from fastconv.kernels.steps import make\nprint(*[make(step)(5) for step in {}])"
    assert python(call.format([1]), path=package, **environment) == "8"
    assert python(call.format([2]), path=package, **environment) == "16"
    assert python(call.format([1, 2]), path=package, **environment) == "8 16"
