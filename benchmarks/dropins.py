"""Races every drop-in against its tutorial's own code, and writes the README's table.

    .venv/bin/python -m benchmarks.dropins            # measure, a minute or two
    .venv/bin/python -m benchmarks.dropins --render   # the table again, from the last results

The tutorials' code is `fastconv.cli.tutorials` and `benchmarks.tutorial_forms`, on the shapes of
the tutorials' own examples. Everything is float64, as there, and has one thread. Loops over a whole
batch would take minutes: they run on its first samples, and their time is multiplied, which is
right because they go sample by sample; the table says of how many. Results are compared first.
"""

import argparse
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import fastconv
from benchmarks import tutorial_forms as forms
from benchmarks.tutorial_forms import INDEXED, LOOPS, SLICED, Form
from fastconv.cli import tutorials
from fastconv.cli.race import settle
from fastconv.dropin import cached_layers, cnnumpy, cs231n, digit_nine, dlfs, numpycnn, pygad_cnn
from fastconv.dtypes import Array
from fastconv.plan.threads import limited_threads

README = Path(__file__).parent.parent / "README.md"
RESULTS = Path(__file__).parent / "results" / "dropins.json"
SECONDS = 1.0
"""Time for the calls that are repeated, of each contender."""
WORST = 1e-10
"""The largest difference of results, relative to the largest of them, that rounding explains."""
Results = tuple[Array, ...]
Run = Callable[[int], Results]
Record = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One drop-in on its tutorial's example; each contender takes a number of samples."""

    name: str
    what: str
    samples: int
    slice: int
    loops: Run
    fast: Run
    own: Run | None = None
    """The tutorial's own vectorised form."""


def cases() -> list[Case]:
    """Return all races, with their data."""
    rng = np.random.default_rng(0)
    return [
        _three_layers(rng),
        _pygad(rng),
        *_digits(rng),
        _cached(rng),
        _lenet(rng),
        _dlfs(rng),
        _cs231n(rng),
    ]


def _three_layers(rng: np.random.Generator) -> Case:
    image = rng.random((300, 451))
    banks = [rng.standard_normal(s) for s in ((2, 3, 3), (3, 5, 5, 2), (1, 7, 7, 3))]

    def run(conv: Any, relu: Any, pool: Any) -> Results:
        maps = image
        for bank in banks:
            maps = pool(relu(conv(maps, bank)), 2, 2)
        return (maps,)

    return Case(
        *("`numpycnn`", "three layers of a photograph 300x451", 1, 1),
        lambda _: run(tutorials.bank_maps, tutorials.rectified, tutorials.pooled_maps),
        lambda _: run(numpycnn.conv, numpycnn.relu, numpycnn.pooling),
    )


def _pygad(rng: np.random.Generator) -> Case:
    samples = rng.random((20, 100, 100, 3))
    pool1 = pygad_cnn.AveragePooling2D(
        2, pygad_cnn.Sigmoid(pygad_cnn.Conv2D(2, 3, pygad_cnn.Input2D((100, 100, 3))))
    )
    pool2 = pygad_cnn.MaxPooling2D(2, pygad_cnn.ReLU(pygad_cnn.Conv2D(3, 3, pool1)))
    pool3 = pygad_cnn.MaxPooling2D(2, pygad_cnn.ReLU(pygad_cnn.Conv2D(1, 3, pool2)))
    model = pygad_cnn.Model(pygad_cnn.Dense(4, pygad_cnn.Flatten(pool3)))
    weighted = [
        x for x in model.network_layers if isinstance(x, pygad_cnn.Conv2D | pygad_cnn.Dense)
    ]
    for layer in weighted:  # more above 0 than below, or ReLU might leave nothing to compare
        layer.trained_weights = rng.uniform(-0.1, 0.2, layer.trained_weights.shape)
    *banks, last = (layer.trained_weights for layer in weighted)

    def loops(count: int) -> Results:
        outputs = []
        for maps in samples[:count]:
            for bank, mode in zip(banks, ("mean", "max", "max"), strict=True):
                maps = tutorials.sample_maps(maps, bank, None)
                maps = 1 / (1 + np.exp(-maps)) if mode == "mean" else tutorials.rectified(maps)
                maps = tutorials.pooled_maps(maps, 2, 2, mode, edge=True)
            outputs.append(np.maximum(maps.ravel() @ last, 0))
        return tuple(outputs)

    return Case(
        *("`pygad_cnn`", "its example's network, a sample 100x100x3", 1, 1),
        loops,
        lambda count: tuple(model.feed_sample(sample) for sample in samples[:count]),
    )


