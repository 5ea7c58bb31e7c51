"""The whole public surface, walked by signature: what every function of a kind must take.

Nothing here lists the functions that have a parameter, only the few that need not: a function that
is added without `layout` fails. Calls come from `tests.test_torture.call_of`.
"""

import inspect
import re

import numpy as np
import pytest

import fastconv as F
from tests.helpers import same
from tests.test_reference import BETWEEN, PREPARING
from tests.test_torture import COMPUTING, call_of, results, run

COLUMNS = {"col2im", "conv_tbc", "fold", "im2col", "sliding_windows", "unfold"}
"""Their order is a dialect's, or PyTorch's."""
ANY_ORDER = {"activation_backward", *(n for n in BETWEEN if "softmax" in n)}
"""They know no channels."""
WITH_LAYOUT = sorted(set(COMPUTING) - COLUMNS - ANY_ORDER)
IMAGES = {"input", "grad_output", "offset", "mask", "output", "indices", "state", "input_size"}
IMAGES |= {"residual"}
"""Parameters that have channels where the layout says."""
CROPPING = ("conv_transpose", "prepare_conv_transpose", "max_unpool")
"""Their padding is what is cut off, so that there is nothing in it."""


OF_WEIGHTS = {"deform_conv2d_backward": (2,), "batch_norm_backward": (1, 2)}
"""Results that have no channels to be last."""


def channels_last(value):
    """An image, or a shape of one, with its channels last."""
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(np.moveaxis(value, 1, -1))
    return (value[0], *value[2:], value[1]) if isinstance(value, tuple) else value


def test_everything_but_columns_has_a_layout():
    public = {*COMPUTING, *PREPARING}
    without = {n for n in public if "layout" not in inspect.signature(getattr(F, n)).parameters}
    assert without == COLUMNS | ANY_ORDER


@pytest.mark.parametrize("name", WITH_LAYOUT)
def test_channels_last(name):
    function, given = call_of(name)
    first = results(run(function, given))
    moved = {n: channels_last(v) if n in IMAGES else v for n, v in given.items()}
    last = results(run(function, {**moved, "layout": "channels_last"}))
    weights = re.search("_(weight|bias)$", name)
    for place, (one, other) in enumerate(zip(first, last, strict=True)):
        if not weights and place not in OF_WEIGHTS.get(name, ()):
            one = channels_last(one)
        same(other, one)


def padded_names():
    """Functions whose padding surrounds the input."""
    for name in [*COMPUTING, *PREPARING]:
        parameters = inspect.signature(getattr(F, name)).parameters
        if "padding" in parameters and not name.startswith(CROPPING):
            yield name


PADDED = sorted(set(padded_names()))
FORWARD = [n for n in PADDED if not re.search("_(input|weight|backward)$|prepare", n)]
PLAIN = {"stride": 1, "dilation": 1, "ceil_mode": False, "pad_value": 0}
PLAIN_FOLD = {"fold", "unfold"}
"""PyTorch's own, with PyTorch's parameters and no more."""


def test_whatever_pads_has_a_padding_mode():
    signatures = {name: inspect.signature(getattr(F, name)) for name in PADDED}
    missing = {name for name in PADDED if "padding_mode" not in signatures[name].parameters}
    assert missing == PLAIN_FOLD


def with_place(given, padding, **changes):
    changes = {**PLAIN, **changes, "padding": padding}
    return {**given, **{n: v for n, v in changes.items() if n in given}}


@pytest.mark.parametrize("name", sorted(set(FORWARD) - PLAIN_FOLD - {"col2im", "deform_conv2d"}))
@pytest.mark.parametrize(
    ("mode", "numpys"), [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")]
)
def test_the_padding_holds_what_the_mode_says(name, mode, numpys):
    function, given = call_of(name)
    x = given["input"]
    rank = x.ndim - 2
    around = np.pad(x, [(0, 0), (0, 0)] + [(1, 1)] * rank, numpys)
    if name.startswith("local_conv"):  # one filter for each window
        spread = [(0, 0), *[(1, 1)] * rank, *[(0, 0)] * (1 + rank)]
        given = {**given, "weight": np.pad(given["weight"], spread, "edge")}
    padded = run(function, with_place(given, 1, padding_mode=mode))
    by_hand = run(function, with_place({**given, "input": around}, 0, padding_mode="zeros"))
    same(results(padded)[0], results(by_hand)[0])  # and not the indices, of another plane


INPUTS = {
    "conv{}d": "conv{}d_input",
    "local_conv{}d": "local_conv{}d_input",
    "avg_pool{}d": "avg_pool{}d_backward",
}


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("names", INPUTS.items(), ids=lambda names: names[0])
def test_gradients_are_adjoint_through_any_padding(names, rank, mode):
    forward, backward = (getattr(F, name.format(rank)) for name in names)
    _, given = call_of(names[0].format(rank))
    given = with_place(given, 1, padding_mode=mode, bias=None, kernel_size=2)
    x = given["input"]
    if "weight" in given and names[0].startswith("local"):
        spread = [(0, 0), *[(1, 1)] * rank, *[(0, 0)] * (1 + rank)]
        given["weight"] = np.pad(given["weight"], spread, "edge")
    y = run(forward, given)
    gy = np.rint(8 * np.random.default_rng(0).random(y.shape))
    more = {"grad_output": gy, "input_size": x.shape}
    taken = set(inspect.signature(backward).parameters)
    gx = run(backward, {n: v for n, v in {**given, **more}.items() if n in taken})
    assert (y * gy).sum() == (x * gx).sum()


SUMMING = sorted(
    name
    for name in [*COMPUTING, *PREPARING]
    if re.match("conv|local_conv|separable|causal|deform|col2im|fold|prepare", name)
)


def of_dtype(given, dtype):
    """The same call on the absolute values of its arrays in another dtype."""
    arrays = {n: np.abs(v).astype(dtype) for n, v in given.items() if isinstance(v, np.ndarray)}
    return {**given, **arrays}


@pytest.mark.parametrize("name", SUMMING)
def test_the_accumulator_may_be_chosen(name):
    function, given = call_of(name)
    assert "acc_dtype" in given
    single = of_dtype(given, np.float32)
    wide = run(function, {**single, "acc_dtype": "float64"})
    if name not in PREPARING:
        for one, other in zip(results(wide), results(run(function, single)), strict=True):
            same(one, other)
    with pytest.raises(F.DtypeError, match="acc_dtype: sums of float32"):
        run(function, {**single, "acc_dtype": "int64"})


@pytest.mark.parametrize("name", [n for n in SUMMING if not n.startswith(("deform", "prepare"))])
def test_unsigned_sums_need_an_accumulator(name):
    function, given = call_of(name)
    unsigned, signed = (of_dtype(given, dtype) for dtype in (np.uint64, np.int64))
    with pytest.raises(F.DtypeError, match="acc_dtype: nothing is wider than uint64"):
        run(function, unsigned)
    found = results(run(function, {**unsigned, "acc_dtype": "uint64"}))
    for one, other in zip(found, results(run(function, signed)), strict=True):
        same(one, other.astype(np.uint64))
