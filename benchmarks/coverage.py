"""What fastconv has, beside what PyTorch, JAX, ONNX, SciPy and Keras call it: the README's table.

    .venv/bin/python -m benchmarks.coverage            # write the table
    .venv/bin/python -m benchmarks.coverage --check    # look every name up, and the README

A cell is a name, with the parameters that make the feature after a colon. `{1,2,3}` stands for
each of them. Names of fastconv must exist with these parameters, and so must those of the others
where they are installed; below the table stands in which versions they were last found.
"""

import argparse
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

README = Path(__file__).parent.parent / "README.md"
SYSTEMS = {
    "PyTorch": "torch",
    "JAX": "jax",
    "ONNX": "onnx",
    "SciPy": "scipy",
    "Keras": "keras",
}
SHORT = {
    "nn.functional.": "torch.nn.functional.",
    "nn.grad.": "torch.nn.grad.",
    "nn.": "torch.nn.",
    "lax.": "jax.lax.",
    "signal.": "scipy.signal.",
    "ndimage.": "scipy.ndimage.",
    "special.": "scipy.special.",
    "ops.": "keras.ops.",
    "layers.": "keras.layers.",
}
NONE = "–"
ROWS: tuple[tuple[str, str, str, str, str, str, str], ...] = (
    # feature, PyTorch, JAX, ONNX, SciPy, Keras, fastconv
    (
        "convolution",
        "nn.functional.conv{1,2,3}d",
        "lax.conv_general_dilated",
        "Conv",
        "signal.correlate",
        "ops.conv",
        "conv{1,2,3}d",
    ),
    (
        "of signals with the time first",
        "nn.functional.conv_tbc",
        "lax.conv_general_dilated: dimension_numbers",
        NONE,
        NONE,
        NONE,
        "conv_tbc",
    ),
    (
        "its stride, dilation, groups",
        "nn.functional.conv{1,2,3}d: stride, dilation, groups",
        "lax.conv_general_dilated: window_strides, rhs_dilation, feature_group_count",
        "Conv: strides, dilations, group",
        NONE,
        "ops.conv: strides, dilation_rate",
        "conv{1,2,3}d: stride, dilation, groups",
    ),
    (
        "uneven padding",
        NONE,
        "lax.conv_general_dilated: padding",
        "Conv: pads",
        NONE,
        NONE,
        "conv{1,2,3}d: padding",
    ),
    (
        "padding of that size with any stride",
        NONE,
        "lax.conv_general_dilated: padding",
        "Conv: auto_pad",
        NONE,
        "ops.conv: padding",
        "conv{1,2,3}d: padding",
    ),
    (
        "channels last",
        NONE,
        "lax.conv_general_dilated: dimension_numbers",
        NONE,
        NONE,
        "ops.conv: data_format",
        "conv{1,2,3}d: layout",
    ),
    (
        "an activation with it",
        NONE,
        NONE,
        NONE,
        NONE,
        "layers.Conv2D: activation",
        "conv{1,2,3}d: activation",
    ),
    (
        "gradient of the input",
        "nn.grad.conv{1,2,3}d_input",
        NONE,
        NONE,
        NONE,
        NONE,
        "conv{1,2,3}d_input",
    ),
    (
        "gradient of the weight",
        "nn.grad.conv{1,2,3}d_weight",
        NONE,
        NONE,
        NONE,
        NONE,
        "conv{1,2,3}d_weight",
    ),
    (
        "mirrored, repeated or wrapped borders",
        "nn.Conv2d: padding_mode",
        NONE,
        NONE,
        "ndimage.correlate: mode",
        NONE,
        "conv{1,2,3}d: padding_mode",
    ),
    (
        "pools over such borders",
        NONE,
        NONE,
        NONE,
        "ndimage.maximum_filter: mode",
        NONE,
        "max_pool{1,2,3}d: padding_mode; avg_pool{1,2,3}d: padding_mode",
    ),
    (
        "gradient of the bias",
        NONE,
        NONE,
        NONE,
        NONE,
        NONE,
        "conv{1,2,3}d_bias",
    ),
    (
        "separable convolution",
        NONE,
        NONE,
        NONE,
        NONE,
        "ops.separable_conv",
        "separable_conv{1,2,3}d",
    ),
    (
        "streaming, with carried state",
        NONE,
        NONE,
        "CausalConvWithState",
        NONE,
        NONE,
        "causal_conv1d: state",
    ),
    (
        "integers summed exactly or refused",
        NONE,
        "lax.conv_general_dilated: preferred_element_type",
        "ConvInteger",
        NONE,
        NONE,
        "conv{1,2,3}d: acc_dtype",
    ),
    (
        "transposed convolution",
        "nn.functional.conv_transpose{1,2,3}d",
        "lax.conv_transpose",
        "ConvTranspose",
        NONE,
        "ops.conv_transpose",
        "conv_transpose{1,2,3}d",
    ),
    (
        "its output padding, output size",
        "nn.functional.conv_transpose{1,2,3}d: output_padding",
        NONE,
        "ConvTranspose: output_padding, output_shape",
        NONE,
        "ops.conv_transpose: output_padding",
        "conv_transpose{1,2,3}d: output_padding, output_size",
    ),
    (
        "its gradients as functions",
        NONE,
        NONE,
        NONE,
        NONE,
        NONE,
        "conv_transpose{1,2,3}d_input, conv_transpose{1,2,3}d_weight",
    ),
    (
        "weights packed once",
        NONE,
        NONE,
        NONE,
        NONE,
        NONE,
        "prepare_conv, prepare_conv_transpose",
    ),
    (
        "locally connected",
        NONE,
        "lax.conv_general_dilated_local",
        NONE,
        NONE,
        NONE,
        "local_conv{1,2,3}d, local_conv{1,2,3}d_input, local_conv{1,2,3}d_weight",
    ),
    (
        "deformable, v1 and v2",
        "torchvision.ops.deform_conv2d",
        NONE,
        "DeformConv",
        NONE,
        NONE,
        "deform_conv2d, deform_conv2d_backward",
    ),
    (
        "windows as a view",
        "torch.Tensor.unfold",
        NONE,
        NONE,
        NONE,
        NONE,
        "sliding_windows",
    ),
    (
        "im2col",
        "nn.functional.unfold",
        "lax.conv_general_dilated_patches",
        NONE,
        NONE,
        "ops.unfold",
        "im2col, unfold",
    ),
    (
        "col2im",
        "nn.functional.fold",
        NONE,
        "Col2Im",
        NONE,
        "ops.fold",
        "col2im, fold",
    ),
    (
        "columns of mirrored or repeated borders",
        NONE,
        NONE,
        NONE,
        NONE,
        NONE,
        "im2col: padding_mode, pad_value; col2im: padding_mode",
    ),
    (
        "the column orders of other libraries",
        NONE,
        NONE,
        NONE,
        NONE,
        NONE,
        "im2col: dialect; col2im: dialect",
    ),
    (
        "max pool",
        "nn.functional.max_pool{1,2,3}d",
        "lax.reduce_window",
        "MaxPool",
        "ndimage.maximum_filter",
        "ops.max_pool",
        "max_pool{1,2,3}d",
    ),
    (
        "its indices",
        "nn.functional.max_pool{1,2,3}d: return_indices; "
        "nn.functional.max_pool{1,2,3}d_with_indices",
        NONE,
        "MaxPool",
        NONE,
        NONE,
        "max_pool{1,2,3}d: return_indices; max_pool{1,2,3}d_with_indices",
    ),
    (
        "its dilation, ceil mode",
        "nn.functional.max_pool{1,2,3}d: dilation, ceil_mode",
        "lax.reduce_window: window_dilation",
        "MaxPool: dilations, ceil_mode",
        NONE,
        NONE,
        "max_pool{1,2,3}d: dilation, ceil_mode",
    ),
    (
        "its gradient as a function",
        NONE,
        NONE,
        NONE,
        NONE,
        NONE,
        "max_pool{1,2,3}d_backward",
    ),
    (
        "average pool",
        "nn.functional.avg_pool{1,2,3}d",
        "lax.reduce_window",
        "AveragePool",
        "ndimage.uniform_filter",
        "ops.average_pool",
        "avg_pool{1,2,3}d",
    ),
    (
        "what it divides by",
        "nn.functional.avg_pool{2,3}d: count_include_pad, divisor_override",
        NONE,
        "AveragePool: count_include_pad",
        NONE,
        NONE,
        "avg_pool{2,3}d: count_include_pad, divisor_override",
    ),
    (
        "its gradient as a function",
        NONE,
        NONE,
        NONE,
        NONE,
        NONE,
        "avg_pool{1,2,3}d_backward",
    ),
    (
        "rounding up as Chainer does",
        NONE,
        NONE,
        NONE,
        NONE,
        NONE,
        "max_pool{1,2,3}d: rounding; avg_pool{1,2,3}d: rounding",
    ),
    (
        "whether NaN counts",
        NONE,
        NONE,
        NONE,
        NONE,
        NONE,
        "max_pool{1,2,3}d: nan",
    ),
    (
        "min pool",
        NONE,
        "lax.reduce_window",
        NONE,
        "ndimage.minimum_filter",
        NONE,
        "min_pool{1,2,3}d, min_pool{1,2,3}d_backward",
    ),
    (
        "median and quantile pool",
        NONE,
        NONE,
        NONE,
        "ndimage.percentile_filter",
        NONE,
        "median_pool{1,2,3}d, median_pool{1,2,3}d_backward, "
        "quantile_pool{1,2,3}d, quantile_pool{1,2,3}d_backward",
    ),
    (
        "lp pool",
        "nn.functional.lp_pool{1,2,3}d",
        NONE,
        "LpPool",
        NONE,
        NONE,
        "lp_pool{1,2,3}d, lp_pool{1,2,3}d_backward",
    ),
    (
        "adaptive max pool",
        "nn.functional.adaptive_max_pool{1,2,3}d, "
        "nn.functional.adaptive_max_pool{1,2,3}d_with_indices",
        NONE,
        NONE,
        NONE,
        "ops.adaptive_max_pool",
        "adaptive_max_pool{1,2,3}d, adaptive_max_pool{1,2,3}d_with_indices, "
        "adaptive_max_pool{1,2,3}d_backward",
    ),
    (
        "adaptive average pool",
        "nn.functional.adaptive_avg_pool{1,2,3}d",
        NONE,
        NONE,
        NONE,
        "ops.adaptive_average_pool",
        "adaptive_avg_pool{1,2,3}d, adaptive_avg_pool{1,2,3}d_backward",
    ),
    (
        "fractional max pool",
        "nn.functional.fractional_max_pool{2,3}d, "
        "nn.functional.fractional_max_pool{2,3}d_with_indices",
        NONE,
        NONE,
        NONE,
        NONE,
        "fractional_max_pool{2,3}d, fractional_max_pool{2,3}d_with_indices, "
        "fractional_max_pool{2,3}d_backward",
    ),
    (
        "max unpool",
        "nn.functional.max_unpool{1,2,3}d",
        NONE,
        "MaxUnpool",
        NONE,
        NONE,
        "max_unpool{1,2,3}d, max_unpool{1,2,3}d_backward",
    ),
    (
        "global pools",
        NONE,
        NONE,
        "GlobalMaxPool, GlobalAveragePool, GlobalLpPool",
        NONE,
        "layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D",
        "global_max_pool, global_max_pool_backward, global_avg_pool, global_avg_pool_backward, "
        "global_lp_pool, global_lp_pool_backward",
    ),
    (
        "scale, shift, residual, activation in one pass",
        NONE,
        NONE,
        NONE,
        NONE,
        NONE,
        "affine: scale, shift, residual, activation; activation_backward",
    ),
    (
        "batch normalisation",
        "nn.functional.batch_norm",
        NONE,
        "BatchNormalization",
        NONE,
        "layers.BatchNormalization",
        "batch_norm, batch_norm_backward",
    ),
    (
        "softmax",
        "nn.functional.softmax, nn.functional.log_softmax",
        NONE,
        "Softmax, LogSoftmax",
        "special.softmax, special.log_softmax",
        "ops.softmax, ops.log_softmax",
        "softmax, softmax_backward, log_softmax, log_softmax_backward",
    ),
    (
        "the plan of a call, printed",
        NONE,
        NONE,
        NONE,
        NONE,
        NONE,
        "explain",
    ),
    (
        "scratch memory bounded by the caller",
        NONE,
        NONE,
        NONE,
        NONE,
        NONE,
        "settings",
    ),
)


