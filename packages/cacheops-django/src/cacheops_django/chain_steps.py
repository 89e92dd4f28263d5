"""How a queryset is asked for the next thing: what goes around Django's methods, so that `chains` remember it.

A step is remembered when Django has taken it once, and has put the values into the query as they are. From then on a
step of the same kind is only noted. All else is Django's at once: ``Q`` objects, expressions, lists, and querysets of
classes that have a say themselves in what takes part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, TypeAlias
from uuid import UUID

from django.db.models import ForeignKey, Model, Prefetch
from django.db.models.expressions import Col
from django.db.models.lookups import Lookup
from django.db.models.query import ModelIterable
from django.db.models.sql import Query
from django.db.models.sql.where import WhereNode

from . import by_key, chains, conf, rows, scopes
from .chains import BORN, ITERABLES, Chain, Node, Place, Step, chain_of, chained
from .patterns import MODULES
from .untouched import DEFAULT_FETCH_MODE, is_plain_class, is_untouched_query

Rows: TypeAlias = Any
"""A queryset with its private attributes, which its published types leave out."""

PARTS = (
    "__deepcopy__", "__getitem__", "__getstate__", "__init__", "_add_hints", "_chain",
    "_check_ordering_first_last_queryset_aggregation", "_clone", "_fetch_all",
    "_filter_or_exclude", "_filter_or_exclude_inplace", "_next_is_sticky", "_query", "_values", "all", "distinct",
    "defer", "exclude", "filter", "only", "order_by", "ordered", "prefetch_related", "query", "reverse",
    "select_related", "using", "values", "values_list",
)  # fmt: skip
"""What takes part in asking, and must be Django's own."""

APART = frozenset({int, str, UUID})
"""Types of values that are kept apart from what is done with them."""

_UNTRIED: Any = object()
"""Stands for a step that nobody has taken yet."""


# Around Django's own


def filtering(name: str) -> Callable[..., Rows]:
    """Return what goes around ``filter`` or ``exclude``."""

    def filtered(original: Callable[..., Rows], self: Rows, *args: Any, **kwargs: Any) -> Rows:
        if args or not kwargs or (at := _position(self, is_filtering=True)) is None:
            if name == "filter" and not args and kwargs.keys() == {"pk"} and scopes.is_deciding():
                return _decided(original, self, kwargs["pk"])
            return original(self, *args, **kwargs)
        values: list[Any] = []
        kinds: list[Any] = []
        for value in kwargs.values():
            kind = type(value)
            if kind in APART:
                kinds.append(kind)
                values.append(value)
            elif value is None or kind is bool or isinstance(value, Enum):
                # Of these there are few. With its type, for 1 is True, and so is a member that is an integer.
                kinds.append((kind, value))
            elif (key := _primary_key(value)) is not None:
                kinds.append(kind)
                values.append(key)
            else:
                return original(self, *args, **kwargs)
        step = Step(name, tuple(kwargs), tuple(kinds), self._sticky_filter)
        child = at.node.children.get(step, _UNTRIED)
        if child is _UNTRIED:
            made = original(self, **kwargs)
            _learn(at, step, made, tuple(values))
            return made
        if child is None:
            return original(self, **kwargs)
        self._defer_next_filter = False
        return chained(self, child, at.values + tuple(values))

    return filtered


def constant(name: str) -> Callable[..., Rows]:
    """Return what goes around a method that is asked with names of fields."""

    def asked(original: Callable[..., Rows], self: Rows, *args: Any, **kwargs: Any) -> Rows:
        is_plain = all(type(arg) is str for arg in args) and all(
            type(value) is bool for value in kwargs.values()
        )
        if not is_plain or (at := _position(self)) is None:
            return original(self, *args, **kwargs)
        return _stepped(
            at, Step(name, args, tuple(kwargs.items())), self, lambda: original(self, *args, **kwargs)
        )

    return asked


def sliced(original: Callable[..., Any], self: Rows, wanted: Any) -> Any:
    """Return a slice of a queryset, or one of its objects."""
    is_one = type(wanted) is int
    bounds = (wanted, wanted + 1) if is_one else _bounds(wanted)
    at = None if bounds is None or bounds[0] < 0 or self._result_cache is not None else _position(self)
    if bounds is None or at is None:
        return original(self, wanted)
    made = _stepped(at, Step("__getitem__", bounds), self, lambda: original(self, slice(*bounds)))
    if not is_one:
        return made
    made._fetch_all()
    return made._result_cache[0]


def _bounds(wanted: Any) -> tuple[int, int | None] | None:
    if type(wanted) is not slice or wanted.step is not None:
        return None
    first, end = wanted.start or 0, wanted.stop
    is_plain = type(first) is int and (end is None or (type(end) is int and end >= 0))
    return (first, end) if is_plain else None


def prefetching(original: Callable[..., Rows], self: Rows, *lookups: Any) -> Rows:
    """Return a copy that will fetch what belongs to its objects, too, which its query does not know of."""
    at = _position(self) if all(type(lookup) in (str, Prefetch) for lookup in lookups) else None
    if at is None:
        return original(self, *lookups)
    made = chained(self, at.node, at.values)
    made._prefetch_related_lookups += lookups
    return made


