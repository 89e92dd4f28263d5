"""Answers to what coroutines ask of querysets, brought by their event loop where the cache has them.

Django's ``aget()`` sends ``get()`` to a thread. Here ``get()`` is tried on the loop first: as soon as it wants an
answer from the cache, it is stopped, the answer is fetched with ``await``, and ``get()`` begins anew with that answer
at hand. (Prefetches want several, one after the other.) What the cache does not have, or what only the database can
tell, goes to a thread as ever; so does all that a project's own querysets make of these methods, for they would be
called twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterator
from functools import wraps
from typing import Any, TypeAlias

from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db.models import Q, QuerySet

from cacheops_core.cache import Cache
from cacheops_core.conditions import Dependencies
from cacheops_core.near import MISS

from . import async_caches, attempts, counters, plans, reads

Rows: TypeAlias = Any
"""A queryset with its private attributes, which its published types leave out."""

MOST_ANSWERS = 16
"""Answers that one call may want; with more, a thread is sooner done."""


class Wanted(BaseException):
    """Stops a method that wants an answer from the cache. Not an Exception, so that nobody handles it on the way."""

    def __init__(self, cache: Cache, key: bytes, found: Dependencies, near: Hashable) -> None:
        super().__init__(key)
        self.cache: Cache = cache
        self.key: bytes = key
        self.found: Dependencies = found
        self.near: Hashable = near


class Answers:
    """The answers that have been fetched for one call."""

    may_walk = False
    """Whether a query may be looked at that nobody has asked yet."""

    def __init__(self) -> None:
        self.values: dict[bytes, Any] = {}
        self._told: set[bytes] = set()
        self._asked: dict[bytes, reads.Noting] = {}

    def answer(
        self, queryset: Rows, cache: Cache, key: bytes, found: Dependencies, tally: counters.Tally
    ) -> Any:
        """Return an answer, or raise Wanted for it."""
        if reads.wish_of(queryset).is_write_only or async_caches.is_written(
            table for table, _ in found.tables
        ):
            raise attempts.NotOnLoop
        plan = plans.plan_of(key)
        is_near = plan is not None and plan.is_near
        if key not in self.values and is_near and (value := cache.near.get(key)) is not MISS:
            self.values[key], self._asked[key] = value, reads.Noting(bool)
        if key not in self.values:
            raise Wanted(cache, key, found, key if is_near else False)
        if key not in self._told:
            self._told.add(key)
            reads.note(queryset.model, tally, self._asked[key], cache, key, found)
        return self.values[key]

    async def fetch(self, wanted: Wanted) -> bool:
        """Fetch an answer; return whether the cache has it."""
        cache = await async_caches.twin(wanted.cache)
        if cache is None or len(self.values) >= MOST_ANSWERS:
            return False
        self._asked[wanted.key] = reads.Noting(bool)
        lookup = await cache.fetch(wanted.key, wanted.found, near=wanted.near)
        if lookup.is_hit:
            self.values[wanted.key] = lookup.value
        return lookup.is_hit


def on_loop(original: Callable[..., Awaitable[Any]], name: str, op: str) -> Callable[..., Awaitable[Any]]:
    """Return the async twin of a method which tries it on the event loop first."""

    @wraps(original)
    async def asked(self: Rows, *args: Any, **kwargs: Any) -> Any:
        if can_try(self, name, op) and can_repeat((args, kwargs)):
            value = await attempt(lambda: getattr(self, name)(*args, **kwargs))
            if value is not MISS:
                return value
        return await original(self, *args, **kwargs)

    return asked


def iterate(self: Rows) -> Any:
    """Iterate asynchronously over all rows, which are fetched at once."""

    async def generator() -> Any:
        is_prefetched = self._prefetch_done or not self._prefetch_related_lookups
        is_there = self._result_cache is not None and is_prefetched
        if not is_there and (
            not can_try(self, "_fetch_all", "fetch") or await attempt(self._fetch_all) is MISS
        ):
            await sync_to_async(self._fetch_all)()
        for item in self._result_cache:
            yield item

    return generator()


async def attempt(method: Callable[[], Any]) -> Any:
    """Return what a method returns if the cache has all that it asks; else MISS."""
    answers = Answers()
    while True:
        token = attempts.on_loop.set(answers)
        try:
            return method()
        except (attempts.NotOnLoop, SynchronousOnlyOperation):
            return MISS
        except Wanted as stopped:
            wanted = stopped
        finally:
            attempts.on_loop.reset(token)
        if not await answers.fetch(wanted):
            return MISS


def can_try(queryset: Rows, name: str, op: str) -> bool:
    """Tell whether the cache may have an answer, and asking for it twice makes no difference."""
    if not reads.is_wanted(queryset, op) or reads.wish_of(queryset).is_in_place:
        return False
    kind = type(queryset)
    return kind is QuerySet or all(
        getattr(kind, method) is getattr(QuerySet, method) for method in (name, "get", "_fetch_all", "_chain")
    )


def can_repeat(arguments: Any) -> bool:
    """Tell whether arguments can be read more than once, as iterators cannot."""
    if isinstance(arguments, Q):
        return can_repeat(arguments.children)
    if isinstance(arguments, dict):
        return all(map(can_repeat, arguments.values()))
    if isinstance(arguments, list | tuple):
        return all(map(can_repeat, arguments))
    return not isinstance(arguments, Iterator)
