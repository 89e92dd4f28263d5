"""Prefetching without what nobody may ever ask for: querysets of each object's own are made when they are asked for.

Of a hit with ``prefetch_related("tags")`` most is not the cache but Django, which makes a manager and a queryset of
each object, filtered, with its tags for a result. Most of them are only iterated over, many not at all. Here Django's
own function matches objects with what belongs to them, as ever, and is told to leave it in a list; the list becomes the
queryset that Django would have made when somebody looks for that (`AtHand`).

That is for the relations of Django's own making to many objects, as they are named in ``prefetch_related``. Those with
a queryset of the caller's (``Prefetch(...)``), with a manager that has a say, or to one object are left to Django.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from django.db.models import Model
from django.db.models.manager import BaseManager

from . import conf, rows

PLACE = "_cacheops_prefetched"
"""Under what Django leaves a list at each object, for a moment."""

RELATIONS = frozenset(
    {
        "create_forward_many_to_many_manager.<locals>.ManyRelatedManager",
        "create_reverse_many_to_one_manager.<locals>.RelatedManager",
    }
)
"""The managers that Django makes of relations to many."""


class Waiting(NamedTuple):
    """What was prefetched for one object, and what its queryset is made of."""

    instance: Model
    accessor: str
    found: list[Any]

    def made(self) -> Any:
        """Return the queryset that Django would have made at once."""
        manager = getattr(self.instance, self.accessor)
        # As its get_queryset() does, which would look here for what is prefetched.
        queryset = manager._apply_rel_filters(BaseManager.get_queryset(manager))
        queryset._result_cache = self.found
        queryset._prefetch_done = True
        return queryset


class AtHand(dict[str, Any]):
    """What has been prefetched for an object: the dictionary that Django keeps at it, some of whose values wait."""

    def __getitem__(self, name: str) -> Any:
        found = super().__getitem__(name)
        if type(found) is Waiting:
            found = self[name] = found.made()
        return found

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def pop(self, name: str, *default: Any) -> Any:
        if name in self:
            self[name]
        return super().pop(name, *default)

    def all(self) -> dict[str, Any]:
        """Return a plain dictionary in which nothing waits."""
        return {name: self[name] for name in list(self)}

    def __iter__(self) -> Iterator[str]:
        # With an iterator of its own, what copies it has to ask for each value.
        return super().__iter__()

    def values(self) -> Any:
        return self.all().values()

    def items(self) -> Any:
        return self.all().items()

    def setdefault(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else super().setdefault(name, default)

    def popitem(self) -> tuple[str, Any]:
        name = next(reversed(self))
        return name, self.pop(name)

    def copy(self) -> dict[str, Any]:
        return self.all()

    def __or__(self, other: Any) -> Any:
        return self.all() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.all()

    def __eq__(self, other: object) -> bool:
        return self.all() == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __repr__(self) -> str:
        return repr(self.all())

    def __reduce__(self) -> Any:
        return dict, (self.all(),)


class Listing:
    """A lookup of ``prefetch_related`` that has what is found left in a list."""

    def __init__(self, lookup: Any) -> None:
        self.queryset: None = None
        self.prefetch_through: str = lookup.prefetch_through

    def get_current_querysets(self, level: int) -> None:
        return None

    def get_current_to_attr(self, level: int) -> tuple[str, bool]:
        return PLACE, True


class Matching:
    """A relation's manager that tells by plain integers what belongs to what, where these are what tells it."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self.cache_name: str = ""

    def get_prefetch_querysets(self, instances: list[Model], querysets: Any) -> tuple[Any, ...]:
        queryset, of_found, of_instance, is_single, self.cache_name, is_descriptor = (
            self._manager.get_prefetch_querysets(instances, querysets)
        )
        if (names := _integers(self._manager)) is not None:
            of_found, of_instance = _by_integer(names[0], of_found), _by_integer(names[1], of_instance)
        return queryset, of_found, of_instance, is_single, self.cache_name, is_descriptor


def one_level(
    original: Callable[..., Any], instances: list[Any], prefetcher: Any, lookup: Any, level: int
) -> Any:
    """Fetch what belongs to these objects, and put it at hand."""
    accessor, has_attribute = lookup.get_current_to_attr(level)
    if has_attribute or lookup.queryset is not None or not _is_plain(prefetcher, instances):
        return original(instances, prefetcher, lookup, level)
    matching = Matching(prefetcher)
    answer = original(instances, matching, Listing(lookup), level)
    for instance in instances:
        if PLACE not in instance.__dict__:
            # The same object stands in the list twice.
            continue
        found = instance.__dict__.pop(PLACE)
        at_hand = instance._prefetched_objects_cache
        if type(at_hand) is not AtHand:
            at_hand = instance._prefetched_objects_cache = AtHand(at_hand)
        at_hand[matching.cache_name] = Waiting(instance, accessor, found)
    return answer


def _is_plain(prefetcher: Any, instances: list[Any]) -> bool:
    """Tell whether querysets of this relation are made by Django alone."""
    made_by: Any = type(prefetcher)
    model = getattr(prefetcher, "model", None)
    return (
        made_by.__module__ == "django.db.models.fields.related_descriptors"
        and made_by.__qualname__ in RELATIONS
        and made_by.__mro__[1].get_queryset is BaseManager.get_queryset
        and model is not None
        and conf.current().profile_for(model) is not None
        and all(_stores_as_it_is(kind) for kind in set(map(type, instances)))
    )


def _stores_as_it_is(kind: Any) -> bool:
    return bool(kind.__setattr__ is object.__setattr__)


_known: WeakKeyDictionary[type, tuple[str, str] | None] = WeakKeyDictionary()


def _integers(manager: Any) -> tuple[str, str] | None:
    """Return by which attributes what was found, and the objects, are told apart; None if not by an integer each."""
    # Each relation has a class of managers of its own.
    kind = type(manager)
    if kind not in _known:
        _known[kind] = _integers_of(manager)
    return _known[kind]


def _integers_of(manager: Any) -> tuple[str, str] | None:
    if (through := getattr(manager, "through", None)) is not None:
        key, prefix = through._meta.get_field(manager.source_field_name), "_prefetch_related_val_"
    else:
        key, prefix = manager.field, ""
    here, there = key.local_related_fields, key.foreign_related_fields
    if len(here) != 1 or rows.plain_type(here[0]) is not int or rows.plain_type(there[0]) is not int:
        return None
    return prefix + here[0].attname, there[0].attname


def _by_integer(name: str, slowly: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], Any]:
    """Return what returns the integer under a name; of anything else, what Django makes of it."""

    def told(thing: Any) -> Any:
        value = thing.__dict__.get(name)
        return value if type(value) is int else slowly(thing)[0]

    return told
