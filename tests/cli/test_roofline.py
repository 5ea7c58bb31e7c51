import json

import numpy as np
import pytest

from fastconv.cli import roofline
from fastconv.cli.contenders import ENGINE, PREPARED
from fastconv.cli.layers import Layer
from fastconv.cli.race import Outcome
from fastconv.problem import Problem
from tests.cli.conftest import one_line

pytest.importorskip("numba")
pytest.importorskip("threadpoolctl")
RUN = ("bench", "--seconds-per-layer", "0.02", "--no-reference", "--roofline")


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(roofline, "SECONDS", 0.01)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_peak_is_some_gigaflops(dtype, threads):
    assert 1e8 < roofline.peak(np.dtype(dtype), threads) < 1e13


def test_the_tile_is_computed_each_time():
    run, flops = roofline._work(np.dtype(np.float32))
    run()
    assert 0.5 * roofline.CALL_FLOPS < flops <= roofline.CALL_FLOPS


def test_the_table_and_the_numbers(command, tmp_path):
    path = tmp_path / "bench.json"
    code, out, err = command(*RUN, "--layers", "lenet.conv2$", "--json", path)
    assert (code, err) == (0, "")
    assert "prepared" in out
    assert "peak" in out
    assert "micro-kernel from the nearest cache: " in out
    content = json.loads(path.read_text())
    (record,) = content["layers"]
    fastest = min(record["seconds"][name] for name in (ENGINE.name, PREPARED.name))
    expected = record["flops"] / fastest / content["peak_flop_per_s"]
    assert record["share_of_peak"] == pytest.approx(expected)


def test_the_plot(command, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    drawn = []
    from fastconv.cli import plot

    draw = plot.draw_shares
    monkeypatch.setattr(plot, "draw_shares", lambda *a: (drawn.append(a[1]), draw(*a)))
    path = tmp_path / "shares.png"
    assert command(*RUN, "--layers", "lenet.conv2$", "--plot", path)[0] == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    assert len(drawn) == 1


def test_gradients_have_a_share_too(command):
    code, out, _ = command(*RUN, "--layers", "lenet.conv2$", "--direction", "input")
    assert code == 0
    assert "peak" in out
    assert "prepared" not in out


def test_pools_have_none(command):
    code, out, err = command(*RUN, "--direction", "pool")
    assert (code, out) == (2, "")
    assert one_line(err)
    assert "no multiplications" in err


def test_without_numba(monkeypatch):
    monkeypatch.setattr(roofline, "numba_installed", lambda: False)
    with pytest.raises(ImportError, match="pip install numba"):
        roofline.peak(np.dtype(np.float32))


def test_shares_and_ratios_of_an_outcome():
    layer = Layer("x", Problem.parse("conv forward x=1x1x4 w=1x1x1 float32"))
    seconds = {"engine": 4.0, "engine prepared": 2.0, "PyTorch": 3.0, "ONNX Runtime": 5.0}
    outcome = Outcome(layer, "naive", 0, seconds, {}, True, peak=8.0)
    assert outcome.share_of_peak == layer.problem.flops / 2 / 8
    assert outcome.peer_ratio == 1.5
    assert outcome.record()["best_peer_to_ours"] == 1.5
    alone = Outcome(layer, "naive", 0, {"engine": 4.0}, {}, True)
    assert alone.share_of_peak is None
    assert alone.peer_ratio is None
