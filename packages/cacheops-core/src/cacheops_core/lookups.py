"""What asking a cache brings, and the words in which it is asked."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from .conditions import Dependencies
from .near import Ticket
from .stamps import Births, StampKeys

Samples = Dependencies | str | Mapping[str, Any]

NOT_GIVEN: Any = object()
"""Stands for an argument that was left out, where None means something."""

NOTHING = Dependencies()
"""What a value depends on that nothing invalidates but time."""


@dataclass(slots=True)
class Lookup:
    """What asking the cache brought: a value to serve, or the right to store one."""

    key: str
    stamps: StampKeys
    timeout: float | None
    """Seconds for which an answer is to be stored."""
    is_hit: bool = False
    value: Any = None
    head: bytes | None = None
    """What an answer computed from now on may be stored under; None if it may not be stored."""
    outdated: bytes | None = None
    """An entry whose answer has been invalidated, with the head that it was stored under."""
    near: Hashable = False
    """By what this process finds its copy of the answer; False if it is to have none."""
    ticket: Ticket | None = None
    """The right to keep a copy."""
    told: Callable[[bool], None] | None = None
    """Called with whether an answer was stored, where somebody wants to know."""
    known_since: float = inf
    """When this process saw this head first that it still remembers, by ``time.monotonic()``: its stamps are older."""

    @property
    def youngest(self) -> Births:
        """When the youngest stamps of the head were born, in microseconds of each server's own clock."""
        return self.stamps.youngest(self.head) if self.head is not None else {}


def milliseconds(timeout: float | None) -> int:
    """Return a time as Redis takes it; 0 stands for no limit."""
    return 0 if timeout is None else max(1, round(timeout * 1000))
