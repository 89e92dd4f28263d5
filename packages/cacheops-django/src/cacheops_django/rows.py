"""From the values of a row to tokens: one canonical form per type of field, for who asks and for who writes.

A column narrows what a query depends on only if equality in the database is equality of tokens. Where the
database folds case or trailing spaces, rounds, or compares by rules of its own, the column does not narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeAlias
from uuid import UUID

from django.db import models
from django.db.models import Field, Model
from django.utils.timezone import is_aware

from cacheops_core.conditions import Token, token

from . import conf

AnyField: TypeAlias = "Field[Any, Any]"

Canonical = Callable[[Any], Token]
"""Returns a value's token; raises Unknown for a value whose form in the database is not certain."""

VENDORS = frozenset({"sqlite", "postgresql", "mysql"})
"""Databases whose notion of equality is known here; on others nothing narrows."""


class Unknown(Exception):
    """What the database makes of a value is not certain."""


def _integer(field: AnyField, value: Any) -> Token:
    if isinstance(value, float | Decimal) and value != int(value):
        raise Unknown(value)
    return token(int(value))


def _boolean(field: AnyField, value: Any) -> Token:
    return token(bool(field.to_python(value)))


def _text(field: AnyField, value: Any) -> Token:
    return token(value if isinstance(value, str) else str(value))


def _decimal(field: AnyField, value: Any) -> Token:
    if isinstance(value, float):
        raise Unknown(value)
    number = Decimal(value)
    # A value with more places than the column is rounded on its way in, by rules that differ.
    if not number.is_finite() or number != round(number, field.decimal_places):  # type: ignore[attr-defined]
        raise Unknown(value)
    return token(number)


def _datetime(field: AnyField, value: Any) -> Token:
    # A naive value is understood in the current time zone, which is another one for whoever asks.
    if type(value) is not datetime or is_aware(value) != conf.uses_time_zones():
        raise Unknown(value)
    return token(value)


def _date(field: AnyField, value: Any) -> Token:
    if type(value) is not date:
        raise Unknown(value)
    return token(value)


def _time(field: AnyField, value: Any) -> Token:
    if type(value) is not time or value.tzinfo is not None:
        raise Unknown(value)
    return token(value)


def _uuid(field: AnyField, value: Any) -> Token:
    return token(value if isinstance(value, UUID) else field.to_python(value))


Reader = Callable[[AnyField, Any], Token]

READERS: Mapping[type[AnyField], Reader] = {
    models.AutoField: _integer,
    models.BigAutoField: _integer,
    models.SmallAutoField: _integer,
    models.IntegerField: _integer,
    models.BigIntegerField: _integer,
    models.SmallIntegerField: _integer,
    models.PositiveIntegerField: _integer,
    models.PositiveBigIntegerField: _integer,
    models.PositiveSmallIntegerField: _integer,
    models.BooleanField: _boolean,
    models.CharField: _text,
    models.SlugField: _text,
    models.EmailField: _text,
    models.URLField: _text,
    models.DecimalField: _decimal,
    models.DateTimeField: _datetime,
    models.DateField: _date,
    models.TimeField: _time,
    models.UUIDField: _uuid,
}
"""The types of fields that narrow. Long texts, files, JSON, floats and the like do not."""

CONVERSIONS = (
    "cast_db_type",
    "db_type",
    "from_db_value",
    "get_db_prep_save",
    "get_db_prep_value",
    "get_internal_type",
    "get_prep_value",
    "pre_save",
    "to_python",
)
"""What a subclass must leave as it is for its values to mean what those of its base mean."""


PLAIN: Mapping[Reader, tuple[type, Callable[[Any], str]]] = {
    _integer: (int, int.__repr__),
    _boolean: (bool, lambda value: "1" if value else "0"),
    _text: (str, str),
    _uuid: (UUID, str),
}
"""Of the values that are nearly all that there are, what makes their token: the same that the reader would."""


def columns(model: type[Model], vendor: str) -> Mapping[str, tuple[AnyField, Canonical]]:
    """Return the columns of a model's own table that narrow, with their fields and canonical forms."""
    return _columns(model, vendor, conf.current().skip_fields)


@lru_cache(maxsize=2048)
def _columns(
    model: type[Model], vendor: str, skipped: frozenset[str]
) -> Mapping[str, tuple[AnyField, Canonical]]:
    found = {}
    for field in model._meta.local_concrete_fields:
        canonical = _canonical(field, vendor, skipped)
        if canonical is not None and field.column is not None:
            found[field.column] = (field, canonical)
    return found


def _canonical(field: AnyField, vendor: str, skipped: frozenset[str]) -> Canonical | None:
    target = target_of(field)
    reader = _reader(target)
    if (
        reader is None
        or vendor not in VENDORS
        or skipped & {field.get_internal_type(), type(field).__name__, target.get_internal_type()}
        or getattr(target, "db_collation", None)
        # SQLite keeps numbers with a fraction as floats: past 15 digits different ones are equal.
        or (reader is _decimal and vendor == "sqlite" and target.max_digits > 15)  # type: ignore[attr-defined]
        # MySQL's collations fold case, and all but the newest take "a " for "a".
        or (reader is _text and vendor == "mysql")
    ):
        return None

    plain, text = PLAIN.get(reader, (None, str))

    def canonical(value: Any) -> Token:
        if type(value) is plain:
            return text(value)
        if value is None:
            return None
        if hasattr(value, "resolve_expression"):
            raise Unknown(value)
        try:
            return reader(target, value)
        except Unknown:
            raise
        except Exception as error:
            raise Unknown(value) from error

    return canonical


def are_alike(one: AnyField, other: AnyField) -> bool:
    """Tell whether two columns that narrow have one token for what a join holds equal.

    PostgreSQL converts one of them to the type of the other, which cuts texts off and rounds numbers.
    """
    one, other = target_of(one), target_of(other)
    return _reader(one) is _reader(other) and all(
        getattr(one, name, None) == getattr(other, name, None)
        for name in ("max_length", "max_digits", "decimal_places")
    )


def target_of(field: AnyField) -> AnyField:
    """Return the field that decides on a column's type: the end of a chain of foreign keys."""
    while isinstance(field, models.ForeignKey) and _converts_like(field, models.ForeignKey):
        field = field.target_field
    return field


def plain_type(field: AnyField) -> type | None:
    """Return the one type of values that go into a column, and come out of it, as they are; None if it has none."""
    return {_integer: int, _text: str, _uuid: UUID}.get(_reader(target_of(field)))  # type: ignore[arg-type]


def _reader(field: AnyField) -> Reader | None:
    for base in type(field).__mro__:
        if base in READERS:
            return READERS[base] if _converts_like(field, base) else None
    return None


def _converts_like(field: AnyField, base: type[AnyField]) -> bool:
    """Tell whether a field's values mean what those of a base class of it mean."""
    return all(getattr(type(field), name, None) is getattr(base, name, None) for name in CONVERSIONS)


def tokens(
    narrowing: Mapping[str, tuple[AnyField, Canonical]], values: Mapping[str, Any]
) -> dict[str, Token]:
    """Return the tokens of a row from its values by column; columns whose value is not certain are left out."""
    found = {}
    for column, value in values.items():
        if column in narrowing:
            try:
                found[column] = narrowing[column][1](value)
            except Unknown:
                continue
    return found
