"""Rows from the database, by SQL that has been compiled before for a question like this one.

To compile a query takes Django longer than to execute it. But queries of one pattern (`patterns`) become the same SQL,
with other parameters, and these are what their conditions compare with. So from the second such question on, over each
connection, nothing is left to do but to take the parameters off the conditions.

All else is Django's: a compiler that is made as it would be after compiling executes the SQL, and converts what comes.
Where a compiler is not Django's own, or where the parameters turn out to be more than those of the conditions, each
query is compiled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import unwrap
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connections
from django.db.models import Model
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler
from django.db.models.sql.where import WhereNode

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
    compiled: dict[str, Any]
    """What their compiler knows once it has compiled."""
    converters: Any
    placeholders: list[str]
    """What stands in the SQL for the value of each condition, from left to right."""
    tables: list[tuple[type[Model], str]]
    """The models whose columns are selected, with their tables: a table may get another name."""

    @classmethod
    def of(cls, query: Query, using: str) -> Statement | None:
        """Return what queries like this one are compiled to, if that is known to be the same for all of them."""
        # Compiling changes a query.
        compiler: Any = query.clone().get_compiler(using=using)
        try:
            sql, parameters = compiler.as_sql()
        except (EmptyResultSet, FullResultSet):
            return None
        conditions = list(_conditions(query.where, compiler))
        if _typed(parameters) != _typed(value for _, values in conditions for value in values):
            return None
        columns = [column for column, *_ in compiler.select[: compiler.col_count]]
        models = {
            model for column in columns if (model := getattr(getattr(column, "target", None), "model", None))
        }
        models.add(query.model)
        return cls(
            sql,
            vars(compiler),
            compiler.get_converters(columns),
            [placeholder for placeholder, _ in conditions],
            [(model, model._meta.db_table) for model in models],
        )

    def ready(self, compiler: Any) -> Any:
        """Return what a compiler of a query like it would be after compiling; None if it has to compile."""
        if any(model._meta.db_table != table for model, table in self.tables):
            return None
        placeholders, parameters = [], []
        for placeholder, values in _conditions(compiler.query.where, compiler):
            placeholders.append(placeholder)
            parameters += values
        if placeholders != self.placeholders:
            return None
        ready: Any = object.__new__(type(compiler))
        ready.__dict__.update(self.compiled)
        ready.query = compiler.query
        ready.as_sql = lambda: (self.sql, tuple(parameters))
        ready.get_converters = lambda columns: self.converters
        return ready


def rows(query: Query, using: str, pattern: bytes | None) -> tuple[Any, ...]:
    """Return the rows of a query that has this pattern, if it has one."""
    compiler: Any = query.get_compiler(using=using)
    if (
        pattern is not None
        and HAS_OWN
        and all(getattr(type(compiler), name) is own for name, own in OWN.items())
    ):
        statement = _statement(query, using, pattern)
        compiler = (statement and statement.ready(compiler)) or compiler
    return tuple(compiler.results_iter(tuple_expected=True))


def _statement(query: Query, using: str, pattern: bytes) -> Statement | None:
    known: dict[bytes, Any] = connections[using].__dict__.setdefault("_cacheops_selects", {})
    statement = known.get(pattern, NEVER_SEEN)
    if statement is NEVER_SEEN:
        if len(known) >= KNOWN_STATEMENTS:
            known.clear()
        # Most of what a program asks for once it never asks for again.
        known[pattern] = SEEN_ONCE
        return None
    if statement is SEEN_ONCE:
        statement = known[pattern] = Statement.of(query, using)
    return statement  # type: ignore[no-any-return]  # or None, where queries of the pattern have to be compiled


def _conditions(node: Any, compiler: Any) -> Iterator[tuple[str, list[Any]]]:
    """Yield what each condition of a plain ``where`` compares with: its SQL, and the parameters in it."""
    if type(node) is WhereNode:
        for child in node.children:
            yield from _conditions(child, compiler)
    else:
        yield node.process_rhs(compiler, compiler.connection)


def _typed(values: Any) -> list[tuple[type, Any]]:
    return [(type(value), value) for value in values]
