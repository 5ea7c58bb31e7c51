"""Every public name of a drop-in is documented, with an example that runs as a doctest."""

import importlib
import inspect
import pkgutil
import re

import pytest

import fastconv
import fastconv.dropin
from tests.helpers import PACKAGE

SHARED = {"arrays", "indices"}
MODULES = sorted(m.name for m in pkgutil.iter_modules(fastconv.dropin.__path__))
NAMES = [
    (module, name)
    for module in MODULES
    if module not in SHARED
    for found in [importlib.import_module(f"fastconv.dropin.{module}")]
    for name in getattr(found, "__all__", vars(found))
    if inspect.isfunction(value := getattr(found, name)) or inspect.isclass(value)
    if value.__module__.startswith(found.__name__) and not name.startswith("_")
]
EACH = pytest.mark.parametrize(("module", "name"), NAMES)


def documented(module, name):
    value = getattr(importlib.import_module(f"fastconv.dropin.{module}"), name)
    return value, inspect.getdoc(value)


def test_all_are_found():
    assert {"numpycnn", "pygad_cnn", "cnnumpy", "dlfs", "cs231n"} <= {m for m, _ in NAMES}
    assert len(NAMES) > 30


@EACH
def test_functions_have_all_sections_and_classes_an_example(module, name):
    value, text = documented(module, name)
    sections = re.findall(r"^([A-Z][A-Za-z ]+)\n-+$", text, flags=re.MULTILINE)
    if inspect.isfunction(value):
        assert {"Parameters", "Returns", "Raises", "Examples"} <= set(sections)
        for parameter in inspect.signature(value).parameters:
            assert re.search(rf"^(.*, )?{parameter}\b.* : ", text, re.MULTILINE), parameter
        assert ">>>" in text
    else:
        assert text.partition("\n")[0].endswith(".")
        assert ">>>" in text or len(text) < 120


@pytest.mark.parametrize("module", sorted(set(MODULES) - SHARED))
def test_modules_say_what_they_replace(module):
    text = importlib.import_module(f"fastconv.dropin.{module}").__doc__
    assert text.startswith("Drop-in for ")
    assert f"fastconv.dropin import {module}" in text or f"fastconv.dropin.{module} import" in text


def test_importing_them_imports_no_numba():
    import subprocess
    import sys

    code = "import sys\n" + "".join(f"import fastconv.dropin.{m}\n" for m in MODULES)
    code += "print('numba' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"
