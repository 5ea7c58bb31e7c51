"""Measures the training of LeNet-5 against PyTorch and the naive loops.

    .venv/bin/python -m benchmarks.training [--threads 2] [--images 60000] [--batch-size 128]
    .venv/bin/python -m benchmarks.training --steps    # only the steps, half a minute

An epoch over synthetic images 32x32 (random numbers: what they show does not change the time) is
cut into slices, which fastconv and PyTorch take in turns, each on a model and an optimiser of its
own, from the same parameters; their losses are compared first. Between the turns a pause lets the
other's threads stop looking out for work. The epoch's time is the sum of the slices; so is the
time by the best slice, which other programs disturbed least. The naive reference takes a step of
few images, the time of which is multiplied by how many such steps make the epoch: its loops know
neither caches nor vectors of samples, so that their time grows as the images do. Then come single
steps without the optimiser, with one thread and with two. Results go to
`benchmarks/results/training.json`, and as tables into the README.
"""

import argparse
import datetime
import itertools
import json
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from fastconv import nn
from fastconv.cli.console import significant, times
from fastconv.cli.contenders import own_threads
from fastconv.cli.extras import importable
from fastconv.cli.race import settle, turn
from fastconv.dtypes import Array

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parent.parent / "README.md"
SIDE, CLASSES, RATE, MOMENTUM = 32, 10, 0.01, 0.9
SLICES = 12
STEP_THREADS = (1, 2)
REFERENCE_IMAGES = 32
REFERENCE_SECONDS = 4.0
STEP_SECONDS = 2.0
"""Time of a contender's steps without the optimiser, for each number of threads."""
PAUSE = 0.15
"""Seconds between turns: OpenBLAS's threads look out for work for a tenth of a second."""
TUTORIAL_SECONDS = {
    "tutorial, naive": 4 * 3600,
    "tutorial, im2col": 6 * 60,
    "tutorial, PyTorch": 60,
}
"""What the tutorial that LeNet-5 comes from published for an epoch, on another machine."""
Step = Callable[[Array, Array], float]


def own_step(learns: bool = True) -> tuple[nn.Layer, Step]:
    """Return LeNet-5 on fastconv, and a step of training it, or one without the optimiser."""
    model = nn.LeNet5(rng=0)
    optimiser = nn.SGD(model, RATE, MOMENTUM)

    def step(x: Array, target: Array) -> float:
        value, gradient = nn.softmax_cross_entropy(model.forward(x), target)
        model.backward_parameters(gradient)
        if learns:
            optimiser.step()
        return value

    return model, step


def torch_step(state: dict[str, Any], learns: bool = True) -> Step:
    """Return a step of training the same model on PyTorch."""
    import torch
    from torch import nn as tnn

    layers = {
        "conv1": tnn.Conv2d(1, 6, 5),
        "a1": tnn.Tanh(),
        "p1": tnn.AvgPool2d(2),
        "conv2": tnn.Conv2d(6, 16, 5),
        "a2": tnn.Tanh(),
        "p2": tnn.AvgPool2d(2),
        "conv3": tnn.Conv2d(16, 120, 5),
        "a3": tnn.Tanh(),
        "flatten": tnn.Flatten(),
        "fc1": tnn.Linear(120, 84),
        "a4": tnn.Tanh(),
        "fc2": tnn.Linear(84, CLASSES),
    }
    model = tnn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    model.load_state_dict(nn.to_torch(state))
    optimiser = torch.optim.SGD(model.parameters(), RATE, MOMENTUM)

    def step(x: Array, target: Array) -> float:
        optimiser.zero_grad()
        loss = tnn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(target))
        loss.backward()
        if learns:
            optimiser.step()
        return float(loss.detach())

    return step


def measure(images: int, batch_size: int, threads: int) -> dict[str, Any]:
    """Return seconds of an epoch by each contender; the caller sets fastconv's threads."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((images, 1, SIDE, SIDE), np.float32)
    target = rng.integers(0, CLASSES, images)
    model, own = own_step()
    contenders: dict[str, Step] = {"fastconv": own}
    try:
        import torch
    except ImportError:
        pass
    else:
        torch.set_num_threads(threads)
        contenders["PyTorch"] = torch_step(model.state_dict())
    losses = {
        name: [step(x[:batch_size], target[:batch_size]) for _ in range(4)]
        for name, step in contenders.items()
    }
    for found in losses.values():
        np.testing.assert_allclose(found, losses["fastconv"], rtol=1e-3)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    bounds = np.linspace(0, images // batch_size, SLICES + 1).astype(int) * batch_size
    for first, last in itertools.pairwise(bounds):
        for name, step in contenders.items():
            time.sleep(PAUSE)
            seconds[name].append(_slice(step, x, target, int(first), int(last), batch_size))
    steps = np.diff(bounds) / batch_size
    rows = {
        name: {
            "epoch": float(sum(taken)) * images / float(bounds[-1]),
            "by the best slice": float(np.min(taken / steps)) * images / batch_size,
        }
        for name, taken in seconds.items()
    }
    rows["naive reference"] = {"epoch": _reference(x, target) * images / REFERENCE_IMAGES}
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": fastconv.info()["cpu"]["name"],
        "images": images,
        "batch_size": batch_size,
        "threads": threads,
        "slices": SLICES,
        "reference_images": REFERENCE_IMAGES,
        "losses": losses,
        "seconds": rows,
    }


def measure_steps(batch_size: int) -> dict[str, dict[str, float]]:
    """Return the least seconds of a step without the optimiser, by threads and contender."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch_size, 1, SIDE, SIDE), np.float32)
    target = rng.integers(0, CLASSES, batch_size)
    model, own = own_step(learns=False)
    contenders: dict[str, Step] = {"fastconv": own}
    if importable("torch"):
        contenders["PyTorch"] = torch_step(model.state_dict(), learns=False)
    found = {}
    for threads in STEP_THREADS:
        if "PyTorch" in contenders:
            import torch

            torch.set_num_threads(threads)
        with own_threads(threads):
            found[str(threads)] = _least(contenders, x, target)
    return found


