"""What networks do between convolutions, against definitions in NumPy and against PyTorch."""

import inspect
import platform
import sys

import numpy as np
import pytest

import fastconv as F
from fastconv import DtypeError, ParameterError, ShapeError, reference
from fastconv.activations import ACTIVATIONS, activate
from fastconv.dtypes import row_of, with_bfloat16
from tests.helpers import BLOCKED, ints, python, same
from tests.kernels.test_isa import SETTINGS
from tests.test_reference import BETWEEN

MODULE = pytest.mark.parametrize("module", [F, reference], ids=["engine", "reference"])
LAYOUT = pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
FLOATS = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
HALVES = [name for name in with_bfloat16() if name.endswith("float16")]
SHAPES = [(2, 3, 5, 7), (3, 37, 4), (4, 21), (1, 2, 70), (2, 3, 2, 2, 9), (0, 3, 4), (2, 3, 0)]
NAN, INF = np.nan, np.inf


def spread(values, ndim, layout):
    """One number for every channel, as NumPy adds it to an array."""
    return values if layout == "channels_last" else values.reshape(-1, *(1,) * (ndim - 2))


def of(shape, layout, **how):
    """Integers of a shape (N, C, ...), in the layout."""
    x = ints(*shape, **how)
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)) if layout == "channels_last" else x


@MODULE
@LAYOUT
@FLOATS
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_affine_is_exact_on_integers(module, layout, dtype, shape):
    x, r = (of(shape, layout, dtype=dtype, seed=seed) for seed in (1, 2))
    a, b = (ints(shape[1], dtype=dtype, seed=seed) for seed in (3, 4))
    wide, shift = (spread(each, x.ndim, layout) for each in (a, b))
    same(module.affine(x, layout=layout), x)
    same(module.affine(x, a, layout=layout), x * wide)
    same(module.affine(x, a, b, layout=layout), x * wide + shift)
    same(module.affine(x, a, b, r, layout=layout), x * wide + shift + r)
    relu = np.maximum(x + shift + r, 0)
    same(module.affine(x, None, b, r, activation="relu", layout=layout), relu)


@MODULE
@FLOATS
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_and_their_gradients(module, dtype, name):
    x = (np.arange(-60, 60) / 8).astype(dtype).reshape(2, 3, 20)
    expected = x.astype(float)
    activate(name, expected)
    y = module.affine(x, activation=name)
    tolerance = row_of(dtype).tolerance
    np.testing.assert_allclose(y, expected, rtol=4 * tolerance, atol=tolerance)
    gy, step = ints(*x.shape, dtype=dtype), 1e-6
    ends = [x.astype(float) + shift for shift in (-step, step)]
    for end in ends:
        activate(name, end)
    slope = (ends[1] - ends[0]) / (2 * step)
    smooth = (x != 0) & (x != 6)
    found = module.activation_backward(gy, y, name)
    np.testing.assert_allclose(
        found[smooth], (gy * slope)[smooth], rtol=1e-3, atol=max(1e-8, 30 * tolerance)
    )


@MODULE
def test_results_may_take_the_place_of_what_is_read(module):
    x, r = ints(2, 3, 40), ints(2, 3, 40, seed=1)
    shift = np.array([1.0, -1.0, 2.0])
    expected = module.affine(x, shift=shift, residual=r, activation="relu")
    for place in (0, 1):
        arrays = [x.copy(), r.copy()]
        target = arrays[place]
        result = module.affine(arrays[0], None, shift, arrays[1], activation="relu", out=target)
        assert result is target
        same(target, expected)
    gy, y = ints(7, 9), np.maximum(ints(7, 9, seed=1), 0)
    expected = module.activation_backward(gy, y, "relu")
    same(module.activation_backward(gy, y, "relu", out=gy), expected)
    same(module.activation_backward(expected * 0 + 1, y, "relu", out=y), (y > 0).astype(float) * 1)


