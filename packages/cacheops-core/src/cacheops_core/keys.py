"""Stable, typed keys for anything that can be told apart by its value.

A key is the 16-byte BLAKE2 digest of an *encoding*: bytes that stand for exactly one value, in every
process, whatever ``PYTHONHASHSEED`` says. ``1``, ``"1"``, ``1.0``, ``True`` and ``Decimal(1)`` have five
different ones.

**Why two values never share an encoding.** By induction over the depth of a value, an encoding says where it
ends, so that encodings written one after another can be taken apart again:

- it begins with a tag, one byte that no other kind of value uses;
- a scalar then states the length of its body and has exactly that many bytes, each body being a notation that
  can be read back (hexadecimal for integers, IEEE bits for floats, UTF-8 with surrogates for text, ...);
- a container states the number of its parts and is followed by their encodings, which end where they say.
  Sequences keep their order; the members of sets and the items of dicts are sorted *by their encoding*, so
  equal sets have equal encodings and different ones differ in some member;
- any other object is written as a container: a label for its class, and the parts that make up its value;
- functions and classes are written as the name that leads to them, if one really does. What no name leads to
  (a lambda, a local function, another function of the same name) is its bytecode, constants, defaults and
  the values that it closes over.

Equal values have equal encodings with three deliberate exceptions, which all cost a miss and no more: types
are kept apart (``1`` and ``True``), signs of zero and trailing zeros too (``-0.0``, ``Decimal("1.0")``), and
one instant in two time zones is two values, since a function may print it.

What has no encoding raises ``KeyingError`` at once. There are two ways to give it one: a method
``__cache_key__()`` that returns what tells the object apart from others of its class, or ``register``
for classes of somebody else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from . import _key_binding, _key_functions
from ._key_encoding import Encoder, Unkeyable
from ._key_objects import register
from .errors import KeyingError

__all__ = ["call_key", "extra_of", "function_key", "register", "stable_key"]

# Part of every digest: to be changed with any encoding, so that old entries are not found by new keys.
_FORMAT = b"cacheops-key-1"
_START = hashlib.blake2b(digest_size=16, person=_FORMAT)

_HINT = (
    "give its class a method __cache_key__() that returns what tells it apart,"
    " or register its class with cacheops_core.keys.register()"
)

_SHORT = 256
"""Texts of at most so many characters, as nearly all names of entries are, have their keys remembered."""


def stable_key(*parts: Any) -> bytes:
    """Return 16 bytes: in every process the same for the same parts, and different for different ones."""
    if len(parts) == 1 and type(parts[0]) is str and len(parts[0]) <= _SHORT:
        return _text_key(parts[0])
    return _digest(parts, lambda index: f"parts[{index}]")


@lru_cache(maxsize=1024)
def _text_key(text: str) -> bytes:
    return _digest([text], str)


def function_key(func: Callable[..., Any]) -> bytes:
    """Return the key of a function, method, partial or class: by name, or by code and what it closes over."""
    return _digest([func], lambda index: _key_functions.describe(func))


def call_key(
    func: Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    extra: Any = None,
    *,
    beside: Any = None,
) -> bytes:
    """Return the key of a call, the same however its arguments are passed: ``f(1)`` is ``f(a=1)``.

    ``extra`` is anything more that the result depends on, or a function that is given the call's arguments and
    returns it. Whoever gives it vouches for what the function closes over and has no key, which is then left out.
    ``beside`` is what belongs to the key and vouches for nothing. Arguments that do not fit the signature raise the
    ``TypeError`` that the call itself would.
    """
    func, args = _key_functions.unbound(func, tuple(args))
    told = extra_of(extra, args, kwargs or {})
    parts: list[Any] = [
        func if extra is None else _key_functions.without(func, _has_no_key),
        told if beside is None else (beside, told),
    ]
    for bound in _key_binding.bind(func, args, kwargs or {}):
        parts += bound

    def place(index: int) -> str:
        return f'args["{parts[index - 1]}"]' if index > 1 else (_key_functions.describe(func), "extra")[index]

    return _digest(parts, place)


def extra_of(extra: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return what ``extra=`` says of a call: what it returns if it is a function, or else itself."""
    return extra(*args, **kwargs) if callable(extra) and not isinstance(extra, type) else extra


def _has_no_key(value: Any) -> bool:
    try:
        stable_key(value)
    except KeyingError:
        return True
    return False


def _digest(parts: Sequence[Any], place: Callable[[int], str]) -> bytes:
    encoder, encoded = Encoder(), [b"%d:" % len(parts)]
    for index, part in enumerate(parts):
        try:
            encoded.append(encoder.encode(part))
        except Unkeyable as reason:
            raise KeyingError(f"{place(index)}{reason.path} {reason}: {reason.hint or _HINT}") from None
        except RecursionError:
            raise KeyingError(
                f"{place(index)} is nested too deeply: pass what identifies it instead"
            ) from None
    state = _START.copy()
    state.update(b"".join(encoded))
    return state.digest()
