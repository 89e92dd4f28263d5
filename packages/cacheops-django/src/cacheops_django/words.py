"""Tables, conditions, times and sizes in the words of people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Model

from cacheops_core.conditions import Conjunction, Dependencies, Row, Token
from cacheops_core.units import Change

from . import tables

__all__ = ["changes", "dependencies", "duration", "rows", "size"]

LONGEST = 60
"""Characters that are shown of a value."""

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
_SCALES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def rows(table: str, conjunction: Conjunction) -> str:
    """Return which rows of a table these are: "products whose category is 7", "any of the products"."""
    model = _model(table)
    name = _plural(model, table)
    if not conjunction:
        return f"any of the {name}"
    return f"{name} whose {_joined(_condition(model, column, token) for column, token in conjunction)}"


def dependencies(found: Dependencies) -> list[str]:
    """Return what something depends on, a line each."""
    return [rows(table, conjunction) for table, conjunctions in found.tables for conjunction in conjunctions]


def changes(made: Iterable[Change]) -> list[str]:
    """Return which rows were changed, a line each: "airport BIRK: country IS → NO", "all of the airports"."""
    versions: dict[tuple[str, Any], list[Row]] = {}
    whole: dict[str, None] = {}
    for change in made:
        if change.row is None:
            whole[change.table] = None
        else:
            versions.setdefault((change.table, _identity(change.table, change.row)), []).append(change.row)
    lines = [f"all of the {_plural(_model(table), table)}" for table in whole]
    return lines + [_changed(table, found) for (table, _), found in versions.items() if table not in whole]


def duration(seconds: float) -> str:
    """Return a time to two units: "3 min 12 s"."""
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"
    parts: list[str] = []
    seconds = float(round(seconds))
    for number, unit in _UNITS:
        count, seconds = divmod(seconds, number)
        if count or parts:
            parts.append(f"{count:.0f} {unit}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 "))


def size(number: float) -> str:
    """Return a number of bytes: "1,234 bytes", "56.7 kB"."""
    if number < 10_000:
        return f"{number:,.0f} bytes"
    factor, unit = next(scale for scale in _SCALES if number >= scale[0])
    return f"{number / factor:,.1f} {unit}"


def _model(table: str) -> type[Model] | None:
    return next(iter(tables.models_of(table)), None)


def _plural(model: type[Model] | None, table: str) -> str:
    return str(model._meta.verbose_name_plural) if model else f"rows of {table}"


def _identity(table: str, row: Row) -> tuple[Token, ...] | int:
    """Return what two versions of one row have in common; each row is one by itself if its key is not known."""
    model = _model(table)
    columns = [str(field.column) for field in model._meta.pk_fields] if model else []
    return tuple(row[column] for column in columns) if columns and row.keys() >= set(columns) else id(row)


def _changed(table: str, versions: list[Row]) -> str:
    model, identity = _model(table), _identity(table, versions[0])
    name = str(model._meta.verbose_name) if model else f"row of {table}"
    if isinstance(identity, tuple):
        name = f"{name} {', '.join(_shown(token) for token in identity)}"
    before, after = versions[0], versions[-1]
    differences = [
        f"{_field_name(model, column)} {_shown(token)} → {_shown(after[column])}"
        for column, token in before.items()
        if column in after and after[column] != token
    ]
    return f"{name}: {', '.join(differences)}" if differences else name


def _shown(token: Token) -> str:
    if token is None:
        return "empty"
    return token if len(token) <= LONGEST else token[: LONGEST - 1] + "…"


def _condition(model: type[Model] | None, column: str, token: Token) -> str:
    name = _field_name(model, column)
    return f"{name} is {_shown(token)}"


def _field_name(model: type[Model] | None, column: str) -> str:
    for field in model._meta.concrete_fields if model else ():
        if field.column == column:
            return str(field.verbose_name)
    return column


def _joined(parts: Iterable[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
