"""Measures what works element by element against PyTorch and ONNX Runtime.

    .venv/bin/python -m benchmarks.elementwise            # measure, half a minute
    .venv/bin/python -m benchmarks.elementwise --render   # the table again, from the last results
    .venv/bin/python -m benchmarks.elementwise --only softmax --dry   # print, write nothing

Arrays are float32. Contenders run in turns in one process, once with one thread and once with two,
and their results are compared first; the least time of each counts. PyTorch's gradient of a batch
normalisation is given the statistics that its forward call has kept; fastconv's computes them.
"""

import argparse
import datetime
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import fastconv as F
from fastconv.cli.console import geometric_mean
from fastconv.cli.contenders import own_threads
from fastconv.cli.contenders.onnx_runtime import one_node, session_call
from fastconv.cli.extras import importable
from fastconv.cli.race import TURN_SECONDS, relative_error, settle, turn
from fastconv.dtypes import Array

README = Path(__file__).parent.parent / "README.md"
RESULTS = Path(__file__).parent / "results" / "elementwise.json"
THREADS = (1, 2)
TURNS = 4
WORST = 1e-5
"""The largest difference of results, relative to the largest of them, that rounding explains."""
OWN, TORCH, ONNX = "fastconv", "PyTorch", "ONNX Runtime"
Call = Callable[[], Any]
Record = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A call, and what others have in its place."""

    name: str
    shape: tuple[int, ...]
    own: Call
    torch: Callable[[Any], Call] | None = None
    """Given a function that makes tensors of arrays."""
    onnx: tuple[str, dict[str, Any], dict[str, Array]] | None = None
    """The node of a model, its attributes and constants."""
    x: Array = field(default_factory=lambda: np.empty(0))


def cases() -> list[Case]:
    """Return all calls, with their data."""
    rng = np.random.default_rng(0)
    found: list[Case] = []
    shape: tuple[int, ...]
    for shape in ((1, 64, 28, 28), (8, 64, 56, 56)):
        found += [*_affine(rng, shape), *_activations(rng, shape)]
    for shape in ((8, 64, 28, 28), (32, 128, 28, 28)):
        found += _batch_norm(rng, shape)
    for shape, dim in (((128, 10), 1), ((256, 1000), 1), ((12, 197, 197), 2), ((2, 21, 96, 96), 1)):
        found += _softmax(rng, shape, dim)
    return found


def _normal(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape, np.float32)


def _affine(rng: np.random.Generator, shape: tuple[int, ...]) -> list[Case]:
    x, more = _normal(rng, *shape), _normal(rng, *shape)
    scale, shift = _normal(rng, shape[1]), _normal(rng, shape[1])

    def scaled(tensor: Any) -> Call:
        import torch

        a, b = (tensor(v).reshape(1, -1, 1, 1) for v in (scale, shift))
        return lambda: torch.addcmul(b, tensor(x), a).relu_()

    def added(tensor: Any) -> Call:
        import torch

        return lambda: torch.add(tensor(x), tensor(more)).relu_()

    return [
        Case(
            *("`affine` with ReLU", shape, lambda: F.affine(x, scale, shift, activation="relu")),
            torch=scaled,
        ),
        Case(
            *("`affine` of a residual, ReLU", shape),
            own=lambda: F.affine(x, residual=more, activation="relu"),
            torch=added,
        ),
    ]


def _activations(rng: np.random.Generator, shape: tuple[int, ...]) -> list[Case]:
    x, gy = _normal(rng, *shape), _normal(rng, *shape)
    found = []
    for name, node in (("tanh", "Tanh"), ("sigmoid", "Sigmoid")):
        y = F.affine(x, activation=name)

        def forward(tensor: Any, name: str = name) -> Call:
            import torch

            return lambda: getattr(torch, name)(tensor(x))

        def backward(tensor: Any, name: str = name, y: Array = y) -> Call:
            import torch

            function = getattr(torch.ops.aten, f"{name}_backward")
            return lambda: function(tensor(gy), tensor(y))

        found += [
            Case(
                *(f"`affine` with {name}", shape),
                own=partial(F.affine, x, activation=name),
                torch=forward,
                onnx=(node, {}, {}),
                x=x,
            ),
            Case(
                *(f"`activation_backward` of {name}", shape),
                own=partial(F.activation_backward, gy, y, name),
                torch=backward,
            ),
        ]
    return found


def _batch_norm(rng: np.random.Generator, shape: tuple[int, ...]) -> list[Case]:
    x, gy = _normal(rng, *shape), _normal(rng, *shape)
    w, b, mean = (_normal(rng, shape[1]) for _ in range(3))
    var = rng.random(shape[1], np.float32) + np.float32(0.5)

    def forward(tensor: Any, training: bool) -> Call:
        import torch

        running = (None, None) if training else (tensor(mean), tensor(var))
        return lambda: torch.nn.functional.batch_norm(
            *(tensor(x), *running, tensor(w), tensor(b), training)
        )

    def backward(tensor: Any) -> Call:
        import torch

        kept = torch.native_batch_norm(
            *(tensor(x), tensor(w), tensor(b), None, None, True, 0.1, 1e-5)
        )[1:]
        function = torch.ops.aten.native_batch_norm_backward
        rest = (None, None, *kept, True, 1e-5, [True] * 3)
        return lambda: function(tensor(gy), tensor(x), tensor(w), *rest)[0]

    constants = {"scale": w, "bias": b, "mean": mean, "var": var}
    return [
        Case(
            *("`batch_norm`", shape, lambda: F.batch_norm(x, mean, var, w, b)),
            torch=lambda tensor: forward(tensor, False),
            onnx=("BatchNormalization", {"epsilon": 1e-5}, constants),
            x=x,
        ),
        Case(
            *("`batch_norm` in training", shape),
            own=lambda: F.batch_norm(x, None, None, w, b, training=True),
            torch=lambda tensor: forward(tensor, True),
        ),
        Case(
            *("`batch_norm_backward` in training", shape),
            own=lambda: F.batch_norm_backward(gy, x, None, None, w, training=True).input,
            torch=backward,
        ),
    ]


def _softmax(rng: np.random.Generator, shape: tuple[int, ...], dim: int) -> list[Case]:
    x, gy = _normal(rng, *shape), _normal(rng, *shape)
    found = []
    for name, node in (("softmax", "Softmax"), ("log_softmax", "LogSoftmax")):
        forward, back = getattr(F, name), getattr(F, f"{name}_backward")
        y = forward(x, dim)

        def torch_forward(tensor: Any, name: str = name) -> Call:
            import torch

            return lambda: getattr(torch, name)(tensor(x), dim)

        def torch_backward(tensor: Any, name: str = name, y: Array = y) -> Call:
            import torch

            function = getattr(torch.ops.aten, f"_{name}_backward_data")
            return lambda: function(tensor(gy), tensor(y), dim, torch.float32)

        found += [
            Case(
                *(f"`{name}` along {dim}", shape),
                own=partial(forward, x, dim),
                torch=torch_forward,
                onnx=(node, {"axis": dim}, {}),
                x=x,
            ),
            Case(
                *(f"`{name}_backward` along {dim}", shape),
                own=partial(back, gy, y, dim),
                torch=torch_backward,
            ),
        ]
    return found


def measure(pattern: str = "") -> Record:
    """Race all calls whose name or shape matches, and return what there is to say."""
    rows = [_row_of(case) for case in cases() if re.search(pattern, f"{case.name} {case.shape}")]
    for threads in THREADS:
        with own_threads(threads):
            for case, row in rows:
                row["seconds"][str(threads)] = _raced(case, threads)
    facts = F.info()
    names = ("numpy", "numba", "torch", "onnxruntime")
    packages = {name: facts["packages"][name] for name in names}
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {"cpu": facts["cpu"]["name"], "packages": packages},
        "rows": [row for _, row in rows],
    }


def _row_of(case: Case) -> tuple[Case, Record]:
    return case, {"name": case.name, "shape": list(case.shape), "seconds": {}}


def _raced(case: Case, threads: int) -> dict[str, float]:
    """Compare what the contenders return, and return the least time of each."""
    calls: dict[str, Call] = {OWN: case.own}
    if case.torch is not None and importable("torch"):
        calls[TORCH] = _torch_call(case.torch, threads)
    if case.onnx is not None and importable("onnx") and importable("onnxruntime"):
        node, attributes, constants = case.onnx
        model = one_node(node, attributes, constants, case.shape, case.shape)
        calls[ONNX] = session_call(model, case.x, threads)
    expected = case.own()
    for name, call in calls.items():
        error = relative_error(np.asarray(call()), expected)
        if not error < WORST:  # NaN neither
            raise SystemExit(f"{case.name} {case.shape}: {name} differs by {error}")
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(TURNS):
        for name, call in calls.items():
            settle()
            best[name] = min(best[name], turn(call, TURN_SECONDS / 2)[1])
    return best


def _torch_call(make: Callable[[Any], Call], threads: int) -> Call:
    import torch

    torch.set_num_threads(threads)
    known: dict[int, Any] = {}

    def tensor(array: Array) -> Any:
        """Return a tensor on the memory of an array, the same for the same array."""
        return known.setdefault(id(array), torch.from_numpy(array))

    function = make(tensor)

    def call() -> Any:
        with torch.inference_mode():
            return function()

    return call


def table(content: Record) -> str:
    """Return the README's table."""
    head = ["function", "shape", f"{OWN} ms", f"{TORCH} ms", f"{ONNX} ms", "1 thread", "2 threads"]
    rows: list[list[str]] = []
    ratios: dict[str, list[float | None]] = {str(threads): [] for threads in THREADS}
    for record in content["rows"]:
        seconds = record["seconds"]
        for threads, found in ratios.items():
            found.append(_ratio(seconds[threads]))
        one = seconds[str(THREADS[0])]
        times = [f"{one[name] * 1e3:.3g}" if name in one else "" for name in (OWN, TORCH, ONNX)]
        shape = "x".join(map(str, record["shape"]))
        rows.append([record["name"], shape, *times, *(_times(r[-1]) for r in ratios.values())])
    known = [[ratio for ratio in each if ratio] for each in ratios.values()]
    means = [_times(geometric_mean(each) if each else None) for each in known]
    rows.append(["**geometric mean**", *[""] * 4, *means])
    rows.append(["**least**", *[""] * 4, *(_times(min(each, default=None)) for each in known)])
    rule = ["---", "---", *["---:"] * (len(head) - 2)]
    text = "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))
    machine = content["machine"]
    packages = ", ".join(f"{name} {found}" for name, found in machine["packages"].items() if found)
    words = (
        f"Measured {content['date'][:10]} on a {machine['cpu']} ({packages}); float32; "
        "milliseconds of one thread, and the fastest peer's time / ours."
    )
    return f"{words}\n\n{text}"


