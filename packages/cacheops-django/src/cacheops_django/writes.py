"""Every write of the ORM, at the one place that all of them pass: the compilers' ``execute_sql``.

``save``, ``create``, ``bulk_create``, ``bulk_update``, ``delete``, many-to-many fields, the collector's updates: each
becomes an INSERT, an UPDATE or a DELETE that is compiled from a query which knows its table, its conditions and its
values. So no signal is needed, and none can be missed.

**Old values are read under the row's lock.** The story: A loads a row with category 1. B moves it to 2 and commits.
A reader caches category 2 with the row. A saves, moving it to 3. Had A taken its old value from its own memory, or
read it before it waited for B's lock, the list of category 2 would keep the row. In SQLite the lock is the database's
one write lock, so it is taken first: to read and then ask for it fails if somebody else has written in between.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import Field, Model
from django.db.models.constants import OnConflict
from django.db.models.expressions import Col, Subquery
from django.db.models.lookups import Exact, In
from django.db.models.sql import Query
from django.db.models.sql.constants import ROW_COUNT
from django.db.models.sql.where import AND, WhereNode

from cacheops_core.conditions import Row, quoted

from . import caches, rows, scopes
from .announcements import ObjectRow
from .dependencies import refuse_unknown
from .reasons import Uncacheable
from .signals import cache_invalidated
from .transactions import Work, note, settle, statement, work_of

MOST_ROWS = 10_000
"""Rows that one statement may change and still be tracked row by row."""

Values = dict[str, Any]
"""A row's values by column."""

KEYS_AT_ONCE = 500
"""Primary keys in one query, within what every database takes."""


class Target:
    """The table that a statement writes to, and what of its rows matters to those who wait for changes."""

    def __init__(self, compiler: Any) -> None:
        self.query: Any = compiler.query
        self.connection: Any = compiler.connection
        self.using: Any = compiler.using or self.connection.alias
        self.model: type[Model] = self.query.get_meta().concrete_model
        self.table: str = self.model._meta.db_table
        self.pk: Any = self.model._meta.pk
        self.keys: list[Field[Any, Any]] = list(getattr(self.pk, "fields", None) or [self.pk])
        """The fields of the primary key, of which a composite one has several."""
        self.narrowing: Any = rows.columns(self.model, self.connection.vendor)

    def wanted(self) -> list[Field[Any, Any]]:
        """Return the fields that some cached query of the table narrows by, as far as this process knows.

        If it does not know yet, that may be any. What it does not know of costs no more than granularity: a row
        that lacks a field which a scheme asks for invalidates the whole table.
        """
        if cache_invalidated.receivers:
            # Who listens is told all that the row was.
            return list(self.model._meta.local_concrete_fields)
        schemes = caches.of((self.table,), self.using).registries.get(self.table)
        if schemes is None:
            return [field for field, _ in self.narrowing.values()]
        used = {name for scheme in schemes for name in scheme}
        return [field for column, (field, _) in self.narrowing.items() if quoted(column) in used]

    def row(self, values: Values) -> Row:
        """Return a row's tokens, with what receivers of signals are told of it."""
        names = {field.column: field.attname for field in self.model._meta.local_concrete_fields}
        attributes = {names[column]: value for column, value in values.items() if column in names}
        return ObjectRow(rows.tokens(self.narrowing, values), self.model, attributes)

    def note(self, work: Work, values: Iterable[Values] | None, *, is_tracked: bool = True) -> None:
        note(
            work, self.table, None if values is None else [self.row(v) for v in values], is_tracked=is_tracked
        )


# Around Django's own


def insert(original: Callable[..., Any], compiler: Any, returning_fields: Any = None) -> Any:
    """Insert, and note the rows as they are now."""
    target = Target(compiler)
    with _running(target) as work:
        result = original(compiler, returning_fields)
        # Of a row that was there already and is updated, nobody knows what it was.
        is_upsert = compiler.query.on_conflict == OnConflict.UPDATE
        target.note(work, None if is_upsert else _inserted(target, result, returning_fields))
    return result


