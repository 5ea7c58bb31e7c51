"""The table of real layers, as named problems."""

import json
import re
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

from fastconv.cli.draft import Draft
from fastconv.errors import ParameterError
from fastconv.planes import scatter_geometry
from fastconv.problem import Direction, Operation, Problem

DIRECTIONS: dict[str, Direction] = {
    "forward": "forward",
    "input": "input_gradient",
    "weight": "weight_gradient",
    "tiny": "forward",
    "transposed": "input_gradient",
}
POOLS = ("pool", "pool-backward")
COLUMNS: dict[str, Direction] = {"unfold": "forward", "fold": "input_gradient"}
CHOICES = (*DIRECTIONS, *POOLS, *COLUMNS)
"""What `layers` takes as its direction: one of a convolution's, one of `TABLES`, or columns."""
TABLES = {**dict.fromkeys(POOLS, "pooling"), "tiny": "tiny", "transposed": "transposed"}
"""The tables of those that are not convolutions."""


@dataclass(frozen=True)
class Layer:
    """A layer of a known network, and the problem of one direction of it.

    Attributes
    ----------
    name : str
        The network's and the layer's.
    problem : Problem
        What is solved.
    pool : Problem or None
        Where the problem is the gradient of a maximum, the pool that found the places.
    """

    name: str
    problem: Problem
    pool: Problem | None = None


def layers(
    direction: str = "forward", pattern: str = "", dtype: str = "float32", batch: int = 1
) -> list[Layer]:
    """Return the layers whose name a pattern matches.

    Parameters
    ----------
    direction : str
        "forward", "input" or "weight" for convolutions, "tiny" for those forward in which a call
        itself is what takes time, "transposed" for transposed ones forward, "pool" for pools,
        "pool-backward" for their gradients,
        "unfold" and "fold" for the columns of convolutions in two dimensions.
    pattern : str
        Regular expression searched for in the names; all of them by default.
    dtype : str
        Of the arrays.
    batch : int
        If not 1, the layers of one sample have so many instead, and those of more are left out.

    Returns
    -------
    list of Layer
        In the order of the table.

    Raises
    ------
    ParameterError
        If the direction is unknown, the pattern is malformed, or no name matches it.
    """
    if direction not in CHOICES:
        raise ParameterError(f"direction: expected one of {CHOICES}, got {direction!r}")
    found = [_layer(entry, direction, dtype) for entry in _batched(_entries(direction), batch)]
    if direction == "pool-backward":
        found = [_gradient(layer) for layer in found]
    if direction in COLUMNS:
        found = _columns(found, COLUMNS[direction])
    try:
        chosen = [layer for layer in found if re.search(pattern, layer.name)]
    except re.error as error:
        raise ParameterError(f"layers: {pattern!r} is no regular expression: {error}") from None
    if not chosen:
        names = ", ".join(layer.name for layer in found)
        raise ParameterError(f"layers: no name matches {pattern!r}; there are {names}")
    return chosen


def _gradient(layer: Layer) -> Layer:
    """Return the gradient of a pool: of a maximum, to the places it was found at."""
    pool = layer.problem
    if pool.operation == "avg_pool":
        return replace(layer, problem=replace(pool, direction="input_gradient"))
    geometry = scatter_geometry(pool.window.input_shape, pool.window.out)
    problem = Problem("scatter", "forward", geometry, pool.dtype)
    return Layer(layer.name, problem, replace(pool, indices=True))


def _columns(convolutions: list[Layer], direction: Direction) -> list[Layer]:
    """Return the columns of convolutions, each once: of windows in the plane, of several taps."""
    found: dict[str, Layer] = {}
    for layer in convolutions:
        window = layer.problem.window
        if window.rank == 2 and window.taps > 1:
            draft = replace(Draft.of(layer.problem), operation="columns", direction=direction)
            draft = replace(draft, channels=window.channels, outputs=1, groups=1)
            problem = draft.problem()
            found.setdefault(problem.text, Layer(layer.name, problem))
    return list(found.values())


def _entries(direction: str) -> list[dict[str, Any]]:
    text = files("fastconv.cli").joinpath("data", "layers.json").read_text(encoding="utf-8")
    table: dict[str, list[dict[str, Any]]] = json.loads(text)
    return table[TABLES.get(direction, "convolution")]


def _batched(entries: list[dict[str, Any]], batch: int) -> list[dict[str, Any]]:
    if batch == 1:
        return entries
    return [
        {**entry, "batch": batch, "name": f"{entry['name']}.b{batch}"}
        for entry in entries
        if entry["batch"] == 1
    ]


def _layer(entry: dict[str, Any], direction: str, dtype: str) -> Layer:
    sizes = tuple(entry["spatial"])
    rank = len(sizes)
    groups = entry.get("groups", 1)
    channels, outputs = "in_channels", "out_channels"
    if direction in POOLS:
        channels = "channels"
    elif direction == "transposed":  # the gradient of a convolution with the roles exchanged
        channels, outputs = outputs, channels
        sizes = tuple(
            (size - 1) * entry["stride"] + kernel - 2 * entry["padding"]
            for size, kernel in zip(sizes, entry["kernel"], strict=True)
        )
    kinds: dict[str, Operation] = {"max": "max_pool", "avg": "avg_pool"}
    draft = Draft(
        kinds[entry["kind"]] if direction in POOLS else "conv",
        DIRECTIONS.get(direction, "forward"),
        entry["batch"],
        entry[channels] // groups,
        sizes,
        tuple(entry["kernel"]),
        (entry["stride"],) * rank,
        ((entry["padding"],) * 2,) * rank,
        (entry.get("dilation", 1),) * rank,
        outputs=entry.get(outputs, 1) // groups,
        groups=groups,
        dtype=dtype,
    )
    return Layer(entry["name"], draft.problem())
