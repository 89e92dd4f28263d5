"""From a query to what its result depends on.

**Which tables** are read off the compiled SQL, where none can hide: joins, the targets of
``select_related``, ordering, subqueries wherever they stand, parents, combined queries. Each table counts as a
whole, unless every one of its mentions is an alias of the outermost query that is narrowed.

**What narrows** is read off the outermost ``where`` and the joins (`narrowing`), by one rule: *a table may be narrowed
to conjunctions only if a row that meets none of them, before and after a change, cannot alter the result.* Nothing
narrows under a window function, whose value depends on rows that the condition removes afterwards.

**What is not understood is refused**: expressions whose value changes without a write (``Now``, ``Random``),
SQL that somebody wrote by hand, and expressions that are not Django's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Func, Q, Window
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now, Random
from django.db.models.lookups import Lookup
from django.db.models.sql import Query
from django.db.models.sql.where import ExtraWhere, WhereNode

from cacheops_core.conditions import ANY_ROW, Conjunction, Dependencies

from . import narrowing
from .compiling import untied
from .reasons import Uncacheable

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

_COLUMNS = re.compile(r"\bEXTRACT\(\s*\w+\s+FROM\b", re.IGNORECASE)
"""How SQL asks for a part of a column, with a word that otherwise stands before a table."""


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
    named: dict[str, int]
    """How often the SQL names each table."""
    is_windowed: bool

    def alike(self, query: Query, vendor: str) -> Dependencies:
        """Return what the result of a query depends on that differs in the values of its conditions only."""
        return _narrowed(self.compiler.query, query.where, self.named, self.is_windowed, vendor)


def examine(query: Query, using: str) -> Examined:
    """Walk a query; raise Uncacheable if it cannot be told what its result depends on."""
    connection = connections[using]
    # Compiling changes a query, and drops the joins for ordering and select_related once it is done.
    compiler = untied(query).get_compiler(using)
    try:
        sql, _ = untied(query).get_compiler(using).as_sql()
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
    named = _tables_in(sql, connection)
    is_windowed = any(isinstance(expression, Window) for expression in expressions)
    found = _narrowed(query, query.where, named, is_windowed, connection.vendor)
    return Examined(found, sql, compiler, named, is_windowed)


def _narrowed(
    query: Query, where: WhereNode, named: dict[str, int], is_windowed: bool, vendor: str
) -> Dependencies:
    conjunctions: dict[str, set[Conjunction]] = {}
    mentions: dict[str, int] = {}
    if not query.combinator:
        found = narrowing.ANY if is_windowed else narrowing.branches(where, query, vendor)
        for alias, join in query.alias_map.items():
            if query.alias_refcount[alias]:
                table = join.table_name
                mentions[table] = mentions.get(table, 0) + 1
                conjunctions.setdefault(table, set()).update(
                    tuple(sorted(branch.get(alias, ()), key=str)) for branch in found
                )
    for table in mentions.keys() | named.keys():
        # A mention that is not an alias of ours stands in a subquery.
        if mentions.get(table) != named.get(table):
            conjunctions[table] = {ANY_ROW}
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


# Which tables


def _tables_in(sql: str, connection: Any) -> dict[str, int]:
    """Return how often each quoted name stands right after FROM or JOIN."""
    quote = re.escape(connection.ops.quote_name("x")[0])
    name = rf"{quote}[^{quote}]+{quote}"
    found: dict[str, int] = {}
    # EXTRACT(YEAR FROM "post"."date") names a column, where "schema"."table" would be a table.
    for match in re.finditer(rf"\b(?:FROM|JOIN)\s*\(*\s*({name}(?:\.{name})?)", _COLUMNS.sub(" ", sql)):
        table = match[1][1:-1]
        found[table] = found.get(table, 0) + 1
    return found


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