def update(original: Callable[..., Any], compiler: Any, *args: Any, **kwargs: Any) -> Any:
    """Update, and note the rows as they were and as they are, or what `scopes.tracking` asks for."""
    if not compiler.query.values or "_cacheops_is_tracked" in compiler.__dict__:
        # Only parents' tables change, by statements of their own; or Django goes from one method to the other.
        return original(compiler, *args, **kwargs)
    compiler._cacheops_is_tracked = True
    target = Target(compiler)
    tracking = scopes.current_tracking()
    with _running(target, is_tracked=tracking != "nothing") as work:
        before = _lock(target, work) if tracking == "rows" else None
        result = original(compiler, *args, **kwargs)
        changed = _changed(before, result, counts=args[:1] == (ROW_COUNT,))
        after = None if changed is None else _updated(target, changed)
        if changed is None or after is None:
            target.note(work, None, is_tracked=tracking != "nothing")
        elif changed:
            target.note(work, [*changed, *after])
    return result


def delete(original: Callable[..., Any], compiler: Any, *args: Any, **kwargs: Any) -> Any:
    """Delete, and note the rows as they were."""
    target = Target(compiler)
    with _running(target) as work:
        before = _lock(target, work)
        result = original(compiler, *args, **kwargs)
        changed = _changed(before, result, counts=args[:1] == (ROW_COUNT,))
        if changed is None or changed:
            target.note(work, changed)
            for table in cascades(target.model):
                note(work, table, None)
    return result


@contextmanager
def _running(target: Target, *, is_tracked: bool = True) -> Iterator[Work]:
    """Wrap a write that is understood; one that is tracked gets a COMMIT to be fenced at, if it has none."""
    connection = target.connection
    with statement(connection) if is_tracked else nullcontext(work_of(connection)) as work:
        was_expected, work.is_expected = work.is_expected, True
        try:
            yield work
        except BaseException:
            # Whoever catches this inside of a transaction may commit what had been done by then.
            target.note(work, None, is_tracked=is_tracked)
            raise
        finally:
            work.is_expected = was_expected
    settle(connection)


# Rows before


@dataclass(frozen=True, slots=True)
class Before:
    """The rows that a statement may change, as they are before it."""

    rows: list[Values]
    is_named: bool
    """Whether the condition names these rows, so that no other can meet it; not all of them need exist."""


def _lock(target: Target, work: Work) -> Before | None:
    """Return the rows that the statement is about to change, and keep others from changing them before that.

    None stands for rows that cannot be told: too many, or chosen by what stands in other tables.
    """
    wanted = target.wanted()
    named = _by_primary_key(target)
    if named is not None and all(field.primary_key for field in wanted):
        # The condition itself says all that anybody asks for.
        return Before([{target.pk.column: value} for value in named], is_named=True)
    if not target.query.where.children or not _is_simple(target.query):
        return None
    if target.connection.vendor == "sqlite" and not work.holds_write_lock:
        _take_write_lock(target)
        work.holds_write_lock = True
    fields = [*target.keys, *(field for field in wanted if field not in target.keys)]
    found = _select(target, target.query, fields, MOST_ROWS + 1)
    return None if len(found) > MOST_ROWS else Before(found, is_named=False)


def _changed(before: Before | None, result: Any, *, counts: bool) -> list[Values] | None:
    """Return which of the rows the statement has changed; None if there may be others.

    Between our look and the statement somebody may have committed a row that meets its condition as well.
    """
    if before is None:
        return None
    count = len(result) if isinstance(result, list) else result if counts else None
    if before.is_named:
        return [] if count == 0 else before.rows
    return before.rows if count == len(before.rows) else None


