import numpy as np
import pytest

from fastconv import DtypeError, dtypes


@pytest.mark.parametrize("row", dtypes.TABLE.values(), ids=dtypes.NAMES)
def test_integers_stay_exact_up_to_the_limit(row):
    limit = row.accumulator.type(row.exact_limit)
    assert limit - 1 != limit
    assert limit - 1 + 1 == limit
    assert limit + 1 == limit  # beyond it they do not


@pytest.mark.parametrize("row", dtypes.TABLE.values(), ids=dtypes.NAMES)
def test_tolerance_is_a_few_roundings(row):
    assert np.finfo(row.accumulator).eps <= row.tolerance <= 16 * np.finfo(row.accumulator).eps


@pytest.mark.parametrize("dtype", ["float32", np.float64, np.dtype("f4"), ">f8"])
def test_row_of_finds_what_names_a_supported_dtype(dtype):
    if np.dtype(dtype).isnative:
        assert dtypes.row_of(dtype).dtype == np.dtype(dtype)
    else:
        assert dtypes.row_of(np.dtype(dtype).newbyteorder("=")).dtype.isnative


@pytest.mark.parametrize("dtype", ["int32", "complex64", "float16", "bool", "U3", "nonsense", 7])
def test_row_of_refuses_by_parameter_name(dtype):
    with pytest.raises(DtypeError, match=r"^input: .*float32"):
        dtypes.row_of(dtype, "input")


def test_plain_arrays_are_passed_through_untouched():
    x = np.arange(6.0)
    assert dtypes.plain_array("x", x) is x


@pytest.mark.parametrize("value", [[1.0, 2.0], (1, 2), np.float64(3), 5, np.arange(3).tolist()])
def test_sequences_and_numbers_become_arrays(value):
    array = dtypes.plain_array("x", value)
    assert type(array) is np.ndarray
    np.testing.assert_array_equal(array, value)


def test_byte_swapped_arrays_become_native():
    swapped = np.arange(4, dtype=">f4" if np.little_endian else "<f4")
    array = dtypes.plain_array("x", swapped)
    assert array.dtype.isnative
    np.testing.assert_array_equal(array, swapped)


def test_subclasses_become_the_base_class(tmp_path):
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=(3,))
    assert type(dtypes.plain_array("x", mapped)) is np.ndarray


REFUSED = {
    "masked": np.ma.masked_array([1.0], [True]),
    "None": None,
    "string": "12",
    "bytes": b"12",
    "strings": ["1", "2"],
    "objects": np.array([1, None]),
    "ragged": [[1, 2], [3]],
    "records": np.zeros(2, [("a", "f4")]),
    "dates": np.zeros(2, "M8[s]"),
    "function": len,
    "set": {1, 2},
    "dict": {"a": 1},
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_refused_by_name(value):
    with pytest.raises(DtypeError, match=r"^weight: "):
        dtypes.plain_array("weight", value)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_matrices_are_refused_by_name():
    with pytest.raises(DtypeError, match=r"^weight: matrix .*numpy\.asarray"):
        dtypes.plain_array("weight", np.matrix([[1.0]]))


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        ("float32", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("int8", "float32", "float32"),
        ("int64", "float32", "float64"),
        ("bool", "float32", "float32"),
        ("float16", "float32", "float32"),
    ],
)
def test_promotion_follows_numpy(first, second, common):
    arrays = dtypes.promoted(x=np.ones(2, first), w=np.zeros(2, second))
    assert [array.dtype for array in arrays] == [common, common]
    np.testing.assert_array_equal(arrays[0], [1, 1])
    np.testing.assert_array_equal(arrays[1], [0, 0])


@pytest.mark.parametrize(
    ("first", "second"),
    [("int32", "int64"), ("complex64", "float32"), ("float16", "float16"), ("V4", "float32")],
)
def test_promotion_to_an_unsupported_dtype_names_both(first, second):
    with pytest.raises(DtypeError, match="x, w"):
        dtypes.promoted(x=np.zeros(2, first), w=np.zeros(2, second))