def _ratio(seconds: dict[str, float]) -> float | None:
    peers = [taken for name, taken in seconds.items() if name != OWN]
    return min(peers) / seconds[OWN] if peers else None


def _times(ratio: float | None) -> str:
    return f"{ratio:.2f}x" if ratio else ""


def written(text: str, content: Record) -> str:
    """Return the README with the table in its place."""
    block = re.compile(
        r"(<!-- elementwise: written by benchmarks/elementwise.py -->\n)"
        r".*?(<!-- end of elementwise -->)",
        re.DOTALL,
    )
    return block.sub(lambda found: f"{found[1]}{table(content)}\n{found[2]}", text)


def main() -> None:
    """Measure, unless told not to, and write the table."""
    parser = argparse.ArgumentParser(description="Race what works element by element.")
    parser.add_argument("--render", action="store_true", help="use the results already there")
    parser.add_argument("--only", default="", metavar="REGEX", help="only these functions, shapes")
    parser.add_argument("--dry", action="store_true", help="print the table, and write nothing")
    options = parser.parse_args()
    if options.dry:
        sys.stdout.write(table(measure(options.only)) + "\n")
        return
    if not options.render:
        RESULTS.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
    content = json.loads(RESULTS.read_text(encoding="utf-8"))
    text = README.read_text(encoding="utf-8")
    README.write_text(written(text, content), encoding="utf-8")


if __name__ == "__main__":
    main()
