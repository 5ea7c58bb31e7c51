import inspect

import pytest

import fastconv
from tests.helpers import BLOCKED, python

LATE = ("numba", "llvmlite", "scipy", "torch", "typer", "rich", "matplotlib", "skimage", "PIL")


def test_names_are_sorted_unique_and_there():
    assert fastconv.__all__ == sorted(set(fastconv.__all__))
    for name in fastconv.__all__:
        assert getattr(fastconv, name).__doc__


def test_names_by_the_design():
    expected = {"sliding_windows", "im2col", "col2im", "unfold", "fold"}
    expected |= {"causal_conv1d", "prepare_conv", "PreparedConv", "Plan", "Problem"}
    expected |= {"prepare_conv_transpose", "PreparedConvTranspose"}
    expected |= {"deform_conv2d", "deform_conv2d_backward"}
    expected |= {f"{kind}softmax{end}" for kind in ("", "log_") for end in ("", "_backward")}
    expected |= {"affine", "activation_backward", "batch_norm", "batch_norm_backward"}
    expected |= {
        "conv_tbc",
        "fractional_max_pool2d_with_indices",
        "fractional_max_pool3d_with_indices",
    }
    expected |= {
        f"{kind}max_pool{r}d_with_indices" for kind in ("", "adaptive_") for r in (1, 2, 3)
    }
    expected |= {"explain", "tune", "forget_tuned", "settings", "configure", "info"}
    for rank in (1, 2, 3):
        expected |= {f"conv{rank}d", f"conv{rank}d_input", f"conv{rank}d_weight"}
        expected |= {f"conv{rank}d_bias", f"separable_conv{rank}d"}
        expected |= {f"conv_transpose{rank}d{end}" for end in ("", "_input", "_weight")}
        expected |= {f"local_conv{rank}d{kind}" for kind in ("", "_input", "_weight")}
        expected |= {f"{kind}_pool{rank}d" for kind in ("max", "avg")}
        expected |= {f"{kind}_pool{rank}d_backward" for kind in ("max", "avg")}
        expected |= {f"min_pool{rank}d", f"min_pool{rank}d_backward"}
        expected |= {f"lp_pool{rank}d", f"lp_pool{rank}d_backward"}
        expected |= {f"{kind}_pool{rank}d" for kind in ("median", "quantile")}
        expected |= {f"{kind}_pool{rank}d_backward" for kind in ("median", "quantile")}
        expected |= {f"max_unpool{rank}d", f"max_unpool{rank}d_backward"}
        expected |= {f"adaptive_{kind}_pool{rank}d" for kind in ("max", "avg")}
        expected |= {f"adaptive_{kind}_pool{rank}d_backward" for kind in ("max", "avg")}
    for rank in (2, 3):
        expected |= {f"fractional_max_pool{rank}d", f"fractional_max_pool{rank}d_backward"}
    expected |= {f"global_{kind}_pool" for kind in ("max", "avg", "lp")}
    expected |= {f"global_{kind}_pool_backward" for kind in ("max", "avg", "lp")}
    errors = {
        name for name in fastconv.__all__ if inspect.isclass(getattr(fastconv, name))
    } - expected
    assert set(fastconv.__all__) - errors == expected
    assert all(issubclass(getattr(fastconv, name), fastconv.FastconvError) for name in errors)


def test_the_version_is_that_of_the_package():
    import importlib.metadata

    assert fastconv.__version__ == importlib.metadata.version("fastconv")


@pytest.mark.parametrize("code", ["import fastconv", "import fastconv.reference"])
def test_nothing_heavy_is_imported_before_it_is_needed(code):
    printed = python(f"{code}\nimport sys; print([n for n in {LATE!r} if n in sys.modules])")
    assert printed == "[]"


def test_importing_fastconv_imports_little_besides_what_numpy_does():
    printed = python(
        """
import sys, numpy
before = set(sys.modules)
import fastconv
loaded = {name for name in sys.modules if name not in before and name[:8] != "fastconv"}
print([name for name in ("numpy.random", "importlib.metadata", "email") if name in loaded])
"""
    )
    assert printed == "[]"


def test_a_convolution_imports_the_compiler_and_nothing_else_that_is_heavy():
    light = tuple(name for name in LATE if name not in ("numba", "llvmlite", "scipy"))
    printed = python(
        f"""
import sys
import fastconv as F, numpy as np
F.conv1d(np.ones((1, 1, 3)), np.ones((1, 1, 2)))
print("numba" in sys.modules, [name for name in {light!r} if name in sys.modules])
"""
    )
    assert printed == "True []"


def test_the_naive_loops_import_numba():
    code = "import fastconv.reference as F, sys, numpy as np; F.im2col(np.ones((1, 1, 3)), 2)"
    assert python(f"{code}; print('numba' in sys.modules)") == "True"


def test_without_numba_the_engine_works():
    code = """
print(F.conv2d(x, w).ravel().tolist(), F.max_pool2d(x, 2).ravel().tolist())
print(F.explain("conv2d", x, w).refusals["naive"])
print(F.info()["packages"]["numpy"] == np.__version__)
"""
    results, reason, known = python(BLOCKED + code).splitlines()
    assert results == "[8.0, 12.0, 20.0, 24.0] [4.0]"
    assert "Numba" in reason
    assert "install" in reason
    assert known == "True"


@pytest.mark.parametrize("call", ["conv2d(x, w)", "sliding_windows(x, 2)", "max_pool2d(x, 2)"])
def test_without_numba_the_reference_says_so(call):
    code = f"""
import fastconv.reference as R
try:
    R.{call}
except F.PlanError as error:
    print(error)
"""
    assert "Numba is not installed" in python(BLOCKED + code)


def test_a_hidden_numba_is_as_good_as_none():
    code = """
import sys
sys.modules["numba"] = None
import fastconv as F
print(F.explain("conv1d", (1, 1, 4), (1, 1, 2)).refusals["naive"])
"""
    assert "Numba is not installed" in python(code)
