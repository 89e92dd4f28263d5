"""What the cache puts around the methods of querysets, and what it adds to them."""

from __future__ import annotations

import operator
import weakref
from collections.abc import AsyncIterator, Callable, Collection, Hashable, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

from django.db import connections
from django.db.models import Avg, Count, Manager, Max, Min, Model, QuerySet, Sum
from django.db.models.query import (
    FlatValuesListIterable,
    ModelIterable,
    NamedValuesListIterable,
    ValuesIterable,
    ValuesListIterable,
)
from django.db.models.utils import create_namedtuple_class

from cacheops_core.errors import ConfigurationError
from cacheops_core.profiles import parse_ops, parse_timeout

from . import chains, conf, following, plans, reads, scopes, statements
from .chains import chain_of
from .problems import NoProfile
from .reads import NOT_GIVEN, is_wanted, wish_of
from .reasons import record
from .snapshots import open_cursor

Rows: TypeAlias = Any
"""A queryset with its private attributes, which its published types leave out."""


# Added


def cache(
    self: Rows,
    ops: str | Collection[str] | None = None,
    timeout: Any = NOT_GIVEN,
    lock: bool | None = None,
    write_only: bool = False,
) -> Rows:
    """Return a copy of the queryset whose operations are cached: all of them, or those in ``ops``.

    ``timeout`` is in seconds, the profile's if it is left out or None. With ``lock`` one caller asks the database
    while the others wait. ``write_only`` stores what the database says without asking the cache first.
    """
    model = self.model._meta
    if conf.current().profile_for(self.model) is None:
        raise NoProfile(
            f'cache() needs a profile of {model.label} in CACHEOPS: add "{model.label_lower}": {{"timeout": ...}}'
        )
    clone = _copy(self)
    clone._cacheops = replace(
        wish_of(self),
        ops=parse_ops("all" if ops is None else ops),
        timeout=NOT_GIVEN if timeout is NOT_GIVEN or timeout is None else parse_timeout(timeout),
        lock=lock,
        is_write_only=write_only,
    )
    return clone


def nocache(self: Rows) -> Rows:
    """Return a copy of the queryset that goes past the cache."""
    clone = _copy(self)
    clone._cacheops = replace(wish_of(self), ops=frozenset())
    return clone


def inplace(self: Rows) -> Rows:
    """Return a copy that further methods change instead of copying it: quicker, and not to be shared."""
    clone = _copy(self)
    clone._cacheops = replace(wish_of(self), is_in_place=True)
    return clone


def cloning(self: Rows, cloning: int = 1) -> Rows:
    """Return a copy that further methods copy again, as Django's querysets do; with 0, what `inplace` returns."""
    clone = _copy(self)
    clone._cacheops = replace(wish_of(self), is_in_place=not cloning)
    return clone


def copied(self: Rows) -> Rows:
    """Return a copy, also of a queryset that its methods change."""
    copy = _copy(self)
    copy._cacheops = wish_of(self)
    return copy


def invalidated_update(self: Rows, **kwargs: Any) -> int:
    """Update, and invalidate what depends on the rows as they were and as they are."""
    with scopes.deciding():
        return int(self.update(**kwargs))


def manager_cache(self: Manager[Any], *args: Any, **kwargs: Any) -> Rows:
    """Return a queryset whose operations are cached; see ``QuerySet.cache``."""
    return cache(_queryset_of(self), *args, **kwargs)


def manager_nocache(self: Manager[Any]) -> Rows:
    """Return a queryset that goes past the cache."""
    return nocache(_queryset_of(self))


def manager_inplace(self: Manager[Any]) -> Rows:
    """Return a queryset that its methods change instead of copying it."""
    return inplace(_queryset_of(self))


def manager_invalidated_update(self: Manager[Any], **kwargs: Any) -> int:
    """Update, and invalidate what depends on the rows as they were and as they are."""
    return invalidated_update(_queryset_of(self), **kwargs)


def _queryset_of(manager: Manager[Any]) -> Rows:
    queryset: object = manager.get_queryset()
    if isinstance(queryset, QuerySet):
        return queryset
    model, kind = manager.model._meta.label, type(queryset)
    raise ConfigurationError(
        f"{model}.{manager.name}.get_queryset() returns a {kind.__module__}.{kind.__qualname__}, which is no queryset "
        f"of Django's, so that nothing it does can be cached or tracked: ask {model}._base_manager instead"
    )


# Around Django's own: reading


