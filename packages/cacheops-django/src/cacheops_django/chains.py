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
from typing import Any, NamedTuple, TypeAlias

from django.db.models import Model, QuerySet
from django.db.models.query import (
    FlatValuesListIterable,
    ModelIterable,
    NamedValuesListIterable,
    ValuesIterable,
    ValuesListIterable,
)
from django.db.models.sql import Query

Rows: TypeAlias = Any
"""A queryset with its private attributes, which its published types leave out."""

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

    __slots__ = (
        "answers", "by_key", "children", "fields", "is_ordered", "iterable", "parent", "places", "step"
    )  # fmt: skip

    def __init__(self, parent: Node | None, step: Step | None, places: tuple[Place, ...], made: Rows) -> None:
        self.parent: Node | None = parent
        self.step: Step | None = step
        self.places: tuple[Place, ...] = places
        self.fields: Any = made._fields
        self.iterable: Any = made._iterable_class
        self.is_ordered: bool = made.ordered
        self.children: dict[Step, Node | None] = {}
        """What has been asked next; None for what is left to Django."""
        self.answers: dict[Any, Any] = {}
        """What `chain_keys` knows, by what is asked."""
        self.by_key: dict[type, Query | None] = {}
        """Of a root: what `by_key` knows, by the types of keys."""

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


roots: dict[tuple[type, type[Model]], Node | None] = {}
_era: object = object()
_nodes = 0


def forget() -> None:
    """Forget what has been asked, after settings or models have changed. Querysets can still be built."""
    global _era, _nodes
    _era, _nodes = object(), 0
    roots.clear()


def era() -> object:
    """Return what tells chains of which something is known from older ones."""
    return _era


def remember(at: Chain, step: Step, child: Node | None) -> None:
    """Remember a step that Django has taken; None if it is to take all others like it, too."""
    global _nodes
    if _nodes >= MOST_NODES:
        forget()
        return
    _nodes += 1
    at.node.children[step] = child


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
    return _ask_chain(blank(queryset), chain.node, values)


# Around Django's own


def clone(queryset: Rows, chain: Chain) -> Rows:
    """Return a copy of a queryset that has a chain, as Django's own ``_clone`` makes it."""
    made = chained(queryset, chain.node, chain.values)
    made._sticky_filter = queryset._sticky_filter
    return made


def _is_ordered(self: Rows) -> bool:
    """True if the QuerySet is ordered, by order_by() or by its model."""
    chain = chain_of(self)
    return bool(_ORDERED.__get__(self) if chain is None else chain.node.is_ordered)


_ORDERED: Any = vars(QuerySet)["ordered"]
ordered: property = property(_is_ordered)


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

FILTERS = ("filter", "exclude")
CONSTANTS = ("defer", "distinct", "only", "order_by", "reverse", "select_related", "values", "values_list")

_ORIGINALS: dict[str, Callable[..., Any]] = {
    name: getattr(QuerySet, name) for name in (*FILTERS, *CONSTANTS, "__getitem__")
}
"""As they were before anything was put around them."""


def chained(queryset: Rows, node: Node, values: tuple[Any, ...]) -> Rows:
    """Return a queryset that has been asked what leads to a node: a copy, or itself where Django changes it itself."""
    if not queryset.__dict__.get("_cloning_enabled", True):  # since 6.1
        return _ask_chain(queryset, node, values)
    made = _ask_chain(blank(queryset), node, values)
    made._result_cache = None
    made._prefetch_done = False
    return made


def blank(queryset: Rows) -> Rows:
    """Return a queryset with the attributes of another one, its query among them."""
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
