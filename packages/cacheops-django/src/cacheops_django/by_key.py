"""The row that a write is decided on: ``filter(pk=...)``, by which ``save`` finds what it is about to change.

Django builds that query for each save, and of one model it is the same each time but for the key. So the first is built
by Django, and those after it are copies with another key, if Django has put the key into it as it is.

Threads share what is copied, and need no lock for it: it is a copy itself, which is nobody's query and stays as it is.
Two that come first at the same time put equal ones there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from django.db.models.sql import Query

from .chains import Node, blank
from .statements import comparing

Rows: TypeAlias = Any
"""A queryset with its private attributes, which its published types leave out."""

_UNTRIED: Any = object()
"""Stands for a query that nobody has asked for yet; None is for one that is built each time."""


def filtered(
    original: Callable[..., Rows], queryset: Rows, node: Node, key: Any, takes: Callable[[Any], bool]
) -> Rows:
    """Return the row with a key of a queryset of which nothing has been asked before.

    ``takes`` tells whether a lookup compares with any other key of this type as it does with this one.
    """
    query = node.by_key.get(type(key), _UNTRIED)
    if query is _UNTRIED:
        made = original(queryset, pk=key)
        where = made.query.where
        is_alike = type(made.query) is Query and len(where.children) == 1 and takes(where.children[0])
        node.by_key[type(key)] = made.query.clone() if is_alike else None
        return made
    if query is None:
        return original(queryset, pk=key)
    query = query.clone()
    query.where.children[0] = comparing(query.where.children[0], key)
    made = blank(queryset)
    made.__dict__.update(_query=query, _result_cache=None, _prefetch_done=False)
    return made
