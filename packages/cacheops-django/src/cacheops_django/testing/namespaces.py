"""A namespace of its own for each test, so that tests which run beside or after one another do not meet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from django.test import override_settings

from cacheops_django import caches, conf

__all__ = ["isolated"]


@contextmanager
def isolated() -> Iterator[None]:
    """Begin with an empty cache, and leave nothing behind: all keys stand below a prefix that nobody else has."""
    prefix, token = conf.current().prefix, f"test-{uuid4().hex}:"

    def told_apart(query: Any) -> str:
        assert callable(prefix)
        return f"{prefix(query)}{token}"

    with override_settings(CACHEOPS_PREFIX=told_apart if callable(prefix) else f"{prefix}{token}"):
        try:
            yield
        finally:
            for cache in caches.everyone():
                cache.invalidate_all()
