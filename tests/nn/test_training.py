import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from fastconv import nn
from fastconv.errors import ParameterError, ShapeError, StateError
from fastconv.nn import checkpoint, trainer
from tests.helpers import same

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 1, 6, 6)).astype(np.float32)
TARGET = (X.mean((1, 2, 3)) > 0).astype(int)
DATA, CHECKED = (X[:40], TARGET[:40]), (X[40:], TARGET[40:])


def model_of(seed=0):
    rng = np.random.default_rng(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, activation="relu", rng=rng),
        nn.BatchNorm2d(4),
        nn.MaxPool2d(2),
        nn.Dropout(0.3, rng=rng),
        nn.Flatten(),
        nn.Linear(16, 2, rng=rng),
    )


def noisy(x, rng):
    return x + np.float32(0.1) * rng.standard_normal(x.shape, np.float32)


def train(model, optimiser=None, **options):
    optimiser = optimiser or nn.Adam(model, 0.01)
    usual = {"epochs": 5, "batch_size": 16, "rng": 1, "transform": noisy, "progress": False}
    return nn.fit(model, DATA, CHECKED, optimiser=optimiser, **{**usual, **options})


def results(history):
    return [{k: v for k, v in row.items() if k != trainer.SECONDS} for row in history.epochs]


def test_training_learns_and_tells_every_epoch():
    told = []
    model = model_of()
    found = train(model, epochs=30, on_epoch=lambda number, row: told.append((number, row)))
    assert set(found.epochs[0]) == {
        *("loss", "accuracy", "validation_loss", "validation_accuracy", "seconds"),
    }
    assert found.epochs[-1]["loss"] < 0.6 * found.epochs[0]["loss"]
    assert [number for number, _ in told] == list(range(30))
    assert told[-1][1] == found.epochs[-1]
    assert not model.training
    row = nn.evaluate(model, CHECKED)
    assert row["loss"] == pytest.approx(found.epochs[-1]["validation_loss"], rel=1e-6)


def test_equal_seeds_train_equal_models():
    first, second = model_of(), model_of()
    assert results(train(first)) == results(train(second))
    for name, array in first.state_dict().items():
        same(array, second.state_dict()[name])
    other = model_of()
    assert results(train(other, rng=2)) != results(train(model_of()))


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 2, 3, 5, 7, 14])
@pytest.mark.parametrize("make", [nn.Adam, lambda m: nn.SGD(m, 0.1, 0.9, nesterov=True)])
def test_training_resumes_to_the_same_bits(tmp_path, monkeypatch, stop, make):
    """Three batches an epoch and a checkpoint after each; what starts again knows nothing else."""
    options = {
        "checkpoint": tmp_path / "point.npz",
        "checkpoint_every": 1,
        "schedule": lambda epoch: 0.01 / (1 + epoch),
        "patience": 5,
        "restore_best": True,
    }
    whole = model_of()
    expected = train(whole, make(whole), **{**options, "checkpoint": None})
    half, steps = model_of(), []
    own = trainer.Trainer._step

    def step(self, *arguments):
        if len(steps) == stop:
            raise Interrupted
        steps.append(own(self, *arguments))

    monkeypatch.setattr(trainer.Trainer, "_step", step)
    with pytest.raises(Interrupted):
        train(half, make(half), **options)
    monkeypatch.undo()
    again = model_of(seed=9)  # nothing of it may matter
    found = train(again, make(again), **options, rng=77)
    assert results(found) == results(expected)
    assert found.best_epoch == expected.best_epoch
    for name, array in whole.state_dict().items():
        same(again.state_dict()[name], array)
    assert [p.name for p in tmp_path.iterdir()] == ["point.npz"]


