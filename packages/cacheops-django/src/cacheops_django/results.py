"""Results of functions, views and fragments in the project's cache: when it is asked for them, and when they are kept.

Whoever computes a result reads the database as its connections show it at that moment. So a result is not kept if a
transaction of the caller's has written anything: the story is that of a reader for whom a rolled-back change was
kept, which nobody has ever seen in the database. And a result that depends on a table which the open transaction has
written is not looked up either, for the transaction would not see its own writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias, cast

from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.models import Manager, Model, QuerySet

from cacheops_core.cache import Cache, Lookup
from cacheops_core.conditions import ANY_ROW, Conjunction, Dependencies
from cacheops_core.errors import ConfigurationError
from cacheops_core.keys import stable_key
from cacheops_core.options import seconds
from cacheops_core.verbs import MISS

from . import async_caches, caches, conf, keying, reads, rows, tables
from .dependencies import dependencies
from .fingerprints import Unfingerprintable
from .reads import NOT_GIVEN
from .reasons import Uncacheable, record
from .signals import cache_read
from .transactions import is_current, may_fill, work_of

__all__ = ["NOTHING", "NOT_GIVEN", "Asked", "Results", "Sample", "Unstored", "keying"]

Sample: TypeAlias = "QuerySet[Any] | Manager[Any] | type[Model] | Model"
"""What a result depends on: the rows of a queryset, any row of a model, or one object."""

NOTHING = Dependencies()


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


class Results:
    """The results of one function: what they depend on, and how they are asked for and kept."""

    def __init__(
        self,
        samples: tuple[Sample, ...],
        timeout: Any = None,
        *,
        lock: bool | None = False,
        stale: float = 0.0,
    ) -> None:
        self.samples = tuple(map(_checked, samples))
        self.stale = stale and (seconds(stale, "stale") or 0.0)
        self._lock = lock
        self._timeout = seconds(timeout, "timeout")
        self._known: tuple[Any, Dependencies | str, bytes] | None = None

    def __cache_key__(self) -> bytes:
        return self._know()[2]

    # Asking and keeping

    def answer(
        self,
        func: Callable[..., Any],
        make_key: Callable[[], bytes],
        compute: Callable[[], Any],
        more: Dependencies = NOTHING,
    ) -> Any:
        """Return a result: the one that is kept under the key, or else a new one, which is kept."""
        try:
            asked = self.ask(func, make_key, more)
            if asked is None:
                return compute()
            if asked.lookup.is_hit:
                return asked.lookup.value
            if self.is_shared(asked):
                return self._share(asked, lambda: self.checked(compute()))
            value = compute()
            self.keep(asked, value)
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
        try:
            if is_pure and (value := await self._found_on_loop(func, make_key, more)) is not MISS:
                return value
            asked = await sync_to_async(self.ask)(func, make_key, more)
            if asked is None:
                return await compute()
            if asked.lookup.is_hit:
                return asked.lookup.value
            if await sync_to_async(self.is_shared)(asked):
                return await self._compute_together(asked, compute)
            value = await compute()
            await sync_to_async(self.keep)(asked, value)
        except Unstored as unstored:
            return unstored.value
        return value

    async def _found_on_loop(
        self, func: Callable[..., Any], make_key: Callable[[], bytes], more: Dependencies
    ) -> Any:
        """Return a result that is there, or MISS where there is none, or where a thread is needed to tell."""
        known = self._known
        if (
            not conf.current().enabled
            or known is None
            or known[0] != self._state()
            or isinstance(known[1], str)
        ):
            return MISS
        if async_caches.is_written(table for table, _ in known[1].tables):
            return MISS
        cache = await async_caches.twin(self.cache(func))
        if cache is None:
            return MISS
        try:
            key = make_key()
        except SynchronousOnlyOperation:
            # An argument asks the database for what it is, as request.user does when it is first looked at.
            return MISS
        lookup = await cache.fetch(key, known[1].merge(more), self.timeout())
        if lookup.is_hit and cache_read.receivers:
            cache_read.send_robust(sender=None, func=func, hit=True)
        return lookup.value if lookup.is_hit else MISS

    async def _compute_together(self, asked: Asked, compute: Callable[[], Awaitable[Any]]) -> Any:
        loop = asyncio.get_running_loop()

        async def checked() -> Any:
            value = await compute()
            return await sync_to_async(self.checked)(value)

        def compute_on_loop() -> Any:
            # In a thread of its own, which waits for the lock and holds it.
            return asyncio.run_coroutine_threadsafe(checked(), loop).result()

        return await asyncio.to_thread(self._share, asked, compute_on_loop)

    def _share(self, asked: Asked, compute: Callable[[], Any]) -> Any:
        cache, key, found, lookup = asked
        return cache.get_or_compute(key, found, compute, lookup.timeout, **self._sharing())

    def ask(
        self, func: Callable[..., Any], make_key: Callable[[], bytes], more: Dependencies = NOTHING
    ) -> Asked | None:
        """Return what the cache says, which may be that a result can be kept; None if it is not to be asked."""
        found = self.usable()
        if found is None:
            return None
        asked = self.look(func, make_key(), found.merge(more), self.timeout())
        if cache_read.receivers:
            cache_read.send_robust(sender=None, func=func, hit=asked.lookup.is_hit)
        return asked

    def usable(self) -> Dependencies | None:
        """Return what the results depend on; None if results can be neither had nor kept at the moment."""
        if not conf.current().enabled:
            return None
        try:
            found = self.dependencies()
        except Uncacheable as refusal:
            self._record(refusal.reason)
            return None
        names = [table for table, _ in found.tables]
        if names and any(work_of(connection).touches(names) for connection in _connections()):
            self._record("the open transaction has written to what it depends on")
            return None
        return found

    def keep(self, asked: Asked, value: Any) -> None:
        """Keep a result that was computed after asking, if all that it was computed from has been committed."""
        if not self._has_written():
            asked.cache.fill(asked.lookup, value)

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
            profiles = map(conf.current().profile_for, self._models())
            lock = any(profile is not None and profile.lock for profile in profiles)
        return {"lock": lock, "stale": self.stale}

    def look(self, func: Callable[..., Any], key: bytes, found: Dependencies, timeout: float | None) -> Asked:
        """Return what the cache has under a key, or whether something can be kept there."""
        cache = self.cache(func)
        lookup = cache.fetch(key, found, timeout)
        if self.samples and not lookup.is_hit and lookup.head is not None:
            # Nobody knows yet which databases the function is going to read.
            asked = [*_connections(), *(connections[alias] for alias in conf.current().replicas)]
            if not all(may_fill(connection, lookup) for connection in asked):
                lookup.head = None
        return Asked(cache, key, found, lookup)

    def cache(self, func: Callable[..., Any] | None) -> Cache:
        """Return the cache in which the results are, which may depend on whoever is asking."""
        known = self._know()[1]
        names = [] if isinstance(known, str) else [table for table, _ in known.tables]
        settings = conf.current()
        databases = {settings.primary_of(_database_of(sample)) for sample in self.samples} or {
            DEFAULT_DB_ALIAS
        }
        found = {id(cache): cache for cache in (caches.of(names, using, func) for using in databases)}
        if len(found) > 1:
            raise ConfigurationError(
                f"CACHEOPS_PREFIX must be one for all that a result depends on, and differs for the databases "
                f"{', '.join(sorted(databases))}: take samples from one of them"
            )
        return found.popitem()[1]

    def _has_written(self) -> bool:
        return bool(self.samples) and any(work_of(used).written.changes for used in _connections())

    def _record(self, reason: str) -> None:
        for model in self._models()[:1]:
            record(model, "cached_as", reason)

    # What they depend on

    def timeout(self) -> float | None:
        """Return the seconds for which a result is kept: unless given, the least of what its samples say."""
        if self._timeout is not None or not self.samples:
            return self._timeout
        said = [self._timeout_of(sample) for sample in self.samples]
        return min((timeout for timeout in said if timeout is not None), default=None)

    def _timeout_of(self, sample: Any) -> float | None:
        wished = reads.wish_of(sample).timeout if isinstance(sample, QuerySet) else NOT_GIVEN
        if wished is not NOT_GIVEN:
            return cast("float | None", wished)
        model = _model_of(sample)
        profile = conf.current().profile_for(model)
        if profile is None:
            raise ConfigurationError(
                f"{model._meta.label} has no profile in CACHEOPS to take a timeout from: "
                f'add "{model._meta.label_lower}": {{"timeout": ...}}, or give cached_as a timeout'
            )
        return profile.timeout

    def dependencies(self) -> Dependencies:
        """Return what all of the results depend on; raise Uncacheable where that cannot be followed."""
        found = self._know()[1]
        if isinstance(found, str):
            raise Uncacheable(found)
        return found

    def _know(self) -> tuple[Any, Dependencies | str, bytes]:
        state, known = self._state(), self._known
        if known is None or known[0] != state:
            found: Dependencies | str
            digest = b""
            try:
                found, digest = _depend(self.samples), stable_key(self.samples)
            except (Uncacheable, Unfingerprintable) as refusal:
                found = refusal.reason
            known = self._known = (state, found, digest)
        return known

    def _state(self) -> tuple[Any, ...]:
        # Samples do not change, but settings may, and routers may name another database each time.
        databases = [sample.db for sample in self.samples if isinstance(sample, QuerySet)]
        return conf.current(), conf.uses_time_zones(), databases

    def _models(self) -> list[type[Model]]:
        return [_model_of(sample) for sample in self.samples]


def _connections() -> list[Any]:
    return list(connections.all(initialized_only=True))


def _checked(sample: Any) -> Any:
    if isinstance(sample, Manager):
        return sample.all()
    if isinstance(sample, QuerySet) or (isinstance(sample, type) and issubclass(sample, Model)):
        return sample
    if not isinstance(sample, Model):
        raise ConfigurationError(f"a sample must be a queryset, a model or an instance, got {sample!r}")
    if sample.pk is None:
        raise ConfigurationError(
            f"a sample must be an object that can change, and this {sample._meta.label} has not been saved"
        )
    return sample


def _model_of(sample: Any) -> type[Model]:
    if isinstance(sample, QuerySet):
        return sample.model
    return sample if isinstance(sample, type) else sample._meta.model


def _database_of(sample: Any) -> str:
    if isinstance(sample, QuerySet):
        return sample.db
    instance = None if isinstance(sample, type) else sample
    return (instance and instance._state.db) or router.db_for_write(_model_of(sample), instance=instance)


def _depend(samples: tuple[Any, ...]) -> Dependencies:
    found = NOTHING.merge(*map(_depends_on, samples))
    for table, _ in found.tables:
        if tables.is_forbidden(table):
            raise Uncacheable(f"it depends on {table}, which the settings map to None")
    return found


def _depends_on(sample: Any) -> Dependencies:
    if isinstance(sample, QuerySet):
        return dependencies(sample.query, sample.db)
    found: dict[str, set[Conjunction]] = {}
    for part in tables.parts_of(_model_of(sample)):
        found[part._meta.db_table] = {ANY_ROW if isinstance(sample, type) else _by_key(sample, part)}
    return Dependencies.of(found)


def _by_key(instance: Model, model: type[Model]) -> Conjunction:
    """Return the condition that an object is this one, or "any row" where its key does not narrow."""
    vendor = connections[instance._state.db or DEFAULT_DB_ALIAS].vendor
    key = {str(field.column): getattr(instance, field.attname) for field in model._meta.pk_fields}
    return tuple(sorted(rows.tokens(rows.columns(model, vendor), key).items()))
