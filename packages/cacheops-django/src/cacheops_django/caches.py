"""The project's cache: made from the settings when it is first asked for, and anew when they change.

There is one per prefix. ``CACHEOPS_PREFIX`` may be a function, of a tenant say: it is asked for each table, with the
same question when the table is read and when it is written, for otherwise a write would not find what it changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from django.db import DEFAULT_DB_ALIAS

from cacheops_core.cache import Cache
from cacheops_core.errors import ConfigurationError
from cacheops_core.options import CacheOptions
from cacheops_core.units import Change

from . import conf


@dataclass(frozen=True, slots=True)
class PrefixQuery:
    """What a prefix may depend on: the tables that are read or written, and the database."""

    tables: tuple[str, ...]
    dbs: tuple[str, ...]
    func: Any = None
    """The function whose result is kept; None for a queryset and for a write."""

    @property
    def db(self) -> str:
        """The one database that is asked."""
        return _only(self.dbs, "db", "dbs")

    @property
    def table(self) -> str:
        """The one table that is asked."""
        return _only(self.tables, "table", "tables")


@dataclass(slots=True)
class _Made:
    """The caches of one process under one version of the settings."""

    settings: conf.Settings
    pid: int
    client: Any
    by_prefix: dict[str, Cache] = field(default_factory=dict)


_lock = Lock()
_made: _Made | None = None


def of(tables: Iterable[str], using: str, func: Any = None) -> Cache:
    """Return the cache for what depends on these tables; all of them must have one prefix."""
    prefix = conf.current().prefix
    if isinstance(prefix, str):
        return _under(prefix)
    found = {prefix(PrefixQuery((table,), (using,), func)) for table in tables}
    if len(found) > 1:
        raise ConfigurationError(
            f"CACHEOPS_PREFIX must be one for all tables that a result depends on, got {sorted(found)} for "
            f"{', '.join(sorted(tables))}: let it depend on query.dbs or on the tenant, not on query.table"
        )
    return _under(found.pop() if found else prefix(PrefixQuery((), (using,), func)))


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


def latest_birth() -> int:
    """Return the youngest stamp that this process has seen, in microseconds of the server's clock."""
    made = _made
    return 0 if made is None else max((cache.latest_birth for cache in made.by_prefix.values()), default=0)


def _under(prefix: str) -> Cache:
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
                degrade=settings.degrade_on_failure,
                compression=settings.compression,
                compress_above=settings.compress_above,
                signing_key=settings.signing_key,
            )
            made.by_prefix[prefix] = Cache(made.client, serializer=settings.serializer, options=options)
        return made.by_prefix[prefix]


def _only(values: tuple[str, ...], name: str, plural: str) -> str:
    if len(values) != 1:
        raise ConfigurationError(
            f"CACHEOPS_PREFIX asks for query.{name}, of which there must be one, got {values}: use query.{plural}"
        )
    return values[0]
