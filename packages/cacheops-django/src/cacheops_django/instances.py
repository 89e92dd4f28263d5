"""Objects from rows: what the cache keeps of a query for objects are its columns, as plain values.

Bringing back a row takes a third of the time, and of the bytes, that bringing back a pickled object takes. A `Layout`
says which columns make which objects. It is read off the compiled query, so it is one for equal keys: a key covers the
fields of every model that its query can select.

Most models have nothing to say when an object of theirs is made, and their columns go straight to where Django puts
them in the end, the object's ``__dict__``, in the same order. For all others Django's own `ModelIterable` makes the
objects, from the rows that are here instead of the database's: models with an ``__init__`` or ``from_db`` of their own,
or with an attribute that does something when it is set, and those for which somebody listens to ``pre_init`` or
``post_init``.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from inspect import getattr_static, unwrap
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.db.models.base import ModelState
from django.db.models.fields.files import FileDescriptor, ImageFileDescriptor
from django.db.models.fields.related_descriptors import ForeignKeyDeferredAttribute
from django.db.models.query import ModelIterable
from django.db.models.query_utils import DeferredAttribute
from django.db.models.signals import post_init, pre_init
from django.utils.safestring import SafeString

from cacheops_core import serializers

Row = Sequence[Any]

STORING = (DeferredAttribute, FileDescriptor, ForeignKeyDeferredAttribute, ImageFileDescriptor)
"""Descriptors that put the value of a new object into its ``__dict__`` as it is."""

MAKING = frozenset({"__getattribute__", "__init__", "__new__", "__setattr__", "from_db"})
"""Methods by which a class has a say in how its objects are made."""


class _Kind(int, Enum):
    ONE = 1


_OF_ALL_KINDS: tuple[Any, ...] = (
    (None, True, 1, 2**70, 1.5, "a", b"a", Decimal("1.50"), SafeString("a"), _Kind.ONE),
    (date(2024, 1, 1), time(1), timedelta(1), datetime(2024, 1, 1, tzinfo=UTC), UUID(int=1)),
    ([1, (2,)], {1: (2,), "k": [{}]}, {1}, frozenset({1})),
)  # fmt: skip


def keeps_types(serializer: Any) -> bool:
    """Tell whether what a serializer brings back is of the types that it was of."""
    if serializer in serializers.NAMES:
        # They refuse what they cannot bring back.
        return True
    try:
        found = serializers.resolve(serializer)
        return _is_same(found.loads(found.dumps(_OF_ALL_KINDS)), _OF_ALL_KINDS)
    except Exception:
        # What it cannot keep it does not keep the type of.
        return False


def _is_same(one: Any, other: Any) -> bool:
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, dict):
        return _is_same([*one.items()], [*other.items()])
    return not isinstance(one, list | tuple) or all(map(_is_same, one, other))


class Layout:
    """Which columns of a query's rows make which objects."""

    __slots__ = ("_annotations", "_compiled", "_is_plain", "_models", "_root", "_width")

    def __init__(self, compiler: Any) -> None:
        """Read it off a compiler that has set its query up."""
        self._compiled = (compiler.select, compiler.klass_info, compiler.annotation_col_map)
        self._width = len(compiler.select)
        self._annotations = tuple((compiler.annotation_col_map or {}).items())
        self._root = Part.of(compiler.klass_info, compiler.select)
        self._models = tuple({part.model for part in self._root.all()})
        self._is_plain = all(map(is_plain, self._models)) and not any(
            # Where the class has something of that name, setting it may do anything.
            getattr_static(self._root.model, name, None) is not None
            for name, _ in self._annotations
        )

    def fits(self, rows: Any) -> bool:
        """Tell whether rows that were stored have all the columns, and no others."""
        return (
            type(rows) is tuple and set(map(type, rows)) <= {tuple} and set(map(len, rows)) <= {self._width}
        )

    def fits_one(self, rows: Any) -> bool:
        """Tell whether they fit, and are one."""
        return (
            type(rows) is tuple and len(rows) == 1 and type(rows[0]) is tuple and len(rows[0]) == self._width
        )

    def objects(self, model: type[Model], using: str, rows: Sequence[Row], fetch_mode: Any) -> list[Any]:
        """Return the objects that Django makes of these rows of a queryset, without what it knows beside them."""
        if not self._is_plain or any(map(_is_listened_to, self._models)):
            replayed: Any = Replayed(model, using, self._compiled, rows, fetch_mode)
            return list(ModelIterable(replayed))
        objects = self._root.make(rows, using, fetch_mode)
        for name, place in self._annotations:
            for made, row in zip(objects, rows, strict=True):
                made.__dict__[name] = row[place]
        return objects


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The columns of one model in a row, and what is selected along with it."""

    model: type[Model]
    values: Callable[[Row], Row]
    """Takes the model's columns out of a row."""
    key: int
    """The one among them that is NULL where there is no object."""
    fill: Callable[..., list[Any]]
    """Makes objects of these columns."""
    set_here: Callable[[Model, Model | None], None]
    """Tells an object what belongs to it."""
    set_there: Callable[[Model, Model], None]
    """Tells that what it belongs to."""
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, info: dict[str, Any], select: Sequence[Any]) -> Part:
        """Return what a compiler describes, read as Django's `RelatedPopulator` reads it."""
        model, places = info["model"], info["select_fields"]
        if info.get("from_parent"):
            # Its columns are among those of its parent, in the parent's order.
            by_name = {select[place][0].target.attname: place for place in places}
            names = [field.attname for field in model._meta.concrete_fields if field.attname in by_name]
            values = _taking([by_name[name] for name in names])
        else:
            first, end = places[0], places[-1] + 1
            names = [column[0].target.attname for column in select[first:end]]
            values = itemgetter(slice(first, end))
        # In this order from_db() takes them, whatever the order of columns.
        ordered = tuple(field.attname for field in model._meta.concrete_fields if field.attname in names)
        return cls(
            model,
            values,
            names.index(model._meta.pk_fields[0].attname),
            filler(ordered, tuple(at for at, name in enumerate(ordered) if _is_reference(model, name))),
            info.get("local_setter", _tell_nobody),
            info.get("remote_setter", _tell_nobody),
            tuple(cls.of(related, select) for related in info.get("related_klass_infos", ())),
        )

    def all(self) -> Iterator[Part]:
        """Yield this and all that it consists of."""
        yield self
        for part in self.parts:
            yield from part.all()

    def make(self, rows: Sequence[Row], using: str, fetch_mode: Any) -> list[Any]:
        """Return one object for each row, with what belongs to it."""
        objects = self._filled(rows, using, fetch_mode)
        for part in self.parts:
            column = part.values
            there = [column(row)[part.key] is not None for row in rows]
            found = iter(
                part.make(
                    [row for row, is_there in zip(rows, there, strict=True) if is_there], using, fetch_mode
                )
            )
            for owner, is_there in zip(objects, there, strict=True):
                belonging = next(found) if is_there else None
                part.set_here(owner, belonging)
                if belonging is not None:
                    part.set_there(belonging, owner)
        return objects

    def _filled(self, rows: Sequence[Row], using: str, fetch_mode: Any) -> list[Any]:
        objects = self.fill(map(self.values, rows), self.model, using, fetch_mode)
        if getattr(fetch_mode, "track_peers", False):
            peers = [weakref.ref(made) for made in objects]
            for made in objects:
                made._state.peers = peers
        return objects


