"""The table that a statement writes to, and what of its rows matters to those who wait for changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from django.db.models import Field, Model

from cacheops_core.conditions import Row, quoted

from . import caches, conf, rows, scopes, tables
from .announcements import ObjectRow
from .signals import cache_invalidated
from .transactions import Work, note

AnyField: TypeAlias = "Field[Any, Any]"

Values = dict[str, Any]
"""A row's values by column."""

Schemes = frozenset[tuple[str, ...]]

FEW_ROWS = 10
"""Inserted rows of which all values are told, since that costs next to nothing."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a model every write to its table looks at: made once, for a write must not wait for it."""

    model: type[Model]
    table: str
    fields: tuple[AnyField, ...]
    keys: tuple[AnyField, ...]
    """The fields of the primary key, of which a composite one has several."""
    names: Mapping[str, str]
    """The attribute of each column."""
    generated: frozenset[str]
    """The columns that the database computes from others."""
    narrowing: Mapping[str, tuple[AnyField, Callable[[Any], Any]]]
    _wanted: dict[Schemes, tuple[AnyField, ...]] = field(default_factory=dict)

    def wanted(self, schemes: Schemes) -> tuple[AnyField, ...]:
        """Return the fields that are needed to tell which conjunctions of these schemes a row meets."""
        found = self._wanted.get(schemes)
        if found is None:
            used = {name for scheme in schemes for name in scheme}
            found = tuple(one for column, (one, _) in self.narrowing.items() if quoted(column) in used)
            if len(self._wanted) > 100:
                self._wanted.clear()
            self._wanted[schemes] = found
        return found


def shape_of(model: type[Model], vendor: str) -> Shape:
    """Return the shape of a model's own table in a kind of database."""
    return _shape(model, vendor, conf.current().skip_fields)


@lru_cache(maxsize=2048)
def _shape(model: type[Model], vendor: str, skipped: frozenset[str]) -> Shape:
    fields = tuple(model._meta.local_concrete_fields)
    pk = model._meta.pk
    return Shape(
        model,
        model._meta.db_table,
        fields,
        tuple(getattr(pk, "fields", None) or (pk,)),
        {str(one.column): one.attname for one in fields},
        frozenset(str(one.column) for one in fields if one.generated),
        rows.columns(model, vendor),
    )


class Target:
    """The table that a statement writes to."""

    __slots__ = ("connection", "is_tracked", "model", "query", "shape", "table", "using")

    def __init__(self, compiler: Any, *, is_to_be_tracked: bool = True) -> None:
        self.query: Any = compiler.query
        self.connection: Any = compiler.connection
        self.using: str = compiler.using or self.connection.alias
        self.model: type[Model] = self.query.get_meta().concrete_model
        self.shape: Shape = shape_of(self.model, self.connection.vendor)
        self.table: str = self.model._meta.db_table
        self.is_tracked: bool = (
            is_to_be_tracked and not scopes.is_muted() and not tables.is_forbidden(self.table)
        )
        """Whether anybody is to hear of the statement; if not, no old values are needed."""

    @property
    def pk(self) -> AnyField:
        """The field of the primary key."""
        return self.model._meta.pk

    def wanted(self) -> tuple[AnyField, ...]:
        """Return the fields that some cached query of the table narrows by, as far as this process knows.

        If it does not know yet, that may be any. What it does not know of costs no more than granularity: a row
        that lacks a field which a scheme asks for invalidates the whole table.
        """
        if cache_invalidated.receivers:
            # Who listens is told all that the row was.
            return self.shape.fields
        schemes = caches.of((self.table,), self.using).registries.get(self.table)
        if schemes is None:
            return tuple(field for field, _ in self.shape.narrowing.values())
        return self.shape.wanted(schemes)

    def row(self, values: Values) -> Row:
        """Return a row's tokens, with what receivers of signals are told of it."""
        shape = self.shape
        return ObjectRow(rows.tokens(shape.narrowing, values), self.model, values, shape.names)

    def note(self, work: Work, values: Iterable[Values] | None) -> None:
        """Note that rows with these values change, None for the whole table."""
        changed = None if values is None else [self.row(one) for one in values]
        note(work, self.table, changed, is_tracked=self.is_tracked)
