"""Values as JSON and its kind know them, so that they come back exactly as they were, or are refused.

Such formats write a tuple as a list, every key of a dict as text, and an enum's member as its value; whoever reads
the result from the cache would get something else than who computed it. So what these formats keep is written as it
is: None, booleans, numbers, text, lists and dicts with keys of text. Two more are *marked*, by a dict with one key:

- a tuple is ``{"()": [...]}``;
- a dict with other keys than text, or with a mark for its one key, is ``{"{}": [[key, value], ...]}``.

No other dict is written with a mark for its one key, so a mark always means what it says. All else is refused, and a
subclass of one of these too, for it would come back as its parent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["SCALARS", "anything", "marked", "unmarked"]

_TUPLE, _DICT = "()", "{}"
_MARKS = frozenset({_TUPLE, _DICT})


def anything(value: object) -> bool:
    """Take every value of a type."""
    return True


SCALARS: Mapping[type, Callable[[Any], bool]] = dict.fromkeys((type(None), bool, int, float, str), anything)
"""The types whose values every format keeps, with the test of which of them."""


def marked(value: Any, scalars: Mapping[type, Callable[[Any], bool]] = SCALARS) -> Any:
    """Return what is to be written for a value; raise TypeError if it would not come back as it is."""
    kind = type(value)
    if (is_kept := scalars.get(kind)) is not None and is_kept(value):
        return value
    if kind is list:
        return [marked(item, scalars) for item in value]
    if kind is tuple:
        return {_TUPLE: [marked(item, scalars) for item in value]}
    if kind is not dict:
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} would not come back as it is")
    if {*map(type, value)} <= {str} and not (len(value) == 1 and _MARKS & value.keys()):
        return {key: marked(item, scalars) for key, item in value.items()}
    return {_DICT: [[marked(key, scalars), marked(item, scalars)] for key, item in value.items()]}


def unmarked(found: dict[str, Any]) -> Any:
    """Return what a dict that was read stands for, when all that is in it has been read: an ``object_hook``."""
    if len(found) == 1:
        if _TUPLE in found:
            return tuple(found[_TUPLE])
        if _DICT in found:
            return dict(found[_DICT])
    return found
