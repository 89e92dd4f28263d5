"""Rows from the database, by SQL that has been compiled before for a question like this one.

To compile a query takes Django longer than to execute it. But queries of one pattern (`patterns`) become the same SQL,
with other parameters, and these are what their conditions compare with. So from the second such question on, over each
connection, nothing is left to do but to take the parameters off the conditions.

Where a queryset has not built its query (`chains`), it is not built for that either: the values that it was asked with
go where those of the one before stood.

All else is Django's: a compiler that is made as it would be after compiling executes the SQL, and converts what comes.
Where a compiler is not Django's own, or where the parameters turn out to be more than those of the conditions, each
query is compiled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from inspect import unwrap
from typing import Any, TypeAlias

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connections
from django.db.models import Model
from django.db.models.expressions import Col
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler
from django.db.models.sql.where import WhereNode

from .chains import chain_of
from .compiling import untied

Rows: TypeAlias = Any
"""A queryset with its private attributes, which its published types leave out."""

KNOWN_STATEMENTS = 500
"""Statements that each connection remembers."""

OWN = {
    name: getattr(SQLCompiler, name) for name in ("as_sql", "get_converters", "pre_sql_setup", "results_iter")
}
"""What is gone past, and must be Django's."""

# Tools that watch a program put themselves around what was there.
HAS_OWN = all(unwrap(own) is own and own.__module__ == SQLCompiler.__module__ for own in OWN.values())

NEVER_SEEN: Any = object()
SEEN_ONCE: Any = object()
"""Stand for what is known of patterns before their second query."""


@dataclass(slots=True, eq=False)
class Statement:
    """What all queries of one pattern are compiled to, but for their parameters."""

    sql: str
    compiler: Any
    """One that has compiled."""
    converters: Any
    placeholders: list[str]
    """What stands in the SQL for the value of each condition, from left to right."""
    tables: list[tuple[type[Model], str]]
    """The models whose columns are selected, with their tables: a table may get another name."""

    @classmethod
    def of(cls, query: Query, using: str) -> Statement | None:
        """Return what queries like this one are compiled to, if that is known to be the same for all of them."""
        # Compiling changes a query.
        compiler = untied(query).get_compiler(using=using)
        try:
            sql, parameters = compiler.as_sql()
            # A number that the column cannot hold decides its condition, which then has no place in the SQL.
            conditions = [one.process_rhs(compiler, compiler.connection) for one in _lookups(query.where)]
        except (EmptyResultSet, FullResultSet):
            return None
        if _typed(parameters) != _typed(value for _, values in conditions for value in values):
            return None
        columns = [column for column, *_ in compiler.select[: compiler.col_count]]
        models: set[Any] = {
            query.model,
            *(column.target.model for column in columns if type(column) is Col),
        }
        return cls(
            sql,
            compiler,
            compiler.get_converters(columns),
            [placeholder for placeholder, _ in conditions],
            [(model, model._meta.db_table) for model in models],
        )

    def ready(self, query: Query, lookups: Iterable[Any]) -> Any:
        """Return what a compiler is when it has compiled such a query with these conditions; None if it has to."""
        if any(model._meta.db_table != table for model, table in self.tables):
            return None
        placeholders, parameters = list[str](), list[Any]()
        for one in lookups:
            try:
                placeholder, values = one.process_rhs(self.compiler, self.compiler.connection)
            except (EmptyResultSet, FullResultSet):
                return None
            placeholders.append(placeholder)
            parameters += values
        if placeholders != self.placeholders:
            return None
        ready: Any = object.__new__(type(self.compiler))
        ready.__dict__.update(self.compiler.__dict__)
        ready.query = query
        ready.as_sql = lambda: (self.sql, tuple(parameters))
        ready.get_converters = lambda columns: self.converters
        return ready


@dataclass(slots=True, eq=False)
class Filling:
    """Where the values of a chain go in a statement."""

    statement: Statement
    places: list[tuple[Any, int | None]]
    """The conditions, each with the number of the value that it compares with; None for one that is always the same."""

    def ready(self, values: Sequence[Any]) -> Any:
        """Return what a compiler is when it has compiled the query of a chain with these values."""
        lookups = (one if place is None else comparing(one, values[place]) for one, place in self.places)
        return self.statement.ready(self.statement.compiler.query, lookups)


