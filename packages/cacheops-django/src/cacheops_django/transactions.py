"""What a connection has written and not yet invalidated; fences and releases around its COMMIT.

The state lives on the connection, so that whatever ends a transaction (`atomic`, ``ATOMIC_REQUESTS``,
``set_autocommit``, a plain ``commit()``, a ``COMMIT`` through a cursor) passes through the same lines. `patching`
puts the functions that take ``original`` around Django's own.

``TestCase`` wraps each test in a transaction that it rolls back. What a test writes outside of any transaction
of its own counts as committed: it is invalidated at once, and once more when ``TestCase`` rolls it back.
"""

from __future__ import annotations

import logging
import re
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from django.db import DatabaseError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from cacheops_core import units
from cacheops_core.cache import Cache
from cacheops_core.conditions import Row

from . import caches, scopes, tables
from .announcements import announce

log: logging.Logger = logging.getLogger("cacheops")

EVERY_TABLE = "*"
"""Stands for the tables of a write that is not understood."""

READS = re.compile(
    r"\s*\(*\s*(SELECT|SHOW|PRAGMA|SAVEPOINT|RELEASE|ROLLBACK|ABORT|BEGIN|START|COMMIT|END|SET|DECLARE|FETCH|CLOSE"
    r"|DESCRIBE|USE)\b",
    re.I,
)
"""How statements begin that change no row."""

_BEFORE = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
"""Space and comments, as some put them before each statement."""

BEGINS = re.compile(_BEFORE + r"(BEGIN|START\s+TRANSACTION)\b[^;]*;?\s*\Z", re.I | re.S)

COMMITS = re.compile(_BEFORE + r"(COMMIT|END)\b", re.I | re.S)

ROLLS_BACK = re.compile(_BEFORE + r"(ROLLBACK|ABORT)\b(?!.*\bTO\b)", re.I | re.S)

COMMITS_IN_MYSQL = re.compile(
    _BEFORE
    + r"((CREATE|DROP)\s+(?!TEMPORARY\b)|LOAD\s+INDEX|(ALTER|ANALYZE|BEGIN|CACHE|CHANGE|CHECK|FLUSH|GRANT|INSTALL|LOCK"
    r"|OPTIMIZE|RENAME|REPAIR|RESET|REVOKE|START|STOP|TRUNCATE|UNINSTALL)\b)",
    re.I | re.S,
)
"""What commits there by the way: https://dev.mysql.com/doc/refman/8.4/en/implicit-commit.html."""

SETS_ISOLATION = re.compile(r"\s*(SET|BEGIN|START)\b.*\bISOLATION\b", re.I | re.S)


class Work:
    """The open transaction of one connection, as far as the cache is concerned."""

    def __init__(self) -> None:
        self.unit: units.Unit = units.Unit()
        """What is to be invalidated."""
        self.written: units.Unit = units.Unit()
        """All tables that were written, invalidation wanted or not: they are read past the cache."""
        self.published = 0
        """How many of the unit's changes a test has "committed" already."""
        self.snapshot: float | None = None
        """When the transaction saw the database first, by ``time.monotonic()``."""
        self.is_repeatable: bool | None = None
        """Whether all its reads see one snapshot; None until somebody needs to know."""
        self.is_expected = False
        """Whether the statement that is running is a write that has been understood."""
        self.is_begun_by_statement = False
        """Whether somebody has sent ``BEGIN`` past Django, which believes that each statement commits."""
        self.holds_write_lock = False
        """Whether SQLite's one write lock has been taken, which stays until the transaction ends."""
        self.open_cursors = 0
        """Iterators that may hold SQLite's view of the database at an earlier moment."""

    def touches(self, names: Iterable[str]) -> bool:
        """Tell whether one of the tables has been written in the open transaction."""
        if not self.written.changes:
            return False
        written = self.written.tables
        return EVERY_TABLE in written or not written.isdisjoint(names)

    def pending(self) -> list[units.Change]:
        return self.unit.changes[self.published :]


_writers: weakref.WeakSet[Work] = weakref.WeakSet()
"""All open transactions of this process that have written something."""


def is_anybody_writing() -> bool:
    """Tell whether any connection of this process has written to anything in an open transaction.

    Mostly none has, and then nobody needs to look at the connections one by one.
    """
    return bool(_writers)


def work_of(connection: Connection) -> Work:
    """Return the state of a connection; there is always one."""
    work = connection.__dict__.get("_cacheops_work")
    if work is None:
        work = connection.__dict__["_cacheops_work"] = Work()
    return work


def is_open(connection: Connection) -> bool:
    """Tell whether a transaction is open, not counting the ones that ``TestCase`` wraps around a test."""
    if connection.in_atomic_block:
        blocks: list[Any] = connection.atomic_blocks
        return not all(block._from_testcase for block in blocks)
    return connection.connection is not None and (
        not connection.autocommit or work_of(connection).is_begun_by_statement
    )


