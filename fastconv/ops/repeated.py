"""Calls made before: from what a caller wrote straight to what solves it.

To check the arguments of a call and to look up its plan takes longer than some operations. All of
that depends on the shapes, the dtypes and the words of the call, which a program repeats. So an
operation is two functions: one that *settles* a call, and one that solves it, which the first
returns and which is remembered here.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from fastconv.dtypes import Array
from fastconv.plan import current_settings, when_plans_change

MOST_CALLS = 1024
PLAIN = {int, str, bool, type(None)}
"""Types of words that mean the same where they are equal and of one type: `True` and `1.0` equal 1,
and `-0.0` equals 0.0. So do other floats, and tuples of such integers and names."""
NESTED = {int, str}

Result = TypeVar("Result")
Arrays = tuple[Any, ...]
Settled = tuple[Callable[..., Result], Arrays]
"""What solves a call, and the arrays to call it with: those that were given, or converted ones."""
_known: dict[Any, Callable[..., Any]] = {}
forget = _known.clear
"""Settle every call anew."""
when_plans_change(forget)


def call(settle: Callable[..., Settled[Result]], arrays: Arrays, words: tuple[Any, ...]) -> Result:
    """Return what `settle(*arrays, *words)` comes to, by what it returned for such a call before.

    What solves a call must depend on the data of the arrays only, and on nothing but their shapes,
    their dtypes, the words and the settings besides.
    """
    key = _key_of(settle, arrays, words)
    try:
        known = _known.get(key)
    except TypeError:  # words that are lists, say
        key, known = None, None
    if known is not None:
        result: Result = known(*arrays)
        return result
    solve, used = settle(*arrays, *words)
    if key is not None:
        _keep(key, words, arrays, used, solve)
    return solve(*used)


def _key_of(settle: Callable[..., Any], arrays: Arrays, words: tuple[Any, ...]) -> Any:
    """Return what a call is known by, or None where it has to be looked at anew.

    One function always has as many arrays and words, so a flat tuple is enough.
    """
    types = [*map(type, words), *map(type, arrays)]
    if tuple in types and not _plain(words):
        return None
    key = [settle, *types, *words, current_settings().number]
    for array in arrays:
        if type(array) is np.ndarray:
            key.append(array.shape)
            key.append(array.dtype)
        elif array is not None:
            return None
    return tuple(key)


def _plain(words: tuple[Any, ...]) -> bool:
    """Return whether all tuples among words hold what means the same where it is equal."""
    return all(_nested(word) for word in words if type(word) is tuple)


def _nested(word: tuple[Any, ...]) -> bool:
    if NESTED.issuperset(map(type, word)):
        return True
    return all(_nested(item) if type(item) is tuple else type(item) in NESTED for item in word)


def _means_one_thing(word: Any) -> bool:
    return type(word) in PLAIN or type(word) is tuple or (type(word) is float and word != 0)


def _keep(
    key: Any,
    words: tuple[Any, ...],
    arrays: tuple[Array | None, ...],
    used: Arrays,
    solve: Callable[..., Any],
) -> None:
    """Remember what solves a call whose arrays were used as they were given."""
    if not all(map(_means_one_thing, words)):
        return
    if any(one is not other for one, other in zip(arrays, used, strict=True)):
        return
    if len(_known) >= MOST_CALLS:
        _known.clear()
    _known[key] = solve
