"""The UPDATE of a save, by SQL that has been compiled before.

To compile it takes Django longer than the database takes to execute it, and of one model and the same fields it is the
same each time, but for its parameters: what the fields make of their values, then the key. The first of a kind is
compiled by Django, and compared with what we would have made of it; from then on it is made so.

That is for plain values, and rows chosen by one plain value. All else is compiled each time: expressions, values that
their fields put into SQL of their own, several tables, rows that the database is to return, and compilers that are not
Django's.
"""

from __future__ import annotations

from inspect import unwrap
from typing import Any, NamedTuple

from django.db.models.sql import UpdateQuery
from django.db.models.sql.compiler import SQLUpdateCompiler

from . import old_rows
from .targets import Target

KNOWN_STATEMENTS = 500
"""Statements that each connection remembers."""

_UNKNOWN: Any = object()
"""Stands for what nobody has asked for yet; None is for what is compiled each time."""

OWN = {name: getattr(SQLUpdateCompiler, name) for name in ("as_sql", "pre_sql_setup")}
"""What is gone past, and must be Django's."""

# Tools that watch a program put themselves around what was there.
HAS_OWN = all(unwrap(own) is own and own.__module__ == SQLUpdateCompiler.__module__ for own in OWN.values())


class Statement(NamedTuple):
    """What an UPDATE is compiled to, but for its parameters."""

    sql: str
    has_nulls: bool
    """Whether NULL is a parameter like any other value."""
    placeholder: str
    """What stands in the SQL for the value by which rows are chosen."""


def compile_as_before(compiler: Any, target: Target) -> None:
    """Have the compiler of an UPDATE that returns no rows give what has been compiled before, if that is known."""
    query, lookup = target.query, _lookup(compiler, target)
    if lookup is None:
        return
    connection = target.connection
    values: list[Any] = []
    for field, _, value in query.values:
        if hasattr(value, "resolve_expression") or hasattr(value, "prepare_database_save"):
            return
        value = field.get_db_prep_save(value, connection=connection)
        if hasattr(value, "as_sql"):
            return
        values.append(value)
    placeholder, chosen = lookup.process_rhs(compiler, connection)
    fields = tuple((field, value is None) for (field, *_), value in zip(query.values, values, strict=True))
    kind = target.model, target.model._meta.db_table, fields, type(lookup), lookup.lhs.target
    known: dict[Any, Statement | None] = connection.__dict__.setdefault("_cacheops_updates", {})
    # One look: to hash all fields takes a while.
    statement = known.get(kind, _UNKNOWN)
    if statement is _UNKNOWN:
        if len(known) >= KNOWN_STATEMENTS:
            known.clear()
        statement = known[kind] = _compiled(compiler, values, placeholder, chosen)
    if statement is not None and statement.placeholder == placeholder:
        made = statement.sql, (*_parameters(values, statement.has_nulls), *chosen)
        compiler.as_sql = lambda: made


def _lookup(compiler: Any, target: Target) -> Any:
    """Return the condition of an UPDATE whose SQL may be known; None if it is to be compiled in any case."""
    query: Any = target.query
    kind = type(compiler)
    if (
        not HAS_OWN
        or any(getattr(kind, name) is not own for name, own in OWN.items())
        or query.related_updates
        or query.annotations
        or query.extra
        or query.__class__ is not UpdateQuery
        or len(query.alias_map) > 1
    ):
        return None
    lookup = old_rows.only_lookup(target)
    return lookup if lookup is not None and old_rows.is_plain(lookup) else None


def _compiled(compiler: Any, values: list[Any], placeholder: str, chosen: Any) -> Statement | None:
    """Return what Django compiles, if its parameters are those that we would have made."""
    sql, parameters = compiler.as_sql()
    for has_nulls in (False, True):
        if _typed(parameters) == _typed((*_parameters(values, has_nulls), *chosen)):
            return Statement(sql, has_nulls, placeholder)
    return None


def _parameters(values: list[Any], has_nulls: bool) -> list[Any]:
    return values if has_nulls else [value for value in values if value is not None]


def _typed(values: Any) -> list[tuple[type, Any]]:
    return [(type(value), value) for value in values]
