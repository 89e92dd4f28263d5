"""Why a query is not cached: said, counted, never silently ignored."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any, Literal, NamedTuple

from . import events

log: logging.Logger = logging.getLogger("cacheops")

MOST_REASONS = 1000
"""Reasons that are told apart; of further ones, whose texts hold whatever users ask for, only the kind is kept."""


KindName = Literal[
    "arguments", "away", "deciding", "empty", "forbidden", "key", "locks", "other", "prefixes", "raw", "results",
    "snapshot", "transaction", "unknown", "volatile",
]  # fmt: skip


class Kind(NamedTuple):
    """A kind of reason."""

    words: str
    """What it means."""
    remedy: str
    """What to change."""


KINDS: dict[str, Kind] = {
    "arguments": Kind(
        "Django cannot make a query of it.", "Correct the arguments: the error that Django raises says how."
    ),
    "away": Kind(
        "The cache server does not answer.",
        "See to the server: it is asked again and again, and used as soon as it answers.",
    ),
    "deciding": Kind("A write is decided on what it reads.", "Nothing: that must be what the database says."),
    "empty": Kind("It has no rows, as Django knows without asking.", "Nothing: nobody is asked."),
    "forbidden": Kind(
        "It reads a table whose model `CACHEOPS` maps to `None`.",
        "Give the model a profile instead, if its rows may be cached.",
    ),
    "key": Kind(
        "It holds something that has no stable form.",
        "Write the query with expressions of Django's, or keep its result with `@cached_as`.",
    ),
    "locks": Kind(
        "It asks for locks, not only for rows.",
        "Leave `select_for_update()` out where nothing is to be locked.",
    ),
    "prefixes": Kind(
        "It reads tables that have different prefixes.",
        "Let `CACHEOPS_PREFIX` give one prefix for all tables that are read together.",
    ),
    "raw": Kind(
        "It holds SQL that somebody has written by hand.",
        "Write it with expressions of Django's, or keep the result of a function with `@cached_as`.",
    ),
    "results": Kind(
        "A class of the project's own makes results of its rows.",
        "Use objects, `values()` or `values_list()`, or keep the result of a function with `@cached_as`.",
    ),
    "snapshot": Kind(
        "The transaction may see older rows than the cache stands for.",
        "Ask outside of the transaction, or when it has ended.",
    ),
    "transaction": Kind(
        "The open transaction has written to what it reads.",
        "Nothing: a transaction sees its own writes. Ask when it has ended.",
    ),
    "unknown": Kind(
        "It holds an expression that is not Django's.",
        "Set `cacheops_pure = True` on its class, if it depends on its arguments and rows alone.",
    ),
    "volatile": Kind(
        "Its value changes without a write: the time, chance.",
        "Compute the value in Python and pass it in, rounded to what the page needs.",
    ),
}
"""All kinds there are, but for ``other``."""


class Reason(str):
    """Why something is not cached, in words. Of its kinds there are few, so that they can be counted by."""

    __slots__ = ("kind",)

    kind: KindName

    def __new__(cls, text: str, kind: KindName = "other") -> Reason:
        self = super().__new__(cls, text)
        self.kind = text.kind if isinstance(text, Reason) else kind
        return self

    @property
    def remedy(self) -> str:
        """What to change, as plain text; empty if that depends."""
        kind = KINDS.get(self.kind)
        return kind.remedy.replace("`", "") if kind else ""


class Uncacheable(Exception):
    """A query that is not understood well enough to be cached; the text says what stands in the way."""

    def __init__(self, text: str, kind: KindName = "other") -> None:
        super().__init__(Reason(text, kind))

    @property
    def reason(self) -> Reason:
        reason: Any = self.args[0]
        return reason  # type: ignore[no-any-return]  # put there by __init__


bypasses: Counter[tuple[str, str, Reason]] = Counter()
"""How often this process went past the cache, by model label, op and reason."""


def record(label: str, op: str, text: str, kind: KindName = "other") -> None:
    """Note that an operation on a model, which the profile would cache, goes to the database, and why."""
    reason = Reason(text, kind)
    if len(bypasses) >= MOST_REASONS and (label, op, reason) not in bypasses:
        reason = Reason(f"another reason of the kind {reason.kind}", reason.kind)
    bypasses[label, op, reason] += 1
    if events.listeners:
        events.tell(events.Bypass(model=label, op=op, reason=text))
    log.debug("%s of %s is not cached: %s", op, label or "no model", text)
