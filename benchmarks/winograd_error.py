"""Measures the rounding errors of Winograd's convolution, and studies points that keep them small.

    .venv/bin/python -m benchmarks.winograd_error
    .venv/bin/python -m benchmarks.winograd_error --search

Writes `benchmarks/results/winograd-error.md`, and the table by depth into the block of the README
between `<!-- winograd errors: written by benchmarks/winograd_error.py -->` and
`<!-- end of winograd errors -->`. Errors are the largest difference from a convolution
in float64, over the largest result, of 3x3 kernels over 28x28 positions in float32. With `--search`
all points of few binary digits are tried first (half a minute), and the best are printed.
"""

import argparse
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import rich

from fastconv import Problem, settings
from fastconv.algorithms.winograd import WINOGRADS
from fastconv.dtypes import Array
from fastconv.kernels.winograd_points import POINTS, Transform, transform_over
from fastconv.plan import plan_for

RESULT = Path(__file__).parent / "results" / "winograd-error.md"
README = Path(__file__).parent.parent / "README.md"
BEGIN = "<!-- winograd errors: written by benchmarks/winograd_error.py -->"
END = "<!-- end of winograd errors -->"
DEPTHS = (16, 64, 256, 512, 1024)
SIZE, OUTPUTS = 28, 64
EMULATED_DEPTH = 64
STUDIED = {
    (2, 2): ("0 1", "1 -1", "1/2 -1/2"),
    (3, 2): ("0 1 -1", "0 1/2 -1/2"),
    (4, 2): ("0 1 -1 2", "1/2 -1/2 1 -1", "3/8 -3/8 5/4 -5/4"),
    (2, 3): ("0 1 -1", "0 1/2 -1/2", "0 2 -2"),
    (3, 3): ("0 1 -1 2", "0 1 -1 1/2", "1/2 -1/2 1 -1", "3/8 -3/8 5/4 -5/4"),
    (4, 3): (
        "0 1 -1 2 -2",
        "0 1 -1 1/2 -1/2",
        "0 1 -1 1/2 -2",
        "0 3/4 -3/4 3/2 -3/2",
        "0 3/4 -3/4 11/8 -11/8",
        "0 5/8 -5/8 13/8 -13/8",
    ),
    (6, 3): (
        "0 1 -1 2 -2 3 -3",
        "0 1 -1 1/2 -1/2 3/2 -3/2",
        "0 5/8 -5/8 1 -1 13/8 -13/8",
        "0 1/2 -1/2 1 -1 2 -2",
    ),
    (2, 5): ("0 1 -1 2 -2", "0 5/8 -5/8 13/8 -13/8"),
    (4, 5): ("0 1 -1 2 -2 3 -3", "0 1/2 -1/2 1 -1 2 -2"),
}
"""By outputs and taps, points besides infinity; the textbooks' first."""
SEARCHED = tuple(Fraction(k, 8) for k in range(1, 17))


def main() -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--search", action="store_true", help="try all points of few digits")
    if parser.parse_args().search:
        for form in STUDIED:
            rich.print(form, *best_points(*form), sep="\n  ")
    depths = by_depth()
    text = f"{HEAD}\n{depths}\n\n{HEAD_OF_POINTS}\n{by_points()}\n"
    RESULT.write_text(text, encoding="utf-8")
    readme = README.read_text(encoding="utf-8")
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit("README.md: expected a block named winograd errors")
    README.write_text(f"{before}{begin}\n{depths}\n{end}{after}", encoding="utf-8")


HEAD = f"""# Rounding errors of Winograd's convolution

Written by `benchmarks/winograd_error.py`: the largest difference from float64 over the largest
result, and in brackets how many times that of PyTorch's direct convolution on the same data.
Kernels of 3x3, {OUTPUTS} output channels, {SIZE}x{SIZE} positions, float32. `normal` data and
weights are normal random numbers; `relu` is the same data with zeros for what is negative.

`precision="high"` takes what stays within 4 times: F(2x2) and F(3x3).
"""
HEAD_OF_POINTS = f"""## Points

Of one axis: how far a model of independent roundings is amplified (the result that is worst off,
against sums of as many products as there are taps), and the error of a float32 emulation with both
axes, {EMULATED_DEPTH} channels. Those in bold are used. Infinity is a point of all.
"""


def by_depth() -> str:
    """Return a table of errors by channels."""
    rows: dict[str, list[str]] = {}
    for kind, depth in itertools.product(("normal", "relu"), DEPTHS):
        for name, error, times in errors(depth, kind):
            rows.setdefault(name, []).append(f"{error:.1e} ({times:.1f})")
    head = ["", *(f"{kind}, {depth}" for kind in ("normal", "relu") for depth in DEPTHS)]
    return _markdown([head, *([name, *cells] for name, cells in rows.items())])


