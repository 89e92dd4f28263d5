"""What readers and writers do between their first step and their last, as flows; none of them touches a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Any, NamedTuple
from unittest import mock

from cacheops_core.circuit import Circuit
from cacheops_core.computing import ComputingVerbs
from cacheops_core.conditions import Dependencies
from cacheops_core.errors import BackendError
from cacheops_core.flows import Command, Flow, Work
from cacheops_core.units import Unit

Replies = tuple[Any, ...]

REFUSED, UNANSWERED = "refused", "unanswered"
"""The replies to a request that has failed: at once, or after a time in which it may have been done."""


class Untracked(Enum):
    """A writer whose write nobody tracks, and what it does about that when it has committed."""

    SWEEPS = "drops everything"
    FORGETS = "removes the entry"


@dataclass(frozen=True)
class Owing:
    """A writer that goes on while the server is away, and whose process asks once more at a later time."""

    changes: Mapping[str, Any]


class Versions:
    """A serializer of the numbers that stand for answers: versions of the database."""

    def dumps(self, value: int) -> bytes:
        return b"%d" % value

    def loads(self, payload: bytes) -> int:
        return int(payload)


class Idle:
    """A mender of circuits that leaves everything to the flows."""

    seen = inf
    """At work at any time, so that nobody looks for another."""

    def __init__(self, circuit: Circuit) -> None:
        """Take no notice of the circuit."""

    def start(self) -> bool:
        return True

    def is_there(self) -> bool:
        return True

    def stop(self) -> None:
        """Go on doing nothing."""


def verbs_with(**options: Any) -> ComputingVerbs:
    """Return what a cache of a process of its own can do."""
    verbs = ComputingVerbs(Versions(), None, {"prefix": "", **options})
    verbs.join(Circuit(None, Idle))
    return verbs


def reading_late(verbs: ComputingVerbs, dependencies: Dependencies) -> Flow[int]:
    """Read, and acquire the stamps to store the answer under when the database has been asked: a mutation."""
    lookup = yield from verbs.looking_up(b"k", dependencies)
    if lookup.is_hit:
        return int(lookup.value)
    value = yield Work(int)
    lookup = yield from verbs.looking_up(b"k", dependencies)
    yield from verbs.filling(lookup, value)
    return int(value)


def writing(verbs: ComputingVerbs, unit: Unit, is_late: bool) -> Flow[None]:
    """Fence, commit, release."""
    if is_late:
        yield Work(int)
    yield from verbs.fencing(unit)
    if not is_late:
        yield Work(int)
    yield from verbs.releasing(unit)


def after_commit(flow: Flow[Any]) -> Flow[Any]:
    """Commit a write that nobody tracks, then do something about it."""
    yield Work(int)
    return (yield from flow)


class Asked(NamedTuple):
    """What the process of a writer finds when it asks again."""

    served: int | None
    is_owing: bool


def owing(verbs: ComputingVerbs, unit: Unit, dependencies: Dependencies) -> Flow[Asked]:
    """Write as far as the server hears of it, pay what is owed, then read."""
    yield from verbs.fencing(unit)
    yield Work(int)
    yield from verbs.releasing(unit)
    try:
        yield from verbs._settling()
    except BackendError:
        return Asked(None, is_owing=True)
    # As who mends it does then.
    verbs.circuit.is_open = False
    lookup = yield from verbs.looking_up(b"k", dependencies)
    return Asked(lookup.value if lookup.is_hit else None, is_owing=False)


def _failure(reply: str) -> BackendError:
    error = BackendError(reply)
    if reply == UNANSWERED:
        error.unanswered = (Command("PING", ()),)
    return error


def advance(flow: Flow[Any], replies: Replies) -> tuple[Any, Any]:
    """Return what a flow asks for after these replies, or None and its result."""
    # Drawn bytes only guard against a clock that is set back, and this one never is.
    with mock.patch("cacheops_core.reading_verbs.urandom", bytes):
        try:
            request = next(flow)
            for reply in replies:
                request = flow.throw(_failure(reply)) if reply in (REFUSED, UNANSWERED) else flow.send(reply)
        except StopIteration as stop:
            return None, stop.value
    return request, None
