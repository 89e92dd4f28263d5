"""Why a query is not cached: said, counted, never silently ignored."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

from django.db.models import Model

from . import events

log: logging.Logger = logging.getLogger("cacheops")

MOST_REASONS = 1000
"""Reasons that are told apart; of further ones, whose texts hold whatever users ask for, only the kind is kept."""

REMEDIES = {
    "arguments": "Correct the arguments: the error that Django raises for them says how.",
    "combined": "Call it on the queryset before union(), intersection() or difference().",
    "deciding": "Nothing to change: a write must be decided on what the database says.",
    "empty": "Nothing to change: Django knows that there are no rows and asks nobody.",
    "forbidden": "Give the table's model a profile in CACHEOPS instead of None, if its rows may be cached.",
    "key": "Write the query with expressions of Django's, or keep its result with @cached_as.",
    "locks": "Nothing to change: only the database gives locks. Leave select_for_update() out where none is needed.",
    "prefixes": "Let CACHEOPS_PREFIX give one prefix for all tables that are read together.",
    "raw": "Write it with expressions of Django's, or keep the result of a function with @cached_as and samples.",
    "results": "Use values(), values_list() or plain objects, or keep the result of a function with @cached_as.",
    "snapshot": "Ask outside of the transaction, or once it has ended.",
    "transaction": "Nothing to change: a transaction sees its own writes. It is cached again once that has ended.",
    "unknown": "Set cacheops_pure = True on the expression's class, if it depends on its arguments and rows alone.",
    "volatile": "Compute the value in Python and pass it in, rounded to what the page needs (a minute, a day).",
}
"""What to change about each kind of reason."""


class Reason(str):
    """Why something is not cached, in words. Of its kinds there are few, so that they can be counted by."""

    __slots__ = ("kind",)

    kind: str

    def __new__(cls, text: str, kind: str = "other") -> Reason:
        self = super().__new__(cls, text)
        self.kind = text.kind if isinstance(text, Reason) else kind
        return self

    @property
    def remedy(self) -> str:
        """What to change; empty if that depends."""
        return REMEDIES.get(self.kind, "")


class Uncacheable(Exception):
    """A query that is not understood well enough to be cached; the text says what stands in the way."""

    def __init__(self, text: str, kind: str = "other") -> None:
        super().__init__(Reason(text, kind))

    @property
    def reason(self) -> Reason:
        reason: Any = self.args[0]
        return reason  # type: ignore[no-any-return]  # put there by __init__


bypasses: Counter[tuple[str, str, Reason]] = Counter()
"""How often this process went past the cache, by model label, op and reason."""


def record(model: type[Model], op: str, text: str, kind: str = "other") -> None:
    """Note that an operation which the profile would cache goes to the database, and why."""
    label, reason = model._meta.label, Reason(text, kind)
    if len(bypasses) >= MOST_REASONS and (label, op, reason) not in bypasses:
        reason = Reason(f"another reason of the kind {reason.kind}", reason.kind)
    bypasses[label, op, reason] += 1
    if events.listeners:
        events.tell(events.Bypass(model=label, op=op, reason=text))
    log.debug("%s of %s is not cached: %s", op, model._meta.label, text)
