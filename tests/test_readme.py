"""The README's Python code runs, each block by itself."""

import re

import numpy as np
import pytest

from tests.helpers import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def run(block):
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    return names


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.strip().splitlines()[-1][:40])
def test_code_runs(block):
    assert run(block)


def named(word):
    """Run the block that has this word in it."""
    (block,) = [block for block in BLOCKS if word in block]
    return run(block)


def test_what_its_comments_say():
    assert named("numpycnn.conv")["maps"].shape == (298, 449, 2)
    assert named("template_classifier")["digit"] == 9
    assert len(named("nn.fit")["history"].epochs) == 5
    found = named("MaxPooling2dLayer")
    assert found["grad_x"].shape == (4, 3, 32, 32)
    assert found["grad_weights"].shape == (8, 3, 3, 3)
    assert np.isfinite(named("AdamGD")["loss"])
