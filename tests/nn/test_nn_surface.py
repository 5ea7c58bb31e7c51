"""What `fastconv.nn` offers, and how it is documented."""

import inspect
import re

import pytest

from fastconv import nn
from tests.helpers import python

NAMES = [name for name in nn.__all__ if not inspect.ismodule(getattr(nn, name))]


def test_names_of_the_issue_are_there():
    expected = {"Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d", "MaxPool2d", "AvgPool2d"}
    expected |= {"AdaptiveAvgPool2d", "Linear", "BatchNorm2d", "Dropout", "Flatten", "ReLU"}
    expected |= {"LeakyReLU", "Tanh", "Sigmoid", "Sequential", "Residual", "SGD", "Adam", "AdamW"}
    expected |= {"softmax_cross_entropy", "binary_cross_entropy_with_logits", "mean_squared_error"}
    assert expected | {"fit", "models", "initialisers"} <= set(nn.__all__)
    assert {"LeNet5", "SmallResNet", "MLP"} <= set(dir(nn.models))
    assert len(set(nn.__all__)) == len(nn.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_documented(name):
    thing = getattr(nn, name)
    text = inspect.getdoc(thing)
    assert text
    if inspect.isfunction(thing):
        documented = []
        sections = dict(
            re.findall(r"^([A-Z][a-z]+)\n-+\n(.*?)(?=^[A-Z][a-z]+\n-+$|\Z)", text, re.M | re.S)
        )
        for line in sections["Parameters"].splitlines():
            if line and not line.startswith(" "):
                documented += [part.strip(" *") for part in line.partition(" : ")[0].split(",")]
        assert sorted(documented) == sorted(inspect.signature(thing).parameters)
        assert "Returns" in sections


def test_nothing_heavy_is_imported_before_it_is_needed():
    names = ("numba", "llvmlite", "scipy", "torch", "rich", "tqdm", "matplotlib")
    code = f"import sys, fastconv.nn; print([n for n in {names!r} if n in sys.modules])"
    assert python(code) == "[]"


def test_importing_fastconv_does_not_import_nn():
    assert python("import sys, fastconv; print('fastconv.nn' in sys.modules)") == "False"
