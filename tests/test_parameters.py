import numpy as np
import pytest

from fastconv import ParameterError, parameters

NOT_INTEGERS = {
    "float": 2.0,
    "numpy-float": np.float64(2),
    "nan": float("nan"),
    "bool": True,
    "numpy-bool": np.True_,
    "None": None,
    "string": "2",
    "complex": 2j,
    "float-array": np.array(2.0),
    "dict": {2: 2},
    "set": {2},
    "object": object(),
}
TOO_LARGE = {"2^40+1": 2**40 + 1, "2^63": 2**63, "uint64": np.uint64(2**63), "2^100": 2**100}


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3)], ids=repr)
def test_integers_of_every_kind_become_int(value):
    assert parameters.integer("stride", value) == 3
    assert type(parameters.integer("stride", value)) is int


@pytest.mark.parametrize("value", NOT_INTEGERS.values(), ids=NOT_INTEGERS)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: (v, 1)], ids=["alone", "in-a-tuple"])
@pytest.mark.parametrize("form", ["integers", "padding_pairs", "padding_form"])
def test_what_is_no_integer_is_refused_by_name(form, wrap, value):
    if form == "padding_form" and isinstance(value, str):
        assert value not in parameters.PADDING_NAMES
    with pytest.raises(ParameterError, match=r"^stride: "):
        getattr(parameters, form)("stride", wrap(value), 2)


@pytest.mark.parametrize("value", TOO_LARGE.values(), ids=TOO_LARGE)
def test_absurd_integers_are_refused(value):
    with pytest.raises(ParameterError, match=r"^stride: .* too large"):
        parameters.integers("stride", value, 2)


@pytest.mark.parametrize(("least", "value"), [(1, 0), (1, -1), (0, -1), (1, -(2**70))])
def test_the_least_value_is_part_of_the_message(least, value):
    with pytest.raises(ParameterError, match=f"^stride: .*at least {least}, got {value}"):
        parameters.integer("stride", value, least)


@pytest.mark.parametrize(
    "value", [2, (2,), [2], (2, 2, 2), np.array([2, 2, 2]), np.int16(2), [np.int8(2)]], ids=repr
)
def test_integers_repeat_one_for_every_dimension(value):
    assert parameters.integers("stride", value, 3) == (2, 2, 2)


@pytest.mark.parametrize("value", [(), (1, 2), (1, 2, 3, 4)])
def test_integers_of_the_wrong_length(value):
    with pytest.raises(ParameterError, match=r"^stride: expected an integer or 3 of them"):
        parameters.integers("stride", value, 3)


@pytest.mark.parametrize(
    ("value", "pairs"),
    [
        (1, ((1, 1), (1, 1))),
        ((1,), ((1, 1), (1, 1))),
        ((1, 2), ((1, 1), (2, 2))),
        (((1, 2),), ((1, 2), (1, 2))),
        (((1, 2), (3, 0)), ((1, 2), (3, 0))),
        (([1, 2], 3), ((1, 2), (3, 3))),
        (np.array([[1, 2], [3, 4]]), ((1, 2), (3, 4))),
        (np.int64(0), ((0, 0), (0, 0))),
    ],
    ids=repr,
)
def test_padding_in_every_form(value, pairs):
    assert parameters.padding_pairs("padding", value, 2) == pairs
    assert parameters.padding_form("padding", value, 2) == pairs


@pytest.mark.parametrize(
    "value", [-1, (1, -1), ((1, 2, 3), (1, 2, 3)), (1, 2, 3), ((1, 2), (3, -4)), ((), ())], ids=repr
)
def test_padding_that_makes_no_sense(value):
    with pytest.raises(ParameterError, match=r"^padding: "):
        parameters.padding_pairs("padding", value, 2)


@pytest.mark.parametrize("name", ["valid", "same", "same_lower"])
def test_padding_names(name):
    assert parameters.padding_form("padding", name, 2) == name


@pytest.mark.parametrize("name", ["", "SAME", "full", "same_upper"])
def test_padding_names_that_are_unknown(name):
    with pytest.raises(ParameterError, match=r"^padding: expected one of .*same_lower"):
        parameters.padding_form("padding", name, 2)


@pytest.mark.parametrize("value", [(2, 0, 3), [2, 0, 3], np.array([2, 0, 3])], ids=repr)
def test_shapes(value):
    assert parameters.shape("input_size", value) == (2, 0, 3)


@pytest.mark.parametrize("value", [5, None, "123", (1, -1), (1, 2.0), (1, None), {1: 2}], ids=repr)
def test_what_is_no_shape(value):
    with pytest.raises(ParameterError, match=r"^input_size: "):
        parameters.shape("input_size", value)


@pytest.mark.parametrize(("value", "rank"), [(3, None), ((3,), 1), ([3, 4], 2), (np.int8(3), None)])
def test_rank_of_a_size(value, rank):
    assert parameters.rank_of(value) == rank


@pytest.mark.parametrize("value", [True, np.True_, 1, np.int8(1)], ids=repr)
def test_flags(value):
    assert parameters.flag("ceil_mode", value) is True
    assert parameters.flag("ceil_mode", type(value)(0)) is False


@pytest.mark.parametrize("value", [None, 2, -1, 1.0, "True", "", [], np.ones(2), 2**64], ids=repr)
def test_what_is_no_flag(value):
    with pytest.raises(ParameterError, match=r"^ceil_mode: expected True or False"):
        parameters.flag("ceil_mode", value)