def _digits(rng: np.random.Generator) -> list[Case]:
    digits = digit_nine.DIGITS[rng.integers(0, 10, 1000)]

    def loops(count: int) -> Results:
        results = []
        for matrix in digits[:count]:
            maps = [np.maximum(tutorials.averaged(matrix, k), 0) for k in digit_nine.FILTERS]
            results.append([tutorials.pooled_matrix(m, 2, 1, 0, "max") for m in maps])
        return (np.array(results),)

    def fast(count: int) -> Results:
        maps = digit_nine.relu(digit_nine.averaged_conv2d(digits[:count], digit_nine.FILTERS))
        return (digit_nine.pool2d(maps, 2, 1),)

    return [
        Case("`digit_nine`", "maps of one digit 7x5", 1, 1, loops, fast),
        Case("`digit_nine`", "maps of 1000 digits, stacked", 1000, 20, loops, fast),
    ]


def _cached(rng: np.random.Generator) -> Case:
    layer, pool = cached_layers.Convolution2dLayer(1, 8, 3), cached_layers.MaxPooling2dLayer(2)
    layer.initialize_weights(rng)
    x, gy = rng.random((32, 1, 28, 28)), rng.random((32, 8, 13, 13))

    def fast(count: int) -> Results:
        convolved = layer.forward(x[:count])
        pooled = pool.forward(convolved.output)
        back = pool.backward(pooled, gy[:count])
        return pooled.output, *layer.backward(convolved, back)

    def loops(count: int) -> Results:
        w, b = layer.weights, layer.bias
        if w is None or b is None:
            raise RuntimeError("weights were initialized above")
        return forms.block_step(LOOPS, x[:count], w, b, gy[:count], 1, 0, 2)

    what = "8 filters 3x3 and a pool on 32 digits 28x28, there and back"
    return Case("`cached_layers`", what, 32, 2, loops, fast)


def _lenet(rng: np.random.Generator) -> Case:
    model = cnnumpy.LeNet5()
    params = model.get_params()
    images = rng.standard_normal((100, 1, 32, 32))
    labels = np.eye(10)[rng.integers(0, 10, 100)]

    def fast(count: int) -> Results:
        grads = model.backward(model.forward(images[:count]), labels[:count])
        return tuple(grads[key].ravel() for key in sorted(grads))

    def by(form: Form) -> Run:
        def run(count: int) -> Results:
            grads = forms.lenet_step(form, params, images[:count], labels[:count])
            return tuple(grads[key].ravel() for key in sorted(grads))

        return run

    what = "LeNet-5, the gradients of a batch of 100 images 32x32"
    return Case("`cnnumpy`", what, 100, 2, by(LOOPS), fast, by(INDEXED))


def _dlfs(rng: np.random.Generator) -> Case:
    x, gy = rng.random((100, 1, 28, 28)), rng.random((100, 30, 12, 12))
    w, b = 0.01 * rng.standard_normal((30, 1, 5, 5)), np.zeros(30)
    layer, pool = dlfs.Convolution(w, b), dlfs.Pooling(2, 2, stride=2)

    def fast(count: int) -> Results:
        y = pool.forward(layer.forward(x[:count]))
        gx = layer.backward(pool.backward(gy[:count]))
        if layer.dW is None or layer.db is None:
            raise RuntimeError("backward was called above")
        return y, gx, layer.dW, layer.db

    def by(form: Form) -> Run:
        return lambda n: forms.block_step(form, x[:n], w, b, gy[:n], 1, 0, 2)

    what = "30 filters 5x5 and a pool on 100 digits 28x28, there and back"
    return Case("`dlfs`", what, 100, 1, by(LOOPS), fast, by(SLICED))


def _cs231n(rng: np.random.Generator) -> Case:
    x, gy = rng.standard_normal((100, 3, 31, 31)), rng.standard_normal((100, 25, 8, 8))
    w, b = rng.standard_normal((25, 3, 3, 3)), rng.standard_normal(25)
    conv, pooling = {"stride": 2, "pad": 1}, {"pool_height": 2, "pool_width": 2, "stride": 2}

    def fast(count: int) -> Results:
        maps, cache = cs231n.conv_forward_fast(x[:count], w, b, conv)
        y, pooled = cs231n.max_pool_forward_fast(maps, pooling)
        back = cs231n.max_pool_backward_fast(gy[:count], pooled)
        return y, *cs231n.conv_backward_fast(back, cache)

    def by(form: Form) -> Run:
        return lambda n: forms.block_step(form, x[:n], w, b, gy[:n], 2, 1, 2)

    what = "25 filters 3x3, stride 2, and a pool on 100 images 3x31x31, there and back"
    return Case("`cs231n`", what, 100, 2, by(LOOPS), fast, by(INDEXED))


