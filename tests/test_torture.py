"""Every public operation, every parameter, every kind of nonsense: refused by name and at once.

Nothing here knows an operation: calls come from `tests.test_reference.arguments`, parameters from
the signatures. An operation that is added is tortured too.
"""

import contextlib
import inspect
import tracemalloc

import numpy as np
import pytest

import fastconv as F
from fastconv import DtypeError, FastconvError, ParameterError
from fastconv.ops.explain import EXPLAINED
from tests.helpers import ints, same
from tests.test_reference import BETWEEN, OPERATIONS, PREPARING, arguments

MOST_BYTES = 2**22
"""Far more than a call on these small arrays needs, far less than a mistake would take."""
OFFSETS = ints(2, 18, 5, 4) / 4
COMPUTING = [*OPERATIONS, *sorted(BETWEEN), "deform_conv2d_backward"]
ALL = pytest.mark.parametrize("name", [*COMPUTING, *PREPARING])
RESULTS = pytest.mark.parametrize("name", COMPUTING)
PLANNED = pytest.mark.parametrize("name", sorted(EXPLAINED))


def call_of(name):
    """A valid call: the function and its arguments by parameter, those left out at defaults."""
    function = getattr(F, name)
    if name == "deform_conv2d_backward":
        gy, x, w = ints(2, 6, 5, 4), ints(2, 4, 7, 6), ints(6, 2, 3, 3)
        args, kwargs = (gy, x, OFFSETS, w), {}
    elif name == "prepare_conv":
        args, kwargs = (ints(6, 2, 3, 3), ints(6)), {"groups": 2}
    elif name == "prepare_conv_transpose":
        args, kwargs = (ints(6, 2, 3, 3), ints(4)), {"groups": 2}
    else:
        args, kwargs = arguments(name)
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return function, dict(bound.arguments)


def run(function, given):
    """Call by the parameters' kinds, so that positional-only ones would work too."""
    bound = inspect.signature(function).bind_partial()
    bound.arguments.update(given)
    return function(*bound.args, **bound.kwargs)


def arrays_of(given):
    return [name for name, value in given.items() if isinstance(value, np.ndarray)]


def others_of(given):
    """Parameters that are no arrays: sizes, steps, names, flags."""
    return [name for name, value in given.items() if not isinstance(value, np.ndarray)]


def results(result):
    return [r for r in (result if isinstance(result, tuple) else (result,)) if r is not None]


NEAR = (2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 2**62, 2**41, 10**30)
ODD = (
    *NEAR,
    *(-1, 0, 1.5, -0.5, float("nan"), float("inf"), -float("inf"), 1e300, 2j),
    *(None, "", "2", "same ", b"same", object(), len, int, Ellipsis, slice(2)),
    *((), [], {}, set(), (1,) * 7, ((1, 1),) * 7, [[]], [None], ["a"], [1.5], [float("nan")]),
    *((2**63,), [2**63] * 2, ((0, 2**63),) * 2, (-1, 0), ((0, -1), (0, 0)), [object()]),
    *(np.uint64(2**64 - 1), np.int64(-(2**63)), np.float32(2), np.nan, np.array(2.5)),
    *(np.array([2**63, 1], np.uint64), np.array([]), np.array([[1, 1]]), np.array("x")),
    *(np.ma.masked, np.datetime64("2020-01-01"), range(0), iter(())),
)
NEVER = (1.5, float("nan"), float("inf"), "2", b"2", 2j, object(), len, [1.5], ["a"])
"""What no number of elements, no size and no step can be."""
COUNTED = (
    *("kernel_size", "stride", "dilation", "groups", "output_size", "output_padding"),
    *("input_size", "weight_size"),
)


def survives(function, given, what):
    """Call; a `FastconvError` or a result is fine, but not with much memory.

    What a first call compiles is not counted.
    """
    peak = peak_of(function, given, what)
    if peak >= MOST_BYTES:
        peak = peak_of(function, given, what)
    assert peak < MOST_BYTES, (what, peak)


def peak_of(function, given, what):
    tracemalloc.start()
    try:
        with contextlib.suppress(FastconvError):
            run(function, given)
    except Exception as error:
        raise AssertionError(f"{what}: {error!r}") from error
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


@ALL
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_nonsense_for_a_parameter(name):
    function, given = call_of(name)
    run(function, given)  # what is compiled or imported late is not counted
    for parameter in others_of(given):
        for value in ODD:
            survives(function, {**given, parameter: value}, (name, parameter, value))


@ALL
def test_no_number_of_elements(name):
    function, given = call_of(name)
    for parameter in set(COUNTED) & set(given):
        for value in NEVER:
            with pytest.raises(FastconvError) as caught:
                run(function, {**given, parameter: value})
            assert isinstance(caught.value, (ValueError, TypeError)), (parameter, value)
            if not isinstance(value, list):  # whose length may be taken for the rank
                assert parameter in str(caught.value), (parameter, value, str(caught.value))


