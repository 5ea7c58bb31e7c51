import asyncio
import contextvars
import dataclasses
import threading

import numpy as np
import pytest

import fastconv
from fastconv import ParameterError, configure, settings
from fastconv.plan import Settings, current_settings

MIB = 2**20


@pytest.fixture
def restored():
    """The process's settings are put back after the test."""
    before = dataclasses.asdict(current_settings())
    yield
    configure(**before)


def test_defaults():
    assert current_settings() == Settings()
    assert current_settings().max_scratch_bytes <= 32 * MIB
    assert current_settings().precision == "high"


def test_a_block_changes_and_restores():
    with settings(algorithm="naive", max_scratch_bytes=5) as inside:
        assert inside == current_settings()
        assert (inside.algorithm, inside.max_scratch_bytes) == ("naive", 5)
    assert current_settings() == Settings()


def test_blocks_nest_and_only_change_what_they_name():
    with settings(algorithm="naive"):
        with settings(max_scratch_bytes=5):
            assert current_settings() == Settings(algorithm="naive", max_scratch_bytes=5)
            with settings(algorithm=None):
                assert current_settings() == Settings(max_scratch_bytes=5)
            assert current_settings().algorithm == "naive"
        assert current_settings() == Settings(algorithm="naive")
    assert current_settings() == Settings()


def test_a_block_restores_after_an_error():
    with pytest.raises(ZeroDivisionError), settings(algorithm="naive"):
        raise ZeroDivisionError
    assert current_settings() == Settings()


def test_a_refused_block_changes_nothing():
    with settings(algorithm="naive"):
        with pytest.raises(ParameterError), settings(max_scratch_bytes=7, algorithm="nonsense"):
            pass
        assert current_settings() == Settings(algorithm="naive")


def test_it_works_as_a_decorator():
    @settings(algorithm="naive")
    def inside():
        return current_settings().algorithm

    assert [inside(), inside()] == ["naive", "naive"]
    assert current_settings().algorithm is None


def test_threads_do_not_see_each_other():
    entered, checked, seen = threading.Barrier(2), threading.Barrier(2), {}

    def work(name):
        with settings(algorithm=name):
            entered.wait(30)
            seen[name] = current_settings().algorithm
            checked.wait(30)

    workers = [threading.Thread(target=work, args=(name,)) for name in ("naive", "im2col_gemm")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert seen == {"naive": "naive", "im2col_gemm": "im2col_gemm"}


def test_a_new_thread_starts_from_the_process():
    seen = []
    with settings(algorithm="naive"):
        worker = threading.Thread(target=lambda: seen.append(current_settings().algorithm))
        worker.start()
        worker.join(30)
    assert seen == [None]


def test_a_copied_context_carries_them():
    with settings(algorithm="naive"):
        context = contextvars.copy_context()
    assert context.run(lambda: current_settings().algorithm) == "naive"
    assert current_settings().algorithm is None


def test_tasks_do_not_see_each_other():
    async def one(name, turn, other):
        with settings(algorithm=name):
            turn.set()
            await other.wait()
            return current_settings().algorithm

    async def both():
        first, second = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(one("naive", first, second), one("im2col_gemm", second, first))

    assert asyncio.run(both()) == ["naive", "im2col_gemm"]


@pytest.mark.usefixtures("restored")
def test_configure_is_for_every_thread():
    assert configure(max_scratch_bytes=9) == Settings(max_scratch_bytes=9)
    seen = []
    worker = threading.Thread(target=lambda: seen.append(current_settings().max_scratch_bytes))
    worker.start()
    worker.join(30)
    assert seen == [9]


@pytest.mark.usefixtures("restored")
def test_a_block_sees_what_is_configured_inside_it():
    with settings(algorithm="naive"):
        configure(max_scratch_bytes=9)
        assert current_settings() == Settings(algorithm="naive", max_scratch_bytes=9)
        configure(algorithm="im2col_gemm")
        assert current_settings().algorithm == "naive"
    assert current_settings() == Settings(algorithm="im2col_gemm", max_scratch_bytes=9)


@pytest.mark.usefixtures("restored")
def test_configure_accepts_all_its_settings_back():
    configure(**dataclasses.asdict(Settings(algorithm="naive", max_scratch_bytes=1)))
    assert configure(**dataclasses.asdict(Settings())) == Settings()


def applied(change, changes):
    if change is configure:
        configure(**changes)
    else:
        with settings(**changes):
            pass


@pytest.mark.parametrize("change", [settings, configure])
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("threads", 0, "threads: .*at least 1, got 0"),
        ("threads", 1.5, "threads: expected an integer, got 1.5"),
        ("threads", True, "threads"),
        ("threads", "2", "threads"),
        ("max_scratch_bytes", -1, "max_scratch_bytes: .*at least 0, got -1"),
        ("max_scratch_bytes", None, "max_scratch_bytes"),
        ("max_scratch_bytes", 1e6, "max_scratch_bytes"),
        ("max_scratch_bytes", float("nan"), "max_scratch_bytes"),
        ("algorithm", "quick", "algorithm: .*naive.*got 'quick'"),
        ("algorithm", "", "algorithm"),
        ("algorithm", 3, "algorithm"),
        ("precision", "low", "precision: .*high.*fast.*got 'low'"),
        ("precision", None, "precision"),
        ("speed", 3, "settings: unknown setting 'speed'; .*max_scratch_bytes"),
    ],
    ids=lambda value: repr(value) if not callable(value) else value.__name__,
)
def test_bad_values_are_refused_by_name(change, name, value, words):
    with pytest.raises(ParameterError, match=words):
        applied(change, {name: value})
    assert current_settings() == Settings()


@pytest.mark.parametrize("value", [np.int64(2), 2, np.uint8(2)], ids=repr)
def test_numpy_integers_are_integers(value):
    with settings(max_scratch_bytes=value, threads=value) as inside:
        assert type(inside.max_scratch_bytes) is int
        assert (inside.max_scratch_bytes, inside.threads) == (2, 2)


@pytest.mark.parametrize("precision", ["high", "fast"])
def test_precision_is_passed_on(precision):
    with settings(precision=precision) as inside:
        assert inside.precision == precision


def test_public_names_are_these():
    assert fastconv.settings is settings
    assert fastconv.configure is configure


def test_without_compiled_algorithms_all_is_numpys():
    shapes = ((9, 3, 4, 4), (2, 3, 3, 3))
    with settings(compiled=False):
        plan = fastconv.explain("conv2d", *shapes)
        assert plan.algorithm == "im2col_gemm"
        for name in ("naive", "implicit_gemm", "channel_vectors"):
            assert plan.refusals[name] == "settings ask for NumPy alone"
        assert fastconv.conv2d(np.ones((0, 3, 4, 4)), np.ones((2, 3, 3, 3))).shape == (0, 2, 2, 2)
    assert fastconv.explain("conv2d", *shapes).algorithm != "im2col_gemm"
    with pytest.raises(ParameterError, match="compiled"), settings(compiled="no"):
        pass
