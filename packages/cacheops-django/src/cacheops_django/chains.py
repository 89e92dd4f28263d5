"""Querysets that do not build their query before somebody looks at it.

``Product.objects.filter(category=7).order_by("name")[:20]`` costs Django more than a hit costs the cache, and a hit
needs nothing of what it builds but the key, which is the same each time but for the 7. So what a queryset has been
asked is remembered as a *chain*: the methods that were called, one after another, and the values apart from them.
Whoever looks at the query of such a queryset finds it built by Django, from the same calls; a hit never looks
(`chain_keys`).

Nothing is put off that could fail. A step is remembered when Django has taken it once, with values of the same types,
and has put these values into the query as they are: integers, texts and UUIDs in lookups of its own, and an object of
a model where its foreign key takes its primary key. From then on a step of the same kind has nothing left to say. All
else (``Q`` objects, expressions, lists, a first time) is Django's at once, as are querysets of classes that have a
say themselves in what takes part.

A queryset with a chain has no ``_query`` among its attributes, and that alone makes it one: Django's class has one
that builds it, in its place (`Building`). It is built once for each queryset, into the attributes of that queryset.
Two threads that share it may both build it, from the same chain, and one of the two equal queries stays.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from django.db.models import ForeignKey, Model, Prefetch, QuerySet
from django.db.models.expressions import Col
from django.db.models.lookups import Lookup
from django.db.models.query import (
    FlatValuesListIterable,
    ModelIterable,
    NamedValuesListIterable,
    ValuesIterable,
    ValuesListIterable,
)
from django.db.models.sql import Query
from django.db.models.sql.where import WhereNode

from . import conf, rows
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

ITERABLES = frozenset(
    {FlatValuesListIterable, ModelIterable, NamedValuesListIterable, ValuesIterable, ValuesListIterable}
)
"""How rows become results by what the query says alone; others may ask the database for more on the way."""

BORN = frozenset(vars(QuerySet()))
"""The attributes of any queryset of Django's. One with others is somebody else's, but for those that we give it."""

MOST_NODES = 20_000
"""Steps that are remembered, of all querysets. Then it begins anew."""


class Step(NamedTuple):
    """One method that a queryset was asked by, without the values that are kept apart."""

    name: str
    args: tuple[Any, ...] = ()
    """Positional arguments; of a filter the names of its keyword arguments, of a slice its bounds."""
    kinds: tuple[Any, ...] = ()
    """Keyword arguments with their values; of a filter the types of its values, with the values that are not apart."""
    is_sticky: bool = False
    """Whether the next filter is to use the same joins, as in many-to-many relations."""


class Place(NamedTuple):
    """Where a value goes that is kept apart."""

    column: tuple[str, str]
    """The alias and the column that it is compared with."""
    type_of_integer: str | None
    """Decides on which integers the database takes for one of the column's; None for other types."""


class Node:
    """What querysets of a model have been asked so far, but for the values."""

    __slots__ = ("answers", "children", "fields", "is_ordered", "iterable", "parent", "places", "step")

    def __init__(self, parent: Node | None, step: Step | None, places: tuple[Place, ...], made: Rows) -> None:
        self.parent = parent
        self.step = step
        self.places: tuple[Place, ...] = places
        self.fields: Any = made._fields
        self.iterable: Any = made._iterable_class
        self.is_ordered: bool = made.ordered
        self.children: dict[Step, Node | None] = {}
        """What has been asked next; None for what is left to Django."""
        self.answers: dict[Any, Any] = {}
        """What `chain_keys` knows, by what is asked."""

    def steps(self) -> Iterator[Step]:
        """Yield the steps that lead here, in their order."""
        if self.parent is not None and self.step is not None:
            yield from self.parent.steps()
            yield self.step


class Chain(NamedTuple):
    """What one queryset has been asked."""

    node: Node
    values: tuple[Any, ...]
    era: object
    """In another one, nothing of this is known any more."""

    def __deepcopy__(self, memo: Any) -> Chain:
        return self


_roots: dict[tuple[type, type[Model]], Node | None] = {}
_era: object = object()
_nodes = 0


def forget() -> None:
    """Forget what has been asked, after settings or models have changed. Querysets can still be built."""
    global _era, _nodes
    _era, _nodes = object(), 0
    _roots.clear()


def chain_of(queryset: Rows) -> Chain | None:
    """Return what a queryset has been asked, if its query has not been built."""
    has = queryset.__dict__
    chain: Chain | None = has.get("_cacheops_chain")
    if (
        chain is None
        or "_query" in has
        or chain.era is not _era
        # Somebody else may have set them.
        or has["_iterable_class"] is not chain.node.iterable
        or has["_fields"] is not chain.node.fields
        or len(has) > len(BORN) + ("_cacheops" in has)
    ):
        return None
    return chain


def with_values(queryset: Rows, chain: Chain, values: tuple[Any, ...]) -> Rows:
    """Return a queryset that has been asked the same, with other values."""
    return _ask_chain(_blank(queryset), chain.node, values)


# Around Django's own


def filtering(name: str) -> Callable[..., Rows]:
    """Return what goes around ``filter`` or ``exclude``."""

    def filtered(original: Callable[..., Rows], self: Rows, *args: Any, **kwargs: Any) -> Rows:
        if args or not kwargs or (at := _position(self, is_filtering=True)) is None:
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
        return _chained(self, child, at.values + tuple(values))

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


def clone(queryset: Rows, chain: Chain) -> Rows:
    """Return a copy of a queryset that has a chain, as Django's own ``_clone`` makes it."""
    made = _chained(queryset, chain.node, chain.values)
    made._sticky_filter = queryset._sticky_filter
    return made


