"""Measures, and writes what it measured into the README.

    .venv/bin/python -m benchmarks.report            # everything (some minutes)
    .venv/bin/python -m benchmarks.report --render   # the tables again, from the last results

Each block of the README between `<!-- NAME: written by benchmarks/report.py -->` and
`<!-- end of NAME -->` is replaced; nothing in them is typed by hand.
"""

import argparse
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
ROOFLINE = RESULTS / "roofline.png"
README = ROOT / "README.md"
Record = dict[str, Any]
BRIEFLY = ("--seconds-per-layer", "0.4", "--no-reference", "--no-numpy")
WINOGRAD_LAYERS = r"vgg16.conv(1_2|3|4|5)|3x3|enc1|bottom"
"""Of 64 channels or more, with windows of 3x3 at stride 1."""
RUNS = {
    "forward": ("--seconds-per-layer", "2", "--roofline", "--plot", str(ROOFLINE)),
    "forward-2": ("--seconds-per-layer", "1.5", "--no-numpy", "--threads", "2", "--no-reference"),
    "forward-float64": (
        "--seconds-per-layer",
        "1",
        "--dtype",
        "float64",
        "--no-reference",
        "--no-numpy",
    ),
    "tiny": ("--seconds-per-layer", "1", "--direction", "tiny"),
    "pool": ("--seconds-per-layer", "1", "--direction", "pool"),
    "pool-2": (*BRIEFLY, "--direction", "pool", "--threads", "2"),
    **{
        name + suffix: (*BRIEFLY, *options, *threads)
        for name, options in {
            "fast": ("--layers", WINOGRAD_LAYERS, "--precision", "fast"),
            "input": ("--direction", "input"),
            "input-b8": ("--direction", "input", "--batch", "8"),
            "weight": ("--direction", "weight"),
            "weight-b8": ("--direction", "weight", "--batch", "8"),
            "transposed": ("--direction", "transposed"),
            "pool-backward": ("--direction", "pool-backward"),
            "unfold": ("--direction", "unfold"),
            "fold": ("--direction", "fold"),
        }.items()
        for suffix, threads in (("", ()), ("-2", ("--threads", "2")))
    },
}
"""The benchmarks, and what `fastconv bench` is told for each."""
BRIEF = ("fastconv ms", "prepared ms", "PyTorch ms", "ONNX Runtime ms")
"""Columns of the tables that repeat layers of another one."""
OTHERS = ("reference", "window view", "pure NumPy", "PyTorch", "ONNX Runtime")
BEST_PEER, BEST_RATIO = "best peer / ours", "best_peer_to_ours"
SQUARE = "of these, 3x3 at stride 1 with 64 channels or more"
SUMMARY = {
    "convolutions forward, weights packed before": "forward",
    SQUARE: "forward",
    'the same, `precision="fast"`': "fast",
    "all of them in float64": "forward-float64",
    "gradients of the input": "input",
    "of 8 samples at a time": "input-b8",
    "gradients of the weight": "weight",
    "of 8 samples at a time ": "weight-b8",
    "transposed convolutions, weights packed before": "transposed",
    "pools": "pool",
    "pools backward": "pool-backward",
    "`unfold`": "unfold",
    "`fold`": "fold",
}
BY_THREADS = {"": "1 thread", "-2": "2 threads"}


def measure() -> None:
    """Run the demo and the benchmarks, and keep their figures and numbers in `results/`."""
    RESULTS.mkdir(exist_ok=True)
    demo = _fastconv("demo", "--output", str(RESULTS))
    (RESULTS / "demo.txt").write_text(_from_table(demo.stdout), encoding="utf-8")
    bench(RUNS)
    (RESULTS / "start.json").write_text(json.dumps(start_times(), indent=1) + "\n")


def bench(names: Iterable[str]) -> None:
    """Run some of the benchmarks, and keep their numbers."""
    for name in names:
        _fastconv("bench", "--peers", "--json", str(RESULTS / f"{name}.json"), *RUNS[name])


def start_times() -> dict[str, float]:
    """Return seconds, each the least of several fresh processes, for imports and first calls."""
    call = (
        "import {} as F, numpy as np;"
        "x = np.ones((1, 4, 8, 8), np.float32); w = np.ones((8, 4, 3, 3), np.float32);"
        "F.conv2d(x, w)"
    )
    naive, compiled = call.format("fastconv.reference"), call.format("fastconv")
    plain = _least("import numpy")
    numba = _least("import numpy, numba")
    return {
        "import fastconv above import numpy": _least("import fastconv") - plain,
        "first naive call, cold cache": _least(naive, cold=True, times=3) - plain,
        "first naive call, warm cache, above importing Numba": _least(naive) - numba,
        "first compiled conv2d, cold cache": _least(compiled, cold=True, times=3) - plain,
        "first compiled conv2d, warm cache, above importing Numba": _least(compiled) - numba,
    }