def test_memory_that_is_still_read_is_refused():
    x, both = ints(2, 3, 40), np.zeros(241)
    first, last = both[1:].reshape(x.shape), both[:-1].reshape(x.shape)
    with pytest.raises(ParameterError, match="out: shares memory with input"):
        F.affine(first, out=last)
    with pytest.raises(DtypeError, match="out: expected dtype float64"):
        F.affine(x, out=x.astype(np.float32))
    with pytest.raises(ShapeError, match="out: expected shape"):
        F.affine(x, out=np.empty((2, 3, 41)))


@pytest.mark.parametrize("name", HALVES)
def test_halves_are_computed_in_float32(name):
    dtype = row_of(name).dtype
    x, r = (ints(2, 3, 11, dtype=dtype, seed=seed) for seed in (1, 2))
    b = (np.arange(3) / 64).astype(dtype)
    exact = np.maximum(x.astype(float) + b.astype(float)[:, None] + r.astype(float), 0)
    same(F.affine(x, None, b, r, activation="relu"), exact.astype(dtype))
    same(
        F.affine(x, None, b, r, activation="relu"),
        reference.affine(x, None, b, r, activation="relu"),
    )
    y = F.softmax(x, -1)
    assert y.dtype == dtype
    total = y.astype(float).sum(-1)
    np.testing.assert_allclose(total, 1, atol=11 * float(np.finfo(np.float32).eps) * 2**16)


LINES = [
    ((4, 37), 1),
    ((3, 21, 19), 1),
    ((3, 21, 2, 8), -3),
    ((5, 6), 0),
    ((10,), 0),
    ((2, 3, 1), 1),
]


@MODULE
@FLOATS
@pytest.mark.parametrize(("shape", "dim"), LINES, ids=str)
def test_softmax_and_its_gradients(module, dtype, shape, dim):
    generator = np.random.default_rng(0)
    x, gy = (generator.standard_normal(shape).astype(dtype) * 3 for _ in range(2))
    wide, pull = x.astype(float), gy.astype(float)
    e = np.exp(wide - wide.max(dim, keepdims=True))
    exact = e / e.sum(dim, keepdims=True)
    tolerance = 30 * row_of(dtype).tolerance
    y = module.softmax(x, dim)
    assert (y.dtype, y.shape) == (dtype, shape)
    np.testing.assert_allclose(y, exact, rtol=tolerance)
    logs = module.log_softmax(x, dim)
    np.testing.assert_allclose(logs, np.log(exact), rtol=tolerance, atol=tolerance)
    total = (pull * exact).sum(dim, keepdims=True)
    gx = module.softmax_backward(gy, exact.astype(dtype), dim)
    np.testing.assert_allclose(gx, exact * (pull - total), atol=tolerance)
    gx = module.log_softmax_backward(gy, np.log(exact).astype(dtype), dim)
    expected = pull - exact * pull.sum(dim, keepdims=True)
    np.testing.assert_allclose(gx, expected, atol=3 * tolerance)


@MODULE
@FLOATS
@pytest.mark.parametrize("dim", [0, 1])
def test_softmax_of_what_is_not_finite(module, dtype, dim):
    lines = np.array(
        [[1, NAN, 2], [INF, 0, 0], [-INF, -INF, -INF], [-INF, 0, 0], [1e4, 0, -1e4]], dtype
    )
    x = np.ascontiguousarray(lines if dim else lines.T)
    y, logs = (np.moveaxis(f(x, dim), dim, 1) for f in (module.softmax, module.log_softmax))
    spoilt = [NAN] * 3
    expected = [spoilt, spoilt, spoilt, [0, 0.5, 0.5], [1, 0, 0]]
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    half = np.log(0.5)
    expected = [spoilt, spoilt, spoilt, [-INF, half, half], [0, -1e4, -2e4]]
    np.testing.assert_allclose(logs, expected, rtol=1e-6, atol=1e-7)


STATISTICS = [(4, 3, 5, 7), (3, 37, 40), (40, 21), (2, 2, 9000)]


