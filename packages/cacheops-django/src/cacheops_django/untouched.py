"""Querysets of which nothing has been asked yet, and which are Django's own in all that matters."""

from __future__ import annotations

from inspect import getattr_static
from typing import Any, TypeAlias

from django.db.models import QuerySet
from django.db.models.manager import BaseManager
from django.db.models.query import ModelIterable
from django.db.models.sql import Query

__all__ = ["DEFAULT_FETCH_MODE", "is_plain_class", "is_plain_manager", "is_untouched", "is_untouched_query"]

Rows: TypeAlias = Any
"""A queryset or manager with its private attributes, which their published types leave out."""

DEFAULT_FETCH_MODE = getattr(QuerySet(), "_fetch_mode", None)
"""None before Django 6.1."""

UNTOUCHED = frozenset(
    {"_annotation_select_cache", "_filtered_relations", "alias_cols", "alias_map", "alias_refcount", "annotations",
     "external_aliases", "extra", "filter_is_sticky", "model", "table_map", "used_aliases", "where"}
)  # fmt: skip
"""What a query has from birth, or since it was copied."""

EMPTY = ("_filtered_relations", "alias_map", "annotations", "external_aliases", "extra")


def is_plain_class(queryset_class: type[QuerySet[Any]], parts: tuple[str, ...]) -> bool:
    """Tell whether a class of querysets leaves these of its attributes to Django."""
    return all(
        getattr_static(queryset_class, part, None) is getattr_static(QuerySet, part, None) for part in parts
    )


def is_plain_manager(manager: Rows) -> bool:
    """Tell whether a manager's querysets are Django's, with nothing asked of them yet."""
    is_own = type(manager).get_queryset is BaseManager.get_queryset
    return is_own and "get_queryset" not in manager.__dict__


def is_untouched(queryset: Rows) -> bool:
    """Tell whether nothing has been asked of a queryset yet but for its database."""
    has = queryset.__dict__
    return (
        "_cacheops" not in has
        and has["_iterable_class"] is ModelIterable
        and has["_result_cache"] is has["_deferred_filter"] is has["_fields"] is None
        and not (has["_for_write"] or has["_sticky_filter"] or has["_defer_next_filter"])
        and not (has["_prefetch_related_lookups"] or has["_known_related_objects"])
        and has.get("_fetch_mode") is DEFAULT_FETCH_MODE
        and is_untouched_query(has.get("_query"))
    )


def is_untouched_query(query: Query | None) -> bool:
    """Tell whether nothing has been asked of a query; None stands for one that is not built yet."""
    if type(query) is not Query:
        return False
    asked = query.__dict__
    return (
        asked.keys() <= UNTOUCHED
        and not asked["where"].children
        and not any(map(asked.__getitem__, EMPTY))
        and not asked.get("filter_is_sticky")
    )
