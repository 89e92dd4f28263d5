"""From a query to what its result depends on.

**Which tables** are read off the SQL while it is compiled (`selections`), where none can hide: joins, the targets of
``select_related``, ordering, subqueries wherever they stand, parents, combined queries. What the SQL names in any other
way counts as a whole.

**What narrows** are the ``where`` and the joins of the SELECT that a table stands in (`narrowing`), by one rule: *a
table may be narrowed to conjunctions only if a row that meets none of them, before and after a change, cannot alter the
result.*

**Why each SELECT by itself.** Let a row meet none of the conjunctions of a SELECT's own tables. Whatever the SELECT
refers to outside of itself, its ``where`` keeps the same tuples with the row and without it (`narrowing`: facts are
about values, never about what is outside). What it returns is made of these tuples alone, for selecting, grouping,
aggregates, window functions, ``distinct``, order and slices come after ``WHERE``; so it returns the same for each tuple
around it. Of the row, what is around it sees only what it returns, be that negated, compared, counted or united with
others; so that stays the same as well, from the innermost SELECT outwards to the result.

If several SELECTs name a table, or one does several times, the row must meet the conjunctions of none of them, and is
then changed in one of these places after the other, each time without consequence.

**What is not understood is refused**: expressions whose value changes without a write (``Now``, ``Random``),
SQL that somebody wrote by hand, and expressions that are not Django's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Func, Q
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now, Random
from django.db.models.lookups import Lookup
from django.db.models.sql import Query
from django.db.models.sql.where import ExtraWhere, WhereNode

from cacheops_core.conditions import ANY_ROW, Conjunction, Dependencies

from . import narrowing
from .compiling import untied
from .reasons import Uncacheable
from .selections import Selection, compiled

VOLATILE = (Now, Random, RawSQL, ExtraWhere)
"""Expressions whose value, or whose tables, only the database knows."""

VOLATILE_NAMES = frozenset({"TransactionNow", "RandomUUID"})
"""The same in ``django.contrib.postgres``, which needs a driver to be imported."""

TRUSTED = (
    "django.db.models.",
    "django.contrib.postgres.",
    "django.contrib.contenttypes.",
    "django.contrib.gis.",
)
"""Where expressions come from whose value depends on their arguments and on the rows alone."""


def dependencies(query: Query, using: str) -> Dependencies:
    """Return what the query's result depends on; raise Uncacheable if that cannot be told."""
    return examine(query, using).found


class Examined(NamedTuple):
    """What walking a query has brought."""

    found: Dependencies
    sql: str
    """The query without its values."""
    compiler: Any
    """One that has set the query up: it knows the columns."""
    outermost: Selection | None
    """The query's own SELECT; a combined query has none, nor has one with a condition on a window function."""
    beside: Dependencies
    """What all else in it depends on."""

    def alike(self, query: Query, vendor: str) -> Dependencies:
        """Return what the result of a query depends on that differs in the values of its conditions only.

        These compare a column with a value (`patterns`): they are about the tuples of its own SELECT, and about nothing
        inside of it. If it has none it is a union, of which what is alike has the same parts with the same values.
        """
        if self.outermost is None:
            return self.beside
        return _narrowed([self.outermost._replace(where=query.where)], vendor).merge(self.beside)


def examine(query: Query, using: str) -> Examined:
    """Walk a query; raise Uncacheable if it cannot be told what its result depends on."""
    connection = connections[using]
    # Compiling changes a query, and drops the joins for ordering and select_related once it is done.
    compiler, own = untied(query).get_compiler(using), untied(query)
    try:
        sql, selections, others = compiled(own, connection)
        _, ordering, _ = compiler.pre_sql_setup(with_col_aliases=bool(query.combinator))
    except EmptyResultSet:
        raise Uncacheable("it has no result without asking the database", "empty") from None
    query = compiler.query
    expressions = [*_of_query(query)]
    # The columns of extra(), which come first, have been looked at by name.
    selected = compiler.select[len(query.extra_select) :]
    for resolved, *_ in [*ordering, *selected]:
        expressions += _within(resolved)
    refuse_unknown(expressions)
    outermost = next((one for one in selections if one.query is own), None)
    inside = _narrowed([one for one in selections if one is not outermost], connection.vendor)
    beside = inside.merge(Dependencies.of(dict.fromkeys(others, (ANY_ROW,))))
    found = _narrowed([outermost] if outermost else [], connection.vendor).merge(beside)
    return Examined(found, sql, compiler, outermost, beside)


