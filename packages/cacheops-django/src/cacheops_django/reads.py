"""Asking the cache in the database's place, and storing what the database said."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import Model, QuerySet
from django.db.models.query import (
    FlatValuesListIterable,
    ModelIterable,
    NamedValuesListIterable,
    ValuesIterable,
    ValuesListIterable,
)
from django.db.models.sql import Query

from cacheops_core.cache import Lookup
from cacheops_core.conditions import Dependencies
from cacheops_core.flows import Command

from . import caches, conf, scopes, tables
from .dependencies import dependencies
from .fingerprints import Unfingerprintable, fingerprint
from .reasons import Uncacheable, record
from .signals import cache_read
from .transactions import may_fill, work_of

ITERABLES = frozenset(
    {FlatValuesListIterable, ModelIterable, NamedValuesListIterable, ValuesIterable, ValuesListIterable}
)
"""How rows become results by what the query says alone; others may ask the database for more on the way."""

KNOWN_PLANS = 10_000

NOT_GIVEN: Any = object()


@dataclass(frozen=True, slots=True)
class Wish:
    """What ``.cache()`` and ``.nocache()`` have asked of one queryset."""

    ops: frozenset[str] | None = None
    """None leaves it to the profile."""
    timeout: Any = NOT_GIVEN
    is_write_only: bool = False
    """Whether to store what the database says, but not to ask the cache."""
    is_single: bool = False
    """Whether the fetch of the queryset's rows is a ``get`` in the words of profiles."""


NO_WISH = Wish()

_plans: OrderedDict[bytes, Dependencies | str] = OrderedDict()


def wish_of(queryset: QuerySet[Any]) -> Wish:
    """Return what has been asked of a queryset."""
    wish: Wish = queryset.__dict__.get("_cacheops", NO_WISH)
    return wish


def is_wanted(queryset: QuerySet[Any], op: str) -> bool:
    """Tell whether the profile, or the queryset itself, wants an operation cached."""
    settings = conf.current()
    profile = settings.profile_for(queryset.model)
    if profile is None or not settings.enabled:
        return False
    ops = wish_of(queryset).ops
    return op in (profile.ops if ops is None else ops)


def answer(
    queryset: QuerySet[Any],
    op: str,
    compute: Callable[[QuerySet[Any]], Any],
    *,
    query: Query | None = None,
    asked: Hashable = None,
) -> Any:
    """Return the result of an operation that is wanted: from the cache, or else computed and stored.

    ``query`` is the queryset's unless given, ``asked`` what is asked of it if the op alone does not say.
    """
    model, using = queryset.model, queryset.db
    try:
        key, found = _plan(
            queryset, queryset.query if query is None else query, using, op if asked is None else asked
        )
        _refuse_open_write(found, using)
    except (Uncacheable, Unfingerprintable) as refusal:
        record(model, op, refusal.reason)
        return compute(queryset.using(using))
    wish = wish_of(queryset)
    lookup = caches.current().fetch(key, found, _timeout(model, wish))
    is_hit = lookup.is_hit and not wish.is_write_only
    if cache_read.receivers:
        cache_read.send_robust(sender=model, func=None, hit=is_hit)
    if is_hit:
        return lookup.value
    if not _may_fill(lookup, using):
        record(model, op, "the database may show this connection older rows than the stamps stand for")
        lookup.head = None
    # A router may name another replica each time it is asked: this is the one that we may store from.
    value = compute(queryset.using(using))
    caches.current().fill(lookup, value)
    return value


def _plan(queryset: QuerySet[Any], query: Query, using: str, asked: Hashable) -> tuple[bytes, Dependencies]:
    """Return the key of what is asked, and what it depends on; raise Uncacheable or Unfingerprintable."""
    if scopes.is_deciding() or vars(queryset)["_for_write"]:
        raise Uncacheable("a write is decided on what this reads")
    if query.select_for_update:
        raise Uncacheable("select_for_update() asks for locks, not only for rows")
    if queryset._iterable_class not in ITERABLES:
        kind = queryset._iterable_class
        raise Uncacheable(f"{kind.__module__}.{kind.__qualname__} makes results in a way of its own")
    mode = type(getattr(queryset, "_fetch_mode", None)).__name__
    key = fingerprint(query, using, asked, queryset.model, queryset._iterable_class, (mode,))
    # Equal keys mean equal SQL, and so equal dependencies: a query is walked once per process.
    found = _plans.get(key)
    if found is None:
        found = _plans[key] = _depend(query, using)
        if len(_plans) > KNOWN_PLANS:
            _plans.popitem(last=False)
    if isinstance(found, str):
        raise Uncacheable(found)
    return key, found


def _depend(query: Query, using: str) -> Dependencies | str:
    try:
        found = dependencies(query, using)
    except Uncacheable as refusal:
        return refusal.reason
    return found


def _refuse_open_write(found: Dependencies, using: str) -> None:
    names = [table for table, _ in found.tables]
    for table in names:
        if tables.is_forbidden(table):
            raise Uncacheable(f"it reads {table}, which the settings map to None: its writes are not tracked")
    if work_of(connections[using]).touches(names):
        raise Uncacheable("the open transaction has written to what it reads")


def _may_fill(lookup: Lookup, using: str) -> bool:
    if lookup.head is None:
        return True
    return may_fill(connections[using], lookup) and not _is_behind(lookup, using)


def _is_behind(lookup: Lookup, using: str) -> bool:
    """Tell whether a replica may not have seen yet what was written before the stamps were born."""
    settings = conf.current()
    if settings.primary_of(using) == using:
        return False
    seconds, micros = caches.current().driver.execute(Command("TIME", ()))
    return int(seconds) * 1_000_000 + int(micros) - lookup.newest < settings.replica_lag * 1_000_000


def _timeout(model: type[Model], wish: Wish) -> float | None:
    if wish.timeout is not NOT_GIVEN:
        return wish.timeout  # type: ignore[no-any-return]  # checked by cache()
    profile = conf.current().profile_for(model)
    return None if profile is None else profile.timeout


def forget_plans() -> None:
    """Forget what queries depend on, after settings or models have changed."""
    _plans.clear()
