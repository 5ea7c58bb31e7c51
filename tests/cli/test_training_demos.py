"""`fastconv demo lenet`, `demo two-class`, and `predict`."""

import re

import numpy as np
import pytest

from fastconv import nn
from fastconv.cli import digits, predict, saved_model
from fastconv.cli.demos import lenet, two_class
from fastconv.cli.engines import Engine, on
from fastconv.errors import ParameterError, StateError
from tests.cli.conftest import one_line
from tests.cli.test_idx import content_of, images_of
from tests.helpers import same

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")
Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def quick(monkeypatch):
    """Engines are timed by two steps."""
    monkeypatch.setattr("fastconv.cli.epochs.SECONDS", 0.0)


@pytest.fixture
def few(monkeypatch):
    """A tenth of scikit-learn's digits."""
    load = digits.load

    def some(folder, seed=0):
        found = load(folder, seed)
        arrays = (found.images, found.labels, found.test_images, found.test_labels)
        return digits.Digits(found.name, *(array[::10] for array in arrays))

    monkeypatch.setattr(digits, "load", some)


def accuracies(out):
    return [float(found) for found in re.findall(r"│ +(\d\.\d{4}) │ +\d+\.\d\d │$", out, re.M)]


def written(folder, stem):
    for name in ("curves", "filters", "confusion"):
        with Image.open(folder / f"{stem}-{name}.png") as image:
            image.load()
            assert min(image.size) > 100
    return folder / f"{stem}.npz"


def test_lenet_trains_shows_and_saves(command, tmp_path, quick, few):
    options = ("--epochs", "6", "--output", tmp_path, "--batch-size", 16)
    code, out, err = command("demo", "lenet", *options)
    assert (code, err) == (0, "")
    found = accuracies(out)
    assert len(found) == 6
    assert found[-1] > 0.6
    assert all(f"│ {engine.value} " in out for engine in Engine)
    model, sight = saved_model.load(written(tmp_path, "lenet"))
    assert sight.classes == tuple("0123456789")
    images, labels = digits.load(None).test_images, digits.load(None).test_labels
    right = nn.evaluate(model, (sight.inputs(images), labels))["accuracy"]
    assert right == pytest.approx(found[-1], abs=1e-4)


def test_lenet_goes_on_from_its_checkpoint(command, tmp_path, quick, few, monkeypatch):
    monkeypatch.setattr(lenet, "_draw", lambda *arguments: None)  # as the other test shows
    options = ("--epochs", "2", "--output", tmp_path)
    code, _, err = command("demo", "lenet", "--resume", *options)
    assert code == 2
    assert one_line(err)
    assert "resume: there is no checkpoint" in err
    calls = []
    own = nn.training.Trainer._step

    def interrupted(self, *arguments):
        calls.append(own(self, *arguments))
        if len(calls) == 7:  # in the second epoch
            raise ParameterError("interrupted")

    monkeypatch.setattr(nn.training.Trainer, "_step", interrupted)
    assert command("demo", "lenet", *options)[0] == 2
    monkeypatch.setattr(nn.training.Trainer, "_step", own)
    assert command("demo", "lenet", "--resume", *options)[0] == 0
    resumed = nn.state.read(tmp_path / "lenet.npz")
    assert command("demo", "lenet", *options)[0] == 0
    for name, array in nn.state.read(tmp_path / "lenet.npz").items():
        same(array, resumed[name])


@pytest.mark.parametrize("engine", ["reference", "numpy"])
def test_two_class_trains_every_variant(command, tmp_path, quick, engine):
    options = ("--output", tmp_path, "--engine", engine, "--epochs", "2")
    code, out, err = command("demo", "two-class", *options)
    assert (code, err) == (0, "")
    assert len(accuracies(out)) == 2 * len(two_class.VARIANTS)
    for variant in two_class.VARIANTS:
        assert f"{variant.name}, engine {engine}" in out
    written(tmp_path, "two-class")


def test_two_class_reaches_what_is_published():
    """0.96 of the validation images in 5 epochs; less with the dense unit frozen."""
    found = digits.load(None).of_classes((3, 8))
    sight = saved_model.Sight("two-class", 8, 0.3, 0.37, ("3", "8"))
    train = (sight.inputs(found.images), found.labels)
    test = (sight.inputs(found.test_images), found.test_labels)
    last, kept = {}, {}
    for variant, model, history in two_class.trained(sight, train, test, 5, 0):
        last[variant.name] = history.epochs[-1]["validation_accuracy"]
        kept[variant.name] = model.state_dict()
        assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]
    start = saved_model.two_class(8, 1, 0).state_dict()
    assert last["image by image"] >= 0.96
    assert last["mini-batches of 16"] >= 0.96
    assert last["dense unit frozen"] < last["image by image"]
    same(kept["convolution frozen"]["conv.weight"], start["conv.weight"])
    same(kept["dense unit frozen"]["dense.weight"], start["dense.weight"])
    assert not np.array_equal(kept["dense unit frozen"]["conv.weight"], start["conv.weight"])