def measure() -> Record:
    """Race all cases, and return what there is to say."""
    with limited_threads(1), fastconv.settings(threads=1):
        rows = [_raced(case) for case in cases()]
    facts = fastconv.info()
    packages = {name: facts["packages"][name] for name in ("numpy", "numba")}
    machine = {"cpu": facts["cpu"]["name"], "packages": packages}
    return {"date": datetime.now(UTC).isoformat(), "machine": machine, "rows": rows}


def _raced(case: Case) -> Record:
    expected = case.loops(case.slice)
    got = case.fast(case.slice)
    difference = max(_difference(*pair) for pair in zip(got, expected, strict=True))
    if not difference < WORST:  # NaN neither
        raise SystemExit(f"{case.name}, {case.what}: results differ by {difference}")
    contenders: dict[str, Callable[[], Any]] = {
        "loops": lambda: case.loops(case.slice),
        "fastconv": lambda: case.fast(case.samples),
    }
    if (own := case.own) is not None:
        contenders["own"] = lambda: own(case.samples)
    seconds = _seconds(contenders)
    seconds["loops"] *= case.samples / case.slice
    return {
        "name": case.name,
        "what": case.what,
        "samples": case.samples,
        "slice": case.slice,
        "seconds": seconds,
        "difference": difference,
    }


def _seconds(contenders: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the least time of each, in turns; none is repeated that takes all of its time."""
    best = dict.fromkeys(contenders, float("inf"))
    left = dict.fromkeys(contenders, SECONDS)
    while left:
        for name in list(left):
            settle()
            for _ in range(20):
                start = time.perf_counter()
                contenders[name]()
                took = time.perf_counter() - start
                best[name] = min(best[name], took)
                left[name] -= took
                if took > 0.01 or left[name] <= 0:
                    break
            if left[name] <= 0:
                del left[name]
    return best


def _difference(got: Array, expected: Array) -> float:
    return float(np.abs(got - expected.reshape(got.shape)).max() / np.abs(expected).max())


def table(content: Record) -> str:
    """Return the README's table."""
    head = [
        "drop-in",
        "what",
        "loops ms",
        "own columns ms",
        "fastconv ms",
        "loops / fastconv",
        "columns / fastconv",
        "difference",
    ]
    rows = [_row(record) for record in content["rows"]]
    rule = ["---", "---", *["---:"] * (len(head) - 2)]
    text = "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))
    machine = content["machine"]
    packages = machine["packages"]
    words = (
        f"Measured {content['date'][:10]} on one core of a {machine['cpu']} (numpy "
        f"{packages['numpy']}, numba {packages['numba']}); float64; the least of runs in turns."
    )
    return f"{words}\n\n{text}"


def _row(record: Record) -> list[str]:
    seconds = record["seconds"]
    scaled = record["samples"] != record["slice"]
    note = f" (from {record['slice']} of {record['samples']})" if scaled else ""
    own = seconds.get("own")
    return [
        record["name"],
        record["what"],
        f"{_number(seconds['loops'] * 1e3)}{note}",
        "" if own is None else _number(own * 1e3),
        _number(seconds["fastconv"] * 1e3),
        f"{_number(seconds['loops'] / seconds['fastconv'])}x",
        "" if own is None else f"{_number(own / seconds['fastconv'])}x",
        f"{record['difference']:.0e}",
    ]


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def written(text: str, content: Record) -> str:
    """Return the README with the table in its place."""
    block = re.compile(
        r"(<!-- drop-ins: written by benchmarks/dropins.py -->\n).*?(<!-- end of drop-ins -->)",
        re.DOTALL,
    )
    return block.sub(lambda found: f"{found[1]}{table(content)}\n{found[2]}", text)


def main() -> None:
    """Measure, unless told not to, and write the table."""
    parser = argparse.ArgumentParser(description="Race the drop-ins.")
    parser.add_argument("--render", action="store_true", help="use the results already there")
    if not parser.parse_args().render:
        RESULTS.write_text(json.dumps(measure(), indent=1, default=str) + "\n", encoding="utf-8")
    content = json.loads(RESULTS.read_text(encoding="utf-8"))
    text = README.read_text(encoding="utf-8")
    README.write_text(written(text, content), encoding="utf-8")


if __name__ == "__main__":
    main()
