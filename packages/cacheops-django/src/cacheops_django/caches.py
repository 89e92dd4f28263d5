"""The project's cache: made from the settings when it is first asked for, and anew when they change.

There is one per prefix. ``CACHEOPS_PREFIX`` may be a function, of a tenant say: it is asked for each table, with the
same question when the table is read and when it is written, for otherwise a write would not find what it changes.
(The original asks once for all tables of a query: what is kept under the answer for two tables is not found by a
write to one of them.)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from cacheops_core.cache import Cache
from cacheops_core.errors import ConfigurationError
from cacheops_core.forks import module_lock
from cacheops_core.options import CacheOptions
from cacheops_core.units import Change

from . import conf
from .reasons import Uncacheable, log
from .tables import known_tables


@dataclass(frozen=True, slots=True)
class PrefixQuery:
    """What a prefix may depend on: the tables that are read or written, and the database."""

    # Lists, because that is what functions which were written for django-cacheops compare them with.
    tables: list[str]
    dbs: list[str]
    func: Any = None
    """The function whose result is kept for a time; None for what depends on tables, and for a write."""

    @property
    def db(self) -> str:
        """The one database that is asked."""
        return _only(self.dbs, "db", "dbs")

    @property
    def table(self) -> str:
        """The one table that is asked."""
        return _only(self.tables, "table", "tables")


class MixedPrefixes(Uncacheable):
    """A result depends on tables that have different prefixes, so there is no place where writes would find it."""

    def __init__(self, text: str) -> None:
        super().__init__(text, "prefixes")
        _warn(text)


@lru_cache(maxsize=1024)
def _warn(text: str) -> None:
    log.warning("%s: what joins them is not cached", text)


@dataclass(slots=True)
class _Made:
    """The caches of one process under one version of the settings."""

    settings: conf.Settings
    pid: int
    client: Any
    by_prefix: dict[str, Cache] = field(default_factory=dict)


_lock = module_lock()
_made: _Made | None = None


def of(tables: Iterable[str], using: str, func: Any = None) -> Cache:
    """Return the cache for what depends on these tables; raise `MixedPrefixes` if they have not one prefix."""
    prefix = conf.current().prefix
    if isinstance(prefix, str):
        return under(prefix)
    # Whoever writes knows of no function, so what is to be found by writes is not kept by function either.
    found = {table: prefix(PrefixQuery([table], [using])) for table in tables}
    if len(set(found.values())) > 1:
        told = ", ".join(f"{table}: {found[table]!r}" for table in sorted(found))
        raise MixedPrefixes(
            f"CACHEOPS_PREFIX must be one for all tables that a result depends on, got {told}. Let it depend on "
            f"query.dbs or on the tenant, or have it look in query.tables for those that are read together"
        )
    return under(next(iter(found.values())) if found else prefix(PrefixQuery([], [using], func)))


def everyone() -> list[Cache]:
    """Return the caches under all prefixes that there are at the moment: of each table, and of no table."""
    prefix = conf.current().prefix
    if isinstance(prefix, str):
        return [under(prefix)]
    found = {prefix(PrefixQuery([table], [using])) for table in known_tables() for using in connections}
    # A prefix by query.table has no answer where there is none, and so nothing is kept there.
    with suppress(ConfigurationError):
        found.add(prefix(PrefixQuery([], [DEFAULT_DB_ALIAS])))
    return [under(one) for one in sorted(found)]


def by_changes(changes: Sequence[Change], using: str) -> Iterator[tuple[Cache, list[Change]]]:
    """Yield the caches that the changes of a transaction concern, each with its own."""
    if isinstance(conf.current().prefix, str):
        yield of((), using), list(changes)
        return
    by_table: dict[str, list[Change]] = {}
    for change in changes:
        by_table.setdefault(change.table, []).append(change)
    by_cache: dict[int, tuple[Cache, list[Change]]] = {}
    for table, found in by_table.items():
        cache = of((table,), using)
        by_cache.setdefault(id(cache), (cache, []))[1].extend(found)
    yield from by_cache.values()


def current() -> Cache:
    """Return the cache for what depends on no table. A forked child gets its own, with no connection shared."""
    return of((), DEFAULT_DB_ALIAS)


def beside(name: str) -> Cache:
    """Return a cache on the same server whose keys are apart from all others of the project."""
    return under(f"{current().options.prefix}{name}:")


def of_counters() -> Cache:
    """Return the cache beside whose keys all processes count: one, whatever the prefix is a function of."""
    prefix = conf.current().prefix
    return under(prefix if isinstance(prefix, str) else CacheOptions().prefix)


def owes() -> bool:
    """Tell whether this process has invalidations that it could not send, and that end with it."""
    made = _made
    return made is not None and any(cache._owed.debts() for cache in made.by_prefix.values())


def under(prefix: str) -> Cache:
    """Return the cache of what has this prefix."""
    made = _made
    if made is None or made.settings is not conf.current() or made.pid != os.getpid():
        made = _make()
    return made.by_prefix.get(prefix) or _add(made, prefix)


def _make() -> _Made:
    global _made
    with _lock:
        settings, made = conf.current(), _made
        if made is None or made.settings is not settings or made.pid != os.getpid():
            is_same = (
                made is not None
                and made.pid == os.getpid()
                and made.settings.connection == settings.connection
            )
            made = _made = _Made(
                settings, os.getpid(), made.client if made and is_same else conf.make_client()
            )
        return made


def _add(made: _Made, prefix: str) -> Cache:
    with _lock:
        if prefix not in made.by_prefix:
            settings = made.settings
            # Bookkeeping lives as long as the longest entry may, without being asked to each time.
            timeouts = [profile.timeout for profile in settings.profiles.values() if profile is not None]
            longest = None if None in timeouts else max(filter(None, timeouts), default=60.0)
            options = CacheOptions(
                prefix=prefix,
                timeout=longest,
                # Without a server, what is not to be used must not be needed either.
                degrade=settings.degrade_on_failure or not settings.enabled,
                fence_lifetime=settings.fence_lifetime,
                compression=settings.compression,
                compress_above=settings.compress_above,
                signing_key=settings.signing_key,
                near_size=settings.near_size,
                near_bytes=settings.near_bytes,
                near_max_age=settings.near_max_age,
            )
            made.by_prefix[prefix] = Cache(made.client, serializer=settings.serializer, options=options)
        return made.by_prefix[prefix]


def _only(values: list[str], name: str, plural: str) -> str:
    if len(values) != 1:
        raise ConfigurationError(
            f"CACHEOPS_PREFIX asks for query.{name}, of which there must be one, got {values}: use query.{plural}"
        )
    return values[0]
