"""Values to bytes, one to one; the argument is in ``cacheops_core.keys``.

This module knows scalars and containers; everything else is taken apart by ``_key_objects`` into a label and
parts, which are written as a container of values.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

from ._key_objects import MAY_CONTAIN_ITSELF, Unkeyable, decompose

__all__ = ["Encoder", "Unkeyable"]


def _text(value: str) -> bytes:
    body = value.encode("utf-8", "surrogatepass")
    return b"s%d:%b" % (len(body), body)


def _integer(value: int) -> bytes:
    # Hexadecimal, because Python refuses to print long integers in decimal (sys.set_int_max_str_digits).
    body = b"%x" % value
    return b"i%d:%b" % (len(body), body)


_SCALARS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda value: b"N",
    bool: lambda value: b"T" if value else b"F",
    type(Ellipsis): lambda value: b".",
    int: _integer,
    float: lambda value: b"f" + struct.pack(">d", value),
    str: _text,
    bytes: lambda value: b"b%d:%b" % (len(value), value),
}
"""How values of exactly these types are written."""

_SEQUENCES: dict[type, bytes] = {tuple: b"t", list: b"l"}
_SETS: dict[type, bytes] = {set: b"e", frozenset: b"z"}


class Encoder:
    """One walk through one or several values; it remembers which objects it is inside of."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[int, int] = {}
        """Where in the chain of objects, from the outermost in, each one stands by its id."""

    def encode(self, value: Any) -> bytes:
        """Return the bytes that stand for this value and no other, or raise ``Unkeyable``."""
        scalar = _SCALARS.get(type(value))
        if scalar is not None:
            return scalar(value)
        if id(value) in self._open:
            return self._again(value)
        self._open[id(value)] = len(self._open)
        encoded = self._compound(value)
        del self._open[id(value)]
        return encoded

    def _again(self, value: Any) -> bytes:
        # A recursive local function closes over itself: how many steps out it was met says which is meant.
        if not isinstance(value, MAY_CONTAIN_ITSELF):
            raise Unkeyable("contains itself", hint="pass what identifies it instead")
        steps = len(self._open) - self._open[id(value)]
        return b"^%d:" % steps

    def _compound(self, value: Any) -> bytes:
        kind = type(value)
        if kind is dict:
            return self._dict(value)
        if kind in _SEQUENCES:
            return self._parts(_SEQUENCES[kind], ((_Index(index), item) for index, item in enumerate(value)))
        if kind in _SETS:
            return _joined(_SETS[kind], sorted(self._part("{...}", member) for member in value))
        label, parts = decompose(value)
        return self._parts(b"o", [("", label), *parts])

    def _dict(self, value: dict[Any, Any]) -> bytes:
        items = [self._part(".keys()", key) + self._part(_Index(key), item) for key, item in value.items()]
        return _joined(b"d", sorted(items))

    def _parts(self, tag: bytes, parts: Iterable[tuple[object, Any]]) -> bytes:
        return _joined(tag, [self._part(where, part) for where, part in parts])

    def _part(self, where: object, part: Any) -> bytes:
        try:
            return self.encode(part)
        except Unkeyable as reason:
            reason.path = f"{where}{reason.path}"
            raise


def _joined(tag: bytes, encoded: list[bytes]) -> bytes:
    return b"%b%d:%b" % (tag, len(encoded), b"".join(encoded))


class _Index:
    """An index or a key as it is written behind the name of a container; made into text only for an error."""

    __slots__ = ("_key",)

    def __init__(self, key: object) -> None:
        self._key = key

    def __str__(self) -> str:
        if isinstance(self._key, str):
            return f'["{self._key}"]'
        # A repr of anything else may be long, secret or an error.
        return f"[{self._key!r}]" if type(self._key) in _SCALARS else f"[<{type(self._key).__qualname__}>]"
