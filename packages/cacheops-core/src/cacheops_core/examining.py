"""Looking at an entry and its stamps without changing either: for people who want to know why something is a miss."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from itertools import repeat
from typing import Any

from . import simple
from .conditions import Conjunction, conjunction_text
from .flows import Command, Flow, Found, fetch
from .lookups import Samples
from .serializers import LoadError, load
from .stamps import BIRTH, FORMAT, GENERATION, STAMP, StampKeys
from .verbs import Verbs

__all__ = ["Examined", "Stamp", "State", "examine"]


class State(Enum):
    """What stands in the place of an entry."""

    HIT = "hit"
    NOTHING = "nothing is stored"
    OUTDATED = "what is stored has been invalidated"
    UNREADABLE = "what is stored cannot be read"


@dataclass(frozen=True, slots=True)
class Stamp:
    """One thing that an entry depends on: rows of a table, as its stamp tells."""

    table: str
    conjunction: Conjunction
    key: str
    born: float | None
    """The server's clock in seconds when it was born: nothing has changed since. None if there is none."""
    is_fenced: bool = False
    """Whether a transaction that changes these rows is committing at the moment."""
    has_changed: bool = False
    """Whether there is an entry that was stored under another stamp than this."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What stands under a key."""

    key: str
    state: State
    why: str
    """What is wrong with what is stored, if it cannot be read."""
    size: int | None
    """Bytes of the entry; None if there is none."""
    expires_in: float | None
    """Seconds; None if there is no entry, or nothing ends it but invalidation."""
    stamps: tuple[Stamp, ...]
    now: float
    """The server's clock in seconds."""


def examine(cache: Verbs, key: object, dependencies: Samples) -> Flow[Examined]:
    """Return what a cache would make of this question; nothing is acquired, stored or dropped."""
    name, stamps = cache.key_of(key, dependencies), cache.stamps_of(dependencies)
    run, (entry, *found) = reply = yield Command("MGET", (name, *stamps.keys), tells_run=True)
    state, why = (State.NOTHING, "") if entry is None else _weighed(cache, name, stamps, reply)
    left = yield Command("PTTL", (name,))
    seconds, micros = yield Command("TIME", ())
    seen = []
    for stamp in _stamps(stamps, found, run, entry or b""):
        if stamp.born is None and (yield Command("TYPE", (stamp.key,))) in (b"zset", "zset"):
            stamp = replace(stamp, is_fenced=True)
        seen.append(stamp)
    return Examined(
        name,
        state,
        why,
        None if entry is None else len(entry),
        left / 1000 if left > 0 else None,
        tuple(seen),
        int(seconds) + int(micros) / 1e6,
    )


def _weighed(cache: Verbs, name: str, stamps: StampKeys, reply: tuple[Any, list[bytes]]) -> tuple[State, str]:
    """Return what there is to say of an entry, as the protocol itself sees it."""
    try:
        if not stamps.keys:
            simple.decode(cache.serializer, name, reply[1][0])
            return State.HIT, ""
        seen = _answered(fetch(name, stamps), reply)
        if seen.is_garbage:
            return State.UNREADABLE, "it is no entry of this format"
        if seen.payload is None or seen.head is None:
            return State.OUTDATED, ""
        load(cache.serializer, seen.payload, (name, seen.head))
    except LoadError as error:
        return State.UNREADABLE, str(error)
    return State.HIT, ""


def _answered(flow: Flow[Found], reply: tuple[Any, list[bytes]]) -> Found:
    """Return what a flow makes of the reply to its one question."""
    next(flow)
    try:
        flow.send(reply)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]  # a generator's return value is untyped here
    raise AssertionError("reading an entry is one round trip")


def _stamps(keys: StampKeys, found: list[bytes | None], run: Any, entry: bytes) -> Iterator[Stamp]:
    """Yield what an entry depends on, in the order of its keys and of its head."""
    values, position = iter(found), len(FORMAT)
    runs = repeat(run) if isinstance(run, bytes) else iter(run[1:])
    for table, conjunctions in keys.tables:
        generation, own = next(values), next(runs)
        generation_before, position = entry[position : position + GENERATION], position + GENERATION
        is_there = generation is not None and len(generation) == GENERATION and generation.endswith(own)
        for conjunction in conjunctions:
            value, _ = next(values), next(runs)
            born_before, position = entry[position : position + BIRTH], position + BIRTH
            is_valid = (
                is_there and value is not None and len(value) == STAMP and value.startswith(generation or b"")
            )
            yield Stamp(
                table.table,
                conjunction,
                # A write to the whole table fences its generation.
                table.conjunctions + conjunction_text(conjunction) if is_there else table.generation,
                _birth(value) if is_valid and value else None,
                has_changed=bool(born_before) and generation_before + born_before != value,
            )


def _birth(stamp: bytes) -> float:
    (micros,) = struct.unpack_from(">Q", stamp, GENERATION)
    return float(micros) / 1e6
