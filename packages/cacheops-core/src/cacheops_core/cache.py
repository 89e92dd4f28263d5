"""The cache: results stored with what they depend on, served until one of these changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry

from . import flows, locks, near_subscription
from .circuit import circuit_of
from .clients import is_cluster
from .dependents import Decorating
from .drivers import SyncDriver
from .errors import BackendError, ConfigurationError
from .locks import Lock, Renewer
from .lookups import NOT_GIVEN, Lookup, Samples
from .menders import ThreadMender
from .near_subscription import ThreadSubscription
from .options import CacheOptions
from .simple_verbs import SimpleVerbs
from .units import Unit

__all__ = ["Cache", "Lookup", "connect"]

T = TypeVar("T")

TIMEOUTS = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0}
"""Seconds that clients wait which we make: a program that would wait longer would be better off without."""


class Cache(SimpleVerbs, Decorating):
    """Results in Redis, each with what it depends on.

    ``Cache("redis://localhost/1", prefix="shop:")``; a client that was made elsewhere will do as well, and
    ``embedded://`` starts a server of its own (extra ``embedded``). Keyword arguments are `CacheOptions`.
    """

    def __init__(
        self,
        server: str | redis.Redis,
        *,
        serializer: Any = "pickle",
        options: CacheOptions | None = None,
        **changed: Any,
    ) -> None:
        super().__init__(serializer, options, changed)
        self.driver: SyncDriver = SyncDriver(connect(server) if isinstance(server, str) else server)
        self.patience: float = self.driver.patience
        self.join(circuit_of(self.driver.client, ThreadMender))
        self.may_acquire_ahead: bool = not is_cluster(self.driver.client)
        self.near.subscribe = partial(near_subscription.subscribe, ThreadSubscription, self.driver.client)
        self._renewer = Renewer(self.driver.run)

    def renewing(self, lock: Lock) -> AbstractContextManager[None]:
        return self._renewer.renewing(lock)

    def close(self) -> None:
        """Close the connections to the server; they are opened again when they are needed."""
        self.circuit.rest()
        if self.near.subscription is not None:
            self.near.subscription.leave(self.near)
        client = self.driver.client
        client.close()
        if is_cluster(client):
            # Made from a URL, redis-py's leaves those to its nodes open.
            client.disconnect_connection_pools()

    # Reading

    def fetch(
        self, key: Any, dependencies: Samples, timeout: float | None = NOT_GIVEN, *, near: Hashable = False
    ) -> Lookup:
        """Return what is stored under the key, if nothing that it depends on has changed.

        Of a miss, the lookup says whether, and for `fill` under which stamps, an answer may be stored for
        ``timeout`` seconds. So look up before you read what you are going to store. With ``near``, this process
        keeps a copy, and is given it until it is told otherwise, for ``near_max_age`` seconds at most.
        """
        lookup = self.looking_near(key, dependencies, timeout, near)
        if not lookup.is_hit:
            self._look_farther(lookup)
        return lookup

    def _look_farther(self, lookup: Lookup) -> None:
        # A hit without a flow, mostly. A miss goes on from what was told.
        told = None
        if self.may_ask_ahead(lookup):
            try:
                told = self.driver.ask(flows.reading(lookup.key, lookup.stamps))
            except BackendError as error:
                self.go_without(error)
                return
            if told is not None and self.is_served(lookup, told):
                return
        self.driver.run(self.looking_farther(lookup, told))

    def fetch_together(self, wanted: Iterable[tuple[Any, Samples, float | None]]) -> list[Lookup]:
        """Return what `fetch` returns for each key, dependencies and timeout, in one round trip.

        Whoever asks for the first is sure to need it; of the others only hits count, and none may be filled.
        """
        lookups = [self.looking_near(*one) for one in wanted]
        self.driver.run(self.looking_together(lookups))
        return lookups

    def fill(self, lookup: Lookup, value: Any) -> bool:
        """Store an answer that was computed after its lookup; return whether it was allowed to."""
        return self.driver.run(self.filling(lookup, value))

    def get_or_compute(
        self,
        key: Any,
        dependencies: Samples,
        compute: Callable[[], T],
        timeout: float | None = NOT_GIVEN,
        *,
        lock: bool = False,
        stale: float = 0.0,
        near: Hashable = False,
        told: Callable[[bool], None] | None = None,
    ) -> T:
        """Return what is stored under the key, or else what ``compute`` returns, and store that.

        With ``lock``, one of many callers computes and the others wait for it. With ``stale``, they get the
        answer that has just been invalidated instead of waiting, for at most so many seconds. ``told`` is called
        with whether a new answer has been stored.
        """
        lookup = self.looking_near(key, dependencies, timeout, near)
        if not lookup.is_hit:
            self._look_farther(lookup)
        if not lookup.is_hit:
            flow = self.computing_missed(lookup, compute, lock, stale, told)
            lookup.value = self.driver.run(flow)
        value: T = lookup.value
        return value

    # Writing

    def begin(self) -> Unit:
        """Return a new unit of work, for `fence` before its COMMIT and `release` after it."""
        return Unit()

    def fence(self, unit: Unit) -> None:
        """Before COMMIT: let nobody store what this unit's changes touch, until it is released."""
        self.driver.run(self.fencing(unit))

    def release(self, unit: Unit) -> None:
        """After COMMIT or rollback: drop what depends on this unit's changes, and let others store again.

        Never raises BackendError, for the transaction is over: what could not be dropped is dropped before
        this process asks the cache again, and its fences keep all others from storing it meanwhile.
        """
        self.driver.run(self.releasing(unit))

    @contextmanager
    def writing(self, *changes: tuple[str, Mapping[str, Any]] | str) -> Iterator[Unit]:
        """Wrap a transaction, its COMMIT included, that changes these rows: old values and new ones.

        ``with cache.writing(("product", old), ("product", new)): session.commit()``. A table's name alone
        stands for all of its rows.
        """
        unit = self.unit_of(changes)
        self.fence(unit)
        try:
            yield unit
        finally:
            self.release(unit)

    def invalidate(self, table: str, *rows: Mapping[str, Any]) -> None:
        """Drop what depends on these rows of a table, or on any of it if none is given.

        For changes that have been committed already; to be safe against readers in between, wrap the
        transaction in `writing` instead.
        """
        self.driver.run(self.invalidating(table, rows))

    def invalidate_all(self) -> None:
        """Drop all that this cache has stored below its prefix, and no other key."""
        self.driver.run(self.sweeping())

    # The simple cache: values that depend on nothing but time

    def get(self, key: Any, default: Any = NOT_GIVEN) -> Any:
        """Return the value stored under a key; without a default, raise CacheMiss if there is none."""
        return self.driver.run(self.getting(key, default))

    def get_many(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """Return the values that are stored under these keys, in one round trip."""
        keys = list(keys)
        found = self.driver.run(self.getting_many(keys))
        return {keys[position]: value for position, value in found.items()}

    def set(self, key: Any, data: Any, timeout: float | None = NOT_GIVEN) -> None:
        """Store a value under a key, for so many seconds, or for ever if the timeout is None."""
        self.driver.run(self.setting_many([(key, data)], timeout))

    def set_many(self, values: Mapping[Any, Any], timeout: float | None = NOT_GIVEN) -> None:
        """Store each value under its key, in one round trip."""
        self.driver.run(self.setting_many(values.items(), timeout))

    def add(self, key: Any, data: Any, timeout: float | None = NOT_GIVEN) -> bool:
        """Store a value unless there is one under the key; return whether it was stored."""
        return self.driver.run(self.adding(key, data, timeout))

    def incr(self, key: Any, delta: int = 1, timeout: float | None = NOT_GIVEN) -> int:
        """Add to the whole number under a key, 0 if there is none, and return the sum."""
        return self.driver.run(self.incrementing(key, delta, timeout))

    def touch(self, key: Any, timeout: float | None = NOT_GIVEN) -> bool:
        """Let the value under a key live for so many seconds from now; return whether there is one."""
        return self.driver.run(self.touching(key, timeout))

    def delete(self, key: Any) -> bool:
        """Remove the value stored under a key; return whether there was one."""
        return self.driver.run(self.deleting(key))

    @contextmanager
    def lock(self, name: Any, timeout: float = locks.LEASE) -> Iterator[None]:
        """Let one process at a time in; one that dies inside is waited for ``timeout`` seconds at most.

        Unlike all else, this raises BackendError whenever the server is away: nobody would be kept out.
        """
        lock = self.lock_of(name, timeout)
        self.driver.run(self.holding(lock))
        try:
            with self.renewing(lock):
                yield
        finally:
            self.driver.run(self.insisting(locks.give_back(lock)))


def connect(url: str) -> redis.Redis:
    """Return a client for a ``redis://``, ``rediss://``, ``unix://`` or ``embedded://`` URL.

    It tries a lost connection once more, at once. (redis-py 8 on its own goes on trying for seconds.)
    """
    options: dict[str, Any] = {
        **TIMEOUTS,
        "retry": Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
    }
    if url.startswith("embedded:"):
        from .embedded import Connection, start  # an optional dependency's only user

        url, options["connection_class"] = start(url), Connection
    try:
        return redis.Redis.from_url(url, **options)
    except ValueError as error:
        raise wrong_url(url) from error


def wrong_url(url: str) -> ConfigurationError:
    """Return the error for a URL that names no server."""
    return ConfigurationError(
        f"server must be a redis://, rediss://, unix:// or embedded:// URL, got {url!r}"
    )
