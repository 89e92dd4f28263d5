"""Objects got by one field, without building the query: ``Model.objects.get(pk=7)``, and what a foreign key refers to.

Most gets differ from one another by a value alone. Of a model, a field and a type of values, the first get is tried
twice with values of ours, to see what each asks of the cache. If key and dependencies are the same but for the value,
they make a `Way`: from there on they are put together around the value, in less time than Django needs for a queryset.
They are what the slow way makes, byte for byte, so that what either stores the other finds.

The slow way is there for all else. Where the cache has not exactly one object, it goes on from what the cache has said
(which is asked once), and raises what Django raises; unless it has nothing, and the database is asked by a statement
that is known (`statements`). The slow way is taken from its start wherever something is not Django's own: a
``get_queryset()`` or ``get()`` that a project has written, a field that converts its values, a value of a type that the
field would have to convert.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, NoReturn, TypeAlias
from uuid import UUID

from django.core.exceptions import FieldDoesNotExist
from django.db import connections, router
from django.db.models import ForeignKey, Model, OneToOneField, QuerySet
from django.db.models.query import MAX_GET_RESULTS
from django.db.models.sql import Query

from cacheops_core.cache import Cache, Lookup
from cacheops_core.conditions import Dependencies, token
from cacheops_core.near import MISS

from . import attempts, caches, conf, events, plans, querysets, reads, rows, scopes, statements
from .chain_keys import substituted
from .fingerprint_values import dump, encode
from .instances import Layout
from .signals import cache_read
from .snapshots import may_fill
from .transactions import is_anybody_writing, work_of
from .untouched import DEFAULT_FETCH_MODE, is_plain_class, is_plain_manager, is_untouched

At: TypeAlias = tuple[type[QuerySet[Any]], type[Model], str, type, str]
"""A class of querysets, a model, a field by the name that it is asked by, a type of values, and a database."""

Rows: TypeAlias = Any
"""A queryset or manager with its private attributes, which their published types leave out."""

TRIED: Mapping[type, tuple[Any, Any]] = {
    int: (23_767, 30_011),
    str: ("\N{SNOWMAN} tried by cacheops", "\N{COMET} tried by cacheops, too"),
    UUID: (UUID("5f1d7f0e-6f0e-4c63-9a3c-0c8e6b6a1f01"), UUID("a3b0c442-98fc-4c14-9afb-f4c8996fb924")),
}
"""Two values of each type that goes the short way: they fit any column of it, and stand in no query by accident."""

PARTS = (
    "__init__", "__len__", "_chain", "_clone", "_fetch_all", "_filter_or_exclude", "_filter_or_exclude_inplace",
    "db", "filter", "get", "order_by", "query",
)  # fmt: skip
"""What takes part in a get, and must be Django's own."""

REFERENCES = (ForeignKey, OneToOneField)

MOST_WAYS = 10_000
MOST_VALUES = 10_000


@dataclass(slots=True, eq=False)
class Way:
    """How the objects of one model are got by one field, for any value of one type."""

    settings: conf.Settings
    method: Any
    """The ``get()`` that was tried; a test may put another one in its place."""
    model: type[Model]
    using: str
    fetch_mode: Any
    bounds: tuple[int, int] | None
    """Between which integers the database takes a value for one of the column's."""
    head: bytes
    tail: bytes
    """What stands before and after the value in a key."""
    tried: Any
    found: Dependencies
    """What the object with the value that was tried depends on."""
    tables: tuple[str, ...]
    timeout: float | None
    plan: plans.Plan
    layout: Layout
    query: Query
    """What the database was to be asked for the value that was tried."""
    known: dict[Any, Dependencies] = field(default_factory=dict)
    """What has been worked out by value."""

    def takes(self, value: Any) -> bool:
        """Tell whether a value is asked for in the same way as the one that was tried."""
        if self.bounds is not None:
            return bool(self.bounds[0] <= value <= self.bounds[1])
        # Some databases take an empty text for none.
        return bool(value != "")

    def key(self, value: Any) -> bytes:
        """Return the key that the slow way makes."""
        return self.head + dump(encode(value)) + self.tail

    def dependencies(self, value: Any) -> Dependencies:
        """Return what the slow way finds."""
        found = self.known.get(value)
        if found is None:
            if len(self.known) >= MOST_VALUES:
                self.known.clear()
            found = self.known[value] = substituted(self.found, {token(self.tried): token(value)})
        return found


# Around Django's own


