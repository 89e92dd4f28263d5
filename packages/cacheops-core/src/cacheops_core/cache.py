"""The cache: results stored with what they depend on, served until one of these changes."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, TypeVar
from uuid import uuid4

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from . import conditions, flows
from .conditions import ANY_ROW, Conjunction, Dependencies, Row
from .drivers import SyncDriver
from .errors import BackendError, CacheMiss, ConfigurationError
from .keys import stable_key
from .options import CacheOptions, seconds
from .serializers import resolve
from .units import Unit, compact

T = TypeVar("T")
Samples = Dependencies | str | Mapping[str, Any]

log = logging.getLogger("cacheops")

NOT_GIVEN: Any = object()
"""Stands for an argument that was left out, where None means something."""

KNOWN_DEPENDENCIES = 10_000
"""How many dependencies a cache remembers the key names of."""


@dataclass(slots=True)
class Lookup:
    """What asking the cache brought: a value to serve, or the right to store one."""

    key: str
    stamps: flows.StampKeys
    timeout: float | None
    """Seconds for which an answer is to be stored."""
    is_hit: bool = False
    value: Any = None
    head: bytes | None = None
    """What an answer computed from now on may be stored under; None if it may not be stored."""

    @property
    def newest(self) -> int:
        """When the youngest stamp was born, in microseconds of the server's clock, for a lookup with a head."""
        return self.stamps.newest(self.head) if self.head is not None else 0


