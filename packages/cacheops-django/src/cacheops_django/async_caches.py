"""The project's caches on an event loop: asked there, without a thread, for what they have.

A hit needs no database, and so none of the threads in which Django's ORM works for coroutines. But these threads have
the transactions, and the loop cannot tell whose transaction it is asking for: tasks share a thread. So as long as any
connection of this process has written to a table and not committed, whoever depends on that table goes to a thread.

Under ``async_to_sync`` the caller's own thread stands by and the loop lasts for one call only: a thread is nearer than
a new connection to the server.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import AsyncToSync
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper as Connection
from django.db.backends.signals import connection_created

from cacheops_core.cache import Cache
from cacheops_core.cache_async import AsyncCache
from cacheops_core.forks import module_lock

from . import clients, conf
from .transactions import is_anybody_writing

_lock = module_lock()
_connections: weakref.WeakSet[Connection] = weakref.WeakSet()
"""All that were ever opened, of all threads."""


def watch() -> None:
    """Know every connection of the process from now on."""
    connection_created.connect(_note, dispatch_uid="cacheops.async")
    for connection in connections.all(initialized_only=True):
        _note(connection=connection)


def unwatch() -> None:
    """Know of none any more."""
    connection_created.disconnect(dispatch_uid="cacheops.async")
    _connections.clear()


def _note(*, connection: Connection, **kwargs: Any) -> None:
    with _lock:
        _connections.add(connection)


def is_written(names: Iterable[str]) -> bool:
    """Tell whether any transaction of this process has written to one of these tables."""
    if not is_anybody_writing():
        return False
    with _lock:
        works = [connection.__dict__.get("_cacheops_work") for connection in _connections]
    names = list(names)
    return any(work is not None and work.touches(names) for work in works)


@dataclass(slots=True)
class _OfLoop:
    """The client of one event loop, and the caches that use it."""

    settings: conf.Settings
    client: Any
    """None where the settings ask for what has no twin for asyncio."""
    by_prefix: dict[str, AsyncCache] = field(default_factory=dict)
    keeper: AsyncIterator[None] | None = None


_of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _OfLoop] = weakref.WeakKeyDictionary()


async def twin(cache: Cache) -> AsyncCache | None:
    """Return the cache with the same entries for the running loop; None where a thread serves better."""
    loop = asyncio.get_running_loop()
    settings = conf.current()
    if _is_for_one_call(loop):
        return None
    made = _of_loops.get(loop)
    if made is None or made.settings is not settings:
        made = await _make(loop, settings)
    if made.client is None:
        return None
    found = made.by_prefix.get(cache.options.prefix)
    if found is None:
        found = made.by_prefix[cache.options.prefix] = AsyncCache(made.client, options=cache.options)
        # What serializes entries, what could not be invalidated yet, and copies they have in common.
        found.serializer, found.near = cache.serializer, cache.near
        found.join(cache.circuit)
    return found


def _is_for_one_call(loop: asyncio.AbstractEventLoop) -> bool:
    return (
        getattr(AsyncToSync.executors, "current", None) is not None
        or loop in AsyncToSync.loop_thread_executors
    )


async def _make(loop: asyncio.AbstractEventLoop, settings: conf.Settings) -> _OfLoop:
    before = _of_loops.get(loop)
    for other in [known for known in _of_loops if known.is_closed()]:
        # Connections know their loop, so that a loop which nobody has shut down would stay for ever.
        _of_loops.pop(other, None)
    made = _of_loops[loop] = _OfLoop(settings, clients.make_async_client(settings.connection))
    if made.client is not None:
        made.keeper = _closing(loop, made)
        await anext(made.keeper)
    if before is not None and before.client is not None:
        await before.client.aclose()
    return made


async def _closing(loop: asyncio.AbstractEventLoop, made: _OfLoop) -> AsyncIterator[None]:
    """Close the client with its loop, which ends all generators when it is shut down."""
    try:
        yield
    finally:
        await made.client.aclose()
        if _of_loops.get(loop) is made:
            del _of_loops[loop]