# Writing


def begin_to_write(connection: Connection) -> transaction.Atomic | None:
    """Begin a transaction for a write that is tracked, so that it has a COMMIT to fence; None if one is open.

    In SQLite it begins by taking the write lock.
    """
    if connection.in_atomic_block or is_open(connection):
        return None
    block = transaction.atomic(using=connection.alias, savepoint=False)
    if connection.vendor != "sqlite":
        block.__enter__()
        return block
    # A wrapper that has not connected yet does not know its mode.
    connection.ensure_connection()
    mode = connection.transaction_mode  # type: ignore[attr-defined]  # SQLite's
    connection.transaction_mode = "IMMEDIATE" if mode in (None, "DEFERRED") else mode  # type: ignore[attr-defined]
    try:
        block.__enter__()
    finally:
        connection.transaction_mode = mode  # type: ignore[attr-defined]
    work_of(connection).holds_write_lock = True
    return block


def note(work: Work, table: str, rows: list[Row] | None, *, is_tracked: bool = True) -> None:
    """Note that rows of a table change, None for all of it."""
    if not any(change.table == table for change in work.written.changes):
        _writers.add(work)
        work.written.add(table, None)
    if is_tracked and not scopes.is_muted() and not tables.is_forbidden(table):
        work.unit.add(table, rows)


def settle(connection: Connection) -> None:
    """Invalidate what counts as committed because no transaction is open but those of ``TestCase``."""
    work = work_of(connection)
    if work.written.changes and not is_open(connection):
        changes = work.pending()
        if connection.in_atomic_block:
            # Kept for when TestCase rolls it back.
            work.published = len(work.unit.changes)
            work.written.changes.clear()
            _writers.discard(work)
        else:
            _forget(connection)
        invalidate(connection, changes)


def invalidate(connection: Connection, changes: list[units.Change]) -> None:
    """Drop what depends on changes that have been committed, now or when `postpone_invalidation` ends."""
    collected = scopes.postponed()
    if collected is not None:
        collected.append((connection, changes))
    elif changes:
        parts = caches.by_changes(changes, connection.alias)
        _release((cache, units.Unit(changes=part)) for cache, part in parts)
        announce(changes)


def _release(fenced: Iterable[tuple[Cache, units.Unit]]) -> None:
    for cache, unit in fenced:
        cache.release(unit)


# Around Django's own


def commit(original: Callable[..., Any], connection: Connection, *args: Any, **kwargs: Any) -> Any:
    """Fence, commit, release. A cache that cannot be fenced fails the transaction before anything is done."""
    work = work_of(connection)
    changes = work.pending()
    if not changes or connection.in_atomic_block or scopes.postponed() is not None:
        result = original(connection, *args, **kwargs)
        if not connection.in_atomic_block:
            _forget(connection)
            invalidate(connection, changes)
        return result
    fenced = [
        (cache, units.Unit(changes=part)) for cache, part in caches.by_changes(changes, connection.alias)
    ]
    try:
        for cache, unit in fenced:
            cache.fence(unit)
    except BaseException:
        # Those that do stand must not keep others from storing until they expire.
        _release(fenced)
        connection.rollback()
        raise
    try:
        result = original(connection, *args, **kwargs)
    except BaseException as error:
        # The changes stay noted: who ended in here may roll back, or try to commit once more.
        if not _is_refusal(error, connection):
            # The connection may have gone before the answer came, and the server may commit a moment later.
            # The fences stand until they expire, so that nobody stores the rows of before.
            log.warning("COMMIT has failed and may yet have happened: its fences stand until they expire")
        else:
            _release(fenced)
        raise
    _forget(connection)
    _release(fenced)
    announce(changes)
    return result


def _is_refusal(error: BaseException, connection: Connection) -> bool:
    """Tell whether the database itself has answered that it does not commit; an interrupted call has no answer."""
    if connection.vendor == "sqlite":
        # The database is in this process: when the call is over, so is the COMMIT.
        return True
    return isinstance(error, DatabaseError) and not isinstance(error, OperationalError)


def set_autocommit(
    original: Callable[..., Any], connection: Connection, autocommit: bool, *args: Any, **kwargs: Any
) -> Any:
    """Treat what turns autocommit on in the middle of a transaction as the COMMIT that it is."""
    if autocommit and not connection.autocommit:
        return commit(original, connection, autocommit, *args, **kwargs)
    result = original(connection, autocommit, *args, **kwargs)
    # In SQLite it is Django's own BEGIN that has passed by.
    work_of(connection).is_begun_by_statement = False
    return result