def _decided(original: Callable[..., Rows], queryset: Rows, key: Any) -> Rows:
    """Return the row with a key, on which a write is decided."""
    kind = type(key)
    at = _asked(queryset) if kind in APART else None
    if at is None or at.node.parent is not None or not queryset.__dict__.get("_cloning_enabled", True):
        return original(queryset, pk=key)

    def takes(lookup: Any) -> bool:
        is_there = isinstance(lookup, Lookup) and type(lookup.rhs) is kind and lookup.rhs == key
        return is_there and _takes_all(lookup, kind, kind)

    return by_key.filtered(original, queryset, at.node, key, takes)


# Remembering them


def _position(queryset: Rows, *, is_filtering: bool = False) -> Chain | None:
    """Return from where a step of this queryset may be remembered; None if it is left to Django."""
    # What a write is decided on is not asked of the cache.
    return None if scopes.is_deciding() else _asked(queryset, is_filtering=is_filtering)


def _asked(queryset: Rows, *, is_filtering: bool = False) -> Chain | None:
    """Return what this queryset has been asked, if steps of it come to the same as those of any other like it."""
    has = queryset.__dict__
    chain = _root_of(queryset) if "_query" in has else chain_of(queryset)
    if (
        chain is None
        or has["_for_write"]
        or has.get("_fetch_mode") is not DEFAULT_FETCH_MODE
        or not (has.get("_cloning_enabled", True) or has["_result_cache"] is None)
        or (not is_filtering and (has["_sticky_filter"] or has["_defer_next_filter"]))
        or ((wish := has.get("_cacheops")) is not None and wish.is_in_place)
    ):
        return None
    return chain


def _root_of(queryset: Rows) -> Chain | None:
    """Return the chain of a queryset of which nothing has been asked; None if there is none."""
    has = queryset.__dict__
    at = type(queryset), has["model"]
    node = chains.roots.get(at, _UNTRIED)
    if node is _UNTRIED:
        settings, kind, model = conf.current(), type(queryset), has["model"]
        is_ours = model is not None and settings.enabled and settings.profile_for(model) is not None
        node = chains.roots[at] = (
            Node(None, None, (), kind(model)) if is_ours and is_plain_class(kind, PARTS) else None
        )
    if (
        node is None
        or has["_iterable_class"] is not ModelIterable
        or has["_fields"] is not None
        or has["_deferred_filter"] is not None
        or not is_untouched_query(has.get("_query"))
        or not has.keys() - ("_cacheops", "_cacheops_chain") <= BORN
    ):
        return None
    return Chain(node, (), chains.era())


def _stepped(at: Chain, step: Step, queryset: Rows, ask: Callable[[], Rows]) -> Rows:
    child = at.node.children.get(step, _UNTRIED)
    if child is _UNTRIED:
        made = ask()
        _learn(at, step, made, ())
        return made
    return ask() if child is None else chained(queryset, child, at.values)


def _learn(at: Chain, step: Step, made: Rows, values: tuple[Any, ...]) -> None:
    """Remember a step that Django has just taken, if all others like it come to the same."""
    child: Node | None = None
    if made._iterable_class in ITERABLES and type(made.query) is Query:
        places = _places(made.query.where, step, values)
        if places is _UNTRIED:
            return
        if places is not None:
            places = at.node.places + places
            # Equal values of one column make one condition, and others two.
            if len({place.column for place in places}) == len(places):
                child = Node(at.node, step, places, made)
    chains.remember(at, step, child)


def _places(where: WhereNode, step: Step, values: tuple[Any, ...]) -> Any:
    """Return where Django has put the values, as they are; None if it has not, `_UNTRIED` if that cannot be told."""
    if not values:
        return ()
    lookups = list(_lookups(where))
    kinds = [kind for kind in step.kinds if type(kind) is not tuple]
    found = []
    for kind, value in zip(kinds, values, strict=True):
        holding = [one for one in lookups if type(one.rhs) is type(value) and one.rhs == value]
        if len(holding) > 1:
            # Next time they may differ.
            return _UNTRIED
        if not holding or not _takes_all(holding[0], kind, type(value)):
            return None
        lookups.remove(holding[0])
        column = holding[0].lhs.target
        integer = rows.target_of(column).get_internal_type() if type(value) is int else None
        found.append(Place((holding[0].lhs.alias, column.column), integer))
    return tuple(found)


def _lookups(where: WhereNode) -> Iterator[Any]:
    for child in where.children:
        if isinstance(child, WhereNode):
            yield from _lookups(child)
        elif isinstance(child, Lookup):
            yield child


def _takes_all(lookup: Any, kind: type, plain: type) -> bool:
    """Tell whether a lookup compares a column with any value of a type as it is."""
    if type(lookup).__module__ not in MODULES or lookup.bilateral_transforms or type(lookup.lhs) is not Col:
        return False
    column = lookup.lhs.target
    if rows.plain_type(column) is not plain or rows.plain_type(lookup.lhs.output_field) is not plain:
        return False
    if kind is plain:
        return True
    # An object stands for its primary key where that is what the column refers to.
    return isinstance(column, ForeignKey) and column.target_field is kind._meta.pk  # type: ignore[attr-defined]


def _primary_key(value: Any) -> Any:
    """Return the primary key of an object that has one of a type that is kept apart."""
    if not isinstance(value, Model):
        return None
    meta = value._meta
    if meta.concrete_model is not type(value) or len(meta.pk_fields) != 1:
        return None
    key = value.__dict__.get(meta.pk.attname)
    return key if type(key) in APART else None