def test_engines_train_the_same():
    """The three ways to compute differ by rounding only."""
    found = {}
    for engine in Engine:
        model = nn.LeNet5(rng=0)
        x, target = images_of(8, 32).astype(np.float32)[:, np.newaxis] / 255, np.arange(8)
        with on(engine):
            nn.fit(model, (x, target), optimiser=nn.SGD(model, 0.1), batch_size=4, rng=0)
        found[engine] = model.state_dict()
    for engine in Engine:
        for name, array in found[Engine.REFERENCE].items():
            np.testing.assert_allclose(found[engine][name], array, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("text", ["3", "3,3", "3,x", "3,11", "1,2,3", "-1,2"])
def test_classes_that_are_not_two_are_refused(command, tmp_path, text):
    code, _, err = command("demo", "two-class", "--output", tmp_path, f"--classes={text}")
    assert code == 2
    assert "classes: expected two" in err


def test_data_that_are_not_there_are_refused(command, tmp_path):
    arguments = ("--output", tmp_path / "out", "--data", tmp_path)
    code, _, err = command("demo", lenet.NAME, *arguments)
    assert code == 2
    assert one_line(err)
    assert "data: " in err


def test_two_class_takes_idx_files(command, tmp_path, quick):
    for part, count in (("train", 20), ("t10k", 10)):
        images = content_of(images_of(count, 12))
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(images)
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(content_of(np.arange(count) % 10))
    arguments = ("--output", tmp_path / "out", "--data", tmp_path, "--filters", "3")
    code, out, err = command("demo", "two-class", *arguments, "--epochs", "1")
    assert (code, err) == (0, "")
    assert "4 to train, 2 to test" in out
    model, sight = saved_model.load(tmp_path / "out" / "two-class.npz")
    assert model["conv"].weight.shape == (3, 1, 3, 3)
    assert sight.side == 12


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A LeNet-5 that can read, in a file."""
    found = digits.load(None)
    seen = digits.enlarged(found.images)
    names = tuple("0123456789")
    sight = saved_model.Sight("lenet", 8, float(seen.mean()), float(seen.std()), names)
    model = nn.LeNet5(rng=0)
    train = (sight.inputs(found.images), found.labels)
    nn.fit(
        model,
        train,
        optimiser=nn.Adam(model, 0.002),
        epochs=4,
        rng=0,
        transform=digits.shifted,
        progress=False,
    )
    path = tmp_path_factory.mktemp("model") / "lenet.npz"
    saved_model.save(path, model, sight)
    return path


@pytest.mark.parametrize("dark", [True, False])
def test_predict_reads_images_of_any_size(command, tmp_path, reader, dark):
    found = digits.load(None)
    right = 0
    for number in range(10):
        place = int(np.flatnonzero(found.test_labels == number)[0])
        large = np.kron(np.pad(found.test_images[place], ((2, 9), (7, 1))), np.ones((5, 5)))
        pixels = (255 * (1 - large if dark else large)).astype(np.uint8)
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path)
        code, out, err = command("predict", reader, path)
        assert (code, err) == (0, "")
        right += f"This is a {number}." in out
    assert right >= 9


def test_predict_refuses_what_it_cannot_use(command, tmp_path, reader, picture):
    Image.fromarray(np.full((20, 20), 200, np.uint8)).save(tmp_path / "empty.png")
    nn.LeNet5().save(tmp_path / "plain.npz")
    for arguments, words in (
        ((reader, tmp_path / "empty.png"), "nothing is drawn"),
        ((reader, tmp_path / "none.png"), "cannot read"),
        ((tmp_path / "none.npz", picture), "there is no file"),
        ((tmp_path / "plain.npz", picture), "no model that fastconv demo saved"),
        ((picture, picture), "path: "),
    ):
        code, _, err = command("predict", *arguments)
        assert code == 2
        assert one_line(err)
        assert words in err


def test_a_saved_model_of_other_shapes_is_refused(tmp_path, reader):
    arrays = nn.state.read(reader)
    arrays["fc2.bias"] = np.zeros(3, np.float32)
    nn.state.write(tmp_path / "odd.npz", arrays)
    with pytest.raises(nn.state.ShapeError, match=r"fc2\.bias"):
        saved_model.load(tmp_path / "odd.npz")
    about = str(arrays["about"])
    for old, new in (('"side": 8', '"side": 9000'), ('"filters": 1', '"filters": 1000000')):
        assert old in about
        arrays["about"] = np.array(about.replace(old, new))
        nn.state.write(tmp_path / "odd.npz", arrays)
        with pytest.raises(ParameterError, match=r"model: .* says"):
            saved_model.load(tmp_path / "odd.npz")
    arrays["about"] = np.array('{"kind": "other", "classes": []}')
    nn.state.write(tmp_path / "odd.npz", arrays)
    with pytest.raises(StateError, match="no model"):
        saved_model.load(tmp_path / "odd.npz")


def test_probabilities_are_those_of_the_losses():
    sight = saved_model.Sight("lenet", 8, 0, 1, ("a", "b", "c"))
    outputs = np.array([1.0, -800.0, 2.0])
    value, _ = nn.softmax_cross_entropy(outputs[np.newaxis], [0])
    assert -np.log(sight.probabilities(outputs)[0]) == pytest.approx(value)
    sight = saved_model.Sight("two-class", 8, 0, 1, ("a", "b"))
    value, _ = nn.binary_cross_entropy_with_logits(np.array([3.0]), [1])
    assert -np.log(sight.probabilities(np.array([3.0]))[1]) == pytest.approx(value)
    assert predict.prepared(np.eye(9), 8).shape == (8, 8)
