import threading
import time

import numpy as np
import pytest

from fastconv import Problem
from fastconv.cli.contenders import ENGINE, PREPARED, REFERENCE, WINDOW_VIEW
from fastconv.cli.layers import Layer, layers
from fastconv.cli.race import inputs_of, moved_bytes, race, relative_error, settle

CONV = Layer("tiny", Problem.parse("conv forward x=1x2x8x8 w=3x2x3x3 p=1 float32"))
GRADIENT = Layer("tiny", Problem.parse("conv input_gradient x=1x2x8x8 w=3x2x3x3 float32"))
POOL = Layer("tiny", Problem.parse("max_pool forward x=1x2x8x8 k=2x2 s=2 float32"))
OWN = (REFERENCE, WINDOW_VIEW, ENGINE)


class Fake:
    """A contender that sleeps, and returns the engine's result changed by `change`."""

    def __init__(self, name, seconds=0.0, change=0.0):
        self.name, self.seconds, self.change, self.calls = name, seconds, change, 0

    def available(self):
        return True

    def rejects(self, problem):
        return None

    def prepare(self, problem, inputs, threads=1):
        result = ENGINE.prepare(problem, inputs)() + np.float32(self.change)

        def call():
            self.calls += 1
            time.sleep(self.seconds)
            return result

        return call


@pytest.mark.parametrize("layer", [CONV, POOL], ids=lambda layer: layer.problem.operation)
def test_all_take_part_and_agree(layer):
    outcome = race(layer, OWN, seconds=0.02)
    assert set(outcome.seconds) == {"reference", "window view", "engine"}
    assert set(outcome.errors) == {"window view", "engine"}
    assert outcome.agrees
    assert outcome.ratio("reference") == pytest.approx(
        outcome.seconds["reference"] / outcome.seconds["engine"]
    )
    assert outcome.ratio("PyTorch") is None
    assert outcome.gigaflops > 0
    assert outcome.gigabytes > 0


def test_who_rejects_does_not_take_part():
    outcome = race(GRADIENT, OWN, seconds=0.02)
    assert set(outcome.seconds) == {"reference", "engine"}


def test_alone_there_is_nothing_to_compare_with():
    outcome = race(GRADIENT, (WINDOW_VIEW, ENGINE), seconds=0.02)
    assert outcome.agrees
    assert outcome.errors == {}


def test_a_wrong_engine_is_noticed():
    outcome = race(CONV, (Fake("judge", change=1e-2), ENGINE), seconds=0.02)
    assert not outcome.agrees
    assert outcome.errors["engine"] > 1e-4


def test_the_prepared_engine_is_compared_too():
    outcome = race(CONV, (*OWN, PREPARED), seconds=0.02)
    assert outcome.agrees
    assert set(outcome.errors) == {"window view", "engine", "engine prepared"}
    assert outcome.ratio("engine prepared") > 0
    assert outcome.peer_ratio is None


def test_a_slow_contender_runs_once_and_a_fast_one_often():
    slow, fast = Fake("slow", 0.05), Fake("fast", 0.001)
    outcome = race(CONV, (slow, fast, ENGINE), seconds=0.04)
    assert slow.calls == 1
    assert fast.calls > 3
    assert outcome.seconds["slow"] >= 0.05
    assert outcome.seconds["fast"] < 0.05


def test_a_first_call_that_compiled_is_not_what_counts():
    class Compiling(Fake):
        def prepare(self, problem, inputs, threads=1):
            call = super().prepare(problem, inputs, threads)

            def compiled():
                self.seconds = 0.2 if self.calls == 0 else 0.0
                return call()

            return compiled

    outcome = race(CONV, (REFERENCE, Compiling("engine")), seconds=0.02)
    assert outcome.seconds["engine"] < 0.1


def test_the_record_has_every_number():
    record = race(CONV, OWN, seconds=0.02).record()
    assert record["problem"] == str(CONV.problem)
    assert record["flops"] == CONV.problem.flops
    assert set(record["ratios"]) == {"reference", "window view"}
    assert record["bytes"] == moved_bytes(CONV.problem) == 4 * (128 + 192)


@pytest.mark.parametrize(("name", "overlap"), [("resnet50", True), ("vgg16", False)])
def test_the_gradient_of_a_maximum_goes_where_its_pool_found_it(name, overlap):
    """Windows that overlap share places, which data made up for a scatter would not."""
    (layer,) = layers("pool-backward", name)
    values, places = inputs_of(layer)
    assert values.shape == places.shape == layer.problem.scatter.output_shape
    one = places[0, 0].ravel()
    assert (len(set(one.tolist())) < one.size) == overlap


def test_relative_error():
    expected = np.array([1.0, -4.0])
    assert relative_error(np.array([1.0, -3.0]), expected) == 0.25
    assert relative_error(np.array([0.5]), np.array([0.0])) == 0.5
    assert relative_error(np.empty(0), np.empty(0)) == 0


def test_a_turn_waits_for_threads_that_still_spin():
    end = time.perf_counter() + 0.03

    def spin():
        while time.perf_counter() < end:
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    settle()
    assert time.perf_counter() >= end
    thread.join()


def test_a_thread_that_never_rests_is_not_waited_for():
    done = threading.Event()
    thread = threading.Thread(target=lambda: [None for _ in iter(done.is_set, True)])
    thread.start()
    start = time.perf_counter()
    settle()
    assert time.perf_counter() - start < 5
    done.set()
    thread.join()
