"""Activations: their values, and that every algorithm ends in them."""

import math
import warnings

import numpy as np
import pytest

import fastconv as F
from fastconv import DtypeError, ParameterError, Problem, reference
from fastconv.activations import ACTIVATIONS, CHUNK, activate, check_dtype, checked
from fastconv.dtypes import row_of
from tests.helpers import accepting, activation_lines, expected, inputs_of, ints, same, solved

NAMES = pytest.mark.parametrize("name", ACTIVATIONS)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def leaky(v):
    return v if v >= 0 else 0.01 * v


def sigmoid(v):
    return 1 / (1 + math.exp(-v)) if v > -700 else math.exp(v)


DEFINITION = {
    "relu": lambda v: max(v, 0.0),
    "relu6": lambda v: min(max(v, 0.0), 6.0),
    "leaky_relu": leaky,
    "tanh": math.tanh,
    "sigmoid": sigmoid,
}
AT_INFINITY = {  # at -inf, at inf
    "relu": (0, np.inf),
    "relu6": (0, 6),
    "leaky_relu": (-np.inf, np.inf),
    "tanh": (-1, 1),
    "sigmoid": (0, 1),
}


@NAMES
@DTYPES
def test_values(name, dtype):
    values = np.concatenate([np.linspace(-20, 20, 4001), [-700, -90, 90, 700, 1e-30, -1e-30]])
    values = values.astype(dtype)
    y = values.copy()
    activate(name, y)
    precise = np.array([DEFINITION[name](float(v)) for v in values])
    assert y.dtype == dtype
    tiny = np.finfo(dtype).tiny
    np.testing.assert_allclose(y, precise.astype(dtype), rtol=8 * np.finfo(dtype).eps, atol=tiny)


@NAMES
@DTYPES
def test_nan_stays_and_infinity_has_its_limit(name, dtype):
    y = np.array([np.nan, -np.inf, np.inf, np.nan], dtype)
    activate(name, y)
    low, high = AT_INFINITY[name]
    np.testing.assert_array_equal(y, np.array([np.nan, low, high, np.nan], dtype))


@NAMES
@DTYPES
def test_no_warnings_however_large(name, dtype):
    largest = np.finfo(dtype).max
    y = np.array([-largest, -1e4, -100, 0, 100, 1e4, largest], dtype)
    with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
        warnings.simplefilter("error")
        activate(name, y)
    assert np.isfinite(y).all()


@NAMES
def test_long_arrays_are_done_in_pieces(name):
    values = np.linspace(-9, 9, 2 * CHUNK + 5).astype(np.float32)
    whole, parts = values.copy(), values.reshape(1, 1, -1).copy()
    ACTIVATIONS[name].apply(whole)
    activate(name, parts)
    np.testing.assert_allclose(parts.ravel(), whole, rtol=1e-6)


def test_codes_tell_them_apart():
    codes = [record.code for record in ACTIVATIONS.values()]
    assert sorted(codes) == list(range(1, len(codes) + 1))  # 0 is none
    assert all(name == record.name for name, record in ACTIVATIONS.items())


@pytest.mark.parametrize("name", ["Relu", "", "gelu", 0, False, ["relu"], b"relu", np.nan])
def test_unknown_names(name, plans):
    with pytest.raises(ParameterError, match=r"^activation: expected None or one of \('relu'"):
        checked(name)
    with pytest.raises(ParameterError, match=r"^activation: "):
        F.conv1d(ints(1, 1, 4), ints(1, 1, 2), activation=name)
    assert plans == []


@pytest.mark.parametrize(
    ("name", "dtype", "defined"),
    [
        ("relu", "int8", True),
        ("relu6", "uint64", True),
        ("relu", "bool", True),
        ("tanh", "float16", True),
        ("leaky_relu", "int64", False),
        ("sigmoid", "int8", False),
        ("relu", "complex64", False),
        ("tanh", "complex128", False),
    ],
)
def test_dtypes_they_are_defined_for(name, dtype, defined):
    if defined:
        check_dtype(name, np.dtype(dtype))
        return
    with pytest.raises(DtypeError, match=f"^activation: {name} is not defined for {dtype}"):
        check_dtype(name, np.dtype(dtype))
    x = ints(1, 1, 4, dtype=dtype)
    with pytest.raises(DtypeError, match=r"^activation: "):
        F.conv1d(x, x, activation=name)


CASES = [(line, name) for line in activation_lines() for name in accepting(Problem.parse(line))]


@pytest.mark.parametrize(("line", "name"), CASES)
def test_every_algorithm_ends_in_them(line, name):
    problem = Problem.parse(line)
    inputs = inputs_of(problem)
    (plain,) = expected(problem, inputs)
    wide = plain.astype(float)
    precise = np.vectorize(DEFINITION[problem.activation], otypes=[float])(wide)
    precise = precise.astype(plain.dtype)
    (y,) = solved(problem, inputs, name)
    if problem.activation in ("relu", "relu6"):
        same(y, precise)
    else:
        tolerance = 4 * row_of(problem.dtype).tolerance
        np.testing.assert_allclose(y.astype(float), precise.astype(float), rtol=tolerance)


def test_the_list_has_them_all():
    assert {Problem.parse(line).activation for line in activation_lines()} == set(ACTIVATIONS)


@NAMES
@DTYPES
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_public_functions_and_reference_agree(name, dtype, rank):
    x = ints(2, 3, *(7, 6, 5)[:rank], dtype=dtype)
    w, b = ints(4, 3, *(3,) * rank, dtype=dtype), ints(4, dtype=dtype)
    y = CONV[rank](x, w, b, padding=1, activation=name)
    slow = getattr(reference, f"conv{rank}d")(x, w, b, padding=1, activation=name)
    if ACTIVATIONS[name].exact:
        same(y, slow)
    else:
        np.testing.assert_allclose(y, slow, rtol=8 * np.finfo(dtype).eps)
    plain = CONV[rank](x, w, b, padding=1)
    activate(name, plain)
    np.testing.assert_allclose(y, plain, rtol=8 * np.finfo(dtype).eps)


def test_the_plan_is_another_one():
    plan = F.explain("conv2d", (1, 3, 8, 8), (4, 3, 3, 3), activation="relu6")
    assert plan.problem.activation == "relu6"
    assert str(plan.problem).endswith("act=relu6 float32")
    assert plan.problem != F.explain("conv2d", (1, 3, 8, 8), (4, 3, 3, 3)).problem


def test_an_algorithm_that_fuses_is_left_alone(monkeypatch):
    from fastconv.algorithms.im2col_gemm import Im2colGemm

    x, w = -np.ones((1, 1, 4)), np.ones((1, 1, 2))
    call = {"activation": "relu", "algorithm": "im2col_gemm"}
    same(F.conv1d(x, w, **call), np.zeros((1, 1, 3)))
    fuses = lambda self, problem: True  # noqa: E731
    monkeypatch.setattr(Im2colGemm, "fuses_activation", fuses, raising=False)
    F.plan.planner._forget()
    try:
        same(F.conv1d(x, w, **call), np.full((1, 1, 3), -2.0))
    finally:
        F.plan.planner._forget()
