"""Random problems of every operation, direction, rank and dtype, small enough for the loops."""

import math
from collections.abc import Iterator
from typing import cast

import numpy as np

from fastconv import dialects
from fastconv.activations import ACTIVATIONS
from fastconv.cli.draft import Draft
from fastconv.dtypes import FLOATS, row_of, with_bfloat16
from fastconv.errors import ShapeError
from fastconv.parameters import LAYOUTS, NANS, PADDING_MODES, ROUNDINGS, Ints
from fastconv.planes import PLANES
from fastconv.problem import (
    CONVOLUTIONS,
    DIRECTIONS,
    ORDERED,
    WITH_ACTIVATION,
    WITH_PADDING_MODE,
    WITHOUT_LAYOUT,
    Direction,
    Operation,
    Problem,
)

MOST_WORK = 2_000_000
"""Multiply-adds or elements of a problem; the loops do about a thousand a microsecond."""
SIZES = {1: 60, 2: 20, 3: 9, 4: 6}
"""Largest size of an axis, by rank."""
EXTREMES = ("max_pool", "min_pool", "adaptive_max_pool", "fractional_max_pool")
"""Pools that have a choice what NaN does."""
WITH_INDICES = (*EXTREMES, "quantile_pool")
"""Pools that say where their elements come from."""
PAIRS = [
    (cast(Operation, operation), direction)
    for operation, directions in DIRECTIONS.items()
    for direction in directions
]


def random_problems(seed: int) -> Iterator[Problem]:
    """Yield problems without end; the same for the same seed."""
    rng = np.random.default_rng(seed)
    while True:
        try:
            problem = random_draft(rng).problem()
        except ShapeError:
            continue  # a window that does not fit: draw again
        if work(problem) <= MOST_WORK:
            yield problem


def random_draft(rng: np.random.Generator) -> Draft:
    """Draw the numbers of a problem, most of them small; they may not fit each other."""
    operation, direction = PAIRS[rng.integers(len(PAIRS))]
    rank = int(rng.integers(1, 5 if operation == "columns" else 4))
    if operation == "deform_conv":
        rank = 2
    dtype, acc = _dtype(rng, operation, direction)
    batch = int(rng.choice([0, 1, 1, 1, 2, 2, 3, 5]))
    channels = _small(rng, 9)
    sizes = _ints(rng, rank, SIZES[rank])
    if operation in PLANES:
        return _planes_draft(rng, operation, direction, batch, channels, sizes, dtype)
    groups = int(rng.choice([1, 1, 2, 3, 7])) if operation in CONVOLUTIONS else 1
    depthwise = groups > 1 and rng.random() < 0.5
    average = operation == "avg_pool"
    deformed = operation == "deform_conv"
    offset_groups = int(rng.choice([1, groups])) if deformed else 1
    return Draft(
        operation,
        direction,
        batch,
        1 if depthwise else channels,
        sizes,
        _ints(rng, rank, 5),
        _ints(rng, rank, 4),
        _pads(rng, rank),
        _ints(rng, rank, 3),
        out=_ints(rng, rank, 3) if operation == "conv" and rng.random() < 0.1 else (),
        outputs=_small(rng, 3 if depthwise else 9),
        groups=groups,
        rounding=_one_of(rng, ROUNDINGS) if operation.endswith("pool") else ROUNDINGS[0],
        indices=operation in WITH_INDICES and _coin(rng),
        count_include_pad=not (average and _coin(rng)),
        divisor=_divisor(rng, dtype) if average and rng.random() < 0.2 else None,
        activation=_activation(rng, dtype) if (operation, direction) in WITH_ACTIVATION else None,
        layout=LAYOUTS[0] if operation in WITHOUT_LAYOUT else _layout(rng),
        padding_mode=_one_of(rng, PADDING_MODES) if operation in WITH_PADDING_MODE else "zeros",
        dialect=_one_of(rng, dialects.NAMES) if operation == "columns" else "fastconv",
        acc=acc,
        offset_groups=offset_groups,
        masked=direction == "mask_gradient" or (deformed and _coin(rng)),
        dtype=dtype,
        nan=_one_of(rng, NANS) if operation in EXTREMES else NANS[0],
        norm=float(rng.choice([1, 2, 3, 2.5, np.inf])) if operation == "lp_pool" else None,
        quantile=round(rng.random(), 2) if operation == "quantile_pool" else None,
    )