@pytest.mark.parametrize("offset", [0.0, 300.0])
@pytest.mark.parametrize("outliers", [0, 1, 40])
@pytest.mark.parametrize("shape", [(4, 3, 50, 40), (8000, 3)])
def test_statistics_lose_no_digits_to_where_a_channel_begins(offset, outliers, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32) + np.float32(offset)
    (x[0, :, 0] if x.ndim == 4 else x.T)[:, :outliers] += 1000
    running = [np.zeros(3), np.ones(3)]
    F.batch_norm(x, *running, training=True, momentum=1)
    wide = x.astype(np.float64)
    axes = (0, *range(2, x.ndim))
    np.testing.assert_allclose(running[0], wide.mean(axes), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(running[1], wide.var(axes, ddof=1), rtol=1e-5)


@MODULE
@LAYOUT
@FLOATS
@pytest.mark.parametrize("shape", STATISTICS, ids=str)
def test_batch_norm_is_pytorchs(module, layout, dtype, shape):
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    x, gy = (generator.standard_normal(shape).astype(dtype) + 2 for _ in range(2))
    w, b, mean, var = (generator.random(shape[1]).astype(dtype) + 0.5 for _ in range(4))
    tolerance = max(60 * row_of(dtype).tolerance, 1e-12)  # PyTorch's own error in float64

    def swapped(array):
        return np.moveaxis(array, 1, -1) if layout == "channels_last" else array

    for training in (False, True):
        ours, theirs = (mean.copy(), var.copy()), (mean.copy(), var.copy())
        tensors = [torch.from_numpy(a.copy()).requires_grad_() for a in (x, w, b)]
        running = [torch.from_numpy(a) for a in theirs]
        y = torch.nn.functional.batch_norm(tensors[0], *running, *tensors[1:], training, 0.2, 1e-3)
        y.backward(torch.from_numpy(gy))
        how = {"layout": layout, "eps": 1e-3, "training": training}
        found = module.batch_norm(swapped(x), *ours, w, b, momentum=0.2, **how)
        np.testing.assert_allclose(
            found, swapped(y.detach().numpy()), rtol=tolerance, atol=tolerance
        )
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=tolerance)
        gradients = module.batch_norm_backward(swapped(gy), swapped(x), mean, var, w, **how)
        gx, gw, gb = (tensor.grad.numpy() for tensor in tensors)
        count = x.size // shape[1]
        np.testing.assert_allclose(gradients.input, swapped(gx), rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(gradients.weight, gw, rtol=tolerance, atol=tolerance * count)
        np.testing.assert_allclose(gradients.bias, gb, rtol=tolerance)


def test_a_residual_and_an_activation_come_last():
    x, r = ints(2, 3, 5), ints(2, 3, 5, seed=1)
    mean, var = np.array([1.0, 2.0, 3.0]), np.array([4.0, 16.0, 1.0])
    plain = F.batch_norm(x, mean, var, eps=0)
    same(plain, (x - mean[:, None]) / np.sqrt(var)[:, None])
    found = F.batch_norm(x, mean, var, eps=0, residual=r, activation="relu")
    same(found, np.maximum(plain + r, 0))


@MODULE
def test_far_from_zero_the_variance_is_that_of_the_rest(module):
    x = (np.random.default_rng(0).standard_normal((8, 2, 500)) + 1e4).astype(np.float32)
    mean, var = np.zeros(2), np.ones(2)
    module.batch_norm(x, mean, var, training=True, momentum=1)
    wide = x.astype(float)
    np.testing.assert_allclose(mean, wide.mean((0, 2)), rtol=1e-7)
    np.testing.assert_allclose(var, wide.var((0, 2), ddof=1), rtol=1e-5)


@LAYOUT
def test_double_precision_is_double(layout):
    x = np.random.default_rng(0).standard_normal((2, 2, 9000)) + 2
    wide = x.astype(np.longdouble)
    mean, var = (each[:, None] for each in (wide.mean((0, 2)), wide.var((0, 2))))
    exact = ((wide - mean) / np.sqrt(var + 1e-5)).astype(float)
    if layout == "channels_last":
        x, exact = (np.moveaxis(each, 1, -1) for each in (x, exact))
    y = F.batch_norm(x, None, None, training=True, layout=layout)
    np.testing.assert_allclose(y, exact, atol=2e-15)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_bits_do_not_depend_on_threads_or_batch(threads):
    generator = np.random.default_rng(0)
    x, gy = (generator.standard_normal((6, 16, 60, 50)).astype(np.float32) for _ in range(2))
    w, b = (generator.standard_normal(16).astype(np.float32) for _ in range(2))

    def everything(x, gy):
        y = F.affine(x, w, b, gy, activation="tanh")
        soft = F.softmax(x, 1)
        return [
            *(y, F.activation_backward(gy, y, "tanh"), soft, F.log_softmax(x, -1)),
            *(F.softmax_backward(gy, soft, 1), F.log_softmax_backward(gy, F.log_softmax(x, 1), 1)),
        ]

    with F.settings(threads=1):
        alone, sums = everything(x, gy), F.batch_norm_backward(gy, x, None, None, w, training=True)
    with F.settings(threads=threads):
        for one, other in zip(everything(x, gy), alone, strict=True):
            same(one, other)
        for one, other in zip(everything(x[2:3], gy[2:3]), alone, strict=True):
            same(one, other[2:3])
        again = F.batch_norm_backward(gy, x, None, None, w, training=True)
        for one, other in zip(again, sums, strict=True):
            same(one, other)


@pytest.mark.parametrize("name", sorted(BETWEEN))
def test_the_reference_has_it(name):
    ours, theirs = getattr(F, name), getattr(reference, name)
    assert inspect.signature(ours) == inspect.signature(theirs)


def test_parameters_are_pytorchs():
    torch = pytest.importorskip("torch")
    theirs = list(inspect.signature(torch.nn.functional.batch_norm).parameters)
    assert list(inspect.signature(F.batch_norm).parameters)[: len(theirs)] == theirs
    for name in ("softmax", "log_softmax"):
        assert list(inspect.signature(getattr(F, name)).parameters) == ["input", "dim"]


X = ints(2, 3, 4)
REFUSED = {
    "no channels": (lambda: F.affine(ints(3)), ShapeError, r"input: expected shape \(N, C, ...\)"),
    "scale": (lambda: F.affine(X, np.ones(4)), ShapeError, r"scale: expected shape \(3,\)"),
    "shift": (lambda: F.affine(X, None, X), ShapeError, r"shift: expected shape \(3,\)"),
    "residual": (lambda: F.affine(X, residual=X[0]), ShapeError, "residual: expected shape"),
    "activation": (lambda: F.affine(X, activation="gelu"), ParameterError, "activation: expected"),
    "integers": (lambda: F.affine(X.astype(int)), DtypeError, "input: expected floats, got int64"),
    "complex": (lambda: F.softmax(X * 1j, 1), DtypeError, "input: expected floats"),
    "no activation": (
        lambda: F.activation_backward(X, X, None),
        ParameterError,
        "activation: expected one of",
    ),
    "output": (lambda: F.activation_backward(X, X[0], "relu"), ShapeError, "output: expected"),
    "dim": (lambda: F.softmax(X, 3), ParameterError, "dim: expected -3 to 2, got 3"),
    "negative dim": (lambda: F.softmax(X, -4), ParameterError, "dim: "),
    "no dim": (lambda: F.softmax(np.array(1.0), 0), ParameterError, "dim: "),
    "statistics": (
        lambda: F.batch_norm(X, None, np.ones(3)),
        ParameterError,
        "running_mean: expected an array where training is False",
    ),
    "running": (
        lambda: F.batch_norm(X, [0.0] * 3, None, training=True),
        DtypeError,
        "running_mean: expected a numpy.ndarray to update, got list",
    ),
    "running integers": (
        lambda: F.batch_norm(X, np.zeros(3, int), None, training=True),
        DtypeError,
        "running_mean: expected floats, got int64",
    ),
    "running shape": (
        lambda: F.batch_norm(X, None, np.ones(4), training=True),
        ShapeError,
        r"running_var: expected shape \(3,\)",
    ),
    "one value": (
        lambda: F.batch_norm(X[:1, :, :1], None, None, training=True),
        ShapeError,
        "input: expected more than one element per channel",
    ),
    "eps": (lambda: F.batch_norm(X, None, None, eps="a"), ParameterError, "eps: "),
    "negative eps": (
        lambda: F.batch_norm(X, None, None, eps=-1e-9),
        ParameterError,
        "eps: expected 0 or more, got -1e-09",
    ),
    "momentum": (
        lambda: F.batch_norm(X, None, None, training=True, momentum=None),
        ParameterError,
        "momentum: ",
    ),
    "gradient": (
        lambda: F.batch_norm_backward(X[0], X, np.ones(3), np.ones(3)),
        ShapeError,
        "grad_output: expected shape",
    ),
}


@pytest.mark.parametrize(("call", "error", "words"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_without_a_compiler():
    code = """
x = np.arange(24.0).reshape(2, 3, 4)
y = F.affine(x, x[0, :, 0], residual=x, activation="tanh")
print(y.sum(), F.softmax(x, 1).sum(), F.log_softmax_backward(x, F.log_softmax(x, 2), 2).sum())
print(F.batch_norm(x, None, None, training=True).sum().round(6) + 0)
print(F.activation_backward(x, y, "tanh").shape)
"""
    with_it = python("import fastconv as F, numpy as np" + code)
    assert "numba" not in with_it
    got, expected = (
        [float(word) for word in text.replace("(", "").replace(")", "").replace(",", "").split()]
        for text in (python(BLOCKED + code), with_it)
    )
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-9)


GUARDED = """
import numpy as np
import fastconv as F
from tests.guarded import SIDES, Guarded
from tests.helpers import ints, same

for dtype in (np.float32, np.float64):
    for shape in ((2, 3, 37), (2, 21), (3, 5, 2, 1), (2, 1, 16)):
        for side in SIDES:
            kept = []

            def placed(array):
                kept.append(Guarded(array, side))
                return kept[-1].array

            def numbers(seed, *shape):
                return placed(ints(*shape, dtype=dtype, seed=seed))

            x, r = numbers(1, *shape), numbers(2, *shape)
            a, b, mean = (numbers(seed, shape[1]) for seed in (3, 4, 5))
            y = placed(np.zeros(shape, dtype))
            for name in ("relu", "tanh"):
                for place, layout in ((1, "channels_first"), (-1, "channels_last")):
                    c = placed(np.ones(shape[place], dtype))
                    F.affine(x, c, c, r, activation=name, layout=layout, out=y)
                F.activation_backward(x, r, name, out=y)
            for dim in range(len(shape)):
                for kind in (F.softmax, F.log_softmax):
                    found = placed(kind(x, dim))
                    getattr(F, kind.__name__ + "_backward")(r, found, dim)
            F.batch_norm(x, mean, mean * mean, a, b, residual=r)
            F.batch_norm_backward(r, x, mean, mean, a, training=True)
            assert all(each.unharmed for each in kept)
print("alive")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="pages are protected through glibc")
def test_nothing_outside_the_arrays_is_touched():
    assert python(GUARDED) == "alive"


NARROW = """
import numpy as np
import fastconv as F
from fastconv import reference as R
from tests.helpers import ints, same

x, r = (ints(2, 3, 37, dtype=np.float32, seed=seed) for seed in (1, 2))
a = np.arange(1, 4, dtype=np.float32)
same(F.affine(x, a, a, r, activation="relu"), R.affine(x, a, a, r, activation="relu"))
for dim in (1, 2):
    np.testing.assert_allclose(F.softmax(x, dim), R.softmax(x, dim), rtol=1e-5)
for one, other in zip(
    F.batch_norm_backward(r, x, None, None, training=True),
    R.batch_norm_backward(r, x, None, None, training=True),
    strict=True,
):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
print("alike")
"""


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="for x86")
@pytest.mark.parametrize("cpu", SETTINGS)
def test_narrower_instruction_sets(cpu):
    name, features = SETTINGS[cpu]
    how = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
    assert python(NARROW, **how) == "alike"
