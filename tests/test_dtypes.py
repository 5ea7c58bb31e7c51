import sys

import numpy as np
import pytest

from fastconv import DtypeError, dtypes
from tests.helpers import python

ROWS = [dtypes.row_of(name) for name in dtypes.with_bfloat16()]
EACH = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.dtype.name)
FLOATING = pytest.mark.parametrize(
    "row", [row for row in ROWS if row.dtype.kind not in "biu"], ids=lambda row: row.dtype.name
)


@FLOATING
def test_integers_stay_exact_up_to_the_limit(row):
    limit = row.accumulator.type(row.exact_limit)
    assert limit - 1 != limit
    assert limit - 1 + 1 == limit
    assert limit + 1 == limit  # beyond it they do not


@EACH
def test_accumulators_of_integers_are_exact_to_their_end(row):
    if row.dtype.kind in "biu":
        assert row.exact_limit == np.iinfo(row.accumulator).max
        assert row.sums == row.accumulator
        assert row.tolerance == 0


@FLOATING
def test_tolerance_is_a_few_roundings_of_the_result(row):
    eps = 2.0**-7 if row.dtype.kind == "V" else np.finfo(row.dtype).eps
    assert eps <= row.tolerance <= 16 * eps


@EACH
def test_accumulators(row):
    wide = {"float16": "float32", "bfloat16": "float32", "uint64": "uint64"}
    kind, size = row.dtype.kind, row.dtype.itemsize
    own = row.dtype.name if kind in "fc" else "int32" if size == 1 else "int64"
    assert row.accumulator == wide.get(row.dtype.name, own)
    assert row.accumulators[0] == row.accumulator or kind in "biu"
    assert row.sums == (row.accumulator if kind in "biu" else row.dtype)
    assert dtypes.accumulator(row.dtype, None) is None


@pytest.mark.parametrize(
    ("dtype", "asked", "found"),
    [
        ("int8", "int32", None),
        ("int8", np.int64, np.int64),
        ("int8", ">i4", None),
        ("int8", "int16", np.int16),
        ("uint64", "uint64", np.uint64),
        ("uint64", int, np.int64),
        ("float16", "float32", None),
        ("float16", float, np.float64),
        ("float32", float, np.float64),
        ("complex64", complex, np.complex128),
    ],
)
def test_accumulators_that_callers_choose(dtype, asked, found):
    assert dtypes.accumulator(np.dtype(dtype), asked) == found


@pytest.mark.parametrize(
    ("dtype", "asked"),
    [
        ("float64", "float32"),
        ("float32", "float16"),
        ("float32", "int64"),
        ("int8", "float64"),
        ("int8", "bool"),
        ("int8", "wide"),
        ("int8", 3),
        ("complex64", "float64"),
        ("float32", "complex64"),
        ("uint64", "O"),
    ],
)
def test_accumulators_that_cannot_be(dtype, asked):
    with pytest.raises(DtypeError, match=rf"^acc_dtype: sums of {dtype} are kept in .*, got"):
        dtypes.accumulator(np.dtype(dtype), asked)


@pytest.mark.parametrize("dtype", ["float32", np.float64, np.dtype("f4"), ">f8", "int8", bool, "D"])
def test_row_of_finds_what_names_a_supported_dtype(dtype):
    if np.dtype(dtype).isnative:
        assert dtypes.row_of(dtype).dtype == np.dtype(dtype)
    else:
        assert dtypes.row_of(np.dtype(dtype).newbyteorder("=")).dtype.isnative


@pytest.mark.parametrize("dtype", ["longdouble", "M8[s]", "V2", "O", "U3", "nonsense", 7])
def test_row_of_refuses_by_parameter_name(dtype):
    if dtype == "longdouble" and np.dtype(dtype) == np.float64:
        pytest.skip("long double is double here")
    with pytest.raises(DtypeError, match=r"^input: .*float32"):
        dtypes.row_of(dtype, "input")


def test_bfloat16_is_that_of_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    row = dtypes.row_of(ml_dtypes.bfloat16)
    assert row.dtype == ml_dtypes.bfloat16
    assert dtypes.row_of("bfloat16") is row
    swapped = np.ones(3, row.dtype).astype(row.dtype.newbyteorder())
    assert dtypes.plain_array("x", swapped).dtype == row.dtype


def test_bfloat16_without_ml_dtypes_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(DtypeError, match="ml_dtypes"):
        dtypes.row_of("bfloat16")
    assert dtypes.with_bfloat16() == dtypes.NAMES


def test_ml_dtypes_is_not_imported_for_others():
    code = """
        import sys, numpy as np, fastconv as F
        F.conv1d(np.ones((1, 1, 4), np.float16), np.ones((1, 1, 2), np.float16))
        F.conv1d(np.ones((1, 1, 4), np.int8), np.ones((1, 1, 2), np.int8))
        print("ml_dtypes" in sys.modules)
    """
    assert python("\n".join(line.strip() for line in code.splitlines())) == "False"


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
        ("float16", "float16", "float16"),
        ("int16", "float16", "float32"),
        ("int32", "int64", "int64"),
        ("int8", "uint8", "int16"),
        ("bool", "uint8", "uint8"),
        ("int64", "uint64", "float64"),
        ("complex64", "float32", "complex64"),
        ("complex64", "float64", "complex128"),
    ],
)
def test_promotion_follows_numpy(first, second, common):
    arrays = dtypes.promoted(x=np.ones(2, first), w=np.zeros(2, second))
    assert [array.dtype for array in arrays] == [common, common]
    np.testing.assert_array_equal(arrays[0], [1, 1])
    np.testing.assert_array_equal(arrays[1], [0, 0])


@pytest.mark.parametrize(("first", "second"), [("V4", "float32"), ("longdouble", "float32")])
def test_promotion_to_an_unsupported_dtype_names_both(first, second):
    with pytest.raises(DtypeError, match="x, w"):
        dtypes.promoted(x=np.zeros(2, first), w=np.zeros(2, second))


@pytest.mark.parametrize("other", ["float16", "int32"])
def test_bfloat16_has_nothing_in_common_with_some(other):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    with pytest.raises(DtypeError, match=r"x, w: dtypes bfloat16, .*no common one"):
        dtypes.promoted(x=np.zeros(2, bfloat16), w=np.zeros(2, other))


def test_ends_of_a_dtype():
    assert dtypes.lowest(np.dtype("int8")) == -128
    assert dtypes.highest(np.dtype("uint16")) == 65535
    assert dtypes.lowest(np.dtype("float16")) == -np.inf
    assert dtypes.highest(np.dtype("float64")) == np.inf
    assert not dtypes.lowest(np.dtype(bool))
    assert dtypes.highest(np.dtype(bool))
