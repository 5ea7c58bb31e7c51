import json

import pytest

import fastconv
from fastconv.cli.contenders import PEERS
from tests.cli.bugs import break_algorithm
from tests.cli.conftest import one_line

pytest.importorskip("threadpoolctl")
QUICK = ("bench", "--seconds-per-layer", "0.02")
SMALL = (*QUICK, "--layers", "lenet.conv2$")


def test_table(command):
    code, out, err = command(*SMALL)
    assert (code, err) == (0, "")
    for word in ("lenet.conv2", "reference", "engine", "GFLOP/s", "ratio", "scratch"):
        assert word in out
    assert "view ms" in out
    assert "geometric mean; layers: 1;" in out
    assert "PyTorch" not in out


@pytest.mark.parametrize("direction", ["input", "weight"])
def test_gradients(command, direction):
    code, out, _ = command(*SMALL, "--direction", direction, "--threads", "2")
    assert code == 0
    assert f"{direction}, float32, threads: 2" in out
    assert "window" not in out  # it does forward only


def test_pools_without_the_reference(command):
    code, out, _ = command(*QUICK, "--direction", "pool", "--layers", "lenet", "--no-reference")
    assert code == 0
    assert "GB/s" in out
    assert "reference" not in out
    assert "window view: " in out


@pytest.mark.parametrize("layer", ["alexnet", "lenet"])
def test_gradients_of_pools(command, layer):
    found = [peer.name for peer in PEERS if peer.available() and peer.name == "PyTorch"]
    chosen = ("--direction", "pool-backward", "--layers", layer, "--peers", "--no-reference")
    code, out, _ = command(*QUICK, *chosen)
    assert code == 0
    assert "GB/s" in out
    for name in found:
        assert f"{name}: " in out


@pytest.mark.parametrize("direction", ["unfold", "fold"])
def test_columns(command, direction):
    code, out, _ = command(*SMALL, "--direction", direction)
    assert code == 0
    assert "GB/s" in out
    assert "pure NumPy: " in out


def test_json(command, tmp_path):
    path = tmp_path / "new" / "bench.json"
    assert command(*SMALL, "--json", path)[0] == 0
    content = json.loads(path.read_text())
    assert content["direction"] == "forward"
    assert content["threads"] == 1
    assert content["date"].startswith("20")
    assert content["machine"]["packages"]["numpy"]
    (record,) = content["layers"]
    assert record["layer"] == "lenet.conv2"
    assert set(record["seconds"]) == {"reference", "engine", "pure NumPy", "window view"}


def test_plot(command, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "ratios.png"
    assert command(*SMALL, "--plot", path)[0] == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def test_peers_that_are_missing_are_said_to_be(command, monkeypatch):
    for peer in PEERS:
        monkeypatch.setattr(type(peer), "available", lambda self: False)
    code, out, _ = command(*SMALL, "--peers")
    assert code == 0
    assert "PyTorch not installed, ONNX Runtime not installed" in out


def test_peers(command):
    found = [peer.name for peer in PEERS if peer.available()]
    code, out, _ = command(*SMALL, "--peers")
    assert code == 0
    for name in found:
        assert f"{name} found" in out
        assert f"{name}: " in out  # the line of its mean
    assert "prepared" in out
    assert ("best peer: " in out) == bool(found)


def test_threads_are_set_back(command):
    from fastconv.plan import current_settings

    before = current_settings()
    assert command(*SMALL, "--threads", "2")[0] == 0
    assert current_settings() == before


def test_a_wrong_prepared_result_is_noticed(command, monkeypatch):
    from fastconv import PreparedConv

    call = PreparedConv.__call__
    monkeypatch.setattr(PreparedConv, "__call__", lambda self, x: call(self, x) + 1)
    assert command(*SMALL, "--roofline")[0] == 1


def test_a_wrong_result_is_exit_code_1(command, monkeypatch):
    def wrong(problem, inputs, outputs):
        outputs[0][...] += 1

    planned = fastconv.explain("conv2d", (1, 6, 14, 14), (16, 6, 5, 5)).algorithm
    break_algorithm(monkeypatch, planned, wrong)
    code, out, _ = command(*SMALL)
    assert code == 1
    assert "differ by more than rounding: lenet.conv2" in out


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_unwritable_files_are_found_out_first(command, below_a_file, monkeypatch, option):
    monkeypatch.setattr("fastconv.cli.bench.race", lambda *_: pytest.fail("too late"))
    code, out, err = command(*SMALL, option, below_a_file / "x.png")
    assert (code, out) == (2, "")
    assert one_line(err)
    assert "cannot write" in err


def test_without_matplotlib_no_plot(command, missing, tmp_path):
    missing("matplotlib")
    code, _, err = command(*SMALL, "--plot", tmp_path / "x.png")
    assert code == 2
    assert one_line(err)
    assert "pip install fastconv[demo]" in err


@pytest.mark.parametrize("pattern", ["[", "no such layer"])
def test_patterns_that_make_no_sense(command, pattern):
    code, _, err = command("bench", "--layers", pattern)
    assert code == 2
    assert one_line(err)
