"""The cache for asyncio: `Cache` with ``await``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeVar

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError

from . import locks, near_subscription
from .cache import TIMEOUTS, wrong_url
from .circuit import circuit_of
from .clients import is_cluster
from .dependents import Decorating
from .drivers import AsyncDriver
from .errors import BackendError
from .locks import Lock
from .lookups import NOT_GIVEN, Lookup, Samples
from .menders import TaskMender
from .near import Near
from .near_subscription import TaskSubscription
from .options import CacheOptions
from .simple_verbs import SimpleVerbs
from .units import Unit

__all__ = ["AsyncCache", "connect"]

T = TypeVar("T")

log: logging.Logger = logging.getLogger("cacheops")


class AsyncCache(SimpleVerbs, Decorating):
    """`Cache` for asyncio: the same verbs, awaited; ``writing`` and ``lock`` are ``async with``.

    ``AsyncCache("redis://localhost/1", prefix="shop:")`` shares its entries with a `Cache` of that prefix.
    One of them serves one event loop. With ``near=cache.near`` of a `Cache` on the same server and prefix, it also
    shares that one's copies, and who drops them.
    """

    def __init__(
        self,
        server: str | redis.asyncio.Redis,
        *,
        serializer: Any = "pickle",
        options: CacheOptions | None = None,
        near: Near | None = None,
        **changed: Any,
    ) -> None:
        super().__init__(serializer, options, changed)
        self.driver: AsyncDriver = AsyncDriver(connect(server) if isinstance(server, str) else server)
        self.patience: float = self.driver.patience
        self.join(circuit_of(self.driver.client, TaskMender))
        self.may_acquire_ahead: bool = not is_cluster(self.driver.client)
        if near is None:
            self.near.subscribe = partial(near_subscription.subscribe, TaskSubscription, self.driver.client)
        else:
            self.near = near

    @contextmanager
    def renewing(self, lock: Lock) -> Iterator[None]:
        task = asyncio.get_running_loop().create_task(self._renew(lock))
        try:
            yield
        finally:
            task.cancel()

    async def _renew(self, lock: Lock) -> None:
        while True:
            await asyncio.sleep(lock.lease / 3000)
            try:
                await self.driver.run(locks.renew(lock))
            except BackendError as error:
                log.warning("Lock %s was not renewed: %s", lock.key, error)

    async def close(self) -> None:
        """Close the connections to the server; they are opened again when they are needed."""
        mender = self.circuit.mender
        if isinstance(mender, TaskMender):
            self.circuit.rest()
            await mender.ended()
        if isinstance(subscription := self.near.subscription, TaskSubscription):
            subscription.leave(self.near)
            await subscription.end()
        await self.driver.client.aclose()

    # Reading

    async def fetch(
        self, key: Any, dependencies: Samples, timeout: float | None = NOT_GIVEN, *, near: Hashable = False
    ) -> Lookup:
        """Return what is stored under the key, if nothing that it depends on has changed.

        Of a miss, the lookup says whether, and for `fill` under which stamps, an answer may be stored for
        ``timeout`` seconds. So look up before you read what you are going to store. With ``near``, this process
        keeps a copy, and is given it until it is told otherwise, for ``near_max_age`` seconds at most.
        """
        lookup = self.looking_near(key, dependencies, timeout, near)
        if not lookup.is_hit:
            await self.driver.run(self.looking_farther(lookup))
        return lookup

    async def fetch_together(self, wanted: Iterable[tuple[Any, Samples, float | None]]) -> list[Lookup]:
        """Return what `fetch` returns for each key, dependencies and timeout, in one round trip.

        Whoever asks for the first is sure to need it; of the others only hits count, and none may be filled.
        """
        lookups = [self.looking_near(*one) for one in wanted]
        await self.driver.run(self.looking_together(lookups))
        return lookups

    async def fill(self, lookup: Lookup, value: Any) -> bool:
        """Store an answer that was computed after its lookup; return whether it was allowed to."""
        return await self.driver.run(self.filling(lookup, value))

    async def get_or_compute(
        self,
        key: Any,
        dependencies: Samples,
        compute: Callable[[], Awaitable[T] | T],
        timeout: float | None = NOT_GIVEN,
        *,
        lock: bool = False,
        stale: float = 0.0,
        near: Hashable = False,
        told: Callable[[bool], None] | None = None,
    ) -> T:
        """As in `Cache`, with a ``compute`` that may be a coroutine function."""
        lookup = self.looking_near(key, dependencies, timeout, near)
        if not lookup.is_hit:
            await self.driver.run(self.looking_farther(lookup))
        if not lookup.is_hit:
            flow = self.computing_missed(lookup, compute, lock, stale, told)
            lookup.value = await self.driver.run(flow)
        value: T = lookup.value
        return value

    # Writing

    def begin(self) -> Unit:
        """Return a new unit of work, for `fence` before its COMMIT and `release` after it."""
        return Unit()

    async def fence(self, unit: Unit) -> None:
        """Before COMMIT: let nobody store what this unit's changes touch, until it is released."""
        await self.driver.run(self.fencing(unit))

    async def release(self, unit: Unit) -> None:
        """After COMMIT or rollback: drop what depends on this unit's changes, and let others store again.

        Never raises BackendError, for the transaction is over: what could not be dropped is dropped before
        this process asks the cache again, and its fences keep all others from storing it meanwhile.
        """
        await self.driver.run(self.releasing(unit))

    @asynccontextmanager
    async def writing(self, *changes: tuple[str, Mapping[str, Any]] | str) -> AsyncIterator[Unit]:
        """Wrap a transaction, its COMMIT included, that changes these rows: old values and new ones.

        ``async with cache.writing(("product", old), ("product", new)): await session.commit()``. A table's name alone
        stands for all of its rows.
        """
        unit = self.unit_of(changes)
        await self.fence(unit)
        try:
            yield unit
        finally:
            await self.release(unit)

    async def invalidate(self, table: str, *rows: Mapping[str, Any]) -> None:
        """Drop what depends on these rows of a table, or on any of it if none is given.

        For changes that have been committed already; to be safe against readers in between, wrap the
        transaction in `writing` instead.
        """
        await self.driver.run(self.invalidating(table, rows))

    async def invalidate_all(self) -> None:
        """Drop all that this cache has stored below its prefix, and no other key."""
        await self.driver.run(self.sweeping())

    # The simple cache: values that depend on nothing but time

    async def get(self, key: Any, default: Any = NOT_GIVEN) -> Any:
        """Return the value stored under a key; without a default, raise CacheMiss if there is none."""
        return await self.driver.run(self.getting(key, default))

    async def get_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """Return the values that are stored under these keys, in one round trip."""
        keys = list(keys)
        found = await self.driver.run(self.getting_many(keys))
        return {keys[position]: value for position, value in found.items()}

    async def set(self, key: Any, data: Any, timeout: float | None = NOT_GIVEN) -> None:
        """Store a value under a key, for so many seconds, or for ever if the timeout is None."""
        await self.driver.run(self.setting_many([(key, data)], timeout))

    async def set_many(self, values: Mapping[Any, Any], timeout: float | None = NOT_GIVEN) -> None:
        """Store each value under its key, in one round trip."""
        await self.driver.run(self.setting_many(values.items(), timeout))

    async def add(self, key: Any, data: Any, timeout: float | None = NOT_GIVEN) -> bool:
        """Store a value unless there is one under the key; return whether it was stored."""
        return await self.driver.run(self.adding(key, data, timeout))

    async def incr(self, key: Any, delta: int = 1, timeout: float | None = NOT_GIVEN) -> int:
        """Add to the whole number under a key, 0 if there is none, and return the sum."""
        return await self.driver.run(self.incrementing(key, delta, timeout))

    async def touch(self, key: Any, timeout: float | None = NOT_GIVEN) -> bool:
        """Let the value under a key live for so many seconds from now; return whether there is one."""
        return await self.driver.run(self.touching(key, timeout))

    async def delete(self, key: Any) -> bool:
        """Remove the value stored under a key; return whether there was one."""
        return await self.driver.run(self.deleting(key))

    @asynccontextmanager
    async def lock(self, name: Any, timeout: float = locks.LEASE) -> AsyncIterator[None]:
        """Let one process at a time in; one that dies inside is waited for ``timeout`` seconds at most.

        Unlike all else, this raises BackendError whenever the server is away: nobody would be kept out.
        """
        lock = self.lock_of(name, timeout)
        await self.driver.run(self.holding(lock))
        try:
            with self.renewing(lock):
                yield
        finally:
            await self.driver.run(self.insisting(locks.give_back(lock)))


def connect(url: str) -> redis.asyncio.Redis:
    """Return an async client for a ``redis://``, ``rediss://``, ``unix://`` or ``embedded://`` URL.

    It tries a lost connection once more, at once, as that of `Cache` does.
    """
    options: dict[str, Any] = {
        **TIMEOUTS,
        "retry": Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
    }
    if url.startswith("embedded:"):
        from .embedded import AsyncConnection, start  # an optional dependency's only user

        url, options["connection_class"] = start(url), AsyncConnection
    try:
        return redis.asyncio.Redis.from_url(url, **options)
    except ValueError as error:
        raise wrong_url(url) from error
