"""What happens in the cache, told in full to whoever listens: a toolbar, a page that shows it live.

While nobody listens, it costs one look at an empty list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cacheops_core.conditions import Dependencies
from cacheops_core.units import Change

__all__ = ["Bypass", "Drop", "Event", "Lookup", "listeners", "tell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """The cache was asked."""

    model: str
    """The model's label; empty for what depends on none."""
    op: str
    what: str
    """The query without its values, or the function's name."""
    key: str
    found: Dependencies
    is_hit: bool
    is_stored: bool
    """Whether an answer that was computed has been stored."""
    seconds: float
    """From the question to the answer, whatever that took."""
    computing: float
    """Seconds that the database, or the function, took of that; 0 for a hit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bypass:
    """The cache would have been asked, but for a reason."""

    model: str
    op: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """What depends on these rows, or on all of a table, was dropped."""

    changes: Sequence[Change]
    """None of them if everything in the cache was dropped."""


Event = Lookup | Bypass | Drop

listeners: list[Callable[[Event], Any]] = []
"""Called with each event, in the thread or task in which it happens; they must not raise."""


def tell(event: Event) -> None:
    """Tell all who listen."""
    for listener in listeners:
        listener(event)
