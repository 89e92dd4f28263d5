"""Compiling a query without a trace: somebody else will compile it, who must find it as it was."""

from __future__ import annotations

from typing import Any

from django.db.models.sql import Query


def untied(query: Query) -> Any:
    """Return a copy of a query that shares nothing with it that a compiler changes.

    An ordered ``union()`` of values adds what it is ordered by to the columns that it selects, while it is compiled;
    their names are in a dictionary that copies by ``clone()`` share.
    """
    copy: Any = query.clone()
    if copy.selected is not None:
        copy.selected = dict(copy.selected)
    copy.combined_queries = tuple(map(untied, copy.combined_queries))
    return copy
