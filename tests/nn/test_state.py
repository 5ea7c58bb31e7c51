import numpy as np
import pytest

from fastconv import nn
from fastconv.errors import DtypeError, ShapeError, StateError
from fastconv.nn import state
from tests.helpers import same


def test_models_are_saved_and_loaded(tmp_path):
    path = tmp_path / "model.npz"
    first = nn.SmallResNet(3, 1, (2, 4), rng=0)
    first(np.random.default_rng(0).standard_normal((4, 1, 8, 8)).astype(np.float32))
    first.save(path)
    second = nn.SmallResNet(3, 1, (2, 4), rng=1).load(str(path))
    assert list(first.state_dict()) == list(second.state_dict())
    for name, array in first.state_dict().items():
        same(second.state_dict()[name], array)
    with np.load(path) as file:  # any program can read it
        same(file["fc.bias"], first["fc"].bias)


def test_a_state_is_a_copy_and_parameters_are_live():
    model = nn.Linear(2, 1, rng=0)
    saved = model.state_dict()
    model.parameters()["weight"][...] = 7
    assert (model.weight == 7).all()
    assert not (saved["weight"] == 7).any()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda s: s.pop("bias"), StateError, r"missing \['bias'\], unknown nothing"),
        (lambda s: s.update(more=1), StateError, r"missing nothing, unknown \['more'\]"),
        (
            lambda s: s.update(weight=np.ones((3, 1))),
            ShapeError,
            r"weight: expected shape \(1, 3\), got \(3, 1\)",
        ),
        (lambda s: s.update(weight=np.ones((1, 3), complex)), DtypeError, "weight: .*complex128"),
        (lambda s: s.update(weight=np.array([["a"] * 3])), DtypeError, "weight: "),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path, change, error, words):
    model = nn.Linear(3, 1, rng=0)
    before = saved = model.state_dict()
    saved = {name: array + 1 for name, array in before.items()}
    change(saved)
    with pytest.raises(error, match=words):
        model.load_state_dict(saved)
    path = tmp_path / "model.npz"
    np.savez(path, **saved)
    with pytest.raises(error, match=words):
        model.load(path)
    for name, array in before.items():
        same(model.state_dict()[name], array)


def test_nothing_is_unpickled(tmp_path):
    class Evil:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    path = tmp_path / "model.npz"
    np.savez(path, weight=np.array([Evil()], object), bias=np.zeros(1))
    with pytest.raises(StateError, match="plain arrays"):
        nn.Linear(1, 1).load(path)
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        state.write(path, {"a": np.array([Evil()], object)})


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 broken", None])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "model.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StateError, match="path: "):
        nn.Linear(1, 1).load(path)
    with pytest.raises(StateError, match=r"is a folder|is no"):
        nn.Linear(1, 1).load(tmp_path)
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(StateError, match="one array"):
        nn.Linear(1, 1).load(tmp_path / "one.npy")


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "model.npz"
    model = nn.Linear(30, 30, rng=0)
    model.save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(StateError, match="CRC"):
        model.load(path)


def test_optimisers_are_saved_and_loaded():
    model = nn.Linear(2, 1, rng=0)
    optimiser = nn.Adam(model, 0.1)
    model(np.ones((1, 2), np.float32))
    model.backward(np.ones((1, 1), np.float32))
    optimiser.step()
    saved = optimiser.state_dict()
    assert set(saved) == {
        *("steps", "mean.weight", "mean.bias", "square.weight", "square.bias"),
    }
    other = nn.Adam(model, 0.1)
    other.load_state_dict(saved)
    for name, array in saved.items():
        same(other.state_dict()[name], array)
    with pytest.raises(StateError, match=r"momentum\.weight"):
        other.load_state_dict({**saved, "momentum.weight": np.zeros((1, 2))})
    with pytest.raises(ShapeError, match=r"mean\.weight"):
        other.load_state_dict({**saved, "mean.weight": np.zeros((2, 2))})
