"""The rows that a statement is about to change, as they are before it, under their locks.

Why under their locks, `writes` tells. What nearly every ``save()`` and ``delete()`` asks for, some columns of the rows
with one value in one column, is asked by a statement that Django has compiled once for a connection and that differs
in the value only: to build and compile it anew takes longer than all the rest of what tracking a write does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db.backends.base.base import BaseDatabaseWrapper as Connection
from django.db.models.expressions import Col, Subquery
from django.db.models.lookups import Exact, In
from django.db.models.sql import Query
from django.db.models.sql.where import AND, WhereNode

from .dependencies import refuse_unknown
from .reasons import Uncacheable
from .targets import AnyField, Target, Values
from .transactions import Work, work_of

MOST_ROWS = 10_000
"""Rows that one statement may change and still be tracked row by row."""

KEYS_AT_ONCE = 500
"""Primary keys in one query, within what every database takes."""

KNOWN_STATEMENTS = 1_000
"""Statements that a connection remembers."""

ONE_WORD = 2**63
"""Whole numbers below this fit into a column of some database; of others the databases' drivers complain."""

DJANGOS_OWN = frozenset({"django.db.models.lookups", "django.db.models.fields.related_lookups"})
"""Modules whose lookups compare as their names say."""


@dataclass(frozen=True, slots=True)
class Before:
    """The rows that a statement may change, as they are before it."""

    rows: list[Values]
    is_named: bool
    """Whether the condition names these rows, so that no other can meet it; not all of them need exist."""

    def changed(self, result: Any, *, counts: bool) -> list[Values] | None:
        """Return which of the rows the statement has changed; None if there may be others.

        Between our look and the statement somebody may have committed a row that meets its condition as well.
        """
        count = len(result) if isinstance(result, list) else result if counts else None
        if self.is_named:
            return [] if count == 0 else self.rows
        return self.rows if count == len(self.rows) else None


def lock(target: Target, work: Work) -> Before | None:
    """Return the rows that the statement is about to change, and keep others from changing them before that.

    None stands for rows that cannot be told: too many, or chosen by what stands in other tables.
    """
    wanted = target.wanted()
    lookup = only_lookup(target)
    if lookup is not None and lookup.lhs.target == target.pk and all(field.primary_key for field in wanted):
        # The condition itself says all that anybody asks for.
        return Before([{str(target.pk.column): key} for key in _compared(lookup)], is_named=True)
    if not target.query.where.children or (lookup is None and not _is_simple(target.query)):
        return None
    if target.connection.vendor == "sqlite" and not work.holds_write_lock:
        _take_write_lock(target)
        work.holds_write_lock = True
    fields = (*target.shape.keys, *(field for field in wanted if field not in target.shape.keys))
    if lookup is not None and is_plain(lookup):
        found = _select_by_value(target, lookup, fields)
    else:
        found = _select(target, target.query, fields, MOST_ROWS + 1)
    return None if len(found) > MOST_ROWS else Before(found, is_named=False)


def rows_with_keys(target: Target, keys: Sequence[Any], columns: Collection[str]) -> list[Values]:
    """Return columns of the rows with these primary keys, under their locks."""
    fields = [field for field in target.shape.fields if str(field.column) in columns]
    found = []
    for start in range(0, len(keys), KEYS_AT_ONCE):
        query: Any = Query(target.model)
        query.add_filter("pk__in", keys[start : start + KEYS_AT_ONCE])
        found += _select(target, query, fields, None)
    return found


# Which rows


def only_lookup(target: Target) -> Any:
    """Return the lookup that compares one of the table's columns with values, if the condition says nothing else."""
    query, where = target.query, target.query.where
    if len(where.children) != 1 or where.negated or where.connector != AND or query.group_by is not None:
        return None
    lookup = where.children[0]
    if (
        not isinstance(lookup, Exact | In)
        or type(lookup.lhs) is not Col
        or lookup.lhs.target not in target.shape.fields
        or lookup.lhs.alias != query.get_initial_alias()
        or type(lookup).__module__ not in DJANGOS_OWN
        or lookup.bilateral_transforms
    ):
        return None
    values = _compared(lookup)
    if values is None or any(hasattr(value, "resolve_expression") for value in values):
        return None
    return lookup


def _compared(lookup: Any) -> Any:
    """Return the values that a lookup compares with; None if they are not in this process."""
    if isinstance(lookup, Exact):
        return (lookup.rhs,)
    return lookup.rhs if isinstance(lookup.rhs, list | tuple | set | frozenset) else None


def is_plain(lookup: Any) -> bool:
    """Tell whether a lookup compares with one value, of a type of which all are compared alike."""
    values = _compared(lookup)
    if len(values) != 1:
        return False
    (value,) = values
    return type(value) in (str, UUID) or (type(value) is int and abs(value) < ONE_WORD)


