"""Functions whose results are kept: until a sample changes (`cached_as`), or for a time (`cached`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast, overload

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model, QuerySet

from cacheops_core.cache import Cache, Lookup
from cacheops_core.conditions import ANY_ROW, Conjunction, Dependencies
from cacheops_core.decorators import CachedFunction, Decorator, Policy
from cacheops_core.errors import CacheMiss, ConfigurationError
from cacheops_core.keys import call_key, register
from cacheops_core.simple import forget

from . import caches, conf, rows, tables
from .dependencies import dependencies
from .fingerprints import fingerprint
from .reads import Noting
from .reasons import Uncacheable, record
from .signals import cache_read
from .transactions import is_current, may_fill, work_of

P = ParamSpec("P")
R = TypeVar("R")

NOT_GIVEN: Any = object()

Sample = QuerySet[Any] | type[Model] | Model
"""What a result depends on: the rows of a queryset, any row of a model, or one object."""


class Results:
    """The results of one function: what they depend on, and how they are asked for and stored."""

    def __init__(self, samples: tuple[Sample, ...], timeout: Any, *, lock: bool, stale: float) -> None:
        for sample in samples:
            if not isinstance(sample, QuerySet | Model) and not _is_model(sample):
                raise ConfigurationError(
                    f"a sample must be a queryset, a model or an instance, got {sample!r}"
                )
        self.samples = samples
        self.lock, self.stale = lock, stale
        self._timeout = timeout

    def answer(self, func: Callable[..., Any], key: bytes, compute: Callable[[], Any]) -> Any:
        """Return the result of a call: the one that is stored, or else a new one, which is stored."""
        settings = conf.current()
        if not settings.enabled:
            return compute()
        try:
            found = self._dependencies()
        except Uncacheable as refusal:
            return self._refused(refusal.reason, compute)
        used = list(connections.all(initialized_only=True))
        names = [table for table, _ in found.tables]
        if any(work_of(connection).touches(names) for connection in used):
            return self._refused("the open transaction has written to what it depends on", compute)
        ask, cache = Noting(compute), caches.of(names, DEFAULT_DB_ALIAS, func)
        if found.tables and not all(map(is_current, used)):
            value = self._in_transaction(cache, key, found, ask, used)
        else:
            value = cache.get_or_compute(key, found, ask, self.timeout(), lock=self.lock, stale=self.stale)
        if cache_read.receivers:
            cache_read.send_robust(sender=None, func=func, hit=not ask.was_called)
        return value

    def _in_transaction(
        self, cache: Cache, key: bytes, found: Dependencies, compute: Callable[[], Any], used: list[Any]
    ) -> Any:
        """Answer without waiting for anybody, who might wait for the locks of our transaction."""
        lookup = cache.fetch(key, found, self.timeout())
        if lookup.is_hit:
            return lookup.value
        if not all(may_fill(connection, lookup) for connection in used):
            lookup.head = None
        value = compute()
        cache.fill(lookup, value)
        return value

    def _refused(self, reason: str, compute: Callable[[], Any]) -> Any:
        for model in self._models()[:1]:
            record(model, "cached_as", reason)
        return compute()

    def timeout(self) -> float | None:
        """Return the seconds for which a result is kept: the shortest of the samples' profiles unless it is given."""
        if self._timeout is not NOT_GIVEN:
            return cast("float | None", self._timeout)
        profiles = [(model, conf.current().profile_for(model)) for model in self._models()]
        for model, profile in profiles:
            if profile is None:
                raise ConfigurationError(
                    f"{model._meta.label} has no profile in CACHEOPS to take a timeout from: "
                    f'add "{model._meta.label_lower}": {{"timeout": ...}}, or give cached_as a timeout'
                )
        return min((p.timeout for _, p in profiles if p and p.timeout is not None), default=None)

    def _models(self) -> list[type[Model]]:
        return [_model_of(sample) for sample in self.samples]

    def _dependencies(self) -> Dependencies:
        found = Dependencies().merge(*map(_depends_on, self.samples))
        for table, _ in found.tables:
            if tables.is_forbidden(table):
                raise Uncacheable(f"it depends on {table}, which the settings map to None")
        return found

    # What `f.key(...)` asks of a cache

    def get(self, key: bytes, default: Any = NOT_GIVEN) -> Any:
        """Return what is stored for a call; without a default, raise CacheMiss if there is nothing."""
        _, lookup = self._look(key)
        if lookup.is_hit:
            return lookup.value
        if default is NOT_GIVEN:
            raise CacheMiss(key)
        return default

    def set(self, key: bytes, value: Any, timeout: Any = NOT_GIVEN) -> None:
        """Store a value for a call."""
        cache, lookup = self._look(key, self.timeout() if timeout is NOT_GIVEN else timeout)
        cache.fill(lookup, value)

    def delete(self, key: bytes) -> None:
        """Drop what is stored for a call."""
        cache, lookup = self._look(key)
        cache.driver.run(forget(lookup.key))

    def _look(self, key: bytes, timeout: Any = NOT_GIVEN) -> tuple[Cache, Lookup]:
        timeout = self.timeout() if timeout is NOT_GIVEN else timeout
        found = self._dependencies()
        cache = caches.of((table for table, _ in found.tables), DEFAULT_DB_ALIAS)
        return cache, cache.fetch(key, found, timeout)


