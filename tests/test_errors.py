import pytest

from fastconv import errors

BUILT_INS = {
    "ShapeError": ValueError,
    "DtypeError": TypeError,
    "ParameterError": ValueError,
    "AccumulatorError": OverflowError,
    "PlanError": RuntimeError,
    "MissingDependencyError": ImportError,
    "StateError": RuntimeError,
}


@pytest.mark.parametrize(("name", "built_in"), BUILT_INS.items(), ids=BUILT_INS)
def test_each_is_what_numpy_users_catch(name, built_in):
    error = getattr(errors, name)
    assert issubclass(error, built_in)
    assert issubclass(error, errors.FastconvError)
    with pytest.raises(built_in, match="words"):
        raise error("words")


def test_the_table_above_is_complete():
    found = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.FastconvError)
    }
    assert found == {*BUILT_INS, "FastconvError"}
