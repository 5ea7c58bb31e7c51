"""The forms that the drop-ins are raced against compute what their loops do."""

import numpy as np
import pytest

from benchmarks import dropins, tutorial_forms
from benchmarks.tutorial_forms import INDEXED, LOOPS, SLICED
from fastconv.cli import tutorials
from fastconv.dropin import cnnumpy
from tests.helpers import ROOT, distinct, ints


@pytest.mark.parametrize("form", [INDEXED, SLICED])
def test_columns_do_what_the_loops_do(form):
    x, w, b, gy = distinct(2, 3, 9, 8), ints(4, 3, 3, 2), ints(4), ints(2, 4, 2, 2)
    got = tutorial_forms.block_step(form, x, w, b, gy, 2, 1, 2)
    expected = tutorial_forms.block_step(LOOPS, x, w, b, gy, 2, 1, 2)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    pooled = form.pool(x, (2, 2), 2, "avg")
    np.testing.assert_allclose(pooled, LOOPS.pool(x, (2, 2), 2, "avg"))
    back = form.pool_back(x, pooled, (2, 2), 2, "avg")
    np.testing.assert_allclose(back, LOOPS.pool_back(x, pooled, (2, 2), 2, "avg"))


@pytest.mark.parametrize("form", [LOOPS, INDEXED])
def test_lenet_by_hand_is_the_drop_in(form):
    rng = np.random.default_rng(1)
    model = cnnumpy.LeNet5()
    images, labels = rng.standard_normal((2, 1, 32, 32)), np.eye(10)[[2, 7]]
    grads = model.backward(model.forward(images), labels)
    expected = tutorial_forms.lenet_step(form, model.get_params(), images, labels)
    assert sorted(grads) == sorted(expected)
    for key, value in grads.items():
        np.testing.assert_allclose(value.ravel(), expected[key].ravel(), atol=1e-12)


def test_the_table_is_that_of_the_results():
    import json

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    content = json.loads(dropins.RESULTS.read_text(encoding="utf-8"))
    assert "| `numpycnn` |" in text
    assert dropins.written(text, content) == text
    assert {record["name"] for record in content["rows"]} == {case.name for case in dropins.cases()}
    assert all(record["difference"] < 1e-10 for record in content["rows"])


def test_the_loops_import_nothing_of_fastconv():
    import ast
    import inspect

    tree = ast.parse(inspect.getsource(tutorials))
    imported = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {alias.name for node in imported for alias in node.names}
    assert names == {"Any", "numpy"}
