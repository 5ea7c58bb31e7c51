"""Measures the rounding errors of every dtype, and writes them into the README.

    .venv/bin/python -m benchmarks.accuracy

The block of the README between `<!-- accuracy: written by benchmarks/accuracy.py -->` and
`<!-- end of accuracy -->` is replaced. Errors are the largest difference from sums of the same
numbers in extended precision, over the largest of those. PyTorch's stand beside them where it is
installed.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastconv as F
from fastconv.dtypes import Array, Dtype, row_of, with_bfloat16

README = Path(__file__).parent.parent / "README.md"
BEGIN = "<!-- accuracy: written by benchmarks/accuracy.py -->"
END = "<!-- end of accuracy -->"
X, W, Y = (2, 64, 28, 28), (32, 64, 3, 3), (2, 32, 28, 28)
SEED = 7
Arrays = dict[str, Array]
CALLS: dict[str, Callable[[Arrays], Array]] = {
    "conv2d": lambda a: F.conv2d(a["x"], a["w"], padding=1),
    "conv2d_input": lambda a: F.conv2d_input(X, a["w"], a["gy"], padding=1),
    "conv2d_weight": lambda a: F.conv2d_weight(a["x"], W, a["gy"], padding=1),
    "avg_pool2d": lambda a: F.avg_pool2d(a["x"], 7),
}
DEFINITIONS: dict[str, Callable[[Arrays], Array]] = {
    "conv2d": lambda a: np.einsum("nchwij,ocij->nohw", _windows(a["x"]), a["w"]),
    "conv2d_input": lambda a: np.einsum(
        "nohwij,ocij->nchw", _windows(a["gy"]), a["w"][:, :, ::-1, ::-1].conj()
    ),
    "conv2d_weight": lambda a: np.einsum("nchwij,nohw->ocij", _windows(a["x"]).conj(), a["gy"]),
    "avg_pool2d": lambda a: F.sliding_windows(a["x"], 7, 7).mean((-2, -1)),
}


def main() -> None:
    """Measure and render."""
    text = README.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    block = f"{BEGIN}\n{table()}\n{END}"
    text, count = pattern.subn(lambda _: block, text)
    if count != 1:
        raise SystemExit(f"README.md: expected one block named accuracy, found {count}")
    README.write_text(text, encoding="utf-8")


def table() -> str:
    """Return one row a dtype: what sums are kept in and come in, and how far they are off."""
    head = ["dtype", "sums kept in", "returned in", "sums exact up to", *CALLS, "conv2d of PyTorch"]
    rows = [_row(row_of(name).dtype) for name in with_bfloat16()]
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def _row(dtype: Dtype) -> list[str]:
    row = row_of(dtype)
    whole = dtype.kind in "biu"
    limit = (row.exact_limit + (1 if whole else 0)).bit_length() - 1
    kept = "`acc_dtype`" if dtype == np.uint64 else row.accumulator.name
    back = "`acc_dtype`" if dtype == np.uint64 else row.sums.name
    about = [dtype.name, kept, back, f"2^{limit}{' - 1' if whole else ''}"]
    if whole:
        return [*about, *["exact"] * (len(CALLS) - 1), "truncated", ""]
    arrays = operands(dtype)
    return [*about, *(f"{error(name, arrays):.1e}" for name in CALLS), _of_torch(arrays)]


def operands(dtype: Dtype) -> Arrays:
    """Return normal random arrays of a dtype, the same for all: rounded from float64."""
    rng = np.random.default_rng(SEED)
    arrays = {}
    for name, shape in (("x", X), ("w", W), ("gy", Y)):
        values = rng.standard_normal(shape)
        if dtype.kind == "c":
            values = values + 1j * rng.standard_normal(shape)
        arrays[name] = values.astype(dtype)
    return arrays


def error(name: str, arrays: Arrays) -> float:
    """Return the largest error of a call over its largest result."""
    return difference(CALLS[name](arrays), name, arrays)


def difference(got: Array, name: str, arrays: Arrays) -> float:
    """Return the largest difference from what a call should give, over the largest of that."""
    kind = np.clongdouble if arrays["x"].dtype.kind == "c" else np.longdouble
    precise = DEFINITIONS[name]({name: array.astype(kind) for name, array in arrays.items()})
    return float(np.abs(got.astype(kind) - precise).max() / np.abs(precise).max())


def _windows(x: Array) -> Array:
    """View the windows of 3x3 over an input padded by 1."""
    return F.sliding_windows(np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)]), 3)


def _of_torch(arrays: Arrays) -> str:
    try:
        import torch
    except ImportError:
        return ""
    tensors = {name: _tensor(torch, array) for name, array in arrays.items()}
    y = torch.nn.functional.conv2d(tensors["x"], tensors["w"], padding=1)
    got: Array = y.to(torch.complex128 if y.is_complex() else torch.float64).numpy()
    return f"{difference(got, 'conv2d', arrays):.1e}"


def _tensor(torch: Any, array: Array) -> Any:
    if array.dtype.kind == "V":
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)


if __name__ == "__main__":
    main()