def _least(code: str, cold: bool = False, times: int = 7) -> float:
    """Return the least time of fresh processes until the code has run.

    The first may write bytecode, so it does not count; neither does the interpreter's end.
    """
    seconds = []
    until_done = f"{code}\nimport os\nos._exit(0)"
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(times + 1):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**plain, **({"FASTCONV_CACHE_DIR": folder} if cold else {})}
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", until_done], check=True, env=environment)
            seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def _fastconv(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "fastconv", *arguments],
        check=True,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        env=None,
    )


def _from_table(text: str) -> str:
    """Drop what is above the table and the path below it."""
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join(line for line in lines if str(ROOT) not in line).strip() + "\n"


def render() -> None:
    """Write the blocks of the README from `results/`."""
    text = README.read_text(encoding="utf-8")
    for name, block in BLOCKS.items():
        begin, end = f"<!-- {name}: written by benchmarks/report.py -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        text, count = pattern.subn(functools.partial(_same, f"{begin}\n{block()}\n{end}"), text)
        if count != 1:
            raise SystemExit(f"README.md: expected one block named {name}, found {count}")
    README.write_text(text, encoding="utf-8")


def _same(replacement: str, _: re.Match[str]) -> str:
    return replacement


def _demo_block() -> str:
    return "```\n" + (RESULTS / "demo.txt").read_text(encoding="utf-8").rstrip() + "\n```"


def _layer_block(direction: str, brief: bool = False) -> str:
    """Return a table of milliseconds, one row a layer, and how they compare."""
    content = json.loads((RESULTS / f"{direction}.json").read_text(encoding="utf-8"))
    records: list[Record] = content["layers"]
    columns = [column for column in _columns(records, direction) if any(map(column[1], records))]
    if brief:
        columns = [column for column in columns if column[0] in (*BRIEF, BEST_PEER)]
    rows = [
        [record["layer"], record["algorithm"], *(text(record) or "–" for _, text in columns)]
        for record in records
    ]
    means = [_means(records, name) for name, _ in columns]
    rows.append(["**geometric mean of their time / ours**", "", *means])
    head = ["layer", "algorithm", *(name for name, _ in columns)]
    parts = [_machine(content), _markdown(head, rows)]
    if content.get("peak_flop_per_s"):
        parts.append(_roofline(content["peak_flop_per_s"]))
    return "\n\n".join(parts)


def _ratio_block(runs: dict[str, str], timed: str) -> str:
    """Return a table of how many times our time the fastest peer takes, a column a run.

    Milliseconds, ours and the peers', are those of the run `timed`. Layers of more samples are in
    the rows of those of one.
    """
    contents = {name: json.loads((RESULTS / f"{name}.json").read_text()) for name in runs}
    found = {
        name: {_one_sample(record["layer"], name): record for record in content["layers"]}
        for name, content in contents.items()
    }
    layers = list(dict.fromkeys(layer for records in found.values() for layer in records))
    peers = [
        name
        for name in ("PyTorch", "ONNX Runtime")
        if any(name in record["seconds"] for record in found[timed].values())
    ]
    rows = []
    for layer in layers:
        record = found[timed].get(layer)
        seconds = record["seconds"] if record else {}
        ours = seconds.get("engine prepared", seconds.get("engine"))
        rows.append(
            [layer, record["algorithm"] if record else "", _ms(ours) or "–"]
            + [_ms(seconds.get(peer)) or "–" for peer in peers]
            + [_peer_ratio(records.get(layer)) or "–" for records in found.values()]
        )
    for words, summary in (("geometric mean", _mean), ("least", _least_ratio)):
        ratios = [
            [record.get(BEST_RATIO) for record in records.values()] for records in found.values()
        ]
        blank = [""] * (2 + len(peers))
        rows.append([f"**{words}**", *blank, *map(summary, ratios)])
    heads = ["layer", "algorithm", "fastconv ms", *(f"{peer} ms" for peer in peers), *runs.values()]
    return "\n\n".join([_machine(contents[timed]), _markdown(heads, rows)])


def _summary_block() -> str:
    """Return a table of the means and the least of the ratios to the fastest peer, a row a kind."""
    rows = []
    for words, name in SUMMARY.items():
        cells = []
        for suffix in BY_THREADS:
            path = RESULTS / f"{name}{suffix}.json"
            records = json.loads(path.read_text())["layers"] if path.exists() else []
            if words == SQUARE:
                records = [each for each in records if re.search(WINOGRAD_LAYERS, each["layer"])]
            ratios = [record.get(BEST_RATIO) for record in records]
            cells.append(f"{_mean(ratios)} ({_least_ratio(ratios)})" if any(ratios) else "–")
        rows.append([words, *cells])
    return _markdown(["fastest peer's time / ours: mean (least)", *BY_THREADS.values()], rows)


def _by_threads(name: str) -> dict[str, str]:
    return {name + suffix: threads for suffix, threads in BY_THREADS.items()}


def _by_batch(name: str) -> dict[str, str]:
    eight = {f"{name}-b8{suffix}": f"batch 8, {words}" for suffix, words in BY_THREADS.items()}
    return {**_by_threads(name), **eight}


