import numpy as np
import pytest

import fastconv as F
from tests.helpers import NAMES, python


def test_it_names_what_is_installed_and_in_force():
    found = F.info()
    assert found["fastconv"] == F.__version__
    assert found["packages"]["numpy"] == np.__version__
    assert found["algorithms"] == list(NAMES)
    assert found["settings"] == F.plan.current_settings()
    assert found["cpu"]["cores"] >= 1
    assert found["cpu"]["name"]


def test_settings_are_those_of_the_block():
    with F.settings(algorithm="naive"):
        assert F.info()["settings"].algorithm == "naive"


def test_the_cache_folder_is_the_one_in_use(tmp_path):
    pytest.importorskip("numba")
    code = "import fastconv; print(fastconv.info()['cache_folder'])"
    assert python(code, FASTCONV_CACHE_DIR=str(tmp_path)) == str(tmp_path / "fastconv")


def test_packages_that_are_not_installed_are_none(monkeypatch):
    monkeypatch.setattr("fastconv.about.PACKAGES", ("numpy", "no-such-package"))
    assert F.info()["packages"] == {"numpy": np.__version__, "no-such-package": None}