@lru_cache(maxsize=4096)
def filler(names: tuple[str, ...], references: tuple[int, ...]) -> Callable[..., list[Any]]:
    """Return a function that makes objects whose attributes have these names; some of these refer to other objects.

    It is written out for the names, as the functions of dataclasses are, which takes half the time of a loop over them.
    """
    columns = [f"v{place}" for place in range(len(names))]
    # Setting a foreign key looks here for the object that it referred to before.
    refers = " or ".join(f"{columns[place]} is not None" for place in references)
    lines = [
        "def fill(rows, model, using, fetch_mode):",
        "  objects = []",
        f"  for {', '.join(columns)}, in rows:",
        "    state = new(ModelState)",
        f"    if {refers}: state.fields_cache = {{}}" if refers else "",
        "    state.adding = False",
        "    state.db = using",
        "    state.fetch_mode = fetch_mode" if hasattr(ModelState, "fetch_mode") else "",
        "    made = new(model)",
        "    made._state = state",
        "    attributes = made.__dict__",
        *(f"    attributes[{name!r}] = {column}" for name, column in zip(names, columns, strict=True)),
        "    objects.append(made)",
        "  return objects",
    ]
    written: dict[str, Any] = {"new": object.__new__, "ModelState": ModelState}
    exec("\n".join(filter(None, lines)), written)
    return written["fill"]  # type: ignore[no-any-return]  # as has just been written


class Replayed:
    """Stands in for a queryset, its query and its compiler, with rows that have been brought already."""

    def __init__(
        self,
        model: type[Model],
        using: str,
        compiled: tuple[Any, ...],
        rows: Sequence[Row],
        fetch_mode: Any,
    ) -> None:
        self.model = model
        self.db = using
        self.query = self
        select, klass_info, annotation_col_map = compiled
        self.select: Any = select
        self.klass_info: Any = klass_info
        self.annotation_col_map: Any = annotation_col_map
        self._fetch_mode = fetch_mode
        self._known_related_objects: dict[Any, Any] = {}
        self._rows = rows

    def get_compiler(self, using: str) -> Replayed:
        return self

    def execute_sql(self, **kwargs: Any) -> Sequence[Row]:
        return self._rows

    def results_iter(self, results: Sequence[Row]) -> Iterator[Row]:
        return iter(results)


@lru_cache(maxsize=4096)
def is_plain(model: type[Model]) -> bool:
    """Tell whether to fill the ``__dict__`` of an object is all that making one from the database comes to."""
    classes = [cls for cls in model.__mro__ if cls not in (Model, object)]
    init = vars(Model)["__init__"]
    return (
        not any(MAKING & vars(cls).keys() for cls in classes)
        and type(model).__call__ is type.__call__
        # Tools that watch a program put themselves around this.
        and unwrap(init) is init
        and init.__module__ == Model.__module__
        and getattr_static(model, "_state", None) is None
        and all(
            type(getattr_static(model, field.attname)) in STORING for field in model._meta.concrete_fields
        )
    )


def _is_listened_to(model: type[Model]) -> bool:
    # There is hardly ever somebody, and to ask for whom takes longer.
    return bool(pre_init.receivers or post_init.receivers) and (
        pre_init.has_listeners(model) or post_init.has_listeners(model)
    )


def _is_reference(model: type[Model], name: str) -> bool:
    return isinstance(getattr_static(model, name), ForeignKeyDeferredAttribute)


def _taking(places: list[int]) -> Callable[[Row], Row]:
    return lambda row: [row[place] for place in places]


def _tell_nobody(one: Model, other: Model | None) -> None:
    """What belongs to nothing is told of nothing."""
