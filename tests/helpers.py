"""What several test modules share: integer data, and problems with their inputs and results."""

import itertools
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from fastconv import settings
from fastconv.algorithms import ALGORITHMS
from fastconv.cli.operands import exact_norm
from fastconv.cli.problems import edge_problems
from fastconv.plan import plan_for
from tests import (
    helpers_pool,
    oracle,
    oracle_columns,
    oracle_deform,
    oracle_local,
    oracle_padded,
)

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fastconv"
NAMES = tuple(algorithm.name for algorithm in ALGORITHMS)
FAST_NAMES = tuple(name for name in NAMES if name != "naive")
EXACT_NAMES = tuple(algorithm.name for algorithm in ALGORITHMS if algorithm.exact)
"""Those whose sums of small integers are exact; others have tests of how far they are off."""
NUMPY_NAMES = (
    *("pointwise", "im2col_gemm", "tapwise", "pooling", "columns", "local_gemm", "deform_gemm"),
)
"""Those that work without Numba."""


def ints(*shape, dtype=np.float64, seed=0, low=-4, high=4):
    """Small integers in any dtype: sums of their products are exact in any order."""
    generator = np.random.default_rng([seed, *shape])
    kind = np.dtype(dtype).kind
    if kind == "b":
        low, high = 0, 1
    elif kind == "u":
        low, high = 0, high - low
    values = generator.integers(low, high, shape, endpoint=True)
    if kind == "c":
        values = values + 1j * generator.integers(low, high, shape, endpoint=True)
    return values.astype(dtype)


def distinct(*shape, dtype=np.float64, seed=0):
    """Integers that all differ, shuffled: every maximum is unique."""
    count = math.prod(shape)
    values = np.random.default_rng([seed, *shape]).permutation(count) - count // 2
    return values.reshape(shape).astype(dtype)


def same(got, expected):
    """Assert equal dtype, shape and values, bit for bit but for the sign of zero; NaN is NaN."""
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    if got.dtype.kind == "V":  # NumPy's testing does not know bfloat16's NaN
        got, expected = got.astype(float), expected.astype(float)
    np.testing.assert_array_equal(got, expected)


def problem_lines(name):
    """The problems of `tests/problems/<name>.txt`; `#` starts a comment."""
    text = (Path(__file__).parent / "problems" / f"{name}.txt").read_text(encoding="utf-8")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def all_lines():
    """Every listed problem: the suite's own, and the edge cases that users check with.

    Those with an activation are `activation_lines`, for they are not linear; norms that are not
    exact are `inexact_lines`.
    """
    plain = [p for p in edge_problems() if p.activation is None and exact_norm(p)]
    lines = problem_lines("smoke") + list(map(str, plain))
    return list(dict.fromkeys(lines))


def activation_lines():
    """The listed problems that end in an activation."""
    return [str(p) for p in edge_problems() if p.activation is not None]


def inexact_lines():
    """The listed problems whose results are rounded even on integers."""
    return [str(p) for p in edge_problems() if not exact_norm(p)]


def place_of(problem):
    """Stride, padding and dilation of a problem, as the oracle takes them."""
    axes = problem.window.axes
    return (
        tuple(axis.stride for axis in axes),
        tuple((axis.before, axis.after) for axis in axes),
        tuple(axis.dilation for axis in axes),
    )


def inputs_of(problem, seed=0):
    """Integer inputs of a problem, as `Algorithm` lists them."""
    geometry, dtype = problem.geometry, problem.dtype

    count = itertools.count(seed * 10)

    def array(*shape):
        return ints(*shape, dtype=dtype, seed=next(count))

    kind = (problem.operation, problem.direction)
    if problem.operation == "deform_conv":
        return _deform_inputs(problem, array)
    if kind == ("local_conv", "forward"):
        bias = array(*geometry.output_shape[1:])
        return array(*problem.x_shape), array(*geometry.weight_shape), bias
    if problem.operation == "local_conv":
        kind = ("conv", problem.direction)
    if kind == ("conv", "forward"):
        weight = array(*geometry.weight_shape)
        return array(*problem.x_shape), weight, array(geometry.out_channels)
    if kind == ("conv", "input_gradient"):
        return array(*geometry.weight_shape), array(*problem.y_shape)
    if kind == ("conv", "weight_gradient"):
        return array(*problem.x_shape), array(*problem.y_shape)
    if kind == ("avg_pool", "input_gradient"):
        if dtype.kind in "biu":
            return (array(*problem.y_shape),)
        return ((array(*problem.y_shape) * common_divisor(problem)).astype(dtype),)
    if kind == ("columns", "forward"):
        return array(*geometry.input_shape), np.asarray(1 if dtype.kind in "bu" else -3, dtype)
    if kind == ("columns", "input_gradient"):
        return (array(*problem.columns_shape),)
    if kind in helpers_pool.INPUTS:
        return helpers_pool.INPUTS[kind](problem, array, seed)
    if problem.operation == "scatter":
        plane = math.prod(geometry.sizes)
        generator = np.random.default_rng(seed)
        indices = generator.integers(-1, plane, problem.y_shape)
        return array(*problem.y_shape), indices
    return (array(*problem.x_shape),)