KILLED = """
import os, signal, sys
import numpy as np
from fastconv import nn
rng = np.random.default_rng(0)
x = rng.standard_normal((64, 12)).astype(np.float32)
first, last = nn.Linear(12, 8, activation="relu", rng=0), nn.Linear(8, 2, rng=2)
model = nn.Sequential(first, nn.Dropout(rng=1), last)
def kill(inputs, rng):
    kill.steps += 1
    if kill.steps == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return inputs
kill.steps = 0
found = nn.fit(model, (x, (x[:, 0] > 0).astype(int)), optimiser=nn.Adam(model), epochs=4, rng=5,
               batch_size=16, transform=kill, checkpoint=sys.argv[1] or None, checkpoint_every=1)
print([array.tobytes().hex() for array in model.state_dict().values()], found.epochs[-1]["loss"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_a_process_that_was_killed_goes_on_to_the_same_bits(tmp_path):
    def run(path, steps):
        arguments = [sys.executable, "-c", KILLED, str(path), str(steps)]
        return subprocess.run(arguments, capture_output=True, text=True, check=False)

    whole = run("", 0)
    assert whole.returncode == 0, whole.stderr
    killed = run(tmp_path / "point.npz", 7)
    assert killed.returncode == -signal.SIGKILL
    resumed = run(tmp_path / "point.npz", 0)
    assert resumed.stdout == whole.stdout != ""


def test_training_that_has_ended_goes_on_for_more_epochs(tmp_path):
    whole, parts = model_of(), model_of()
    expected = train(whole, epochs=5)
    path = tmp_path / "point.npz"
    train(parts, epochs=2, checkpoint=path)
    again = model_of(3)
    found = train(again, epochs=5, checkpoint=path)
    assert results(found) == results(expected)
    same(again[5].weight, whole[5].weight)
    train(model_of(4), epochs=5, checkpoint=path)


@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_any_generator_is_kept(tmp_path, kind):
    rng = np.random.Generator(kind(3))
    saved = json.loads(json.dumps(checkpoint.generator_state(rng)))
    expected = rng.random(5)
    other = np.random.Generator(kind(4))
    checkpoint.restore_generator(other, saved)
    same(other.random(5), expected)
    with pytest.raises(StateError, match="PCG64"):
        checkpoint.restore_generator(np.random.default_rng(0), saved)


def test_a_write_that_fails_leaves_the_checkpoint_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "point.npz"
    train(model_of(), epochs=1, checkpoint=path)
    before = path.read_bytes()

    def fails(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(OSError, match="no space"):
        train(model_of(), epochs=2, checkpoint=path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_checkpoints_of_other_training_are_refused_and_change_nothing(tmp_path):
    path = tmp_path / "point.npz"
    train(model_of(), epochs=1, checkpoint=path)
    model = model_of(5)
    before = model.state_dict()
    with pytest.raises(StateError, match="other arguments: size 16, not 8"):
        train(model, checkpoint=path, batch_size=8)
    with pytest.raises(StateError, match="optimiser"):
        train(model, nn.SGD(model), checkpoint=path)
    for name, array in before.items():
        same(model.state_dict()[name], array)
    plain = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    with pytest.raises(StateError, match="other generators"):
        train(plain, checkpoint=path)
    other = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(36, 2))
    with pytest.raises(StateError):
        train(other, checkpoint=path)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(StateError, match=r"no \.npz file"):
        train(model, checkpoint=path)
    model.save(path)
    with pytest.raises(StateError, match="no checkpoint"):
        train(model, checkpoint=path)


def test_patience_ends_training_and_the_best_parameters_return():
    rates = [0.05, 0.05, 0.05, 5.0, 5.0, 5.0, 5.0, 5.0]
    kept = {}
    model = model_of()

    def keep(number, row):
        kept[number] = (model.state_dict(), row)

    found = train(
        model,
        nn.SGD(model),
        epochs=8,
        schedule=lambda e: rates[e],
        patience=2,
        restore_best=True,
        on_epoch=keep,
    )
    assert found.stopped_early
    best = found.best_epoch
    assert len(found.epochs) == best + 3 < 8
    values = [row["validation_loss"] for row in found.epochs]
    assert values[best] == min(values)
    for name, array in kept[best][0].items():
        same(model.state_dict()[name], array)
    model = model_of()
    found = train(model, monitor="validation_accuracy")
    values = [row["validation_accuracy"] for row in found.epochs]
    assert values[found.best_epoch] == max(values)


def test_other_losses_and_metrics():
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 1, rng=0))
    found = nn.fit(
        model,
        (X, TARGET),
        optimiser=nn.Adam(model, 0.02),
        loss=nn.binary_cross_entropy_with_logits,
        metrics={"right": nn.accuracy, "mean": lambda output, target: float(output.mean())},
        epochs=40,
        rng=0,
        drop_last=True,
        progress=False,
    )
    assert set(found.epochs[0]) == {"loss", "right", "mean", "seconds"}
    assert found.epochs[-1]["right"] > 0.95
    assert nn.predict(model, X, batch_size=7).shape == (50, 1)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"batch_size": 0}, ParameterError, "batch_size"),
        ({"batch_size": 41, "drop_last": True}, ParameterError, "leaves no batch of 40 samples"),
        ({"monitor": "lost"}, ParameterError, "monitor: .*validation_accuracy.*'lost'"),
        ({"epochs": -1}, ParameterError, "epochs"),
        ({"patience": 0}, ParameterError, "patience"),
        ({"checkpoint_every": 0}, ParameterError, "checkpoint_every"),
        ({"optimiser": nn.SGD(nn.ReLU())}, ParameterError, "one of another"),
    ],
)
def test_mistakes_are_named(options, error, words):
    with pytest.raises(error, match=words):
        train(model_of(), **options)


def test_data_of_different_lengths_are_refused():
    model = model_of()
    with pytest.raises(ShapeError, match=r"data: .*\(40, 1, 6, 6\) and \(50,\)"):
        nn.fit(model, (DATA[0], TARGET), optimiser=nn.SGD(model))
    with pytest.raises(ParameterError, match="data: expected"):
        nn.fit(model, X, optimiser=nn.SGD(model))
    with pytest.raises(ShapeError, match="validation"):
        nn.fit(model, DATA, (X[:0], TARGET[:0]), optimiser=nn.SGD(model))


def test_a_step_needs_gradients():
    with pytest.raises(StateError, match="call backward first"):
        nn.SGD(nn.Linear(2, 1)).step()
    for options in ({"lr": -1}, {"momentum": -1}, {"nesterov": True}, {"lr": float("nan")}):
        with pytest.raises(ParameterError):
            nn.SGD(nn.Linear(2, 1), **options)
    with pytest.raises(ParameterError, match="betas"):
        nn.Adam(nn.Linear(2, 1), betas=(0.9, 1))
