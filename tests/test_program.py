"""A program for PyTorch runs on arrays when its imports are changed, and nothing else.

It calls every function of `torch.nn.functional` that convolves, pools, unfolds or folds, and all of
`torch.nn.grad`, and spells out every parameter at least once: that is read from PyTorch, so that a
newer one with more of them fails here.
"""

import ast
import inspect
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")
T = torch.nn.functional

IMPORTS = {
    "torch": """
import torch.nn.functional as F
import torch.nn.grad as G
from torch import from_numpy as array
""",
    "fastconv": """
import fastconv as F
import fastconv as G
from numpy import asarray as array
""",
}
PROGRAM = '''
from numpy import random

numbers = random.default_rng(0)


def some(*shape):
    """Small integers: sums of their products are exact."""
    return array(numbers.integers(-4, 5, shape).astype("float64"))


def shuffled(*shape):
    """Integers of which no two are equal."""
    size = 1
    for n in shape:
        size *= n
    return array(numbers.permutation(size).reshape(shape).astype("float64"))


signal, image, video = some(2, 4, 11), some(2, 4, 9, 8), some(2, 4, 5, 6, 7)
found = {}

# Convolution: every parameter by name, then a few by place
for name, convolve, x, kernel in (
    ("conv1d", F.conv1d, signal, (3,)),
    ("conv2d", F.conv2d, image, (3, 2)),
    ("conv3d", F.conv3d, video, (2, 3, 2)),
):
    rank = len(kernel)
    w, b = some(6, 2, *kernel), some(6)
    for stride, padding, dilation in (
        (1, 0, 1),
        (2, 1, 2),
        ((2, 1, 3)[:rank], (0, 2, 1)[:rank], (1, 2, 1)[:rank]),
        (1, "same", (2, 1, 2)[:rank]),
        (3, "valid", 1),
    ):
        found[name, stride, padding] = convolve(
            input=x,
            weight=w,
            bias=b,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=2,
        )
    found[name, "by place"] = convolve(x, w, None, [2] * rank, [1] * rank, 1, 2)
    found[name, "unbatched"] = convolve(x[0], w, b, groups=2)

# Its gradients
for name, back, forth, x, kernel in (
    ("conv1d_input", G.conv1d_input, F.conv1d, signal, (3,)),
    ("conv2d_input", G.conv2d_input, F.conv2d, image, (3, 2)),
    ("conv3d_input", G.conv3d_input, F.conv3d, video, (2, 3, 2)),
):
    w = some(6, 2, *kernel)
    gy = some(*forth(x, w, None, 2, 1, 2, 2).shape)
    found[name] = back(
        input_size=tuple(x.shape),
        weight=w,
        grad_output=gy,
        stride=2,
        padding=1,
        dilation=2,
        groups=2,
    )
    gy = some(*forth(x, w, groups=2).shape)
    found[name, "by place"] = back(tuple(x.shape), w, gy, 1, 0, 1, 2)
for name, back, forth, x, kernel in (
    ("conv1d_weight", G.conv1d_weight, F.conv1d, signal, (3,)),
    ("conv2d_weight", G.conv2d_weight, F.conv2d, image, (3, 2)),
    ("conv3d_weight", G.conv3d_weight, F.conv3d, video, (2, 3, 2)),
):
    gy = some(*forth(x, some(6, 2, *kernel), None, 2, 1, 2, 2).shape)
    found[name] = back(
        input=x,
        weight_size=(6, 2, *kernel),
        grad_output=gy,
        stride=2,
        padding=1,
        dilation=2,
        groups=2,
    )
    gy = some(*forth(x, some(6, 2, *kernel), groups=2).shape)
    found[name, "by place"] = back(x, (6, 2, *kernel), gy, 1, 0, 1, 2)

# Transposed convolution, whose groups come before its dilation
for name, convolve, x, kernel in (
    ("conv_transpose1d", F.conv_transpose1d, signal, (3,)),
    ("conv_transpose2d", F.conv_transpose2d, image, (3, 2)),
    ("conv_transpose3d", F.conv_transpose3d, video, (2, 3, 2)),
):
    w, b = some(4, 3, *kernel), some(6)
    found[name] = convolve(
        input=x,
        weight=w,
        bias=b,
        stride=2,
        padding=1,
        output_padding=1,
        groups=2,
        dilation=2,
    )
    found[name, "by place"] = convolve(x, w, b, 3, 1, 2, 2, 1)
    found[name, "plain"] = convolve(x, some(4, 3, *kernel))

found["conv_tbc"] = F.conv_tbc(input=some(9, 2, 4), weight=some(3, 4, 6), bias=some(6), pad=1)
found["conv_tbc", "by place"] = F.conv_tbc(some(9, 2, 4), some(3, 4, 6), some(6))

# Columns
for stride in (1, (2, 3)):
    columns = F.unfold(input=image, kernel_size=(2, 3), dilation=(2, 1), padding=1, stride=stride)
    found["unfold", stride] = columns
    found["fold", stride] = F.fold(
        input=columns,
        output_size=(9, 8),
        kernel_size=(2, 3),
        dilation=(2, 1),
        padding=1,
        stride=stride,
    )
found["unfold", "by place"] = F.unfold(image[0], 2, 2, 1, 3)
found["fold", "by place"] = F.fold(found["unfold", "by place"], (9, 8), 2, 2, 1, 3)

# Maxima, where they were, and back
for name, pool, both, unpool, x in (
    ("max_pool1d", F.max_pool1d, F.max_pool1d_with_indices, F.max_unpool1d, shuffled(2, 4, 11)),
    ("max_pool2d", F.max_pool2d, F.max_pool2d_with_indices, F.max_unpool2d, shuffled(2, 4, 9, 8)),
    (
        "max_pool3d",
        F.max_pool3d,
        F.max_pool3d_with_indices,
        F.max_unpool3d,
        shuffled(2, 4, 5, 6, 7),
    ),
):
    for ceil_mode in (False, True):
        for return_indices in (False, True):
            found[name, ceil_mode, return_indices] = pool(
                input=x,
                kernel_size=3,
                stride=2,
                padding=1,
                dilation=1,
                ceil_mode=ceil_mode,
                return_indices=return_indices,
            )
        found[name, "with_indices", ceil_mode] = both(
            input=x,
            kernel_size=2,
            stride=1,
            padding=1,
            dilation=2,
            ceil_mode=ceil_mode,
            return_indices=False,
        )
    found[name, "by place"] = pool(x, 2, None, 0, 2, True, True)
    values, places = pool(x, 2, stride=2, return_indices=True)
    found[name, "unpool"] = unpool(
        input=values,
        indices=places,
        kernel_size=2,
        stride=2,
        padding=0,
        output_size=tuple(x.shape),
    )
    values, places = pool(x, 3, 3, 1, return_indices=True)
    found[name, "unpool by place"] = unpool(values, places, 3, None, 1, tuple(x.shape[2:]))
for name, pool, both, x in (
    ("fractional_max_pool2d", F.fractional_max_pool2d, F.fractional_max_pool2d_with_indices, image),
    ("fractional_max_pool3d", F.fractional_max_pool3d, F.fractional_max_pool3d_with_indices, video),
):
    rank = len(x.shape) - 2
    samples = array(numbers.random((2, 4, rank)))
    for return_indices in (False, True):
        found[name, return_indices] = pool(
            input=x,
            kernel_size=2,
            output_size=(3, 4, 2)[:rank],
            output_ratio=None,
            return_indices=return_indices,
            _random_samples=samples,
        )
    found[name, "with_indices"] = both(
        input=x,
        kernel_size=(2, 3, 1)[:rank],
        output_size=None,
        output_ratio=(0.5, 0.4, 0.6)[:rank],
        return_indices=False,
        _random_samples=samples,
    )
    found[name, "by place"] = pool(x, 2, None, [0.5] * rank, True, samples)

# Averages and norms
for name, pool, x in (("avg_pool1d", F.avg_pool1d, signal),):
    for count_include_pad in (False, True):
        found[name, count_include_pad] = pool(
            input=x,
            kernel_size=(4,),
            stride=3,
            padding=2,
            ceil_mode=True,
            count_include_pad=count_include_pad,
        )
    found[name, "by place"] = pool(x, 4, None, 1, False, False)
for name, pool, x in (("avg_pool2d", F.avg_pool2d, image), ("avg_pool3d", F.avg_pool3d, video)):
    for count_include_pad in (False, True):
        for divisor_override in (None, 3):
            found[name, count_include_pad, divisor_override] = pool(
                input=x,
                kernel_size=4,
                stride=3,
                padding=2,
                ceil_mode=True,
                count_include_pad=count_include_pad,
                divisor_override=divisor_override,
            )
    found[name, "by place"] = pool(x, 2, None, 1, False, False, -2)
for name, pool, x, kernel in (
    ("lp_pool1d", F.lp_pool1d, signal, 3),
    ("lp_pool2d", F.lp_pool2d, image, (3, 2)),
    ("lp_pool3d", F.lp_pool3d, video, (2, 3, 2)),
):
    for ceil_mode in (False, True):
        for norm_type in (2, 4.0, float("inf")):
            found[name, ceil_mode, norm_type] = pool(
                input=x,
                norm_type=norm_type,
                kernel_size=kernel,
                stride=2,
                ceil_mode=ceil_mode,
            )
    found[name, "by place"] = pool(x * x, 3, kernel, None, True)

# Windows that cover the input
for name, pool, both, average, x, sizes in (
    (
        "adaptive_pool1d",
        F.adaptive_max_pool1d,
        F.adaptive_max_pool1d_with_indices,
        F.adaptive_avg_pool1d,
        signal,
        (4, (4,)),
    ),
    (
        "adaptive_pool2d",
        F.adaptive_max_pool2d,
        F.adaptive_max_pool2d_with_indices,
        F.adaptive_avg_pool2d,
        image,
        (4, (3, 5), (None, 2)),
    ),
    (
        "adaptive_pool3d",
        F.adaptive_max_pool3d,
        F.adaptive_max_pool3d_with_indices,
        F.adaptive_avg_pool3d,
        video,
        (2, (3, 5, 2), (None, 2, None)),
    ),
):
    for output_size in sizes:
        found[name, "average", output_size] = average(input=x, output_size=output_size)
        found[name, "with_indices", output_size] = both(
            input=x, output_size=output_size, return_indices=False
        )
        for return_indices in (False, True):
            found[name, output_size, return_indices] = pool(
                input=x, output_size=output_size, return_indices=return_indices
            )
    found[name, "by place"] = pool(x, sizes[0], True)
'''
INEXACT = ("avg_pool", "lp_pool", "adaptive_pool")
"""Whose quotients and roots may be rounded in another order."""