def _deform_inputs(problem, array):
    """Offsets of quarters, so that every share is a number of sixteenths."""
    geometry = problem.deform
    x, w, y = problem.x_shape, geometry.weight_shape, problem.y_shape
    shapes = {
        "forward": (x, w, (geometry.out_channels,)),
        "input_gradient": (w, y),
        "weight_gradient": (x, y),
    }.get(problem.direction, (x, w, y))
    arrays = [array(*shape) for shape in shapes]
    offset = (array(*problem.offset_shape) / 4).astype(problem.dtype)
    if not geometry.masked:
        return (*arrays, offset, None)
    return (*arrays, offset, (array(*problem.mask_shape) / 2).astype(problem.dtype))


def common_divisor(problem):
    """A number that every divisor of an average divides, so that its quotients are integers."""
    if problem.divisor is not None:
        return abs(problem.divisor)
    window, repeats = problem.window, problem.padding_mode != "zeros"  # then all padding counts
    counts = {
        oracle.avg_divisor(
            position,
            window.sizes,
            window.kernel,
            *place_of(problem),
            problem.count_include_pad or repeats,
        )
        for position in oracle.positions(window.out)
    }
    return math.lcm(*(counts - {0}))


FENCE = 64
"""Elements before and after a fenced array."""


def poison(dtype):
    """What no result holds: NaN, or an index that does not exist."""
    return np.asarray(-7).astype(dtype) if np.dtype(dtype).kind in "biu" else np.nan


def fenced(array):
    """A copy between two fences of poison: what reads outside it brings poison in."""
    around = np.full(array.size + 2 * FENCE, poison(array.dtype), array.dtype)
    inside = around[FENCE:-FENCE].reshape(array.shape)
    inside[...] = array
    return inside


def unharmed(array):
    """Whether the fences of an array from `fenced` still stand."""
    around = np.concatenate([array.base[:FENCE], array.base[-FENCE:]])
    poisoned = poison(around.dtype)
    return bool((around == poisoned).all() if poisoned == poisoned else np.isnan(around).all())


def outputs_of(problem):
    """Outputs to be overwritten, poisoned so that a gap shows."""
    dtypes = (problem.result_dtype, np.int64)[: 1 + problem.indices]
    return tuple(np.full(problem.result_shape, poison(dtype), dtype) for dtype in dtypes)


def solved(problem, inputs, algorithm=None, **changes):
    """The outputs of a problem under settings; nothing outside them is written."""
    outputs = tuple(fenced(output) for output in outputs_of(problem))
    with settings(algorithm=algorithm, **changes):
        plan = plan_for(problem)
    plan.run(inputs, outputs)
    assert all(unharmed(output) for output in outputs)
    return outputs


def accepting(problem, names=EXACT_NAMES):
    """Names of the algorithms that accept a problem, of those that are exact unless said."""
    accepted = {a.name for a in ALGORITHMS if a.rejects(problem.on_padded) is None}
    return [name for name in names if name in accepted]


def channels_first(problem, inputs):
    """The inputs of a problem with the channels of those in its layout second."""
    if problem.layout == "channels_first":
        return inputs
    moved = problem.in_layout[0]
    return tuple(
        np.moveaxis(array, -1, 1) if place in moved and array is not None else array
        for place, array in enumerate(inputs)
    )


def in_layout(problem, outputs):
    """The outputs of a problem, of those in its layout the channels where they belong."""
    if problem.layout == "channels_first":
        return outputs
    moved = problem.in_layout[1]
    return tuple(
        np.moveaxis(array, 1, -1) if place in moved else array
        for place, array in enumerate(outputs)
    )


