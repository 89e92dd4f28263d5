"""What a query's SQL takes rows from: each SELECT in it is noted while Django compiles it.

Django makes a compiler for the query, one for each part of a union and one for each subquery, wherever it stands, out
of copies that it has made by then and with the joins that ordering and ``select_related`` have asked for. In the query
itself it cannot be seen what of it will be compiled, nor how often. So these compilers are ours, and mark each table
that they write after FROM or JOIN. What stands there without a mark has been written by somebody else (expressions
that say they are pure may name tables), and nothing is known of it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

from django.db.models.sql import Query
from django.db.models.sql.datastructures import BaseTable, Join
from django.db.models.sql.where import WhereNode

__all__ = ["Compiled", "Selection", "Tables", "compiled"]

Tables = dict[str, BaseTable | Join]
"""What a SELECT takes its rows from, by alias."""

MARK = "/*noted*/ "
"""Stands before a table's name: a comment, for on the way some expressions are put together by a database's driver."""

_COLUMNS = re.compile(r"\bEXTRACT\(\s*\w+\s+FROM\b", re.IGNORECASE)
"""How SQL asks for a part of a column, with a word that otherwise stands before a table."""


class Selection(NamedTuple):
    """One SELECT."""

    query: Query
    where: WhereNode | None
    """The condition on each tuple."""
    tables: Tables


class Compiled(NamedTuple):
    """A query as SQL, and what that takes rows from."""

    sql: str
    selections: tuple[Selection, ...]
    others: frozenset[str]
    """Tables that the SQL names outside of these selections."""


def compiled(query: Query, connection: Any) -> Compiled:
    """Compile a query, which that changes; raise EmptyResultSet if it has no result."""
    watched = _Watched(connection)
    # Without an alias, by which Django would find the connection itself: nor has any subquery's compiler one.
    sql, _ = query.get_compiler(connection=watched).as_sql()
    selections = tuple(
        Selection(one.query, _where(one), one.tables) for one in watched.compilers if one.tables
    )
    return Compiled(sql.replace(MARK, ""), selections, _named_in(sql, connection))


def _where(compiler: Any) -> WhereNode | None:
    """Return the condition that each tuple meets of which something comes out.

    What of it stands in HAVING chooses among groups. Django adds the columns in it to GROUP BY, so a group that is
    chosen consists of tuples that all meet it; but without GROUP BY there is one group of all tuples, whatever their
    columns. What is about a window function, and all that Django cannot part from that, stands in a SELECT around.
    """
    is_grouped = compiler.query.group_by is not None
    found: WhereNode | None = compiler.query.where if is_grouped else compiler.where
    return found


def _named_in(sql: str, connection: Any) -> frozenset[str]:
    """Return each quoted name that stands right after FROM or JOIN, without a mark."""
    quote = re.escape(connection.ops.quote_name("x")[0])
    name = rf"{quote}[^{quote}]+{quote}"
    # EXTRACT(YEAR FROM "post"."date") names a column, where "schema"."table" would be a table.
    found = re.finditer(rf"\b(?:FROM|JOIN)\s*\(*\s*({name}(?:\.{name})?)", _COLUMNS.sub(" ", sql))
    return frozenset(match[1][1:-1] for match in found)


class _Operations:
    """A database's operations, with compilers that note."""

    def __init__(self, operations: Any) -> None:
        self._operations = operations

    def __getattr__(self, name: str) -> Any:
        return getattr(self._operations, name)

    def compiler(self, name: str) -> type:
        return _noting(self._operations.compiler(name))


class _Watched:
    """A connection on which one query is compiled; all else is the real one's."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.ops = _Operations(connection.ops)
        self.compilers: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@cache
def _noting(compiler: Any) -> type:
    class Noting(compiler):  # type: ignore[misc]
        def __init__(self, query: Query, connection: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__(query, connection, *args, **kwargs)
            self.tables: Tables = {}
            connection.compilers.append(self)

        def compile(self, node: Any) -> tuple[str, Any]:
            sql, params = super().compile(node)
            if type(node) in (BaseTable, Join):
                self.tables[node.table_alias] = node
                # The first name in it is the table's.
                quote = self.connection.ops.quote_name("x")[0]
                sql = sql.replace(quote, MARK + quote, 1)
            return sql, params

    return Noting
