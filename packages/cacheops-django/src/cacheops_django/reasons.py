"""Why a query is not cached: said, counted, never silently ignored."""

from __future__ import annotations

import logging
from collections import Counter

from django.db.models import Model

log = logging.getLogger("cacheops")


class Uncacheable(Exception):
    """A query that is not understood well enough to be cached; the text says what stands in the way."""

    @property
    def reason(self) -> str:
        return str(self.args[0])


bypasses: Counter[tuple[str, str, str]] = Counter()
"""How often this process went past the cache, by model label, op and reason."""


def record(model: type[Model], op: str, reason: str) -> None:
    """Note that an operation which the profile would cache goes to the database, and why."""
    bypasses[model._meta.label, op, reason] += 1
    log.debug("%s of %s is not cached: %s", op, model._meta.label, reason)