def expected(problem, inputs):
    """The outputs of a problem by the oracle."""
    outputs = _BY_ORACLE[problem.operation](problem, channels_first(problem, inputs))
    return in_layout(problem, (outputs[0].astype(problem.result_dtype), *outputs[1:]))


def _conv(problem, inputs):
    geometry, place = problem.conv, (*place_of(problem), problem.conv.groups)
    by = oracle
    if problem.padding_mode != "zeros":
        by, place = oracle_padded, (*place, problem.padding_mode)
    if problem.direction == "forward":
        every = by.conv(*inputs, *place)
        return (every[(..., *map(slice, geometry.out))],)
    if problem.direction == "input_gradient":
        return (by.conv_input_gradient(geometry.input_shape, *inputs, *place),)
    x, gy = inputs
    return (by.conv_weight_gradient(x, geometry.weight_shape, gy, *place),)


def _on_padded(solve):
    """An oracle of zeros around the input, made one of other paddings."""

    def solved(problem, inputs):
        stride, padding, dilation = place_of(problem)
        shape, groups, mode = problem.conv.input_shape, problem.conv.groups, problem.padding_mode
        inputs = [array if array is None else oracle.wide(array) for array in inputs]
        if mode == "zeros":
            return (solve(problem, inputs, shape, (stride, padding, dilation, groups)),)
        place = (stride, oracle.zeros(len(padding)), dilation, groups)
        if problem.direction != "input_gradient":
            inputs[0] = oracle_padded.padded(inputs[0], padding, mode)
            return (solve(problem, inputs, inputs[0].shape, place),)
        ends = zip(shape[2:], padding, strict=True)
        whole = (*shape[:2], *(size + before + after for size, (before, after) in ends))
        gx = solve(problem, inputs, whole, place)
        return (oracle_padded.folded(gx, shape[2:], padding, mode),)

    return solved


def _local_conv(problem, inputs, shape, place):
    if problem.direction == "forward":
        return oracle_local.local_conv(*inputs, *place)
    if problem.direction == "input_gradient":
        return oracle_local.input_gradient(shape, *inputs, *place)
    return oracle_local.weight_gradient(inputs[0], problem.conv.weight_shape, inputs[1], *place)


def _deform_conv(problem, inputs, shape, place):
    solve = getattr(oracle_deform, problem.direction)
    if problem.direction in ("input_gradient", "weight_gradient"):
        first = problem.direction == "input_gradient"
        inputs = (shape if first else problem.conv.weight_shape, *inputs)
    return solve(*inputs, *place)


def _columns(problem, inputs):
    window, how = problem.window, (problem.padding_mode, problem.dialect)
    if problem.direction == "forward":
        place = (window.kernel, *place_of(problem), inputs[1])
        return (oracle_columns.im2col(inputs[0], *place, *how),)
    place = (window.kernel, *place_of(problem))
    return (oracle_columns.col2im(inputs[0], window.input_shape, *place, *how),)


def _scatter(problem, inputs):
    return (oracle.scatter(*inputs, problem.scatter.sizes),)


_BY_ORACLE = {
    "conv": _conv,
    "columns": _columns,
    "scatter": _scatter,
    "local_conv": _on_padded(_local_conv),
    "deform_conv": _on_padded(_deform_conv),
    **helpers_pool.BY_ORACLE,
}


BLOCKED = """
import sys


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("numba", "llvmlite"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Blocker())
import fastconv as F, numpy as np
x, w = np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2))
"""
"""Code that hides Numba, and two small arrays."""


def python(code, *, path=ROOT, fails=False, timeout=120, **environment):
    """Run code in a fresh interpreter that finds fastconv in `path`; return what it printed.

    An environment variable given as None is taken away.
    """
    variables = {**os.environ, "PYTHONPATH": str(path), **environment}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=path,
        env={name: value for name, value in variables.items() if value is not None},
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout.strip() if not fails else done.stderr.strip()


def share_all(monkeypatch):
    """Let convolutions share work however small, and wake workers for it."""
    from fastconv.algorithms import implicit_gemm

    for limit in ("SERIAL_FLOPS", "WAKE_FLOPS"):
        monkeypatch.setattr(implicit_gemm, limit, 0)
