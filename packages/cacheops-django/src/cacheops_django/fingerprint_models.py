"""Stable forms of models and fields: which rows a query is about and what becomes of their columns.

A field of a model is known by its model and name, together with a description of how it was declared, so
that a new version of a project does not read what an older one stored for other columns. A field that
belongs to no model (an `output_field`) is all in its arguments. Both cost more to find out than a query may
take, so they are remembered for as long as the field or model lives.
"""

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import django
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model
from django.db.models.fields.reverse_related import ForeignObjectRel

from cacheops_django.fingerprint_values import Encoder, Unknown, digest, encode, learn, path, tag

FORMAT = 2
"""Raised when forms, or what is stored under them, change their meaning: keys of different releases stay apart."""

_UNSEEN_BY_SQL = frozenset(
    {
        "_choices",
        "_error_messages",
        "_validators",
        "_verbose_name",
        "auto_created",
        "creation_counter",
        "error_messages",
        "help_text",
        "validators",
        "verbose_name",
    }
)
"""Attributes of a field that neither SQL nor a conversion looks at."""


T = TypeVar("T")


def _remembered(compute: Callable[[T], bytes]) -> Callable[[T], bytes]:
    """Make a function that finds what it computed by the object's identity: hashing a field takes longer."""
    known: dict[int, bytes] = {}
    references: dict[int, weakref.ref[T]] = {}

    def find(thing: T) -> bytes:
        try:
            return known[id(thing)]
        except KeyError:
            return remember(thing)

    def remember(thing: T) -> bytes:
        place = id(thing)
        result = compute(thing)
        # The object tells of its end before another one can take its place in memory.
        references[place] = weakref.ref(thing, lambda _: forget(place))
        known[place] = result
        return result

    def forget(place: int) -> None:
        known.pop(place, None)
        references.pop(place, None)

    return find


def _describe_field(field: Any) -> bytes:
    if isinstance(field, ForeignObjectRel):
        return digest(("rel", tag(type(field)), field_key(field.field)))
    if _is_of_model(field):
        return digest(("model field", field.model._meta.label, tag(field.model), *_declaration(field)))
    if type(field).__module__.startswith("django."):
        _, kind, args, kwargs = field.deconstruct()
        return digest(("field", tag(type(field)), kind, encode(tuple(args)), encode(kwargs)))
    # A field that was written to be an output_field may not tell its arguments to deconstruct().
    state = {name: value for name, value in sorted(vars(field).items()) if name not in _UNSEEN_BY_SQL}
    return digest(("custom field", path(type(field)), encode(state)))


def _is_of_model(field: Any) -> bool:
    # A changed copy of a model's field keeps the model and the name of the original.
    model, name = getattr(field, "model", None), getattr(field, "name", None)
    if model is None or name is None:
        return False
    try:
        return model._meta.get_field(name) is field
    except FieldDoesNotExist:
        return False


def _declaration(field: Any) -> tuple[Any, ...]:
    name, kind, args, kwargs = field.deconstruct()
    return (name, tag(type(field)), kind, field.attname, field.column, loosely(args), loosely(kwargs))


def loosely(value: Any) -> Any:
    """Encode what only tells releases of a project apart: of an unknown value its type will do."""
    if isinstance(value, Mapping):
        return tuple(sorted((str(key), digest(loosely(item))) for key, item in value.items()))
    if isinstance(value, (list, tuple)):
        return [loosely(item) for item in value]
    try:
        return encode(value)
    except Unknown:
        return getattr(value, "__qualname__", tag(type(value)))


def _describe_model(model: type[Model]) -> bytes:
    related = sorted(_reachable(model), key=lambda other: other._meta.label)
    return digest(
        (FORMAT, django.VERSION, tag(model), model._meta.label, [_table(other) for other in related])
    )


def _reachable(model: type[Model]) -> set[type[Model]]:
    """Find the models that foreign keys lead to: `select_related` takes their columns, ordering their own."""
    found: set[type[Model]] = set()
    waiting = [model]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting.extend(_targets(current))
    return found


def _targets(model: type[Model]) -> Iterable[type[Model]]:
    for field in model._meta.fields:
        target = field.remote_field and field.remote_field.model
        if isinstance(target, type):
            yield target


def _table(model: type[Model]) -> tuple[Any, ...]:
    opts = model._meta
    return (
        tag(model),
        opts.label,
        opts.db_table,
        loosely(opts.ordering),
        [field_key(field) for field in opts.fields],
    )


field_key: Callable[[Any], bytes] = _remembered(_describe_field)
"""Return 16 bytes that stand for a field or for the other end of a relation."""

model_key: Callable[[type[Model]], bytes] = _remembered(_describe_model)
"""Return 16 bytes that stand for a model, its columns and those that its foreign keys lead to."""


def select_related_form(model: type[Model] | None, wanted: Any) -> Any:
    """Encode `select_related`, with the columns that it adds."""
    if not wanted or wanted is True:
        return wanted
    return [_related_form(model, name, inner) for name, inner in wanted.items()]


def _related_form(model: Any, name: str, inner: Any) -> tuple[Any, ...]:
    try:
        target = model._meta.get_field(name).related_model
    except FieldDoesNotExist:
        target = None
    if target is None:
        raise Unknown(f"select_related({name!r}) follows no foreign key")
    return (name, model_key(target), select_related_form(target, inner))


def _instance(value: Any) -> tuple[Any, ...]:
    # A lookup may take any column of an instance, not only its key.
    known = value.__dict__
    columns = [f.attname for f in value._meta.concrete_fields if f.attname in known]
    return ("instance", model_key(type(value)), *((name, encode(known[name])) for name in columns))


@learn
def _fields_and_models(cls: type) -> Encoder | None:
    if issubclass(cls, (Field, ForeignObjectRel)):
        return lambda field: ("field", field_key(field))
    if issubclass(cls, Model):
        return _instance
    return None
