"""Results of functions, views and fragments in the project's cache: when it is asked for them, and when they are kept.

Whoever computes a result reads the database as its connections show it at that moment. So a result is not kept if a
transaction of the caller's has written anything: the story is that of a reader for whom a rolled-back change was
kept, which nobody has ever seen in the database. And a result that depends on a table which the open transaction has
written is not looked up either, for the transaction would not see its own writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import FunctionType
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connections

from cacheops_core.cache import Cache, Lookup
from cacheops_core.conditions import Dependencies
from cacheops_core.near import MISS
from cacheops_core.options import seconds
from cacheops_core.verbs import Verbs

from . import async_caches, conf, counters, keying, tables
from .reads import NOT_GIVEN, Noting, count
from .reasons import Uncacheable, record
from .samples import NOTHING, Sample, Samples
from .signals import cache_read
from .snapshots import is_current, may_fill
from .transactions import is_anybody_writing, work_of

__all__ = ["NOTHING", "NOT_GIVEN", "Asked", "Results", "Sample", "Unstored", "keying"]


class Unstored(BaseException):
    """Carries a result past the cache: raised by what computes it, so that it is returned and not kept.

    Not an Exception, so that no handler on the way takes it for a failure.
    """

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


class Asked(NamedTuple):
    """What was asked of a cache, and what it said."""

    cache: Cache
    key: bytes
    found: Dependencies
    lookup: Lookup


class Copied(NamedTuple):
    """A result that this process has a copy of; nobody was asked."""

    cache: Cache
    key: bytes
    found: Dependencies
    value: Any


class Results(Samples):
    """The results of one function: how they are asked for and kept."""

    def __init__(
        self,
        samples: tuple[Sample, ...],
        timeout: Any = None,
        *,
        lock: bool | None = False,
        stale: float = 0.0,
        near: bool | None = None,
    ) -> None:
        super().__init__(samples, timeout)
        self.stale: float = stale and (seconds(stale, "stale") or 0.0)
        self._lock = lock
        self._near = near
        self._is_near: tuple[Any, bool] | None = None
        self._tally: tuple[Any, counters.Tally] | None = None

    def answer(
        self,
        func: Callable[..., Any],
        make_key: Callable[[], bytes],
        compute: Callable[[], Any],
        more: Dependencies = NOTHING,
    ) -> Any:
        """Return a result: the one that is kept under the key, or else a new one, which is kept."""
        ask = Noting(compute)
        try:
            asked = self.ask(func, make_key, more)
            if asked is None:
                return compute()
            if isinstance(asked, Copied):
                self._found(func, ask, asked.cache, asked.key, asked.found)
                return asked.value
            if asked.lookup.is_hit:
                self._found(func, ask, asked.cache, asked.key, asked.found)
                return asked.lookup.value
            with self._counting(func, ask, asked):
                if self.is_shared(asked):
                    return self._share(asked, lambda: self.checked(ask()), ask)
                value = ask()
                ask.stored(self.keep(asked, value))
        except Unstored as unstored:
            return unstored.value
        return value

    async def aanswer(
        self,
        func: Callable[..., Any],
        make_key: Callable[[], bytes],
        compute: Callable[[], Awaitable[Any]],
        more: Dependencies = NOTHING,
        *,
        is_pure: bool = True,
    ) -> Any:
        """Return a result as `answer` does; it is computed on the event loop of the caller.

        What is there is brought by the loop itself, if the key can be made without the database (``is_pure``).
        All else is asked in the thread in which Django's ORM works, which knows the open transaction. That thread is
        given back before anything is computed: the function may need it for its own queries.
        """
        ask = Noting(compute)
        try:
            if is_pure and (value := await self._found_on_loop(func, make_key, more, ask)) is not MISS:
                return value
            asked = await sync_to_async(self.ask)(func, make_key, more)
            if asked is None:
                return await compute()
            if isinstance(asked, Copied):
                self._found(func, ask, asked.cache, asked.key, asked.found)
                return asked.value
            if asked.lookup.is_hit:
                self._found(func, ask, asked.cache, asked.key, asked.found)
                return asked.lookup.value
            with self._counting(func, ask, asked):
                if await sync_to_async(self.is_shared)(asked):
                    return await self._compute_together(asked, ask)
                value = await ask.awaited()
                ask.stored(await sync_to_async(self.keep)(asked, value))
        except Unstored as unstored:
            return unstored.value
        return value

    async def _found_on_loop(
        self, func: Callable[..., Any], make_key: Callable[[], bytes], more: Dependencies, ask: Noting
    ) -> Any:
        """Return a result that is there, or MISS where there is none, or where a thread is needed to tell."""
        known = self.at_hand() if conf.current().enabled else None
        if known is None or async_caches.is_written(table for table, _ in known.tables):
            return MISS
        try:
            cache = await async_caches.twin(self.cache(func))
        except Uncacheable:
            return MISS
        if cache is None:
            return MISS
        try:
            key = make_key()
        except SynchronousOnlyOperation:
            # An argument asks the database for what it is, as request.user does when it is first looked at.
            return MISS
        found = known.merge(more)
        lookup = await cache.fetch(key, found, self.timeout(), near=self._near_key(key))
        if not lookup.is_hit:
            return MISS
        self._found(func, ask, cache, key, found)
        return lookup.value

    async def _compute_together(self, asked: Asked, ask: Noting) -> Any:
        loop = asyncio.get_running_loop()

        async def checked() -> Any:
            value = await ask.awaited()
            return await sync_to_async(self.checked)(value)

        def compute_on_loop() -> Any:
            # In a thread of its own, which waits for the lock and holds it.
            return asyncio.run_coroutine_threadsafe(checked(), loop).result()

        return await asyncio.to_thread(self._share, asked, compute_on_loop, ask)

    def _share(self, asked: Asked, compute: Callable[[], Any], ask: Noting) -> Any:
        cache, key, found, lookup = asked
        near = self._near_key(key)
        return cache.get_or_compute(
            key, found, compute, lookup.timeout, near=near, told=ask.stored, **self._sharing()
        )

    def ask(
        self, func: Callable[..., Any], make_key: Callable[[], bytes], more: Dependencies = NOTHING
    ) -> Asked | Copied | None:
        """Return what the cache says, which may be that a result can be kept; None if it is not to be asked."""
        usable = self.usable(func)
        if usable is None:
            return None
        (found, cache), key = usable, make_key()
        merged = found if more is NOTHING else _merged(found, more)
        near = self._near_key(key)
        if near is not False and (value := cache.near.get(near)) is not MISS:
            return Copied(cache, key, merged, value)
        asked = self.look(cache, key, merged, self.timeout(), near)
        if cache_read.receivers and not asked.lookup.is_hit:
            cache_read.send_robust(sender=None, func=func, hit=False)
        return asked

    def _found(
        self, func: Callable[..., Any], ask: Noting, cache: Verbs, key: bytes, found: Dependencies
    ) -> None:
        """Count a hit, and tell those who listen."""
        count(self._tally_of(func), ask, cache, key, found)
        if cache_read.receivers:
            cache_read.send_robust(sender=None, func=func, hit=True)

    @contextmanager
    def _counting(self, func: Callable[..., Any], ask: Noting, asked: Asked) -> Iterator[None]:
        """Count what comes of a miss, whatever is raised."""
        tally = self._tally_of(func)
        try:
            yield
        finally:
            # If it was not called, somebody else has computed it meanwhile.
            count(tally, ask, asked.cache, asked.key, asked.found)

    def _tally_of(self, func: Callable[..., Any]) -> counters.Tally:
        known = self._tally
        if known is not None and known[0] is func:
            return known[1]
        model = next((model._meta.label for model in self.models()), "")
        tally = counters.tally_of(model, "cached_as" if self.samples else "cached", name_of(func))
        if isinstance(func, FunctionType):
            # What is of one request only, such as a fragment of a template, must not live on here.
            self._tally = (func, tally)
        return tally

    def usable(self, func: Callable[..., Any]) -> tuple[Dependencies, Cache] | None:
        """Return what the results depend on, and their cache; None if they can be neither had nor kept now."""
        if not conf.current().enabled:
            return None
        try:
            found = self.dependencies()
            if found is not NOTHING:
                self.refuse_open_write(found)
            return found, self.cache(func)
        except Uncacheable as refusal:
            for model in self.models()[:1]:
                record(model._meta.label, "cached_as", refusal.reason)
            return None

    def refuse_open_write(self, found: Dependencies) -> None:
        """Raise Uncacheable if the open transaction has written to what the results depend on."""
        if not is_anybody_writing():
            return
        names = [table for table, _ in found.tables]
        if names and any(work_of(connection).touches(names) for connection in _connections()):
            raise Uncacheable("the open transaction has written to what it depends on", "transaction")

    def keep(self, asked: Asked, value: Any) -> bool:
        """Keep a result that was computed after asking, if all that it was computed from has been committed.

        Returns whether it was.
        """
        return not self._has_written() and asked.cache.fill(asked.lookup, value)

    def checked(self, value: Any) -> Any:
        """Return a result that may be kept; raise it as Unstored if it must not be."""
        if self._has_written():
            raise Unstored(value)
        return value

    def is_shared(self, asked: Asked) -> bool:
        """Tell whether to compute together with others, of whom one does it and the others wait.

        Nobody in a transaction waits, for whoever computes may wait for the transaction's locks.
        """
        sharing = self._sharing()
        if not any(sharing.values()) or conf.current().replicas or not all(map(is_current, _connections())):
            return False
        return asked.lookup.head is not None or bool(self.stale)

    def _sharing(self) -> dict[str, Any]:
        lock = self._lock
        if lock is None:
            profiles = map(conf.current().profile_for, self.models())
            lock = any(profile is not None and profile.lock for profile in profiles)
        return {"lock": lock, "stale": self.stale}

    def look(
        self,
        cache: Cache,
        key: bytes,
        found: Dependencies,
        timeout: float | None,
        near: bytes | bool = False,
    ) -> Asked:
        """Return what the cache has under a key, or whether something can be kept there."""
        lookup = cache.fetch(key, found, timeout, near=near)
        if self.samples and not lookup.is_hit and lookup.head is not None:
            # Nobody knows yet which databases the function is going to read.
            asked = [*_connections(), *(connections[alias] for alias in conf.current().replicas)]
            if not all(may_fill(connection, lookup) for connection in asked):
                lookup.head = None
        return Asked(cache, key, found, lookup)

    def _near_key(self, key: bytes) -> bytes | bool:
        """Return by what this process finds its copy of a result; False if it is to have none."""
        if self._near is not None:
            return key if self._near else False
        settings, known = conf.current(), self._is_near
        if known is None or known[0] is not settings:
            # Unless it is said, if all that they depend on is.
            names = [table for table, _ in self.dependencies().tables]
            known = self._is_near = (settings, tables.are_near(names, "fetch"))
        return key if known[1] else False

    def _has_written(self) -> bool:
        if not self.samples or not is_anybody_writing():
            return False
        return any(work_of(used).written.changes for used in _connections())


@lru_cache(maxsize=4096)
def _merged(found: Dependencies, more: Dependencies) -> Dependencies:
    return found.merge(more)


def name_of(func: Any) -> str:
    """Return a function's name as one would import it; of a class-based view that of its class."""
    if (title := getattr(func, "title", None)) is not None:
        return str(title)
    named = getattr(func, "view_class", func)
    return f"{named.__module__}.{getattr(named, '__qualname__', type(named).__qualname__)}"


def _connections() -> list[Any]:
    return list(connections.all(initialized_only=True))
