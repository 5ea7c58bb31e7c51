"""The words of a problem's line, `key=value`: geometries and numbers, read and written."""

from typing import Any

from fastconv import parameters
from fastconv.errors import ParameterError, ShapeError
from fastconv.geometry import (
    ConvGeometry,
    WindowGeometry,
    batched_shape,
    conv_geometry,
    window_geometry,
)
from fastconv.geometry_special import DeformGeometry, deform_geometry, local_geometry
from fastconv.planes import (
    PLANES,
    FractionalGeometry,
    Geometry,
    ScatterGeometry,
    adaptive_geometry,
    fractional_geometry,
    scatter_geometry,
)


def geometry_of(operation: str, fields: dict[str, str]) -> Geometry:
    """Return what the words of a line describe, or refuse."""
    given = parameters.shape("x", _numbers(fields["x"]))
    rank = len(given) - 2
    if rank < 1:
        raise ShapeError(f"x: expected (N, C, *sizes), got {given}")
    empty = "all" if operation == "conv" else "channels" if operation in PLANES else "batch"
    batched_shape("x", given, rank, empty)
    if operation in PLANES:
        return _planes_geometry(operation, given, fields)
    stride = parameters.integers("s", _numbers(fields.get("s", "1")), rank)
    dilation = parameters.integers("d", _numbers(fields.get("d", "1")), rank)
    padding = parameters.padding_pairs("p", _pads(fields.get("p", "0")), rank)
    if operation in ("conv", "local_conv", "deform_conv"):
        groups = parameters.integer("g", number(fields.get("g", "1")))
        weight = parameters.shape("w", _numbers(fields.get("w", "")))
        out = parameters.integers("o", _numbers(fields["o"]), rank, 0) if "o" in fields else ()
        place = (stride, padding, dilation, groups)
        if operation == "deform_conv":
            offset_groups = parameters.integer("og", number(fields.get("og", "1")))
            masked = flag(fields.get("mask", "0"))
            return deform_geometry(given, weight, *place, offset_groups, masked)
        if operation == "local_conv":
            return local_geometry(given, weight, *place)
        return conv_geometry(given, weight, *place, out)
    kernel = parameters.integers("k", _numbers(fields.get("k", "")), rank)
    rounding = parameters.rounding(fields.get("round"), flag(fields.get("ceil", "0")))
    repeats = fields.get("mode", "zeros") != "zeros"
    return window_geometry(given, kernel, stride, padding, dilation, rounding, repeats)


def _planes_geometry(operation: str, given: tuple[int, ...], fields: dict[str, str]) -> Geometry:
    rank = len(given) - 2
    out = parameters.integers("o", _numbers(fields.get("o", "")), rank, 0)
    if operation == "fractional_max_pool":
        kernel = parameters.integers("k", _numbers(fields.get("k", "")), rank)
        return fractional_geometry(given, kernel, out)
    if operation.startswith("adaptive"):
        return adaptive_geometry(given, out)
    return scatter_geometry(given, out)


def reals(operation: str, fields: dict[str, str]) -> dict[str, float]:
    """Read the number that an lp pool and a quantile need."""
    reals = {}
    for key, owner, name, check in (
        ("norm", "lp_pool", "norm", parameters.norm),
        ("q", "quantile_pool", "quantile", parameters.quantile),
    ):
        if (key in fields) != (operation == owner):
            raise ParameterError(f"problem: {owner} and no other has {key}=, not {operation}")
        if key in fields:
            reals[name] = check(key, _real(fields[key]))
    return reals


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ParameterError(f"problem: expected a number, got {text!r}") from None


def _pads(text: str) -> tuple[Any, ...]:
    return tuple(
        tuple(map(number, part.split(":"))) if ":" in part else number(part)
        for part in text.split("x")
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(number, text.split("x")))


def number(text: str) -> int:
    """Return an integer, or refuse."""
    try:
        return int(text)
    except ValueError:
        raise ParameterError(f"problem: expected an integer, got {text!r}") from None


def flag(text: str) -> bool:
    """Return whether a word is 1 and not 0."""
    if text not in ("0", "1"):
        raise ParameterError(f"problem: expected 0 or 1, got {text!r}")
    return text == "1"


def geometry_words(geometry: Geometry) -> list[str]:
    """Return the words that `geometry_of` reads back; those that say nothing are empty."""
    x = f"x={_joined(geometry.input_shape)}"
    if not isinstance(geometry, ScatterGeometry):
        return [x, *_window_words(geometry)]
    kernel = geometry.kernel if isinstance(geometry, FractionalGeometry) else ()
    return [x, f"o={_joined(geometry.out)}", f"k={_joined(kernel)}" if kernel else ""]


def _window_words(geometry: WindowGeometry) -> list[str]:
    axes = geometry.axes
    pads = tuple(
        str(axis.before) if axis.before == axis.after else f"{axis.before}:{axis.after}"
        for axis in axes
    )
    kernel, groups = f"k={_joined(geometry.kernel)}", 1
    fewer: tuple[int, ...] = ()
    if isinstance(geometry, ConvGeometry):
        kernel, groups = f"w={_joined(geometry.weight_shape)}", geometry.groups
        fewer = geometry.fewer_out
    return [
        kernel,
        _short("s", tuple(str(axis.stride) for axis in axes), "1"),
        _short("p", pads, "0"),
        _short("d", tuple(str(axis.dilation) for axis in axes), "1"),
        "" if groups == 1 else f"g={groups}",
        {"floor": "", "ceil": "ceil=1"}.get(geometry.rounding, f"round={geometry.rounding}"),
        f"o={_joined(fewer)}" if fewer else "",
        *(_deform_words(geometry) if isinstance(geometry, DeformGeometry) else ()),
    ]


def _deform_words(geometry: DeformGeometry) -> tuple[str, str]:
    groups = geometry.offset_groups
    return "" if groups == 1 else f"og={groups}", "mask=1" if geometry.masked else ""


def _joined(items: tuple[int, ...]) -> str:
    return "x".join(map(str, items))


def _short(key: str, values: tuple[str, ...], default: str) -> str:
    if set(values) == {default}:
        return ""
    return f"{key}={values[0] if len(set(values)) == 1 else 'x'.join(values)}"