def rollback(original: Callable[..., Any], connection: Connection) -> Any:
    """Forget what has been rolled back; what a test had "committed" is invalidated once more."""
    if connection.in_atomic_block:
        return original(connection)
    result = original(connection)
    _take_back(connection)
    return result


def _take_back(connection: Connection) -> None:
    work = work_of(connection)
    published = work.unit.changes[: work.published]
    _forget(connection)
    invalidate(connection, published)


def savepoint(original: Callable[..., Any], connection: Connection, sid: str) -> Any:
    """Remember what had been changed when a savepoint was set."""
    result = original(connection, sid)
    work = work_of(connection)
    work.unit.mark(sid)
    work.written.mark(sid)
    return result


def savepoint_rollback(original: Callable[..., Any], connection: Connection, sid: str) -> Any:
    """Forget what has been changed since a savepoint."""
    result = original(connection, sid)
    work = work_of(connection)
    work.written.roll_back_to(sid)
    forgotten = work.unit.roll_back_to(sid)
    kept = len(work.unit.changes)
    if work.published > kept:
        published, work.published = work.published - kept, kept
        invalidate(connection, forgotten[:published])
    return result


def leave_atomic(original: Callable[..., Any], block: transaction.Atomic, *exception: Any) -> Any:
    """Let what a test did in a block without a savepoint count as committed, too."""
    result = original(block, *exception)
    connection = transaction.get_connection(block.using)
    if connection.connection is None and not connection.in_atomic_block:
        # It was lost on the way, and the database has rolled back.
        _take_back(connection)
    settle(connection)
    return result


def connected(*, connection: Connection, **kwargs: Any) -> None:
    """Start anew on a connection that has just been made: what the one before had open is rolled back."""
    _writers.discard(work_of(connection))
    connection.__dict__["_cacheops_work"] = Work()
    connection.__dict__["_cacheops_isolation"] = False
    if watch not in connection.execute_wrappers:
        connection.execute_wrappers.append(watch)


def disconnect(connection: Connection) -> None:
    """Take back what `connected` has done."""
    if watch in connection.execute_wrappers:
        connection.execute_wrappers.remove(watch)
    _writers.discard(work_of(connection))
    for name in ("_cacheops_work", "_cacheops_isolation"):
        connection.__dict__.pop(name, None)


def watch(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Look at every statement: notes what a transaction sees first, and writes that nobody has announced."""
    connection = context["connection"]
    work = work_of(connection)
    text = sql if isinstance(sql, str) else str(sql)
    if SETS_ISOLATION.match(text):
        connection.__dict__["_cacheops_isolation"] = True
    if connection.in_atomic_block or is_open(connection):
        if work.snapshot is None:
            work.snapshot = time.monotonic()
        if not work.is_expected and not READS.match(text):
            note(work, EVERY_TABLE, None, is_tracked=False)
    if connection.in_atomic_block:
        return execute(sql, params, many, context)
    return _outside_blocks(lambda *_: execute(sql, params, many, context), connection, text)


def _outside_blocks(execute: Callable[..., Any], connection: Connection, text: str) -> Any:
    """Execute a statement that may begin or end a transaction past Django.

    Where its end is not recognized, nobody has put up a fence, and what it has changed is dropped after the fact, but
    before this returns. The story: R has read the old rows before the COMMIT, and stores them after it. They stand
    under stamps that are dropped here, so that only who asks before the writer has returned is served them.
    """
    was_begun = work_of(connection).is_begun_by_statement
    end = _end_by(text, connection) if is_open(connection) else None
    try:
        return execute() if end is None else end(execute, connection)
    finally:
        if connection.autocommit:
            is_begun = _is_in_transaction(connection)
            if is_begun is None:
                is_begun = BEGINS.match(text) is not None or (was_begun and end is None)
            work_of(connection).is_begun_by_statement = is_begun
            if was_begun and not is_begun:
                settle(connection)


def _end_by(text: str, connection: Connection) -> Callable[..., Any] | None:
    """Return how a statement ends a transaction, if it does."""
    if ROLLS_BACK.match(text):
        return rollback
    if COMMITS.match(text) or (connection.vendor == "mysql" and COMMITS_IN_MYSQL.match(text)):
        return commit
    return None


def _is_in_transaction(connection: Connection) -> bool | None:
    """Return what the driver says; None from one that does not say."""
    raw: Any = connection.connection
    if raw is None:
        return False
    if connection.vendor == "sqlite":
        return bool(raw.in_transaction)
    if connection.vendor == "postgresql":
        # Neither idle nor done with this statement: in a transaction, or in one that has failed.
        return int(raw.info.transaction_status) in (2, 3)
    return None


def _forget(connection: Connection) -> None:
    before = work_of(connection)
    _writers.discard(before)
    work = connection.__dict__["_cacheops_work"] = Work()
    work.open_cursors = before.open_cursors
