"""What callers may write for sizes, strides and padding, brought to one canonical form.

The canonical forms are hashable, so that everything after them can be cached by value.
"""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv.errors import ParameterError

Ints = tuple[int, ...]
Padding = str | tuple[tuple[int, int], ...]
IntOrInts = int | Sequence[int]
SizeLike = int | None | Sequence[int | None]
RatioLike = float | Sequence[float] | None
PaddingLike = str | int | Sequence[int] | Sequence[tuple[int, int]]

PADDING_NAMES = ("valid", "same", "same_lower")
LAYOUTS = ("channels_first", "channels_last")
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
ROUNDINGS = ("floor", "ceil", "cover_all")
NANS = ("propagate", "ignore")
LARGEST = 2**40


def integer(name: str, value: Any, least: int = 1) -> int:
    """Return `value` as an int of at least `least`; NumPy integers count, bool and float do not."""
    if type(value) is not int:
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise ParameterError(f"{name}: expected an integer, got {value!r}")
        try:
            value = operator.index(value)
        except TypeError:
            raise ParameterError(f"{name}: expected an integer, got {value!r}") from None
    if not least <= value <= LARGEST:
        raise ParameterError(
            f"{name}: expected an integer of at least {least}, got {value}"
            if value < least
            else f"{name}: {value} is too large"
        )
    return int(value)


def divisor(name: str, value: Any) -> int:
    """Return an integer of either sign that is not 0."""
    found = integer(name, value, -LARGEST)
    if found == 0:
        raise ParameterError(f"{name}: must not be 0")
    return found


def integers(name: str, value: Any, rank: int, least: int = 1) -> Ints:
    """Return one int for each of `rank` dimensions from an int or a sequence of 1 or `rank`."""
    if type(value) is int:
        return (integer(name, value, least),) * rank
    items = _items(value)
    if items is None:
        return (integer(name, value, least),) * rank
    if len(items) not in (1, rank):
        raise ParameterError(f"{name}: expected an integer or {rank} of them, got {value!r}")
    found = tuple(integer(name, item, least) for item in items)
    return found * rank if len(found) == 1 else found


def padding_pairs(name: str, value: Any, rank: int) -> tuple[tuple[int, int], ...]:
    """Return (before, after) per dimension from an int, a sequence of ints, or of pairs."""
    if type(value) is int:
        return ((integer(name, value, 0),) * 2,) * rank
    items = _items(value)
    if items is None:
        items = (value,)
    if len(items) not in (1, rank):
        raise ParameterError(
            f"{name}: expected an integer, {rank} integers or {rank} (before, after) pairs, "
            f"got {value!r}"
        )
    pairs = tuple(_pair(name, item) for item in items)
    return pairs * rank if len(pairs) == 1 else pairs


def padding_form(name: str, value: Any, rank: int) -> Padding:
    """As `padding_pairs`, or one of the names "valid", "same", "same_lower"."""
    if isinstance(value, str):
        if value not in PADDING_NAMES:
            raise ParameterError(f"{name}: expected one of {PADDING_NAMES}, got {value!r}")
        return value
    return padding_pairs(name, value, rank)


def shape(name: str, value: Any) -> Ints:
    """Return an array shape from a sequence of non-negative integers."""
    items = _items(value)
    if items is None:
        raise ParameterError(f"{name}: expected a shape, got {value!r}")
    return tuple(integer(name, item, 0) for item in items)


def layout(name: Any) -> str:
    """Return "channels_first" or "channels_last", or refuse."""
    if not isinstance(name, str) or name not in LAYOUTS:
        raise ParameterError(f"layout: expected one of {LAYOUTS}, got {name!r}")
    return name


def flag(name: str, value: Any) -> bool:
    """Return a bool from True, False, 1, 0 or NumPy's, or refuse."""
    try:
        if isinstance(value, (bool, np.bool_)) or operator.index(value) in (0, 1):
            return bool(value)
    except TypeError:
        pass
    raise ParameterError(f"{name}: expected True or False, got {value!r}")


