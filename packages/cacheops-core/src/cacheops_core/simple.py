"""Values under keys that nothing invalidates but time: as flows, and as bytes.

A whole number is stored as its digits, so that the server can add to it; every other value as an entry
without stamps. Neither can be taken for the other: an entry begins with a byte that is no digit or sign.

Where payloads are signed, numbers are signed too. The server cannot add to those, so it swaps one that has been
added to for the one that was read, if that is still there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .flows import Call, Command, Flow
from .scripts import INCR, SWAP
from .serializers import LoadError, Serializer, dump, is_bound, load
from .stamps import FORMAT

_NUMBER = re.compile(rb"-?[0-9]{1,19}")
_LIMIT = 2**63


def encode(serializer: Serializer, key: str, value: Any) -> bytes:
    """Return a value as it is stored under a key; raise DumpError if it can not be."""
    if is_number(value) and not is_bound(serializer):
        return b"%d" % value
    return FORMAT + dump(serializer, value, (key, FORMAT))


def decode(serializer: Serializer, key: str, stored: bytes) -> Any:
    """Return a value that was stored under a key; raise LoadError if these bytes are none."""
    if _NUMBER.fullmatch(stored) and not is_bound(serializer):
        return int(stored)
    if not stored.startswith(FORMAT):
        raise LoadError(f"{len(stored)} stored bytes are no entry")
    return load(serializer, stored[len(FORMAT) :], (key, FORMAT))


def is_number(value: Any) -> bool:
    """Return whether this is a whole number that the server could add to."""
    return type(value) is int and -_LIMIT <= value < _LIMIT


def read(keys: Iterable[str]) -> Flow[list[bytes | None]]:
    """Return what is stored under each key, None for nothing."""
    # MGET also for one key: it takes a key of another type for nothing, where GET fails.
    keys = tuple(keys)
    return (yield Command("MGET", keys)) if keys else []


def write(entries: Mapping[str, bytes], lifetime: int) -> Flow[None]:
    """Store entries for so many milliseconds, 0 for ever."""
    commands = tuple(_set(key, entry, lifetime) for key, entry in entries.items())
    if commands:
        yield commands


def add(key: str, entry: bytes, lifetime: int) -> Flow[bool]:
    """Store an entry if there is none yet; return whether it was."""
    return bool((yield _set(key, entry, lifetime, "NX")))


def incr(key: str, delta: int, lifetime: int) -> Flow[int | None]:
    """Add to a whole number and return the sum, or None if what stands there is none."""
    return (yield Call(INCR, (key,), (delta, lifetime)))  # type: ignore[no-any-return]  # replies are untyped


def swap(key: str, old: bytes | None, new: bytes, lifetime: int | None) -> Flow[bool]:
    """Store an entry if what was read is still there, None for nothing; return whether it was.

    Without a lifetime the new entry ends when the old one would have.
    """
    keep = b"keep" if lifetime is None else b"%d" % lifetime
    return bool((yield Call(SWAP, (key,), (b"" if old is None else old, new, keep))))


def touch(key: str, lifetime: int) -> Flow[bool]:
    """Let an entry live for so many milliseconds from now; return whether there is one."""
    if lifetime:
        return bool((yield Command("PEXPIRE", (key, lifetime))))
    found, _ = yield (Command("EXISTS", (key,)), Command("PERSIST", (key,)))
    return bool(found)


def forget(key: str) -> Flow[bool]:
    """Remove an entry; return whether there was one."""
    return bool((yield Command("DEL", (key,))))


def forget_many(keys: Iterable[str]) -> Flow[int]:
    """Remove entries; return how many there were."""
    commands = tuple(Command("DEL", (key,)) for key in keys)
    return sum((yield commands)) if commands else 0


def _set(key: str, entry: bytes, lifetime: int, *flags: str) -> Command:
    return Command("SET", (key, entry, *(("PX", lifetime) if lifetime else ()), *flags))