def _one_sample(layer: str, run: str) -> str:
    return layer.removesuffix(".b8") if "-b8" in run else layer


def _peer_ratio(record: Record | None) -> str:
    return _text("{:.2f}x", record.get(BEST_RATIO) if record else None)


def _least_ratio(found: list[float | None]) -> str:
    ratios = [ratio for ratio in found if ratio]
    return f"{min(ratios):.2f}x" if ratios else ""


def _columns(records: list[Record], direction: str) -> list[tuple[str, Callable[[Record], str]]]:
    """Return heading and text of every column of numbers; no text where there is no number."""

    def time_of(name: str) -> Callable[[Record], str]:
        return lambda record: _ms(record["seconds"].get(name))

    rate = ("GB/s", "gbyte_per_s") if direction == "pool" else ("GFLOP/s", "gflop_per_s")
    return [
        ("fastconv ms", time_of("engine")),
        ("prepared ms", time_of("engine prepared")),
        (rate[0], lambda record: f"{record[rate[1]]:.1f}"),
        ("of peak", lambda record: _text("{:.0%}", record.get("share_of_peak"))),
        ("scratch MiB", lambda record: f"{record['scratch_bytes'] / 2**20:.2f}"),
        *((f"{name} ms", time_of(name)) for name in OTHERS),
        (BEST_PEER, lambda record: _text("{:.2f}x", record.get(BEST_RATIO))),
    ]


def _means(records: list[Record], column: str) -> str:
    """Return the mean at the foot of a column; nothing below what is no ratio nor a rival's."""
    if column == BEST_PEER:
        return _mean([record.get(BEST_RATIO) for record in records])
    name = column.removesuffix(" ms")
    return _mean([record["ratios"].get(name) for record in records]) if name in OTHERS else ""


def _roofline(peak: float) -> str:
    plot = ROOFLINE.relative_to(ROOT).as_posix()
    return (
        f"In the same run the micro-kernel reached {peak / 1e9:.0f} GFLOP/s from the nearest "
        f"cache; each layer's share of that:\n\n![Share of the micro-kernel's peak]({plot})"
    )


def _start_block() -> str:
    times = json.loads((RESULTS / "start.json").read_text(encoding="utf-8"))
    return _markdown(["what", "seconds"], [[name, f"{value:.3f}"] for name, value in times.items()])


def _machine(content: Record) -> str:
    machine = content["machine"]
    packages = machine["packages"]
    versions = ", ".join(
        f"{name} {packages[name]}"
        for name in ("numpy", "numba", "torch", "onnxruntime")
        if packages[name]
    )
    return (
        f"Measured {content['date'][:10]} on {content['threads']} of {machine['cpu']['cores']} "
        f"cores of a {machine['cpu']['name']} ({versions}); {content['dtype']}; the least of "
        "interleaved runs."
    )


def _mean(found: list[float | None]) -> str:
    ratios = [ratio for ratio in found if ratio]
    product = 1.0
    for ratio in ratios:
        product *= ratio ** (1 / len(ratios))
    return f"{product:.2f}x" if ratios else ""


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.3g}"


def _text(form: str, number: float | None) -> str:
    return "" if number is None else form.format(number)


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


BLOCKS: dict[str, Callable[[], str]] = {
    "demo": _demo_block,
    "summary": _summary_block,
    "convolution": lambda: _layer_block("forward"),
    "two threads": lambda: _layer_block("forward-2", brief=True),
    "float64": lambda: _layer_block("forward-float64", brief=True),
    "tiny": lambda: _layer_block("tiny", brief=True),
    "fast": lambda: _ratio_block(_by_threads("fast"), "fast"),
    "input gradients": lambda: _ratio_block(_by_batch("input"), "input"),
    "weight gradients": lambda: _ratio_block(_by_batch("weight"), "weight"),
    "transposed": lambda: _layer_block("transposed", brief=True),
    "transposed, two threads": lambda: _layer_block("transposed-2", brief=True),
    "pooling": lambda: _layer_block("pool"),
    "pooling, two threads": lambda: _layer_block("pool-2", brief=True),
    "pooling backward": lambda: _ratio_block(_by_threads("pool-backward"), "pool-backward"),
    "unfold": lambda: _ratio_block(_by_threads("unfold"), "unfold"),
    "fold": lambda: _ratio_block(_by_threads("fold"), "fold"),
    "start": _start_block,
}


def main() -> None:
    """Measure, unless told not to, and render."""
    parser = argparse.ArgumentParser(description="Measure and write the README's figures.")
    parser.add_argument("--render", action="store_true", help="use the results already there")
    parser.add_argument("--only", metavar="RUN", nargs="+", choices=RUNS, help="measure only these")
    chosen = parser.parse_args()
    if chosen.only:
        bench(chosen.only)
    elif not chosen.render:
        measure()
    render()


if __name__ == "__main__":
    main()