class Cache:
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
        self.options = replace(options, **changed) if options else CacheOptions(**changed)
        self.driver = SyncDriver(connect(server) if isinstance(server, str) else server)
        self.serializer = resolve(serializer)
        self.registries: flows.Registries = {}
        """The schemes of each table as last seen by this process: a hint on which fields of a row matter."""
        self.latest_birth = 0
        """The youngest stamp that this process has seen, in microseconds of the server's clock."""
        self._stamps: OrderedDict[Dependencies, flows.StampKeys] = OrderedDict()
        self._full: dict[str, set[tuple[str, ...]]] = {}
        self._owed: dict[str, list[Row] | None] = {}

    # Reading

    def fetch(self, key: Any, dependencies: Samples, timeout: float | None = NOT_GIVEN) -> Lookup:
        """Return what is stored under the key, if nothing that it depends on has changed.

        Of a miss, the lookup says whether, and for `fill` under which stamps, an answer may be stored for
        ``timeout`` seconds. So look up before you read what you are going to store.
        """
        stamps = self._stamp_keys(Dependencies.coerce(dependencies))
        lookup = Lookup(self._entry_key(key, stamps), stamps, self._timeout(timeout))
        try:
            self._settle()
            self._look(lookup)
        except BackendError as error:
            self._survive(error)
        return lookup

    def fill(self, lookup: Lookup, value: Any) -> bool:
        """Store an answer that was computed after its lookup; return whether it was allowed to."""
        if lookup.head is None:
            return False
        payload = self.serializer.dumps(value)
        try:
            self.driver.run(flows.fill(lookup.key, lookup.head, payload, _milliseconds(lookup.timeout)))
        except BackendError as error:
            self._survive(error)
            return False
        return True

    def get_or_compute(
        self, key: Any, dependencies: Samples, compute: Callable[[], T], timeout: float | None = NOT_GIVEN
    ) -> T:
        """Return what is stored under the key, or else what ``compute`` returns, and store that."""
        lookup = self.fetch(key, dependencies, timeout)
        if lookup.is_hit:
            return lookup.value  # type: ignore[no-any-return]  # what was stored is what compute returned
        value = compute()
        self.fill(lookup, value)
        return value

    def _look(self, lookup: Lookup) -> None:
        found = self.driver.run(flows.fetch(lookup.key, lookup.stamps))
        lookup.head = found.head
        if found.payload is not None:
            try:
                lookup.value = self.serializer.loads(found.payload)
                lookup.is_hit = True
            except Exception as error:
                # Garbage, another version's classes, a changed serializer: whatever it is, it is a miss.
                log.warning("Entry %s does not load and counts as a miss: %r", lookup.key, error)
        elif lookup.head is None:
            self._acquire(lookup)
        if lookup.head is not None:
            self.latest_birth = max(self.latest_birth, lookup.newest)

    def _acquire(self, lookup: Lookup) -> None:
        # A stamp outlives every entry that is filled right after it was acquired.
        lifetime = 0 if lookup.timeout is None else 2 * _milliseconds(lookup.timeout) + 60_000
        acquired = self.driver.run(flows.acquire(lookup.stamps, lifetime, self.options.max_schemes))
        lookup.head = acquired.head
        for table, refused in acquired.refused.items():
            known = self._full.setdefault(table, set())
            known.update(map(flows.parse_scheme, refused))
            self._stamps.clear()
            log.info("Table %s has its %s schemes; %s count as any row", table, self.options.max_schemes, sorted(refused))

    def _stamp_keys(self, dependencies: Dependencies) -> flows.StampKeys:
        stamps = self._stamps.get(dependencies)
        if stamps is None:
            stamps = flows.StampKeys.of(self.options.prefix, dependencies.coarsen(self._is_too_fine))
            self._stamps[dependencies] = stamps
            if len(self._stamps) > KNOWN_DEPENDENCIES:
                self._stamps.popitem(last=False)
        return stamps

    def _is_too_fine(self, table: str, conjunctions: tuple[Conjunction, ...]) -> bool:
        full = self._full.get(table, ())
        return len(conjunctions) > self.options.max_conjunctions or any(
            flows.parse_scheme(conditions.scheme(c)) in full for c in conjunctions if c != ANY_ROW
        )

    # Writing

    def begin(self) -> Unit:
        """Return a new unit of work, for `fence` before its COMMIT and `release` after it."""
        return Unit()

    def fence(self, unit: Unit) -> None:
        """Before COMMIT: let nobody store what this unit's changes touch, until it is released."""
        changes = compact(unit.changes)
        options = self.options
        flow = flows.fence(options.prefix, unit.id, changes, _milliseconds(options.fence_lifetime), options.max_fences)
        try:
            self.registries.update(self.driver.run(flow))
        except BackendError as error:
            self._survive(error)

    def release(self, unit: Unit) -> None:
        """After COMMIT or rollback: drop what depends on this unit's changes, and let others store again.

        Never raises BackendError, for the transaction is over: what could not be dropped is dropped before
        this process asks the cache again, and its fences keep all others from storing it meanwhile.
        """
        try:
            self._release(unit.id, compact(unit.changes))
        except BackendError as error:
            log.warning("%s; a release is owed", error)

    @contextmanager
    def writing(self, *changes: tuple[str, Mapping[str, Any]] | str) -> Iterator[Unit]:
        """Wrap a transaction, its COMMIT included, that changes these rows: old values and new ones.

        ``with cache.writing(("product", old), ("product", new)): session.commit()``. A table's name alone
        stands for all of its rows.
        """
        unit = self.begin()
        for change in changes:
            table, values = (change, None) if isinstance(change, str) else change
            unit.add(table, None if values is None else [conditions.row(values)])
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
        try:
            self._release(uuid4().hex, {table: [conditions.row(row) for row in rows] or None})
        except BackendError as error:
            self._survive(error)

    def invalidate_all(self) -> None:
        """Drop every key below this cache's prefix, and no other."""
        client = self.driver.client
        pattern = "".join(f"[{c}]" if c in "*?[]^\\" else c for c in self.options.prefix) + "*"
        try:
            batch: list[bytes] = []
            for key in client.scan_iter(match=pattern, count=1000):
                batch.append(key)
                if len(batch) == 1000:
                    client.unlink(*batch)
                    batch.clear()
            if batch:
                client.unlink(*batch)
        except redis.RedisError as error:
            raise BackendError(f"the cache server failed: {error}") from error

    def _release(self, unit_id: str, changes: dict[str, list[Row] | None]) -> None:
        try:
            self.registries.update(
                self.driver.run(flows.release(self.options.prefix, unit_id, changes, self.options.max_fences))
            )
        except BackendError:
            self._owe(changes)
            raise

    # The server is away

    def _survive(self, error: BackendError) -> None:
        if not self.options.degrade:
            raise error
        log.warning("%s; going on without the cache", error)

    def _owe(self, changes: Mapping[str, Iterable[Row] | None]) -> None:
        for table, rows in changes.items():
            owed = self._owed.setdefault(table, [])
            self._owed[table] = None if owed is None or rows is None else [*owed, *rows]

    def _settle(self) -> None:
        # What could not be dropped is dropped before this process trusts the cache again.
        if self._owed:
            owed, self._owed = self._owed, {}
            self._release(uuid4().hex, owed)

    # The simple cache: entries that depend on nothing but time

    def get(self, key: Any, default: Any = NOT_GIVEN) -> Any:
        """Return the value stored under a key; without a default, raise CacheMiss if there is none."""
        lookup = self.fetch(key, NOTHING)
        if lookup.is_hit:
            return lookup.value
        if default is NOT_GIVEN:
            raise CacheMiss(key)
        return default

    def set(self, key: Any, data: Any, timeout: float | None = NOT_GIVEN) -> None:
        """Store a value under a key, for so many seconds, or for ever if the timeout is None."""
        self.fill(self._simple(key, timeout), data)

    def delete(self, key: Any) -> None:
        """Remove the value stored under a key, if any."""
        try:
            self.driver.run(flows.forget(self._simple(key).key))
        except BackendError as error:
            self._survive(error)

    def _simple(self, key: Any, timeout: float | None = NOT_GIVEN) -> Lookup:
        stamps = self._stamp_keys(NOTHING)
        return Lookup(self._entry_key(key, stamps), stamps, self._timeout(timeout), head=stamps.head(()))

    def _entry_key(self, key: Any, stamps: flows.StampKeys) -> str:
        # The digest covers the stamps' names, so that the stamps of one set of dependencies are never
        # compared with those that an entry was stored under for another.
        told = b"b" + key if type(key) is bytes else b"k" + stable_key(key)
        return f"{self.options.prefix}e:{blake2b(stamps.digest + told, digest_size=16).hexdigest()}"

    def _timeout(self, timeout: float | None) -> float | None:
        return self.options.timeout if timeout is NOT_GIVEN else seconds(timeout, "timeout")


NOTHING = Dependencies()
"""What a value depends on that nothing invalidates but time."""


def connect(url: str) -> redis.Redis:
    """Return a client for a ``redis://``, ``rediss://``, ``unix://`` or ``embedded://`` URL.

    Its time-outs are a second, and it tries twice at once: a program that waits for its cache for longer
    would be better off without. (redis-py 8 on its own goes on trying for seconds.)
    """
    if url.startswith("embedded:"):
        from .embedded import start  # an optional dependency's only user

        url = start(url)
    try:
        return redis.Redis.from_url(
            url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 1)
        )
    except ValueError as error:
        raise ConfigurationError(f"server must be a redis://, rediss://, unix:// or embedded:// URL, got {url!r}") from error


def _milliseconds(timeout: float | None) -> int:
    """Return a time as Redis takes it; 0 stands for no limit."""
    return 0 if timeout is None else max(1, round(timeout * 1000))