def errors(depth: int, kind: str) -> Iterator[tuple[str, float, float]]:
    """Yield names, errors, and these over PyTorch's, or over the direct algorithm's without it."""
    line = f"conv forward x=1x{depth}x{SIZE}x{SIZE} w={OUTPUTS}x{depth}x3x3 p=1"
    rng = np.random.default_rng(depth)
    x = rng.standard_normal((1, depth, SIZE, SIZE))
    x = (np.maximum(x, 0) if kind == "relu" else x).astype(np.float32)
    w = rng.standard_normal((OUTPUTS, depth, 3, 3)).astype(np.float32)
    precise = _solved(f"{line} float64", x.astype(float), w.astype(float), "implicit_gemm")
    results = {"fastconv, direct": _solved(f"{line} float32", x, w, "implicit_gemm")}
    results.update(
        (f"F({a.outputs}x{a.outputs})", _solved(f"{line} float32", x, w, a.name)) for a in WINOGRADS
    )
    try:
        import torch

        y = torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(w), padding=1)
        results = {"PyTorch, direct": y.numpy(), **results}
    except ImportError:
        pass
    largest = np.abs(precise).max()
    found = {name: float(np.abs(y - precise).max() / largest) for name, y in results.items()}
    first = next(iter(found.values()))
    for name, error in found.items():
        yield name, error, error / first


def _solved(line: str, x: Array, w: Array, algorithm: str) -> Array:
    problem = Problem.parse(line)
    y = np.empty(problem.result_shape, problem.dtype)
    with settings(algorithm=algorithm):
        plan_for(problem).run((x, w, None), (y,))
    return y


def by_points() -> str:
    """Return a table of the points that were studied."""
    rows = [["F", "points", "amplified", "emulated error"]]
    for (outputs, taps), sets in STUDIED.items():
        for words in dict.fromkeys((*sets, POINTS[outputs, taps])):
            axis = transform_over(_points(words), taps)
            shown = f"**{words}**" if words == POINTS[outputs, taps] else words
            rows.append(
                [
                    f"F({outputs}, {taps})",
                    shown,
                    f"{amplification(axis):.2f}",
                    f"{emulated_error(axis):.1e}",
                ]
            )
    return _markdown(rows)


def amplification(axis: Transform) -> float:
    """Return how much larger errors are than those of sums of `taps` products.

    A model of independent roundings: each product of a point has an error in proportion to the
    sizes of what is multiplied, which the powers of the points carry into the results.
    """
    norms = [
        float(_square(row) * _square(weights))
        for row, weights in zip(axis.input, axis.weight, strict=True)
    ]
    worst = max(
        sum(float(entry) ** 2 * norm for entry, norm in zip(row, norms, strict=True))
        for row in axis.output
    )
    return float((worst / axis.taps) ** 0.5)


def emulated_error(axis: Transform) -> float:
    """Return the largest error of both axes over the largest result, by NumPy in float32."""
    rng = np.random.default_rng(0)
    size, taps = axis.size, axis.taps
    x = rng.standard_normal((200, EMULATED_DEPTH, size, size)).astype(np.float32)
    w = rng.standard_normal((16, EMULATED_DEPTH, taps, taps)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(float), (taps, taps), (2, 3))
    precise = np.einsum("tchwij,kcij->tkhw", windows, w.astype(float), optimize=True)
    inputs, outputs = (_matrix(rows).astype(np.float32) for rows in (axis.input, axis.output))
    weights = _matrix(axis.weight)
    u = np.einsum("ia,kcab,jb->ijkc", weights, w.astype(float), weights).astype(np.float32)
    v = np.matmul(np.matmul(inputs, x), inputs.T).transpose(2, 3, 1, 0)
    products = np.zeros((size, size, 16, 200), np.float32)
    for channel in range(EMULATED_DEPTH):  # one after the other, as the micro-kernel adds
        products += u[..., channel, np.newaxis] * v[..., channel, np.newaxis, :]
    y = np.matmul(np.matmul(outputs, products.transpose(3, 2, 0, 1)), outputs.T)
    return float(np.abs(y - precise).max() / np.abs(precise).max())


def best_points(outputs: int, taps: int) -> list[str]:
    """Return the best points of eighths up to 2: pairs of both signs, and 0 or one alone."""
    count = outputs + taps - 2
    found = []
    for pairs in itertools.combinations(SEARCHED, count // 2):
        points = [point for size in pairs for point in (size, -size)]
        alone = [Fraction(0)] if count % 2 else []
        axis = transform_over((*alone, *points), taps)
        found.append((amplification(axis), " ".join(map(str, (*alone, *points)))))
    return [f"{amplified:.2f}: {words}" for amplified, words in sorted(found)[:4]]


def _points(words: str) -> tuple[Fraction, ...]:
    return tuple(Fraction(word) for word in words.split())


def _matrix(rows: tuple[tuple[Fraction, ...], ...]) -> Array:
    return np.array([[float(entry) for entry in row] for row in rows])


def _square(row: tuple[Fraction, ...]) -> Fraction:
    return sum((entry * entry for entry in row), Fraction(0))


def _markdown(rows: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(rows[0]) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (rows[0], rule, *rows[1:]))


if __name__ == "__main__":
    main()
