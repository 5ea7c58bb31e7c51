"""Hypothesis strategies: axes, and small problems of every kind."""

from hypothesis import assume
from hypothesis import strategies as st

from fastconv import DtypeError, ParameterError, Problem, ShapeError, dialects
from fastconv.cli.generate import EXTREMES, WITH_INDICES
from fastconv.cli.operands import exact_norm
from fastconv.dtypes import with_bfloat16
from fastconv.parameters import PADDING_MODES
from fastconv.planes import PLANES
from fastconv.problem import CONVOLUTIONS, DIRECTIONS, WITH_PADDING_MODE, WITHOUT_LAYOUT
from tests import oracle

KINDS = [(name, direction) for name, directions in DIRECTIONS.items() for direction in directions]
DTYPES = ["float32", "float64", *with_bfloat16(), "acc=uint64 uint64", "acc=int16 int8"]


@st.composite
def axis_arguments(draw, largest=12):
    """(size, kernel, stride, padding pair, dilation) of one dimension; the window may not fit."""
    return (
        draw(st.integers(1, largest)),
        draw(st.integers(1, 5)),
        draw(st.integers(1, 4)),
        (draw(st.integers(0, 4)), draw(st.integers(0, 4))),
        draw(st.integers(1, 3)),
    )


def _joined(items):
    return "x".join(map(str, items))


def _fits(sizes, pads, mode):
    """Whether axes are long enough to be padded by their own elements."""
    least = {"reflect": 1, "circular": 0}.get(mode, -99)
    return all(max(pair) + least <= size for size, pair in zip(sizes, pads, strict=True))


@st.composite
def problems(draw, kinds=tuple(KINDS), largest=6, most_rank=3):
    """Any problem, through its line of text."""
    operation, direction = draw(st.sampled_from(kinds))
    rank = 2 if operation == "deform_conv" else draw(st.integers(1, most_rank))
    batch = draw(st.integers(0, 2))
    groups = draw(st.integers(1, 3)) if operation in CONVOLUTIONS else 1
    channels = groups * draw(st.integers(1, 2))
    axes = [draw(axis_arguments(largest)) for _ in range(rank)]
    sizes, kernel, stride, pads, dilation = zip(*axes, strict=True)
    words = [operation, direction, f"x={_joined((batch, channels, *sizes))}"]
    if operation in PLANES:
        words.append(f"o={_joined(draw(st.integers(1, 4)) for _ in sizes)}")
    else:
        words += [
            f"s={_joined(stride)}",
            f"p={_joined(f'{before}:{after}' for before, after in pads)}",
            f"d={_joined(dilation)}",
        ]
    if operation in ("conv", "deform_conv"):
        out_channels = groups * draw(st.integers(1, 2))
        words += [f"w={_joined((out_channels, channels // groups, *kernel))}", f"g={groups}"]
        if operation == "conv":
            words += draw(st.sampled_from([[], [], [], ["o=1"], ["o=2"]]))
    elif operation == "local_conv":
        out_channels = groups * draw(st.integers(1, 2))
        out = oracle.output_sizes(sizes, kernel, stride, pads, dilation)
        assume(all(out))
        words.append(f"w={_joined((out_channels, *out, channels // groups, *kernel))}")
        words.append(f"g={groups}")
    elif operation not in PLANES or operation == "fractional_max_pool":
        words.append(f"k={_joined(kernel)}")
    if operation.endswith("pool") and operation not in PLANES:
        words.append(draw(st.sampled_from(["ceil=0", "ceil=1", "round=cover_all"])))
    if operation in WITH_INDICES:
        words.append(f"indices={draw(st.integers(0, 1))}")
    if operation in EXTREMES:
        words.append(f"nan={draw(st.sampled_from(['propagate', 'ignore']))}")
    if operation == "lp_pool":
        words.append(draw(st.sampled_from(["norm=1", "norm=2", "norm=inf"])))
    if operation == "quantile_pool":
        words.append(f"q={draw(st.integers(0, 8)) / 8}")
    if operation == "avg_pool":
        words.append(f"pad={draw(st.integers(0, 1))}")
        words += draw(st.sampled_from([[], [], ["div=3"], ["div=-2"]]))
    if operation not in WITHOUT_LAYOUT:
        words.append(draw(st.sampled_from(["layout=first", "layout=last"])))
    if operation == "deform_conv":
        words.append(f"og={draw(st.sampled_from([1, groups, channels]))}")
        masked = direction == "mask_gradient" or draw(st.booleans())
        words.append(f"mask={int(masked)}")
    if operation in WITH_PADDING_MODE:
        modes = [mode for mode in PADDING_MODES if _fits(sizes, pads, mode)]
        words.append(f"mode={draw(st.sampled_from(modes))}")
    if operation == "columns":
        words.append(f"dialect={draw(st.sampled_from(dialects.NAMES))}")
    dtypes = [d for d in DTYPES if "int" not in d] if operation == "deform_conv" else DTYPES
    dtype = draw(st.sampled_from(dtypes))
    words += dtype.split()
    assume(not ("div=-2" in words and dtype.startswith("u")))  # averages that cannot be negative
    try:
        problem = Problem.parse(" ".join(words))
    except (ShapeError, DtypeError, ParameterError):  # or acc where nobody may choose it
        assume(False)
    assume(exact_norm(problem))
    return problem