def _by_primary_key(target: Target) -> list[Any] | None:
    """Return the primary keys that the condition names, if it says nothing else."""
    where = target.query.where
    if len(where.children) != 1 or where.negated or where.connector != AND:
        return None
    lookup = where.children[0]
    if not isinstance(lookup, Exact | In) or type(lookup.lhs) is not Col or lookup.lhs.target != target.pk:
        return None
    values = [lookup.rhs] if isinstance(lookup, Exact) else lookup.rhs
    if not isinstance(values, list | tuple | set | frozenset) or any(
        hasattr(v, "resolve_expression") for v in values
    ):
        return None
    return list(values)


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


def _take_write_lock(target: Target) -> None:
    quote = target.connection.ops.quote_name
    table, column = quote(target.table), quote(target.keys[0].column)
    with target.connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = {column} WHERE 0")


def _select(
    target: Target, source: Query, fields: Sequence[Field[Any, Any]], limit: int | None
) -> list[Values]:
    """Return columns of the rows that the source chooses, under their locks."""
    query = source.chain(klass=Query)
    query.select_related = False
    query.distinct = False
    query.clear_ordering(force=True)
    query.clear_select_clause()
    query.add_fields([field.attname for field in fields], allow_m2m=False)
    query.select_for_update = target.connection.features.has_select_for_update
    if limit is not None:
        query.set_limits(high=limit)
    try:
        found = list(query.get_compiler(target.using).results_iter())
    except EmptyResultSet:
        return []
    return [dict(zip((str(field.column) for field in fields), row, strict=True)) for row in found]


# Rows after


def _inserted(target: Target, result: Any, returning: Any) -> Iterator[Values]:
    returned = [field.column for field in returning or ()]
    for number, obj in enumerate(target.query.objs):
        # A field that computes its value on saving has set it on the object by now.
        values = {field.column: getattr(obj, field.attname) for field in target.query.fields}
        if number < len(result or ()):
            values.update(zip(returned, result[number], strict=False))
        yield values


def _updated(target: Target, before: list[Values]) -> list[Values] | None:
    """Return the rows as they are after the update: from its values, or from the database where only that knows."""
    assigned: Values = {}
    for field, _, value in target.query.values:
        is_instance = hasattr(value, "prepare_database_save")
        assigned[field.column] = value.prepare_database_save(field) if is_instance else value
    read = before[0].keys() if before else frozenset()
    computed = {column for column in read if hasattr(assigned.get(column), "resolve_expression")}
    if not computed and not _has_generated(target, read):
        return [{column: assigned.get(column, value) for column, value in row.items()} for row in before]
    if len(target.keys) > 1 or target.pk.column in assigned:
        return None
    fields = [field for field in target.model._meta.local_concrete_fields if field.column in read]
    keys = [row[target.pk.column] for row in before]
    found = []
    for start in range(0, len(keys), KEYS_AT_ONCE):
        query: Any = Query(target.model)
        query.add_filter("pk__in", keys[start : start + KEYS_AT_ONCE])
        found += _select(target, query, fields, None)
    return found


def _has_generated(target: Target, columns: Collection[str]) -> bool:
    """Tell whether the database computes one of the columns from the others."""
    return any(f.generated and f.column in columns for f in target.model._meta.local_concrete_fields)


def cascades(model: type[Model]) -> frozenset[str]:
    """Return the tables whose rows the database itself deletes or changes with a row of the model."""
    found: set[type[Model]] = set()
    _follow(model, found)
    return frozenset(related._meta.db_table for related in found)


def _follow(model: type[Model], found: set[type[Model]]) -> None:
    # Relations without a name to be followed by are followed by the database all the same.
    for relation in model._meta.get_fields(include_hidden=True):
        related = relation.related_model
        # Django 6.1: models.DB_CASCADE, DB_SET_NULL, DB_SET_DEFAULT
        is_done_there = relation.auto_created and hasattr(
            getattr(relation, "on_delete", None), "on_delete_sql"
        )
        if is_done_there and related is not None and related not in found:
            found.add(related)
            _follow(related, found)