class ProjectFunction(CachedFunction[P, R]):
    """A function that is called only for results that the project's cache does not have."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        policy, func = self._policy, self.__wrapped__
        key = call_key(func, args, kwargs, policy.extra)
        return cast(R, policy.cache.answer(func, key, partial(func, *args, **kwargs)))


def cached_as(
    *samples: Sample,
    timeout: Any = NOT_GIVEN,
    extra: Any = None,
    lock: bool = False,
    keep_fresh: bool = True,
    stale: float = 0.0,
) -> Decorator:
    """Keep the results of a function until one of the samples changes, or for ``timeout`` seconds.

    Results are kept by arguments, by what the function closes over, and by ``extra``. With ``lock`` one caller
    computes while the others wait; with ``stale`` they get the old result meanwhile, for at most so many seconds.
    ``keep_fresh`` is what happens anyway: a result that was computed while a sample changed is not kept.
    """
    if not samples:
        raise ConfigurationError("cached_as needs a queryset, a model or an instance to depend on, got none")
    results = Results(samples, timeout, lock=lock, stale=stale)
    return cast(Decorator, lambda func: ProjectFunction(func, Policy(results, timeout, (samples, extra), {})))


@overload
def cached(func: Callable[P, R], /) -> CachedFunction[P, R]: ...


@overload
def cached(
    func: None = None, /, *, timeout: Any = ..., extra: Any = ..., lock: bool = ..., stale: float = ...
) -> Decorator: ...


def cached(
    func: Callable[..., Any] | None = None,
    /,
    *,
    timeout: Any = None,
    extra: Any = None,
    lock: bool = False,
    stale: float = 0.0,
) -> Any:
    """Keep the results of a function for ``timeout`` seconds, for ever if that is None.

    They know nothing of the database: inside a transaction they are served and kept as anywhere.
    """
    results = Results((), timeout, lock=lock, stale=stale)
    policy = Policy(results, timeout, extra, {})
    return (lambda func: ProjectFunction(func, policy)) if func is None else ProjectFunction(func, policy)


def _is_model(sample: object) -> bool:
    return isinstance(sample, type) and issubclass(sample, Model)


def _model_of(sample: Any) -> type[Model]:
    if isinstance(sample, QuerySet):
        return sample.model
    return sample if isinstance(sample, type) else type(sample)


def _depends_on(sample: Any) -> Dependencies:
    if isinstance(sample, QuerySet):
        return dependencies(sample.query, sample.db)
    found: dict[str, set[Conjunction]] = {}
    for part in tables.parts_of(_model_of(sample)):
        found[part._meta.db_table] = {ANY_ROW if isinstance(sample, type) else _by_key(sample, part)}
    return Dependencies.of(found)


def _by_key(instance: Model, model: type[Model]) -> Conjunction:
    """Return the condition that an object is this one, or "any row" where its key does not narrow."""
    key = model._meta.pk
    vendor = connections[instance._state.db or DEFAULT_DB_ALIAS].vendor
    tokens = rows.tokens(rows.columns(model, vendor), {str(key.column): getattr(instance, key.attname, None)})
    return tuple(tokens.items())


# Keys of what functions are called with


def _key_of_queryset(queryset: Any) -> bytes:
    kind = queryset._iterable_class
    return fingerprint(queryset.query, queryset.db, "argument", queryset.model, kind)


def _key_of_instance(instance: Model) -> Any:
    if instance.pk is None:
        # Nothing tells it from another object that has not been saved.
        return NotImplemented
    return instance._meta.label, instance._state.db, instance.pk


register(QuerySet, _key_of_queryset)
register(Model, _key_of_instance)