def clone(original: Callable[..., Any], self: Rows) -> Rows:
    """Hand on what has been asked of the queryset; one that is changed in place is its own copy."""
    wish, chain = self.__dict__.get("_cacheops"), chain_of(self)
    if wish is not None and wish.is_in_place:
        self._result_cache = None
        return self
    if chain is not None:
        return chains.clone(self, chain)
    copy = original(self)
    if wish is None:
        return copy
    copy._cacheops = wish
    return copy


def fetch_all(original: Callable[..., Any], self: Rows) -> None:
    """Bring the rows from the cache; prefetching, which follows, asks it for its own."""
    if self._result_cache is None:
        op = "get" if wish_of(self).is_single else "fetch"
        if is_wanted(self, op) and (question := reads.ask(self, op)) is not None:
            if self._prefetch_related_lookups:
                with following.reading(self._prefetch_related_lookups):
                    self._result_cache = _fetched(question)
                    original(self)
                return
            self._result_cache = _fetched(question)
    original(self)


def single(original: Callable[..., Any], self: Rows, *args: Any, **kwargs: Any) -> Any:
    """Run a method that fetches one row, which profiles call a ``get``."""
    wish = wish_of(self)
    if self._result_cache is None and not wish.is_single and is_wanted(self, "get"):
        self = _copy(self)
        self._cacheops = replace(wish, is_single=True)
    return original(self, *args, **kwargs)


def count(original: Callable[..., Any], self: Rows) -> int:
    """Count the rows, in the cache if that is wanted."""
    if self._result_cache is not None or not is_wanted(self, "count"):
        return original(self)  # type: ignore[no-any-return]  # count() counts
    return reads.answer(self, "count", original)  # type: ignore[no-any-return]


def exists(original: Callable[..., Any], self: Rows) -> bool:
    """Tell whether there are rows, from the cache if that is wanted."""
    if self._result_cache is not None or not is_wanted(self, "exists"):
        return original(self)  # type: ignore[no-any-return]  # exists() tells
    return reads.answer(self, "exists", original)  # type: ignore[no-any-return]


def aggregate(original: Callable[..., Any], self: Rows, *args: Any, **kwargs: Any) -> Any:
    """Aggregate, in the cache if that is wanted. Wrong arguments are left to Django, which says best what is wrong."""
    if not is_wanted(self, "aggregate"):
        return original(self, *args, **kwargs)

    def compute(pinned: Rows) -> Any:
        return original(pinned, *args, **kwargs)

    try:
        named = {**{arg.default_alias: arg for arg in args}, **kwargs}
    except (AttributeError, TypeError):
        return compute(self)
    more = plans.More(lambda asked: _aggregating(asked, named), ("aggregate", *named), _form(named))
    try:
        return reads.answer(self, "aggregate", compute, more)
    except Unresolved as error:
        record(self.model._meta.label, "aggregate", str(error), "arguments")
        return compute(self)


def iterator(original: Callable[..., Any], self: Rows, *args: Any, **kwargs: Any) -> Iterator[Any]:
    """Iterate past the cache."""
    rows = original(self, *args, **kwargs)

    def noted() -> Iterator[Any]:
        with open_cursor(connections[self.db]):
            yield from rows

    return noted()