def _planes_draft(
    rng: np.random.Generator,
    operation: Operation,
    direction: Direction,
    batch: int,
    channels: int,
    sizes: Ints,
    dtype: str,
) -> Draft:
    """Draw a problem whose output sizes are given."""
    fractional = operation == "fractional_max_pool"
    out = _ints(rng, len(sizes), SIZES[len(sizes)])
    return Draft(
        *(operation, direction, batch, channels, sizes),
        kernel=_ints(rng, len(sizes), 3) if fractional else (),
        out=tuple(map(min, out, sizes)) if fractional else out,
        indices=operation in EXTREMES and _coin(rng),
        layout=_layout(rng),
        nan=_one_of(rng, NANS) if operation in EXTREMES else NANS[0],
        dtype=dtype,
    )


def work(problem: Problem) -> int:
    """Return about how many steps the loops take, and how many elements the result has."""
    return max(problem.flops, math.prod(problem.result_shape), *_elements(problem))


def _elements(problem: Problem) -> tuple[int, int]:
    geometry = problem.geometry
    return math.prod(geometry.input_shape), math.prod(geometry.output_shape)


def _small(rng: np.random.Generator, largest: int) -> int:
    """Draw from [1, largest], one as often as not all the rest together."""
    return 1 if rng.random() < 0.3 else int(rng.integers(1, largest + 1))


def _ints(rng: np.random.Generator, rank: int, largest: int) -> Ints:
    """Draw one integer for all axes, or one for each."""
    if _coin(rng):
        return (_small(rng, largest),) * rank
    return tuple(_small(rng, largest) for _ in range(rank))


def _pads(rng: np.random.Generator, rank: int) -> tuple[tuple[int, int], ...]:
    """Draw no padding, the same on both sides, or any; now and then more than a kernel."""
    form = rng.integers(3)
    if form == 0:
        return ((0, 0),) * rank
    most = 7 if rng.random() < 0.2 else 2
    pairs = rng.integers(0, most + 1, (rank, 2)).tolist()
    return tuple((low, low if form == 1 else high) for low, high in pairs)


def _one_of(rng: np.random.Generator, names: tuple[str, ...]) -> str:
    """Draw the first name as often as not."""
    return names[0] if _coin(rng) else str(rng.choice(names))


def _layout(rng: np.random.Generator) -> str:
    """Draw a layout."""
    return str(rng.choice(LAYOUTS))


def _activation(rng: np.random.Generator, dtype: str) -> str | None:
    """Draw an activation that the dtype allows, or none as often as not."""
    kind = row_of(dtype).dtype.kind
    allowed = {"c": [], "b": ["relu"], "i": ["relu", "relu6"], "u": ["relu6"]}
    names = allowed.get(kind, list(ACTIVATIONS))
    return None if _coin(rng) or not names else str(rng.choice(names))


def _divisor(rng: np.random.Generator, dtype: str) -> int:
    """Draw a divisor; averages of unsigned integers cannot be negative."""
    return int(rng.choice([2, 7] if dtype.startswith("u") else [-3, 2, 7]))


def _dtype(
    rng: np.random.Generator, operation: Operation, direction: str
) -> tuple[str, str | None]:
    """Draw a dtype, those of compiled kernels as often as all others together; an accumulator."""
    name = str(rng.choice(FLOATS if _coin(rng) else with_bfloat16()))
    row = row_of(name)
    if operation == "deform_conv" and row.dtype.kind in "biuc":
        name = str(rng.choice(FLOATS))
        row = row_of(name)
    norms_only = operation == "lp_pool" and row.dtype.kind in "biu"
    if norms_only or (operation in (*ORDERED, "lp_pool") and row.dtype.kind == "c"):
        name, row = "float32", row_of("float32")
    chooses = operation in CONVOLUTIONS or (operation, direction) == ("columns", "input_gradient")
    if not chooses or (name != "uint64" and rng.random() < 0.8):
        return name, None
    kinds = "iu" if row.dtype.kind in "bu" else row.accumulator.kind  # negative sums need a sign
    wide = [each.name for each in row.accumulators if each.itemsize > 2 and each.kind in kinds]
    return name, str(rng.choice(wide))


def _coin(rng: np.random.Generator) -> bool:
    return bool(rng.random() < 0.5)
