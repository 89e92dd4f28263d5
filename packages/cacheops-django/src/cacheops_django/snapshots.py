"""Whether what a connection shows is as new as the cache's stamps, so that it may be stored under them.

The story: a transaction sees the database as of its first statement. Then somebody commits and releases. The
transaction misses, acquires stamps that are younger than the write, reads the rows of before it, and stores them: stale
for everybody. So in such a transaction only stamps count that this process has seen before the snapshot, by its own
steady clock. A replica tells the same story, a few seconds behind, and so does SQLite while a cursor stands in the
middle of its rows.

*The clock that was set back.* Stamps tell when they were born, and one could compare that with the youngest that was
known before the snapshot. But the transaction sees the database, then the server's clock goes back by a minute, then
somebody writes and somebody else acquires a stamp: by its birth it is older than the snapshot, and it stands for rows
that the transaction cannot see. Whoever has seen a stamp with its own eyes needs no clock but its own.

That a replica is at most so many seconds behind is a promise of its owner's, and those are counted by the server's
clock: what the clock is set forward by meanwhile is missing from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from cacheops_core.cache import Lookup
from cacheops_core.flows import Command, Flow

from . import caches, conf
from .transactions import is_open, work_of


def is_current(connection: Connection) -> bool:
    """Tell whether each statement on the connection sees all that has been committed before it."""
    is_replica = conf.current().primary_of(connection.alias) != connection.alias
    return not is_open(connection) and not work_of(connection).open_cursors and not is_replica


def may_fill(connection: Connection, lookup: Lookup) -> bool:
    """Tell whether what this connection reads is as new as the stamps, which were acquired before."""
    work = work_of(connection)
    if (connection.vendor == "sqlite" and work.open_cursors) or _is_behind(connection, lookup):
        # An iterator that is not at its end keeps SQLite's snapshot even outside of transactions.
        return False
    if not is_open(connection) or work.snapshot is None or lookup.known_since < work.snapshot:
        return True
    if work.is_repeatable is None:
        work.is_repeatable = _is_repeatable(connection)
    return not work.is_repeatable


@contextmanager
def open_cursor(connection: Connection) -> Iterator[None]:
    """Note that a cursor stands in the middle of its rows, as SQLite's snapshot then does for all other reads."""
    work_of(connection).open_cursors += 1
    try:
        yield
    finally:
        work_of(connection).open_cursors -= 1


def _is_behind(connection: Connection, lookup: Lookup) -> bool:
    """Tell whether a replica may not have seen yet what was written before the stamps were born."""
    settings = conf.current()
    if settings.primary_of(connection.alias) == connection.alias:
        return False
    cache = caches.everyone()[0]
    told = cache.driver.run(cache.unless_down(_telling_time(), None))
    if told is None:
        return True
    seconds, micros = told
    newest = max(lookup.youngest.values(), default=0)
    return int(seconds) * 1_000_000 + int(micros) - newest < settings.replica_lag * 1_000_000


def _telling_time() -> Flow[Any]:
    return (yield Command("TIME", ()))


def _is_repeatable(connection: Connection) -> bool:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SHOW transaction_isolation")
            return cursor.fetchone()[0] not in ("read committed", "read uncommitted")
    if connection.vendor == "mysql":
        # Django sets the session's level itself; a statement that changes it is seen by `watch`.
        level = (
            None
            if connection.__dict__.get("_cacheops_isolation")
            else getattr(connection, "isolation_level", None)
        )
        return level not in ("read committed", "read uncommitted")
    return True