def table() -> str:
    """Return the table as Markdown."""
    head = ["", *SYSTEMS, "fastconv"]
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |"]
    for feature, *cells in ROWS:
        lines.append(f"| {' | '.join([feature, *map(_shown, cells)])} |")
    return "\n".join(lines)


def _shown(cell: str) -> str:
    """Return a cell with its names as code, ranks as a star."""
    if cell == NONE:
        return NONE
    parts = []
    for part in cell.split("; "):
        names, _, parameters = part.partition(": ")
        shown = ", ".join(f"`{re.sub('{[^}]*}', '*', name)}`" for name in _split(names))
        parts.append(f"{shown} ({parameters})" if parameters else shown)
    return ", ".join(parts)


def _split(names: str) -> list[str]:
    return re.split(r", (?![^{]*})", names)


def entries(cell: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each full name of a cell, and the parameters it must have."""
    if cell == NONE:
        return
    for part in cell.split("; "):
        names, _, parameters = part.partition(": ")
        for name in _split(names):
            found = re.search("{([^}]*)}", name)
            ranks = found.group(1).split(",") if found else [""]
            for rank in ranks:
                full = re.sub("{[^}]*}", rank, name)
                yield full, [word for word in parameters.split(", ") if word]


def mistakes(column: int, look_up: Callable[[str], Any]) -> list[str]:
    """Return what is not as a column says: `look_up` finds a name, or raises."""
    wrong = []
    for row in ROWS:
        for name, parameters in entries(row[column]):
            try:
                found = look_up(name)
            except (AttributeError, ImportError) as error:
                wrong.append(f"{row[0]}: {name}: {error}")
                continue
            known = _parameters(found)
            wrong += [f"{row[0]}: {name} has no {word}" for word in parameters if word not in known]
    return wrong


def _parameters(found: Any) -> set[str]:
    """Return the names of parameters, from a signature or, of built-in functions, the docs."""
    if isinstance(found, set):
        return found
    names = set(re.findall(r"\w+", found.__doc__ or ""))
    try:
        return names | set(inspect.signature(found).parameters)
    except (TypeError, ValueError):
        return names


def of_fastconv(name: str) -> Any:
    """Find a public function of fastconv, whose signature alone counts."""
    import fastconv

    if name not in fastconv.__all__:
        raise AttributeError(f"fastconv has no {name!r}")
    return set(inspect.signature(getattr(fastconv, name)).parameters)


def of_package(name: str) -> Any:
    """Find what a package's dotted name stands for."""
    for short, full in SHORT.items():
        if name.startswith(short):
            name = full + name.removeprefix(short)
            break
    parts = name.split(".")
    if parts[0] == "keras":
        os.environ.setdefault("KERAS_BACKEND", "numpy")  # the one that needs nothing else
    if importlib.util.find_spec(parts[0]) is None:
        return _Anything()
    found: Any = importlib.import_module(parts[0])
    for index, part in enumerate(parts[1:], 2):
        if not hasattr(found, part):
            importlib.import_module(".".join(parts[:index]))
        found = getattr(found, part)
    return found


class _Anything(set[str]):
    """What a package that is missing may have."""

    def __contains__(self, _: object) -> bool:
        return True


def of_onnx(name: str) -> Any:
    """Return the attributes of an operator of ONNX."""
    import onnx

    if not onnx.defs.has(name):
        raise AttributeError(f"ONNX has no operator {name!r}")
    return set(onnx.defs.get_schema(name).attributes)


def installed(system: str) -> bool:
    """Whether a system can be looked into here."""
    return importlib.util.find_spec(SYSTEMS[system]) is not None


def check() -> list[str]:
    """Return every mistake: names that do not exist, and a README that is not up to date."""
    wrong = [f"fastconv: {words}" for words in mistakes(len(SYSTEMS) + 1, of_fastconv)]
    for column, system in enumerate(SYSTEMS, 1):
        if installed(system):
            look_up = of_onnx if system == "ONNX" else of_package
            wrong += [f"{system}: {words}" for words in mistakes(column, look_up)]
    if written(README.read_text(encoding="utf-8")) != README.read_text(encoding="utf-8"):
        wrong.append("README.md: run python -m benchmarks.coverage")
    return wrong


def written(text: str) -> str:
    """Return the README with the table in its place."""
    block = re.compile(
        r"(<!-- coverage: written by benchmarks/coverage.py -->\n).*?(<!-- end of coverage -->)",
        re.DOTALL,
    )
    return block.sub(lambda found: f"{found[1]}{table()}\n{found[2]}", text)


def looked_up(text: str, keep: bool) -> str:
    """Return the README with the versions looked into, and maybe those of what is missing."""
    block = re.compile(r"(<!-- looked up -->\n).*?(\n<!-- end of looked up -->)", re.DOTALL)
    found = block.search(text)
    known = dict(re.findall(r"(\w+) ([\d.]+\d)", found[0])) if found and keep else {}
    for system, package in SYSTEMS.items():
        if installed(system):
            known[system] = re.sub(r"[^\d.].*", "", importlib.metadata.version(package))
    versions = ", ".join(f"{system} {known[system]}" for system in SYSTEMS if system in known)
    return block.sub(lambda found: f"{found[1]}All names were found in {versions}.{found[2]}", text)


def main() -> None:
    """Write the table, or look whether all is as it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    write = not parser.parse_args().check
    before = README.read_text(encoding="utf-8")
    if write:
        README.write_text(written(before), encoding="utf-8")
    wrong = check()
    missing = [system for system in SYSTEMS if not installed(system)]
    if missing:
        sys.stderr.write(f"not installed, so not looked into: {', '.join(missing)}\n")
    if wrong:
        sys.exit("\n".join(wrong))
    if write:
        text = written(before)
        README.write_text(looked_up(text, keep=text == before), encoding="utf-8")


if __name__ == "__main__":
    main()
