"""Rows and what is prefetched for them, asked for in one round trip.

What ``prefetch_related("tags", "category")`` asks depends on the rows, which have to be there first. But the same rows
ask for the same each time. So for each question it is remembered which others have followed from its answer, and the
next time they are asked for together with it. Whatever then asks one of them has its answer already.

An answer that was brought along is no older than the read that it is part of: it was checked against its stamps at the
moment at which the rows were. If the rows come from the database in the end, because the cache does not have them, what
was brought along may be older than they are, and is thrown away; and so is what nobody asks for before the read ends.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from cacheops_core.cache import Cache, Lookup
from cacheops_core.conditions import Dependencies

MOST_KNOWN = 1_000
"""Questions of which it is known what follows."""

MOST_FOLLOWING = 20
"""Questions that are remembered to follow from one."""


class Wanted(NamedTuple):
    """One question to a cache."""

    key: bytes
    found: Dependencies
    timeout: float | None


_known: OrderedDict[Hashable, tuple[Wanted, ...]] = OrderedDict()
_read: ContextVar[Read | None] = ContextVar("cacheops_read", default=None)


class Read:
    """One queryset that is being fetched, and all that is fetched for its rows."""

    def __init__(self, lookups: tuple[str, ...]) -> None:
        self._lookups = lookups
        self._at: Hashable = None
        self._asked: list[Wanted] = []
        self._brought: dict[str, Lookup] = {}
        self._is_known = False

    def fetch(self, cache: Cache, wanted: Wanted) -> Lookup:
        """Return what the cache says, which may have been brought along."""
        if self._at is None:
            return self._first(cache, wanted)
        if len(self._asked) < MOST_FOLLOWING:
            self._asked.append(wanted)
        if self._brought and (brought := self._brought.pop(cache.key_of(*wanted[:2]), None)) is not None:
            return brought
        return cache.fetch(*wanted)

    def _first(self, cache: Cache, wanted: Wanted) -> Lookup:
        # Another prefix is another cache.
        self._at = cache.options.prefix, wanted.key, self._lookups
        following = _known.get(self._at)
        if not following:
            lookup = cache.fetch(*wanted)
        else:
            lookup, *others = cache.fetch_together((wanted, *following))
            if lookup.is_hit:
                self._brought = {other.key: other for other in others if other.is_hit}
        self._is_known = lookup.is_hit
        return lookup

    def end(self) -> None:
        """Remember what has followed."""
        if self._is_known:
            _known[self._at] = tuple(self._asked)
            if len(_known) > MOST_KNOWN:
                _known.popitem(last=False)


def fetch(cache: Cache, key: bytes, found: Dependencies, timeout: float | None) -> Lookup:
    """Return what a cache says to a question, which may be one that follows from another."""
    read, wanted = _read.get(), Wanted(key, found, timeout)
    return cache.fetch(*wanted) if read is None else read.fetch(cache, wanted)


@contextmanager
def reading(lookups: tuple[Any, ...]) -> Iterator[None]:
    """Fetch a queryset and, in one go, what these lookups of ``prefetch_related`` want for its rows."""
    if not lookups or not all(type(lookup) is str for lookup in lookups):
        yield
        return
    read = Read(lookups)
    token = _read.set(read)
    try:
        yield
        read.end()
    finally:
        _read.reset(token)


def forget() -> None:
    """Forget what follows, after settings or models have changed."""
    _known.clear()