def _least(contenders: dict[str, Step], x: Array, target: Array) -> dict[str, float]:
    """Return the least time of each, in turns of a few steps, of which the first does not count."""
    best = dict.fromkeys(contenders, float("inf"))
    left = dict.fromkeys(contenders, STEP_SECONDS)
    while max(left.values()) > 0:
        for name, step in contenders.items():
            settle()
            taken, least = turn(partial(step, x, target), best[name])
            best[name], left[name] = min(best[name], least), left[name] - taken
    return best


def _slice(step: Step, x: Array, target: Array, first: int, last: int, size: int) -> float:
    """Return the seconds of the steps of a slice, after one that is not counted."""
    step(x[first : first + size], target[first : first + size])
    start = time.perf_counter()
    for place in range(first, last, size):
        step(x[place : place + size], target[place : place + size])
    return time.perf_counter() - start


def _reference(x: Array, target: Array) -> float:
    """Return the best seconds of a step of the naive loops."""
    _, step = own_step()
    best, end = float("inf"), time.perf_counter() + REFERENCE_SECONDS
    with fastconv.settings(algorithm="naive"):
        step(x[:REFERENCE_IMAGES], target[:REFERENCE_IMAGES])
        while True:
            start = time.perf_counter()
            step(x[:REFERENCE_IMAGES], target[:REFERENCE_IMAGES])
            stop = time.perf_counter()
            best = min(best, stop - start)
            if stop > end:
                return best


def as_markdown(found: dict[str, Any]) -> str:
    """Return a table of the results."""
    own = found["seconds"]["fastconv"]
    lines = [
        f"Measured {found['date'][:10]} on a {found['cpu']}: LeNet-5, an epoch of "
        f"{found['images']:,} images 32x32, batches of {found['batch_size']}, "
        f"threads: {found['threads']}.",
        "",
        "| who | seconds an epoch | by the best slice | relative to fastconv |",
        "|---|--:|--:|--:|",
    ]
    for name, row in found["seconds"].items():
        best = row.get("by the best slice")
        cells = (significant(row["epoch"]), significant(best) if best else "–")
        ratio = best / own["by the best slice"] if best else row["epoch"] / own["epoch"]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {times(ratio)} |")
    for name, seconds in TUTORIAL_SECONDS.items():
        lines.append(f"| {name} (published) | {seconds:,} | – | {times(seconds / own['epoch'])} |")
    lines += [
        "",
        f"fastconv and PyTorch took the epoch in {found['slices']} slices, in turns. The naive "
        f"reference took steps of {found['reference_images']} images;",
        "its best time was multiplied by the number of such steps in the epoch.",
    ]
    if "steps" in found:
        lines += ["", *_steps_table(found)]
    return "\n".join(lines) + "\n"


def _steps_table(found: dict[str, Any]) -> list[str]:
    size = found["batch_size"]
    names = list(next(iter(found["steps"].values())))
    lines = [
        f"| forward, loss and all gradients of {size} images | "
        + " | ".join(f"{name} ms" for name in names)
        + " | PyTorch / fastconv |",
        "|---|" + "--:|" * (len(names) + 1),
    ]
    for threads, seconds in found["steps"].items():
        cells = [significant(seconds[name] * 1e3) for name in names]
        peer = seconds.get("PyTorch")
        cells.append(times(peer / seconds["fastconv"]) if peer else "–")
        words = "1 thread" if threads == "1" else f"{threads} threads"
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return lines


def written(text: str, found: dict[str, Any]) -> str:
    """Return the README with the table in its place."""
    block = re.compile(r"(<!-- training: written by [^\n]*\n).*?(<!-- end of training -->)", re.S)
    return block.sub(lambda place: f"{place[1]}{as_markdown(found)}{place[2]}", text)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the training of LeNet-5.")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", action="store_true", help="keep the epochs of the last run")
    options = parser.parse_args()
    results = RESULTS / "training.json"
    if options.steps:
        found = json.loads(results.read_text(encoding="utf-8"))
    else:
        with fastconv.settings(threads=options.threads):
            found = measure(options.images, options.batch_size, options.threads)
    found["steps"] = measure_steps(options.batch_size)
    RESULTS.mkdir(exist_ok=True)
    results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    README.write_text(written(text, found), encoding="utf-8")


if __name__ == "__main__":
    main()