def rows(queryset: Rows, using: str, pattern: bytes | None) -> tuple[Any, ...]:
    """Return the rows of a queryset whose query has this pattern, if it has one."""
    compiler = None if pattern is None else _ready(queryset, using, pattern)
    if compiler is None:
        compiler = untied(queryset.query).get_compiler(using=using)
    return tuple(compiler.results_iter(tuple_expected=True))


def rows_with(name: Any, query: Query, tried: Any, using: str, value: Any) -> tuple[Any, ...] | None:
    """Return the rows of a query that has a pattern, with a value in the place of the one that was tried with it.

    None if each such query has to be built. It is remembered under this name.
    """
    if (known := _known(using)) is None:
        return None
    filling = known.get(name, NEVER_SEEN)
    if filling is NEVER_SEEN:
        statement, places = Statement.of(query, using), _places(list(_lookups(query.where)), (tried,))
        filling = None if statement is None or places is None else Filling(statement, places)
        _remember(known, name, filling)
    compiler = filling and filling.ready((value,))
    return compiler and tuple(compiler.results_iter(tuple_expected=True))


def _known(using: str) -> dict[Any, Any] | None:
    """Return what is known of statements over a connection; None if each query has to be compiled."""
    connection: Any = connections[using]
    kind = connection.ops.compiler(Query.compiler)
    if not HAS_OWN or any(getattr(kind, name) is not own for name, own in OWN.items()):
        return None
    known: dict[Any, Any] = connection.__dict__.setdefault("_cacheops_selects", {})
    return known


def _remember(known: dict[Any, Any], name: Any, value: Any) -> None:
    if len(known) >= KNOWN_STATEMENTS:
        known.clear()
    known[name] = value


def _ready(queryset: Rows, using: str, pattern: bytes) -> Any:
    if (known := _known(using)) is None:
        return None
    chain = chain_of(queryset)
    if chain is not None and (filling := known.get((pattern, chain.node))) is not None:
        return filling.ready(chain.values)
    query = queryset.query
    statement = _statement(known, query, using, pattern)
    if statement is None:
        return None
    lookups = list(_lookups(query.where))
    if chain is not None and (places := _places(lookups, chain.values)) is not None:
        _remember(known, (pattern, chain.node), Filling(statement, places))
    return statement.ready(query, lookups)


def _statement(known: dict[Any, Any], query: Query, using: str, pattern: bytes) -> Statement | None:
    statement = known.get(pattern, NEVER_SEEN)
    if statement is NEVER_SEEN:
        # Most of what a program asks for once it never asks for again.
        _remember(known, pattern, SEEN_ONCE)
        return None
    if statement is SEEN_ONCE:
        statement = known[pattern] = Statement.of(query, using)
    return statement  # type: ignore[no-any-return]  # or None, where queries of the pattern have to be compiled


def _lookups(node: Any) -> Iterator[Any]:
    """Yield the conditions of a ``where`` that has a pattern, in the order of its SQL."""
    for child in node.children:
        if type(child) is WhereNode:
            yield from _lookups(child)
        else:
            yield child


def _places(lookups: list[Any], values: Sequence[Any]) -> list[tuple[Any, int | None]] | None:
    """Return which values stand where; None if that cannot be told, as of equal ones."""
    places: list[int | None] = [None] * len(lookups)
    for number, value in enumerate(values):
        holding = [at for at, one in enumerate(lookups) if type(one.rhs) is type(value) and one.rhs == value]
        if len(holding) != 1 or places[holding[0]] is not None:
            return None
        places[holding[0]] = number
    return list(zip(lookups, places, strict=True))


def comparing(lookup: Any, value: Any) -> Any:
    """Return a condition that differs from another one in the value that it compares with."""
    made: Any = object.__new__(type(lookup))
    made.__dict__.update(lookup.__dict__)
    made.rhs = value
    return made


def _typed(values: Any) -> list[tuple[type, Any]]:
    return [(type(value), value) for value in values]
