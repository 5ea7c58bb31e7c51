import pytest

from fastconv.cli.extras import check_file, check_folder, importable, require
from fastconv.errors import MissingDependencyError, ParameterError


def test_require_accepts_what_is_installed():
    require("cli", "numpy")


def test_require_names_what_is_missing_and_how_to_install_it(missing):
    missing("matplotlib", "skimage")
    with pytest.raises(MissingDependencyError, match=r"matplotlib and skimage.*fastconv\[demo\]"):
        require("demo", "matplotlib", "numpy", "skimage")


def test_importable(missing):
    assert importable("numpy")
    assert not importable("no_such_module_anywhere")
    missing("rich")
    assert not importable("rich")


def test_check_folder_makes_it(tmp_path):
    check_folder("output", tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_check_folder_refuses(below_a_file):
    with pytest.raises(ParameterError, match=r"output: cannot write to .*below"):
        check_folder("output", below_a_file)
    with pytest.raises(ParameterError, match=r"output: cannot write to .*file"):
        check_folder("output", below_a_file.parent)


def test_check_file_leaves_nothing_behind_and_keeps_what_is_there(tmp_path):
    check_file("json", tmp_path / "new" / "file.json")
    assert not (tmp_path / "new" / "file.json").exists()
    old = tmp_path / "old.json"
    old.write_text("kept")
    check_file("json", old)
    assert old.read_text() == "kept"


def test_check_file_refuses(tmp_path, below_a_file):
    with pytest.raises(ParameterError, match="json: cannot write"):
        check_file("json", below_a_file)
    with pytest.raises(ParameterError, match="json: cannot write"):
        check_file("json", tmp_path)
