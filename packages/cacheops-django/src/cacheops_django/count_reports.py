"""What all processes have counted, read from the cache's server, and put together for people."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cacheops_core.flows import Command, Flow

from . import caches
from .counters import Counts
from .shared_counters import HOUR, MINUTE, key_of

__all__ = ["Figures", "Query", "by", "hours", "minutes", "queries", "totals"]


@dataclass(slots=True)
class Figures:
    """What was counted, of one thing or of several together."""

    hits: int = 0
    misses: int = 0
    fills: int = 0
    spent: float = 0.0
    """Seconds that answers took which the cache did not have."""
    saved: float = 0.0
    """Seconds that hits have saved, as estimated."""
    bypasses: Counter[str] = field(default_factory=Counter)
    """How often the cache was not asked, by the kind of reason."""
    drops: Counter[str] = field(default_factory=Counter)
    """How often what depends on it was dropped: for some of its "rows", the whole "table", or "all" there is."""

    @property
    def lookups(self) -> int:
        """How often the cache was asked."""
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float | None:
        """The part of lookups that were hits; None if there were none."""
        return self.hits / self.lookups if self.lookups else None

    def add(self, name: str, number: int) -> None:
        """Add a number, named as in `Counts`."""
        kind, _, of = name.partition(":")
        if kind == "bypass":
            self.bypasses[of] += number
        elif kind == "drop":
            self.drops[of] += number
        elif kind in ("spent", "saved"):
            setattr(self, kind, getattr(self, kind) + number / 1e6)
        elif kind in ("hits", "misses", "fills"):
            setattr(self, kind, getattr(self, kind) + number)


@dataclass(slots=True)
class Query:
    """What has come of asking one thing."""

    model: str
    op: str
    what: str
    """The query without its values, or the function's name; empty for what is not told apart any more."""
    figures: Figures = field(default_factory=Figures)


def by(counts: Counts, of: Callable[[str, str], tuple[str, ...]]) -> dict[tuple[str, ...], Figures]:
    """Return figures summed up by what ``of`` makes of a model and an op, in order."""
    found: dict[tuple[str, ...], Figures] = {}
    for (model, op, name), number in counts.items():
        found.setdefault(of(model, op), Figures()).add(name, number)
    return dict(sorted(found.items()))


def minutes(number: int = 60) -> list[tuple[int, Counts]]:
    """Return what was counted in each of the last minutes, with the Unix time of its beginning, oldest first."""
    return _buckets("m", MINUTE, number)


def hours(number: int = 24) -> list[tuple[int, Counts]]:
    """Return what was counted in each of the last hours, with the Unix time of its beginning, oldest first."""
    return _buckets("h", HOUR, number)


def totals() -> Counts:
    """Return what was counted in all, until a week has passed in which nobody has counted anything."""
    return _counts(_read([key_of("t")])[0])


def queries(number: int = 24) -> list[Query]:
    """Return what was asked in the last hours, that of this hour included, in no order."""
    this = int(time.time()) // HOUR
    texts: dict[str, tuple[str, str, str]] = {}
    figures: dict[str, Figures] = {}
    for fields in _read([key_of("q", hour) for hour in range(this - number + 1, this + 1)]):
        for known, value in fields.items():
            digest, _, name = known.decode().partition("|")
            if name == "text":
                texts[digest] = json.loads(value)
            else:
                figures.setdefault(digest, Figures()).add(name, int(value))
    return [Query(*text, figures.get(digest, Figures())) for digest, text in texts.items()]


def _buckets(kind: str, seconds: int, number: int) -> list[tuple[int, Counts]]:
    this = int(time.time()) // seconds
    wanted = range(this - number + 1, this + 1)
    found = _read([key_of(kind, bucket) for bucket in wanted])
    return [(bucket * seconds, _counts(fields)) for bucket, fields in zip(wanted, found, strict=True)]


def _read(keys: Iterable[str]) -> list[dict[bytes, bytes]]:
    commands = tuple(Command("HGETALL", (key,)) for key in keys)
    replies = caches.of_counters().driver.run(_asking(commands))
    return [reply if isinstance(reply, dict) else dict(_pairs(reply)) for reply in replies]


def _asking(commands: tuple[Command, ...]) -> Flow[list[Any]]:
    return (yield commands)  # type: ignore[no-any-return]  # replies are untyped


def _pairs(reply: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(reply[::2], reply[1::2], strict=True)


def _counts(fields: dict[bytes, bytes]) -> Counts:
    counts: Counts = {}
    for known, number in fields.items():
        model, op, name = known.decode().split("|", 2)
        counts[model, op, name] = int(number)
    return counts