def run(system):
    scope = {}
    exec(IMPORTS[system] + PROGRAM, scope)
    return scope["found"]


def plain(result):
    """Every array of a result, as NumPy's."""
    parts = result if isinstance(result, tuple) else (result,)
    return [part.numpy() if isinstance(part, torch.Tensor) else part for part in parts]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_it_gives_the_same_numbers():
    theirs, ours = run("torch"), run("fastconv")
    assert list(theirs) == list(ours)
    for name, expected in theirs.items():
        pairs = list(zip(plain(ours[name]), plain(expected), strict=True))
        for got, wanted in pairs:
            assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape), name
            if str(name[0]).startswith(INEXACT):
                np.testing.assert_allclose(got, wanted, rtol=1e-14, err_msg=str(name))
            else:
                np.testing.assert_array_equal(got, wanted, err_msg=str(name))


def functions():
    """The functions in question, with the parameters that PyTorch gives them."""
    for name in dir(T):
        if re.match("(?!_).*(conv|pool|fold)", name):
            yield f"F.{name}", getattr(T, name)
    for name in dir(torch.nn.grad):
        if re.match(r"conv\dd", name):
            yield f"G.{name}", getattr(torch.nn.grad, name)


def parameters_of(name, function):
    """From the signature; of those that are built in, from the first line of their docs."""
    if name == "F.conv_tbc":  # documented in prose only
        return {"input", "weight", "bias", "pad"}
    dispatched = getattr(T, "_" + name[2:], None)  # of two functions, by a flag
    try:
        return set(inspect.signature(dispatched or function).parameters)
    except ValueError:
        head = re.match(r"\s*\w+\((.*?)\) ->", function.__doc__)
        return {part.split("=")[0].strip() for part in head[1].split(",")}


def spelt_out():
    """For each function of the program, the parameters that some call of it names."""
    tree = ast.parse(PROGRAM)
    named = {}
    for loop in ast.walk(tree):
        values = {}  # what a loop's names stand for
        if isinstance(loop, ast.For) and isinstance(loop.target, ast.Tuple):
            for place, target in enumerate(loop.target.elts):
                rows = loop.iter.elts
                values[target.id] = [ast.unparse(row.elts[place]) for row in rows]
        for call in ast.walk(loop) if values else [loop]:
            if not isinstance(call, ast.Call):
                continue
            called = ast.unparse(call.func)
            for name in values.get(called, [called]):
                keywords = {keyword.arg for keyword in call.keywords}
                named.setdefault(name, set()).update(keywords)
    return named


def test_it_spells_out_every_parameter_of_every_function():
    named = spelt_out()
    for name, function in functions():
        missing = parameters_of(name, function) - named.get(name, set())
        assert not missing, f"{name}: {missing}"
