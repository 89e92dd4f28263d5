"""Arguments by the names that the function gives them, so that every way to write a call is one call."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inspect import Signature

__all__ = ["bind"]

# None stands for "has no signature", as some built-in functions.
_signatures: weakref.WeakKeyDictionary[Callable[..., Any], Signature | None] = weakref.WeakKeyDictionary()


def bind(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return each parameter with its value, defaults filled in; ``*`` and ``**`` if no signature is known."""
    signature = _signature(func)
    if signature is None:
        return [("*", args), ("**", dict(kwargs))]
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:
        # A decorator that passes arguments of its own takes fewer than the function whose signature it shows.
        if not hasattr(func, "__wrapped__"):
            raise
        return [("*", args), ("**", dict(kwargs))]
    bound.apply_defaults()
    return list(bound.arguments.items())


def _signature(func: Callable[..., Any]) -> Signature | None:
    try:
        return _signatures[func]
    except (KeyError, TypeError):
        signature = _inspected(func)
    with suppress(TypeError):  # cannot be referred to weakly, or not be hashed
        _signatures[func] = signature
    return signature


def _inspected(func: Callable[..., Any]) -> Signature | None:
    import inspect  # takes longer to import than everything else here together

    try:
        return inspect.signature(func)
    except ValueError:
        return None
