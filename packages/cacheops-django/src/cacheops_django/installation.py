"""The whole footprint of the package on Django, on one screen; `uninstall` takes all of it back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.signals import setting_changed
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.backends.signals import connection_created
from django.db.models import Manager, Model, QuerySet, query
from django.db.models.deletion import Collector
from django.db.models.fields import related_descriptors
from django.db.models.manager import BaseManager
from django.db.models.signals import post_save
from django.db.models.sql import compiler
from django.db.transaction import Atomic

from . import (
    async_caches,
    async_reads,
    chain_steps,
    chains,
    gets,
    invalidation,
    managers,
    plans,
    prefetching,
    querysets,
    receivers,
    shared_counters,
    transactions,
    writes,
)
from .patching import Patch, add, apply_all, around, undo_all

ASYNC_READS = (
    ("aggregate", "aggregate"),
    ("contains", "exists"),
    ("count", "count"),
    ("earliest", "get"),
    ("exists", "exists"),
    ("first", "get"),
    ("get", "get"),
    ("last", "get"),
    ("latest", "get"),
)
"""Methods whose async twins are tried on the event loop, with the op that profiles call them."""

_applied: list[Patch] = []


def patches() -> Iterator[Patch]:
    """Yield every attribute that is set on Django's classes and modules."""
    # Reading
    yield around(QuerySet, "_fetch_all", querysets.fetch_all)
    yield around(QuerySet, "_clone", querysets.clone)
    yield around(QuerySet, "get", gets.of_queryset)
    yield add(Manager, "get", gets.of_manager(Manager.get))
    yield around(related_descriptors.ForwardManyToOneDescriptor, "get_object", gets.of_reference)
    yield around(QuerySet, "first", querysets.single)
    yield around(QuerySet, "last", querysets.single)
    yield around(QuerySet, "count", querysets.count)
    yield around(QuerySet, "exists", querysets.exists)
    yield around(QuerySet, "aggregate", querysets.aggregate)
    yield around(QuerySet, "iterator", querysets.iterator)
    yield around(QuerySet, "aiterator", querysets.aiterator)
    yield around(query, "prefetch_one_level", prefetching.one_level)
    # Building a query only when somebody looks at it
    yield add(QuerySet, "_query", chains.Building())
    for name in chains.FILTERS:
        yield around(QuerySet, name, chain_steps.filtering(name))
    for name in chains.CONSTANTS:
        yield around(QuerySet, name, chain_steps.constant(name))
    yield around(QuerySet, "__getitem__", chain_steps.sliced)
    yield around(QuerySet, "prefetch_related", chain_steps.prefetching)
    yield add(QuerySet, "ordered", chains.ordered)
    yield around(QuerySet, "_check_ordering_first_last_queryset_aggregation", chains.refuse_aggregation)
    yield around(QuerySet, "__getstate__", chains.getstate)
    yield around(QuerySet, "__deepcopy__", chains.deepcopied)
    # Reading from coroutines
    for name, op in ASYNC_READS:
        yield add(QuerySet, f"a{name}", async_reads.on_loop(getattr(QuerySet, f"a{name}"), name, op))
    yield add(QuerySet, "__aiter__", async_reads.iterate)
    # Asking for it
    yield add(QuerySet, "cache", querysets.cache)
    yield add(QuerySet, "nocache", querysets.nocache)
    yield add(QuerySet, "inplace", querysets.inplace)
    yield add(QuerySet, "clone", querysets.copied)
    yield add(QuerySet, "cloning", querysets.cloning)
    yield add(QuerySet, "invalidated_update", querysets.invalidated_update)
    yield add(BaseManager, "cache", querysets.manager_cache)
    yield add(BaseManager, "nocache", querysets.manager_nocache)
    yield add(BaseManager, "inplace", querysets.manager_inplace)
    yield add(BaseManager, "invalidated_update", querysets.manager_invalidated_update)
    # Writing
    yield around(compiler.SQLInsertCompiler, "execute_sql", writes.insert)
    yield around(compiler.SQLUpdateCompiler, "execute_sql", writes.update)
    if hasattr(compiler.SQLUpdateCompiler, "execute_returning_sql"):  # Django 6.0
        yield around(compiler.SQLUpdateCompiler, "execute_returning_sql", writes.update)
    yield around(compiler.SQLDeleteCompiler, "execute_sql", writes.delete)
    yield around(QuerySet, "update", querysets.update)
    yield around(BaseDatabaseOperations, "execute_sql_flush", invalidation.flush)
    # Reading to decide on a write
    yield around(QuerySet, "bulk_update", querysets.decide)
    yield around(Model, "_save_table", querysets.decide)
    yield around(Model, "_perform_unique_checks", querysets.decide)
    yield around(Model, "validate_constraints", querysets.decide)
    yield around(Model, "refresh_from_db", querysets.decide)
    yield around(Collector, "collect", querysets.decide)
    yield around(Collector, "delete", querysets.decide)
    yield around(related_descriptors, "create_reverse_many_to_one_manager", managers.deciding_class)
    yield around(related_descriptors, "create_forward_many_to_many_manager", managers.deciding_class)
    if apps.is_installed("django.contrib.contenttypes"):
        from django.contrib.contenttypes import fields

        yield around(fields, "create_generic_related_manager", managers.deciding_class)
    if apps.is_installed("django.contrib.admin"):
        from django.contrib.admin import ModelAdmin

        yield around(ModelAdmin, "get_queryset", managers.past_the_cache)
    # Transactions
    yield around(BaseDatabaseWrapper, "commit", transactions.commit)
    yield around(BaseDatabaseWrapper, "rollback", transactions.rollback)
    yield around(BaseDatabaseWrapper, "set_autocommit", transactions.set_autocommit)
    yield around(BaseDatabaseWrapper, "_savepoint", transactions.savepoint)
    yield around(BaseDatabaseWrapper, "_savepoint_rollback", transactions.savepoint_rollback)
    yield around(Atomic, "__exit__", transactions.leave_atomic)


def install() -> None:
    """Put the cache around Django; once, however often it is called."""
    if _applied:
        return
    _applied.extend(apply_all(patches()))
    plans.forget()
    connection_created.connect(transactions.connected, dispatch_uid="cacheops.connected")
    post_save.connect(receivers.store_on_save, dispatch_uid="cacheops.store_on_save")
    setting_changed.connect(_forget, dispatch_uid="cacheops.forget")
    managers.forget_classes()
    async_caches.watch()
    shared_counters.watch()
    for connection in connections.all(initialized_only=True):
        transactions.connected(connection=connection)


def uninstall() -> None:
    """Restore Django's classes exactly, and stop listening."""
    chains.build_all()
    undo_all(_applied)
    connection_created.disconnect(dispatch_uid="cacheops.connected")
    post_save.disconnect(dispatch_uid="cacheops.store_on_save")
    setting_changed.disconnect(dispatch_uid="cacheops.forget")
    managers.forget_classes()
    async_caches.unwatch()
    shared_counters.unwatch()
    for connection in connections.all(initialized_only=True):
        transactions.disconnect(connection)


def _forget(*, setting: str, **kwargs: Any) -> None:
    # A changed setting may alter what a query depends on: long disjunctions, fields to skip, time zones.
    if setting.startswith("CACHEOPS") or setting in {
        "USE_TZ",
        "TIME_ZONE",
        "DATABASE_ROUTERS",
        "INSTALLED_APPS",
    }:
        plans.forget()