def aiterator(original: Callable[..., Any], self: Rows, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
    """Iterate past the cache, asynchronously."""
    rows = original(self, *args, **kwargs)

    async def noted() -> AsyncIterator[Any]:
        with open_cursor(connections[self.db]):
            async for row in rows:
                yield row

    return noted()


def _copy(queryset: Rows) -> Rows:
    """Return a copy even of a queryset that is changed in place."""
    wish = wish_of(queryset)
    if not wish.is_in_place:
        return queryset._chain()
    queryset._cacheops = replace(wish, is_in_place=False)
    try:
        return queryset._chain()
    finally:
        queryset._cacheops = wish


def _fetched(question: reads.Question) -> list[Any]:
    """Return what is made of the rows, with what goes into no cache."""
    queryset: Rows = question.queryset
    layout, using, kind = question.plan.layout, question.using, queryset._iterable_class
    made: list[Any]
    if layout is not None:
        rows = reads.answered(question, lambda: _rows(question), fits=layout.fits)
        made = layout.objects(queryset.model, using, rows, getattr(queryset, "_fetch_mode", None))
    elif kind is ModelIterable:
        made = reads.answered(question, lambda: _objects(queryset, using))
        _introduce(queryset, made)
        _settle_in(using, made)
    else:
        rows = reads.answered(question, lambda: _rows(question), fits=_are_rows)
        return MADE_OF_ROWS[kind](queryset, rows)
    _known_related(queryset, made)
    return made


def _rows(question: reads.Question) -> tuple[Any, ...]:
    """Return the rows from the database."""
    return statements.rows(question.queryset, question.using, question.plan.pattern)


def _are_rows(stored: Any) -> bool:
    # Serializers of others may make lists of tuples.
    return type(stored) in (list, tuple)


def _objects(queryset: Rows, using: str) -> list[Any]:
    """Return the objects from the database, without those that this queryset knows them to belong to."""
    plain = _copy(queryset.using(using))
    plain._known_related_objects = {}
    return list(plain._iterable_class(plain))


def _dictionaries(queryset: Rows, rows: Iterable[Any]) -> list[dict[str, Any]]:
    names = list(queryset.query.selected or _selected(queryset.query))
    # An ordered union() has more columns than it is asked for.
    return [dict(zip(names, row, strict=False)) for row in rows]


def _named_tuples(queryset: Rows, rows: Iterable[Any]) -> list[Any]:
    kind = create_namedtuple_class(*(queryset._fields or _selected(queryset.query)))
    return [tuple.__new__(kind, row) for row in rows]


def _selected(query: Any) -> list[str]:
    return [*query.extra_select, *query.values_select, *query.annotation_select]


MADE_OF_ROWS: dict[Any, Callable[[Rows, Iterable[Any]], list[Any]]] = {
    FlatValuesListIterable: lambda queryset, rows: [row[0] for row in rows],
    NamedValuesListIterable: _named_tuples,
    ValuesIterable: _dictionaries,
    ValuesListIterable: lambda queryset, rows: list(map(tuple, rows)),
}
"""What Django's other ways to iterate make of rows."""


def _known_related(queryset: Rows, objects: list[Any]) -> None:
    """Give objects the one that they were reached from, which goes into no cache."""
    for field, related in queryset._known_related_objects.items():
        names = [
            field.attname if name == "self" else queryset.model._meta.get_field(name).attname
            for name in field.from_fields
        ]
        key = operator.attrgetter(*names)
        for made in objects:
            if not field.is_cached(made) and key(made) in related:
                setattr(made, field.name, related[key(made)])


def _introduce(queryset: Rows, rows: list[Model]) -> None:
    """Let rows that were fetched together fetch together what they lack (Django 6.1's fetch modes)."""
    if getattr(getattr(queryset, "_fetch_mode", None), "track_peers", False):
        peers = [weakref.ref(row) for row in rows]
        for row in rows:
            row._state.peers = peers


def _settle_in(using: str, rows: list[Model]) -> None:
    """Let objects know the database that they were asked from, where the answer was another's (a replica's)."""
    for row in rows:
        if row._state.db == using:
            return
        row._state.db = using
        _settle_in(using, [o for o in row._state.fields_cache.values() if isinstance(o, Model)])


def _aggregating(queryset: Rows, named: dict[str, Any]) -> Any:
    """Return the query with its aggregates among the annotations, where they can refer to one another."""
    query = queryset.query.chain()
    try:
        for alias, expression in named.items():
            resolved = expression.resolve_expression(query, allow_joins=True, reuse=None, summarize=True)
            query.append_annotation_mask([alias])
            query.annotations[alias] = resolved
    except Exception as error:
        raise Unresolved(f"its arguments do not resolve: {error}") from error
    return query


class Unresolved(Exception):
    """The arguments of an aggregation are not right."""


def _form(named: dict[str, Any]) -> Hashable:
    """Return what tells plain aggregates of columns from others; None for all else."""
    form: list[Any] = ["aggregate"]
    for alias, expression in named.items():
        if type(expression) not in PLAIN_AGGREGATES:
            return None
        args, kwargs = expression._constructor_args
        if len(args) != 1 or type(args[0]) is not str or kwargs:
            return None
        form += (alias, type(expression), args[0])
    return tuple(form)


PLAIN_AGGREGATES = frozenset({Avg, Count, Max, Min, Sum})


# Around Django's own: writing


def update(original: Callable[..., Any], self: Rows, **kwargs: Any) -> Any:
    """Update; what somebody calls for many rows at once invalidates only if the profile says so."""
    if scopes.is_deciding():
        return original(self, **kwargs)
    profile = conf.current().profile_for(self.model)
    with scopes.tracking((profile and profile.invalidate_on_update) or "nothing"):
        return original(self, **kwargs)


def decide(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a method of Django's that reads to decide on a write."""
    with scopes.deciding():
        return original(*args, **kwargs)