def padding_mode(name: Any) -> str:
    """Return what the padding holds, as `torch.nn` names it, or refuse."""
    if not isinstance(name, str) or name not in PADDING_MODES:
        raise ParameterError(f"padding_mode: expected one of {PADDING_MODES}, got {name!r}")
    return name


def rounding(value: Any, ceil_mode: Any = False) -> str:
    """Return how many windows there are: "floor", "ceil" or "cover_all"; None asks `ceil_mode`."""
    ceil_mode = flag("ceil_mode", ceil_mode)
    if value is None:
        return "ceil" if ceil_mode else "floor"
    if not isinstance(value, str) or value not in ROUNDINGS:
        raise ParameterError(f"rounding: expected one of {ROUNDINGS}, got {value!r}")
    if ceil_mode and value != "ceil":
        raise ParameterError(f"rounding: {value!r} contradicts ceil_mode={ceil_mode!r}")
    return value


def nan(value: Any) -> str:
    """Return "propagate" or "ignore", or refuse."""
    if not isinstance(value, str) or value not in NANS:
        raise ParameterError(f"nan: expected one of {NANS}, got {value!r}")
    return value


def real(name: str, value: Any) -> float:
    """Return a number as a float; bool, NaN and what is no real number are refused."""
    if isinstance(value, (bool, str, bytes, np.ma.MaskedArray)) or not hasattr(value, "__float__"):
        raise ParameterError(f"{name}: expected a number, got {value!r}")
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ParameterError(f"{name}: expected a number, got {value!r}") from None
    if found != found:
        raise ParameterError(f"{name}: expected a number, got {value!r}")
    return found


def norm(name: str, value: Any) -> float:
    """Return the power of a norm: a number above 0, or infinity."""
    found = real(name, value)
    if found <= 0:
        raise ParameterError(f"{name}: expected a number above 0, got {value!r}")
    return found


def quantile(name: str, value: Any) -> float:
    """Return a number from 0 to 1."""
    found = real(name, value)
    if not 0 <= found <= 1:
        raise ParameterError(f"{name}: expected a number from 0 to 1, got {value!r}")
    return found


def sizes(name: str, value: Any, given: Ints) -> Ints:
    """Return an output's size along each dimension; None keeps the given one."""
    items = _items(value)
    if items is None:
        items = (value,) * len(given)
    if len(items) != len(given):
        raise ParameterError(
            f"{name}: expected an integer, None or {len(given)} of them, got {value!r}"
        )
    return tuple(
        size if item is None else integer(name, item, 0)
        for item, size in zip(items, given, strict=True)
    )


def ratios(name: str, value: Any, rank: int) -> tuple[float, ...]:
    """Return a part, above 0 and up to 1, for each dimension."""
    items = _items(value)
    items = (value,) if items is None else items
    if len(items) not in (1, rank):
        raise ParameterError(f"{name}: expected a number or {rank} of them, got {value!r}")
    found = tuple(real(name, item) for item in items)
    if not all(0 < item <= 1 for item in found):
        raise ParameterError(f"{name}: expected numbers above 0 and up to 1, got {value!r}")
    return found * rank if len(found) == 1 else found


def rank_of(value: Any) -> int | None:
    """Return how many dimensions a size names, or None for a single integer."""
    items = _items(value)
    return None if items is None else len(items)


def _pair(name: str, item: Any) -> tuple[int, int]:
    ends = _items(item)
    if ends is None:
        both = integer(name, item, 0)
        return both, both
    if len(ends) != 2:
        raise ParameterError(f"{name}: expected (before, after) pairs, got {item!r}")
    return integer(name, ends[0], 0), integer(name, ends[1], 0)


def _items(value: Any) -> tuple[Any, ...] | None:
    if isinstance(value, (str, bytes, dict, set)) or not hasattr(value, "__len__"):
        return None
    try:
        return tuple(value)
    except TypeError:  # a zero-dimensional array has a length method but no length
        return None
