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

from collections.abc import Callable, Iterator
from typing import Any

from django.db.models.constants import OnConflict
from django.db.models.sql.constants import ROW_COUNT

from . import old_rows, scopes, tables, updates
from .targets import FEW_ROWS, Target, Values
from .transactions import Work, begin_to_write, note, settle, work_of

# Around Django's own


def insert(original: Callable[..., Any], compiler: Any, returning_fields: Any = None) -> Any:
    """Insert, and note the rows as they are now."""
    target = Target(compiler)
    with _Running(target) as work:
        result = original(compiler, returning_fields)
        # Of a row that was there already and is updated, nobody knows what it was.
        is_upsert = compiler.query.on_conflict == OnConflict.UPDATE
        is_known = target.is_tracked and not is_upsert
        target.note(work, _inserted(target, result, returning_fields) if is_known else None)
    return result


def update(original: Callable[..., Any], compiler: Any, *args: Any, **kwargs: Any) -> Any:
    """Update, and note the rows as they were and as they are, or what `scopes.tracking` asks for."""
    if not compiler.query.values or "_cacheops_is_tracked" in compiler.__dict__:
        # Only parents' tables change, by statements of their own; or Django goes from one method to the other.
        return original(compiler, *args, **kwargs)
    compiler._cacheops_is_tracked = True
    tracking = scopes.current_tracking()
    target = Target(compiler, is_to_be_tracked=tracking != "nothing")
    with _Running(target) as work:
        before = old_rows.lock(target, work) if target.is_tracked and tracking == "rows" else None
        if not kwargs and (not args or isinstance(args[0], str) or not args[0]):
            # No rows are to be returned, as Django 6.0 asks for where the database computes some of their values.
            updates.compile_as_before(compiler, target)
        result = original(compiler, *args, **kwargs)
        changed = _changed(before, result, args)
        after = None if changed is None else _updated(target, changed)
        if changed is None or after is None:
            target.note(work, None)
        elif changed:
            target.note(work, [*changed, *after])
    return result


def delete(original: Callable[..., Any], compiler: Any, *args: Any, **kwargs: Any) -> Any:
    """Delete, and note the rows as they were."""
    target = Target(compiler)
    cascades = tables.cascades(target.model)
    # Of a table that nobody caches, the database may delete rows of another that somebody does.
    target.is_tracked |= bool(cascades) and not scopes.is_muted()
    with _Running(target) as work:
        before = old_rows.lock(target, work) if target.is_tracked else None
        result = original(compiler, *args, **kwargs)
        changed = _changed(before, result, args)
        if changed is None or changed:
            target.note(work, changed)
            for table in cascades:
                note(work, table, None)
    return result


class _Running:
    """Wraps a write that is understood; one that is tracked gets a COMMIT to be fenced at, if it has none."""

    __slots__ = ("_block", "_target", "_was_expected", "_work")

    def __init__(self, target: Target) -> None:
        self._target = target

    def __enter__(self) -> Work:
        connection = self._target.connection
        self._block = begin_to_write(connection) if self._target.is_tracked else None
        work = self._work = work_of(connection)
        self._was_expected, work.is_expected = work.is_expected, True
        return work

    def __exit__(self, *exception: Any) -> None:
        self._work.is_expected = self._was_expected
        if exception[0] is not None:
            # Whoever catches this inside of a transaction may commit what had been done by then.
            self._target.note(self._work, None)
        if self._block is not None:
            self._block.__exit__(*exception)
        elif exception[0] is None:
            settle(self._target.connection)


def _changed(before: old_rows.Before | None, result: Any, args: Any) -> list[Values] | None:
    return None if before is None else before.changed(result, counts=args[:1] == (ROW_COUNT,))


# Rows after


def _inserted(target: Target, result: Any, returning: Any) -> Iterator[Values]:
    """Yield the rows as they are now: of many, what their primary keys and the known schemes need."""
    query, returned = target.query, [field.column for field in returning or ()]
    fields = query.fields
    if len(query.objs) > FEW_ROWS:
        wanted = {*target.shape.keys, *target.wanted()}
        fields = [field for field in fields if field in wanted]
    columns = [(field.column, field.attname) for field in fields]
    for number, obj in enumerate(query.objs):
        # A field that computes its value on saving has set it on the object by now.
        values = {column: getattr(obj, name) for column, name in columns}
        if number < len(result or ()):
            values.update(zip(returned, result[number], strict=False))
        yield values


def _updated(target: Target, before: list[Values]) -> list[Values] | None:
    """Return the rows that have become others, from the values that they get, or from the database if only that knows.

    Of a row that is saved as it was, in all that anybody asks for, there is nothing more to tell.
    """
    assigned: Values = {}
    for field, _, value in target.query.values:
        is_instance = hasattr(value, "prepare_database_save")
        assigned[field.column] = value.prepare_database_save(field) if is_instance else value
    read = before[0].keys() if before else frozenset()
    computed = any(hasattr(assigned.get(column), "resolve_expression") for column in read)
    if not computed and target.shape.generated.isdisjoint(read):
        assigned = {column: assigned[column] for column in read if column in assigned}
        return [row | assigned for row in before if not _has_all(row, assigned)]
    if len(target.shape.keys) > 1 or target.pk.column in assigned:
        return None
    return old_rows.rows_with_keys(target, [row[str(target.pk.column)] for row in before], read)


def _has_all(row: Values, assigned: Values) -> bool:
    """Tell whether a row has these values already, not only equal ones: the text of a number is not the number."""
    return all(
        value == row[column] and type(value) is type(row[column]) for column, value in assigned.items()
    )
