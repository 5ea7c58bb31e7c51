"""Calls made before: from what a caller wrote straight to its plan.

To check the arguments of a call and to look up its problem takes as long as some convolutions. All
of that depends on the shapes, the dtypes and the words of the call, which a program repeats.
"""

from typing import Any

import numpy as np

from fastconv.dtypes import Array
from fastconv.plan import Plan, current_settings

MOST_CALLS = 1024
WORDS = {str, type(None)}
PLAIN = {int, str}
"""Types of arguments that are equal only if they mean the same: `True` and `1.0` equal 1. So are
tuples of them."""

Key = tuple[Any, ...]
_plans: dict[Key, Plan] = {}


def key_of(
    rank: int, arrays: tuple[Any, Any, Any], place: tuple[Any, ...], words: tuple[Any, ...]
) -> Key | None:
    """Return what a call is known by, or None where it has to be looked at anew.

    `arrays` are input, weight and bias; `place` are stride, padding, dilation and groups; `words`
    have names and None only.
    """
    x, w, b = arrays
    if type(x) is not np.ndarray or type(w) is not np.ndarray:
        return None
    if b is not None and type(b) is not np.ndarray:
        return None
    if not PLAIN.issuperset(map(type, place)) and not _plain(place):
        return None
    if not WORDS.issuperset(map(type, words)):
        return None
    bias = None if b is None else (b.shape, b.dtype)
    return (rank, x.shape, x.dtype, w.shape, w.dtype, bias, place, words, current_settings())


def _plain(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_plain, value))
    return type(value) in PLAIN


def plan_of(key: Key | None) -> Plan | None:
    """Return the plan of a call that was made before."""
    return None if key is None else _plans.get(key)


def keep(
    key: Key | None, given: tuple[Any, ...], used: tuple[Array | None, ...], plan: Plan
) -> None:
    """Remember the plan of a call whose arrays were used as they were given."""
    if key is None or any(one is not other for one, other in zip(given, used, strict=True)):
        return
    if len(_plans) >= MOST_CALLS:
        _plans.clear()
    _plans[key] = plan