def _narrowed(selections: Iterable[Selection], vendor: str) -> Dependencies:
    conjunctions: dict[str, set[Conjunction]] = {}
    for one in selections:
        found = narrowing.branches(one.where, one.tables, vendor)
        for alias, join in one.tables.items():
            conjunctions.setdefault(join.table_name, set()).update(
                tuple(sorted(branch.get(alias, ()), key=str)) for branch in found
            )
    return Dependencies.of(conjunctions)


def refuse_unknown(expressions: Iterable[Any]) -> None:
    """Raise Uncacheable if one of the expressions may change its value though no row has changed."""
    for expression in expressions:
        kind = type(expression)
        if isinstance(expression, VOLATILE) or kind.__name__ in VOLATILE_NAMES:
            is_raw = isinstance(expression, RawSQL | ExtraWhere)
            raise Uncacheable(
                f"{kind.__name__}: its value, or its tables, only the database knows",
                "raw" if is_raw else "volatile",
            )
        if not kind.__module__.startswith(TRUSTED) and not getattr(kind, "cacheops_pure", False):
            raise Uncacheable(
                f"{kind.__module__}.{kind.__qualname__} is not Django's: set cacheops_pure = True on it if its "
                f"value depends on nothing but its arguments and the rows of the tables that the SQL quotes",
                "unknown",
            )
        if isinstance(expression, Func) and expression.extra.keys() & {"function", "template"}:
            raise Uncacheable(
                f"{expression!r}: a function that is named in place; write a subclass of Func", "unknown"
            )


# Which expressions


def _of_query(query: Query) -> Iterator[Any]:
    """Yield every expression of a query, those of its subqueries included."""
    # Prefetching selects by extra() the column that tells whose rows they are.
    if (
        query.extra_tables
        or query.extra_order_by
        or any(not name.startswith("_prefetch_related_val_") for name in query.extra)
    ):
        raise Uncacheable("extra(): SQL written by hand", "raw")
    ordering = _ordering(query)
    if "?" in ordering:
        raise Uncacheable('order_by("?"): its value only the database knows', "volatile")
    for part in query.combined_queries:
        yield from _of_query(part)
    yield from _within(query.where)
    for join in query.alias_map.values():
        if (filtered := getattr(join, "filtered_relation", None)) is not None:
            yield from _within(filtered.condition)
            yield from _within(getattr(filtered, "resolved_condition", None))
    grouping = query.group_by if isinstance(query.group_by, tuple) else ()
    for expression in (*query.annotations.values(), *query.select, *ordering, *grouping):
        yield from _within(expression)


def _ordering(query: Query) -> tuple[Any, ...]:
    """Return what a query is ordered by: names and expressions, those of its model if it has none of its own."""
    if query.order_by or not query.default_ordering or query.model is None:
        return tuple(query.order_by)
    return tuple(query.get_meta().ordering or ())


def _within(expression: Any) -> Iterator[Any]:
    """Yield an expression and all that it is made of; values, names and nothing are no expressions."""
    if isinstance(expression, Query):
        yield from _of_query(expression)
    elif isinstance(expression, WhereNode | Q):
        for child in expression.children:
            yield from _within(child)
    elif isinstance(expression, list | tuple):
        for part in expression:
            yield from _within(part)
    elif hasattr(expression, "get_source_expressions"):
        yield expression
        for part in expression.get_source_expressions():
            yield from _within(part)
        # What a lookup compares with is among its sources only if it is an expression by itself.
        if isinstance(expression, Lookup) and not hasattr(expression.rhs, "get_source_expressions"):
            yield from _within(expression.rhs if isinstance(expression.rhs, list | tuple | Query) else None)
    elif hasattr(expression, "as_sql") or hasattr(expression, "resolve_expression"):
        yield expression
