"""Invalidation by hand: of an object, a model, or everything."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db import connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from cacheops_core.errors import BackendError
from cacheops_core.units import Change

from . import caches, conf, counters, events, plans, rows, scopes, tables, transactions
from .announcements import ObjectRow
from .signals import cache_invalidated
from .targets import shape_of

log: logging.Logger = logging.getLogger("cacheops")


@contextmanager
def postpone_invalidation() -> Iterator[None]:
    """As a context manager or a decorator, collect invalidations and send them at its end, exceptions included.

    For batch jobs of many transactions. Until then, others are served what was true before.
    """
    collected: list[tuple[BaseDatabaseWrapper, list[Change]]] = []
    try:
        with scopes.postponing(collected):
            yield
    finally:
        merged: dict[str, list[Change]] = {}
        for connection, changes in collected:
            merged.setdefault(connection.alias, []).extend(changes)
        for alias, changes in merged.items():
            transactions.invalidate(connections[alias], changes)


def invalidate_obj(obj: Model, using: str | None = None) -> None:
    """Drop what depends on an object as it is in memory, once the open transaction commits if there is one."""
    connection = connections[using or obj._state.db or router.db_for_write(type(obj))]
    work = transactions.work_of(connection)
    for model in tables.parts_of(type(obj)):
        shape = shape_of(model, connection.vendor)
        values = {column: obj.__dict__[name] for column, name in shape.names.items() if name in obj.__dict__}
        row = ObjectRow(rows.tokens(shape.narrowing, values), type(obj), values, shape.names)
        transactions.note(work, model._meta.db_table, [row])
    transactions.settle(connection)


def invalidate_model(model: type[Model], using: str | None = None) -> None:
    """Drop what depends on any row of a model, once the open transaction commits if there is one."""
    connection = connections[using or router.db_for_write(model)]
    work = transactions.work_of(connection)
    for part in tables.parts_of(model):
        transactions.note(work, part._meta.db_table, None)
    transactions.settle(connection)


def invalidate_all() -> None:
    """Drop everything in the cache, below the prefixes that are current; of what else its server holds, nothing.

    A server that is away is an error, unless the cache is not enabled.
    """
    try:
        for cache in caches.everyone():
            cache.invalidate_all()
    except BackendError as error:
        if conf.current().enabled:
            raise
        log.warning("%s; nothing was dropped", error)
    plans.forget()
    counters.dropped_everything()
    if events.listeners:
        events.tell(events.Drop(changes=()))
    if cache_invalidated.receivers:
        cache_invalidated.send_robust(sender=None, obj_dict=None)


def flush(original: Callable[..., Any], operations: Any, *args: Any, **kwargs: Any) -> Any:
    """Empty the database, and drop what depends on any of its tables."""
    result = original(operations, *args, **kwargs)
    work = transactions.work_of(operations.connection)
    for model in apps.get_models(include_auto_created=True):
        transactions.note(work, model._meta.db_table, None)
    transactions.settle(operations.connection)
    return result