@ALL
def test_sizes_with_one_wrong_number(name):
    """A valid size or shape with any one of its numbers replaced."""
    function, given = call_of(name)
    for parameter, value in given.items():
        if not isinstance(value, tuple):
            continue
        for place in range(len(value)):
            for wrong in (*NEAR, -1, 0, 1.5, None, "a", float("nan")):
                changed = (*value[:place], wrong, *value[place + 1 :])
                survives(function, {**given, parameter: changed}, (name, parameter, changed))


@ALL
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_arrays_without_a_plain_meaning(name):
    function, given = call_of(name)
    for parameter in arrays_of(given):
        array = given[parameter]
        for value in (
            np.ma.masked_array(array),
            np.matrix(array.reshape(len(array), -1)),
            array.astype(object),
            array.astype(str),
            np.zeros(array.shape, "M8[s]"),
            np.zeros(array.shape, [("a", "f8")]),
            "text",
            b"bytes",
            object(),
            len,
            [[1.0], [1.0, 2.0]],
            {"a": 1},
            {1, 2},
        ):
            with pytest.raises(DtypeError, match=f"^{parameter}: "):
                run(function, {**given, parameter: value})


@ALL
def test_arrays_of_another_shape(name):
    """Fewer or more dimensions, none, no elements, absurd strides: refused, or a result."""
    function, given = call_of(name)
    for parameter in arrays_of(given):
        array = given[parameter]
        for value in (
            array[0],
            array[None],
            array[..., :0],
            array[:0],
            array[..., 0],
            array.ravel(),
            array.ravel()[0],
            np.zeros((0,) * array.ndim, array.dtype),
            np.zeros((1,) * 40, array.dtype),
        ):
            survives(function, {**given, parameter: value}, (name, parameter, value.shape))


def byte_swapped(array):
    return array.astype(array.dtype.newbyteorder())


def reversed_axes(array):
    return np.flip(np.flip(array).copy())


def unaligned(array):
    raw = np.empty(array.nbytes + 1, np.uint8)
    odd = raw[1:].view(array.dtype).reshape(array.shape)
    odd[...] = array
    return odd


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def every_second(array):
    return np.repeat(array, 2, -1)[..., ::2]


def as_lists(array):
    return array.tolist()


@RESULTS
@pytest.mark.parametrize(
    "odd",
    [np.asfortranarray, byte_swapped, reversed_axes, unaligned, read_only, every_second, as_lists],
    ids=lambda f: f.__name__,
)
def test_odd_arrays_are_arrays(name, odd):
    function, given = call_of(name)
    expected = results(run(function, given))
    changed = {n: odd(v) if isinstance(v, np.ndarray) else v for n, v in given.items()}
    for got, wanted in zip(results(run(function, changed)), expected, strict=True):
        same(np.ascontiguousarray(got), np.ascontiguousarray(wanted))


def empty_batch(value):
    """Every call has a batch of two, which weights do not have."""
    if isinstance(value, np.ndarray):
        return value[:0] if value.ndim > 1 and len(value) == 2 else value
    if isinstance(value, tuple) and len(value) > 2 and value[0] == 2:
        return (0, *value[1:])
    return value


@RESULTS
def test_a_batch_of_none(name):
    function, given = call_of(name)
    if name == "conv_tbc":
        pytest.skip("its batch comes second: tests/ops/test_time_first.py")
    whole = results(run(function, given))
    empty = results(run(function, {n: empty_batch(v) for n, v in given.items()}))
    for got, expected in zip(empty, whole, strict=True):
        assert got.dtype == expected.dtype
        shape = expected.shape
        if shape[0] == 2:
            assert got.shape == (0, *shape[1:])
        else:  # the gradient of a weight, of which nothing is known
            assert got.shape == shape
            assert not got.any()


@ALL
def test_inputs_are_left_alone(name):
    function, given = call_of(name)
    before = {n: given[n].copy() for n in arrays_of(given)}
    run(function, given)
    for parameter, copy in before.items():
        same(given[parameter], copy)


@pytest.mark.parametrize("value", ODD, ids=lambda value: str(type(value).__name__))
def test_settings(value):
    for setting in ("threads", "algorithm", "max_scratch_bytes", "precision", "nonsense"):
        before = F.plan.current_settings()
        with contextlib.suppress(ParameterError), F.settings(**{setting: value}):
            pass
        assert F.plan.current_settings() == before


@PLANNED
def test_explain_refuses_what_calls_refuse(name):
    _, given = call_of(name)
    shapes = {n: v.shape if isinstance(v, np.ndarray) else v for n, v in given.items()}
    for parameter in given:
        for value in ODD:
            survives(
                F.explain,
                {"op": name, "shapes": (), "parameters": {**shapes, parameter: value}},
                (name, parameter, value),
            )