def of_manager(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return the ``get()`` of managers, which goes the short way where there is one."""

    @wraps(original)
    def get(self: Rows, *args: Any, **kwargs: Any) -> Any:
        if len(kwargs) == 1 and not args and is_plain_manager(self):
            [(name, value)] = kwargs.items()
            found = _short(self._queryset_class, self.model, name, value, self._db, self._hints)
            if type(found) is Lookup:
                return _going_on(self.get_queryset(), found).get(**kwargs)
            if found is not None:
                return found
        return original(self, *args, **kwargs)

    return get


def of_queryset(original: Callable[..., Any], self: Rows, *args: Any, **kwargs: Any) -> Any:
    """Get an object, the short way if nothing has been asked of the queryset yet."""
    if len(kwargs) == 1 and not args and is_untouched(self):
        [(name, value)] = kwargs.items()
        found = _short(type(self), self.model, name, value, self._db, self._hints)
        if type(found) is Lookup:
            return original(_going_on(self._chain(), found), **kwargs)
        if found is not None:
            return found
    return querysets.single(original, self, *args, **kwargs)


def of_reference(original: Callable[..., Any], self: Any, instance: Model) -> Any:
    """Get what a foreign key refers to, the short way where there is one."""
    key = self.field
    if type(key) in REFERENCES and len(key.related_fields) == 1:
        [(here, there)] = key.related_fields
        manager = key.remote_field.model._base_manager
        value = instance.__dict__.get(here.attname)
        mode = getattr(instance._state, "fetch_mode", None)
        if is_plain_manager(manager):
            hints = {"instance": instance}
            found = _short(
                manager._queryset_class, manager.model, there.attname, value, manager._db, hints, mode
            )
            if type(found) is Lookup:
                queryset = _going_on(self.get_queryset(instance=instance), found)
                return queryset.get(key.get_reverse_related_filter(instance))
            if found is not None:
                return found
    return original(self, instance)


def _going_on(queryset: Rows, lookup: Lookup) -> Rows:
    """Let a queryset that nobody else has go on from what the cache has said."""
    queryset._cacheops = reads.Wish(is_single=True, lookup=lookup)
    return queryset


# The short way


def _short(
    queryset_class: type[QuerySet[Any]],
    model: type[Model],
    name: str,
    value: Any,
    db: str | None,
    hints: Any,
    fetch_mode: Any = DEFAULT_FETCH_MODE,
) -> Any:
    """Return the object; or what the cache says, if that is anything else; None where there is no short way."""
    kind = type(value)
    if kind not in TRIED or attempts.on_loop.get() is not None or scopes.is_deciding() or events.listeners:
        return None
    using = db or router.db_for_read(model, **hints)
    way = _way((queryset_class, model, name, kind, using))
    if (
        way is None
        or fetch_mode is not way.fetch_mode
        or queryset_class.get is not way.method
        or not way.takes(value)
        or (is_anybody_writing() and work_of(connections[using]).touches(way.tables))
    ):
        return None
    cache = _cache_of(way)
    return cache and _found(way, cache, value)


def _found(way: Way, cache: Cache, value: Any) -> Any:
    near: Any = (way, value) if way.plan.is_near else False
    found = cache.near.get(near) if near else MISS
    if found is MISS or not way.layout.fits_one(found):
        lookup = cache.fetch(way.key(value), way.dependencies(value), way.timeout, near=near)
        if not lookup.is_hit or not way.layout.fits_one(lookup.value):
            return _missed(way, cache, value, lookup)
        found = lookup.value
    way.plan.tally.hits += 1
    if cache_read.receivers:
        cache_read.send_robust(sender=way.model, func=None, hit=True)
    return way.layout.objects(way.model, way.using, found, way.fetch_mode)[0]


def _missed(way: Way, cache: Cache, value: Any, lookup: Lookup) -> Any:
    """Return the object from the database, as the slow way would, or the lookup where that has to go on from it."""
    if (
        lookup.is_hit
        or lookup.head is None
        or way.plan.pattern is None
        or not may_fill(connections[way.using], lookup)
    ):
        return lookup
    ask = reads.Noting(lambda: statements.rows_with(way, way.query, way.tried, way.using, value))
    found = ask()
    if found is None:
        return lookup
    ask.stored(cache.fill(lookup, found))
    reads.note(way.model, way.plan.tally, ask, cache, way.key(value), way.dependencies(value))
    if len(found) != 1:
        raise _not_one(way.model, len(found))
    return way.layout.objects(way.model, way.using, found, way.fetch_mode)[0]


def _not_one(model: Any, rows: int) -> Exception:
    """Return the error that Django raises where there is not exactly one object, in its words."""
    name = model._meta.object_name
    if not rows:
        return model.DoesNotExist(f"{name} matching query does not exist.")  # type: ignore[no-any-return]
    told = rows if rows < MAX_GET_RESULTS else f"more than {MAX_GET_RESULTS - 1}"
    return model.MultipleObjectsReturned(  # type: ignore[no-any-return]
        f"get() returned more than one {name} -- it returned {told}!"
    )


def _cache_of(way: Way) -> Cache | None:
    prefix = way.settings.prefix
    if isinstance(prefix, str):
        return caches.under(prefix)
    try:
        return caches.of(way.tables, way.settings.primary_of(way.using))
    except caches.MixedPrefixes:
        return None


# Finding it


class _Tried(BaseException):
    """Stops a get at what it asks of the cache. Not an Exception, so that nobody handles it on the way."""

    def __init__(self, key: bytes, found: Dependencies, query: Query) -> None:
        super().__init__(key)
        self.key, self.found, self.query = key, found, query


class _Trial:
    """Stands in for the cache while a get is tried."""

    may_walk = True

    def answer(self, queryset: Any, cache: Any, key: bytes, found: Dependencies, tally: Any) -> NoReturn:
        raise _Tried(key, found, queryset.query)


def _way(at: At) -> Way | None:
    """Return a way, or None if there is none."""
    settings = conf.current()
    known: tuple[conf.Settings, Way | None] | None = plans.ways.get(at)
    if known is not None and known[0] is settings:
        return known[1]
    if len(plans.ways) >= MOST_WAYS:
        plans.ways.clear()
    try:
        way = _find(*at)
    except attempts.NotOnLoop as refused:
        reason = getattr(refused.__cause__, "reason", None)
        if getattr(reason, "kind", "") == "transaction":
            # Once it has ended there may be one.
            return None
        way = None
    plans.ways[at] = (settings, way)
    return way


def _find(
    queryset_class: type[QuerySet[Any]], model: type[Model], name: str, kind: type, using: str
) -> Way | None:
    settings, connection = conf.current(), connections[using]
    profile, column = settings.profile_for(model), _column(model, name)
    if (
        not reads.is_wanted(queryset_class(model), "get")
        or profile is None
        or profile.lock
        or profile.stale
        or column is None
        or rows.plain_type(column) is not kind
        or connection.vendor not in rows.VENDORS
        or not is_plain_class(queryset_class, PARTS)
    ):
        return None
    one, other = TRIED[kind]
    asked, again = (_try(queryset_class, model, name, value, using) for value in (one, other))
    if asked is None or again is None:
        return None
    plan, parts = plans.plan_of(asked.key), asked.key.split(dump(encode(one)))
    if plan is None or plan.layout is None or len(parts) != 2:
        return None
    way = Way(
        settings=settings,
        method=queryset_class.get,
        model=model,
        using=using,
        fetch_mode=DEFAULT_FETCH_MODE,
        bounds=_bounds(column, connection) if kind is int else None,
        head=parts[0],
        tail=parts[1],
        tried=one,
        found=asked.found,
        tables=tuple(table for table, _ in asked.found.tables),
        timeout=profile.timeout,
        plan=plan,
        layout=plan.layout,
        query=asked.query,
    )
    is_right = way.key(other) == again.key and way.dependencies(other) == again.found
    return way if is_right else None


def _try(
    queryset_class: type[QuerySet[Any]], model: type[Model], name: str, value: Any, using: str
) -> _Tried | None:
    """Return what a get asks of the cache; None if it does not come to that."""
    token = attempts.on_loop.set(_Trial())
    try:
        queryset_class(model, using=using).get(**{name: value})
    except _Tried as tried:
        return tried
    except Exception:
        # Whatever is wrong, Django says it best, when it is really asked.
        return None
    finally:
        attempts.on_loop.reset(token)
    return None


def _column(model: type[Model], name: str) -> Any:
    try:
        found: Any = model._meta.pk if name == "pk" else model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return found if getattr(found, "column", None) else None


def _bounds(column: Any, connection: Any) -> tuple[int, int]:
    low, high = connection.ops.integer_field_range(rows.target_of(column).get_internal_type())
    return -(2**63) if low is None else low, 2**63 - 1 if high is None else high