def _is_simple(query: Query) -> bool:
    """Tell whether the condition chooses the same rows again: by the table's own columns, and values that last."""
    query.get_initial_alias()
    if sum(map(bool, query.alias_refcount.values())) != 1 or query.group_by is not None:
        return False
    parts = [*_parts(query.where)]
    if any(isinstance(part, Query | Subquery) for part in parts):
        return False
    try:
        refuse_unknown(part for part in parts if hasattr(part, "as_sql"))
    except Uncacheable:
        return False
    return True


def _parts(expression: Any) -> Iterator[Any]:
    yield expression
    if isinstance(expression, WhereNode):
        children: list[Any] = list(expression.children)
    elif isinstance(expression, list | tuple | set | frozenset):
        children = list(expression)
    else:
        children = list(getattr(expression, "get_source_expressions", list[Any])())
        children.append(getattr(expression, "rhs", None))
    for child in children:
        if child is not expression:
            yield from _parts(child)


# Asking for them


def _take_write_lock(target: Target) -> None:
    quote = target.connection.ops.quote_name
    table, column = quote(target.table), quote(target.shape.keys[0].column)
    with target.connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = {column} WHERE 0")


def _select(target: Target, source: Query, fields: Sequence[AnyField], limit: int | None) -> list[Values]:
    """Return columns of the rows that the source chooses, under their locks."""
    query = _locking(target, source, fields)
    if limit is not None:
        query.set_limits(high=limit)
    try:
        with _known_to_django(target.connection):
            found = list(query.get_compiler(target.using).results_iter())
    except EmptyResultSet:
        return []
    return [_by_column(fields, row) for row in found]


def _locking(target: Target, source: Query, fields: Sequence[AnyField]) -> Any:
    query: Any = source.chain(klass=Query)
    query.select_related = False
    query.distinct = False
    query.clear_ordering(force=True)
    query.clear_select_clause()
    query.add_fields([field.attname for field in fields], allow_m2m=False)
    query.select_for_update = target.connection.features.has_select_for_update
    return query


@contextmanager
def _known_to_django(connection: Connection) -> Iterator[None]:
    """Let Django ask for locks in a transaction that a statement has begun: it believes that each one commits."""
    believed = connection.autocommit
    connection.autocommit = believed and not work_of(connection).is_begun_by_statement
    try:
        yield
    finally:
        connection.autocommit = believed


def _by_column(fields: Sequence[AnyField], row: Sequence[Any]) -> Values:
    return dict(zip((str(field.column) for field in fields), row, strict=True))


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that Django has compiled, with one parameter that is left open."""

    sql: str
    compiler: Any
    converters: Any

    def rows(self, connection: Connection, parameter: Any) -> list[Sequence[Any]]:
        """Return the rows that it finds, as Django would."""
        with connection.cursor() as cursor:
            cursor.execute(self.sql, (parameter,))
            found: list[Sequence[Any]] = cursor.fetchall()
        return list(self.compiler.apply_converters(found, self.converters)) if self.converters else found


def _select_by_value(target: Target, lookup: Any, fields: Sequence[AnyField]) -> list[Values]:
    """Return columns of the rows that a plain lookup chooses, under their locks."""
    connection, limit = target.connection, MOST_ROWS + 1
    known = connection.__dict__.setdefault("_cacheops_statements", {})
    # A table's name may change while the process runs, as with schemas that are put in front of it.
    name = target.model, target.table, type(lookup), lookup.lhs.target, tuple(fields), limit
    statement = known.get(name)
    if statement is None:
        if len(known) >= KNOWN_STATEMENTS:
            known.clear()
        statement = known[name] = _compiled(target, lookup, fields, limit)
    value = lookup.rhs if isinstance(lookup, Exact) else list(lookup.rhs)
    (parameter,) = lookup.get_db_prep_lookup(value, connection)[1]
    return [_by_column(fields, row) for row in statement.rows(connection, parameter)]


def _compiled(target: Target, lookup: Any, fields: Sequence[AnyField], limit: int) -> Statement:
    query: Any = Query(target.model)
    column = lookup.lhs.relabeled_clone({lookup.lhs.alias: query.get_initial_alias()})
    query.where.add(type(lookup)(column, lookup.rhs), AND)
    query = _locking(target, query, fields)
    query.set_limits(high=limit)
    compiler = query.get_compiler(connection=target.connection)
    with _known_to_django(target.connection):
        sql, parameters = compiler.as_sql()
    assert len(parameters) == 1, f"a plain lookup has one parameter, got {sql!r}"
    columns = [column for column, *_ in compiler.select[: compiler.col_count]]
    return Statement(sql, compiler, compiler.get_converters(columns))
