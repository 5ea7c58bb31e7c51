"""The words of a problem's line, `key=value`, read into geometries and numbers."""

from typing import Any

from fastconv import parameters
from fastconv.errors import ParameterError, ShapeError
from fastconv.geometry import batched_shape, conv_geometry, window_geometry
from fastconv.geometry_special import deform_geometry, local_geometry
from fastconv.planes import (
    PLANES,
    Geometry,
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
