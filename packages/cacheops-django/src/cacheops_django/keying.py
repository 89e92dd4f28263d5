"""What tells Django's objects apart where they are arguments of cached functions, or are closed over by them."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db.models import Model, QuerySet
from django.utils.functional import LazyObject, Promise
from django.views.generic import View

from cacheops_core.keys import register

from .fingerprints import fingerprint

OF_ONE_REQUEST = frozenset({"args", "head", "kwargs", "request", "_allowed_methods"})
"""What `View.setup` gives a view for each request; whoever caches its answers looks at the request itself."""


def _of_queryset(queryset: Any) -> bytes:
    kind = queryset._iterable_class
    return fingerprint(queryset.query, queryset.db, "argument", queryset.model, kind)


def _of_instance(instance: Model) -> Any:
    if instance.pk is None:
        # Nothing tells it from another object that has not been saved.
        return NotImplemented
    return instance._meta.label, instance._state.db, instance.pk


def _of_lazy_object(lazy: Any) -> Any:
    # `request.user` is one. Any attribute will do to have the real object made.
    bool(lazy.__class__)
    return lazy._wrapped


def _of_promise(promise: Promise) -> str:
    # A lazy translation reads differently in each language, which is what it stands for.
    return str(promise)


def _of_anybody(visitor: Any) -> dict[str, Any]:
    # Nothing tells visitors apart who have not logged in, but what a project has noted on them.
    return {**vars(visitor)}


def register_visitors() -> None:
    """Register what stands for those who have not logged in, once the apps are there."""
    if apps.is_installed("django.contrib.auth"):
        from django.contrib.auth.models import AnonymousUser

        register(AnonymousUser, _of_anybody)


def _of_view(view: View) -> dict[str, Any]:
    return {name: value for name, value in vars(view).items() if name not in OF_ONE_REQUEST}


register(QuerySet, _of_queryset)
register(Model, _of_instance)
register(LazyObject, _of_lazy_object)
register(Promise, _of_promise)
register(View, _of_view)
