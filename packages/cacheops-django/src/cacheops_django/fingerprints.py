"""From a query to the key of its result: equal keys mean equal SQL and equal, typed parameters.

A key holds more than the SQL shows: the model and its columns, what is made of the rows, the database.
Where the query holds something that has no form of its own, a third-party expression say, its compiled SQL
takes the place of the structure, with the parameters apart and with how the selected columns are converted.
Where that fails too, there is no key and the result is not to be cached.
"""

import functools
from collections.abc import Hashable
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.core.signals import setting_changed
from django.db.models import Model
from django.db.models.expressions import BaseExpression, RawSQL
from django.db.models.functions.datetime import TimezoneMixin
from django.db.models.sql import Query
from django.utils import timezone

from cacheops_core.errors import KeyingError
from cacheops_django.compiling import untied
from cacheops_django.fingerprint_models import model_key, select_related_form
from cacheops_django.fingerprint_nodes import computed_attributes, output_form
from cacheops_django.fingerprint_query import encode_query
from cacheops_django.fingerprint_values import Unknown, dump, encode, is_known, path, tag
from cacheops_django.patterns import encode_pattern
from cacheops_django.reasons import KindName, Reason


class Unfingerprintable(KeyingError):
    """A query has no key: its result must not be cached."""

    def __init__(self, reason: str, kind: KindName = "key") -> None:
        super().__init__(reason)
        self.reason: Reason = Reason(reason, kind)


def fingerprint(
    query: Query,
    using: str,
    op: Hashable,
    model: type[Model],
    iterable_class: type,
    extra: tuple[Any, ...] = (),
) -> bytes:
    """Return the structure of a query and of what is asked of it, as bytes.

    `op` names what is asked: "fetch", or a tuple that begins with such a name and holds its arguments,
    expressions included. `extra` is whatever else makes results differ. Raises `Unfingerprintable`.
    """
    try:
        asked = _asked(using, op, model, iterable_class, extra)
        try:
            return asked + dump(encode_query(query))
        except Unknown:
            return asked + dump(_compiled(query, using))
    except Unknown as unknown:
        raise Unfingerprintable(str(unknown)) from unknown


def pattern(
    query: Query,
    using: str,
    op: Hashable,
    model: type[Model],
    iterable_class: type,
    extra: tuple[Any, ...] = (),
) -> bytes | None:
    """Return what questions share that differ in the values of their conditions only; None if one has no such thing."""
    try:
        return _asked(using, op, model, iterable_class, extra) + dump(encode_pattern(query))
    except Unknown:
        return None


def _asked(
    using: str, op: Hashable, model: type[Model], iterable_class: type, extra: tuple[Any, ...]
) -> bytes:
    """Return what is asked of a query, as bytes of which none are the beginning of others."""
    # (1 and True, which are of two forms, would be one to what remembers.)
    if type(op) is str and all(type(part) is str for part in extra):
        return _plainly_asked(using, op, model_key(model), iterable_class, extra, _clock())
    return _dumped(using, encode(op), model_key(model), iterable_class, extra, _clock())


def _dumped(
    using: str,
    op: Any,
    model: bytes,
    iterable_class: type,
    extra: tuple[Any, ...],
    clock: tuple[bool, str],
) -> bytes:
    return dump((model, tag(iterable_class), using, *clock, op, encode(extra)))


_plainly_asked = functools.lru_cache(maxsize=4096)(_dumped)


@functools.cache
def _clock() -> tuple[bool, str]:
    """Return what moments become in SQL and in results: whether they are aware, and the zone by default."""
    setting_changed.connect(_forget_clock, dispatch_uid="cacheops.fingerprints")
    return timezone.now().tzinfo is not None, timezone.get_default_timezone_name()


def _forget_clock(*, setting: str, **kwargs: Any) -> None:
    if setting in {"USE_TZ", "TIME_ZONE"}:
        _clock.cache_clear()


def _compiled(query: Query, using: str) -> tuple[Any, ...]:
    """Return the form of what cannot be walked: its SQL, parameters and everything that SQL does not show."""
    compiler = untied(query).get_compiler(using)
    try:
        sql, params = compiler.as_sql()
    except (EmptyResultSet, FullResultSet) as error:
        raise Unfingerprintable("empty", "empty") from error
    except Exception as error:
        # Whatever is wrong with the query, Django says it best, when the query is run.
        raise Unfingerprintable(f"does not compile: {error}", "arguments") from error
    return (
        "sql",
        sql,
        [encode(param) for param in params],
        [(_conversion(expression), encode(alias)) for expression, _, alias in compiler.select],
        _shape(query),
    )


def _shape(query: Query) -> tuple[Any, ...]:
    """Return what decides under which names, and on which objects, the columns come out."""
    names = [*query.extra_select, *query.values_select, *query.annotation_select]
    fields, is_deferred = query.deferred_loading
    return (
        query.model and model_key(query.model),
        encode(names),
        None if query.selected is None else encode(list(query.selected)),
        select_related_form(query.model, query.select_related),
        sorted(fields),
        is_deferred,
    )


def _conversion(expression: Any) -> Any:
    """Return what decides how a selected value is converted."""
    try:
        return encode(expression)
    except Unknown:
        pass
    cls: type = type(expression)
    if cls is RawSQL or is_known(cls):
        # Something deeper inside is unknown; Django's own expressions convert by their output field.
        zone = expression.get_tzname() if isinstance(expression, TimezoneMixin) else None
        return (tag(cls), output_form(expression), zone)
    # An expression of the project may convert by arguments that its SQL does not show.
    ignored = computed_attributes(cls) | {"_constructor_args", "output_field"}
    state = [(name, _state(value)) for name, value in sorted(vars(expression).items()) if name not in ignored]
    return (path(cls), state, output_form(expression))


def _state(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return (tag(type(value)), *map(_state, value))
    return _conversion(value) if isinstance(value, BaseExpression) else encode(value)