def prefetching(original: Callable[..., Rows], self: Rows, *lookups: Any) -> Rows:
    """Return a copy that will fetch what belongs to its objects, too, which its query does not know of."""
    at = _position(self) if all(type(lookup) in (str, Prefetch) for lookup in lookups) else None
    if at is None:
        return original(self, *lookups)
    made = _chained(self, at.node, at.values)
    made._prefetch_related_lookups += lookups
    return made


def _is_ordered(self: Rows) -> bool:
    """True if the QuerySet is ordered, by order_by() or by its model."""
    chain = chain_of(self)
    return bool(_ORDERED.__get__(self) if chain is None else chain.node.is_ordered)


_ORDERED: Any = vars(QuerySet)["ordered"]
ordered = property(_is_ordered)


def refuse_aggregation(original: Callable[..., None], self: Rows, **kwargs: Any) -> None:
    """Let Django refuse what ``first`` cannot order; nothing with a chain has been aggregated."""
    if chain_of(self) is None:
        original(self, **kwargs)


def getstate(original: Callable[..., dict[str, Any]], self: Rows) -> dict[str, Any]:
    """Return what is pickled of a queryset: without its chain, which is of this process."""
    build(self)
    state = original(self)
    state.pop("_cacheops_chain", None)
    return state


def deepcopied(original: Callable[..., Rows], self: Rows, memo: Any) -> Rows:
    """Return a deep copy of a queryset."""
    build(self)
    return original(self, memo)


class Building:
    """Stands in Django's class for the query of a queryset that has none of its own yet, and builds it."""

    def __get__(self, queryset: Rows, owner: type | None = None) -> Any:
        if queryset is None:
            return self
        has = queryset.__dict__
        chain: Chain | None = has.get("_cacheops_chain")
        if chain is None:
            raise AttributeError(f"{type(queryset).__qualname__} has no _query")
        made: Rows = type(queryset)(queryset.model)
        values = iter(chain.values)
        for step in chain.node.steps():
            made = _taken(made, step, values)
        # Another thread may have been faster, and its query may be in use by now.
        return has.setdefault("_query", made.query)


def build(queryset: Rows) -> None:
    """Build a queryset's query if it has only a chain."""
    queryset._query  # noqa: B018  # which builds it


def build_all() -> None:
    """Build all querysets that there are, for Django's class is about to be what it was."""
    for thing in gc.get_objects():
        if issubclass(type(thing), QuerySet) and "_cacheops_chain" in thing.__dict__:
            build(thing)


# Taking steps

_UNTRIED: Any = object()
"""Stands for a step that nobody has taken yet."""

FILTERS = ("filter", "exclude")
CONSTANTS = ("defer", "distinct", "only", "order_by", "reverse", "select_related", "values", "values_list")

_ORIGINALS: dict[str, Callable[..., Any]] = {
    name: getattr(QuerySet, name) for name in (*FILTERS, *CONSTANTS, "__getitem__")
}
"""As they were before anything was put around them."""


def _position(queryset: Rows, *, is_filtering: bool = False) -> Chain | None:
    """Return from where a step of this queryset may be remembered; None if it is left to Django."""
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
    node = _roots.get(at, _UNTRIED)
    if node is _UNTRIED:
        settings, kind, model = conf.current(), type(queryset), has["model"]
        is_ours = model is not None and settings.enabled and settings.profile_for(model) is not None
        node = _roots[at] = (
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
    return Chain(node, (), _era)


def _stepped(at: Chain, step: Step, queryset: Rows, ask: Callable[[], Rows]) -> Rows:
    child = at.node.children.get(step, _UNTRIED)
    if child is _UNTRIED:
        made = ask()
        _learn(at, step, made, ())
        return made
    return ask() if child is None else _chained(queryset, child, at.values)


def _chained(queryset: Rows, node: Node, values: tuple[Any, ...]) -> Rows:
    """Return a queryset that has been asked what leads to a node: a copy, or itself where Django changes it itself."""
    if not queryset.__dict__.get("_cloning_enabled", True):  # since 6.1
        return _ask_chain(queryset, node, values)
    made = _ask_chain(_blank(queryset), node, values)
    made._result_cache = None
    made._prefetch_done = False
    return made


def _blank(queryset: Rows) -> Rows:
    made: Rows = object.__new__(type(queryset))
    made.__dict__.update(queryset.__dict__)
    return made


def _ask_chain(made: Rows, node: Node, values: tuple[Any, ...]) -> Rows:
    has = made.__dict__
    has.pop("_query", None)
    has["_sticky_filter"] = has["_defer_next_filter"] = False
    has["_fields"] = node.fields
    has["_iterable_class"] = node.iterable
    has["_cacheops_chain"] = Chain(node, values, _era)
    return made


def _taken(queryset: Rows, step: Step, values: Iterator[Any]) -> Rows:
    """Return what Django makes of a step."""
    original = _ORIGINALS[step.name]
    if step.name in FILTERS:
        queryset._sticky_filter = step.is_sticky
        found = zip(step.args, step.kinds, strict=True)
        return original(
            queryset, **{name: kind[1] if type(kind) is tuple else next(values) for name, kind in found}
        )
    if step.name == "__getitem__":
        return original(queryset, slice(*step.args))
    return original(queryset, *step.args, **dict(step.kinds))


# Learning them


def _learn(at: Chain, step: Step, made: Rows, values: tuple[Any, ...]) -> None:
    """Remember a step that Django has just taken, if all others like it come to the same."""
    global _nodes
    if _nodes >= MOST_NODES:
        forget()
        return
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
    _nodes += 1
    at.node.children[step] = child


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
